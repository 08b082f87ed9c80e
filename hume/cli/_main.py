"""The group of commands: what is the same for each."""

from __future__ import annotations

import os
import sqlite3
import sys
from typing import Any

import click

from hume.cli._check import check
from hume.cli._options import examples
from hume.cli._output import one_line
from hume.cli._read import events, snapshots, streams
from hume.cli._replay import replay
from hume.cli._write import append, export, import_
from hume.errors import HumeError

__all__ = ["commands"]

_INTERRUPTED, _BROKEN_PIPE = 128 + 2, 128 + 13  # as a shell says of a program that a signal has ended


class _Commands(click.Group):
    """Turns errors into one line on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            _settle_output()
            ctx.exit(_BROKEN_PIPE)
        except (HumeError, OSError, sqlite3.Error, TypeError, ValueError) as error:
            _settle_output()
            raise click.ClickException(one_line(error)) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are added


def _settle_output() -> None:
    """Write what waits to be written; if that can't be, let nobody try again at the interpreter's end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(
    "hume",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "hume streams shop.db",
        "hume events shop.db order-17 --follow",
        "hume check shop.db",
    ),
)
@click.version_option(package_name="hume-es", prog_name="hume")
def commands() -> None:
    """Look into a log of events in a SQLite file, and work with it.

    Exits with 0 if all is well, 1 if something is wrong or was found to be, 2 if the command was not understood.
    """


for _command in (streams, events, snapshots, append, replay, export, import_, check):
    commands.add_command(_command)
