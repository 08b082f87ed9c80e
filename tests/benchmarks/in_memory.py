"""Calls, and one store in memory: publish, replay, read, live, rebuild."""

from __future__ import annotations

import itertools
from _thread import allocate_lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

import hume
from tests.benchmarks import floor
from tests.benchmarks.projections import LIMIT, STORE, Total, filled, memory_store
from tests.benchmarks.suite import Clock, Pair, Size, at_least, at_most, benchmark, cpu, mean, median, no_target, peer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

_STATE = b'{"amount":1}'  # a payload for a recorder, which takes bytes


class Answer(hume.GenServer):
    """Answers with what it is asked."""

    def handle_call(self, message: Any, from_: Any) -> Any:
        return message


@benchmark("call", at_most(0.65), reference="Pykka's ask")
def call(size: Size) -> Iterator[Pair]:
    """The median call of a GenServer, to its answer / the median `ask` of a bare Pykka actor."""
    ref = Answer.start()
    count = size(20_000)
    with floor.actor() as ask:
        yield Pair(lambda: median(count, ask), lambda: median(count, lambda: hume.GenServer.call(ref, 1)))
    hume.stop(ref)


@benchmark("call, both with a timeout", no_target, reference="ask(timeout=5.0)")
def call_with_a_timeout(size: Size) -> Iterator[Pair]:
    """The same call, which waits for 5 seconds at most / an `ask` that is told to do so, too."""
    ref = Answer.start()
    count = size(20_000)
    with floor.actor(5.0) as ask:
        yield Pair(lambda: median(count, ask), lambda: median(count, lambda: hume.GenServer.call(ref, 1)))
    hume.stop(ref)


@benchmark("call, over the floor", no_target, reference="two SimpleQueues")
def call_over_the_floor(size: Size) -> Iterator[Pair]:
    """The median call / the median round trip between two threads on two bare queues: two changes of threads."""
    ref = Answer.start()
    count = size(20_000)
    with floor.queue_round_trip() as trip:
        yield Pair(lambda: median(count, trip), lambda: median(count, lambda: hume.GenServer.call(ref, 1)))
    hume.stop(ref)


@benchmark("publish", at_most(0.3), reference="Pykka's ask")
def publish(size: Size) -> Iterator[Pair]:
    """The median publish of many in a row, with one live projection / the median `ask` of a bare Pykka actor."""
    count = size(20_000)
    yield from published(lambda work: median(count, work))


@benchmark("publish, on average", no_target, reference="Pykka's ask")
def publish_on_average(size: Size) -> Iterator[Pair]:
    """The mean publish of many in a row, the projection's share of Python's lock included / the mean `ask`."""
    count = size(20_000)
    yield from published(lambda work: mean(count, work))


def published(measured: Callable[[Callable[[], object]], float]) -> Iterator[Pair]:
    """Give what measures a publish to one live projection, and an `ask`."""
    with memory_store(), floor.actor() as ask:
        ref = Total.start_link(stream="s")

        def ours() -> float:
            seconds = measured(lambda: hume.publish(STORE, "s", 1))
            hume.state(ref, timeout=LIMIT)
            return seconds

        yield Pair(lambda: measured(ask), ours)


@benchmark("publish, now and then", no_target, reference="Pykka's ask")
def publish_now_and_then(size: Size) -> Iterator[Pair]:
    """The median publish, when the live projection has nothing to do and must be woken / the median `ask`."""
    count = size(5_000)
    with memory_store(), floor.actor() as ask:
        ref = Total.start_link(stream="s")

        def ours() -> float:
            return median(count, lambda: hume.publish(STORE, "s", 1), lambda: hume.state(ref))

        yield Pair(lambda: median(count, ask), ours)


@benchmark("publish, nobody listening", at_most(1.0), reference="POPOAggregateRecorder")
def publish_nobody_listening(size: Size) -> Iterator[Pair]:
    """One publish / the peer's `insert_events` of one event that has been made before."""
    count, recorder, numbers = size(20_000), peer().POPOAggregateRecorder(), itertools.count(1)
    with memory_store():

        def reference() -> float:
            events = iter([(peer().stored(next(numbers), _STATE),) for _ in range(count)])
            return mean(count, lambda: recorder.insert_events(next(events)), cpu)

        yield Pair(reference, lambda: mean(count, lambda: hume.publish(STORE, "s", _STATE), cpu))


@benchmark("publish, both from the payload", no_target, reference="POPOAggregateRecorder")
def publish_from_the_payload(size: Size) -> Iterator[Pair]:
    """One publish, which makes its event / the peer's `insert_events` of one event that is made for it."""
    count, recorder, numbers = size(20_000), peer().POPOAggregateRecorder(), itertools.count(1)
    stored = peer().stored
    with memory_store():
        yield Pair(
            lambda: mean(count, lambda: recorder.insert_events((stored(next(numbers), _STATE),)), cpu),
            lambda: mean(count, lambda: hume.publish(STORE, "s", _STATE), cpu),
        )


@benchmark("publish, over the floor", no_target, reference="list.append")
def publish_over_the_floor(size: Size) -> Iterator[Pair]:
    """One publish, nobody listening / a bare list's `append`."""
    count = size(20_000)
    log: list[Any] = []
    with memory_store():
        yield Pair(
            lambda: mean(count, lambda: log.append(_STATE), cpu),
            lambda: mean(count, lambda: hume.publish(STORE, "s", _STATE), cpu),
        )


@benchmark("publish_many", at_least(2), reference="POPOAggregateRecorder")
def publish_many(size: Size) -> Iterator[Pair]:
    """Events in batches of 100, nobody listening / the peer's `insert_events` of the same batches, made before."""
    batches, recorder, numbers = size(500), peer().POPOAggregateRecorder(), itertools.count(1)
    with memory_store():

        def reference() -> float:
            made = iter([[peer().stored(next(numbers), _STATE) for _ in range(100)] for _ in range(batches)])
            return mean(batches, lambda: recorder.insert_events(next(made)), cpu) / 100

        batch = [_STATE] * 100
        yield Pair(reference, lambda: mean(batches, lambda: hume.publish_many(STORE, "s", batch), cpu) / 100)


@benchmark("replay", at_most(1.5), reference="a bare loop")
def replay(size: Size) -> Iterator[Pair]:
    """An event of 1,000,000 that a projection reads from the start of a stream / a loop that calls its handler."""
    count, numbers = size(1_000_000), itertools.count()
    payloads = [1] * count
    with memory_store() as store:
        filled(store, "s", count)
        handler = Total.handle_event.__get__(Total.__new__(Total))  # the function itself, bound as in the projection
        ours = cold(lambda: next(numbers), count, cpu)
        yield Pair(lambda: mean(1, lambda: floor.fold(handler, payloads, 0), cpu) / count, lambda: ours() / count)


@benchmark("replay, pure", no_target, reference="a bare loop")
def replay_pure(size: Size) -> Iterator[Pair]:
    """An event of 200,000 given to `hume.replay` / a loop that calls the same handler."""
    count = size(200_000)
    payloads = [1] * count
    with memory_store() as store:
        filled(store, "s", count)
        events = list(store.events("s"))
        handler = Total.handle_event.__get__(Total.__new__(Total))
        yield Pair(
            lambda: mean(1, lambda: floor.fold(handler, payloads, 0), cpu) / count,
            lambda: mean(1, lambda: hume.replay(Total, None, events), cpu) / count,
        )


def cold(identity: Callable[[], Hashable], total: int, clock: Clock = perf_counter) -> Callable[[], float]:
    """Return what measures a projection's start from nothing to the end of the stream "s", whose sum is *total*."""

    def start() -> None:
        ref = Total.start(stream="s", projection=identity())
        assert hume.state(ref, timeout=LIMIT) == total
        hume.kill(ref)

    return lambda: mean(1, start, clock)


@benchmark("visible", at_most(1.5), reference="Pykka's ask")
def visible(size: Size) -> Iterator[Pair]:
    """The median publish and `state` that has it in it / the median `ask`."""
    count = size(10_000)
    with memory_store(), floor.actor() as ask:
        ref = Total.start_link(stream="s")

        def see() -> None:
            hume.publish(STORE, "s", 1)
            hume.state(ref)

        yield Pair(lambda: median(count, ask), lambda: median(count, see))


@benchmark("read", at_most(0.15), reference="Pykka's ask")
def read(size: Size) -> Iterator[Pair]:
    """The median `state` of a projection that is caught up / the median `ask`."""
    count = size(20_000)
    with memory_store(), floor.actor() as ask:
        ref = Total.start_link(stream="s")
        hume.publish(STORE, "s", 1)
        hume.state(ref)
        yield Pair(lambda: median(count, ask), lambda: median(count, lambda: hume.state(ref)))


class Stamp:
    """Notes when a projection has applied an event, and lets the publisher go on."""

    def __init__(self) -> None:
        self._turn = allocate_lock()
        self._turn.acquire()
        self._at = 0.0

    def now(self) -> None:
        """Note it; the projection's thread."""
        self._at = perf_counter()
        self._turn.release()

    def latencies(self, count: int, publish: Callable[[], object]) -> float:
        """Return the median of the seconds from before a publish to when it has been applied."""
        times: list[float] = []
        for _ in range(count):
            began = perf_counter()
            publish()
            self._turn.acquire()
            times.append(self._at - began)
        return sorted(times)[count // 2]


@benchmark("live", at_most(0.5), reference="ProjectionRunner")
def live(size: Size) -> Iterator[Pair]:
    """The median from a publish until the projection has applied it / the same, `save` and the peer's projection."""
    count, theirs, mine = size(2_000), Stamp(), Stamp()

    class Stamped(Total):
        def handle_event(self, payload: int, state: int) -> int:
            state += payload
            mine.now()
            return state

    with memory_store(), peer().runner(peer().application(), theirs.now) as runner:
        Stamped.start_link(stream="s")
        events = map(peer().added, itertools.count(1), itertools.repeat(1))
        yield Pair(
            lambda: theirs.latencies(count, lambda: runner.app.save(next(events))),
            lambda: mine.latencies(count, lambda: hume.publish(STORE, "s", 1)),
        )


@benchmark("live, waited", at_most(0.01), reference="runner.wait")
def live_waited(size: Size) -> Iterator[Pair]:
    """The median publish and `state(at_least=...)` of it / `save` and `wait` for it in the peer's projection runner."""
    count, few = size(2_000), size(10, 2)
    with memory_store(), peer().runner(peer().application()) as runner:
        ref = Total.start_link(stream="s")
        events = map(peer().added, itertools.count(1), itertools.repeat(1))

        def save() -> None:
            runner.wait(runner.app.save(next(events))[-1].notification.id, timeout=peer().LIMIT)

        yield Pair(
            lambda: median(few, save),
            lambda: median(count, lambda: hume.state(ref, at_least=hume.publish(STORE, "s", 1))),
        )


@benchmark("rebuild", at_most(0.05), reference="ProjectionRunner")
def rebuild(size: Size) -> Iterator[Pair]:
    """A projection's start to the end of 100,000 events, from nothing / the same, by the peer's projection runner."""
    count, numbers = size(100_000), itertools.count()
    app = peer().application(count)

    def reference() -> float:
        seen, end = itertools.count(1), allocate_lock()
        end.acquire()

        def told() -> None:
            if next(seen) == count:
                end.release()

        began = perf_counter()
        with peer().runner(app, told) as runner:
            end.acquire()
            seconds = perf_counter() - began
            assert runner.view.total == count
        return seconds

    with memory_store() as store:
        filled(store, "s", count)
        yield Pair(reference, cold(lambda: next(numbers), count))
