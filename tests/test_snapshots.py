"""A projection's snapshots: when they are saved, what is restored, and what is not."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

import hume
from hume._snapshot import Snapshot
from hume.actors import Table, stop_application
from tests.helpers import LIMIT, Gate, ManualClock, eventually, gone, in_thread, mailbox
from tests.samples import STORE, Collected, PairStore, Shelf, Total, doing, failing

if TYPE_CHECKING:
    from collections.abc import Hashable


class Letters(Collected, snapshot_every=None, snapshot_after=None):
    """Collects letters; no snapshot is due but at the end."""


@pytest.fixture(autouse=True)
def store() -> Any:
    return STORE.start_link()


def letters(shelf: Shelf, **options: Any) -> Any:
    return hume.start_link(Letters, stream="s", projection="p", snapshots=shelf, **options)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- when one is saved


def test_a_snapshot_is_saved_after_every_so_many_events_between_two_pages_too() -> None:
    shelf = Shelf()
    hume.publish_many(STORE, "s", [1] * 1600)
    ref = hume.start_link(Total, stream="s", projection="p", snapshots=shelf, snapshot_every=100, snapshot_after=None)
    assert hume.query(ref, lambda state: state) == 1600
    assert len(shelf.saved) > 1  # one for each page, as a page is longer than snapshot_every
    last = hume.take_snapshot(ref).seq
    for _ in range(99):
        hume.publish(STORE, "s", 1)
    hume.query(ref, lambda state: state)
    assert hume.status(ref).snapshot_seq == last == 1600
    hume.publish(STORE, "s", 1)
    hume.query(ref, lambda state: state)
    assert hume.status(ref).snapshot_seq == 1700
    assert [snapshot.seq for snapshot in shelf.saved] == [snapshot.state for snapshot in shelf.saved]


def test_a_snapshot_is_saved_so_many_seconds_after_an_event_and_none_without() -> None:
    clock = ManualClock()

    class Timed(Total, snapshot_every=None, snapshot_after=30.0, catch_up_after=1000.0):
        pass

    Timed.clock = clock
    shelf = Shelf()
    ref = hume.start_link(Timed, stream="s", snapshots=shelf)
    clock.advance(500.0)
    hume.catch_up(ref)
    hume.query(ref, lambda _: None)
    assert shelf.saved == []
    hume.publish(STORE, "s", 1)
    hume.publish(STORE, "s", 2)
    assert hume.state(ref) == 3
    eventually(lambda: [snapshot.seq for snapshot in shelf.saved] in ([1], [2]))  # due at once, after 500 seconds
    hume.publish(STORE, "s", 3)
    hume.state(ref)
    saved = len(shelf.saved)
    clock.advance(29.0)
    hume.query(ref, lambda _: None)
    assert len(shelf.saved) == saved
    clock.advance(1.5)
    hume.catch_up(ref)
    eventually(lambda: shelf.saved[-1] == Snapshot(3, 6))


def test_snapshots_that_take_long_are_put_off_so_that_the_projection_can_go_on() -> None:
    clock = ManualClock()

    class Slow(Total, snapshot_every=1, snapshot_after=None):
        def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[int]) -> None:
            super().persist_snapshot(projection, snapshot)
            clock.jump(1.05)

    Slow.clock = clock
    shelf = Shelf()
    ref = hume.start_link(Slow, stream="s", snapshots=shelf)
    for number in range(1, 51):
        hume.publish(STORE, "s", 1)
        assert hume.state(ref) == number
    hume.query(ref, lambda _: None)
    assert len(shelf.saved) == 1
    clock.advance(19.0)
    hume.publish(STORE, "s", 1)
    hume.query(ref, lambda _: None)
    assert len(shelf.saved) == 2


def test_take_snapshot_saves_at_once_all_that_was_published_before() -> None:
    shelf = Shelf()
    ref = letters(shelf)
    assert hume.take_snapshot(ref) == Snapshot(0, [])
    hume.publish(STORE, "s", "a")
    taken = hume.take_snapshot(ref)
    assert (taken, shelf.kept["p"], hume.status(ref).snapshot_seq) == (Snapshot(1, ["a"]), Snapshot(1, ["a"]), 1)
    taken.state.append("mine alone")
    assert shelf.kept["p"].state == ["a"]


def by_stop(ref: Any) -> None:
    hume.stop(ref)


def by_pykkas_stop(ref: Any) -> None:
    ref.stop()


def by_a_shutdown(ref: Any) -> None:
    hume.stop(ref, "shutdown")


def by_the_application(ref: Any) -> None:
    stop_application()


@pytest.mark.parametrize("end", [by_stop, by_pykkas_stop, by_a_shutdown, by_the_application])
def test_every_orderly_end_saves_a_snapshot(end: Any) -> None:
    shelf = Shelf()
    ref = letters(shelf)
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.state(ref)
    assert shelf.saved == []
    end(ref)
    gone(ref)
    assert shelf.saved == [Snapshot(2, ["a", "b"])]


def test_a_supervisors_shutdown_saves_a_snapshot() -> None:
    shelf = Shelf()
    supervisor = hume.Supervisor.start_link([Letters.child_spec(stream="s", name="child", snapshots=shelf)])
    hume.publish(STORE, "s", "a")
    hume.state("child")
    hume.stop(supervisor, "shutdown")
    assert shelf.saved == [Snapshot(1, ["a"])]


def test_a_stop_with_nothing_new_saves_nothing() -> None:
    shelf = Shelf()
    ref = letters(shelf)
    hume.publish(STORE, "s", "a")
    hume.take_snapshot(ref)
    hume.stop(ref)
    hume.stop(letters(shelf))
    assert len(shelf.saved) == 1


def test_a_crash_saves_nothing() -> None:
    shelf = Shelf()
    ref = letters(shelf)
    hume.publish_many(STORE, "s", ["a", failing(ZeroDivisionError())])
    with pytest.raises(ZeroDivisionError):
        hume.state(ref)
    gone(ref)
    assert shelf.saved == []


def test_a_kill_saves_nothing_even_when_the_projection_was_about_to() -> None:
    shelf = Shelf()
    with Gate() as gate:
        ref = letters(shelf, snapshot_every=1)
        hume.publish(STORE, "s", doing(gate.hold))
        gate.wait()
        hume.kill(ref)
    gone(ref)
    assert shelf.saved == []


def test_a_projection_that_is_killed_while_it_takes_a_snapshot_saves_nothing() -> None:
    shelf = Shelf()
    with Gate() as gate:

        def slow_copy(state: Any) -> Any:
            gate.hold()
            return list(state)

        ref = letters(shelf, copy_state=slow_copy)
        saving = in_thread(hume.take_snapshot, ref, timeout=LIMIT)
        gate.wait()
        hume.kill(ref)
        assert isinstance(saving.exception(LIMIT), hume.ActorDead)
    gone(ref)
    assert shelf.saved == []


def test_a_stop_in_the_middle_of_a_rebuild_saves_what_was_reached() -> None:
    shelf = Shelf()
    with Gate() as gate:
        hume.publish_many(STORE, "s", ["a", doing(gate.hold), *["b"] * 2000])
        ref = letters(shelf)
        gate.wait()
        stopping = in_thread(hume.stop, ref)
        eventually(lambda: ref.actor_inbox.stopping)
    stopping.result(LIMIT)
    (saved,) = shelf.saved
    assert 2 <= saved.seq < 2002
    assert len(saved.state) == saved.seq
    again = letters(shelf)
    assert len(hume.state(again)) == 2002
    assert hume.status(again).events_applied == 2002 - saved.seq


# -- what is restored


def test_a_projection_begins_with_its_snapshot_and_replays_only_what_came_since() -> None:
    first = hume.start_link(Letters, stream="s", projection="p")
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.take_snapshot(first)
    hume.publish(STORE, "s", "c")
    hume.state(first)
    hume.kill(first)
    again = hume.start_link(Letters, stream="s", projection="p")
    assert hume.snapshot(again) == Snapshot(3, ["a", "b", "c"])
    assert hume.status(again).events_applied == 1


@pytest.mark.parametrize(
    ("snapshot", "why"),
    [
        (Snapshot(1, ["wrong"], "p", 2), "another version: 2, not 1"),
        (Snapshot(1, ["wrong"], "q", 1), "another projection: 'q', not 'p'"),
        (Snapshot(1, ["wrong"], "p", 1, "other log"), "another log_id: 'other log', not UUID"),
        (Snapshot(3, ["wrong"], "p", 1), "a snapshot at 3, ahead of its log at 2"),
    ],
)
def test_a_snapshot_of_something_else_is_ignored_logged_and_replaced_by_a_full_replay(
    snapshot: Snapshot[Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    hume.publish_many(STORE, "s", ["a", "b"])
    shelf = Shelf()
    shelf.kept["p"] = snapshot
    ref = letters(shelf)
    assert hume.state(ref) == ["a", "b"]
    assert hume.status(ref).snapshot_seq is None
    (line,) = warnings(caplog)
    assert "ignores a snapshot" in line
    assert why in line
    hume.stop(ref)
    assert shelf.kept["p"] == Snapshot(2, ["a", "b"])
    caplog.clear()
    assert hume.status(letters(shelf)).seq == 2
    assert warnings(caplog) == []


def test_a_version_in_the_start_decides_too_and_the_table_keeps_the_newer_versions_snapshot() -> None:
    hume.publish_many(STORE, "s", ["a", "b", "c"])
    first = hume.start_link(Letters, stream="s", projection="p")
    hume.take_snapshot(first)
    hume.stop(first)
    second = hume.start_link(Letters, stream="s", projection="p", version=2)
    assert (hume.state(second), hume.status(second).events_applied) == (["a", "b", "c"], 3)
    hume.stop(second)
    third = hume.start_link(Letters, stream="s", projection="p", version=2)
    assert (hume.state(third), hume.status(third).events_applied) == (["a", "b", "c"], 0)


def test_a_snapshot_of_a_log_that_was_lost_never_comes_back_though_the_store_has_no_identity() -> None:
    """The log is shorter than its snapshot at one start, and longer at the next one."""
    store = PairStore()
    first = hume.start_link(Letters, stream="s", store=store)
    hume.publish_many(store, "s", ["old"] * 3)
    hume.state(first)
    hume.stop(first)
    store.logs.clear()
    hume.publish(store, "s", "new")
    second = hume.start_link(Letters, stream="s", store=store)
    assert hume.state(second) == ["new"]
    hume.stop(second)
    hume.publish_many(store, "s", ["new"] * 3)
    third = hume.start_link(Letters, stream="s", store=store)
    assert hume.state(third) == ["new"] * 4
    assert hume.status(third).events_applied == 3


def test_a_log_that_is_replaced_under_a_running_projection_is_folded_anew_and_so_are_its_snapshots() -> None:
    store = PairStore()
    first = hume.start_link(Letters, stream="s", store=store)
    hume.publish_many(store, "s", ["old"] * 3)
    assert hume.take_snapshot(first).seq == 3
    store.logs.clear()
    assert hume.state(first) == []
    hume.publish(store, "s", "new")
    assert hume.state(first) == ["new"]
    hume.stop(first)
    hume.publish_many(store, "s", ["new"] * 3)
    assert hume.state(hume.start_link(Letters, stream="s", store=store)) == ["new"] * 4


def test_with_no_copies_asked_for_states_are_handed_over_as_they_are() -> None:
    shelf = Shelf()
    ref = hume.start_link(Total, stream="s", snapshots=shelf, copy_state=None)
    hume.publish(STORE, "s", 2**70)
    taken = hume.take_snapshot(ref)
    assert taken.state is shelf.saved[0].state is hume.state(ref)


def test_what_is_saved_cant_be_reached_by_later_changes_in_place() -> None:
    shelf = Shelf()

    class Deep(Letters):
        def init_state(self, projection: Hashable) -> list[Any]:
            return [[]]

        def handle_event(self, payload: Any, state: list[Any]) -> list[Any]:
            state[0].append(payload)
            return state

    ref = hume.start_link(Deep, stream="s", projection="p", snapshots=shelf)
    for payload in ("a", "b", "c"):
        hume.publish(STORE, "s", payload)
        hume.take_snapshot(ref)
    assert [snapshot.state for snapshot in shelf.saved] == [[["a"]], [["a", "b"]], [["a", "b", "c"]]]
    hume.kill(ref)
    again = hume.start_link(Deep, stream="s", projection="p", snapshots=shelf)
    hume.publish(STORE, "s", "d")
    assert hume.state(again) == [["a", "b", "c", "d"]]
    assert shelf.saved[-1].state == [["a", "b", "c"]]


# -- where they are kept


def test_the_stores_own_snapshot_store_is_used_unless_another_is_given() -> None:
    class Complete(PairStore):
        snapshots: ClassVar[Shelf] = Shelf()

    store, shelf = Complete(), Shelf()
    hume.take_snapshot(hume.start_link(Total, stream="s", store=store, projection="theirs"))
    hume.take_snapshot(hume.start_link(Total, stream="s", store=store, projection="mine", snapshots=shelf))
    assert (list(Complete.snapshots.kept), list(shelf.kept)) == (["theirs"], ["mine"])


def test_by_default_they_are_kept_in_a_table_with_the_heir() -> None:
    ref = hume.start_link(Total, stream="s", projection="p")
    hume.take_snapshot(ref)
    table = Table.whereis(("hume", "snapshot", "p"))
    assert table is not None
    assert table.owner is ref
    hume.kill(ref)
    assert table.owner is hume.whereis(hume.HeirActor)
    assert table["p"] == Snapshot(0, 0)


# -- callbacks of one's own


def test_last_snapshot_and_persist_snapshot_may_be_ones_own() -> None:
    kept: dict[Hashable, Snapshot[Any]] = {}
    threads = []

    class Own(Letters):
        def last_snapshot(self, projection: Hashable) -> Snapshot[list[Any]] | None:
            threads.append(threading.current_thread())
            return kept.get(projection)

        def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[list[Any]]) -> None:
            threads.append(threading.current_thread())
            kept[projection] = snapshot

    first = hume.start_link(Own, stream="s", projection="p")
    hume.publish(STORE, "s", "a")
    hume.take_snapshot(first)
    assert threads == [mailbox(first).thread] * 2
    hume.kill(first)
    again = hume.start_link(Own, stream="s", projection="p")
    assert (hume.state(again), hume.status(again).events_applied) == (["a"], 0)
    kept["p"].state.append("later")
    assert hume.state(again) == ["a"]


@pytest.mark.parametrize("answer", ["rubbish", 5, (1, []), {"seq": 1}, LookupError("no disk")])
def test_a_last_snapshot_that_raises_or_returns_rubbish_is_logged_and_the_log_is_replayed(
    answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Letters):
        def last_snapshot(self, projection: Hashable) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

    hume.publish(STORE, "s", "a")
    ref = hume.start_link(Bad, stream="s")
    assert hume.state(ref) == ["a"]
    (line,) = warnings(caplog)
    assert "last_snapshot failed; starting from the first event" in line
    status = hume.status(ref)
    assert status.errors == 1
    if isinstance(answer, Exception):
        assert status.last_error is answer
    else:
        assert f"last_snapshot must return a Snapshot or None, not {answer!r}" in str(status.last_error)


def test_a_persist_snapshot_that_raises_is_logged_and_counted_and_take_snapshot_gets_the_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = OSError("disk full")

    class Full(Letters, snapshot_every=1):
        def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[Any]) -> None:
            raise error

    ref = hume.start_link(Full, stream="s")
    hume.publish(STORE, "s", "a")
    assert hume.state(ref) == ["a"]
    with pytest.raises(OSError, match="disk full") as raised:
        hume.take_snapshot(ref)
    assert raised.value is error
    status = hume.status(ref)
    assert (status.last_error, status.snapshot_seq, status.phase) == (error, None, "live")
    assert status.errors == len(warnings(caplog)) >= 1
    hume.publish(STORE, "s", "b")
    assert hume.state(ref) == ["a", "b"]
    hume.stop(ref)  # the last try fails too, which keeps nobody from stopping
    assert mailbox(ref).reason == "normal"
    assert "persist_snapshot failed: OSError('disk full')" in caplog.text


def test_a_failing_persist_snapshot_is_not_tried_again_before_the_next_one_is_due() -> None:
    tries = []

    class Full(Letters, snapshot_every=10):
        def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[Any]) -> None:
            tries.append(snapshot.seq)
            raise OSError

    ref = hume.start_link(Full, stream="s")
    for _ in range(35):
        hume.publish(STORE, "s", "a")
        hume.query(ref, len)
    assert tries == [10, 20, 30]


def test_what_persist_snapshot_returns_does_not_matter() -> None:
    class Chatty(Letters):
        def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[Any]) -> Any:
            return "rubbish"

    ref = hume.start_link(Chatty, stream="s")
    assert hume.take_snapshot(ref) == Snapshot(0, [])
    assert hume.status(ref).snapshot_seq == 0


def test_a_state_that_cant_be_copied_is_an_error_for_who_asks_and_ends_nothing() -> None:
    class Locked(hume.Projection[Any], store=STORE, snapshot_every=1):
        def init_state(self, projection: Hashable) -> Any:
            return threading.Lock()

        def handle_event(self, payload: Any, state: Any) -> Any:
            return state

    ref = hume.start_link(Locked, stream="s")
    hume.publish(STORE, "s", 1)
    for ask in (hume.take_snapshot, hume.state, hume.snapshot):
        with pytest.raises(TypeError, match="pickle"):
            ask(ref)
    assert hume.query(ref, lambda lock: lock.locked()) is False
    assert hume.status(ref).phase == "live"
