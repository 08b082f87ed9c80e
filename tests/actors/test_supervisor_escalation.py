"""Restarts that fail, supervisors that give up, what the one above makes of it, and the reports of all that."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

import pytest

from hume.actors import ChildSpec, Crash, DynamicSupervisor, Supervisor, whereis
from hume.errors import ActorDead, StartFailed
from tests.actors.nursery import (
    Boom,
    Nursery,
    between_two_tries,
    bring_up,
    children,
    crash,
    end,
    shut_down,
    states,
    which,
)
from tests.helpers import LIMIT, eventually, exit_reason, gone, telemetry_of

if TYPE_CHECKING:
    from collections.abc import Hashable

STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]


def starts_of(nursery: Nursery) -> list[Hashable]:
    return [child_id for event, child_id, *_ in nursery.read() if event == "start"]


# -- restarts that fail


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_restart_whose_start_fails_is_tried_until_it_works(strategy: str) -> None:
    """V7: each try counts."""
    nursery = Nursery()
    sup, _ = bring_up(Supervisor, nursery.specs("a", "b"), strategy=strategy, max_restarts=3)
    nursery.plan("b", Boom("1"), Boom("2"))
    crash(children(sup)["b"])
    eventually(lambda: states(sup) == {"a": "running", "b": "running"})
    crash(children(sup)["b"])  # the fourth within the period
    assert exit_reason(sup) == "shutdown"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_restart_that_fails_too_often_ends_the_supervisor(strategy: str) -> None:
    """V7: V6: one restart and so many tries that the intensity is exceeded; the others are stopped."""
    nursery = Nursery()
    sup, _ = bring_up(Supervisor, nursery.specs("a", "b", "c"), strategy=strategy, max_restarts=4)
    nursery.plan("b", *[Boom("for ever")] * 100)
    refs = children(sup)
    crash(refs["b"])
    assert exit_reason(sup) == "shutdown"
    assert [entry for entry in nursery.read() if entry[0] == "fail"] == [("fail", "b")] * 4
    for ref in refs.values():
        gone(ref)


def test_a_start_that_exits_or_returns_no_actor_is_tried_again_as_well() -> None:
    """V7: whatever goes wrong in a restart, the supervisor survives it."""
    nursery = Nursery()
    odd: list[Any] = []
    start = functools.partial(nursery.start, "a")
    sup = Supervisor.start([ChildSpec(id="a", start=lambda: odd.pop() if odd else start())])
    odd.append("no actor")
    nursery.plan("a", SystemExit(1))
    crash(children(sup)["a"])
    eventually(lambda: states(sup) == {"a": "running"})


def test_between_two_tries_the_supervisor_serves_others() -> None:
    """V7: naive port 6: the child shows as restarting, and is not active."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b"))
    shown, counts, added = between_two_tries(
        nursery,
        sup,
        children(sup)["a"],
        lambda: states(sup),
        lambda: Supervisor.count_children(sup),
        lambda: Supervisor.start_child(sup, nursery.spec("c")),
    )
    assert shown == {"a": "restarting", "b": "running"}
    assert counts == (2, 1, 0, 2)
    assert children(sup)["c"] == added
    eventually(lambda: states(sup) == {"a": "running", "b": "running", "c": "running"})


def test_one_for_all_tears_the_whole_group_down_and_starts_it_again_when_one_fails() -> None:
    """V7: naive port 7: also those whose start had worked."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c"), strategy="one_for_all")
    nursery.read()
    (shown,) = between_two_tries(nursery, sup, children(sup)["b"], lambda: states(sup))
    assert shown == {"a": "running", "b": "restarting", "c": "stopped"}
    eventually(lambda: states(sup) == {"a": "running", "b": "running", "c": "running"})
    stops = [("stop", "c", "shutdown"), ("stop", "a", "shutdown")]
    first_try, second_try = [("start", "a"), ("fail", "b")], [("stop", "a", "shutdown")]
    assert nursery.read()[1:] == stops + first_try + second_try + [("start", child) for child in "abc"]


def test_rest_for_one_goes_on_from_the_child_that_failed() -> None:
    """V7: naive port 7: those before it in the group are not touched again."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c", "d"), strategy="rest_for_one")
    nursery.plan("c", Boom("the second of the group"))
    nursery.read()
    crash(children(sup)["b"])
    eventually(lambda: set(states(sup).values()) == {"running"})
    stops = [("stop", "d", "shutdown"), ("stop", "c", "shutdown")]
    starts = [("start", "b"), ("fail", "c"), ("start", "c"), ("start", "d")]
    assert nursery.read()[1:] == stops + starts


def test_while_rest_for_one_tries_again_those_after_are_stopped_and_those_before_run() -> None:
    """V7: OTP's hanging_restart_loop_rest_for_one; terminate_child gives it up, restart_child starts that one."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c"), strategy="rest_for_one")
    shown, _, after = between_two_tries(
        nursery,
        sup,
        children(sup)["b"],
        lambda: states(sup),
        lambda: Supervisor.terminate_child(sup, "b"),
        lambda: states(sup),
    )
    assert shown == {"a": "running", "b": "restarting", "c": "stopped"}
    assert after == {"a": "running", "b": "stopped", "c": "stopped"}
    assert states(sup) == after  # its try has come and gone
    Supervisor.restart_child(sup, "b")
    assert states(sup) == {"a": "running", "b": "running", "c": "stopped"}


def test_another_childs_group_restart_takes_over_one_that_waits_for_its_try() -> None:
    """V7: what was arranged for the waiting child is void; it is started once."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b"), strategy="rest_for_one")
    first = children(sup)["a"]
    shown, _ = between_two_tries(nursery, sup, children(sup)["b"], lambda: states(sup), lambda: crash(first))
    assert shown == {"a": "running", "b": "restarting"}
    eventually(lambda: set(states(sup).values()) == {"running"})
    assert starts_of(nursery) == ["a", "b", "a", "b"]


def test_a_child_that_waits_for_its_try_is_not_started_when_the_supervisor_stops() -> None:
    """V8: V7: the stop comes first."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b"))
    nursery.read()
    between_two_tries(nursery, sup, children(sup)["a"], lambda: shut_down(sup))
    assert nursery.read()[1:] == [("fail", "a"), ("stop", "b", "shutdown")]


# -- giving up, seen from above


def test_a_permanent_supervisor_that_gave_up_is_restarted_by_its_own() -> None:
    """V9: with the children of its start, not with those that were added."""
    nursery = Nursery()
    inner = Supervisor.child_spec(nursery.specs("a", "b"), name="inner", max_restarts=0)
    sup = Supervisor.start([nursery.spec("top"), inner])
    Supervisor.start_child("inner", nursery.spec("added"))
    before = children(sup)
    crash(children("inner")["a"])
    assert exit_reason(before["inner"]) == "shutdown"
    after = children(sup)
    assert after["inner"] not in (None, before["inner"])
    assert after["top"] == before["top"]
    assert states("inner") == {"a": "running", "b": "running"}


def test_a_transient_supervisor_that_gave_up_stays_down() -> None:
    """V9: "shutdown" is a normal end for it."""
    nursery = Nursery()
    start = functools.partial(Supervisor.start_link, nursery.specs("a"), name="inner", max_restarts=0)
    sup = Supervisor.start([ChildSpec(id="inner", start=start, type="supervisor", restart="transient")])
    crash(children("inner")["a"])
    eventually(lambda: states(sup) == {"inner": "stopped"})
    assert whereis("inner") is None


def test_giving_up_escalates_level_by_level() -> None:
    """V9: each supervisor gives up when the one below it has given up too often."""
    nursery = Nursery()
    low = Supervisor.child_spec(nursery.specs("leaf"), name="low", max_restarts=1)
    middle = Supervisor.child_spec([low], name="middle", max_restarts=1)
    sup = Supervisor.start([middle], max_restarts=1)
    # two crashes end low; two ends of low end middle; two ends of middle end the top
    for _ in range(8):
        leaf = children("low")["leaf"]
        crash(leaf)
        eventually(functools.partial(down_or_restarted, sup, leaf))
    assert exit_reason(sup) == "shutdown"
    assert starts_of(nursery) == ["leaf"] * 8


def down_or_restarted(sup: Any, leaf: Any) -> bool:
    try:
        return not sup.is_alive() or children("low")["leaf"] not in (None, "restarting", leaf)
    except ActorDead:
        return False  # between two lives of its supervisor


def test_a_tree_is_restarted_as_its_specs_say_and_only_where_it_has_to() -> None:
    """V9: V5: OTP's tree: supervisors under one_for_all, one crash that stays below, one that does not."""
    nursery = Nursery()
    first = Supervisor.child_spec(nursery.specs("a", "b"), name="first", max_restarts=4)
    second = Supervisor.child_spec([], name="second", max_restarts=4)
    third = ChildSpec(id="third", start=Supervisor.start_link, type="supervisor", restart="transient")
    sup = Supervisor.start([first, second, third], strategy="one_for_all", max_restarts=4)
    Supervisor.terminate_child(sup, "third")
    assert Supervisor.count_children(sup) == (3, 2, 3, 0)
    for child_id in "cd":
        Supervisor.start_child("second", nursery.spec(child_id))
    before, of_first, of_second = children(sup), children("first"), children("second")
    crash(of_second["d"])
    assert (children(sup), children("first")) == (before, of_first)
    assert children("second")["c"] == of_second["c"]
    assert children("second")["d"] != of_second["d"]
    nursery.plan("c", *[Boom("for ever")] * 5)
    crash(of_second["c"])
    assert exit_reason(before["second"]) == "shutdown"
    after = children(sup)  # the terminated child of the group is revived too
    assert [after[child] not in (None, before[child]) for child in ("first", "second", "third")] == [True] * 3
    assert set(states("first").values()) == {"running"}
    assert children("first").values() != of_first.values()
    assert states("second") == {}


def test_a_dynamic_supervisor_that_gave_up_comes_back_without_its_children() -> None:
    """V9: naive port 9."""
    nursery = Nursery()
    sup = Supervisor.start([DynamicSupervisor.child_spec(name="dynamic", max_restarts=0)])
    before = children(sup)["dynamic"]
    ref = DynamicSupervisor.start_child("dynamic", nursery.spec("a"))
    DynamicSupervisor.start_child("dynamic", nursery.spec("b"))
    crash(ref)  # type: ignore[arg-type]  # it has started
    assert exit_reason(before) == "shutdown"
    assert children(sup)["dynamic"] not in (None, before)
    assert DynamicSupervisor.which_children("dynamic") == []


def test_a_child_that_crashes_its_start_link_caller_does_not_end_the_supervisor() -> None:
    """V2: M8: a failed start's exit signal is nobody's."""
    nursery = Nursery()
    sup = Supervisor.start()
    nursery.plan("a", Boom("in init"))
    with pytest.raises(StartFailed, match="child 'a' failed to start"):
        Supervisor.start_child(sup, nursery.spec("a"))
    assert which(sup) == []


# -- reports


def reports_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "hume.actors.supervisor"]


def test_a_restart_is_logged_and_measured_with_what_is_known_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """V19: supervisor, child id, reason, restart count; once per crash."""
    sup = Supervisor.start(Nursery().specs("a"))
    name = ("hume", "supervisor", "restart")
    with caplog.at_level(logging.INFO, "hume.actors.supervisor"), telemetry_of(name) as events:
        crash(children(sup)["a"])
        end(children(sup)["a"], "normal")
        which(sup)
        reports = [events.get(timeout=LIMIT) for _ in range(2)]
        assert events.empty()
    crashed, ended = reports_in(caplog)
    assert crashed.levelno == logging.WARNING
    assert ended.levelno == logging.INFO
    for word in (str(sup.actor_urn), "'a'", "Boom", "restart 1"):
        assert word in crashed.getMessage()
    for word in ("'a'", "normal", "restart 2"):
        assert word in ended.getMessage()
    event, measurements, metadata = reports[0]
    assert (event, measurements) == (name, {"restarts": 1, "delay": 0.0})
    assert (metadata["supervisor"], metadata["child_id"]) == (sup, "a")
    assert isinstance(metadata["reason"], Crash)
    assert reports[1][1]["restarts"] == 2
    assert reports[1][2]["reason"] == "normal"


def test_giving_up_is_logged_and_measured_with_what_is_known_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """V19: once, as an error; the restart that is not made is not reported as one."""
    sup = Supervisor.start(Nursery().specs("a"), max_restarts=1)
    names = ("hume", "supervisor", "restart"), ("hume", "supervisor", "give_up")
    with caplog.at_level(logging.INFO, "hume.actors.supervisor"), telemetry_of(*names) as events:
        crash(children(sup)["a"])
        crash(children(sup)["a"])
        gone(sup)
        reports = [events.get(timeout=LIMIT) for _ in range(2)]
        assert events.empty()
    errors = [record for record in reports_in(caplog) if record.levelno == logging.ERROR]
    assert len(errors) == 1
    for word in (str(sup.actor_urn), "gives up", "'a'", "Boom", "1 restart"):
        assert word in errors[0].getMessage()
    name, measurements, metadata = reports[1]
    assert name == ("hume", "supervisor", "give_up")
    assert measurements == {"restarts": 1}
    assert (metadata["supervisor"], metadata["child_id"]) == (sup, "a")


def test_a_failed_restart_is_logged_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    """V19: V7: so that a child that never comes up says why."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    nursery.plan("a", Boom("the cable is out"))
    with caplog.at_level(logging.WARNING, "hume.actors.supervisor"):
        crash(children(sup)["a"])
        eventually(lambda: states(sup) == {"a": "running"})
    assert any(
        "child 'a' failed to start: Boom('the cable is out')" in record.getMessage() for record in reports_in(caplog)
    )
