"""The store in a SQLite file, beside the peer's recorder with the same durability, and beside bare ``sqlite3``.

The files are in the system's folder for temporary files: ``TMPDIR`` says where, which should be on a real disk.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import hume
from hume.actors import stop_application
from hume.stores import JSONCodec, SQLiteEventStore
from hume.stores._event_store import resolve
from tests.benchmarks.projections import filled
from tests.benchmarks.suite import Pair, Size, at_least, at_most, benchmark, cpu, mean, median, peer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PAYLOAD: Final = {"account": "ann", "cents": 500, "note": "rent"}
_STATE: Final = JSONCodec().encode(_PAYLOAD).data  # the same, for a recorder, which takes bytes
_THREADS: Final = 8
_SYNCHRONOUS: Final = {1: "normal", 2: "full"}
_READ: Final = (
    "SELECT seq, type, version, data, metadata, recorded_at, id, position FROM events "
    "WHERE stream = (SELECT id FROM streams WHERE name = ?) ORDER BY seq"
)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder for the files; stop all stores at the end, and remove it."""
    with tempfile.TemporaryDirectory() as name:
        try:
            yield Path(name)
        finally:
            stop_application()


def store_of(path: Path, durability: Any = "full") -> Any:
    """Start a store, and return the object whose methods are the store's."""
    return resolve(SQLiteEventStore.start_link(path, name=path.name, durability=durability))


@contextmanager
def both() -> Iterator[tuple[Any, Any]]:
    """Give the peer's recorder and our store, each with a file, as durable as the peer's is without being told."""
    with folder() as where, peer().sqlite(str(where / "theirs.db")) as recorder:
        with recorder.datastore.transaction(commit=False) as cursor:
            cursor.execute("PRAGMA synchronous")
            durability = _SYNCHRONOUS[cursor.fetchone()[0]]
        yield recorder, store_of(where / "ours.db", durability)


@benchmark("durable append", at_least(1), reference="SQLite recorder")
def durable_append(size: Size) -> Iterator[Pair]:
    """The median publish / the median `insert_events` of one event that has been made before; each on the disk."""
    count, numbers = size(500), itertools.count(1)
    with both() as (recorder, store):

        def reference() -> float:
            events = iter([(peer().stored(next(numbers), _STATE),) for _ in range(count)])
            return median(count, lambda: recorder.insert_events(next(events)))

        yield Pair(reference, lambda: median(count, lambda: hume.publish(store, "stream", _PAYLOAD)))


@benchmark("durable append, 8 threads", at_least(4), reference="SQLite recorder")
def durable_append_by_threads(size: Size) -> Iterator[Pair]:
    """An event of those that 8 threads publish at once, each to a stream of its own / `insert_events` by 8 threads."""
    count, numbers = size(150), itertools.count(1)
    with both() as (recorder, store), ThreadPoolExecutor(_THREADS) as pool:

        def theirs(thread: int) -> None:
            events = [(peer().stored(next(numbers), _STATE, f"stream-{thread}"),) for _ in range(count)]
            for event in events:
                recorder.insert_events(event)

        def ours(thread: int) -> None:
            for _ in range(count):
                hume.publish(store, f"stream-{thread}", _PAYLOAD)

        def together(work: Callable[[int], None]) -> float:
            began = perf_counter()
            list(pool.map(work, range(_THREADS)))
            return (perf_counter() - began) / (count * _THREADS)

        yield Pair(lambda: together(theirs), lambda: together(ours))


@benchmark("durable batches", at_most(1.5), reference="executemany")
def durable_batches(size: Size) -> Iterator[Pair]:
    """An event in batches of 100, a transaction each / a bare `executemany` of such rows into tables like ours."""
    batches, positions = size(200), itertools.count(1)
    with folder() as where:
        store = store_of(where / "ours.db")
        hume.stop(store_of(where / "bare.db")._mailbox.ref)
        with closing(sqlite3.connect(where / "bare.db", isolation_level=None)) as bare:
            bare.execute("PRAGMA synchronous = FULL")
            bare.execute("INSERT INTO streams VALUES (1, 'stream')")

            def rows() -> list[tuple[Any, ...]]:
                return [(n, 1, n, "dict", 1, _STATE, None, 1_700_000_000_000_000, None) for n in batch_of(positions)]

            def insert(batch: list[tuple[Any, ...]]) -> None:
                bare.execute("BEGIN IMMEDIATE")
                bare.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", batch)
                bare.execute("COMMIT")

            def reference() -> float:
                made = iter([rows() for _ in range(batches)])
                return mean(batches, lambda: insert(next(made))) / 100

            batch = [_PAYLOAD] * 100
            yield Pair(reference, lambda: mean(batches, lambda: hume.publish_many(store, "stream", batch)) / 100)


def batch_of(numbers: Iterator[int]) -> Iterator[int]:
    """Return the next hundred."""
    return itertools.islice(numbers, 100)


@benchmark("durable read", at_least(4), reference="mapper, recorder")
def durable_read(size: Size) -> Iterator[Pair]:
    """An event of 20,000 read back, with its payload / by the peer's recorder and mapper, from a file of its own."""
    count = size(20_000)
    with both() as (recorder, store):
        mapper = peer().mapper()
        recorder.insert_events([mapper.to_stored_event(peer().added(seq, _PAYLOAD)) for seq in range(1, count + 1)])
        filled(store, "stream", count, _PAYLOAD)

        def reference() -> float:
            began = cpu()
            events = [mapper.to_domain_event(one) for one in recorder.select_events(peer().ORIGIN)]
            seconds = cpu() - began
            assert len(events) == count
            assert events[-1].payload == _PAYLOAD
            return seconds / count

        yield Pair(reference, lambda: read_back(store, count))


@benchmark("durable read, bare", at_least(0.5), reference="fetchall")
def durable_read_bare(size: Size) -> Iterator[Pair]:
    """An event of 20,000 read back, with its payload / a bare `fetchall` of the same rows, in the same order."""
    count = size(20_000)
    with folder() as where:
        store = store_of(where / "ours.db")
        filled(store, "stream", count, _PAYLOAD)
        with closing(sqlite3.connect(where / "ours.db")) as bare:

            def reference() -> float:
                began = cpu()
                rows = bare.execute(_READ, ("stream",)).fetchall()
                seconds = cpu() - began
                assert len(rows) == count
                return seconds / count

            yield Pair(reference, lambda: read_back(store, count))


def read_back(store: Any, count: int) -> float:
    """Return the seconds an event, of reading so many."""
    began = cpu()
    events = list(store.events("stream"))
    seconds = cpu() - began
    assert len(events) == count
    assert events[-1].payload == _PAYLOAD
    return seconds / count


@benchmark("durable growth, append", at_most(1.2), reference="10,000 events")
def durable_growth_append(size: Size) -> Iterator[Pair]:
    """One publish into a stream of 1,000,000 events / of 10,000; without waits for the disk, which would hide it."""
    count = size(2_000)
    with grown(size) as (short, long):
        yield Pair(
            lambda: mean(count, lambda: hume.publish(short, "stream", _PAYLOAD), cpu),
            lambda: mean(count, lambda: hume.publish(long, "stream", _PAYLOAD), cpu),
        )


@benchmark("durable growth, read", at_most(1.2), reference="10,000 events")
def durable_growth_read(size: Size) -> Iterator[Pair]:
    """The last ten events read from a stream of 1,000,000 events / of 10,000."""
    count = size(2_000)
    with grown(size) as (short, long):

        def last_ten(store: Any) -> Callable[[], object]:
            return lambda: list(store.events("stream", store.last_seq("stream") - 10))

        yield Pair(lambda: mean(count, last_ten(short), cpu), lambda: mean(count, last_ten(long), cpu))


@contextmanager
def grown(size: Size) -> Iterator[tuple[Any, Any]]:
    """Give a store with few events in it, and one with many."""
    with folder() as where:
        short, long = (store_of(where / name, "normal") for name in ("short.db", "long.db"))
        filled(short, "stream", size(10_000), _PAYLOAD)
        filled(long, "stream", size(1_000_000), _PAYLOAD)
        yield short, long
