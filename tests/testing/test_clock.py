"""A clock by hand: timers fire when the test says so, in order, and not before."""

from __future__ import annotations

import datetime as dt
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, ClassVar

import pykka
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hume
from hume.actors import Backoff, ChildSpec, GenServer, Supervisor, SystemClock
from hume.stores import SQLiteEventStore
from hume.testing import FaultyStore, Gate, ManualClock, crash, kill, wait_until
from tests.actors.nursery import Nursery, refuse
from tests.helpers import LIMIT, Probe, do, drained, in_thread, mailbox
from tests.samples import STORE, Shelf, Total

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from pathlib import Path

DAY = 86400.0


class Stepper(GenServer):
    """Writes down when it gets what, and sets the timers that it is told to, each when the one before has fired."""

    def init(self, seen: list[Any], delays: list[float]) -> None:
        self.seen, self.delays = seen, list(delays)
        self._next()

    def _next(self) -> None:
        if self.delays:
            delay = self.delays.pop(0)
            self.send_after(delay, delay)

    def handle_info(self, message: Any) -> None:
        self.seen.append((self.clock.monotonic(), message))
        self._next()


def test_advance_fires_what_is_due_and_nothing_else() -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    with ManualClock() as clock:
        ref = Probe.start(seen)
        do(ref, lambda probe: [probe.send_after(delay, delay) for delay in (10.0, 5.0, 20.0)])
        clock.advance(4.99)
        assert drained(seen) == []
        clock.advance(0.01)
        assert drained(seen) == [5.0]
        clock.advance(10.0)
        assert drained(seen) == [10.0]
        clock.advance(1e6)
        assert drained(seen) == [20.0]


def test_a_message_that_was_sent_before_is_handled_before() -> None:
    seen: list[Any] = []
    with ManualClock() as clock:
        ref = Stepper.start(seen, [])
        GenServer.send(ref, "before")
        GenServer.send(ref, "more")
        clock.advance(1.0)
        assert seen == [(0.0, "before"), (0.0, "more")]


def test_timers_that_are_set_on_the_way_fire_on_the_way_each_at_its_time() -> None:
    seen: list[Any] = []
    with ManualClock() as clock:
        Stepper.start(seen, [10.0, 0.0, 5.0, 30.0])
        clock.advance(44.0)
        assert seen == [(10.0, 10.0), (10.0, 0.0), (15.0, 5.0)]
        assert clock.monotonic() == 44.0
        clock.advance(1.0)
        assert seen[3:] == [(45.0, 30.0)]


@settings(max_examples=40, deadline=None)
@given(
    plans=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=5), min_size=1, max_size=4),
    steps=st.lists(st.integers(0, 8), max_size=6),
)
def test_timers_of_several_actors_fire_in_the_order_due(plans: list[list[float]], steps: list[float]) -> None:
    seen: list[Any] = []
    with ManualClock() as clock:
        refs = [Stepper.start(seen, plan) for plan in plans]
        for seconds in steps:
            clock.advance(seconds)
        for ref in refs:
            hume.stop(ref, timeout=LIMIT)
    due = sorted(sum(plan[: number + 1]) for plan in plans for number in range(len(plan)))
    assert [at for at, _ in seen] == [at for at in due if at <= sum(steps)]


def test_an_actor_that_is_started_on_the_way_goes_along() -> None:
    seen: list[Any] = []

    class Parent(Stepper):
        def handle_info(self, message: Any) -> None:
            Stepper.start(self.seen, [1.0, 2.0])

    with ManualClock() as clock:
        Parent.start(seen, [1.0])
        clock.advance(5.0)
        assert seen == [(2.0, 1.0), (4.0, 2.0)]


class Eager(ManualClock):
    """Goes on only when an actor has died of what is due now, for all but its links."""

    doomed: Any = None

    def _reach(self, now: float) -> None:
        super()._reach(now)
        if now == 1.0:
            GenServer.send(self.doomed, lambda _: None)  # it looks at its timers after that
            wait_until(lambda: self.doomed not in pykka.ActorRegistry.get_all(), LIMIT)


def test_who_is_to_hear_of_a_death_is_waited_for_however_long_the_death_takes() -> None:
    """An actor may die before it is asked, and its supervisor not know yet; that has timers to set then."""
    nursery, gate = Nursery(), Gate()
    with Eager() as clock, gate:
        sup = Supervisor.start([nursery.spec("a", backoff=Backoff(first=1.0))])
        clock.doomed = Supervisor.which_children(sup)[0].ref
        mailbox(clock.doomed).at_death(gate.hold)
        GenServer.call(clock.doomed, lambda worker: worker.send_after(1.0, refuse(ValueError("late"))))
        threading.Timer(0.2, gate.open).start()
        nursery.read()
        clock.advance(3.0)
        assert [line[:2] for line in nursery.read()] == [("stop", "a"), ("start", "a")]


class Sparing(Total, snapshot_every=None, snapshot_after=30.0, catch_up_after=1000.0):
    """Saves by time alone."""


def test_a_snapshot_is_saved_when_its_time_has_come() -> None:
    shelf = Shelf()
    with ManualClock() as clock:
        STORE.start_link()
        ref = hume.start(Sparing, stream="s", snapshots=shelf)
        hume.publish(STORE, "s", 5)
        clock.advance(29.9)
        assert hume.status(ref).seq == 1
        assert shelf.saved == []
        clock.advance(0.1)
        assert shelf.saved == [hume.Snapshot(1, 5)]


def test_a_projection_looks_at_its_log_by_the_clock() -> None:
    with ManualClock() as clock:
        STORE.start_link()
        ref = hume.start(Total, stream="s", catch_up_after=10.0)
        clock.advance(0.0)
        hume.whereis(STORE).proxy().append("s", [5]).get()  # type: ignore[union-attr]  # nobody is told
        clock.advance(9.9)
        assert hume.status(ref).seq == 0
        clock.advance(0.1)
        assert hume.status(ref).seq == 1


def test_a_projection_tries_a_store_that_is_down_again_by_the_clock() -> None:
    with ManualClock() as clock:
        STORE.start_link()
        store = FaultyStore(STORE)
        ref = hume.start(Total, stream="s", store=store)
        hume.state(ref)
        store.fail_next("last_seq", hume.ActorDead("the store"), times=1)
        hume.publish(store, "s", 5)
        clock.advance(0.2)
        assert hume.status(ref).seq == 0
        clock.advance(0.1)
        assert hume.status(ref).seq == 1


def test_a_backoff_goes_by_the_clock_whoever_dies_on_the_way() -> None:
    """Each try crashes at once, so each restart is made, and the next one planned, within one advance."""
    starts: list[float] = []

    class Doomed(GenServer):
        def init(self) -> None:
            starts.append(self.clock.monotonic())
            self.send_after(0.0, "die")

        def handle_info(self, message: Any) -> None:
            raise ValueError(message)

    class Calm(Supervisor):
        random: ClassVar[Any] = staticmethod(lambda: 0.5)  # no jitter

    backoff = Backoff(first=1.0, base=1.0, factor=2.0, maximum=8.0)
    with ManualClock() as clock:
        Calm.start([ChildSpec(id="doomed", start=Doomed.start_link, backoff=backoff)])
        clock.advance(16.0)
        assert starts == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0]


def test_an_event_says_the_clocks_time(tmp_path: Path) -> None:
    start = dt.datetime(2030, 5, 6, 7, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    with ManualClock(start) as clock:
        STORE.start_link()
        file = SQLiteEventStore.start_link(tmp_path / "events.db", durability="normal")
        for store in (STORE, file):
            hume.publish(store, "s", 1)
        clock.advance(DAY)
        for store in (STORE, file):
            hume.publish(store, "s", 2)
            times = [event.recorded_at for event in FaultyStore(store).events("s")]
            assert times == [start, start + dt.timedelta(days=1)]
            assert times[0].tzinfo is dt.UTC


def test_only_actors_that_are_started_within_go_by_it_and_they_do_so_afterwards() -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    before = Probe.start(seen)
    with ManualClock() as clock:
        within = Probe.start(seen)
        with ManualClock() as inner:
            assert GenServer.clock is inner
        assert GenServer.clock is clock
    after = Probe.start(seen)
    assert isinstance(GenServer.clock, SystemClock)
    do(within, lambda probe: probe.send_after(1.0, "within"))
    for ref in (before, after):
        do(ref, lambda probe: probe.send_after(1e6, "never"))
    clock.advance(1e7)
    assert drained(seen) == ["within"]


def test_a_class_may_have_a_clock_of_its_own() -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    the_clock = ManualClock()

    class Own(Probe):
        clock = the_clock

    do(Own.start(seen), lambda probe: probe.send_after(1.0, "tick"))
    the_clock.advance(1.0)
    assert drained(seen) == ["tick"]


def test_a_jump_waits_for_nobody_and_is_seen_at_the_next_message() -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    with ManualClock() as clock:
        ref = Probe.start(seen)
        do(ref, lambda probe: probe.send_after(1.0, "tick"))
        with Gate() as gate:
            GenServer.cast(ref, lambda _: gate.hold())
            gate.wait()
            clock.jump(1.0)
            assert (clock.monotonic(), drained(seen)) == (1.0, [])
        for _ in range(2):
            do(ref, lambda _: None)
        assert drained(seen) == ["tick"]


def test_a_callback_may_take_its_time_by_a_jump_also_within_an_advance() -> None:
    seen: list[Any] = []

    class Slow(Stepper):
        def handle_info(self, message: Any) -> None:
            the_clock.jump(20.0)
            super().handle_info(message)

    with ManualClock() as the_clock:
        Slow.start(seen, [1.0, 1.0])
        the_clock.advance(10.0)
        assert (seen, the_clock.monotonic()) == ([(21.0, 1.0)], 21.0)
        the_clock.advance(10.0)
        assert (seen[1:], the_clock.monotonic()) == ([(42.0, 1.0)], 42.0)


def test_an_advance_that_an_actor_does_not_follow_says_who_it_is() -> None:
    with ManualClock() as clock:
        ref = Probe.start(name="busy")
        with Gate() as gate:
            GenServer.cast(ref, lambda _: gate.hold())
            gate.wait()
            with pytest.raises(hume.Timeout, match=r"Probe 'busy' .* is busy; where an actor is held still use jump"):
                clock.advance(1.0, timeout=0.0)
        clock.advance(1.0)


def test_an_actor_that_dies_meanwhile_holds_nobody_up() -> None:
    with ManualClock() as clock:
        ref = Probe.start()
        with Gate() as gate:
            GenServer.cast(ref, lambda _: gate.hold())
            gate.wait()
            advancing = in_thread(clock.advance, 1.0, timeout=LIMIT)
            kill(ref)
            assert advancing.result(LIMIT) is None
        other = Probe.start()
        crash(other)
        clock.advance(1.0)
        assert clock.monotonic() == 2.0


def test_an_actor_by_the_clock_cannot_advance_it() -> None:
    with ManualClock() as clock:

        def act(_probe: Probe) -> None:
            with pytest.raises(hume.CallingSelf, match=r"use jump\(\)"):
                clock.advance(1.0)

        do(Probe.start(), act)


def test_a_projection_that_takes_long_to_save_is_saved_less_often() -> None:
    class Slow(Total, snapshot_every=1, snapshot_after=None):
        def persist_snapshot(self, projection: Hashable, snapshot: hume.Snapshot[int]) -> None:
            super().persist_snapshot(projection, snapshot)
            clock.jump(1.05)

    shelf = Shelf()
    with ManualClock() as clock:
        STORE.start_link()
        ref = hume.start(Slow, stream="s", snapshots=shelf)
        hume.publish_many(STORE, "s", [1] * 3)
        clock.advance(0.0)
        assert len(shelf.saved) == 1
        hume.publish(STORE, "s", 1)
        clock.advance(18.0)
        assert len(shelf.saved) == 1
        clock.advance(1.0)
        assert (len(shelf.saved), hume.status(ref).snapshot_seq) == (2, 4)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda clock: clock.advance(-1), "seconds must be at least 0 seconds, not -1"),
        (lambda clock: clock.advance("1"), "seconds must be a number of seconds"),
        (lambda clock: clock.advance(None), "seconds must be a number of seconds, not None"),
        (lambda clock: clock.advance(float("inf")), "seconds must be a number of seconds, not inf"),
        (lambda clock: clock.jump(float("nan")), "seconds must be at least 0 seconds, not nan"),
        (lambda clock: clock.advance(1.0, timeout=-1), "timeout must be at least 0 seconds"),
        (lambda _: ManualClock(dt.datetime(2024, 1, 1)), "start must have a time zone"),  # noqa: DTZ001 - on purpose
    ],
)
def test_bad_input_is_refused_at_the_call(act: Callable[[Any], object], message: str) -> None:
    clock = ManualClock()
    with pytest.raises((TypeError, ValueError), match=message):
        act(clock)
    assert clock.monotonic() == 0.0
