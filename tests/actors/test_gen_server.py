"""The life of a server: start, init, the callbacks, its end, and what is logged of it."""

from __future__ import annotations

import copy
import functools
import gc
import logging
import threading
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from hume.actors import (
    NO_REPLY,
    Crash,
    Down,
    Exit,
    GenServer,
    Ignore,
    Reply,
    Stop,
    Supervisor,
    Table,
    kill,
    stop,
    whereis,
)
from hume.errors import ActorDead, AlreadyStarted, StartFailed, Timeout
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
    mailbox,
    next_of,
    thread_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Starter(GenServer):
    """Runs a function in `init`, and shows which other callbacks run."""

    def init(self, fn: Callable[[Starter], Any], seen: SimpleQueue[Any] | None = None) -> None:
        self.seen: SimpleQueue[Any] = SimpleQueue() if seen is None else seen
        fn(self)

    def handle_continue(self, argument: Any) -> None:
        self.seen.put(("continue", argument))

    def handle_cast(self, message: Any) -> None:
        self.seen.put(("cast", message))

    def handle_call(self, message: Any, _from: Reply) -> Any:
        self.seen.put(("call", message))
        return message

    def handle_info(self, message: Any) -> None:
        self.seen.put(("info", message))

    def terminate(self, reason: Any) -> None:
        self.seen.put(("terminate", reason))


def threads_of(cls: type) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{cls.__name__}-")]


def errors_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# -- start and init


def test_start_returns_after_init_has_returned() -> None:
    """S1: start returns only after init has returned."""
    with Gate() as gate:
        starting = in_thread(Starter.start, lambda _: gate.hold(), name="slow")
        gate.wait()
        assert not starting.done()
        gate.open()
        assert starting.result(LIMIT) is whereis("slow")


def test_init_runs_in_the_servers_own_thread_as_every_callback_does() -> None:
    """S1: init runs in the server's own thread."""
    threads: list[threading.Thread] = []
    ref = Probe.start()
    initial = Starter.start(lambda _: threads.append(threading.current_thread()))
    assert threads == [mailbox(initial).thread]
    assert do(ref, lambda _: threading.current_thread()) is mailbox(ref).thread


def test_init_gets_the_arguments_of_start() -> None:
    """S1: what start is given comes to init."""

    class Pair(GenServer):
        def init(self, one: int, *, two: int) -> None:
            self.pair = one, two

    assert Pair.start(1, two=2).proxy().pair.get() == (1, 2)


def test_a_server_that_fails_in_init_leaves_nothing_behind() -> None:
    """S2: start raises init's error; no name, no table, no monitor, no thread stays; terminate is not called."""
    seen: SimpleQueue[Any] = SimpleQueue()
    error = ValueError("no")
    refs: list[pykka.ActorRef[Any]] = []

    def fail(server: Starter) -> None:
        refs.append(server.actor_ref)
        Table("its table")
        server.monitor(other)
        raise error

    other = Probe.start()
    with pytest.raises(ValueError, match="no") as caught:
        Starter.start(fail, seen, name="its name")
    assert caught.value is error
    assert whereis("its name") is None
    assert Table.whereis("its table") is None
    assert not threads_of(Starter)
    assert pykka.ActorRegistry.get_all() == [other]
    assert not refs[0].is_alive()
    stop(other)
    assert drained(seen) == []
    assert exit_reason(refs[0]) == Crash(error)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_init_may_raise_anything_and_nobody_else_is_disturbed(error: BaseException) -> None:
    """S2: start raises that error, and (unlike in Pykka) no other actor is stopped."""

    def fail(_: Starter) -> None:
        raise error

    other = Probe.start()
    assert in_thread(Starter.start, fail).exception(LIMIT) is error
    assert other.is_alive()


@pytest.mark.parametrize("reason", ["normal", "shutdown", "no printer"])
def test_an_init_that_stops_fails_the_start_and_the_others_hear_its_reason(reason: str) -> None:
    """S2, M1: as OTP's {stop, Reason}; terminate is not called."""

    class Stops(GenServer):
        def init(self) -> None:
            raise Stop(reason)

        def terminate(self, reason: Any) -> None:
            terminated.append(reason)

    terminated: list[Any] = []
    seen: SimpleQueue[Any] = SimpleQueue()
    starter = Probe.start(seen, trap_exit=True)

    def start_it(_: Probe) -> None:
        with pytest.raises(Stop) as caught:
            Stops.start_link()
        assert caught.value.reason == reason

    do(starter, start_it)
    assert next_of(seen).reason == reason
    with pytest.raises(StartFailed) as failed:
        Supervisor.start([Stops])
    assert isinstance(failed.value.__cause__, Stop)
    assert terminated == []


def test_a_start_that_fails_waits_until_the_thread_has_left() -> None:
    """S2: no thread stays behind: start does not raise before it is gone."""

    class Lingering(Starter):
        def _actor_loop(self) -> None:
            super()._actor_loop()
            gate.hold()

    with Gate() as gate:
        starting = in_thread(Lingering.start, functools.partial(raise_it, ValueError("no")))
        gate.wait()
        with pytest.raises(TimeoutError):
            starting.exception(0.05)
        gate.open()
        assert str(starting.exception(LIMIT)) == "no"


def test_a_name_is_free_as_soon_as_start_has_failed() -> None:
    """S2, port 2: a start that failed returns only when the name is free again."""

    def fail(_: Starter) -> None:
        raise ValueError

    for _ in range(200):
        with pytest.raises(ValueError):  # noqa: PT011 - which one it is does not matter here
            Starter.start(fail, name="again")
        assert whereis("again") is None
        assert not threads_of(Starter)
    assert Starter.start(lambda _: None, name="again") is whereis("again")


def test_init_may_say_ignore() -> None:
    """S3: init raises Ignore: start returns None, nothing runs, terminate is not called."""
    seen: SimpleQueue[Any] = SimpleQueue()
    refs: list[pykka.ActorRef[Any]] = []

    def ignore(server: Starter) -> None:
        refs.append(server.actor_ref)
        raise Ignore

    assert Starter.start(ignore, seen, name="ignored") is None
    assert whereis("ignored") is None
    assert exit_reason(refs[0]) == "normal"
    assert drained(seen) == []
    assert pykka.ActorRegistry.get_all() == []


def test_a_server_that_takes_too_long_to_start_is_killed_and_never_comes_to_life() -> None:
    """S4, port 2: the caller gets a timeout, the name is free, and a stuck init does not come to life later."""
    seen: SimpleQueue[Any] = SimpleQueue()
    refs: list[pykka.ActorRef[Any]] = []

    def hang(server: Starter) -> None:
        refs.append(server.actor_ref)
        server.continue_with("never")
        gate.hold()

    with Gate() as gate:
        with pytest.raises(Timeout, match=r"did not finish init within 0\.05 seconds"):
            Starter.start(hang, seen, name="slow", timeout=0.05)
        assert whereis("slow") is None
        assert not refs[0].is_alive()
        successor = Starter.start(lambda _: None, name="slow")
    assert exit_reason(refs[0]) == "killed"  # and its thread has left
    assert drained(seen) == []
    assert whereis("slow") is successor


def test_a_server_that_starts_in_time_is_not_killed() -> None:
    """S4: the timeout is init's, not the server's."""
    ref = Probe.start(timeout=LIMIT)
    assert do(ref, lambda _: "here") == "here"


def test_a_timeout_that_init_itself_raises_is_an_error_as_any_other() -> None:
    """S2, S4: an init that fails with a Timeout is not mistaken for one that takes too long."""
    error = Timeout("some call within init")

    def fail(_: Starter) -> None:
        raise error

    with pytest.raises(Timeout) as caught:
        Starter.start(fail, timeout=LIMIT)
    assert caught.value is error


def test_an_init_that_ends_while_it_is_being_given_up_is_given_up() -> None:
    """S4: when the time is over, start says so in its own words, also if init returns at that very moment."""
    with Gate() as gate:
        starting = in_thread(Starter.start, lambda _: gate.hold(), name="late", timeout=0.05)
        gate.wait()
        late = mailbox(whereis("late"))

        def at_its_death(_: Down) -> None:  # runs in the starter's thread, in the middle of the kill
            gate.open()
            assert late.thread is not None
            late.thread.join(LIMIT)

        late.monitor(at_its_death)
        error = starting.exception(LIMIT)
    assert type(error) is Timeout


def test_a_kill_during_init_answers_whoever_waits_for_the_start() -> None:
    """S1: no caller ever hangs: a server that is killed in init fails its start at once, though init goes on."""
    with Gate() as gate:
        starting = in_thread(Starter.start, lambda _: gate.hold(), name="slow")
        gate.wait()
        kill("slow")
        with pytest.raises(ActorDead, match="killed"):
            starting.result(LIMIT)


def test_a_thread_that_can_not_be_started_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """S2: a start that fails for want of a thread leaves no name and no actor."""

    def refuse(_: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        Probe.start(name="nobody")
    assert whereis("nobody") is None
    assert pykka.ActorRegistry.get_all() == []


def test_a_taken_name_is_refused_with_the_running_ref_and_init_is_not_called() -> None:
    """S5: a taken name raises AlreadyStarted with the running ref, and init is never called."""
    first = Probe.start(name=("some", "name"))
    with pytest.raises(AlreadyStarted, match="already started") as caught:
        Starter.start(lambda _: pytest.fail("init was called"), name=("some", "name"))
    assert caught.value.ref is first
    assert pykka.ActorRegistry.get_all() == [first]


def test_a_name_is_taken_before_init_runs() -> None:
    """S5, port 2: a second starter is refused at once while the first is still in init."""
    with Gate() as gate:
        starting = in_thread(Starter.start, lambda _: gate.hold(), name="one")
        gate.wait()
        with pytest.raises(AlreadyStarted) as caught:
            Probe.start(name="one")
        assert not starting.done()
        gate.open()
        assert caught.value.ref is starting.result(LIMIT)


def test_an_unhashable_name_is_refused_in_the_caller() -> None:
    """S5: a name is any hashable; anything else is a TypeError before anything is started."""
    with pytest.raises(TypeError, match="must be hashable"):
        Probe.start(name=["a", "list"])
    assert pykka.ActorRegistry.get_all() == []


@pytest.mark.parametrize("bad", [-1, float("nan"), "soon", True])
def test_a_bad_start_timeout_is_refused_before_anything_is_started(bad: Any) -> None:
    """S4: bad arguments are refused in the caller."""
    with pytest.raises((TypeError, ValueError), match="timeout must be"):
        Starter.start(lambda _: pytest.fail("init was called"), timeout=bad)


# -- continue


def test_a_continue_asked_for_in_init_comes_before_messages_that_were_there_already() -> None:
    """S6: handle_continue runs before any other message, even those that were in the mailbox already."""
    seen: SimpleQueue[Any] = SimpleQueue()

    def init(server: Starter) -> None:
        server.continue_with(1)
        server.continue_with(2)
        gate.hold()

    with Gate() as gate:
        starting = in_thread(Starter.start, init, seen, name="early")
        gate.wait()
        GenServer.cast("early", "queued")
        gate.open()
        starting.result(LIMIT)
        assert [next_of(seen) for _ in range(3)] == [("continue", 1), ("continue", 2), ("cast", "queued")]


def test_any_callback_may_ask_for_a_continue_which_runs_right_after_it() -> None:
    """S6: after the callback that asked, before the next message; a continue may ask for another."""

    class Chain(Probe):
        def handle_continue(self, argument: int) -> None:
            self.seen.put(argument)
            if argument:
                self.continue_with(argument - 1)

    seen: SimpleQueue[Any] = SimpleQueue()
    with Gate() as gate:
        ref = Chain.start(seen)
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        GenServer.cast(ref, lambda chain: chain.continue_with(2))
        GenServer.send(ref, "next")
        gate.open()
        assert [next_of(seen) for _ in range(4)] == [2, 1, 0, "next"]


def test_a_continue_asked_for_by_a_call_runs_after_the_reply() -> None:
    """S6, port 1: the caller has its answer before handle_continue runs."""

    class Server(GenServer):
        def handle_call(self, message: Any, _from: Reply) -> Any:
            self.continue_with(message)
            return "answer"

        def handle_continue(self, gate: Gate) -> None:
            gate.hold()

    with Gate() as gate:
        assert GenServer.call(Server.start(), gate, timeout=LIMIT) == "answer"
        gate.wait()


def test_an_error_in_a_continue_ends_the_server() -> None:
    """S6, S15: handle_continue is a callback as any other."""

    class Server(GenServer):
        def init(self) -> None:
            self.continue_with(ValueError("later"))

        def handle_continue(self, argument: Exception) -> None:
            raise argument

    assert str(exit_reason(Server.start())) == "crashed with ValueError('later')"


# -- messages nobody expects


def test_a_plain_message_comes_to_handle_info() -> None:
    """S12: an unexpected message goes to handle_info, in whichever way it was sent."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    GenServer.send(ref, "sent")
    ref.tell("told")
    assert [next_of(seen), next_of(seen)] == ["sent", "told"]


def test_an_unexpected_message_is_logged_and_the_server_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """S12: the default handle_info (and handle_cast) logs it and goes on."""
    ref = GenServer.start()
    GenServer.send(ref, "what is this")
    GenServer.cast(ref, "and that")
    with pytest.raises(TypeError, match="GenServer has no handle_call for 'hello'"):
        GenServer.call(ref, "hello")
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(messages) == 3
    assert "unexpected message: 'what is this'" in messages[0]
    assert "unexpected cast: 'and that'" in messages[1]
    assert "unexpected call: 'hello'" in messages[2]
    assert ref.is_alive()


# -- the end


def test_terminate_runs_with_the_reason_of_the_stop_in_the_servers_thread() -> None:
    """S14, S15: terminate(reason) runs in the server, and stop returns when it is down."""
    seen: SimpleQueue[Any] = SimpleQueue()

    class Server(Probe):
        def terminate(self, reason: Any) -> None:
            seen.put((reason, threading.current_thread()))

    ref = Server.start()
    stop(ref, ("shutdown", "for the night"))
    assert drained(seen) == [(("shutdown", "for the night"), mailbox(ref).thread)]
    assert not ref.is_alive()
    assert exit_reason(ref) == ("shutdown", "for the night")


def raise_it(error: BaseException, *_: object) -> None:
    raise error


ENDS: dict[str, Callable[[pykka.ActorRef[Any], BaseException], object]] = {
    "in a call": lambda ref, error: GenServer.call(ref, functools.partial(raise_it, error)),
    "in a cast": lambda ref, error: GenServer.cast(ref, functools.partial(raise_it, error)),
    "in an ask": lambda ref, error: ref.ask(functools.partial(raise_it, error), timeout=LIMIT),
    "in a deferred proxy call": lambda ref, error: ref.proxy().fail.defer(error),
}


class Failing(Probe):
    def fail(self, error: BaseException) -> None:
        raise error


@pytest.mark.parametrize(
    "error", [ValueError("boom"), SystemExit(1), KeyboardInterrupt()], ids=lambda e: type(e).__name__
)
@pytest.mark.parametrize("end", ENDS)
def test_terminate_runs_after_an_error_in_a_callback(end: str, error: BaseException) -> None:
    """S15: an error in a callback ends the server with terminate(Crash(error)); whoever waits gets that error."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref, other = Failing.start(seen), Probe.start()
    caught = in_thread(ENDS[end], ref, error).exception(LIMIT)
    assert caught is (error if end in ("in a call", "in an ask") else None)
    assert exit_reason(ref) == Crash(error)
    assert drained(seen) == [("terminate", Crash(error))]
    assert other.is_alive()


def test_terminate_does_not_run_on_a_kill() -> None:
    """S15: it does not run on kill, neither of an idle server nor of a busy one."""
    seen: SimpleQueue[Any] = SimpleQueue()
    idle, busy = Probe.start(seen), Probe.start(seen)
    with Gate() as gate:
        GenServer.cast(busy, lambda _: gate.hold())
        gate.wait()
        assert kill(idle)
        assert kill(busy)
    assert exit_reason(idle) == exit_reason(busy) == "killed"
    assert drained(seen) == []


def test_terminate_runs_on_the_exit_signal_of_a_link() -> None:
    """S15: it runs on an exit signal, with the signal's reason."""
    seen: SimpleQueue[Any] = SimpleQueue()
    peer, ref = Probe.start(), Probe.start(seen)
    do(ref, lambda probe: probe.link(peer))
    stop(peer, "shutdown")
    assert exit_reason(ref) == "shutdown"
    assert drained(seen) == [("terminate", "shutdown")]


@pytest.mark.parametrize("error", [ValueError("in terminate"), SystemExit(1)], ids=lambda e: type(e).__name__)
def test_an_error_in_terminate_becomes_the_exit_reason_and_the_death_goes_on(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """S15: an error in terminate becomes the exit reason, and the rest of the death goes on."""

    class Server(Probe):
        def terminate(self, _reason: Any) -> None:
            raise error

    seen: SimpleQueue[Any] = SimpleQueue()
    watcher = Probe.start(seen)
    ref = Server.start(name="bad end")
    do(watcher, lambda probe: probe.monitor(ref))
    stop(ref)
    assert exit_reason(ref) == Crash(error)
    assert whereis("bad end") is None
    down = next_of(seen)
    assert (down.ref, down.reason) == (ref, Crash(error))
    assert len(errors_in(caplog)) == 1


def test_stop_raised_by_a_callback_ends_the_server_with_its_reason() -> None:
    """S15: raise Stop(reason) in a callback, and terminate(reason) runs."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    GenServer.cast(ref, lambda _: raise_it(Stop("shutdown")))
    assert exit_reason(ref) == "shutdown"
    assert drained(seen) == [("terminate", "shutdown")]


def test_a_stop_with_a_reply_answers_after_terminate() -> None:
    """Port 1: a server that stops with a reply runs terminate first, then sends the reply."""

    class Server(GenServer):
        def handle_call(self, message: Any, _from: Reply) -> Any:
            raise Stop("normal", reply=message)

        def terminate(self, _reason: Any) -> None:
            gate.hold()

    with Gate() as gate:
        ref = Server.start(name="stopping")
        answer = in_thread(GenServer.call, ref, "bye", timeout=LIMIT)
        gate.wait()
        assert not answer.done()
        gate.open()
        assert answer.result(LIMIT) == "bye"
    assert not ref.is_alive()
    assert whereis("stopping") is None


@pytest.mark.parametrize("error", [ValueError("in terminate"), SystemExit(1)], ids=lambda e: type(e).__name__)
def test_a_stop_with_a_reply_answers_though_terminate_raises(error: BaseException) -> None:
    """Port 1: the reply is sent also when terminate raises."""

    class Server(GenServer):
        def handle_call(self, message: Any, _from: Reply) -> Any:
            raise Stop("normal", reply=message)

        def terminate(self, _reason: Any) -> None:
            raise error

    ref = Server.start()
    assert in_thread(GenServer.call, ref, "bye").result(LIMIT) == "bye"
    assert exit_reason(ref) == Crash(error)


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", 1), "odd"])
def test_a_stop_without_a_reply_fails_its_caller_with_the_reason(reason: Any) -> None:
    """Port 1: one that stops without replying fails its caller with that reason, normal included."""
    ref = Probe.start()
    with pytest.raises(ActorDead) as caught:
        GenServer.call(ref, lambda _: raise_it(Stop(reason)))
    assert caught.value.reason == reason


def test_a_stop_raised_in_a_proxied_method_answers_its_caller() -> None:
    """Port 1: a method called through a proxy may stop the server with a reply too."""

    class Server(GenServer):
        def leave(self) -> None:
            raise Stop("normal", reply="left")

    ref = Server.start()
    assert ref.proxy().leave().get(timeout=LIMIT) == "left"
    assert exit_reason(ref) == "normal"


def test_a_killed_server_answers_nobody_when_its_handler_returns() -> None:
    """S9: the caller of a killed server has failed at once; the zombie's answer is dropped."""
    with Gate() as gate:
        ref = Probe.start()
        answer = in_thread(do, ref, lambda _: gate.hold())
        gate.wait()
        kill(ref)
        with pytest.raises(ActorDead, match="killed"):
            answer.result(LIMIT)
        assert thread_of(ref).is_alive()  # it is held in the handler still
    gone(ref)


# -- what is logged


@pytest.mark.parametrize("reason", ["normal", "shutdown", ("shutdown", "anything")])
def test_an_orderly_end_is_not_logged_as_an_error(reason: Any, caplog: pytest.LogCaptureFixture) -> None:
    """S16: normal, shutdown and (shutdown, anything) are orderly: nothing is logged as an error."""
    stop(Probe.start(), reason)
    GenServer.cast(ref := Probe.start(), lambda _: raise_it(Stop(reason)))
    gone(ref)
    assert errors_in(caplog) == []


def test_a_crash_is_logged_once_with_the_last_message(caplog: pytest.LogCaptureFixture) -> None:
    """S16: any other reason is logged once, with the last message and the server's type."""

    class Crashing(GenServer):
        def handle_cast(self, message: Any) -> None:
            raise ValueError(message)

    ref = Crashing.start()
    GenServer.cast(ref, "the last straw")
    gone(ref)
    (message,) = errors_in(caplog)
    assert "Crashing" in message
    assert "'the last straw'" in message


def test_an_unusual_stop_is_logged_once_with_the_reason_and_the_last_message(caplog: pytest.LogCaptureFixture) -> None:
    """S16: a stop for any other reason is logged as an error, once."""
    stop(Probe.start(), "no more disk")

    class Quitting(GenServer):
        def handle_info(self, message: Any) -> None:
            raise Stop(f"fed up with {message}")

    GenServer.send(ref := Quitting.start(), "noise")
    gone(ref)
    asked, own = errors_in(caplog)
    assert "no more disk" in asked
    assert "Quitting" in own
    assert "stops: fed up with noise; last message: 'noise'" in own


def test_an_error_in_init_is_its_starters_and_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """S2, S16: the starter has the error; the log has nothing to add."""
    with pytest.raises(ValueError, match="no"):
        Starter.start(functools.partial(raise_it, ValueError("no")))
    assert errors_in(caplog) == []


# -- memory


def test_an_idle_server_keeps_neither_its_last_message_nor_its_last_answer_alive() -> None:
    """S7: what has been handled is let go at once."""

    class Thing:
        pass

    class Echo(GenServer):
        def handle_call(self, message: Any, _from: Reply) -> Any:
            return message, Thing()

    thing, answer = GenServer.call(Echo.start(), Thing())
    alive = [weakref.ref(thing), weakref.ref(answer)]
    del thing, answer
    eventually(lambda: [reference() for reference in alive] == [None, None])  # it answers first, and lets go then


@pytest.mark.parametrize("end", [stop, kill, lambda ref: GenServer.cast(ref, lambda _: raise_it(ValueError()))])
def test_a_dead_server_is_freed_though_its_ref_is_kept(
    end: Callable[[pykka.ActorRef[Any]], object], caplog: pytest.LogCaptureFixture
) -> None:
    """S15: a ref to a dead server keeps its record, not its state, however it died."""
    caplog.set_level(logging.CRITICAL, "hume.actors")  # a log record with a traceback would keep its frames
    ref = Probe.start()
    state = do(ref, weakref.ref)
    end(ref)
    gone(ref)
    gc.collect()
    assert state() is None
    assert mailbox(ref).reason is not None


# -- refs


def test_a_copy_of_a_ref_is_the_ref() -> None:
    """Never again 13: a ref inside a state or a message is an identity, not data."""
    ref = Probe.start()
    assert copy.deepcopy({"peer": ref})["peer"] is ref
    assert copy.copy(ref) is ref
    assert copy.deepcopy(Exit(ref, "normal")).ref is ref


# -- kill and zombies


def test_a_zombie_reaches_nobody() -> None:
    """S15, V18: what the thread of a killed server still tries is refused: calls, stops, starts."""
    other = Probe.start()
    tried: SimpleQueue[Any] = SimpleQueue()

    def act(_: Probe) -> None:
        gate.hold()
        deeds: list[Callable[[], Any]] = [lambda: do(other, lambda _: None), lambda: stop(other), Probe.start]
        for deed in (*deeds, Probe.start_link):
            try:
                tried.put(deed())
            except ActorDead as error:
                tried.put(error.reason)

    with Gate() as gate:
        ref = Probe.start()
        GenServer.cast(ref, act)
        gate.wait()
        kill(ref)
        gate.open()
        gone(ref)
    assert drained(tried) == ["killed"] * 4
    assert pykka.ActorRegistry.get_all() == [other]


def test_a_server_may_kill_itself() -> None:
    """M7: kill ends whoever it is, without terminate; what follows in the handler comes to nothing."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    with pytest.raises(ActorDead, match="killed"):
        do(ref, lambda probe: kill(probe.actor_ref))
    gone(ref)
    assert drained(seen) == []


def test_no_reply_says_what_it_is() -> None:
    """S10: NO_REPLY is a named constant."""
    assert repr(NO_REPLY) == "NO_REPLY"
