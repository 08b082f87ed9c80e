"""What must not grow: with the length of a log, the number of streams, of projections, and the size of a state."""

from __future__ import annotations

import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

import hume
from tests.benchmarks.projections import LIMIT, STORE, Keys, Total, filled, memory_store
from tests.benchmarks.suite import Pair, Size, at_most, benchmark, cpu, mean, median, no_target

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator


@benchmark("growth", at_most(1.2), reference="1,000 events")
def growth(size: Size) -> Iterator[Pair]:
    """The median publish, catch-up of that event, and read of the last ten, with 1,000,000 events stored / 1,000."""
    count = size(2_000)
    with memory_store() as store:
        works = [grown(store, stream, events) for stream, events in (("short", 1_000), ("long", size(1_000_000)))]
        yield Pair(*(partial(median, count, work) for work in works))


def grown(store: Any, stream: str, events: int) -> Callable[[], object]:
    """Fill a stream, and return what publishes one event to it, catches up, and reads the last ten."""
    filled(store, stream, events)
    ref = Total.start_link(stream=stream)
    hume.state(ref, timeout=LIMIT)

    def work() -> None:
        seq = hume.publish(STORE, stream, 1)
        hume.state(ref)
        assert len(list(store.events(stream, seq - 10))) == 10

    return work


@benchmark("fan-out", at_most(3), reference="1 projection")
def fan_out(size: Size) -> Iterator[Pair]:
    """The median publish of many in a row, with 100 live projections on the stream / with one."""
    yield from fanned(size(100), in_a_row(size(2_000), median))


@benchmark("fan-out, on average", no_target, reference="1 projection")
def fan_out_on_average(size: Size) -> Iterator[Pair]:
    """One publish of many in a row, with 100 live projections, which take their share of Python's lock / with one."""
    yield from fanned(size(100), in_a_row(size(2_000), mean))


@benchmark("fan-out, now and then", no_target, reference="1 projection")
def fan_out_now_and_then(size: Size) -> Iterator[Pair]:
    """The median publish when all 100 projections have nothing to do, and each must be woken / when one must."""
    count = size(100)

    def one(stream: str, refs: list[Any]) -> float:
        return median(count, lambda: hume.publish(STORE, stream, 1), lambda: settle(refs))

    yield from fanned(size(100), one)


def in_a_row(count: int, figure: Callable[[int, Callable[[], object]], float]) -> Callable[[str, list[Any]], float]:
    """Return what gives a figure of so many publishes, one after the other."""

    def one(stream: str, refs: list[Any]) -> float:
        seconds = figure(count, lambda: hume.publish(STORE, stream, 1))
        settle(refs)
        return seconds

    return one


def fanned(many: int, one: Callable[[str, list[Any]], float]) -> Iterator[Pair]:
    """Give what measures a stream that many follow, and one that one follows."""
    with memory_store():
        few, all_of_them = followers("few", 1), followers("many", many)
        yield Pair(lambda: one("few", few), lambda: one("many", all_of_them))


def followers(stream: str, count: int) -> list[Any]:
    """Start so many projections of a stream."""
    return [Total.start_link(stream=stream, projection=(stream, number)) for number in range(count)]


def settle(refs: list[Any]) -> None:
    """Wait until the projections are caught up."""
    for ref in refs:
        hume.state(ref, timeout=LIMIT)


@benchmark("streams", at_most(1.3), reference="1 stream")
def streams(size: Size) -> Iterator[Pair]:
    """Events published by the hundred and read again: 1,000,000, in 10,000 streams of 100 / in one stream."""
    batches, batch = size(10_000), [1] * 100

    def one(names: Callable[[int], Hashable], all_names: list[Hashable]) -> float:
        with memory_store() as store:

            def publish_and_read() -> None:
                for number in range(batches):
                    hume.publish_many(STORE, names(number), batch)
                assert sum(1 for name in all_names for _ in store.events(name)) == 100 * batches

            return mean(1, publish_and_read, cpu) / (100 * batches)

    yield Pair(lambda: one(lambda _: "the one", ["the one"]), lambda: one(lambda number: number, list(range(batches))))


@benchmark("recovery", at_most(0.01), reference="full replay")
def recovery(size: Size) -> Iterator[Pair]:
    """From a crash to caught up again, after 1,000,000 events: the median with a snapshot / without one."""
    total, numbers = [size(1_000_000)], itertools.count()
    with memory_store() as store:
        filled(store, "s", total[0])
        Total.start(stream="s", projection="kept", name="victim")
        hume.take_snapshot("victim", LIMIT)

        def crash(identity: Hashable) -> None:
            hume.kill("victim")
            Total.start(stream="s", projection=identity, name="victim")
            assert hume.state("victim", timeout=LIMIT) == total[0]

        def with_a_snapshot() -> float:
            hume.kill("victim")
            Total.start(stream="s", projection="kept", name="victim")
            return median(20, lambda: crash("kept"), more)

        def more() -> None:
            """Publish ten events, of which there is no snapshot yet when the next crash comes."""
            hume.publish_many(STORE, "s", [1] * 10)
            total[0] += 10
            hume.state("victim")

        yield Pair(lambda: median(1, lambda: crash(next(numbers))), with_a_snapshot)
        hume.kill("victim")


@benchmark("big state", at_most(1.5), reference="1,000 keys")
def big_state(size: Size) -> Iterator[Pair]:
    """The median publish and `query` of one key, with a state of 1,000,000 keys, changed in place / of 1,000."""
    count = size(2_000)
    with memory_store():
        works = [keyed(name, keys) for name, keys in (("small", 1_000), ("big", size(1_000_000)))]
        yield Pair(*(partial(median, count, work) for work in works))


def keyed(stream: str, keys: int) -> Callable[[], object]:
    """Start a projection with so many keys, and return what changes one and queries it."""
    hume.publish(STORE, stream, keys)
    ref = Keys.start_link(stream=stream)
    hume.query(ref, len, timeout=LIMIT)

    def work() -> None:
        hume.publish(STORE, stream, 7)
        hume.query(ref, lambda state: state[7])

    return work
