"""The table for the terminal, and the same as JSON."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, Any

from tests.benchmarks.suite import no_target

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from tests.benchmarks.suite import Figure, Result

__all__ = ["HEADER", "as_json", "row", "shares"]

_SCALES = {
    "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
    "B": ((2**20, "MiB"), (2**10, "KiB"), (1, "B")),
}
_FORMAT = "{:30} {:21} {:>18} {:>18} {:>20} {:>8}  {}"

HEADER = _FORMAT.format("work", "beside", "reference ± iqr", "hume ± iqr", "ratio (quartiles)", "target", "")


def row(result: Result, *, quick: bool) -> str:
    """Return a result's line; of a quick run without saying whether the target is met."""
    one = result.benchmark
    if result.reference is None or result.ours is None or result.ratio is None:
        return f"{one.name:30} {one.reference:21} skipped: {result.skipped}"
    median, low, high = result.ratio
    mark = {True: "met", False: "MISSED", None: ""}[None if quick else result.is_met]
    target = "" if one.target is no_target else str(one.target)
    ratio = f"{median:.3g} ({low:.3g}-{high:.3g})"
    return _FORMAT.format(
        one.name,
        one.reference,
        _scaled(result.reference, one.unit),
        _scaled(result.ours, one.unit),
        ratio,
        target,
        mark,
    ).rstrip()


def shares(found: Counter[str], most: int = 12) -> str:
    """Return the lines of a profile: the functions with the most time of their own."""
    total = found.total() or 1
    return "\n".join(f"{number / total:7.1%}  {function}" for function, number in found.most_common(most))


def _scaled(figure: Figure, unit: str) -> str:
    factor, name = next((scale for scale in _SCALES[unit] if figure.median >= scale[0]), _SCALES[unit][-1])
    return f"{figure.median / factor:.3g} ± {(figure.high - figure.low) / factor:.2g} {name}"


def as_json(results: Sequence[Result], *, quick: bool, rounds: int) -> dict[str, Any]:
    """Return what can be written as JSON; figures are in seconds or bytes a unit of work."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "switch_interval": sys.getswitchinterval(),
        "quick": quick,
        "rounds": rounds,
        "rows": [_as_json(result, quick=quick) for result in results],
    }


def _as_json(result: Result, *, quick: bool) -> dict[str, Any]:
    one = result.benchmark
    figures = {"reference": result.reference, "ours": result.ours, "ratio": result.ratio}
    return {
        "name": one.name,
        "what": one.what,
        "beside": one.reference,
        "unit": one.unit,
        "target": None if one.target is no_target else str(one.target),
        "met": None if quick else result.is_met,
        "skipped": result.skipped,
        **{name: None if figure is None else figure._asdict() for name, figure in figures.items()},
    }
