"""Talking to servers: call, cast, send, deferred replies, timeouts, rings of calls, stop and kill."""

from __future__ import annotations

import functools
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from hume.actors import NO_REPLY, Crash, GenServer, Reply, Stop, kill, stop, whereis
from hume.errors import ActorDead, CallingSelf, Timeout
from tests.helpers import (
    LIMIT,
    Gate,
    Probe,
    all_at_once,
    do,
    drained,
    eventually,
    exit_reason,
    gone,
    in_thread,
    mailbox,
    next_of,
    thread_of,
    waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Deferring(GenServer):
    """Puts each call's reply where the test finds it, and answers none."""

    def init(self) -> None:
        self.asked: SimpleQueue[tuple[Any, Reply]] = SimpleQueue()

    def handle_call(self, message: Any, from_: Reply) -> Any:
        self.asked.put((message, from_))
        return NO_REPLY

    def handle_cast(self, message: Callable[[Deferring], Any]) -> None:
        message(self)


def pending(ref: pykka.ActorRef[Any]) -> int:
    return len(ref.actor_inbox.pending)  # type: ignore[attr-defined]


def boom() -> None:
    msg = "boom"
    raise ValueError(msg)


# -- whom one may call


def test_a_server_is_called_by_ref_by_proxy_and_by_name() -> None:
    """N1: wherever a function takes a server it takes a ref, a proxy or a name."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen, name=("a", 1))
    for server in (ref, ref.proxy(), ("a", 1)):
        assert GenServer.call(server, lambda probe: probe.actor_ref) is ref
        GenServer.cast(server, 1)
        GenServer.send(server, 2)
        assert [next_of(seen), next_of(seen)] == [("cast", 1), 2]
    stop(ref.proxy())
    kill_by_name = Probe.start(name="other")
    assert kill("other")
    assert not kill_by_name.is_alive()


def test_a_name_is_resolved_at_each_call_so_it_outlives_a_restart() -> None:
    """N1: the name is the stable handle."""
    first = Probe.start(name="svc")
    assert GenServer.call("svc", lambda probe: probe.actor_ref) is first
    stop("svc")
    second = Probe.start(name="svc")
    assert GenServer.call("svc", lambda probe: probe.actor_ref) is second


def test_a_call_to_an_unknown_or_dead_server_fails_at_once() -> None:
    """S9: noproc, at once; for a dead one the error says why it died."""
    with pytest.raises(ActorDead, match="'nobody' is not alive") as unknown:
        GenServer.call("nobody", 1, timeout=None)
    assert unknown.value.reason == "noproc"
    stop(ref := Probe.start(), "shutdown")
    with pytest.raises(ActorDead) as dead:
        GenServer.call(ref, 1, timeout=None)
    assert dead.value.reason == "shutdown"
    crashed = Probe.start()
    GenServer.cast(crashed, lambda _: boom())
    gone(crashed)
    with pytest.raises(ActorDead) as after_crash:
        GenServer.call(crashed, 1, timeout=None)
    assert isinstance(after_crash.value.__cause__, ValueError)


def test_casts_and_messages_to_nobody_are_dropped() -> None:
    """S13: a cast or info message to a dead or unknown process is silently dropped."""
    stop(ref := Probe.start())
    for server in (ref, "nobody"):
        GenServer.cast(server, 1)
        GenServer.send(server, 2)
    assert waiting(ref) <= 1  # nothing is kept for the dead; one token that wakes the owner may lie there


@pytest.mark.parametrize("server", [["a", "list"], {}])
def test_what_can_be_no_server_is_refused(server: Any) -> None:
    """N1: bad arguments are refused in the caller, with the list of good ones."""
    for function in (GenServer.call, GenServer.cast, GenServer.send):
        with pytest.raises(TypeError, match="a server is an ActorRef, an ActorProxy or a"):
            function(server, 1)


def test_a_plain_pykka_actor_is_refused_with_the_way_out() -> None:
    """N1: it has no mailbox of ours; its own ask and tell work as ever."""

    class Plain(pykka.ThreadingActor):
        pass

    ref = Plain.start()
    with pytest.raises(TypeError, match="use the ref's own ask and tell"):
        GenServer.call(ref, 1)


@pytest.mark.parametrize("bad", [-0.1, float("nan"), "5", True])
def test_a_bad_timeout_is_refused_before_anything_is_sent(bad: Any) -> None:
    """S8: bad arguments are refused in the caller."""
    ref = Probe.start()
    with pytest.raises((TypeError, ValueError), match="timeout must be"):
        GenServer.call(ref, lambda _: pytest.fail("it was sent"), timeout=bad)
    with pytest.raises((TypeError, ValueError), match="timeout must be"):
        stop(ref, timeout=bad)
    assert do(ref, lambda _: True)


# -- order


def test_a_call_and_a_cast_from_one_thread_keep_their_order() -> None:
    """S7: messages from one sender arrive in the order sent."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    for number in range(300):
        GenServer.cast(ref, number)
        if number % 7 == 0:
            assert do(ref, lambda probe: drained(probe.seen))[-1] == ("cast", number)


# -- timeouts


def test_a_late_answer_is_dropped_and_never_seen_by_a_later_call() -> None:
    """S8: the caller gets a timeout; the late reply is dropped."""
    ref = Deferring.start()
    with pytest.raises(Timeout, match=r"did not answer within 0\.01 seconds"):
        GenServer.call(ref, "first", timeout=0.01)
    asked = ref.proxy().asked.get()
    _, first = next_of(asked)
    assert not GenServer.reply(first, "late")
    second = in_thread(GenServer.call, ref, "second")
    GenServer.reply(next_of(asked)[1], "in time")
    assert second.result(LIMIT) == "in time"


def test_a_server_skips_a_call_whose_caller_has_given_up() -> None:
    """S8 nice: what nobody waits for any more is not run; what has begun goes on."""
    seen: SimpleQueue[Any] = SimpleQueue()
    with Gate() as gate:
        ref = Probe.start(seen)
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        with pytest.raises(Timeout):
            GenServer.call(ref, lambda _: seen.put("it was run"), timeout=0.01)
        assert pending(ref) == 0
        gate.open()
        do(ref, lambda _: None)
    assert drained(seen) == []


def test_a_call_with_no_time_at_all_gives_up_at_once() -> None:
    """S8: timeout=0 is a number of seconds as any other."""
    with Gate() as gate:
        ref = Probe.start()
        GenServer.cast(ref, lambda _: gate.hold())
        with pytest.raises(Timeout):
            GenServer.call(ref, lambda _: None, timeout=0)


def test_a_call_waits_five_seconds_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """S8: a call waits 5 s by default; None waits without limit."""
    waited: list[float | None] = []
    get = Reply.get

    def spy(self: Reply, *, timeout: float | None = None) -> Any:
        waited.append(timeout)
        return get(self, timeout=timeout)

    ref = Probe.start()
    monkeypatch.setattr(Reply, "get", spy)
    GenServer.call(ref, lambda _: None)
    GenServer.call(ref, lambda _: None, timeout=None)
    assert waited == [5.0, None]


def test_a_timeout_that_the_server_raised_is_not_mistaken_for_a_late_answer() -> None:
    """S8, S9: an error of class Timeout that ended the server comes to the caller as it is."""
    error = Timeout("of another call")

    def fail(_: Probe) -> None:
        raise error

    with pytest.raises(Timeout) as caught:
        GenServer.call(Probe.start(), fail)
    assert caught.value is error


# -- a death fails the calls


class Ending:
    """The three ends of a server with a call that waits, and what the caller gets."""

    def __init__(self, end: Callable[[pykka.ActorRef[Any]], object], reason: Any) -> None:
        self.end, self.reason = end, reason


ENDINGS = {
    "stop": Ending(lambda ref: ref.stop(block=False), "normal"),
    "crash": Ending(lambda ref: GenServer.cast(ref, lambda _: boom()), None),
    "kill": Ending(kill, "killed"),
}


def assert_failed(ending: Ending, error: BaseException | None) -> None:
    if ending.reason is None:
        assert isinstance(error, ValueError)  # the very error that ended the server
    else:
        assert isinstance(error, ActorDead)
        assert error.reason == ending.reason


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_death_fails_at_once_the_calls_whose_answer_was_deferred(kind: str) -> None:
    """S9, S10: a server that dies while a call is deferred fails that call with its exit reason."""
    ref = Deferring.start()
    calls = [in_thread(GenServer.call, ref, number, timeout=None) for number in range(3)]
    asked = ref.proxy().asked.get()
    replies = [next_of(asked)[1] for _ in calls]
    ENDINGS[kind].end(ref)
    for call in calls:
        assert_failed(ENDINGS[kind], call.exception(LIMIT))
    assert not any(GenServer.reply(reply, "too late") for reply in replies)


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_death_fails_at_once_the_calls_that_are_queued(kind: str) -> None:
    """S9, S14: a server that dies while a call is queued fails that call with its exit reason."""
    with Gate() as gate:
        ref = Deferring.start()
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        if kind != "kill":
            ENDINGS[kind].end(ref)
        replies = [ref.ask(number, block=False) for number in range(3)]
        if kind == "kill":
            kill(ref)
        else:
            gate.open()
        for reply in replies:
            with pytest.raises((ValueError, ActorDead)) as caught:
                reply.get(timeout=LIMIT)
            assert_failed(ENDINGS[kind], caught.value)
    gone(ref)
    assert pending(ref) == 0


# -- deferred replies


def test_a_reply_may_come_later_from_any_thread() -> None:
    """S10: a callback may defer its answer, and another thread, or another actor, may give it."""
    ref = Deferring.start()
    asked = ref.proxy().asked.get()
    call = in_thread(GenServer.call, ref, "one", timeout=LIMIT)
    _, from_ = next_of(asked)
    assert not call.done()
    assert do(Probe.start(), lambda _: GenServer.reply(from_, "answer"))
    assert call.result(LIMIT) == "answer"
    assert pending(ref) == 0


def test_deferred_calls_may_be_answered_in_any_order() -> None:
    """S10: each answer reaches its own caller."""
    ref = Deferring.start()
    asked = ref.proxy().asked.get()
    calls = {number: in_thread(GenServer.call, ref, number, timeout=LIMIT) for number in range(5)}
    replies = dict(next_of(asked) for _ in calls)
    for number in (3, 0, 4, 1, 2):
        GenServer.reply(replies[number], number * 10)
    assert {number: call.result(LIMIT) for number, call in calls.items()} == {n: n * 10 for n in calls}


def test_the_first_answer_wins(fast_switching: None) -> None:
    """S10: of two threads that answer at once exactly one wins, and its answer is the caller's."""
    ref = Deferring.start()
    asked = ref.proxy().asked.get()
    for _ in range(100):
        call = in_thread(GenServer.call, ref, "?", timeout=LIMIT)
        _, from_ = next_of(asked)
        won = all_at_once(*(functools.partial(GenServer.reply, from_, number) for number in range(3)))
        assert sum(map(bool, won)) == 1
        assert won[call.result(LIMIT)]


def test_a_server_may_answer_before_its_callback_returns() -> None:
    """S10: GenServer.reply, then go on; what the callback returns after that is dropped."""

    class Server(GenServer):
        def handle_call(self, message: Any, from_: Reply) -> Any:
            GenServer.reply(from_, "early")
            gate.hold()
            return "too late"

    with Gate() as gate:
        assert GenServer.call(Server.start(), 1, timeout=LIMIT) == "early"


# -- an actor that calls itself


def test_a_server_that_calls_itself_gets_an_error_at_once() -> None:
    """S11: an error at once, no deadlock; by ref, by name and through a stop."""
    ref = Probe.start(name="me")

    def call_me(probe: Probe) -> str:
        with pytest.raises(CallingSelf, match="would wait for itself"):
            GenServer.call(probe.actor_ref, 1, timeout=None)
        with pytest.raises(CallingSelf):
            GenServer.call("me", 1, timeout=None)
        with pytest.raises(CallingSelf):
            stop("me", timeout=None)
        return "alive"

    assert do(ref, call_me) == "alive"


def test_a_ring_of_calls_gets_an_error_at_once() -> None:
    """S11 nice: so does a cycle of calls A -> B -> C -> A, in the one that would close it."""
    a, b, c = Probe.start(), Probe.start(), Probe.start()

    def close_the_ring(_: Probe) -> str:
        with pytest.raises(CallingSelf, match="waits for it"):
            GenServer.call(a, 1, timeout=None)
        with pytest.raises(CallingSelf):
            stop(a, timeout=None)
        return "refused"

    assert do(a, lambda _: do(b, lambda _: do(c, close_the_ring))) == "refused"
    assert do(c, lambda _: do(a, lambda _: "free again")) == "free again"


def test_an_init_that_calls_its_starter_gets_an_error_at_once_however_early_it_does() -> None:
    """S11: also before the starter's thread has run again; a supervisor waits for an init without limit."""

    class Early(GenServer):
        def init(self, starter: pykka.ActorRef[Any]) -> None:
            GenServer.call(starter, "who calls?", timeout=5.0)

        def _start_actor_loop(self) -> None:
            super()._start_actor_loop()
            eventually(lambda: waiting(parent) or self.actor_inbox.started.done())

    parent = Probe.start()

    def start_it(probe: Probe) -> str:
        with pytest.raises(CallingSelf):
            Early.start(probe.actor_ref)
        return "refused"

    assert do(parent, start_it) == "refused"


def test_a_server_whose_call_has_been_answered_may_be_called_back_at_once() -> None:
    """S11: A called B and has its answer: B may call A, though A's thread has not run since; that is no ring."""

    class Caller(Probe):
        pass

    class Answering(GenServer):
        def handle_call(self, caller: Any, from_: Reply) -> Any:
            GenServer.reply(from_, "answer")
            results.put(GenServer.call(caller, lambda _: "back", timeout=LIMIT))
            return NO_REPLY

    results: SimpleQueue[Any] = SimpleQueue()
    a, b = Caller.start(), Answering.start()
    for _ in range(50):
        assert do(a, lambda probe: GenServer.call(b, probe.actor_ref, timeout=LIMIT)) == "answer"
        assert next_of(results) == "back"


def test_two_actors_that_call_each_other_at_once_never_wait_in_vain(fast_switching: None) -> None:
    """S11: of two that would close a ring at least one is refused, so neither runs into its timeout."""
    a, b = Probe.start(), Probe.start()

    def call_or_refuse(other: pykka.ActorRef[Any]) -> Callable[[Probe], str]:
        def call(_: Probe) -> str:
            try:
                return do(other, lambda _: "answered")
            except CallingSelf:
                return "refused"

        return call

    for _ in range(200):
        outcomes = all_at_once(lambda: do(a, call_or_refuse(b)), lambda: do(b, call_or_refuse(a)))
        assert set(outcomes) <= {"answered", "refused"}


# -- stop and kill


def test_what_was_sent_before_a_stop_is_handled_first() -> None:
    """S14: an orderly stop lets messages that were queued before it run first; later calls fail."""
    seen: SimpleQueue[Any] = SimpleQueue()
    with Gate() as gate:
        ref = Probe.start(seen)
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        GenServer.cast(ref, 1)
        GenServer.send(ref, 2)
        call = ref.ask(lambda _: 3, block=False)
        stopping = in_thread(stop, ref, "shutdown", timeout=LIMIT)
        eventually(lambda: mailbox(ref).stopping)
        late = ref.ask(lambda _: 4, block=False)
        GenServer.cast(ref, "late")
        assert not stopping.done()
        gate.open()
        stopping.result(LIMIT)
    assert drained(seen) == [("cast", 1), 2, ("terminate", "shutdown")]
    assert call.get(timeout=LIMIT) == 3
    with pytest.raises(ActorDead, match="shutdown"):
        late.get(timeout=LIMIT)


def test_stop_waits_until_the_thread_has_left() -> None:
    """S14: when it returns nothing of the server runs any more."""

    class Lingering(Probe):
        def _actor_loop(self) -> None:
            super()._actor_loop()
            gate.hold()

    with Gate() as gate:
        stopping = in_thread(stop, Lingering.start())
        gate.wait()
        with pytest.raises(TimeoutError):
            stopping.result(0.05)
        gate.open()
        assert stopping.result(LIMIT) is None


def test_stop_returns_when_the_server_is_down_and_its_thread_has_left() -> None:
    """S14: it returns when it is down."""
    for _ in range(100):
        ref = Probe.start(name="brief")
        stop("brief")
        assert not ref.is_alive()
        assert not thread_of(ref).is_alive()
        assert whereis("brief") is None


def test_a_stop_that_takes_too_long_raises_and_the_server_stops_when_it_gets_there() -> None:
    """S14: Timeout for the caller; the request stays."""
    with Gate() as gate:
        ref = Probe.start()
        GenServer.cast(ref, lambda _: gate.hold())
        with pytest.raises(Timeout, match=r"did not stop within 0\.01 seconds"):
            stop(ref, timeout=0.01)
        assert ref.is_alive()
    assert exit_reason(ref) == "normal"


def test_a_dead_or_unknown_server_can_not_be_stopped() -> None:
    """S14, S9: stop of what is not there says so."""
    stop(ref := Probe.start())
    for server in (ref, "nobody"):
        with pytest.raises(ActorDead):
            stop(server)


def test_the_first_of_several_stops_gives_the_reason_and_all_return() -> None:
    """S14: two stops at once are both served by the one death."""
    for _ in range(50):
        ref = Probe.start()
        outcomes = all_at_once(*(functools.partial(stop, ref, ("shutdown", number)) for number in range(3)))
        assert all(outcome is None or isinstance(outcome, ActorDead) for outcome in outcomes)
        assert exit_reason(ref)[1] in range(3)


def test_an_actor_may_stop_another() -> None:
    """S14: stop from an actor's thread waits as any other."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    do(Probe.start(), lambda _: stop(ref, "shutdown"))
    assert drained(seen) == [("terminate", "shutdown")]


def test_kill_says_whether_it_was_the_one() -> None:
    """M7: True once; False for whoever is dead already, by ref and by proxy; an unknown name is an error."""
    ref = Probe.start()
    proxy = ref.proxy()
    assert kill(ref)
    assert not kill(ref)
    assert not kill(proxy)
    with pytest.raises(ActorDead):
        kill("nobody")
    gone(ref)


def test_a_killed_server_is_dead_for_everybody_at_once() -> None:
    """M7, N1: when kill returns the name is free and calls fail, though the thread is in a handler still."""
    with Gate() as gate:
        ref = Probe.start(name="busy")
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        kill("busy")
        assert not ref.is_alive()
        assert ref not in pykka.ActorRegistry.get_all()
        successor = Probe.start(name="busy")
        assert do("busy", lambda probe: probe.actor_ref) is successor  # type: ignore[arg-type]
        assert thread_of(ref).is_alive()
    gone(ref)


def test_a_request_to_stop_can_be_seen_while_the_server_works() -> None:
    """S14: long work between two messages may look whether a stop has been asked for."""
    with Gate() as gate:
        ref = Probe.start()
        assert not mailbox(ref).stopping
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        ref.stop(block=False)
        assert mailbox(ref).stopping
    assert exit_reason(ref) == "normal"


def test_an_error_that_stops_the_server_is_its_exit_reason() -> None:
    """S9: the caller gets the error itself, and so does everybody who asks later why it died."""
    ref = Probe.start()
    with pytest.raises(ValueError, match="boom") as caught:
        do(ref, lambda _: boom())
    assert exit_reason(ref) == Crash(caught.value)


def test_stop_has_a_reason_and_a_reply() -> None:
    """S15: Stop's defaults are an orderly end without an answer."""
    assert (Stop().reason, Stop().reply) == ("normal", NO_REPLY)
