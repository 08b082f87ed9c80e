"""What a benchmark is, and how one is run: reference, ours, reference, ours, ..."""

from __future__ import annotations

import gc
import importlib
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import repeat
from time import perf_counter, process_time
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Clock",
    "Figure",
    "Pair",
    "Result",
    "Size",
    "Target",
    "at_least",
    "at_most",
    "benchmark",
    "cpu",
    "mean",
    "median",
    "no_target",
    "peer",
    "run",
]

Round: TypeAlias = Callable[[], float]
"""Does the work once, and returns what one unit of it cost, in the benchmark's unit: less is better."""


Clock: TypeAlias = Callable[[], float]


class Pair(NamedTuple):
    """What is compared: to be run in turn."""

    reference: Round
    ours: Round


class Size:
    """How much work a run is: all of it, or with ``--quick`` a part, which shows that it runs and nothing else."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick

    def __call__(self, full: int, quick: int | None = None) -> int:
        """Return *full*, or for a quick run *quick*, by default a hundredth."""
        if not self._quick:
            return full
        return max(1, full // 100) if quick is None else quick


class Target(NamedTuple):
    """What the ratio must be: ours by the reference ("at most"), or the reference by ours ("at least": so many times as
    fast)."""

    bound: float
    is_floor: bool = False

    def ratio(self, reference: float, ours: float) -> float:
        """Return the ratio as the target counts it."""
        return reference / ours if self.is_floor else ours / reference

    def is_met(self, ratio: float) -> bool:
        """Tell whether a ratio is good enough."""
        return ratio >= self.bound if self.is_floor else ratio <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.is_floor else '<='} {self.bound:g}"


def at_most(bound: float) -> Target:
    """Ours takes at most so many times what the reference takes."""
    return Target(bound)


def at_least(bound: float) -> Target:
    """Ours is at least so many times as fast as the reference."""
    return Target(bound, is_floor=True)


no_target: Final = Target(float("inf"))  # for what is good to know


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One row of the table."""

    name: str
    target: Target
    reference: str  # what ours is compared with
    unit: str
    what: str  # is measured
    pairs: Callable[[Size], AbstractContextManager[Pair]]


BENCHMARKS: Final[dict[str, Benchmark]] = {}


def benchmark(
    name: str, target: Target, *, reference: str, unit: str = "s"
) -> Callable[[Callable[[Size], Iterator[Pair]]], Callable[[Size], Iterator[Pair]]]:
    """Make a row of a generator that sets up, yields a `Pair`, and clears away; its docstring says what is measured."""

    def register(pairs: Callable[[Size], Iterator[Pair]]) -> Callable[[Size], Iterator[Pair]]:
        what = " ".join((pairs.__doc__ or "").split())
        BENCHMARKS[name] = Benchmark(name, target, reference, unit, what, contextmanager(pairs))
        return pairs

    return register


class Figure(NamedTuple):
    """The median of several runs, and the quartiles around it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, runs: list[float]) -> Figure:
        """Return the figure of these runs, of which there are at least two."""
        low, middle, high = statistics.quantiles(runs, n=4, method="inclusive")
        return cls(middle, low, high)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of a benchmark gave; of a skipped one, why."""

    benchmark: Benchmark
    reference: Figure | None = None
    ours: Figure | None = None
    ratio: Figure | None = None  # of each of our runs to the run of the reference just before it
    skipped: str | None = None

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; `None` where there is none, or no figure."""
        target = self.benchmark.target
        return None if self.ratio is None or target is no_target else target.is_met(self.ratio.median)


def run(one: Benchmark, size: Size, rounds: int) -> Result:
    """Run a benchmark: once for warmth, and then *rounds* times reference and ours in turn."""
    try:
        with one.pairs(size) as pair:
            for work in pair:
                work()
            runs = [(_clean(pair.reference), _clean(pair.ours)) for _ in repeat(None, rounds)]
    except ModuleNotFoundError as error:
        return Result(one, skipped=f"{error.name} is not installed: pip install 'hume-es[bench]'")
    reference, ours = map(list, zip(*runs, strict=True))
    ratios = [one.target.ratio(*both) for both in runs]
    return Result(one, Figure.of(reference), Figure.of(ours), Figure.of(ratios))


def _clean(work: Round) -> float:
    gc.collect()  # so that nobody pays for the one before; while it runs the collector is on, as in a user's program
    return work()


def peer() -> Any:
    """Return `tests.benchmarks.peer`; where the library that it drives is not installed, the row says so."""
    return importlib.import_module("tests.benchmarks.peer")


# -- clocks

# Of work that waits for nothing, CPU seconds: another program that has the CPU for a while does not stretch them.
cpu: Final[Clock] = process_time


def mean(count: int, work: Callable[[], object], clock: Clock = perf_counter) -> float:
    """Return the seconds that *work* takes on average, done *count* times in a row."""
    began = clock()
    for _ in repeat(None, count):
        work()
    return (clock() - began) / count


def median(count: int, work: Callable[[], object], between: Callable[[], object] | None = None) -> float:
    """Return the median of the seconds that *work* takes each time; *between* two times, something not counted."""
    times: list[float] = []
    for _ in repeat(None, count):
        times.append(mean(1, work))
        if between is not None:
            between()
    return statistics.median(times)
