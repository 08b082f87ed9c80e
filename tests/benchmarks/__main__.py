"""Run the benchmarks, and print what Hume takes beside its references; ratios are what counts."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path

from tests.benchmarks.profiler import profile
from tests.benchmarks.report import HEADER, as_json, row, shares
from tests.benchmarks.suite import BENCHMARKS, Benchmark, Size, run

for area in ("in_memory", "scale", "memory", "durable"):  # in the order of the table
    importlib.import_module(f"tests.benchmarks.{area}")


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line asks for."""
    options = parser().parse_args(arguments)
    out = sys.stderr if options.json == "-" else sys.stdout  # the JSON is to be alone where it goes
    if options.list:
        out.writelines(f"{one.name:30} {one.what}\n" for one in BENCHMARKS.values())
        return
    size = Size(quick=options.quick)
    if options.profile:
        for one in chosen(options.only):
            out.write(f"{one.name}\n{shares(profile(one, size))}\n")
        return
    out.write(f"{HEADER}\n")
    results = []
    for one in chosen(options.only):
        results.append(run(one, size, options.rounds))
        out.write(f"{row(results[-1], quick=options.quick)}\n")
        out.flush()
    if options.json is not None:
        text = json.dumps(as_json(results, quick=options.quick, rounds=options.rounds), indent=2) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
        else:
            Path(options.json).write_text(text, encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    made.add_argument("--only", nargs="+", metavar="NAME", help="the rows of these names, or that begin with them")
    made.add_argument("--list", action="store_true", help="say which there are, and what each measures")
    made.add_argument("--quick", action="store_true", help="little of each, to see that they run; no figures to go by")
    made.add_argument("--rounds", type=rounds, default=5, metavar="N", help="runs of each, in turn (default: 5)")
    made.add_argument("--profile", action="store_true", help="say instead where Hume spends the time, by py-spy")
    made.add_argument("--json", metavar="FILE", help="write the figures to a file; -: to the standard output")
    return made


def rounds(text: str) -> int:
    """Return the number of runs; of fewer than two there are no quartiles."""
    number = int(text)
    if number < 2:
        msg = f"there must be at least 2 rounds, not {number}"
        raise argparse.ArgumentTypeError(msg)
    return number


def chosen(names: list[str] | None) -> list[Benchmark]:
    """Return the rows of these names; of a name that no row has, those that begin with it."""
    if names is None:
        return list(BENCHMARKS.values())
    rows: dict[str, Benchmark] = {}
    for name in names:
        found = (
            [BENCHMARKS[name]] if name in BENCHMARKS else [b for b in BENCHMARKS.values() if b.name.startswith(name)]
        )
        if not found:
            parser().error(f"no row is called {name!r}, or begins so; there are: {'; '.join(BENCHMARKS)}")
        rows.update((one.name, one) for one in found)
    return list(rows.values())


if __name__ == "__main__":
    main()
