"""The commands that look: streams, events, snapshots."""

from __future__ import annotations

import itertools
import sys
import threading
import zlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import click

from hume._export_format import Writing
from hume.cli._lenient import LenientCodec
from hume.cli._options import as_json, examples, file, opened
from hume.cli._output import print_json, print_table, safe, shown_time
from hume.stores._record import EPOCH
from hume.stores._sqlite_read import _range

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hume.cli._file import FileReader
    from hume.stores._record import Record

__all__ = ["events", "snapshots", "streams"]

_POLL: Final = 0.1  # seconds between two looks for new events

_STREAMS: Final = """
    SELECT name, seq, recorded_at FROM streams JOIN events ON events.stream = streams.id
    WHERE name >= ? AND name < ? AND seq = (SELECT max(seq) FROM events WHERE stream = streams.id) ORDER BY name"""
_SNAPSHOTS: Final = """
    SELECT projection, seq, version, log_id, type, type_version, CAST(data AS BLOB), checksum
    FROM snapshots ORDER BY projection"""


@click.command(
    epilog=examples(
        "hume streams shop.db",
        "hume streams shop.db --prefix order- --json",
    )
)
@file
@click.option("--prefix", default="", help="Only those whose name begins so.")
@as_json
def streams(file: Path, prefix: str, *, as_json: bool) -> None:
    """List the streams and their last events."""
    found = (
        (name, seq, EPOCH + timedelta(microseconds=at))
        for name, seq, at in opened(file, LenientCodec()).rows(_STREAMS, *_range(prefix))
    )
    if as_json:
        for name, seq, at in found:
            print_json({"stream": name, "events": seq, "last_recorded_at": at.isoformat()})
    else:
        print_table(("stream", "events", "last event"), [(name, seq, shown_time(at)) for name, seq, at in found])


@click.command(
    epilog=examples(
        "hume events shop.db order-17",
        "hume events shop.db order-17 --after 100 --limit 10",
        "hume events shop.db --follow --json | jq .data",
    )
)
@file
@click.argument("stream", required=False)
@click.option("--after", type=click.IntRange(min=0), default=0, help="Begin after this number.")
@click.option("--limit", type=click.IntRange(min=0), help="Print at most so many.")
@click.option("--follow", "-f", is_flag=True, help="Wait for more, until Ctrl-C.")
@as_json
def events(file: Path, stream: str | None, after: int, limit: int | None, *, follow: bool, as_json: bool) -> None:
    """Print the events of a stream, or of all.

    Those of STREAM, by their numbers in it; or those of all streams, by their positions. As they are stored: number,
    time, type, data, metadata.
    """
    reader = opened(file, LenientCodec())
    writing = Writing(is_json=True)
    found = _followed(reader, stream, after) if follow else reader.each_record(stream, after)
    for record in itertools.islice(found, limit):
        sys.stdout.write(writing.line(record).decode() if as_json else _line(record, whole_log=stream is None))
        if follow:
            sys.stdout.flush()
    sys.stdout.flush()  # here, where a broken pipe can be told


def _followed(reader: FileReader, stream: str | None, after: int) -> Iterator[Record]:
    pause = threading.Event()  # which nobody sets; Ctrl-C ends the wait
    while True:
        for record in reader.each_record(stream, after):
            after = record.position if stream is None else record.seq
            yield record
        pause.wait(_POLL)


def _line(record: Record, *, whole_log: bool) -> str:
    number = f"{record.position:>8}  {safe(record.stream)} {record.seq}" if whole_log else f"{record.seq:>8}"
    kind = record.type_name if record.version == 1 else f"{record.type_name}@{record.version}"
    data = safe(record.data.decode(errors="replace"))
    about = "" if record.metadata is None else "  " + safe(record.metadata.decode(errors="replace"))
    return f"{number}  {shown_time(record.recorded_at)}  {safe(kind)}  {data}{about}\n"


@click.command(
    epilog=examples(
        "hume snapshots shop.db",
        "hume snapshots shop.db --json",
    )
)
@file
@as_json
def snapshots(file: Path, *, as_json: bool) -> None:
    """List the snapshots."""
    reader = opened(file, LenientCodec())
    found = [_snapshot(row, reader) for row in reader.rows(_SNAPSHOTS)]
    if as_json:
        for fields in found:
            print_json(fields)
        return
    head = ("projection", "seq", "version", "bytes", "state")
    print_table(head, [_cells(fields) for fields in found])


def _snapshot(row: tuple[Any, ...], reader: FileReader) -> dict[str, Any]:
    projection, seq, version, log_id, kind, type_version, data, checksum = row
    return {
        "projection": projection,
        "seq": seq,
        "version": version,
        "type": kind,
        "type_version": type_version,
        "bytes": len(data),
        "of_this_log": log_id == repr(reader.log_id),
        "damaged": zlib.crc32(data) != checksum,
    }


def _cells(fields: dict[str, Any]) -> tuple[object, ...]:
    state = "damaged" if fields["damaged"] else "ok" if fields["of_this_log"] else "of another log"
    return fields["projection"], fields["seq"], fields["version"], fields["bytes"], state
