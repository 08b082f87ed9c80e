"""Significant children, whose end by themselves ends their supervisor."""

from __future__ import annotations

from typing import Any

import pytest

from hume.actors import ChildSpec, Supervisor, kill
from hume.errors import StartFailed
from tests.actors.nursery import Boom, Nursery, between_two_tries, bring_up, children, crash, end, shut_down, states
from tests.helpers import eventually, exit_reason

ORDERLY = ["normal", "shutdown", ("shutdown", "done")]
ABNORMAL = ["kill", Boom("abnormal")]
ANY, ALL = "any_significant", "all_significant"


def significant(nursery: Nursery, *ids: str, restart: str = "transient") -> list[ChildSpec]:
    return nursery.specs(*ids, restart=restart, significant=True)


@pytest.mark.parametrize("auto_shutdown", ["never", ANY, ALL])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_the_end_of_a_child_that_is_not_significant_ends_nothing(auto_shutdown: str, restart: str) -> None:
    """V15: OTP's nonsignificant_temporary and nonsignificant_transient."""
    for reason in [*ORDERLY, *ABNORMAL]:
        nursery = Nursery()
        sup = Supervisor.start([nursery.spec("a", restart=restart), nursery.spec("b")], auto_shutdown=auto_shutdown)
        end(children(sup)["a"], reason)
        assert states(sup)["b"] == "running"
        Supervisor.terminate_child(sup, "b")
        assert sup.is_alive()


@pytest.mark.parametrize("reason", ORDERLY, ids=str)
def test_with_any_significant_the_orderly_end_of_a_transient_one_ends_the_supervisor(reason: Any) -> None:
    """V15: at once, with reason "shutdown", and its other children in reverse order."""
    nursery = Nursery()
    sup = Supervisor.start([*significant(nursery, "a", "b"), nursery.spec("c")], auto_shutdown=ANY)
    end(children(sup)["a"], reason)
    assert exit_reason(sup) == "shutdown"
    assert nursery.read()[4:] == [("stop", "c", "shutdown"), ("stop", "b", "shutdown")]


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
@pytest.mark.parametrize("reason", ABNORMAL, ids=str)
def test_the_abnormal_end_of_a_transient_one_is_answered_with_a_restart(auto_shutdown: str, reason: Any) -> None:
    """V15: it has not ended for good."""
    nursery = Nursery()
    sup = Supervisor.start(significant(nursery, "a"), auto_shutdown=auto_shutdown)
    before = children(sup)["a"]
    end(before, reason)
    assert children(sup)["a"] not in (None, before)


@pytest.mark.parametrize("reason", [*ORDERLY, *ABNORMAL], ids=str)
def test_with_any_significant_whatever_end_of_a_temporary_one_ends_the_supervisor(reason: Any) -> None:
    """V15: temporary: in any way."""
    nursery = Nursery()
    sup = Supervisor.start(significant(nursery, "a", "b", restart="temporary"), auto_shutdown=ANY)
    end(children(sup)["a"], reason)
    assert exit_reason(sup) == "shutdown"


@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_with_all_significant_the_last_one_ends_the_supervisor(restart: str) -> None:
    """V15: those that are not significant do not hold it up."""
    nursery = Nursery()
    sup = Supervisor.start([*significant(nursery, "a", "b", restart=restart), nursery.spec("c")], auto_shutdown=ALL)
    end(children(sup)["b"], "normal")
    assert states(sup)["a"] == "running"
    end(children(sup)["a"], "normal")
    assert exit_reason(sup) == "shutdown"


def test_a_single_significant_child_is_all_of_them() -> None:
    """V15: all_significant with one."""
    nursery = Nursery()
    sup = Supervisor.start([*significant(nursery, "a"), nursery.spec("b")], auto_shutdown=ALL)
    end(children(sup)["a"], "normal")
    assert exit_reason(sup) == "shutdown"


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_a_significant_child_that_is_terminated_does_not_count(auto_shutdown: str, restart: str) -> None:
    """V15: it has not ended by itself."""
    nursery = Nursery()
    sup = Supervisor.start(significant(nursery, "a", restart=restart), auto_shutdown=auto_shutdown)
    Supervisor.terminate_child(sup, "a")
    assert states(sup) == ({"a": "stopped"} if restart == "transient" else {})


def test_with_all_significant_a_terminated_one_is_not_waited_for() -> None:
    """V15: the last that runs is the last."""
    nursery = Nursery()
    sup = Supervisor.start(significant(nursery, "a", "b"), auto_shutdown=ALL)
    Supervisor.terminate_child(sup, "a")
    end(children(sup)["b"], "normal")
    assert exit_reason(sup) == "shutdown"


def test_with_all_significant_one_that_waits_for_its_restart_is_waited_for() -> None:
    """V15: V7: it is still to come back."""
    nursery = Nursery()
    sup = Supervisor.start(significant(nursery, "a", "b"), auto_shutdown=ALL)
    other = children(sup)["b"]
    _, shown = between_two_tries(nursery, sup, children(sup)["a"], lambda: end(other, "normal"), lambda: states(sup))
    assert shown == {"a": "restarting", "b": "stopped"}
    eventually(lambda: states(sup) == {"a": "running", "b": "stopped"})


@pytest.mark.parametrize("auto_shutdown", [ANY, ALL])
@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_significant_bystanders_of_anothers_restart_do_not_count(
    auto_shutdown: str, strategy: str, restart: str
) -> None:
    """V15: OTP's significant_bystander: the supervisor stopped them itself."""
    nursery = Nursery()
    first, last = significant(nursery, "a", "c", restart=restart)
    sup = Supervisor.start([first, nursery.spec("b"), last], strategy=strategy, auto_shutdown=auto_shutdown)
    kill(children(sup)["b"])
    assert states(sup)["b"] == "running"
    assert sup.is_alive()


def test_giving_up_goes_before_auto_shutdown() -> None:
    """V15: V6: a transient significant child that crashes too often ends the supervisor as any other does."""
    nursery = Nursery()
    sup, _ = bring_up(Supervisor, significant(nursery, "a"), auto_shutdown=ALL, max_restarts=0)
    crash(children(sup)["a"])
    assert exit_reason(sup) == "shutdown"


def test_an_auto_shutdown_is_an_end_by_itself_for_the_supervisor_above() -> None:
    """V15: V9: OTP's significant_escalation: it goes on where the supervisor is significant itself, and else stops."""
    for is_significant in (True, False):
        nursery = Nursery()

        def start_inner(nursery: Nursery = nursery) -> Any:
            return Supervisor.start_link(significant(nursery, "leaf"), auto_shutdown=ANY, name="inner")

        inner = ChildSpec(
            id="inner", start=start_inner, restart="transient", type="supervisor", significant=is_significant
        )
        sup = Supervisor.start([inner], auto_shutdown=ANY)
        inner_ref = children(sup)["inner"]
        end(children("inner")["leaf"], "normal")
        assert exit_reason(inner_ref) == "shutdown"
        if is_significant:
            assert exit_reason(sup) == "shutdown"
        else:
            assert states(sup) == {"inner": "stopped"}
            shut_down(sup)


def test_a_child_started_later_may_be_significant() -> None:
    """V15: start_child."""
    nursery = Nursery()
    sup = Supervisor.start([], auto_shutdown=ANY)
    end(Supervisor.start_child(sup, *significant(nursery, "a")), "normal")  # type: ignore[arg-type]  # it has started
    assert exit_reason(sup) == "shutdown"


def test_a_significant_child_under_never_is_refused() -> None:
    """V15: at the start and in start_child; nothing is started and the tree is as it was."""
    nursery = Nursery()
    with pytest.raises(ValueError, match="'a' is significant, which needs auto_shutdown any_significant or all_signif"):
        Supervisor.start([nursery.spec("b"), *significant(nursery, "a")])
    assert nursery.read() == []
    sup = Supervisor.start(nursery.specs("b"))
    with pytest.raises(StartFailed, match="'a' is significant"):
        Supervisor.start_child(sup, *significant(nursery, "a"))
    assert nursery.read() == [("start", "b")]
    assert states(sup) == {"b": "running"}


def test_a_permanent_child_can_not_be_significant() -> None:
    """V15: it never ends for good."""
    with pytest.raises(ValueError, match="child 'a': a permanent child can't be significant"):
        Nursery().spec("a", significant=True)
