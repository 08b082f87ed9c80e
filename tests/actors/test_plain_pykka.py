"""Plain Pykka actors, which know nothing of Hume, as children of a supervisor."""

from __future__ import annotations

import dataclasses
import gc
import logging
import threading
import weakref
from typing import Any

import pykka
import pytest

from hume.actors import Crash, DynamicSupervisor, GenServer, Supervisor, kill, stop
from hume.actors._child import spec_of
from hume.errors import StartFailed
from tests.actors.nursery import Boom, Nursery, children, shut_down, states, which
from tests.helpers import (
    LIMIT,
    Gate,
    Probe,
    do,
    drained,
    eventually,
    exit_reason,
    gone,
    in_thread,
    next_of,
    telemetry_of,
    waiting,
)


class Plain(pykka.ThreadingActor):
    """A counter as somebody wrote it for Pykka: a message is a function of it."""

    def __init__(
        self, start: int = 0, journal: list[Any] | None = None, hooks: dict[str, BaseException] | None = None
    ) -> None:
        super().__init__()
        self.count = start
        self._journal = [] if journal is None else journal
        self._hooks = hooks or {}

    def _note(self, hook: str) -> None:
        self._journal.append(hook)
        if hook in self._hooks:
            raise self._hooks[hook]

    def on_start(self) -> None:
        self._note("on_start")

    def on_stop(self) -> None:
        self._note("on_stop")

    def on_failure(self, *_: Any) -> None:
        self._note("on_failure")

    def on_receive(self, message: Any) -> Any:
        return message(self)

    def add(self, number: int) -> int:
        self.count += number
        return self.count


def refuse(error: BaseException) -> Any:
    def raise_it(_actor: Any) -> None:
        raise error

    return raise_it


def hold_and_refuse(gate: Gate, error: BaseException) -> Any:
    def hold_and_raise(_actor: Any) -> None:
        gate.hold()
        raise error

    return hold_and_raise


def supervise(**options: Any) -> tuple[Any, Any, list[Any]]:
    journal: list[Any] = []
    sup = Supervisor.start([(Plain, {"journal": journal, **options})])
    ref = children(sup)[Plain]
    ref.ask(lambda _actor: None)  # it has come as far as its first message
    return sup, ref, journal


def successor(sup: Any, ref: Any) -> Any:
    """Wait for the child to be another, and return it."""
    eventually(lambda: children(sup)[Plain] not in (None, "restarting", ref))
    return children(sup)[Plain]


def test_all_that_pykka_offers_works_on_a_supervised_plain_actor() -> None:
    """V1: ask, tell, proxies, the registry; it is one of its class."""
    sup, ref, _ = supervise(start=10)
    assert ref.ask(lambda actor: actor.count) == 10
    ref.tell(lambda actor: actor.add(1))
    proxy = ref.proxy()
    assert proxy.add(2).get(timeout=LIMIT) == 13
    assert proxy.count.get(timeout=LIMIT) == 13
    assert issubclass(ref.actor_class, Plain)
    assert ref.actor_class.__name__ == "Plain"
    assert pykka.ActorRegistry.get_by_class(Plain) == [ref]
    assert [(info.id, info.ref, info.type, info.actor_class) for info in which(sup)] == [(Plain, ref, "worker", Plain)]


def test_a_supervised_plain_actor_does_not_keep_the_interpreter() -> None:
    """V1: its thread is a daemon, whatever its class says."""
    assert not Plain.use_daemon_thread
    _, ref, _ = supervise()
    assert ref.ask(lambda _actor: threading.current_thread().daemon)


def test_the_class_itself_stays_as_it_was() -> None:
    """V1: an unsupervised one beside it is plain."""
    supervise()
    ref = Plain.start()
    assert type(ref.actor_inbox) is not type(children(Supervisor.start([Plain]))[Plain].actor_inbox)
    ref.stop()


def test_a_plain_actor_that_fails_at_a_tell_is_restarted() -> None:
    """V4: V16: from its options; on_failure runs, as Pykka has it."""
    sup, ref, journal = supervise(start=5)
    ref.tell(lambda actor: actor.add(1))
    ref.tell(refuse(Boom("at a tell")))
    reason = exit_reason(ref)
    assert isinstance(reason, Crash)
    assert isinstance(reason.exception, Boom)
    after = successor(sup, ref)
    assert after.proxy().count.get(timeout=LIMIT) == 5
    assert journal == ["on_start", "on_failure", "on_start"]


def test_a_plain_actor_that_fails_at_an_ask_lives_on() -> None:
    """V4: Pykka's rule: the error is the caller's alone."""
    sup, ref, _ = supervise()
    with pytest.raises(Boom, match="at an ask"):
        ref.ask(refuse(Boom("at an ask")))
    assert ref.ask(lambda actor: actor.count) == 0
    assert children(sup)[Plain] == ref


def test_a_system_exit_in_a_tell_ends_that_actor_and_no_other() -> None:
    """V4: Pykka by itself would stop every actor of the program."""
    sup, ref, _ = supervise()
    bystander = Probe.start()
    ref.tell(refuse(SystemExit(3)))
    reason = exit_reason(ref)
    assert "SystemExit(3)" in str(reason)
    successor(sup, ref)
    assert bystander.is_alive()


def test_a_system_exit_in_an_ask_is_the_callers_error() -> None:
    """V4: nobody else is stopped, and the caller is answered."""
    sup, ref, _ = supervise()
    bystander = Probe.start()
    with pytest.raises(RuntimeError, match=r"SystemExit\(3\)"):
        ref.ask(refuse(SystemExit(3)), timeout=LIMIT)
    assert bystander.is_alive()
    assert children(sup)[Plain] == ref


@pytest.mark.parametrize("how", ["stop", "self.stop", "tell"])
def test_a_plain_actor_that_is_stopped_has_ended_normally(how: str) -> None:
    """V4: permanent: it comes back; on_stop has run."""
    sup, ref, journal = supervise()
    if how == "stop":
        assert ref.stop(timeout=LIMIT)
    elif how == "self.stop":
        ref.ask(lambda actor: actor.stop())
    else:
        ref.stop(block=False)
    assert exit_reason(ref) == "normal"
    successor(sup, ref)
    assert journal == ["on_start", "on_stop", "on_start"]


def test_a_plain_actor_that_is_killed_is_restarted_and_runs_no_hook() -> None:
    """V4: (S15) on_stop is Pykka's terminate, and does not run on a kill."""
    sup, ref, journal = supervise()
    assert kill(ref)
    assert exit_reason(ref) == "killed"
    assert not ref.is_alive()
    successor(sup, ref)
    assert journal == ["on_start", "on_start"]


def test_whoever_waits_for_a_killed_plain_actor_is_refused() -> None:
    """V18: (S9) queued or in hand; and the thread leaves when its handler returns."""
    sup, ref, journal = supervise()
    with Gate() as gate:
        in_hand = in_thread(ref.ask, lambda _actor: gate.hold())
        gate.wait()
        before = waiting(ref)
        queued = in_thread(ref.ask, lambda _actor: "never")
        eventually(lambda: waiting(ref) > before)
        kill(ref)
        for answer in (in_hand, queued):
            with pytest.raises(pykka.ActorDeadError):
                answer.result(LIMIT)
        successor(sup, ref)  # while the old one is still held
    gone(ref)
    assert journal == ["on_start", "on_start"]


def test_a_supervisor_shuts_a_plain_actor_down_after_what_was_sent_before() -> None:
    """V3: on_stop runs; the exit reason is "shutdown"."""
    sup, ref, journal = supervise()
    with Gate() as gate:
        ref.tell(lambda _actor: gate.hold())
        gate.wait()
        ref.tell(lambda actor: actor._journal.append("sent before"))
        stopping = in_thread(shut_down, sup)
        eventually(lambda: waiting(ref) == 2)
    stopping.result(LIMIT)
    assert exit_reason(ref) == "shutdown"
    assert journal == ["on_start", "sent before", "on_stop"]
    assert not ref.is_alive()


def test_a_plain_actor_that_does_not_heed_its_shutdown_is_killed() -> None:
    """V3: V18: when its time is over."""
    sup = Supervisor.start([dataclasses.replace(spec_of(Plain), shutdown=0.02)])
    ref = children(sup)[Plain]
    with Gate() as gate:
        ref.tell(lambda _actor: gate.hold())
        gate.wait()
        shut_down(sup)
        assert ref.actor_inbox.reason == "killed"
    gone(ref)


def test_a_plain_actor_is_terminated_and_restarted_by_hand() -> None:
    """V11: V12: V13: as any other child."""
    sup, ref, _ = supervise()
    Supervisor.terminate_child(sup, Plain)
    assert exit_reason(ref) == "shutdown"
    assert states(sup) == {Plain: "stopped"}
    assert Supervisor.restart_child(sup, Plain) == children(sup)[Plain]
    assert Supervisor.count_children(sup) == (1, 1, 0, 1)


def test_a_constructor_that_fails_is_a_failed_start() -> None:
    """V2: those before it are stopped."""
    nursery = Nursery()
    with pytest.raises(StartFailed, match=r"Plain.*failed to start.*TypeError"):
        Supervisor.start([nursery.spec("a"), (Plain, {"no such option": 1})])
    assert nursery.read() == [("start", "a"), ("stop", "a", "shutdown")]
    assert pykka.ActorRegistry.get_by_class(Plain) == []


def test_a_failing_on_start_is_a_crash_after_the_start() -> None:
    """V6: Pykka's start does not wait for on_start; the crash counts, and comes again until the supervisor gives up."""
    journal: list[Any] = []
    failing = (Plain, {"journal": journal, "hooks": {"on_start": Boom("in on_start")}})
    with telemetry_of(("hume", "supervisor", "restart"), ("hume", "supervisor", "give_up")) as events:
        sup = Supervisor.start([failing], max_restarts=2)
        assert exit_reason(sup) == "shutdown"
        reasons = [metadata["reason"] for _, _, metadata in drained(events)]
    assert ["Boom('in on_start')" in str(reason) for reason in reasons] == [True] * 3
    assert journal == ["on_start"] * 3
    assert pykka.ActorRegistry.get_by_class(Plain) == []


@pytest.mark.parametrize("error", [Boom("in on_stop"), SystemExit("in on_stop")], ids=repr)
def test_an_on_stop_that_raises_is_the_exit_reason(error: BaseException) -> None:
    """V4: (S15) a transient one would come back; the rest of the death goes on, and whoever stopped it is answered."""
    sup, ref, _ = supervise(hooks={"on_stop": error})
    assert ref.stop(timeout=LIMIT)
    reason = exit_reason(ref)
    assert isinstance(reason, Crash)
    assert reason.exception is error
    successor(sup, ref)


@pytest.mark.parametrize("hook", ["on_stop", "on_failure"])
def test_a_hook_that_exits_leaves_no_zombie(hook: str) -> None:
    """V4: Pykka by itself would leave an actor that is registered, seems alive and answers nobody."""
    sup, ref, journal = supervise(hooks={hook: SystemExit("in a hook")})
    if hook == "on_stop":
        ref.stop(block=False)
    else:
        ref.tell(refuse(Boom("so that on_failure runs")))
    assert isinstance(exit_reason(ref), Crash)
    assert hook in journal
    after = successor(sup, ref)
    assert pykka.ActorRegistry.get_by_class(Plain) == [after]


def test_an_on_start_that_exits_leaves_no_zombie() -> None:
    """V4: it is an abnormal end, after which a transient one is restarted; here as often as allowed."""
    journal: list[Any] = []
    failing = (Plain, {"journal": journal, "hooks": {"on_start": SystemExit("in a hook")}})
    sup = Supervisor.start([dataclasses.replace(spec_of(failing), restart="transient")], max_restarts=1)
    assert exit_reason(sup) == "shutdown"
    assert journal == ["on_start"] * 2
    assert pykka.ActorRegistry.get_by_class(Plain) == []


def test_a_plain_actor_is_monitored_and_linked_to_as_any_other() -> None:
    """V16: M1: M4: it hears exit signals, and others hear its own."""
    _, ref, journal = supervise()
    probe = Probe.start(trap_exit=True)
    seen = do(probe, lambda actor: actor.seen)
    number = do(probe, lambda actor: (actor.link(ref), actor.monitor(ref))[1])
    stop_linked = Probe.start()
    do(stop_linked, lambda actor: actor.link(ref))
    stop(stop_linked, "a reason")
    assert exit_reason(ref) == "a reason"
    first, second = next_of(seen), next_of(seen)
    assert {type(first).__name__, type(second).__name__} == {"Exit", "Down"}
    for message in (first, second):
        assert (message.ref, message.reason) == (ref, "a reason")
        assert getattr(message, "monitor", number) == number
    assert "on_stop" in journal


def test_a_normal_exit_signal_does_not_end_a_plain_actor() -> None:
    """V16: M5: it traps none, and a normal one kills nobody."""
    _, ref, _ = supervise()
    other = Probe.start()
    do(other, lambda actor: actor.link(ref))
    stop(other)
    gone(other)
    assert ref.ask(lambda actor: actor.count) == 0


def test_a_signal_that_comes_while_a_plain_actor_dies_does_not_hold_its_death_up() -> None:
    """V4: Pykka empties the inbox at the end, and would wait in it for ever if only the signal were left."""
    sup, ref, _ = supervise()
    other = Probe.start()
    do(other, lambda actor: actor.link(ref))
    with Gate() as gate:
        ref.tell(hold_and_refuse(gate, Boom("after the signal")))
        gate.wait()
        stop(other)  # its signal, "normal", waits behind the message in hand
        gone(other)
    assert isinstance(exit_reason(ref), Crash)
    successor(sup, ref)


def test_a_call_that_waits_while_a_plain_actor_dies_is_refused() -> None:
    """V18: (S9) its caller does not hang."""
    _, ref, _ = supervise()
    with Gate() as gate:
        ref.tell(hold_and_refuse(gate, Boom("with a call in the queue")))
        gate.wait()
        asking = in_thread(ref.ask, lambda _actor: "never")
        eventually(lambda: waiting(ref) == 1)
    with pytest.raises((Boom, pykka.ActorDeadError)):
        asking.result(LIMIT)


def test_what_a_plain_actor_starts_linked_is_its_own() -> None:
    """V16: a start_link in its handler links to it; it ends with it."""
    _, ref, _ = supervise()
    linked = ref.ask(lambda _actor: Probe.start_link())
    kill(ref)
    assert exit_reason(linked) == "killed"


def test_plain_actors_can_be_dynamic_children() -> None:
    """V17: any number of one class."""
    sup = DynamicSupervisor.start(extra_arguments=(7,))
    refs = [DynamicSupervisor.start_child(sup, Plain) for _ in range(3)]
    for ref in refs:
        assert ref is not None
        assert ref.proxy().count.get(timeout=LIMIT) == 7
    assert [info.ref for info in DynamicSupervisor.which_children(sup)] == refs


def test_a_plain_actors_crash_keeps_nothing_of_it_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """V18: whoever holds the dead one's ref holds its exit reason, and not its state."""
    monkeypatch.setattr(logging.getLogger("pykka"), "disabled", True)  # pytest keeps records, and they the traceback
    sup, ref, _ = supervise()
    actors: list[Any] = []
    ref.tell(lambda actor: actors.append(weakref.ref(actor)))
    ref.tell(refuse(SystemExit(1)))
    gone(ref)
    successor(sup, ref)
    gc.collect()
    assert actors[0]() is None
    assert ref.actor_inbox.reason is not None


def test_hooks_are_logged_as_pykka_logs_them(caplog: pytest.LogCaptureFixture) -> None:
    """V19: an unhandled error is in Pykka's own log, the restart in the supervisor's."""
    sup, ref, _ = supervise()
    with caplog.at_level(logging.WARNING):
        ref.tell(refuse(Boom("to be seen")))
        successor(sup, ref)
    assert {"pykka", "hume.actors.supervisor"} <= {record.name for record in caplog.records}


def test_humes_functions_say_what_a_plain_actor_needs() -> None:
    """V1: a supervised one has a mailbox of ours: GenServer.call reaches its on_receive."""
    _, ref, _ = supervise()
    assert GenServer.call(ref, lambda actor: actor.add(4)) == 4
    seen: list[Any] = []
    GenServer.send(ref, seen.append)
    ref.ask(lambda _actor: None)
    assert len(seen) == 1
    assert drained(do(Probe.start(), lambda actor: actor.seen)) == []
