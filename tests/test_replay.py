"""evolve and replay: the pure fold."""

from __future__ import annotations

import copy
import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hume
from hume._snapshot import Snapshot
from hume.errors import StaleEvent, UnknownEvent
from tests.samples import Collected, Total, failing

if TYPE_CHECKING:
    from collections.abc import Hashable


class Book(hume.Projection[dict[str, list[Any]]]):
    """Who sent what: changes its state in place, also deep within, and keeps payloads in it."""

    def init_state(self, projection: Hashable) -> dict[str, list[Any]]:
        return {}

    def handle_event(self, payload: Any, state: dict[str, list[Any]]) -> dict[str, list[Any]]:
        for letters in state.values():
            for letter in letters:
                letter.append("read")  # a letter is a payload's own list
        key, letter = payload
        state.setdefault(key, []).append(letter)
        return state


letters = st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(), max_size=2)), max_size=12)
histories = letters.map(lambda payloads: [hume.Event(seq, payload) for seq, payload in enumerate(payloads, 1)])


def fold(payloads: list[Any]) -> dict[str, list[Any]]:
    """Fold in plain Python, on copies."""
    book = object.__new__(Book)

    def step(state: dict[str, list[Any]], payload: Any) -> dict[str, list[Any]]:
        return book.handle_event(copy.deepcopy(payload), copy.deepcopy(state))

    return functools.reduce(step, payloads, book.init_state(None))


@given(histories)
def test_replay_is_functools_reduce(events: list[hume.Event]) -> None:
    assert hume.replay(Book, None, events) == (
        Snapshot(len(events), fold([event.payload for event in events])),
        len(events),
    )


@given(histories, st.data())
def test_replay_in_two_parts_is_replay_in_one(events: list[hume.Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    first, _ = hume.replay(Book, None, events[:cut])
    assert hume.replay(Book, first, events[cut:])[0] == hume.replay(Book, None, events)[0]


@given(histories)
def test_replay_is_evolve_event_by_event(events: list[hume.Event]) -> None:
    begin: Snapshot[Any] = Snapshot(0, {})
    assert (
        functools.reduce(lambda snapshot, event: hume.evolve(Book, event, snapshot), events, begin)
        == (hume.replay(Book, None, events)[0])
    )


@given(histories, histories)
def test_nothing_given_is_changed_nor_shared_with_the_result(known: list[hume.Event], new: list[hume.Event]) -> None:
    snapshot, _ = hume.replay(Book, None, known)
    events = [hume.Event(event.seq + snapshot.seq, event.payload) for event in new]
    given_snapshot, given_payloads = copy.deepcopy(snapshot.state), copy.deepcopy([event.payload for event in events])
    after, _ = hume.replay(Book, snapshot, events)
    after.state.setdefault("a", []).append("later")
    for sent in after.state.values():
        for letter in sent:
            if isinstance(letter, list):
                letter.append("later")
    assert (snapshot.state, [event.payload for event in events]) == (given_snapshot, given_payloads)


def test_events_may_be_pairs_and_any_iterable_and_numbers_may_have_gaps() -> None:
    assert hume.replay(Total, None, ((seq, 1) for seq in (2, 5, 9))) == (Snapshot(9, 3), 3)
    assert hume.evolve(Total, (4, 10), Snapshot(2, 1)) == Snapshot(4, 11)
    assert hume.replay(Total, None, []) == (Snapshot(0, 0), 0)


@pytest.mark.parametrize(("seq", "at"), [(1, 1), (3, 5), (5, 5)])
def test_an_event_that_is_in_the_snapshot_already_is_stale(seq: int, at: int) -> None:
    snapshot = Snapshot(at, 0)
    with pytest.raises(StaleEvent, match=f"event {seq} has been applied already: the snapshot is at {at}") as stale:
        hume.evolve(Total, (seq, 1), snapshot)
    assert (stale.value.seq, stale.value.at) == (seq, at)
    with pytest.raises(StaleEvent):
        hume.replay(Total, snapshot, [(at + 1, 1), (at + 1, 1)])


@pytest.mark.parametrize("item", [None, 5, [1, "x"], (1, 2, 3), "ab"])
def test_what_is_neither_an_event_nor_a_pair_is_refused(item: Any) -> None:
    with pytest.raises(TypeError, match=r"events must be Event or \(seq, payload\), not"):
        hume.evolve(Total, item, None)


def test_an_unknown_event_is_an_error_or_skipped_whatever_the_class_says() -> None:
    class Loose(hume.Projection[int], strict=False):
        def init_state(self, projection: Hashable) -> int:
            return 0

    with pytest.raises(UnknownEvent):
        hume.evolve(Loose, (1, "x"), None)
    assert hume.evolve(Loose, (1, "x"), None, strict=False) == Snapshot(1, 0)


def test_a_handlers_error_comes_out_as_it_is_and_the_snapshot_stays_whole() -> None:
    error = LookupError("what is that?")
    snapshot = Snapshot(1, ["whole"])
    with pytest.raises(LookupError) as raised:
        hume.replay(Collected, snapshot, [(2, "more"), (3, failing(error))])
    assert (raised.value, snapshot) == (error, Snapshot(1, ["whole"]))


def test_the_result_says_where_it_comes_from_as_the_snapshot_given_does() -> None:
    given_snapshot = Snapshot(1, 5, projection="mine", version=3, log_id="log")
    after = hume.evolve(Total, (2, 1), given_snapshot)
    assert (after.projection, after.version, after.log_id) == ("mine", 3, "log")


def test_neither_starts_a_thread_nor_needs_a_store() -> None:
    threads = []

    class Nosy(Total, store="nobody"):
        def handle_event(self, payload: Any, state: int) -> int:
            threads.append(threading.current_thread())
            return state

    before = threading.active_count()
    hume.replay(Nosy, None, [(1, 1), (2, 1)])
    assert threads == [threading.current_thread()] * 2
    assert threading.active_count() == before
