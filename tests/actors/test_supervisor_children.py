"""Managing children: start, terminate, restart, delete, which and count; and what each of them refuses."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest

from hume.actors import ChildInfo, ChildSpec, DynamicSupervisor, Ignore, Supervisor, whereis
from hume.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    StartFailed,
    SupervisorError,
)
from tests.actors.nursery import (
    Boom,
    Nursery,
    Worker,
    between_two_tries,
    children,
    crash,
    end,
    shut_down,
    states,
    which,
)
from tests.helpers import LIMIT, Gate, Probe, do, eventually, exit_reason, in_thread, mailbox

if TYPE_CHECKING:
    from collections.abc import Callable

STRATEGIES = ["one_for_one", "one_for_all", "rest_for_one"]


def test_the_life_of_a_child_in_the_hands_of_its_user() -> None:
    """V10: V11: V12: V13: OTP's child_adm from the first start to the last."""
    nursery = Nursery()
    sup = Supervisor.start()
    assert which(sup) == []
    assert Supervisor.count_children(sup) == (0, 0, 0, 0)
    spec = nursery.spec("a")
    first = Supervisor.start_child(sup, spec)
    assert which(sup) == [ChildInfo("a", first, "worker", None)]
    with pytest.raises(ChildRunning):
        Supervisor.delete_child(sup, "a")
    Supervisor.terminate_child(sup, "a")
    assert which(sup) == [ChildInfo("a", None, "worker", None)]
    second = Supervisor.restart_child(sup, "a")
    assert which(sup) == [ChildInfo("a", second, "worker", None)]
    assert second not in (None, first)
    Supervisor.terminate_child(sup, "a")
    Supervisor.delete_child(sup, "a")
    assert which(sup) == []
    third = Supervisor.start_child(sup, spec)
    assert children(sup) == {"a": third}


# -- start_child


def test_start_child_adds_a_child_after_the_others_and_returns_its_ref() -> None:
    """V10: it lives as those of the start do."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    ref = Supervisor.start_child(sup, nursery.spec("b"))
    assert list(children(sup)) == ["a", "b"]
    assert children(sup)["b"] == ref
    crash(children(sup)["b"])
    assert children(sup)["b"] not in (None, ref)
    shut_down(sup)
    assert nursery.read()[-2:] == [("stop", "b", "shutdown"), ("stop", "a", "shutdown")]


@pytest.mark.parametrize("child", [Probe, (Probe, {"trap_exit": True}), (Supervisor, {"name": "inner"})], ids=str)
def test_start_child_takes_whatever_may_be_a_child(child: Any) -> None:
    """V10: V1: as in a supervisor's list of children."""
    sup = Supervisor.start()
    assert list(children(sup).values()) != [Supervisor.start_child(sup, child)]
    assert set(states(sup).values()) == {"running"}


def test_a_running_childs_id_is_taken() -> None:
    """V10: AlreadyStarted, with its ref; the tree is as it was."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b"))
    before = children(sup)
    with pytest.raises(AlreadyStarted, match="child 'a' is already started") as caught:
        Supervisor.start_child(sup, nursery.spec("a"))
    assert caught.value.ref == before["a"]
    assert children(sup) == before
    assert len(nursery.read()) == 2


def test_a_stopped_childs_id_is_taken_too() -> None:
    """V10: AlreadyPresent: its spec is there without a process; whether terminated, ended or ignored."""
    nursery = Nursery()
    nursery.plan("c", Ignore)
    sup = Supervisor.start([nursery.spec("a"), nursery.spec("b", restart="transient"), nursery.spec("c")])
    Supervisor.terminate_child(sup, "a")
    end(children(sup)["b"], "normal")
    for child_id in "abc":
        with pytest.raises(AlreadyPresent, match=f"child '{child_id}' is present but not running") as caught:
            Supervisor.start_child(sup, nursery.spec(child_id))
        assert caught.value.child_id == child_id
    assert states(sup) == {"a": "stopped", "b": "stopped", "c": "stopped"}


def test_a_child_that_waits_for_its_restart_has_its_id() -> None:
    """V10: OTP's hanging_restart_loop: already present."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    spec = nursery.spec("a")
    (answer,) = between_two_tries(nursery, sup, children(sup)["a"], lambda: Supervisor.start_child(sup, spec))
    assert isinstance(answer, AlreadyPresent)


def test_a_start_that_fails_leaves_no_spec() -> None:
    """V10: the error names the child and the cause; the id is free."""
    nursery, error = Nursery(), Boom("no luck")
    sup = Supervisor.start(nursery.specs("a"))
    nursery.plan("b", error)
    with pytest.raises(StartFailed, match=r"child 'b' failed to start: Boom\('no luck'\)") as caught:
        Supervisor.start_child(sup, nursery.spec("b"))
    assert (caught.value.child_id, caught.value.__cause__) == ("b", error)
    assert states(sup) == {"a": "running"}
    Supervisor.start_child(sup, nursery.spec("b"))
    assert states(sup) == {"a": "running", "b": "running"}


def test_a_child_whose_name_is_taken_is_refused_with_who_has_it() -> None:
    """V10: OTP's already_started_outside_supervisor; in restart_child as well, and the child stays stopped."""
    sup = Supervisor.start()
    spec = ChildSpec(id="a", start=functools.partial(Probe.start_link, name="mine"))
    other = Probe.start(name="mine")
    with pytest.raises(AlreadyStarted, match="'mine'") as caught:
        Supervisor.start_child(sup, spec)
    assert caught.value.ref == other
    assert which(sup) == []
    exit_reason_of(other)
    Supervisor.start_child(sup, spec)
    Supervisor.terminate_child(sup, "a")
    another = Probe.start(name="mine")
    with pytest.raises(AlreadyStarted, match="'mine'"):
        Supervisor.restart_child(sup, "a")
    assert states(sup) == {"a": "stopped"}
    assert whereis("mine") == another


def exit_reason_of(ref: Any) -> Any:
    ref.stop()
    return exit_reason(ref)


def test_a_child_may_choose_not_to_start() -> None:
    """V10: (S3) None; the spec stays, a temporary one does not."""
    nursery = Nursery()
    sup = Supervisor.start()
    nursery.plan("a", Ignore)
    nursery.plan("b", Ignore)
    assert Supervisor.start_child(sup, nursery.spec("a")) is None
    assert Supervisor.start_child(sup, nursery.spec("b", restart="temporary")) is None
    assert states(sup) == {"a": "stopped"}
    assert Supervisor.count_children(sup) == (1, 0, 0, 1)
    nursery.plan("a", Ignore)
    assert Supervisor.restart_child(sup, "a") is None  # not this time either
    assert states(sup) == {"a": "stopped"}
    assert Supervisor.restart_child(sup, "a") is not None


def test_starting_a_child_takes_as_long_as_its_init() -> None:
    """V10: no timeout of a call comes between."""
    nursery, gate = Nursery(), Gate()
    sup = Supervisor.start()
    nursery.plan("a", gate)
    with gate:
        starting = in_thread(Supervisor.start_child, sup, nursery.spec("a"))
        gate.wait()
        assert not starting.done()
    assert starting.result(LIMIT) == children(sup)["a"]


# -- terminate_child


def test_terminate_child_stops_a_child_which_is_not_restarted() -> None:
    """V11: with shutdown; its spec stays, without a process, and nobody else is touched, whatever the strategy."""
    for strategy in STRATEGIES:
        nursery = Nursery()
        sup = Supervisor.start(nursery.specs("a", "b", "c"), strategy=strategy, max_restarts=0)
        before = children(sup)
        Supervisor.terminate_child(sup, "b")
        assert exit_reason(before["b"]) == "shutdown"
        assert children(sup) == {**before, "b": None}
        assert Supervisor.count_children(sup) == (3, 2, 0, 3)


@pytest.mark.parametrize("shutdown", [5.0, None, "brutal_kill"])
def test_terminate_child_stops_a_child_by_its_shutdown(shutdown: Any) -> None:
    """V11: V3: brutal_kill without terminate."""
    nursery = Nursery()
    sup = Supervisor.start([nursery.spec("a", shutdown=shutdown)])
    ref = children(sup)["a"]
    Supervisor.terminate_child(sup, "a")
    assert exit_reason(ref) == ("killed" if shutdown == "brutal_kill" else "shutdown")
    assert states(sup) == {"a": "stopped"}


def test_terminate_child_kills_a_child_that_ignores_its_shutdown() -> None:
    """V11: V18: when its time is over; its successor can start at once."""
    nursery, gate = Nursery(), Gate()
    sup = Supervisor.start([nursery.spec("a", shutdown=0.02)])
    ref = children(sup)["a"]
    with gate:
        Worker.send(ref, lambda _worker: gate.hold())
        gate.wait()
        Supervisor.terminate_child(sup, "a")
        assert ref.actor_inbox.reason == "killed"
        assert Supervisor.restart_child(sup, "a") not in (None, ref)


def test_terminating_a_temporary_child_deletes_its_spec() -> None:
    """V11: there is nothing to restart it from."""
    sup = Supervisor.start(Nursery().specs("a", restart="temporary"))
    Supervisor.terminate_child(sup, "a")
    assert which(sup) == []


def test_terminating_a_stopped_child_is_fine() -> None:
    """V11: like deleting what is not there."""
    sup = Supervisor.start(Nursery().specs("a"))
    for _ in range(3):
        Supervisor.terminate_child(sup, "a")
    assert states(sup) == {"a": "stopped"}


def test_terminating_a_child_that_waits_for_its_restart_gives_that_up() -> None:
    """V11: naive port 6: also when its next try is on its way."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    ref = children(sup)["a"]
    nursery.read()
    _, shown = between_two_tries(nursery, sup, ref, lambda: Supervisor.terminate_child(sup, "a"), lambda: states(sup))
    assert shown == {"a": "stopped"}
    assert states(sup) == {"a": "stopped"}
    assert nursery.read()[1:] == [("fail", "a")]


def test_a_child_that_was_terminated_and_started_again_is_not_started_a_third_time() -> None:
    """V11: V12: the try that was arranged before is void."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    ref = children(sup)["a"]
    nursery.read()
    _, again = between_two_tries(
        nursery, sup, ref, lambda: Supervisor.terminate_child(sup, "a"), lambda: Supervisor.restart_child(sup, "a")
    )
    assert children(sup) == {"a": again}
    assert nursery.read()[1:] == [("fail", "a"), ("start", "a")]


def test_the_crash_of_a_child_that_is_being_terminated_restarts_nothing() -> None:
    """V11: V8: whether it died before its shutdown or of it."""
    nursery, gate = Nursery(), Gate()
    sup = Supervisor.start(nursery.specs("a", "b"), max_restarts=0)
    ref = children(sup)["a"]
    nursery.plan("c", gate)
    with gate:
        adding = in_thread(Supervisor.start_child, sup, nursery.spec("c"))
        gate.wait()
        terminating = in_thread(Supervisor.terminate_child, sup, "a")
        eventually(lambda: len(mailbox(sup)) == 1)  # it waits, and so its crash comes after it
        crash(ref)
    adding.result(LIMIT)
    terminating.result(LIMIT)
    assert states(sup) == {"a": "stopped", "b": "running", "c": "running"}


# -- restart_child and delete_child


def test_restart_child_starts_a_stopped_child_from_its_spec_in_its_old_place() -> None:
    """V12: and returns the new ref."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b", "c"))
    Supervisor.terminate_child(sup, "b")
    ref = Supervisor.restart_child(sup, "b")
    assert list(children(sup)) == ["a", "b", "c"]
    assert children(sup)["b"] == ref
    shut_down(sup)
    assert [child_id for event, child_id, *_ in nursery.read()[4:] if event == "stop"] == ["c", "b", "a"]


def test_a_restart_by_hand_that_fails_is_told_and_leaves_the_child_stopped() -> None:
    """V12: it is not tried again."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    Supervisor.terminate_child(sup, "a")
    nursery.plan("a", Boom("not now"))
    nursery.read()
    with pytest.raises(StartFailed, match=r"child 'a' failed to start: Boom\('not now'\)"):
        Supervisor.restart_child(sup, "a")
    assert states(sup) == {"a": "stopped"}
    assert nursery.read() == [("fail", "a")]


@pytest.mark.parametrize("ask", [Supervisor.restart_child, Supervisor.delete_child])
def test_a_running_child_can_be_neither_restarted_nor_deleted(ask: Callable[..., Any]) -> None:
    """V12: ChildRunning; the tree is as it was."""
    sup = Supervisor.start(Nursery().specs("a", "b"))
    before = children(sup)
    with pytest.raises(ChildRunning, match="child 'a' is running: use terminate_child first") as caught:
        ask(sup, "a")
    assert caught.value.child_id == "a"
    assert children(sup) == before


@pytest.mark.parametrize("ask", [Supervisor.restart_child, Supervisor.delete_child])
def test_a_child_that_waits_for_its_restart_can_be_neither_restarted_nor_deleted(ask: Callable[..., Any]) -> None:
    """V12: ChildRestarting; it comes back all the same."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    answers = between_two_tries(nursery, sup, children(sup)["a"], lambda: ask(sup, "a"))
    assert [type(answer) for answer in answers] == [ChildRestarting]
    assert "use terminate_child to give that up" in str(answers[0])
    eventually(lambda: states(sup) == {"a": "running"})


@pytest.mark.parametrize("ask", [Supervisor.terminate_child, Supervisor.restart_child, Supervisor.delete_child])
@pytest.mark.parametrize("child_id", ["hej", None, 0, ("a",), ["a"], {}], ids=str)
def test_an_unknown_id_is_not_found(ask: Callable[..., Any], child_id: Any) -> None:
    """V11: V12: ChildNotFound; also for what can be no id, and the supervisor lives on."""
    sup = Supervisor.start(Nursery().specs("a"))
    before = children(sup)
    with pytest.raises(ChildNotFound, match=r"was not found; there are 'a'$") as caught:
        ask(sup, child_id)
    assert (caught.value.child_id, caught.value.known) == (child_id, ("a",))
    assert children(sup) == before


def test_a_childs_ref_is_not_its_id() -> None:
    """V11: it is a DynamicSupervisor that takes refs."""
    sup = Supervisor.start(Nursery().specs("a"))
    with pytest.raises(ChildNotFound):
        Supervisor.terminate_child(sup, children(sup)["a"])
    assert states(sup) == {"a": "running"}


def test_delete_child_deletes_the_spec_of_a_stopped_child() -> None:
    """V12: then its id is unknown, and free."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b"))
    Supervisor.terminate_child(sup, "a")
    Supervisor.delete_child(sup, "a")
    assert list(children(sup)) == ["b"]
    with pytest.raises(ChildNotFound):
        Supervisor.restart_child(sup, "a")
    Supervisor.start_child(sup, nursery.spec("a"))
    assert list(children(sup)) == ["b", "a"]


def test_every_refusal_can_be_caught_as_one() -> None:
    """V10: (to V12) a supervisor that refuses raises a SupervisorError, with the child's id."""
    sup = Supervisor.start(Nursery().specs("a"))
    with pytest.raises(SupervisorError) as caught:
        Supervisor.delete_child(sup, "a")
    assert caught.value.child_id == "a"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("how", ["kill", "normal", Boom("abnormal"), "terminate_child"], ids=str)
def test_what_is_left_of_a_child_depends_on_its_restart_type_and_its_end(strategy: str, restart: str, how: Any) -> None:
    """V4: V10: V11: OTP's do_not_save_child_specs_for_temporary_children, for all three types."""
    nursery = Nursery()
    sup, spec = Supervisor.start(strategy=strategy), nursery.spec("a", restart=restart)
    ref = Supervisor.start_child(sup, spec)
    if how == "terminate_child":
        Supervisor.terminate_child(sup, "a")
    else:
        end(ref, how)  # type: ignore[arg-type]  # it has started
    if restart == "temporary":
        assert Supervisor.start_child(sup, spec) is not None
    elif how == "terminate_child" or (restart == "transient" and how == "normal"):
        with pytest.raises(AlreadyPresent):
            Supervisor.start_child(sup, spec)
        assert Supervisor.restart_child(sup, "a") is not None
    else:
        with pytest.raises(AlreadyStarted):
            Supervisor.start_child(sup, spec)


# -- which_children and count_children


def test_which_children_lists_id_ref_type_and_class_in_start_order() -> None:
    """V13: OTP lists them in reverse."""
    nursery = Nursery()
    inner = Supervisor.child_spec(name="inner")
    sup = Supervisor.start([nursery.spec("a"), Probe, inner, DynamicSupervisor])
    Supervisor.terminate_child(sup, Probe)
    a, probe, middle, dynamic = which(sup)
    assert (a.id, a.ref, a.type, a.actor_class) == ("a", children(sup)["a"], "worker", None)
    assert probe == (Probe, None, "worker", Probe)
    assert middle == ("inner", whereis("inner"), "supervisor", Supervisor)
    assert (dynamic.id, dynamic.type, dynamic.actor_class) == (DynamicSupervisor, "supervisor", DynamicSupervisor)


def test_the_order_stays_through_restarts() -> None:
    """V13: a child keeps its place."""
    for strategy in STRATEGIES:
        nursery = Nursery()
        sup = Supervisor.start(nursery.specs("a", "b", "c"), strategy=strategy)
        crash(children(sup)["b"])
        crash(children(sup)["a"])
        assert list(children(sup)) == ["a", "b", "c"]


def test_count_children_counts_specs_running_processes_supervisors_and_workers() -> None:
    """V13: supervisors and workers among the specs, with or without a process."""
    nursery = Nursery()
    nursery.plan("b", Ignore)
    sup = Supervisor.start([*nursery.specs("a", "b", "c"), (Supervisor, {"name": "s1"}), (Supervisor, {"name": "s2"})])
    Supervisor.terminate_child(sup, "s2")
    counts = Supervisor.count_children(sup)
    assert (counts.specs, counts.active, counts.supervisors, counts.workers) == (5, 3, 2, 3)


def test_a_child_that_has_died_unheard_is_not_counted_as_active() -> None:
    """V13: OTP asks whether the process is alive; here it had undone its link."""
    sup = Supervisor.start(Nursery().specs("a", "b"))
    ref = children(sup)["a"]
    Worker.call(ref, lambda worker: worker.unlink(sup))
    crash(ref)
    assert Supervisor.count_children(sup) == (2, 1, 0, 2)
    Supervisor.terminate_child(sup, "a")
    assert states(sup) == {"a": "stopped", "b": "running"}


def test_a_child_can_be_asked_about_by_another_child() -> None:
    """V13: a running child may call its supervisor."""
    sup = Supervisor.start([(Probe, {})], name="sup")
    assert do(children(sup)[Probe], lambda _actor: list(children("sup"))) == [Probe]


def test_functions_of_one_kind_of_supervisor_work_on_the_other_where_they_can() -> None:
    """V13: V17: and where they can't, it is the caller who gets the error."""
    nursery = Nursery()
    static, dynamic = Supervisor.start(nursery.specs("a")), DynamicSupervisor.start()
    ref = Supervisor.start_child(dynamic, nursery.spec("b"))
    assert Supervisor.which_children(dynamic) == [ChildInfo(None, ref, "worker", None)]
    assert Supervisor.count_children(dynamic) == DynamicSupervisor.count_children(static) == (1, 1, 0, 1)
    for ask in (Supervisor.restart_child, Supervisor.delete_child):
        with pytest.raises(TypeError, match=r"has no (restart|delete)_child"):
            ask(dynamic, "b")
    with pytest.raises(ChildNotFound):
        Supervisor.terminate_child(dynamic, "b")
    assert static.is_alive()
    assert dynamic.is_alive()
