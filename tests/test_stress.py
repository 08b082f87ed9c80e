"""Many threads, many deaths, many events: what is promised holds in the crowd too."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume.actors import Backoff, GenServer, HeirActor, kill, stop, stop_application, whereis
from hume.actors import Supervisor as Sup
from hume.stores._event_store import resolve
from tests.effort import effort
from tests.helpers import LIMIT, Gate, ManualClock, all_at_once, eventually, gone, mailbox, waiting
from tests.samples import STORE, Total, logs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

PAGE = 500  # the most events that a projection applies between two looks around
QUICK = Backoff(base=0.001, maximum=0.01)


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    yield
    stop_application()


class Boom(Exception):
    """What ends a projection that is told to crash."""


class Tally(hume.Projection[dict[Any, Any]], store=STORE, snapshot_every=50):
    """For each publisher the last that it has published, changed in place, and the number of all events.

    It counts what is wrong too: an event that is not the next one of its publisher has been lost, or came twice.
    """

    def init_state(self, projection: Hashable) -> dict[Any, Any]:
        return {"events": 0, "wrong": 0}

    def handle_event(self, payload: tuple[Hashable, int], state: dict[Any, Any]) -> dict[Any, Any]:
        publisher, number = payload
        state["events"] += 1
        state["wrong"] += number <= state.get(publisher, -1)
        state[publisher] = number
        return state

    def handle_call(self, message: Any, from_: Any) -> Any:
        if message == "crash":
            raise Boom(message)
        return self.state["events"]

    def events(self) -> int:
        """Answer through a proxy."""
        count: int = self.state["events"]
        return count


def tallied(payloads: list[tuple[Hashable, int]]) -> dict[Any, Any]:
    """Return what a `Tally` must be after these payloads."""
    return {"events": len(payloads), "wrong": 0, **dict(payloads)}


def quickly(cls: Any, **options: Any) -> hume.ChildSpec:
    """Return the spec of a child that is restarted with next to no delay, however often."""
    spec: hume.ChildSpec = cls.child_spec(**options)
    return dataclasses.replace(spec, backoff=QUICK)


def wait_for(predicate: Callable[..., object]) -> None:
    """Do what `eventually` does; for predicates that bind a loop's variable by a default."""
    eventually(predicate)


def finish(*fns: Callable[[], Any]) -> list[Any]:
    """Run functions in threads at the same time; none may raise, and none may hang."""
    results = all_at_once(*fns)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


# -- eight publishers, and deaths


class Publisher:
    """Publishes numbered batches in a thread until it is told to stop, and keeps account of each."""

    def __init__(self, name: int, done: threading.Event) -> None:
        self.name, self.done = name, done
        self.published: list[tuple[int, int, int]] = []  # (first payload's number, size, number of the last event)
        self.refused: list[tuple[int, int]] = []

    def run(self) -> None:
        first = 0
        for size in itertools.cycle([1, 1, 2, 5]):
            if self.done.is_set():
                return
            batch = [(self.name, number) for number in range(first, first + size)]
            try:
                last = hume.publish_many(STORE, "s", batch)
            except hume.ActorDead:
                self.refused.append((first, size))
            else:
                self.published.append((first, size, last))
                if len(self.published) % 10 == 0:
                    self.read_my_write(first + size - 1, last)
            first += size

    def read_my_write(self, newest: int, last: int) -> None:
        try:
            snapshot = hume.snapshot("one", timeout=LIMIT)
        except hume.ActorDead:
            return
        assert snapshot.seq >= last
        assert snapshot.state[self.name] == newest


def check_accounts(publishers: list[Publisher], log: list[tuple[int, int]]) -> None:
    occurrences = Counter(log)
    assert set(occurrences.values()) == {1}
    for publisher in publishers:
        for first, size, last in publisher.published:
            batch = [(publisher.name, number) for number in range(first, first + size)]
            assert log[last - size : last] == batch  # under the very numbers that were returned, in one piece
        for first, size in publisher.refused:
            assert not any((publisher.name, number) in occurrences for number in range(first, first + size))
    assert len(log) == sum(size for publisher in publishers for _, size, _ in publisher.published)
    assert any(publisher.refused for publisher in publishers)


@pytest.mark.usefixtures("fast_switching")
def test_eight_publishers_lose_nothing_and_double_nothing_while_projection_store_and_heir_are_killed() -> None:
    Sup.start_link(
        [
            quickly(STORE),
            quickly(Tally, stream="s", projection="one", name="one"),
            quickly(Tally, stream="s", projection="two", name="two", snapshot_every=7),
        ],
    )
    done = threading.Event()
    publishers = [Publisher(name, done) for name in range(8)]
    kills: Counter[Any] = Counter()

    def published() -> int:
        return sum(len(publisher.published) for publisher in publishers)

    def kill_all_the_time() -> None:
        try:
            for victim in ["one", STORE, "two", HeirActor, "one", STORE] * 25:
                wanted = published() + 40
                wait_for(lambda wanted=wanted: published() >= wanted)
                if victim is not HeirActor:  # which is restarted after a second at the most, whoever waits
                    wait_for(lambda victim=victim: whereis(victim))
                if whereis(victim):
                    kills[victim] += kill(victim)
        finally:
            done.set()

    finish(*(publisher.run for publisher in publishers), kill_all_the_time)
    assert (kills["one"], kills["two"], kills[STORE]) == (50, 25, 50)
    assert kills[HeirActor] > 0

    for name in (STORE, "one", "two"):
        wait_for(lambda name=name: whereis(name))
    log: list[tuple[int, int]] = [event.payload for event in resolve(STORE).events("s")]
    logs_of()._check()
    check_accounts(publishers, log)
    for name in ("one", "two"):
        assert hume.state(name, timeout=LIMIT) == tallied(log)  # type: ignore[arg-type]  # list is invariant


# -- reading one's own writes


@pytest.mark.usefixtures("fast_switching")
def test_of_ten_thousand_publish_then_read_pairs_not_one_is_stale() -> None:
    STORE.start_link()
    refs = {stream: Tally.start_link(stream=stream) for stream in ("s", "t")}

    def pairs(me: str, stream: str) -> int:
        stale = 0
        for number in range(2500):
            seq = hume.publish(STORE, stream, (me, number))
            if number % 2:
                snapshot = hume.snapshot(refs[stream], timeout=LIMIT)
                stale += snapshot.seq < seq or snapshot.state[me] != number
            else:
                stale += hume.state(refs[stream], timeout=LIMIT)[me] != number
        return stale

    readers = [lambda me=me, stream=stream: pairs(me, stream) for me, stream in zip("abcd", "ssst", strict=True)]
    assert finish(*readers) == [0, 0, 0, 0]
    assert [hume.state(ref)["events"] for ref in refs.values()] == [7500, 2500]


# -- calls against deaths


REFUSALS = (pykka.ActorDeadError, Boom)  # what a call may get instead of an answer


def through_a_proxy() -> int:
    ref = whereis("here")
    if ref is None:
        raise hume.ActorDead("here")
    count: int = ref.proxy().events().get(timeout=LIMIT)
    return count


CALLS: list[Callable[[], Any]] = [
    lambda: hume.state("here", timeout=LIMIT)["events"],
    lambda: hume.query("here", lambda state: state["events"], timeout=LIMIT),
    through_a_proxy,
    lambda: GenServer.call("here", "how many?", timeout=LIMIT),
    lambda: hume.state("here", dirty=True, timeout=LIMIT)["events"],
    lambda: hume.take_snapshot("here", timeout=LIMIT).state["events"],
]


class Caller:
    """Calls the projection every way there is, and counts what comes of it."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.outcomes: Counter[str] = Counter()

    def run(self) -> None:
        for number in range(2500):
            if number % 5 == 0:
                hume.publish(STORE, "s", (self.name, number))
            try:
                assert CALLS[number % len(CALLS)]() >= 0
            except REFUSALS as error:
                self.outcomes[type(error).__name__] += 1
                eventually(lambda: whereis("here"))  # else most calls would find nobody there
            else:
                self.outcomes["answered"] += 1


def crash(name: str) -> None:
    with pytest.raises(REFUSALS):
        GenServer.call(name, "crash", timeout=LIMIT)


def shut_down(name: str) -> None:
    stop(name, "shutdown", LIMIT)


@pytest.mark.usefixtures("fast_switching")
def test_of_ten_thousand_calls_raced_against_stops_and_kills_each_is_answered_or_refused() -> None:
    STORE.start_link()
    Sup.start_link([quickly(Tally, stream="s", projection="here", name="here")])
    callers = [Caller(name) for name in range(4)]
    done = threading.Event()

    def calls() -> int:
        return sum(caller.outcomes.total() for caller in callers)

    def end_all_the_time() -> int:
        ends: list[Callable[[str], object]] = [kill, stop, crash, kill, shut_down]
        for deaths in itertools.count():
            wanted = calls() + 20
            wait_for(lambda wanted=wanted: done.is_set() or calls() > wanted)
            if done.is_set():
                return deaths
            with contextlib.suppress(hume.ActorDead):
                ends[deaths % len(ends)]("here")
        return 0

    def call_all_the_time() -> None:
        try:
            finish(*(caller.run for caller in callers))
        finally:
            done.set()

    deaths, _ = finish(end_all_the_time, call_all_the_time)
    outcomes = sum((caller.outcomes for caller in callers), Counter[str]())
    assert outcomes.total() == 10_000
    assert outcomes["answered"] > 1000, outcomes
    assert deaths > 20
    wait_for(lambda: whereis("here"))
    state = hume.state("here", timeout=LIMIT)
    assert (state["events"], state["wrong"]) == (2000, 0)


# -- what is left behind


class Fragile(GenServer):
    """Dies of any message."""

    def handle_info(self, message: Any) -> None:
        raise Boom(message)


def crash_by_tell(ref: Any) -> None:
    ref.tell("a message that it dies of")
    kill(ref)  # or of this


def test_a_thousand_starts_stops_and_kills_leave_no_thread_and_no_actor_behind() -> None:
    STORE.start_link()
    hume.publish_many(STORE, "s", [1, 2, 3])
    before, registered = threading.active_count(), len(pykka.ActorRegistry.get_all())
    ends: list[Callable[[Any], Any]] = [
        kill,
        stop,
        lambda ref: ref.stop(timeout=LIMIT),
        crash_by_tell,
    ]
    for number in range(1000):
        ref = Fragile.start() if number % 2 else Total.start(stream="s", projection=number % 10)
        ends[number % len(ends)](ref)
        gone(ref)
    assert threading.active_count() == before
    assert len(pykka.ActorRegistry.get_all()) == registered


# -- recovery


class Steady(Total, snapshot_every=100):
    """Lives in a moment, so that no snapshot is put off because of the time it takes."""

    clock = ManualClock()


def test_a_killed_projection_with_a_hundred_thousand_events_behind_it_replays_a_page_at_most() -> None:
    STORE.start_link()
    hume.publish_many(STORE, "s", [1] * 100_000)
    ref = Steady.start(stream="s")
    assert hume.state(ref, timeout=LIMIT) == 100_000
    kill(ref)
    again = Steady.start(stream="s")
    assert hume.state(again, timeout=LIMIT) == 100_000
    assert hume.status(again).events_applied <= 100 + PAGE


def test_a_projection_that_is_killed_in_the_middle_of_its_way_goes_on_from_there() -> None:
    STORE.start_link()
    hume.publish_many(STORE, "s", [1] * 100_000)
    with Gate() as gate:

        class Here(Steady):
            def handle_event(self, payload: Any, state: int) -> int:
                if state == 70_123:
                    gate.hold()
                return super().handle_event(payload, state)

        ref = Here.start(stream="s")
        gate.wait()
        kill(ref)
        again = Steady.start(stream="s", projection=hume.status(ref).projection)
    assert hume.state(again, timeout=LIMIT) == 100_000
    assert hume.status(again).events_applied <= 100_000 - 70_123 + 100 + PAGE


# -- idleness


def test_idle_projections_have_a_thread_and_a_timer_each_and_nothing_waits_in_their_mailboxes() -> None:
    STORE.start_link()
    before = threading.active_count()
    refs = [Total.start_link(stream="s", projection=number) for number in range(50)]
    hume.publish(STORE, "s", 1)
    assert {hume.state(ref) for ref in refs} == {1}
    assert threading.active_count() - before == 50 + 1  # and the one that tells a crowd
    for ref in refs:
        wait_for(lambda ref=ref: waiting(ref) == 0)
        assert len(mailbox(ref)._timers) == 1


def test_a_hundred_thousand_hints_are_one_message() -> None:
    STORE.start_link()
    with Gate() as gate:

        class Here(Total):
            def on_caught_up(self, snapshot: hume.Snapshot[int]) -> None:
                if snapshot.seq == 1:
                    gate.hold()

        ref = Here.start_link(stream="s")
        hume.publish(STORE, "s", 1)
        gate.wait()

        def give_hints() -> None:
            for _ in range(25_000):
                hume.catch_up(ref)

        finish(give_hints, give_hints, give_hints, give_hints)
        assert waiting(ref) == 1
        assert len(mailbox(ref)._timers) == 1
    eventually(lambda: waiting(ref) == 0)
    hume.publish(STORE, "s", 1)
    assert hume.state(ref) == 2
    assert len(mailbox(ref)._timers) == 1


# -- cost


def test_work_on_one_stream_is_the_same_with_a_thousand_and_with_a_hundred_thousand_events_in_others() -> None:
    STORE.start_link()
    ref = Total.start_link(stream="one")
    hume.publish(STORE, "one", 1)
    assert hume.state(ref) == 1
    events, last_seq = resolve(STORE).events, resolve(STORE).last_seq

    def read() -> None:
        assert len(list(events("one"))) == 1
        assert last_seq("one") == 1

    def publish() -> None:
        hume.publish(STORE, "nobody follows it", 1)

    def efforts() -> list[Any]:
        return [effort(read), effort(publish), effort(lambda: hume.state(ref))]

    hume.publish_many(STORE, "others", [1] * 1000)
    few = efforts()
    for number in range(100):
        hume.publish_many(STORE, ("others", number), [1] * 990)
    assert logs_of().count > 100_000
    assert efforts() == few
