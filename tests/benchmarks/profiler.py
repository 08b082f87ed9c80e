"""Where Hume's side of a benchmark spends its time: py-spy samples it from outside, which slows nothing down."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.benchmarks.suite import Benchmark, Size

__all__ = ["own_time", "profile"]

_RATE: Final = 500  # samples a second
_SECONDS: Final = 4
_ROOT: Final = f"{Path(__file__).parents[2]}/"


def profile(one: Benchmark, size: Size) -> Counter[str]:
    """Run Hume's side for some seconds; return how often each function was found with Python's lock in its hands.

    Raises:
        ModuleNotFoundError: a library that is measured beside is not installed.
        FileNotFoundError: py-spy is not.
        CalledProcessError: py-spy may not look at this process; on Linux it needs root, or ``ptrace_scope`` 0.
    """
    with one.pairs(size) as pair, TemporaryDirectory() as folder:
        pair.ours()
        stacks = Path(folder, "stacks")
        options = {"pid": os.getpid(), "rate": _RATE, "duration": _SECONDS, "format": "raw", "output": stacks}
        command = [str(Path(sys.executable).with_name("py-spy")), "record", "--gil"]
        command += [part for name, value in options.items() for part in (f"--{name}", str(value))]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as spy:  # noqa: S603 - ours
            while spy.poll() is None:
                pair.ours()
        if spy.returncode:
            raise subprocess.CalledProcessError(spy.returncode, command)
        return own_time(stacks.read_text(encoding="utf-8").splitlines())


def own_time(stacks: Iterable[str]) -> Counter[str]:
    """Return how often each function was the innermost one, of lines such as ``outer (file:1);inner (file:2) 42``."""
    found: Counter[str] = Counter()
    for line in stacks:
        frames, _, number = line.rpartition(" ")
        function, _, place = frames.rpartition(";")[2].rpartition(" (")
        found[f"{function} ({place.rpartition(':')[0].removeprefix(_ROOT)})"] += int(number)
    return found
