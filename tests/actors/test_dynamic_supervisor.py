"""DynamicSupervisor: any number of children that come and go, known by their refs."""

from __future__ import annotations

import functools
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from hume.actors import ChildInfo, ChildSpec, DynamicSupervisor, Ignore, Supervisor, kill, stop, whereis
from hume.actors._calls import wait_or_kill
from hume.errors import ActorDead, AlreadyStarted, ChildNotFound, MaxChildren, StartFailed, Timeout
from tests.actors.nursery import Boom, Nursery, Worker, between_two_tries, bring_up, crash, end, shut_down, which
from tests.helpers import LIMIT, Gate, Probe, do, eventually, exit_reason, gone, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

ORDERLY = ["normal", "shutdown", ("shutdown", "signal")]
ABNORMAL = ["kill", Boom("whatever"), "whatever"]


def start(sup: Any, spec: Any) -> pykka.ActorRef[Any]:
    ref = DynamicSupervisor.start_child(sup, spec)
    assert ref is not None
    return ref


def reason_of(ref: Any) -> Any:
    return ref.actor_inbox.reason


def refs(sup: Any) -> list[Any]:
    return [info.ref for info in DynamicSupervisor.which_children(sup)]


# -- starting


def test_it_starts_without_children_and_takes_any_number() -> None:
    """V17: they have refs and no ids; one spec may be used over and over."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    assert DynamicSupervisor.which_children(sup) == []
    assert DynamicSupervisor.count_children(sup) == (0, 0, 0, 0)
    spec = nursery.spec("same")
    first, second, third = start(sup, spec), start(sup, spec), start(sup, Probe)
    assert DynamicSupervisor.which_children(sup) == [
        ChildInfo(None, first, "worker", None),
        ChildInfo(None, second, "worker", None),
        ChildInfo(None, third, "worker", Probe),
    ]
    assert DynamicSupervisor.count_children(sup) == (3, 3, 0, 3)


def test_it_can_be_supervised_several_times_over() -> None:
    """V17: V1: known by its name, or else by its class."""
    nursery = Nursery()
    named = [(DynamicSupervisor, {"name": name}) for name in ("one", "two")]
    sup = Supervisor.start([DynamicSupervisor, *named])
    assert [(info.id, info.type) for info in which(sup)] == [
        (DynamicSupervisor, "supervisor"),
        ("one", "supervisor"),
        ("two", "supervisor"),
    ]
    start("one", nursery.spec("a"))
    assert DynamicSupervisor.count_children("one").active == 1
    assert DynamicSupervisor.count_children("two").active == 0
    with pytest.raises(AlreadyStarted):
        Supervisor.start_child(sup, DynamicSupervisor)


def test_its_children_may_be_supervisors() -> None:
    """V17: V13: they are counted as such."""
    sup = DynamicSupervisor.start()
    for _ in range(3):
        start(sup, Supervisor.child_spec([Probe]))
    start(sup, Probe)
    assert DynamicSupervisor.count_children(sup) == (4, 4, 3, 1)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"strategy": "one_for_all"}, ["strategy", "'one_for_all'", "'one_for_one'"]),
        ({"max_restarts": -1}, ["max_restarts", "-1"]),
        ({"max_seconds": 0}, ["max_seconds", "0"]),
        ({"max_children": -1}, ["max_children", "-1", "None"]),
        ({"max_children": 1.5}, ["max_children", "1.5"]),
        ({"max_children": float("inf")}, ["max_children", "inf"]),
        ({"extra_arguments": -1}, ["extra_arguments", "-1", "a list or a tuple"]),
        ({"extra_arguments": "ab"}, ["extra_arguments", "'ab'"]),
        ({"auto_shutdown": "any_significant"}, ["auto_shutdown"]),
    ],
    ids=str,
)
def test_a_bad_option_is_refused_naming_the_value_and_the_allowed_ones(
    options: dict[str, Any], named: list[str]
) -> None:
    """V17: there is no auto_shutdown here either, as in OTP's significant_simple."""
    with pytest.raises((TypeError, ValueError)) as caught:
        DynamicSupervisor.start(**options)
    for word in named:
        assert word in str(caught.value)


@pytest.mark.parametrize("child", ["hej", None, (1, 2, 3, 4, 5, 6), Boom, {}], ids=str)
def test_what_is_no_child_is_refused_with_what_a_child_may_be(child: Any) -> None:
    """V17: V1: in the caller, before a supervisor is even looked for."""
    with pytest.raises(TypeError, match="a child is a ChildSpec, an actor class, or"):
        DynamicSupervisor.start_child("nobody", child)
    with pytest.raises(ActorDead):
        DynamicSupervisor.start_child("nobody", Probe)


def test_a_significant_child_is_refused() -> None:
    """V15: V17: nothing here shuts down automatically."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    with pytest.raises(StartFailed, match="significant"):
        start(sup, nursery.spec("a", restart="transient", significant=True))
    assert nursery.read() == []
    assert which(sup) == []


@pytest.mark.parametrize("error", [Boom("found"), SystemExit("oops")], ids=repr)
def test_a_start_that_fails_leaves_nothing(error: BaseException) -> None:
    """V17: V10: the error names the cause."""
    nursery = Nursery()
    sup = DynamicSupervisor.start(max_children=1)
    nursery.plan("a", error)
    with pytest.raises(StartFailed) as caught:
        start(sup, nursery.spec("a"))
    assert caught.value.__cause__ is error
    assert which(sup) == []
    assert start(sup, nursery.spec("a")) == refs(sup)[0]


def test_a_start_that_returns_no_actor_leaves_nothing() -> None:
    """V17: as in a Supervisor."""
    sup = DynamicSupervisor.start()
    with pytest.raises(StartFailed, match="must return the ref of an actor, or None, not 'unknown'"):
        start(sup, ChildSpec(id="a", start=lambda: "unknown"))
    assert which(sup) == []


def test_a_child_whose_name_is_taken_is_refused_with_who_has_it() -> None:
    """V17: V10: so that one can get or start a child under a name."""
    sup = DynamicSupervisor.start()
    spec = Probe.child_spec(name="mine")
    ref = start(sup, spec)
    with pytest.raises(AlreadyStarted, match="'mine'") as caught:
        start(sup, spec)
    assert caught.value.ref == ref
    assert refs(sup) == [ref]


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_a_child_that_ignores_its_start_leaves_no_spec(restart: str) -> None:
    """V17: (S3) whatever its restart type: it has no id by which it could be started later."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    nursery.plan("a", Ignore)
    assert DynamicSupervisor.start_child(sup, nursery.spec("a", restart=restart)) is None
    assert which(sup) == []
    shut_down(sup)
    assert exit_reason(sup) == "shutdown"


def test_extra_arguments_go_before_a_childs_own_at_each_start() -> None:
    """V17: at a restart too."""
    nursery = Nursery()
    seen: list[tuple[Any, ...]] = []

    def start_with(*arguments: Any) -> Any:
        seen.append(arguments)
        return nursery.start("a")

    sup = DynamicSupervisor.start(extra_arguments=["extra", 2])
    crash(start(sup, ChildSpec(id="a", start=functools.partial(start_with))))
    which(sup)
    assert seen == [("extra", 2), ("extra", 2)]


def test_extra_arguments_are_the_first_arguments_of_a_class() -> None:
    """V17: its init gets them, and the child's own options."""

    class Named(Probe):
        def init(self, first: str, *, second: int) -> None:  # type: ignore[override]  # takes other arguments
            super().init()
            self.both = first, second

    sup = DynamicSupervisor.start(extra_arguments=("extra",))
    assert do(start(sup, (Named, {"second": 2})), lambda actor: actor.both) == ("extra", 2)


# -- max_children


def test_max_children_is_the_most_there_may_be_at_a_time() -> None:
    """V17: the error names it; whoever goes makes room."""
    nursery = Nursery()
    sup = DynamicSupervisor.start(max_children=2)
    first, second = start(sup, nursery.spec("a")), start(sup, nursery.spec("b", restart="temporary"))
    with pytest.raises(MaxChildren, match="the supervisor has 2 children, the most that max_children allows") as caught:
        start(sup, nursery.spec("c"))
    assert caught.value.limit == 2
    assert refs(sup) == [first, second]
    end(second, "normal")
    third = start(sup, nursery.spec("c"))
    DynamicSupervisor.terminate_child(sup, first)
    start(sup, nursery.spec("d"))
    assert len(refs(sup)) == 2
    assert third in refs(sup)


def test_with_max_children_of_zero_none_can_be_started() -> None:
    """V17: max_children=0."""
    sup = DynamicSupervisor.start(max_children=0)
    with pytest.raises(MaxChildren):
        start(sup, Probe)


def test_a_restarted_child_and_one_that_waits_for_its_restart_count() -> None:
    """V17: the restart itself needs no room."""
    nursery = Nursery()
    sup = DynamicSupervisor.start(max_children=1)
    first = start(sup, nursery.spec("a"))
    crash(first)
    with pytest.raises(MaxChildren):
        start(sup, nursery.spec("b"))
    (answer,) = between_two_tries(nursery, sup, refs(sup)[0], lambda: start(sup, nursery.spec("b")))
    assert isinstance(answer, MaxChildren)
    eventually(lambda: DynamicSupervisor.count_children(sup) == (1, 1, 0, 1))


# -- restarts


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=str)
def test_a_permanent_child_comes_back_whatever_its_end(reason: Any) -> None:
    """V17: V4: and no other is touched."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    first, other = start(sup, nursery.spec("a")), start(sup, nursery.spec("b"))
    end(first, reason)
    after = refs(sup)
    assert len(after) == 2
    assert first not in after
    assert other in after


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=str)
def test_a_transient_child_comes_back_after_an_abnormal_end_only(reason: Any) -> None:
    """V17: V4: after an orderly end it is forgotten."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    end(start(sup, nursery.spec("a", restart="transient")), reason)
    expected = 0 if reason in ORDERLY else 1
    assert DynamicSupervisor.count_children(sup) == (expected, expected, 0, expected)


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=str)
def test_a_temporary_child_never_comes_back(reason: Any) -> None:
    """V17: V4: it is forgotten."""
    nursery = Nursery()
    sup = DynamicSupervisor.start(max_restarts=0)
    end(start(sup, nursery.spec("a", restart="temporary")), reason)
    assert which(sup) == []


def test_restarts_of_all_children_add_up_until_the_supervisor_gives_up() -> None:
    """V17: V6: with reason "shutdown", and its children with it."""
    nursery = Nursery()
    sup, _ = bring_up(DynamicSupervisor, max_restarts=2)
    for child_id in "abc":
        start(sup, nursery.spec(child_id))
    kept = refs(sup)[0]
    crash(refs(sup)[1])
    crash(refs(sup)[2])
    assert DynamicSupervisor.count_children(sup) == (3, 3, 0, 3)
    crash(refs(sup)[1])
    assert exit_reason(sup) == "shutdown"
    assert exit_reason(kept) == "shutdown"


def test_a_restart_that_fails_is_tried_again() -> None:
    """V17: V7: the child keeps its place."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    first, other = start(sup, nursery.spec("a")), start(sup, nursery.spec("b"))
    shown, counts = between_two_tries(
        nursery, sup, first, lambda: refs(sup), lambda: DynamicSupervisor.count_children(sup)
    )
    assert shown == ["restarting", other]
    assert counts == (2, 1, 0, 2)
    eventually(lambda: DynamicSupervisor.count_children(sup) == (2, 2, 0, 2))


def test_a_restart_that_fails_too_often_ends_the_supervisor() -> None:
    """V17: V7: each try counts."""
    nursery = Nursery()
    sup, _ = bring_up(DynamicSupervisor, max_restarts=10)
    first, other = start(sup, nursery.spec("a")), start(sup, nursery.spec("b"))
    nursery.plan("a", *[Boom("for ever")] * 50)
    crash(first)
    assert exit_reason(sup) == "shutdown"
    assert exit_reason(other) == "shutdown"
    assert nursery.read().count(("fail", "a")) == 10


@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_a_child_whose_restart_is_ignored_is_forgotten(restart: str) -> None:
    """V17: naive port 8: it can't be started again, having no id."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    first = start(sup, nursery.spec("a", restart=restart))
    kill(first)
    (second,) = refs(sup)
    nursery.plan("a", Ignore)
    kill(second)
    assert which(sup) == []
    shut_down(sup)


# -- terminate_child


@pytest.mark.parametrize(("shutdown", "reason"), [("brutal_kill", "killed"), (1.0, "shutdown"), (None, "shutdown")])
def test_terminate_child_stops_a_child_by_its_shutdown_and_forgets_it(shutdown: Any, reason: str) -> None:
    """V17: V11: it is not restarted, and unknown from then on."""
    nursery = Nursery()
    sup = DynamicSupervisor.start(max_restarts=0)
    ref, other = start(sup, nursery.spec("a", shutdown=shutdown)), start(sup, nursery.spec("b"))
    DynamicSupervisor.terminate_child(sup, ref)
    assert exit_reason(ref) == reason
    assert refs(sup) == [other]
    with pytest.raises(ChildNotFound):
        DynamicSupervisor.terminate_child(sup, ref)


def test_who_is_no_child_of_it_is_not_found() -> None:
    """V17: and not harmed; nor is the supervisor."""
    nursery = Nursery()
    sup, stranger = DynamicSupervisor.start(), Probe.start()
    ref = start(sup, nursery.spec("a"))
    others: list[Any] = [stranger, sup, "a", None, ["a"], ref.proxy()]
    for who in others:
        with pytest.raises(ChildNotFound):
            DynamicSupervisor.terminate_child(sup, who)
    assert stranger.is_alive()
    assert refs(sup) == [ref]


def test_a_child_that_waits_for_its_restart_can_be_terminated() -> None:
    """V17: by the ref that it had; then it is forgotten."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    ref = start(sup, nursery.spec("a"))
    terminated, shown = between_two_tries(
        nursery, sup, ref, lambda: DynamicSupervisor.terminate_child(sup, ref), lambda: which(sup)
    )
    assert (terminated, shown) == (None, [])
    assert which(sup) == []


def test_a_restarted_childs_former_ref_is_not_found() -> None:
    """V17: the process is another."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    ref = start(sup, nursery.spec("a"))
    crash(ref)
    which(sup)
    with pytest.raises(ChildNotFound):
        DynamicSupervisor.terminate_child(sup, ref)
    assert DynamicSupervisor.count_children(sup) == (1, 1, 0, 1)


# -- the end


def test_at_its_end_all_children_are_stopped_together() -> None:
    """V17: naive port 8: none waits for another, as those of a Supervisor do."""
    nursery, gates = Nursery(), [Gate() for _ in range(3)]
    sup = DynamicSupervisor.start()

    class Held(Worker):
        def terminate(self, reason: Any) -> None:
            super().terminate(reason)
            gates[cast("int", self.id)].hold()

    spec = {number: functools.partial(Held.start_link, number, nursery.journal) for number in range(3)}
    members = [start(sup, ChildSpec(id=number, start=spec[number])) for number in range(3)]
    stopping = in_thread(shut_down, sup)
    try:
        for gate in gates:
            gate.wait()  # each is in its terminate, and no other has left its own
        assert not stopping.done()
    finally:
        for gate in gates:
            gate.open()
    stopping.result(LIMIT)
    assert [exit_reason(ref) for ref in members] == ["shutdown"] * 3


def test_each_child_is_stopped_by_its_own_shutdown() -> None:
    """V17: V3: OTP's and Elixir's mixed children."""
    nursery, gate = Nursery(), Gate()
    sup = DynamicSupervisor.start()
    orderly = start(sup, nursery.spec("a", shutdown=None))
    brutal = start(sup, nursery.spec("b", shutdown="brutal_kill"))
    deaf = start(sup, nursery.spec("c", shutdown=0.02))
    trapping = start(sup, (Probe, {"trap_exit": True}))
    with gate:
        Worker.send(deaf, lambda _worker: gate.hold())
        gate.wait()
        shut_down(sup)
        assert reason_of(deaf) == "killed"
    assert exit_reason(orderly) == "shutdown"
    assert exit_reason(brutal) == "killed"
    assert exit_reason(trapping) == "shutdown"
    gone(deaf)


def test_their_times_run_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """V17: a second child that does not heed its shutdown has had its time when the first one's is over."""
    nursery, gates, given = Nursery(), [Gate() for _ in range(5)], []
    sup, clock = bring_up(DynamicSupervisor)
    deaf = [start(sup, nursery.spec(number, shutdown=0.05)) for number in range(5)]

    def watch(mailbox: Any, timeout: float | None) -> None:
        given.append(timeout)
        wait_or_kill(mailbox, timeout)

    monkeypatch.setattr("hume.actors._child.wait_or_kill", watch)
    try:
        for ref, gate in zip(deaf, gates, strict=True):
            Worker.send(ref, hold_at(gate))
            gate.wait()
        clock.jump(1_000_000.0)  # real time counts: what is waited for is a thread
        shut_down(sup)
        assert {reason_of(ref) for ref in deaf} == {"killed"}
    finally:
        for gate in gates:
            gate.open()
    assert given[0] == pytest.approx(0.05, abs=0.049)
    assert given[1:] == [0.0] * 4


def hold_at(gate: Gate) -> Callable[[Any], None]:
    return lambda _worker: gate.hold()


def test_without_a_limit_it_waits_as_long_as_it_takes() -> None:
    """V17: V3: shutdown None."""
    nursery, gate = Nursery(), Gate()
    sup = DynamicSupervisor.start()
    ref = start(sup, nursery.spec("a", shutdown=None))
    with gate:
        Worker.send(ref, lambda _worker: gate.hold())
        gate.wait()
        with pytest.raises(Timeout):
            stop(sup, "shutdown", timeout=0.05)
        assert ref.is_alive()
    assert exit_reason(sup) == "shutdown"
    assert exit_reason(ref) == "shutdown"


def test_a_killed_one_leaves_no_orphans() -> None:
    """V17: V16: naive port 8."""
    nursery = Nursery()
    sup = DynamicSupervisor.start()
    members = [start(sup, nursery.spec("a")), start(sup, (Probe, {"trap_exit": True}))]
    kill(sup)
    for ref in members:
        gone(ref)


def test_a_thousand_children_stop_together_and_leave_no_thread() -> None:
    """V17: OTP's count_children and its scaling case."""
    nursery, before = Nursery(), set(threading.enumerate())
    sup = DynamicSupervisor.start(max_restarts=0)
    members = [start(sup, nursery.spec("same", restart="temporary")) for _ in range(1000)]
    assert DynamicSupervisor.count_children(sup) == (1000, 1000, 0, 1000)
    for ref in members[:250]:
        kill(ref)
    for ref in members[250:500]:
        DynamicSupervisor.terminate_child(sup, ref)
    assert refs(sup) == members[500:]
    shut_down(sup)
    assert whereis("same") is None
    for ref in members:
        gone(ref)
    assert set(threading.enumerate()) <= before
