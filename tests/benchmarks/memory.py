"""Memory: each figure in a process of its own, by how much its resident set grows; ``... .memory WHAT COUNT`` is it."""

from __future__ import annotations

import gc
import itertools
import resource
import subprocess
import sys
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import hume
from tests.benchmarks.floor import Bare
from tests.benchmarks.projections import STORE, Total
from tests.benchmarks.suite import Pair, Size, at_most, benchmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT: Final = Path(__file__).parents[2]
_STREAMS: Final = 100
_numbers: Final = itertools.count()


@benchmark("memory", at_most(2.5), reference="(seq, payload)", unit="B")
def memory(size: Size) -> Iterator[Pair]:
    """Resident bytes an event, published one by one to 100 streams / as a pair in a list in a dict; payload: an int."""
    count = size(300_000, 30_000)
    yield Pair(lambda: measured("pairs", count), lambda: measured("events", count))


@benchmark("actors", at_most(1.5), reference="Pykka actor", unit="B")
def actors(size: Size) -> Iterator[Pair]:
    """Resident bytes of an idle projection, of 500 with a stream each / of an idle bare Pykka actor."""
    count = size(500, 50)
    yield Pair(lambda: measured("actors", count), lambda: measured("projections", count))


def measured(what: str, count: int) -> float:
    """Return the bytes that one of *count* takes, measured in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.memory", what, str(count)]
    done = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)  # noqa: S603 - ourselves
    return float(done.stdout)


# -- in the process of its own


def resident() -> int:
    """Return the bytes of this process that are in memory; where the system has no /proc, the most there ever were."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * resource.getpagesize()


def events(count: int) -> object:
    """Publish so many events."""
    for number in range(count):
        hume.publish(STORE, number % _STREAMS, 1000 + number)
    return None


def pairs(count: int) -> object:
    """Make the same events, with nothing around them."""
    logs: dict[int, list[tuple[int, int]]] = {}
    for number in range(count):
        log = logs.setdefault(number % _STREAMS, [])
        log.append((len(log) + 1, 1000 + number))
    return logs


def projections(count: int) -> object:
    """Start so many projections."""
    return [Total.start_link(stream=next(_numbers)) for _ in repeat(None, count)]


def pykka_actors(count: int) -> object:
    """Start so many bare Pykka actors."""
    return [Bare.start() for _ in repeat(None, count)]


_WORKS: Final[dict[str, Callable[[int], Any]]] = {
    "events": events,
    "pairs": pairs,
    "projections": projections,
    "actors": pykka_actors,
}


def main(what: str, count: int) -> None:
    """Print the bytes for one, after a few for warmth."""
    STORE.start_link()
    work = _WORKS[what]
    warm = work(10)
    before = resident()
    kept = work(count)
    sys.stdout.write(f"{(resident() - before) / count}\n")
    del warm, kept


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
