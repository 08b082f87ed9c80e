"""The command that folds events without an actor: replay."""

from __future__ import annotations

import json
import pprint
import sys
import traceback
from typing import TYPE_CHECKING, Any, Final

import click

from hume._behaviour import Clauses, bare
from hume._feed import feed_of
from hume._projection import Projection
from hume._replay import Fold, apply
from hume.cli._lenient import codec_for
from hume.cli._options import as_json, examples, file, imports, module_named, opened
from hume.cli._output import one_line, print_json, progress
from hume.errors import HumeError
from hume.stores._selector import ALL, prefix

if TYPE_CHECKING:
    import types
    from pathlib import Path

    from hume._feed import Feed
    from hume.cli._file import FileReader

__all__ = ["replay"]

_PAGE: Final = 500  # events that are folded between two looks at the progress


@click.command(
    epilog=examples(
        "hume replay shop.db shop.stock:Stock --stream warehouse",
        "hume replay shop.db shop.sales:Sales --prefix order- --json",
    )
)
@file
@click.argument("projection", metavar="MODULE:PROJECTION")
@click.option("--stream", "streams", multiple=True, help="A stream that is folded; may be given again.")
@click.option("--prefix", "start", help="Fold the streams whose name begins so.")
@click.option("--all", "whole_log", is_flag=True, help="Fold all streams.")
@imports
@as_json
def replay(  # noqa: PLR0917 - an option each
    file: Path,
    projection: str,
    streams: tuple[str, ...],
    start: str | None,
    whole_log: bool,  # noqa: FBT001 - click gives it by name
    modules: list[types.ModuleType],
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Fold events with a projection's handlers.

    From the first event on; prints the state. No actor is started, and no snapshot read or saved. The projection's
    module is imported, from here as well.
    """
    selected = _selected(streams, start, whole_log=whole_log)
    module, _, name = projection.partition(":")
    cls = _class(module_named(module), name)
    reader = opened(file, codec_for([sys.modules[module], *modules]))
    fold, events = _folded(cls, reader, feed_of(selected))
    if as_json:
        kind, _, data = reader.codec.encode(fold.state)
        print_json({"seq": fold.seq, "events": events, "type": kind, "state": json.loads(data)})
    else:
        click.echo(pprint.pformat(fold.state, sort_dicts=False))
        click.echo(f"{events} events, up to number {fold.seq}", err=True)


def _selected(streams: tuple[str, ...], start: str | None, *, whole_log: bool) -> Any:
    """Return what `hume.start` would take as ``stream=``."""
    if bool(streams) + (start is not None) + whole_log != 1:
        msg = "say what is to be folded: --stream, --prefix or --all"
        raise click.UsageError(msg)
    if whole_log:
        return ALL
    if start is not None:
        return prefix(start)
    return streams[0] if len(streams) == 1 else list(streams)


def _class(module: types.ModuleType, name: str) -> type[Projection[Any]]:
    found = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Projection)]
    cls = getattr(module, name, None)
    if name not in found or cls is None:
        there = ", ".join(f"{module.__name__}:{key}" for key in found if key != "Projection") or "none"
        msg = f"{module.__name__}:{name} is no projection; there is {there}"
        raise click.BadParameter(msg)
    return cls  # type: ignore[no-any-return]  # a subclass of Projection, as was found


def _folded(cls: type[Projection[Any]], reader: FileReader, feed: Feed) -> tuple[Fold, int]:
    """Return the fold of all events that there are now, and how many these were."""
    instance = bare(cls)
    clauses = Clauses(instance, cls.__hume_handlers__, strict=cls.__hume_options__.strict)
    events, last = 0, feed.last(reader)
    fold = Fold(0, instance.init_state(None), feed.cursor)
    with progress(last) as show:
        while fold.seq < last:
            page, end, _ = feed.page(reader, fold.seq, min(_PAGE, last - fold.seq))
            try:
                apply(fold, clauses, page)
            except HumeError as error:
                error.add_note(f"at event {fold.seq + 1}")
                raise
            except Exception as error:
                raise _failed(error, fold.seq + 1) from error
            fold.seq = end
            events += len(page.payloads)
            show(end)
    return fold, events


def _failed(error: Exception, seq: int) -> click.ClickException:
    """Return what says where a handler failed: a user looks for that, and not for our part of the traceback."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {one_line(error)}"
    return click.ClickException(f"event {seq}: {said} ({place.filename}, line {place.lineno}, in {place.name})")
