"""The mailbox and what is in it: order, timers, the reply future, and the record of a life."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import subprocess
import sys
import textwrap
import weakref
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pykka._envelope import Envelope

from hume.actors import Down, GenServer, Reply, Timer, kill, stop
from hume.actors._mailbox import Mailbox
from hume.errors import ActorDead
from tests.helpers import LIMIT, Gate, ManualClock, Probe, all_at_once, do, drained, gone, in_thread, mailbox, next_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Recorder(GenServer):
    """Notes every message, in whichever way it came."""

    def init(self) -> None:
        self.log: list[Any] = []

    def note(self, message: Any) -> Any:
        self.log.append(message)
        return message

    def handle_call(self, message: Any, _from: Reply) -> Any:
        return self.note(message)

    def handle_cast(self, message: Any) -> None:
        self.note(message)

    def handle_info(self, message: Any) -> None:
        self.note(message)


SENDERS: dict[str, Callable[[pykka.ActorRef[Any], Any], object]] = {
    "call": lambda ref, message: GenServer.call(ref, message, timeout=LIMIT),
    "cast": GenServer.cast,
    "send": GenServer.send,
    "tell": lambda ref, message: ref.tell(message),
    "ask": lambda ref, message: ref.ask(message, block=False),
    "proxy": lambda ref, message: ref.proxy().note(message),
    "defer": lambda ref, message: ref.proxy().note.defer(message),
}
WAYS = st.lists(st.sampled_from(sorted(SENDERS)), max_size=30)


# -- order


@settings(max_examples=60, deadline=None)
@given(senders=st.lists(WAYS, min_size=1, max_size=4))
def test_messages_of_each_sender_arrive_in_the_order_sent(senders: list[list[str]]) -> None:
    """S7: whatever mixture of call, cast, send, tell, ask and proxy each of several threads uses."""
    ref = Recorder.start()

    def send_all(sender: int, ways: list[str]) -> None:
        for number, way in enumerate(ways):
            SENDERS[way](ref, (sender, number))

    outcomes = all_at_once(*(functools.partial(send_all, *sender) for sender in enumerate(senders)))
    assert outcomes == [None] * len(senders)
    log = ref.proxy().log.get(timeout=LIMIT)
    stop(ref)
    assert len(log) == sum(map(len, senders))
    for sender, ways in enumerate(senders):
        assert [number for who, number in log if who == sender] == list(range(len(ways)))


def test_a_mailbox_says_how_much_waits() -> None:
    """S7: it is Pykka's inbox too: put, get, empty."""
    mailbox = Mailbox()
    assert mailbox.empty()
    assert mailbox  # it is no container that could be false
    envelopes = [Envelope(number) for number in range(3)]
    for envelope in envelopes:
        mailbox.put(envelope)
    assert (len(mailbox), mailbox.empty()) == (3, False)
    assert [mailbox.get() for _ in envelopes] == envelopes


# -- timers


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> ManualClock:
    """Put time in the test's hands, for every probe that it starts."""
    clock = ManualClock()
    monkeypatch.setattr(Probe, "clock", clock)
    return clock


def set_timer(ref: pykka.ActorRef[Any], delay: float, message: object) -> Timer:
    timer: Timer = do(ref, lambda probe: probe.send_after(delay, message))
    return timer


def test_a_timer_delivers_once_and_not_before_the_delay(clock: ManualClock) -> None:
    """S17: send_after(delay, message) delivers once, not before the delay."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    set_timer(ref, 10.0, "tick")
    clock.advance(9.99)
    assert drained(seen) == []
    clock.advance(0.01)
    assert drained(seen) == ["tick"]
    clock.advance(100.0)
    assert drained(seen) == []


def test_an_idle_server_wakes_for_its_timers() -> None:
    """S17: by the machine's clock, with nobody else sending anything; 0 is a delay too."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    do(ref, lambda probe: [probe.send_after(delay, delay) for delay in (0.03, 0.01, 0, 0.02)])
    assert [next_of(seen) for _ in range(4)] == [0, 0.01, 0.02, 0.03]


@settings(max_examples=60, deadline=None)
@given(delays=st.lists(st.integers(0, 5), max_size=12), cancelled=st.sets(st.integers(0, 11)))
def test_timers_fire_in_the_order_due_those_due_at_once_in_the_order_set(
    delays: list[int], cancelled: set[int]
) -> None:
    """S17: in order, but for those that were cancelled."""
    clock, mailbox = ManualClock(), Mailbox()
    mailbox.clock = clock
    timers = [mailbox.set_timer(delay, (delay, number)) for number, delay in enumerate(delays)]
    for number in cancelled:
        if number < len(timers):
            assert timers[number].cancel() == delays[number]
    mailbox.put(Envelope("end"))
    clock.advance(10)
    left = sorted((delay, number) for number, delay in enumerate(delays) if number not in cancelled)
    assert [mailbox.get().message for _ in left] == left
    assert mailbox.get().message == "end"


def test_cancel_returns_the_seconds_left_and_then_nothing_is_delivered(clock: ManualClock) -> None:
    """S17: cancel() returns the seconds left, or None when it was cancelled."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    timer = set_timer(ref, 10.0, "never")
    clock.advance(4.0)
    assert timer.is_open
    assert timer.cancel() == 6.0
    assert timer.cancel() is None
    clock.advance(100.0)
    assert drained(seen) == []


def test_cancel_of_a_timer_that_has_fired_returns_none(clock: ManualClock) -> None:
    """S17: None when it has fired; one that is due and not yet delivered can still be cancelled, with 0 s left."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    fired, due = set_timer(ref, 1.0, "fired"), None
    clock.advance(1.0)
    assert fired.cancel() is None
    with Gate() as gate:
        due = set_timer(ref, 1.0, "due")
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        clock.jump(5.0)
        assert due.cancel() == 0.0
    clock.advance(0.0)
    assert drained(seen) == ["fired"]


@pytest.mark.usefixtures("fast_switching")
def test_a_timer_is_either_delivered_or_cancelled() -> None:
    """S17: of a cancel that races the delivery exactly one wins."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    for number in range(300):
        timer = set_timer(ref, 0.0001, number)
        cancelled = timer.cancel() is not None
        for _ in range(2):  # it takes a message, and then looks at its timers before it takes the next one
            do(ref, lambda _: None)
        if not cancelled:
            assert next_of(seen) == number
    assert drained(seen) == []


def test_a_timer_of_a_dead_process_delivers_nothing(clock: ManualClock) -> None:
    """S17: it ends with its owner: one that is due when the owner is killed, and one that is due after its end."""
    seen: SimpleQueue[Any] = SimpleQueue()
    killed, stopped = Probe.start(seen), Probe.start(seen)
    with Gate() as gate:
        for ref in (killed, stopped):
            set_timer(ref, 1.0, "never")
        GenServer.cast(killed, lambda _: gate.hold())
        gate.wait()
        stop(stopped)
        clock.jump(5.0)
        kill(killed)
    gone(killed)
    assert drained(seen) == [("terminate", "normal")]


@pytest.mark.parametrize("bad", [-1, float("nan"), "soon", None, True])
def test_a_bad_delay_is_refused(bad: Any) -> None:
    """S17: bad arguments are refused at the call."""

    def act(probe: Probe) -> str:
        with pytest.raises((TypeError, ValueError), match="delay must be"):
            probe.send_after(bad, "never")
        return "alive"

    assert do(Probe.start(), act) == "alive"


def test_a_very_long_delay_is_fine() -> None:
    """S17: longer than the platform can wait at once."""
    ref = Probe.start()
    assert set_timer(ref, 1e30, "never").cancel() is not None
    set_timer(ref, float("inf"), "never")
    assert do(ref, lambda _: "alive") == "alive"


# -- the reply future


def test_a_reply_keeps_its_first_answer() -> None:
    """S10: set, fail and set_exception say whether they were first; the first answer stays, and is there for all."""
    reply = Reply()
    assert not reply.done()
    assert reply.set("first")
    assert not reply.set("second")
    assert not reply.fail(ValueError())
    assert not reply.set_exception((ValueError, ValueError(), None))
    assert reply.done()
    assert [reply.get(), reply.get(timeout=0)] == ["first", "first"]


@pytest.mark.usefixtures("fast_switching")
def test_a_reply_takes_one_answer_however_many_come_at_once() -> None:
    """S10: of several threads that settle the same thousands of replies each reply has one winner."""
    replies = [Reply() for _ in range(5000)]

    def answer_all(number: int) -> list[bool]:
        return [reply.set(number) for reply in replies]

    wins = all_at_once(*(functools.partial(answer_all, number) for number in range(3)))
    for reply, *won in zip(replies, *cast("list[list[bool]]", wins), strict=True):
        assert won.count(True) == 1
        assert won[reply.get(timeout=0)]


COLLECTED = """
    import faulthandler, gc, sys, threading, time
    from hume.actors import Reply

    faulthandler.enable()
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(lambda *_: time.sleep(0.0002))  # as a finalizer may: another thread runs within a collection

    def use(replies, barrier):
        barrier.wait()
        for reply in replies:
            reply.done()

    for _ in range(60):
        replies = [Reply() for _ in range(1000)]
        gc.set_threshold(5, 1000, 1000)
        barrier = threading.Barrier(4)
        threads = [threading.Thread(target=use, args=(replies, barrier)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        gc.set_threshold(1000, 10, 10)
    print("alive")
"""


def test_replies_that_several_threads_use_survive_a_collection() -> None:
    """S10: on CPython 3.11 the first use of an object's __dict__ by two threads at once corrupts memory: never ours."""
    done = subprocess.run(  # noqa: S603 - the program is the one above
        [sys.executable, "-c", textwrap.dedent(COLLECTED)],
        env={**os.environ, "PYTHONMALLOC": "debug"},  # sees at once what is freed twice
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("alive\n", 0), done.stderr


def test_a_failed_reply_raises_its_error_each_time() -> None:
    """S9: the error itself."""
    reply, error = Reply(), ValueError("no")
    assert reply.fail(error)
    for _ in range(2):
        with pytest.raises(ValueError, match="no") as caught:
            reply.get(timeout=0)
        assert caught.value is error


def test_a_reply_takes_the_exception_being_handled() -> None:
    """S10: set_exception has Pykka's calling convention; outside of an except block it is an error of its own."""
    reply = Reply()
    try:
        {"a": 1}["handled"]
    except KeyError:
        reply.set_exception()
    with pytest.raises(KeyError, match="handled"):
        reply.get(timeout=0)
    outside = Reply()
    outside.set_exception()
    with pytest.raises(RuntimeError, match="outside of an except block"):
        outside.get(timeout=0)


def test_a_reply_without_an_answer_times_out_and_takes_its_answer_later() -> None:
    """S8: pykka.Timeout, as of every future of Pykka's."""
    reply = Reply()
    for timeout in (0, 0.001, -1):
        with pytest.raises(pykka.Timeout):
            reply.get(timeout=timeout)
    reply.set(1)
    assert reply.get(timeout=0) == 1


@pytest.mark.usefixtures("fast_switching")
def test_an_answer_that_is_there_is_had_without_waiting_by_any_number_of_threads() -> None:
    """S8: none of several that get a settled reply at once runs into its timeout."""
    for _ in range(100):
        reply = Reply()
        reply.set("there")

        def get_often(reply: Reply = reply) -> set[str]:
            return {reply.get(timeout=0) for _ in range(50)}

        assert all_at_once(*[get_often] * 4) == [{"there"}] * 4


def test_every_waiting_thread_gets_the_answer() -> None:
    """S10: one future, many readers."""
    reply = Reply()
    readers = [in_thread(reply.get, timeout=LIMIT) for _ in range(5)]
    reply.set("for all")
    assert [reader.result(LIMIT) for reader in readers] == ["for all"] * 5


def test_pykkas_combinators_work_on_a_reply() -> None:
    """S10: map, filter, join, reduce and get_all, before and after the answer."""
    one, two = Reply(), Reply()
    mapped, joined = one.map(len), one.join(two)
    filtered, reduced = one.filter(lambda number: number > 1), one.reduce(lambda a, b: a + b, 10)
    one.set([1, 2, 3])
    two.set("two")
    assert mapped.get(timeout=LIMIT) == 3
    assert filtered.get(timeout=LIMIT) == [2, 3]
    assert reduced.get(timeout=LIMIT) == 16
    assert joined.get(timeout=LIMIT) == [[1, 2, 3], "two"]
    assert joined.map(list).map(len).get(timeout=LIMIT) == 2
    assert list(pykka.get_all([one, two, mapped], timeout=LIMIT)) == [[1, 2, 3], "two", 3]


def test_an_error_comes_through_the_combinators() -> None:
    """S9: a mapped future of a failed one fails."""
    reply = Reply()
    mapped = reply.map(lambda value: pytest.fail(f"called with {value}"))
    reply.fail(KeyError("no"))
    with pytest.raises(KeyError, match="no"):
        mapped.get(timeout=LIMIT)


def test_a_get_hook_decides_what_get_returns_and_gets_the_timeout() -> None:
    """S10: as Pykka's combinators need it; it is run once."""
    reply = Reply()
    reply.set_get_hook(lambda timeout: f"hooked with {timeout}")
    assert reply.get(timeout=3) == reply.get(timeout=4) == "hooked with 3"


def test_a_hook_that_a_caller_sets_does_not_hurt_the_server() -> None:
    """S10: in Pykka this leaves a zombie behind."""
    with Gate() as gate:
        ref = Probe.start()
        GenServer.cast(ref, lambda _: gate.hold())
        future = ref.ask(lambda _: "answer", block=False)
        future.set_get_hook(lambda _: "mine")
        gate.open()
        assert future.get(timeout=LIMIT) == "mine"
        assert do(ref, lambda _: "alive") == "alive"


def test_a_reply_can_be_awaited() -> None:
    """S10: as every future of Pykka's."""

    async def ask() -> Any:
        return await Probe.start().ask(lambda _: "answer", block=False)

    assert asyncio.run(ask()) == "answer"


def test_a_failed_call_leaves_no_cycle_behind() -> None:
    """S9: what the caller had in hand is freed as soon as it lets go, without the cyclic collector."""

    class Thing:
        pass

    def fail() -> weakref.ref[Thing]:
        thing = Thing()
        try:
            GenServer.call(Probe.start(), lambda probe: kill(probe.actor_ref))
        except ActorDead:
            return weakref.ref(thing)
        pytest.fail("the call did not fail")

    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


# -- the record of a life


def test_a_monitor_that_raises_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """M1: the others still hear of the death."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start()

    def fail(_: Down) -> None:
        msg = "monitor"
        raise ValueError(msg)

    mailbox(ref).monitor(fail)
    mailbox(ref).monitor(seen.put)
    kill(ref)
    assert next_of(seen).reason == "killed"
    assert "a step of its death failed" in caplog.text


@pytest.mark.usefixtures("fast_switching")
def test_an_actor_dies_once_however_many_end_it() -> None:
    """M1: of many that end it at once exactly one does, and each monitor hears once."""
    for _ in range(100):
        seen: SimpleQueue[Any] = SimpleQueue()
        ref = Probe.start()
        mailbox(ref).monitor(seen.put)
        assert sum(map(bool, all_at_once(*[lambda: kill(ref)] * 4))) == 1  # noqa: B023
        gone(ref)
        assert len(drained(seen)) == 1


def test_who_waits_for_the_end_of_an_actor_may_give_up() -> None:
    """S14: wait returns whether it is over, and leaves no monitor behind when it gives up."""
    ref = Probe.start()
    assert not mailbox(ref).wait(0.001)
    assert mailbox(ref)._monitors == {}
    waiting = in_thread(mailbox(ref).wait, LIMIT)
    kill(ref)
    assert waiting.result(LIMIT)
    assert mailbox(ref).wait(0)


def test_an_envelope_that_comes_after_the_death_is_refused_at_once() -> None:
    """S9: put first, then check: nobody waits for an answer of the dead."""
    ref = Probe.start()
    kill(ref)
    reply = Reply()
    ref.actor_inbox.put(Envelope("too late", reply))
    with pytest.raises(ActorDead, match="killed"):
        reply.get(timeout=0)
    stopping = Reply()
    ref.actor_inbox.put(Envelope(pykka.messages._ActorStop(), stopping))
    assert stopping.get(timeout=0) is None  # what was to be stopped is
