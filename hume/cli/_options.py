"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hume.cli._file import FileReader
from hume.cli._lenient import load
from hume.cli._output import one_line

if TYPE_CHECKING:
    import types

    from hume.stores._codec import JSONCodec

__all__ = ["as_json", "examples", "file", "imports", "module_named", "opened"]

file = click.argument("file", type=click.Path(path_type=Path))
as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")


def examples(*lines: str) -> str:
    """Return what stands at the end of a command's help."""
    return "\n  ".join(("\b\nExamples:", *lines))  # "\b": the lines stay as they are


def opened(path: Path, codec: JSONCodec) -> FileReader:
    """Return a file's events, until the command ends.

    Raises:
        StorageFailed: there is no such file, or it is not ours.
    """
    reader = FileReader(path, codec)
    click.get_current_context().call_on_close(reader.close)  # here, as SQLite then takes its own files away
    return reader


def module_named(name: str) -> types.ModuleType:
    """Return a module that the user has named, or say that it can't be had.

    Raises:
        click.BadParameter: why not.
    """
    try:
        return load(name)
    except Exception as error:
        msg = f"can't import {name!r}: {type(error).__name__}: {one_line(error)}"
        raise click.BadParameter(msg) from error


def _modules(_ctx: click.Context, _param: click.Parameter, names: tuple[str, ...]) -> list[Any]:
    return [module_named(name) for name in names]


imports = click.option(
    "--import",
    "modules",
    metavar="MODULE",
    multiple=True,
    callback=_modules,
    help="Import a module that has events' classes and upcasters; may be given again.",
)
