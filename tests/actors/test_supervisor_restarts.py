"""Restarts: who is restarted, with whom, and how often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hume.actors import Ignore, Supervisor
from tests.actors.nursery import (
    Boom,
    Nursery,
    bring_up,
    children,
    crash,
    end,
    held,
    states,
    which,
)
from tests.helpers import exit_reason

if TYPE_CHECKING:
    from collections.abc import Hashable

ORDERLY = ["normal", "shutdown", ("shutdown", "some info")]
ABNORMAL = ["kill", Boom("by itself"), "a reason of its own", SystemExit(1)]
STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]


def starts_of(nursery: Nursery) -> list[Hashable]:
    return [child_id for event, child_id, *_ in nursery.read() if event == "start"]


# -- permanent, transient, temporary


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=str)
def test_a_permanent_child_comes_back_whatever_its_end(reason: Any) -> None:
    """V4: permanent: always restarted; with another process under the same id."""
    sup = Supervisor.start(Nursery().specs("a", "b"))
    before = children(sup)
    end(before["a"], reason)
    after = children(sup)
    assert after["a"] not in (None, before["a"])
    assert after["b"] == before["b"]
    assert Supervisor.count_children(sup) == (2, 2, 0, 2)


@pytest.mark.parametrize("reason", ORDERLY, ids=str)
def test_a_transient_child_stays_down_after_an_orderly_end(reason: Any) -> None:
    """V4: and keeps its spec, from which it can be started again."""
    sup = Supervisor.start(Nursery().specs("a", restart="transient"))
    end(children(sup)["a"], reason)
    assert states(sup) == {"a": "stopped"}
    assert Supervisor.count_children(sup) == (1, 0, 0, 1)
    end(Supervisor.restart_child(sup, "a"), reason)  # type: ignore[arg-type]  # it has started
    assert states(sup) == {"a": "stopped"}


@pytest.mark.parametrize("reason", ABNORMAL, ids=str)
def test_a_transient_child_comes_back_after_an_abnormal_end(reason: Any) -> None:
    """V4: transient: restarted after an abnormal exit only."""
    sup = Supervisor.start(Nursery().specs("a", restart="transient"))
    before = children(sup)["a"]
    end(before, reason)
    assert children(sup)["a"] not in (None, before)


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=str)
def test_a_temporary_child_is_forgotten_whatever_its_end(reason: Any) -> None:
    """V4: temporary: never restarted, and its spec goes with it; so the same id can be started anew."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", restart="temporary"), max_restarts=0)
    end(children(sup)["a"], reason)
    assert states(sup) == {}
    assert Supervisor.count_children(sup) == (0, 0, 0, 0)
    assert Supervisor.start_child(sup, nursery.spec("a", restart="temporary")) == children(sup)["a"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_temporary_child_stopped_for_anothers_restart_is_forgotten(strategy: str) -> None:
    """V4: naive port 7: bystanders that are temporary are dropped; and nothing is restarted for their sake."""
    nursery = Nursery()
    sup = Supervisor.start(
        [nursery.spec("a"), nursery.spec("b", restart="temporary"), nursery.spec("c")],
        strategy=strategy,
        max_restarts=1,
    )
    refs = children(sup)
    crash(refs["a"])
    assert states(sup) == {"a": "running", "c": "running"}
    assert exit_reason(refs["b"]) == "shutdown"


def test_an_end_that_needs_no_restart_does_not_touch_the_others() -> None:
    """V5: whatever the strategy, a child that is not restarted takes nobody along."""
    for strategy in STRATEGIES:
        nursery = Nursery()
        sup = Supervisor.start(
            [nursery.spec("a", restart="transient"), nursery.spec("b", restart="temporary"), nursery.spec("c")],
            strategy=strategy,
        )
        before = children(sup)
        end(before["a"], "normal")
        crash(before["b"])
        assert children(sup) == {"a": None, "c": before["c"]}


# -- strategies


def test_one_for_one_restarts_the_child_that_died_and_no_other() -> None:
    """V5: one_for_one."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c"))
    before = children(sup)
    nursery.read()
    crash(before["b"])
    after = children(sup)
    assert [after[child] == before[child] for child in "abc"] == [True, False, True]
    assert [entry[:2] for entry in nursery.read()] == [("stop", "b"), ("start", "b")]


def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order() -> None:
    """V5: one_for_all; all are down before the first is started."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c", "d"), strategy="one_for_all")
    before = children(sup)
    nursery.read()
    crash(before["b"])
    after = children(sup)
    assert [after[child] == before[child] for child in "abcd"] == [False] * 4
    assert list(after) == list("abcd")
    stops = [("stop", "d", "shutdown"), ("stop", "c", "shutdown"), ("stop", "a", "shutdown")]
    assert nursery.read()[1:] == stops + [("start", child) for child in "abcd"]


def test_rest_for_one_does_the_same_with_the_children_started_after_it() -> None:
    """V5: rest_for_one; those before are not touched."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c", "d"), strategy="rest_for_one")
    before = children(sup)
    nursery.read()
    crash(before["b"])
    after = children(sup)
    assert [after[child] == before[child] for child in "abcd"] == [True, False, False, False]
    assert list(after) == list("abcd")
    stops = [("stop", "d", "shutdown"), ("stop", "c", "shutdown")]
    assert nursery.read()[1:] == stops + [("start", child) for child in "bcd"]


@pytest.mark.parametrize(("crashing", "restarted"), [("a", "abc"), ("c", "c")])
def test_rest_for_one_at_the_ends(crashing: str, restarted: str) -> None:
    """V5: of the first all, of the last that one."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c"), strategy="rest_for_one")
    nursery.read()
    crash(children(sup)[crashing])
    which(sup)
    assert starts_of(nursery) == list(restarted)


def test_a_child_started_later_counts_as_after_those_that_are_there() -> None:
    """V5: start order is the order in which they came."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b"), strategy="rest_for_one")
    Supervisor.start_child(sup, nursery.spec("c"))
    nursery.read()
    crash(children(sup)["b"])
    which(sup)
    assert starts_of(nursery) == ["b", "c"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_group_restart_revives_children_that_had_been_stopped_or_had_ended(strategy: str) -> None:
    """V5: naive port 7: all of the group are started."""
    nursery = Nursery()
    sup = Supervisor.start(
        [nursery.spec("a"), nursery.spec("b"), nursery.spec("c", restart="transient")], strategy=strategy
    )
    Supervisor.terminate_child(sup, "b")
    end(children(sup)["c"], "normal")
    assert states(sup) == {"a": "running", "b": "stopped", "c": "stopped"}
    crash(children(sup)["a"])
    assert states(sup) == {"a": "running", "b": "running", "c": "running"}


def test_a_group_restart_skips_a_child_that_ignores_its_start() -> None:
    """V5: (S3) it keeps its spec, the others are started."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c"), strategy="one_for_all")
    nursery.plan("b", Ignore)
    crash(children(sup)["a"])
    assert states(sup) == {"a": "running", "b": "stopped", "c": "running"}


def test_a_restart_that_is_ignored_leaves_the_spec_without_a_process() -> None:
    """V4: (S3) not even a permanent child is tried again."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"), max_restarts=1)
    nursery.plan("a", Ignore)
    crash(children(sup)["a"])
    assert states(sup) == {"a": "stopped"}
    assert Supervisor.restart_child(sup, "a") is not None


# -- intensity


def test_as_many_restarts_as_allowed_are_made_and_the_next_crash_ends_the_supervisor() -> None:
    """V6: exactly max_restarts within the period; the one after ends it instead of restarting; reason "shutdown"."""
    nursery = Nursery()
    sup, _ = bring_up(Supervisor, nursery.specs("a", "b", "c"), max_restarts=3, max_seconds=5.0)
    for _ in range(3):
        crash(children(sup)["b"])
    assert states(sup) == {"a": "running", "b": "running", "c": "running"}
    nursery.read()
    crash(children(sup)["b"])
    assert exit_reason(sup) == "shutdown"
    assert nursery.read()[1:] == [("stop", "c", "shutdown"), ("stop", "a", "shutdown")]


def test_the_defaults_are_three_restarts_within_five_seconds() -> None:
    """V6: as in Elixir."""
    sup, clock = bring_up(Supervisor, Nursery().specs("a"))
    for _ in range(3):
        crash(children(sup)["a"])
    clock.advance(5.01)
    for _ in range(3):
        crash(children(sup)["a"])
    clock.advance(5.0)
    crash(children(sup)["a"])  # the three of before are not older than five seconds
    assert exit_reason(sup) == "shutdown"


def test_with_no_restart_allowed_the_first_crash_ends_the_supervisor() -> None:
    """V6: max_restarts=0."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"), max_restarts=0)
    crash(children(sup)["a"])
    assert exit_reason(sup) == "shutdown"
    assert starts_of(nursery) == ["a"]


def test_restarts_that_are_far_enough_apart_never_end_the_supervisor() -> None:
    """V6: OTP's multiple_restarts, with a clock that the test moves."""
    sup, clock = bring_up(Supervisor, Nursery().specs("a"), max_restarts=1, max_seconds=1.0)
    for _ in range(20):
        crash(children(sup)["a"])
        clock.advance(1.001)
    assert states(sup) == {"a": "running"}


def test_the_history_is_the_supervisors_not_the_childs() -> None:
    """V6: naive port 5: restarts of different children add up."""
    sup, _ = bring_up(Supervisor, Nursery().specs("a", "b", "c"), max_restarts=2)
    crash(children(sup)["a"])
    crash(children(sup)["b"])
    crash(children(sup)["c"])
    assert exit_reason(sup) == "shutdown"


def test_a_permanent_childs_normal_end_counts_as_well() -> None:
    """V6: naive port 5: permanent restarts after "normal" too, and that counts."""
    sup, _ = bring_up(Supervisor, Nursery().specs("a"), max_restarts=1)
    end(children(sup)["a"], "normal")
    end(children(sup)["a"], "normal")
    assert exit_reason(sup) == "shutdown"


def test_ends_without_a_restart_do_not_count() -> None:
    """V6: only restarts do."""
    nursery = Nursery()
    sup, _ = bring_up(Supervisor, [nursery.spec("a", restart="transient")], max_restarts=0)
    for _ in range(5):
        Supervisor.start_child(sup, nursery.spec("b", restart="temporary"))
        end(children(sup)["b"], "kill")
    end(children(sup)["a"], "normal")
    Supervisor.terminate_child(sup, "a")
    Supervisor.restart_child(sup, "a")  # nor does what is asked for
    assert states(sup) == {"a": "running"}


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_a_group_restart_counts_once_though_several_died_together(strategy: str) -> None:
    """V6: naive port 7: the deaths of those that are restarted anyway are nobody's."""
    nursery = Nursery()
    sup, _ = bring_up(Supervisor, nursery.specs("a", "b", "c"), strategy=strategy, max_restarts=1)
    refs = children(sup)
    with held(nursery, sup):
        for ref in refs.values():
            crash(ref)
    assert states(sup) == {"a": "running", "b": "running", "c": "running"}


def test_a_transient_child_that_is_restarted_too_often_ends_the_supervisor() -> None:
    """V6: the restart type makes no difference to the count."""
    sup = Supervisor.start(Nursery().specs("a", restart="transient"), max_restarts=1)
    crash(children(sup)["a"])
    crash(children(sup)["a"])
    assert exit_reason(sup) == "shutdown"
