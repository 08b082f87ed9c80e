"""Backoff: the delays between restarts, and a supervisor that goes on with its work while a child waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume import telemetry
from hume.actors import Backoff, ChildSpec, DynamicSupervisor, Supervisor
from hume.errors import AlreadyPresent, ChildNotFound, ChildRestarting, ChildRunning, MaxChildren
from tests.actors.nursery import (
    Boom,
    Nursery,
    bring_up,
    children,
    crash,
    end,
    shut_down,
    states,
    which,
)
from tests.helpers import drained, eventually, exit_reason, telemetry_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from queue import SimpleQueue

SLOW = Backoff(first=10.0, base=10.0, factor=1.0)
RESTART = ("hume", "supervisor", "restart")


def middle() -> float:
    return 0.5  # of [0, 1): no jitter


def delays(events: SimpleQueue[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]) -> list[float]:
    return [measurements["delay"] for _, measurements, _ in drained(events)]


def many_crashes(sup: Any, clock: Any, times: int, pause: float = 100.0) -> None:
    """Crash the child "a" so often, each time as soon as it is back, after at most *pause* seconds."""
    for _ in range(times):
        ref = children(sup)["a"]
        crash(ref)
        if states(sup)["a"] == "restarting":
            clock.advance(pause)


# -- the delays


def test_the_first_restart_is_at_once_and_the_following_are_further_and_further_apart() -> None:
    """Backoff: first, base, base * factor, ... up to the maximum."""
    found = [Backoff().delay(attempt, middle) for attempt in range(9)]
    assert found == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_every_number_can_be_chosen() -> None:
    """Backoff: first, base, factor, maximum."""
    backoff = Backoff(first=0.5, base=0.1, factor=3.0, maximum=1.0)
    assert [backoff.delay(attempt, middle) for attempt in range(5)] == pytest.approx([0.5, 0.1, 0.3, 0.9, 1.0])


def test_the_first_delay_does_not_exceed_the_maximum_either() -> None:
    """Backoff: maximum bounds all of them."""
    assert Backoff(first=5.0, maximum=2.0).delay(0, middle) == 2.0


@pytest.mark.parametrize(("drawn", "factor"), [(0.0, 0.8), (0.25, 0.9), (0.5, 1.0), (0.75, 1.1)])
def test_jitter_spreads_a_delay_evenly_around_its_middle(drawn: float, factor: float) -> None:
    """Backoff: each delay times a random number within 1 ± jitter."""
    assert Backoff(base=10.0, jitter=0.2).delay(1, lambda: drawn) == pytest.approx(10.0 * factor)


@given(
    st.builds(
        Backoff,
        first=st.floats(0, 100),
        base=st.floats(1e-3, 1e6),
        factor=st.one_of(st.floats(1, 1e6), st.integers(1, 10**9)),
        maximum=st.floats(1e-3, 1e9),
        jitter=st.floats(0, 1),
    ),
    st.integers(0, 10**7),
    st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_always_a_number_between_zero_and_the_maximum_with_its_jitter(
    backoff: Backoff, attempt: int, drawn: float
) -> None:
    """Backoff: however often a child has crashed, nothing overflows."""
    assert 0.0 <= backoff.delay(attempt, lambda: drawn) <= backoff.maximum * (1 + backoff.jitter)


@given(st.floats(1, 10), st.integers(1, 2000))
def test_delays_never_become_shorter_without_jitter(factor: float, attempt: int) -> None:
    """Backoff: further and further apart."""
    backoff = Backoff(factor=factor)
    assert backoff.delay(attempt, middle) <= backoff.delay(attempt + 1, middle)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("first", -1),
        ("first", None),
        ("base", 0),
        ("base", -0.1),
        ("base", "1"),
        ("factor", 0.5),
        ("factor", float("nan")),
        ("maximum", 0),
        ("maximum", float("inf")),
        ("jitter", -0.1),
        ("jitter", 1.5),
        ("jitter", True),
    ],
)
def test_a_bad_number_is_refused_naming_the_value_and_what_it_may_be(field: str, value: Any) -> None:
    """Backoff: when it is made; a pause of nothing would be no backoff at all."""
    with pytest.raises(ValueError, match=f"Backoff {field} must be (seconds|a number)") as caught:
        Backoff(**{field: value})
    assert repr(value) in str(caught.value)


# -- in a supervisor


def test_a_child_with_a_backoff_is_restarted_at_its_pace() -> None:
    """V19: the report says in how many seconds."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=Backoff(maximum=4.0))])
    with telemetry_of(RESTART) as events:
        for expected in (0.0, 1.0, 2.0, 4.0, 4.0):
            crash(children(sup)["a"])
            if expected:
                assert states(sup) == {"a": "restarting"}
                clock.advance(expected - 0.01)
                assert states(sup) == {"a": "restarting"}
                clock.advance(0.01)
            assert states(sup) == {"a": "running"}
        assert delays(events) == [0.0, 1.0, 2.0, 4.0, 4.0]


def test_the_jitter_is_drawn_from_the_class() -> None:
    """Backoff: randomness is a parameter."""
    nursery, drawn = Nursery(), [0.0, 0.75]

    class Dice(Supervisor):
        random = staticmethod(drawn.pop)

    sup = Dice.start([nursery.spec("a", backoff=Backoff(first=100.0, maximum=100.0, jitter=0.5))])
    with telemetry_of(RESTART) as events:
        crash(children(sup)["a"])
        Supervisor.terminate_child(sup, "a")
        Supervisor.restart_child(sup, "a")
        crash(children(sup)["a"])
        which(sup)
        assert delays(events) == pytest.approx([100.0 * 1.25, 1.0 * 0.5])


def test_real_time_passes_for_a_waiting_child_too() -> None:
    """Backoff: with the machine's own clock."""
    sup = Supervisor.start([Nursery().spec("a", backoff=Backoff(first=0.01))])
    before = children(sup)["a"]
    crash(before)
    eventually(lambda: states(sup) == {"a": "running"})
    assert children(sup)["a"] != before


def test_a_supervisor_works_on_while_a_child_waits() -> None:
    """V7: waiting never blocks it; the child shows as restarting."""
    nursery = Nursery()
    sup, _ = bring_up(Supervisor, [nursery.spec("a", backoff=SLOW), nursery.spec("b")])
    crash(children(sup)["a"])
    assert states(sup) == {"a": "restarting", "b": "running"}
    assert Supervisor.count_children(sup) == (2, 1, 0, 2)
    Supervisor.start_child(sup, nursery.spec("c"))
    before = children(sup)["b"]
    crash(before)
    assert states(sup) == {"a": "restarting", "b": "running", "c": "running"}
    assert children(sup)["b"] != before
    Supervisor.terminate_child(sup, "c")
    Supervisor.delete_child(sup, "c")
    assert states(sup) == {"a": "restarting", "b": "running"}


def test_a_supervisor_can_be_stopped_while_a_child_waits() -> None:
    """V8: and the child is not started any more."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=SLOW), nursery.spec("b")])
    crash(children(sup)["a"])
    which(sup)
    nursery.read()
    clock.jump(100.0)  # its time comes together with the stop
    shut_down(sup)
    assert exit_reason(sup) == "shutdown"
    assert ("stop", "b", "shutdown") in nursery.read()


def test_a_waiting_child_can_be_terminated_and_is_not_started_when_its_time_comes() -> None:
    """V11: terminate_child gives the restart up."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=SLOW)])
    crash(children(sup)["a"])
    Supervisor.terminate_child(sup, "a")
    assert states(sup) == {"a": "stopped"}
    clock.advance(100.0)
    assert states(sup) == {"a": "stopped"}
    Supervisor.delete_child(sup, "a")
    assert states(sup) == {}


def test_a_waiting_child_that_was_started_by_hand_is_not_started_again_when_its_time_comes() -> None:
    """V12: what was arranged for its former life is void."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=SLOW)])
    crash(children(sup)["a"])
    Supervisor.terminate_child(sup, "a")
    ref = Supervisor.restart_child(sup, "a")
    clock.advance(100.0)
    assert children(sup) == {"a": ref}


def test_a_waiting_childs_id_is_taken_and_it_can_be_neither_restarted_nor_deleted() -> None:
    """V10: V12: as while a failed restart waits for its next try."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=SLOW)])
    crash(children(sup)["a"])
    with pytest.raises(AlreadyPresent):
        Supervisor.start_child(sup, nursery.spec("a"))
    with pytest.raises(ChildRestarting):
        Supervisor.restart_child(sup, "a")
    with pytest.raises(ChildRestarting):
        Supervisor.delete_child(sup, "a")
    clock.advance(10.0)
    with pytest.raises(ChildRunning):
        Supervisor.delete_child(sup, "a")


def test_restarts_with_a_backoff_do_not_count() -> None:
    """V6: a poisoned child never exhausts its supervisor; one without a backoff beside it does."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=Backoff()), nursery.spec("b")], max_restarts=1)
    many_crashes(sup, clock, 50)
    assert states(sup) == {"a": "running", "b": "running"}
    crash(children(sup)["b"])
    assert states(sup) == {"a": "running", "b": "running"}
    crash(children(sup)["b"])
    assert exit_reason(sup) == "shutdown"


def test_a_child_that_has_lived_for_a_while_starts_from_the_beginning() -> None:
    """Backoff: longer than the maximum; not as long."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=Backoff(maximum=8.0))])
    with telemetry_of(RESTART) as events:
        many_crashes(sup, clock, 3, pause=2.0)  # the last of them is back at the end of the pause
        clock.advance(8.0)
        many_crashes(sup, clock, 1, pause=4.0)
        assert delays(events) == [0.0, 1.0, 2.0, 4.0]
        clock.advance(8.01)
        many_crashes(sup, clock, 2, pause=8.0)
        assert delays(events) == [0.0, 1.0]


def test_a_start_that_fails_is_tried_again_at_the_childs_pace() -> None:
    """V7: a failed restart counts as a crash for the delays, and not for the supervisor."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=Backoff())], max_restarts=0)
    nursery.plan("a", Boom("1"), Boom("2"), Boom("3"))
    with telemetry_of(RESTART) as events:
        crash(children(sup)["a"])
        for seconds in (1.0, 2.0, 4.0):
            assert states(sup) == {"a": "restarting"}
            clock.advance(seconds)
            which(sup)
        assert states(sup) == {"a": "running"}
        assert delays(events) == [0.0, 1.0, 2.0, 4.0]


@pytest.mark.parametrize(("strategy", "others"), [("one_for_all", "ac"), ("rest_for_one", "c")])
def test_a_group_waits_for_the_child_that_crashed(strategy: str, others: str) -> None:
    """V5: its members are stopped at once, and all are started together when the time comes."""
    nursery = Nursery()
    specs = [nursery.spec("a"), nursery.spec("b", backoff=SLOW), nursery.spec("c")]
    sup, clock = bring_up(Supervisor, specs, strategy=strategy, max_restarts=0)
    crash(children(sup)["b"])
    waiting = {child: "stopped" if child in others else "running" for child in "abc"} | {"b": "restarting"}
    assert states(sup) == waiting
    nursery.read()
    clock.advance(10.0)
    assert states(sup) == {"a": "running", "b": "running", "c": "running"}
    assert nursery.read() == [("start", child) for child in "abc" if child == "b" or child in others]


def test_a_waiting_child_is_started_with_its_group_when_another_crashes() -> None:
    """V5: V7: and is not started again when its own time comes."""
    nursery = Nursery()
    specs = [nursery.spec("a"), nursery.spec("b", backoff=SLOW)]
    sup, clock = bring_up(Supervisor, specs, strategy="rest_for_one")
    crash(children(sup)["b"])
    crash(children(sup)["a"])
    assert states(sup) == {"a": "running", "b": "running"}
    before = children(sup)
    clock.advance(100.0)
    assert children(sup) == before


def test_a_member_that_was_started_by_hand_meanwhile_is_stopped_when_its_groups_time_comes() -> None:
    """V5: V12: all are down before the first is started."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a"), nursery.spec("b", backoff=SLOW)], strategy="one_for_all")
    crash(children(sup)["b"])
    by_hand = Supervisor.restart_child(sup, "a")
    nursery.read()
    clock.advance(10.0)
    assert states(sup) == {"a": "running", "b": "running"}
    assert children(sup)["a"] != by_hand
    assert nursery.read() == [("stop", "a", "shutdown"), ("start", "a"), ("start", "b")]


def test_an_end_that_needs_no_restart_does_not_wait() -> None:
    """V4: a transient child's orderly end is its end."""
    nursery = Nursery()
    sup, clock = bring_up(Supervisor, [nursery.spec("a", backoff=SLOW, restart="transient")])
    end(children(sup)["a"], "normal")
    assert states(sup) == {"a": "stopped"}
    clock.advance(100.0)
    assert states(sup) == {"a": "stopped"}


def test_a_dynamic_child_that_waits_counts_and_can_be_given_up() -> None:
    """V17: max_children counts it; terminate_child takes the ref that it had."""
    nursery = Nursery()
    sup, clock = bring_up(DynamicSupervisor, max_children=1)
    ref = DynamicSupervisor.start_child(sup, nursery.spec("a", backoff=SLOW))
    assert ref is not None
    crash(ref)
    assert [info.ref for info in which(sup)] == ["restarting"]
    assert DynamicSupervisor.count_children(sup) == (1, 0, 0, 1)
    with pytest.raises(MaxChildren):
        DynamicSupervisor.start_child(sup, nursery.spec("b"))
    DynamicSupervisor.terminate_child(sup, ref)
    assert which(sup) == []
    with pytest.raises(ChildNotFound):
        DynamicSupervisor.terminate_child(sup, ref)
    clock.advance(100.0)
    assert which(sup) == []
    assert DynamicSupervisor.start_child(sup, nursery.spec("b")) is not None


def test_a_specs_backoff_is_shown_by_the_spec() -> None:
    """Backoff: None is at once, and counted; the default of a ChildSpec."""
    assert ChildSpec(id="a", start=Nursery().start).backoff is None
    assert ChildSpec(id="a", start=Nursery().start, backoff=SLOW).backoff == SLOW


def test_a_telemetry_handler_that_raises_does_not_stop_a_restart() -> None:
    """V19: E1: what looks at a supervisor can't harm it."""

    def bad(*_: Any) -> None:
        raise Boom("in a handler")

    telemetry.attach("bad", RESTART, bad)
    sup = Supervisor.start(Nursery().specs("a"))
    crash(children(sup)["a"])
    assert states(sup) == {"a": "running"}
