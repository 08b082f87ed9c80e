"""What the commands print: text that does a terminal no harm, JSON a line each, and how far a long work is."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable
    from datetime import datetime

__all__ = ["one_line", "print_json", "print_table", "progress", "safe", "shown_time"]


def safe(text: object) -> str:
    """Return text without what a terminal would take for more than text."""
    said = str(text)
    if said.isprintable():
        return said
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in said)


def shown_time(at: datetime) -> str:
    """Return a time for people, who want no microseconds."""
    return at.strftime("%Y-%m-%d %H:%M:%SZ")


def one_line(error: BaseException) -> str:
    """Return what an error says, and what was noted on it, in one line."""
    said = str(error) or type(error).__name__
    return safe("; ".join([*said.splitlines(), *getattr(error, "__notes__", ())]))


def print_json(fields: dict[str, Any]) -> None:
    """Print an object on a line of its own."""
    click.echo(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def print_table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    """Print rows below a head, in columns; numbers to the right."""
    cells = [head, *(tuple(safe(value) for value in row) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [all(cell.isdigit() for cell in column[1:]) for column in zip(*cells, strict=True)]
    for row in cells:
        fitted = [cell.rjust(n) if r else cell.ljust(n) for cell, n, r in zip(row, widths, right, strict=True)]
        click.echo("  ".join(fitted).rstrip())


@contextmanager
def progress(total: int | None) -> Generator[Callable[[int], object]]:
    """Show on stderr, if that is a terminal, how many events are done: give what tells their number."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich import progress as bars  # noqa: PLC0415 - takes its time to load, and few commands need it
    from rich.console import Console  # noqa: PLC0415 - as above

    class Rate(bars.ProgressColumn):
        def render(self, task: bars.Task) -> str:
            return "" if task.speed is None else f"{task.speed:,.0f} events/s"

    columns = (bars.BarColumn(), bars.MofNCompleteColumn(), Rate(), bars.TimeRemainingColumn())
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total)
        yield lambda done: shown.update(task, completed=done)
