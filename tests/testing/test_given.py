"""given, when, then: what a user's test of a projection says, and what it says when it fails."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pykka
import pytest

import hume
from hume.testing import given
from tests.samples import Collected, Total, failing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


@dataclass(frozen=True)
class Deposited:
    account: str
    cents: int


@dataclass
class Ledger:
    balances: dict[str, int] = field(default_factory=dict)
    entries: list[Deposited] = field(default_factory=list)


class Balances(hume.Projection[Ledger], store=hume.EventStoreActor):
    def init_state(self, projection: Hashable) -> Ledger:
        return Ledger()

    @hume.handles(Deposited)
    def deposited(self, event: Deposited, state: Ledger) -> Ledger:
        state.balances[event.account] = state.balances.get(event.account, 0) + event.cents
        state.entries.append(event)
        return state


class Recorded(hume.Projection[list[Any]], store=hume.EventStoreActor):
    """Keeps what a handler sees of its events."""

    def init_state(self, projection: Hashable) -> list[Any]:
        return [projection]

    def handle_recorded(self, event: hume.Event, state: list[Any]) -> list[Any]:
        return [*state, event]


# -- what it does


def test_the_state_is_the_fold_of_the_events() -> None:
    five, seven = Deposited("ann", 5), Deposited("ann", 7)
    assert given(Total, [1, 2, 3]).state() == 6
    assert given(Total).state() == 0
    assert given(Balances, iter([five, seven])).state() == Ledger({"ann": 12}, [five, seven])


def test_then_goes_on_with_when_and_what_was_given_stays_as_it_was() -> None:
    first = given(Total, [1])
    first.then(1).when(2, 3).then(6).when(4).then(10)
    first.then(1)


def test_it_needs_no_actor_and_no_store() -> None:
    given(Total, [1, 2]).then(3, times=2)
    assert pykka.ActorRegistry.get_all() == []


def test_payloads_become_the_same_events_in_every_run() -> None:
    _, *events = given(Recorded, ["a", "b"], stream="orders").when("c").state()
    assert [(event.seq, event.payload, event.stream, event.position) for event in events] == [
        (1, "a", "orders", 1),
        (2, "b", "orders", 2),
        (3, "c", "orders", 3),
    ]
    times = [event.recorded_at for event in events]
    assert times == [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=number) for number in (1, 2, 3)]
    assert len({event.id for event in events}) == 3
    assert [event.id for event in events] == [event.id for event in given(Recorded, ["a", "b", "c"]).state()[1:]]


def test_an_event_has_its_own_facts_and_payloads_go_on_from_there() -> None:
    recorded = hume.Event(41, "a", "orders", metadata={"by": "ann"})
    _, one, two = given(Recorded, [recorded, "b"], stream="orders").state()
    assert (one.seq, one.stream, one.metadata, one.recorded_at) == (41, "orders", {"by": "ann"}, None)
    assert (two.seq, two.payload, two.position) == (42, "b", 2)


def test_events_of_several_streams_are_folded_in_the_order_given() -> None:
    events = [hume.Event(1, "a", "one"), hume.Event(1, "b", "other"), hume.Event(2, "c", "one")]
    seen = given(Recorded, events).state()[1:]
    assert [(event.stream, event.seq, event.position) for event in seen] == [
        ("one", 1, 1),
        ("other", 1, 2),
        ("one", 2, 3),
    ]


def test_init_state_gets_the_projections_identity() -> None:
    assert given(Recorded, projection="p").state() == ["p"]
    assert given(Recorded).state() == [None]


def test_a_pair_is_a_payload_as_any_other() -> None:
    given(Collected, [("remove", "foo"), (1, "x")]).then([("remove", "foo"), (1, "x")])


def test_a_handler_that_changes_an_event_does_not_change_the_tests() -> None:
    payload = ["a"]
    given(Collected, [payload]).when(lambda state: state[0].append("b")).then([["a", "b"]], times=3)
    assert payload == ["a"]


def test_the_class_says_whether_an_unknown_event_is_an_error() -> None:
    class Lenient(Balances, strict=False):
        pass

    given(Lenient, ["nonsense"]).then(Ledger())
    with pytest.raises(hume.UnknownEvent):
        given(Balances, ["nonsense"]).state()


# -- raises


def test_raises_returns_the_error_that_the_last_when_raised() -> None:
    error = given(Balances, [Deposited("ann", 5)]).when("nonsense").raises(hume.UnknownEvent, match="nonsense")
    assert error.payload == "nonsense"
    assert error.__notes__[-1].startswith("Balances was handling Event(seq=2, payload='nonsense'")
    assert str(given(Collected, [1, failing(ValueError("bad"))]).raises(ValueError)) == "bad"


def test_raises_fails_when_nothing_is_raised_and_says_what_the_state_is() -> None:
    with pytest.raises(AssertionError, match="Total did not raise ValueError; its state is 3"):
        given(Total, [1]).when(2).raises(ValueError)


def test_raises_fails_when_the_message_is_another_one() -> None:
    with pytest.raises(AssertionError, match="'worse' is not found in 'bad'"):
        given(Collected).when(failing(ValueError("bad"))).raises(ValueError, match="worse")


def test_another_error_and_an_error_of_a_given_event_come_through() -> None:
    bad = failing(ValueError("bad"))
    with pytest.raises(ValueError, match="bad"):
        given(Collected).when(bad).raises(KeyError)
    with pytest.raises(ValueError, match="bad"):
        given(Collected, [bad]).when(1).raises(ValueError)


# -- a failing then


def message_of(check: Callable[[], object]) -> str:
    with pytest.raises(AssertionError) as caught:
        check()
    return str(caught.value)


def test_a_failing_then_shows_expected_and_actual() -> None:
    assert message_of(lambda: given(Total, [1, 2]).then(4)).splitlines() == [
        "Total has another state after 2 events than expected",
        "  expected: 4",
        "  actual:   3",
    ]


def test_a_failing_then_shows_the_lines_that_differ() -> None:
    names = [f"account number {number}" for number in range(8)]
    events = [Deposited(name, 1) for name in names]
    expected = Ledger(dict.fromkeys(names, 1) | {"account number 3": 2}, events)
    lines = message_of(lambda: given(Balances, events).then(expected)).splitlines()
    assert lines[:3] == ["Balances has another state after 8 events than expected", "  - expected", "  + actual"]
    assert [line for line in lines[3:] if line[2] in "-+"] == [
        "  -                  'account number 3': 2,",
        "  +                  'account number 3': 1,",
    ]


def test_a_failing_then_says_so_when_only_the_types_differ() -> None:
    class Loud(int):
        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loud)

        __hash__ = int.__hash__

    assert "actual:   3 (<class 'int'>)" in message_of(lambda: given(Total, [3]).then(Loud(3)))


# -- times


class Shared(Collected, copy_state=None):
    """Begins with an object that all its starts share, and changes it."""

    first: ClassVar[list[Any]] = []

    def init_state(self, projection: Hashable) -> list[Any]:
        return self.first


class Remembering(hume.Projection[int], store=hume.EventStoreActor):
    """Keeps a part of its state on itself."""

    last = 0

    def init_state(self, projection: Hashable) -> int:
        return 0

    def handle_event(self, payload: int, state: int) -> int:
        state += payload if self.last == payload else 0
        self.last = payload
        return state


class Chance(hume.Projection[float], store=hume.EventStoreActor):
    def init_state(self, projection: Hashable) -> float:
        return 0.0

    def handle_event(self, payload: int, state: float) -> float:
        return payload + self.draw()

    rolled: ClassVar[list[float]] = []

    def draw(self) -> float:
        self.rolled.append(random.random())  # noqa: S311 - no secret
        return 0.0 if len(self.rolled) == 1 else self.rolled[-1] + 1


@pytest.mark.parametrize(
    ("cls", "events", "expected"), [(Shared, [1], [1]), (Remembering, [2, 2], 2), (Chance, [1], 1.0)]
)
def test_times_finds_a_state_that_a_restart_would_change(cls: type[Any], events: list[int], expected: Any) -> None:
    Shared.first, Chance.rolled = [], []
    given(cls, events).then(expected)
    Shared.first, Chance.rolled = [], []
    assert "when its " in message_of(lambda: given(cls, events).then(expected, times=2))


# -- bad input


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: given(int, [1]), TypeError, r"expected a subclass of hume.Projection, not <class 'int'>"),  # type: ignore[arg-type]
        (lambda: given(Total, "abc"), TypeError, "events must be several events"),
        (lambda: given(Total, 3), TypeError, "events must be several events"),  # type: ignore[arg-type]
        (lambda: given(Total, [None]), ValueError, "a payload must not be None"),
        (lambda: given(Total).when(None), ValueError, "a payload must not be None"),
        (lambda: given(Total).then(0, times=0), ValueError, "times must be a whole number of at least 1, not 0"),
        (lambda: given(Total).then(0, times=True), ValueError, "times must be"),
    ],
)
def test_bad_input_is_refused_at_the_call(act: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        act()
