"""The commands that move events: append, export, import."""

from __future__ import annotations

import json
import sys
import uuid
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hume import telemetry
from hume._api import publish_many
from hume._transfer import export_events, import_events
from hume.actors._calls import stop
from hume.cli._file import FileReader
from hume.cli._lenient import LenientCodec, codec_for
from hume.cli._options import as_json, examples, file, imports, opened
from hume.cli._output import print_json, progress
from hume.errors import StorageFailed
from hume.stores._codec import Encoded, JSONCodec
from hume.stores._sqlite import SQLiteEventStore

if TYPE_CHECKING:
    import types
    from collections.abc import Generator, Iterator, Mapping

    from hume.stores._codec import Codec

__all__ = ["append", "export", "import_"]


@click.command(
    epilog=examples(
        'hume append shop.db notes \'{"text": "counted the tea"}\'',
        'hume append shop.db order-17 --type order-placed \'{"item": "tea"}\' --expect-seq 0',
        "hume append shop.db warehouse --type tuple - < movements.jsonl",
    )
)
@file
@click.argument("stream")
@click.argument("payloads", metavar="JSON...", nargs=-1, required=True)
@click.option("--type", "type_name", help="The events' type; default: that of the JSON, such as dict.")
@click.option("--version", type=click.IntRange(min=1), default=1, show_default=True, help="The version of the type.")
@click.option("--expect-seq", type=click.IntRange(min=0), help="Append only if this is the stream's last number.")
@click.option("--metadata", help="A JSON object of what is to be said about the events.")
@click.option("--create", is_flag=True, help="Make the file if there is none.")
@imports
@as_json
def append(  # noqa: PLR0917 - an option each
    file: Path,
    stream: str,
    payloads: tuple[str, ...],
    type_name: str | None,
    version: int,
    expect_seq: int | None,
    metadata: str | None,
    create: bool,  # noqa: FBT001 - click gives it by name
    modules: list[types.ModuleType],
    as_json: bool,  # noqa: FBT001 - as above
) -> None:
    """Append events to a stream, all or none.

    Prints the last one's number. JSON is an event each, or "-": as many as there are lines on stdin. With --type it is
    the data of an event of that type, as they stand in the file; with --import, too, it is checked against its class.
    """
    given = [_parsed(text) for text in _texts(payloads)]
    events: list[Any] = given
    if type_name is not None:
        events = [Encoded(type_name, version, json.dumps(data, separators=(",", ":")).encode()) for data in given]
        codec = codec_for(modules)
        for event in events:
            codec.decode(*event)
    about = None if metadata is None else _object(metadata)
    if not create and not file.exists():
        raise StorageFailed(file, "append to it", "there is no such file; with --create it is made")
    with _store(file, LenientCodec()) as store:
        seq = publish_many(store, stream, events, expect_seq=expect_seq, metadata=about)
    if as_json:
        print_json({"stream": stream, "seq": seq})
    else:
        click.echo(seq)


def _texts(payloads: tuple[str, ...]) -> Iterator[str]:
    for text in payloads:
        if text == "-":
            yield from (line for line in sys.stdin if line.strip())
        else:
            yield text


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        msg = f"{text.strip()!r} is no JSON: {error}; a text is written as '\"text\"'"
        raise click.BadParameter(msg) from error


def _refuse_constant(name: str) -> None:
    msg = f"it has no {name}"
    raise ValueError(msg)


def _object(text: str) -> dict[str, Any]:
    found = _parsed(text)
    if not isinstance(found, dict):
        msg = f"--metadata must be a JSON object, not {text}"
        raise click.BadParameter(msg)
    return found


@contextmanager
def _store(path: Path, codec: Codec) -> Generator[Any]:
    store = SQLiteEventStore.start(path, name=uuid.uuid4(), codec=codec)
    try:
        yield store
    finally:
        stop(store)


@contextmanager
def _progress(name: str, total: int | None) -> Generator[None]:
    event, handler_id = ("hume", "store", name), object()
    with progress(total) as show:

        def tell(_name: object, measured: Mapping[str, int], _about: object, _config: object) -> None:
            show(measured["events"])

        telemetry.attach(handler_id, event, tell)
        try:
            yield
        finally:
            telemetry.detach(handler_id)


@click.command(
    epilog=examples(
        "hume export shop.db shop.jsonl",
        "hume export shop.db | gzip > shop.jsonl.gz",
    )
)
@file
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-")
def export(file: Path, target: Path) -> None:
    """Write all events as JSON Lines.

    To TARGET, or to stdout; with ids, numbers, times and metadata, as they are stored. `hume import` makes a log of
    them again.
    """
    reader = opened(file, JSONCodec())
    with _progress("export", reader.last_position()):
        count = export_events(reader, sys.stdout.buffer if str(target) == "-" else target)
        sys.stdout.flush()  # here, where a broken pipe can be told; `click.echo` does so by itself
    click.echo(f"{count} events exported", err=True)


@click.command(
    "import",
    epilog=examples(
        "hume import copy.db shop.jsonl",
        "gunzip < shop.jsonl.gz | hume import copy.db --import shop.events",
    ),
)
@file
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default="-")
@imports
@as_json
def import_(file: Path, source: Path, modules: list[types.ModuleType], *, as_json: bool) -> None:
    """Store what `hume export` has written.

    Reads SOURCE, or stdin, and makes FILE if there is none. Ids, numbers and times are kept. Events that FILE has
    already are passed over, so nothing happens the second time. With --import each event must be of a class that is
    known; without, those of unknown classes are stored as they are.
    """
    is_new = not file.exists()
    try:
        with _store(file, codec_for(modules)) as store, _progress("import", None):
            new = import_events(sys.stdin.buffer if str(source) == "-" else source, store)
    except BaseException:
        if is_new and _is_empty(file):
            file.unlink()
        raise
    if as_json:
        print_json({"new": new})
    else:
        click.echo(f"{new} events imported")


def _is_empty(file: Path) -> bool:
    if not file.exists():
        return False
    with closing(FileReader(file, JSONCodec())) as reader:
        return reader.last_position() == 0
