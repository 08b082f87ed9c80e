"""A supervisor's life: starting its children in order, and stopping them in reverse order."""

from __future__ import annotations

import functools
import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from hume.actors import (
    ChildSpec,
    Crash,
    GenServer,
    Ignore,
    Supervisor,
    stop,
    whereis,
)
from hume.errors import ActorDead, CallingSelf, StartFailed, Timeout
from tests.actors.nursery import Boom, Nursery, Worker, children, crash, held, shut_down, states, which
from tests.helpers import LIMIT, Gate, Probe, do, drained, eventually, exit_reason, gone, in_thread, waiting

if TYPE_CHECKING:
    from collections.abc import Callable


class Stubborn(Worker):
    """Is held in `terminate` by a gate."""

    gate: Gate

    def terminate(self, reason: Any) -> None:
        super().terminate(reason)
        self.gate.hold()


def stubborn(gate: Gate, child_id: str, journal: list[Any], **fields: Any) -> ChildSpec:
    class Held(Stubborn):
        pass

    Held.gate = gate
    return ChildSpec(id=child_id, start=functools.partial(Held.start_link, child_id, journal), **fields)


# -- starting


def test_children_are_started_in_order() -> None:
    """V2: each when the one before has finished its init."""
    nursery, gate = Nursery(), Gate()
    nursery.plan("b", gate)
    with gate:
        starting = in_thread(Supervisor.start, nursery.specs("a", "b", "c"))
        gate.wait()
        assert nursery.read() == [("start", "a")]
    starting.result(LIMIT)
    assert nursery.read() == [("start", "b"), ("start", "c")]


def test_a_supervisor_without_children_starts_and_stops() -> None:
    """V2: nothing to start is no failure."""
    sup = Supervisor.start()
    assert which(sup) == []
    shut_down(sup)
    assert exit_reason(sup) == "shutdown"


def test_when_a_child_fails_to_start_those_before_it_are_stopped_in_reverse() -> None:
    """V2: and the start fails with an error that names the child and the cause; those after it were never started."""
    nursery, error = Nursery(), Boom("no luck")
    nursery.plan("c", error)
    with pytest.raises(StartFailed, match=r"child 'c' failed to start: Boom\('no luck'\)") as caught:
        Supervisor.start(nursery.specs("a", "b", "c", "d"), name="failing")
    assert caught.value.child_id == "c"
    assert caught.value.__cause__ is error
    started = [("start", "a"), ("start", "b"), ("fail", "c")]
    assert nursery.read() == [*started, ("stop", "b", "shutdown"), ("stop", "a", "shutdown")]
    assert whereis("failing") is None
    assert pykka.ActorRegistry.get_by_class(Supervisor) == []


def test_a_failed_first_start_is_not_tried_again() -> None:
    """V2: naive port 6: the opposite of a restart."""
    nursery = Nursery()
    nursery.plan("a", Boom("once"))
    with pytest.raises(StartFailed):
        Supervisor.start(nursery.specs("a"), max_restarts=10)
    assert nursery.read() == [("fail", "a")]


def test_an_init_that_exits_the_interpreter_is_one_that_failed() -> None:
    """V2: sys.exit() in a child's init does not take the supervisor's own end out of its hands."""
    nursery = Nursery()
    nursery.plan("b", SystemExit(3))
    with pytest.raises(StartFailed, match=r"child 'b' failed to start: SystemExit\(3\)"):
        Supervisor.start(nursery.specs("a", "b"))
    assert nursery.read() == [("start", "a"), ("fail", "b"), ("stop", "a", "shutdown")]


def test_the_error_of_a_nested_start_names_each_level() -> None:
    """V2: a failure deep in the tree takes down the whole start, with the path to it."""
    nursery = Nursery()
    nursery.plan("leaf", Boom("deep"))
    inner = Supervisor.child_spec(nursery.specs("leaf"), name="inner")
    with pytest.raises(StartFailed, match=r"child 'inner' failed to start.*child 'leaf' failed to start.*Boom"):
        Supervisor.start([nursery.spec("a"), inner])
    assert nursery.read() == [("start", "a"), ("fail", "leaf"), ("stop", "a", "shutdown")]
    assert whereis("inner") is None


def test_a_child_that_ignores_its_start_keeps_its_spec_without_a_process() -> None:
    """V2: (S3) and it can be started later."""
    nursery = Nursery()
    nursery.plan("a", Ignore)
    sup = Supervisor.start(nursery.specs("a", "b"))
    assert states(sup) == {"a": "stopped", "b": "running"}
    assert Supervisor.count_children(sup) == (2, 1, 0, 2)
    assert Supervisor.restart_child(sup, "a") == children(sup)["a"]


def test_a_temporary_child_that_ignores_its_start_leaves_no_spec() -> None:
    """V4: (S3) a temporary child without a process has no spec."""
    nursery = Nursery()
    nursery.plan("a", Ignore)
    sup = Supervisor.start(nursery.specs("a", "b", restart="temporary"))
    assert states(sup) == {"b": "running"}
    assert Supervisor.count_children(sup) == (1, 1, 0, 1)


def test_a_supervisor_may_itself_ignore_its_start() -> None:
    """V2: start returns None, and nothing is left."""

    class Idle(Supervisor):
        def init(self) -> None:
            raise Ignore

    assert Idle.start(name="idle") is None
    assert whereis("idle") is None


def test_a_subclass_sets_its_children_up_in_init() -> None:
    """V1: init gets the start's arguments and calls super().init."""
    nursery = Nursery()

    class Team(Supervisor):
        def init(self, *ids: str) -> None:
            super().init(nursery.specs(*ids), strategy="one_for_all", max_restarts=1)

    sup = Team.start("a", "b", name="team")
    assert list(children("team")) == ["a", "b"]
    crash(children(sup)["a"])
    assert states(sup) == {"a": "running", "b": "running"}
    assert [entry for entry in nursery.read() if entry[0] == "start"] == [("start", child) for child in "abab"]


@pytest.mark.parametrize("error", [Boom("after the children"), Ignore()], ids=repr)
def test_a_subclass_whose_init_fails_after_its_children_started_leaves_none(error: Exception) -> None:
    """V2: (S2) nothing stays behind, whatever raised."""
    nursery = Nursery()

    class Late(Supervisor):
        def init(self) -> None:
            super().init(nursery.specs("a", "b"))
            raise error

    if isinstance(error, Ignore):
        assert Late.start() is None
    else:
        with pytest.raises(Boom, match="after the children"):
            Late.start()
    eventually(lambda: not pykka.ActorRegistry.get_by_class(Worker))


def test_a_failed_start_does_not_run_a_subclasses_terminate() -> None:
    """V2: (S2) a supervisor that never started has nothing of its own to clean up."""
    nursery, ran = Nursery(), threading.Event()

    class Careful(Supervisor):
        def terminate(self, reason: Any) -> None:
            ran.set()
            super().terminate(reason)

    nursery.plan("b", Boom("no"))
    with pytest.raises(StartFailed):
        Careful.start(nursery.specs("a", "b"))
    assert nursery.read() == [("start", "a"), ("fail", "b"), ("stop", "a", "shutdown")]
    assert not ran.is_set()


def test_a_child_that_was_started_without_a_link_is_linked() -> None:
    """V1: a start that forgets to link still gives a child that is restarted and stopped."""
    nursery = Nursery()
    sup = Supervisor.start([ChildSpec(id="a", start=lambda: Worker.start("a", nursery.journal))])
    first = children(sup)["a"]
    crash(first)
    second = children(sup)["a"]
    assert second != first
    shut_down(sup)
    assert exit_reason(second) == "shutdown"


def test_a_child_that_was_started_without_a_link_has_the_supervisor_for_a_parent() -> None:
    """V3: M6: so that one which traps exits obeys its shutdown."""
    sup = Supervisor.start([ChildSpec(id="a", start=lambda: Probe.start(trap_exit=True), shutdown=None)])
    ref = children(sup)["a"]
    shut_down(sup)
    assert exit_reason(ref) == "shutdown"


def test_a_child_that_is_dead_when_its_start_returns_is_restarted() -> None:
    """V4: its death between init and the link is heard of."""
    nursery, dead = Nursery(), Probe.start()
    stop(dead)
    refs = [dead]
    sup = Supervisor.start([ChildSpec(id="a", start=lambda: refs.pop() if refs else nursery.start("a"))])
    eventually(lambda: children(sup)["a"] != dead)
    assert states(sup) == {"a": "running"}


def test_a_supervisor_is_found_by_its_name() -> None:
    """V1: every function takes a name, a ref or a proxy."""
    ref = Supervisor.start(Nursery().specs("a"), name="by name")
    assert whereis("by name") == ref
    assert list(children("by name")) == list(children(ref)) == list(children(ref.proxy())) == ["a"]


def test_what_is_asked_of_a_dead_or_unknown_supervisor_fails_at_once() -> None:
    """V10: (to V13) noproc."""
    sup, spec = Supervisor.start(), Nursery().spec("a")
    shut_down(sup)
    for server in (sup, "nobody"):
        for ask in (
            lambda server: Supervisor.start_child(server, spec),
            lambda server: Supervisor.terminate_child(server, "a"),
            lambda server: Supervisor.restart_child(server, "a"),
            lambda server: Supervisor.delete_child(server, "a"),
            Supervisor.which_children,
            Supervisor.count_children,
        ):
            with pytest.raises(ActorDead):
                ask(server)


def test_what_a_supervisor_does_not_understand_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    """V16: an unexpected message is logged, an unexpected call is refused; the children stay."""
    sup = Supervisor.start(Nursery().specs("a"))
    before = children(sup)
    with caplog.at_level(logging.WARNING, "hume.actors"):
        GenServer.send(sup, "what?")
        GenServer.cast(sup, "and this?")
        with pytest.raises(TypeError, match="handle_call"):
            GenServer.call(sup, "why?")
    assert children(sup) == before
    assert ["what?" in caplog.text, "and this?" in caplog.text] == [True, True]


def test_what_is_asked_of_a_server_that_is_no_supervisor_is_refused() -> None:
    """V13: with an error for the caller, and that server lives on or says why it does not."""

    class Server(GenServer):
        """Is sent nothing."""

    ref = Server.start()
    with pytest.raises(TypeError, match=r"Server \(.*\) is no supervisor"):
        Supervisor.which_children(ref)
    assert ref.is_alive()


# -- stopping


def test_children_are_stopped_in_reverse_order_each_after_the_one_before_is_down() -> None:
    """V3: also those that were started later; naive port 8: one after the other."""
    nursery, gate = Nursery(), Gate()
    sup = Supervisor.start(nursery.specs("a", "b"))
    Supervisor.start_child(sup, stubborn(gate, "c", nursery.journal))
    nursery.read()
    with gate:
        stopping = in_thread(shut_down, sup)
        gate.wait()
        assert nursery.read() == [("stop", "c", "shutdown")]  # the others wait for it
        assert not stopping.done()
    stopping.result(LIMIT)
    assert nursery.read() == [("stop", "b", "shutdown"), ("stop", "a", "shutdown")]


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", "maintenance"), "anything else"], ids=str)
def test_a_supervisor_stops_its_children_with_shutdown_whatever_its_own_reason(reason: Any) -> None:
    """V3: the children get the shutdown signal, the supervisor exits with its reason."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    refs = children(sup)
    shut_down(sup, reason)
    assert exit_reason(sup) == reason
    assert exit_reason(refs["a"]) == "shutdown"


def test_pykkas_own_stop_stops_a_supervisor_with_its_children() -> None:
    """V3: ref.stop() is an orderly stop."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a", "b"))
    assert sup.stop(timeout=LIMIT)
    assert nursery.read()[2:] == [("stop", "b", "shutdown"), ("stop", "a", "shutdown")]
    assert exit_reason(sup) == "normal"


def test_a_child_that_traps_exits_stops_too() -> None:
    """V3: its parent's shutdown ends it, after what was sent before."""
    sup = Supervisor.start([(Probe, {"trap_exit": True})])
    probe = children(sup)[Probe]
    seen = do(probe, lambda actor: actor.seen)
    shut_down(sup)
    assert exit_reason(probe) == "shutdown"
    assert drained(seen) == [("terminate", "shutdown")]


@pytest.mark.parametrize("shutdown", [0.02, 0])
def test_a_child_that_ignores_its_shutdown_is_killed_when_its_time_is_over(
    shutdown: float, caplog: pytest.LogCaptureFixture
) -> None:
    """V3: V18: and the supervisor goes on to the next; the kill is logged, as OTP's shutdown_error."""
    nursery, gate = Nursery(), Gate()
    sup = Supervisor.start([nursery.spec("a"), stubborn(gate, "b", nursery.journal, shutdown=shutdown)])
    refs = children(sup)
    with gate:
        shut_down(sup)
        assert exit_reason(refs["a"]) == "shutdown"
        assert not refs["b"].is_alive()
        assert refs["b"].actor_inbox.reason == "killed"
    gone(refs["b"])
    assert [record.message for record in caplog.records] == [f"{refs['b']} did not stop in time, and was killed"]


def test_a_child_with_a_brutal_kill_is_killed_at_once() -> None:
    """V3: without terminate."""
    nursery = Nursery()
    sup = Supervisor.start([nursery.spec("a"), nursery.spec("b", shutdown="brutal_kill")])
    refs = children(sup)
    shut_down(sup)
    assert exit_reason(refs["b"]) == "killed"
    assert nursery.read()[2:] == [("stop", "a", "shutdown")]


@pytest.mark.parametrize("child_type", ["worker", "supervisor"])
def test_without_a_limit_a_supervisor_waits_as_long_as_it_takes(child_type: str) -> None:
    """V3: shutdown None, for a worker too."""
    nursery, gate = Nursery(), Gate()
    sup = Supervisor.start([stubborn(gate, "a", nursery.journal, shutdown=None, type=child_type)])
    ref = children(sup)["a"]
    with gate:
        with pytest.raises(Timeout):
            stop(sup, "shutdown", timeout=0.05)
        assert ref.is_alive()
    assert exit_reason(sup) == "shutdown"
    assert exit_reason(ref) == "shutdown"


def test_a_child_that_has_unlinked_itself_is_stopped_all_the_same() -> None:
    """V3: the supervisor waits for the death, not for the link's signal."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    ref = children(sup)["a"]
    GenServer.call(ref, lambda worker: worker.unlink(sup))
    Supervisor.terminate_child(sup, "a")
    assert exit_reason(ref) == "shutdown"
    assert states(sup) == {"a": "stopped"}


def test_a_child_that_dies_while_the_supervisor_stops_is_not_restarted() -> None:
    """V8: one crashes before its turn, one in its terminate."""
    nursery, gate = Nursery(), Gate()

    class Clumsy(Worker):
        def terminate(self, reason: Any) -> None:
            super().terminate(reason)
            raise Boom("in terminate")

    clumsy = ChildSpec(id="b", start=functools.partial(Clumsy.start_link, "b", nursery.journal))
    sup = Supervisor.start([nursery.spec("a"), clumsy, stubborn(gate, "c", nursery.journal)])
    refs = children(sup)
    nursery.read()
    with gate:
        stopping = in_thread(shut_down, sup)
        gate.wait()
        crash(refs["a"])
    stopping.result(LIMIT)
    assert exit_reason(sup) == "shutdown"
    assert isinstance(exit_reason(refs["b"]), Crash)
    assert [entry for entry in nursery.read() if entry[0] == "start"] == []


def test_a_supervisor_can_be_stopped_while_a_child_fails_to_restart_over_and_over() -> None:
    """V7: V8: between two tries it hears the stop."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"), max_restarts=10_000_000)
    nursery.plan("a", *[Boom("again")] * 100_000)
    crash(children(sup)["a"])
    shut_down(sup)
    assert exit_reason(sup) == "shutdown"


def test_a_child_that_calls_its_supervisor_while_it_is_stopped_is_refused_at_once() -> None:
    """V3: (S11) each would wait for the other for ever."""
    errors: list[BaseException] = []

    class Curious(GenServer):
        def init(self, parent: str) -> None:
            self.parent = parent

        def terminate(self, reason: Any) -> None:
            try:
                Supervisor.which_children(self.parent)
            except CallingSelf as error:
                errors.append(error)

    start = functools.partial(Curious.start_link, "parent")
    sup = Supervisor.start([ChildSpec(id="a", start=start, shutdown=None)], name="parent")
    shut_down(sup)
    assert len(errors) == 1


def test_a_child_that_waits_for_its_supervisor_when_it_is_to_stop_is_refused_at_once() -> None:
    """V3: (S11) directly, or through another actor; without a limit for its shutdown each would wait for ever."""
    nursery, through = Nursery(), Probe.start()
    asks: list[Callable[[Worker], Any]] = [
        lambda _: Supervisor.which_children("parent"),
        lambda _: do(through, lambda _: Supervisor.which_children("parent")),
    ]
    for ask in asks:
        errors: SimpleQueue[BaseException] = SimpleQueue()

        def wait_for_the_supervisor(worker: Worker, ask: Callable[[Worker], Any] = ask) -> None:
            try:
                ask(worker)
            except (CallingSelf, ActorDead) as error:
                errors.put(error)  # noqa: B023 - handled before the next round

        sup = Supervisor.start([nursery.spec("a", shutdown=None)], name="parent")
        child = children(sup)["a"]
        with held(nursery, sup):
            stopping = in_thread(shut_down, sup)
            eventually(lambda: waiting(sup) == 1)  # noqa: B023 - as above
            GenServer.send(child, wait_for_the_supervisor)
            eventually(lambda: waiting(sup) == 2)  # noqa: B023 - as above
        stopping.result(LIMIT)
        assert isinstance(errors.get(timeout=LIMIT), CallingSelf)


# -- many


def test_a_thousand_children_start_and_stop_in_order_and_leave_no_thread() -> None:
    """V3: in reverse, however many they are."""
    nursery, before = Nursery(), set(threading.enumerate())
    sup = Supervisor.start(nursery.specs(*range(1000)))
    assert Supervisor.count_children(sup) == (1000, 1000, 0, 1000)
    assert [info.id for info in which(sup)] == list(range(1000))
    shut_down(sup)
    started, stopped = nursery.journal[:1000], nursery.journal[1000:]
    assert started == [("start", number) for number in range(1000)]
    assert stopped == [("stop", number, "shutdown") for number in reversed(range(1000))]
    assert set(threading.enumerate()) <= before
