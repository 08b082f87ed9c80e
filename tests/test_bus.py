"""Hints: level-triggered, coalesced, never lost."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import _bus
from hume._bus import LOOK, Hint, subscribe, tell
from hume.actors._mailbox import Mailbox
from tests.helpers import LIMIT, Gate, Probe, all_at_once, do, eventually, gone, in_thread, waiting
from tests.helpers import mailbox as mailbox_of
from tests.samples import STORE, Collected, Total, doing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def mailbox() -> Any:
    return Mailbox()


def test_many_hints_put_one_message_into_the_mailbox(mailbox: Any) -> None:
    hint = Hint(mailbox)
    for _ in range(1000):
        hint.give()
    assert len(mailbox) == 1
    assert mailbox.get().message is LOOK


def test_a_hint_given_after_the_message_was_taken_puts_another_one_before_it_none(mailbox: Any) -> None:
    hint = Hint(mailbox)
    hint.give()
    mailbox.get()
    hint.give()
    assert len(mailbox) == 0
    hint.taken()
    hint.give()
    hint.give()
    assert len(mailbox) == 1


def test_a_hint_that_an_interrupt_kept_from_arriving_is_given_again() -> None:
    interrupts = [KeyboardInterrupt(), None]

    class Interrupted(Mailbox):
        def put(self, envelope: Any) -> None:
            if (interrupt := interrupts.pop(0)) is not None:
                raise interrupt
            super().put(envelope)

    hint = Hint(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        hint.give()
    hint.give()
    hint.give()
    assert interrupts == []
    assert len(hint._mailbox) == 1


class Log:
    """What a hint is about: a number that writers raise, then give; and a reader that takes, then looks."""

    def __init__(self) -> None:
        self.mailbox = Mailbox()
        self.hint = Hint(self.mailbox)
        self.length = 0
        self.seen = 0
        self.waited = 0

    def write(self) -> Any:
        self.length += 1
        yield
        if self.hint._idle:  # the two halves of give
            yield
            if self.hint._idle:
                self.hint._idle.pop()
                yield
                self.mailbox.put(self.hint._envelope)

    def read(self) -> Any:
        while self.waited < 100:  # an idle reader waits for a message; long after the last one it gives up
            if not len(self.mailbox):
                self.waited += 1
                yield
                continue
            self.mailbox.get()
            yield
            self.hint.taken()
            yield
            self.seen = self.length
            yield


def test_in_every_interleaving_of_two_writers_and_a_reader_all_is_seen_and_one_message_waits_at_most() -> None:
    """Follows `Hint.give`, `taken` and the look at the log step by step, in every order."""
    for order in itertools.product("abr", repeat=9):
        log = Log()
        runs = {"a": log.write(), "b": log.write(), "r": log.read()}
        for who in order:
            next(runs[who], None)
            assert len(log.mailbox) <= 1
        for who in "abr":
            deque(runs[who], maxlen=0)
        assert log.seen == log.length == 2, order


def test_threads_that_give_at_once_put_one_message(mailbox: Any, fast_switching: None) -> None:
    hint = Hint(mailbox)
    for round_ in range(200):
        all_at_once(*[hint.give] * 4)
        assert len(mailbox) == 1, round_
        mailbox.get()
        hint.taken()


def test_100_000_hints_leave_one_pending_message_and_one_timer() -> None:
    STORE.start_link()
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold))
        ref = hume.start_link(Collected, stream="s")
        gate.wait()
        for _ in range(100_000):
            tell("s")
        hume.catch_up(ref)
        assert waiting(ref) == 1
    hume.state(ref)
    assert len(mailbox_of(ref)._timers) == 1


def test_hints_over_a_long_life_leave_one_timer() -> None:
    STORE.start_link()
    ref = hume.start_link(Total, stream="s", snapshot_every=10)
    for number in range(1, 301):
        assert hume.publish(STORE, "s", 1) == number
        assert hume.state(ref) == number
    eventually(lambda: len(mailbox_of(ref)._timers) == 1)  # none in the moment in which it fires


def test_a_hint_that_comes_while_the_log_is_read_leads_to_another_look() -> None:
    """The event is in the log after the look began and is told of before it ends: no read asks for it, it comes."""
    STORE.start_link()
    arrived = threading.Event()
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold))
        hume.start_link(Collected, stream="s", catch_up_after=1000.0)
        gate.wait()  # the projection has asked how long the log is, and applies that much
        hume.publish(STORE, "s", doing(arrived.set))
        assert not arrived.is_set()
    assert arrived.wait(LIMIT)


def test_what_is_written_without_a_hint_is_found_at_the_next_poll() -> None:
    STORE.start_link()
    arrived = threading.Event()
    hume.start_link(Collected, stream="s", catch_up_after=0.01)
    ref = hume.whereis(STORE)
    assert ref is not None
    ref.proxy().append("s", [doing(arrived.set)]).get(timeout=LIMIT)
    assert arrived.wait(LIMIT)


def test_only_the_projections_of_the_stream_are_told() -> None:
    STORE.start_link()
    mine, other = (hume.start_link(Total, stream=name) for name in ("mine", "other"))
    hume.state(mine)
    hume.state(other)
    looks: list[int] = []
    for ref in (mine, other):
        hint = mailbox_of(ref).face.hint
        looks.append(id(hint))
    assert [id(hint) for hint in _bus.subscribers["mine"]] == looks[:1]
    assert [id(hint) for hint in _bus.subscribers["other"]] == looks[1:]


@pytest.mark.parametrize("end", [hume.stop, hume.kill])
def test_a_projection_that_has_died_is_told_nothing_and_leaves_nothing(end: Any) -> None:
    STORE.start_link()
    refs = [hume.start_link(Total, stream="s", projection=number) for number in range(3)]
    end(refs[1])
    gone(refs[1])
    assert len(_bus.subscribers["s"]) == 2
    for ref in (refs[0], refs[2]):
        end(ref)
    assert _bus.subscribers == {}


def test_one_who_subscribes_while_dying_is_forgotten() -> None:
    probe = Probe.start()
    mailbox: Any = probe.actor_inbox
    hume.kill(probe)
    subscribe("s", Hint(mailbox), mailbox)
    assert _bus.subscribers == {}


def test_telling_is_safe_while_others_subscribe_and_die(fast_switching: None) -> None:
    stop = threading.Event()

    def publisher() -> int:
        told = 0
        while not stop.is_set():
            tell("s")
            told += 1
        return told

    telling = in_thread(publisher)
    for _ in range(100):
        probe = Probe.start()
        mailbox: Any = probe.actor_inbox
        hint = Hint(mailbox)
        subscribe("s", hint, mailbox)
        do(probe, lambda _: None)
        hume.kill(probe)
        gone(probe)
    stop.set()
    assert telling.result(LIMIT) > 0
    assert _bus.subscribers == {}


def reach(refs: list[Any], total: int) -> None:
    """Wait until all have that state; dirty, as another read would be a hint."""
    eventually(lambda: {hume.state(ref, dirty=True) for ref in refs} == {total})


def test_a_crowd_is_told_by_another_thread_and_nobody_is_forgotten(fast_switching: None) -> None:
    """Crowds come and go while four publishers are at work; no read asks for the events, and no poll is near."""
    STORE.start_link()
    for round_ in range(1, 11):
        refs = [
            hume.start_link(Total, stream=hume.ALL if number % 3 else "s", projection=number, catch_up_after=1000.0)
            for number in range(12)
        ]
        all_at_once(*[lambda: [hume.publish(STORE, "s", 1) for _ in range(50)]] * 4)
        reach(refs, 200 * round_)
        for ref in refs:
            hume.kill(ref)


def test_the_thread_that_tells_a_crowd_leaves_when_nobody_follows_anything_and_comes_back() -> None:
    STORE.start_link()
    for length in (1, 2):
        refs = [hume.start_link(Total, stream="s", projection=number) for number in range(9)]
        hume.publish(STORE, "s", 1)
        thread = _bus._crier._thread
        assert thread is not None
        hume.kill(refs[0])
        assert thread.is_alive()
        reach(refs[1:], length)
        for ref in refs[1:]:
            hume.kill(ref)
        thread.join(LIMIT)
        assert not thread.is_alive()


class Told(Hint):
    """A hint that notes that it was given."""

    def __init__(self, mailbox: Mailbox, then: Callable[[], object] = int) -> None:
        super().__init__(mailbox)
        self.then, self.times = then, threading.Semaphore(0)

    def give(self) -> None:
        self.then()
        self.times.release()


@pytest.fixture
def crowd(mailbox: Any) -> Iterator[Callable[..., list[Told]]]:
    hints: list[Told] = []

    def gather(*then: Callable[[], object]) -> list[Told]:
        hints.extend(Told(mailbox, *then) for _ in range(9))
        for hint in hints:
            subscribe("s", hint, mailbox)
        return hints

    yield gather
    for hint in hints:
        _bus._unsubscribe("s", hint)


def test_what_grows_while_the_crowd_is_being_told_is_told_again(crowd: Any) -> None:
    publishers = iter([tell])

    def publish_once() -> None:
        for publisher in publishers:
            publisher("s")

    hints = crowd(publish_once)  # when the first of the crowd is being told
    tell("s")
    for hint in hints:
        assert hint.times.acquire(timeout=LIMIT)
        assert hint.times.acquire(timeout=LIMIT)


def test_the_thread_stays_if_a_crowd_comes_as_it_leaves(crowd: Any) -> None:
    STORE.start_link()
    refs = [hume.start_link(Total, stream="other", projection=number) for number in range(9)]
    hume.publish(STORE, "other", 1)
    thread = _bus._crier._thread
    with _bus._crier._lock:  # which it needs in order to leave
        for ref in refs:
            hume.kill(ref)
        hints = crowd()
        tell("s")
    assert all(hint.times.acquire(timeout=LIMIT) for hint in hints)
    assert _bus._crier._thread is thread
