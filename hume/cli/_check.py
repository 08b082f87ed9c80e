"""The command that verifies a file: check."""

from __future__ import annotations

import ast
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from hume.cli._lenient import codec_for
from hume.cli._options import as_json, examples, file, imports, opened
from hume.cli._output import print_json, progress, safe
from hume.errors import DecodeError
from hume.stores._codec import Encoded

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hume.cli._file import FileReader
    from hume.stores._codec import Codec

__all__ = ["check"]

_EVENTS: Final = """
    SELECT position, events.stream, s.name, seq, type, version, data, metadata, recorded_at, events.id
    FROM events LEFT JOIN streams s ON s.id = events.stream ORDER BY position"""
_SNAPSHOTS: Final = "SELECT projection, seq, log_id, type, type_version, CAST(data AS BLOB), checksum FROM snapshots"


_YEAR_10000: Final = 253_402_300_800_000_000  # in microseconds since 1970
_UUID_BYTES: Final = 16


class Problem(NamedTuple):
    """Something that is not as it should be, and where."""

    where: str
    what: str


@click.command(
    epilog=examples(
        "hume check shop.db",
        "hume check shop.db --import shop.events --json",
    )
)
@file
@imports
@as_json
def check(file: Path, modules: list[types.ModuleType], *, as_json: bool) -> None:
    """Verify numbers, payloads and snapshots.

    Numbers have no gaps, payloads can be decoded, snapshots are whole and not ahead of the log. Prints each problem
    that there is, and exits with 1 if there is one. Without --import, payloads of classes must be JSON; with it, each
    must be of a class that is known, and fit it.
    """
    reader = opened(file, codec_for(modules))
    count = 0
    for problem in _problems(reader):
        count += 1
        if as_json:
            print_json(problem._asdict())
        else:
            click.echo(safe(f"{problem.where}: {problem.what}"))
    if count:
        click.echo(f"{count} problem{'s' * (count > 1)} found", err=True)
        click.get_current_context().exit(1)
    if not as_json:
        click.echo(f"no problem found (events: {reader.last_position()}, streams: {len(reader.streams())})")


def _problems(reader: FileReader) -> Iterator[Problem]:
    broken = [row[0] for row in reader.rows("PRAGMA integrity_check") if row[0] != "ok"]
    if broken:  # what stands in it means nothing then
        yield from (Problem("the file", what) for what in broken)
        return
    with progress(reader.last_position()) as show:
        yield from _events(reader, show)
    yield from _snapshots(reader)


def _events(reader: FileReader, show: Callable[[int], object]) -> Iterator[Problem]:
    last, seqs = 0, dict[int, int]()
    for position, stream, name, seq, kind, version, data, metadata, recorded_at, one in reader.rows(_EVENTS):
        where = f"event {seq} of stream {name!r} (position {position})"
        if position != last + 1:
            yield Problem(where, f"its position follows {last}: {_gap(last, position)}")
        expected = seqs.get(stream, 0) + 1
        if seq != expected:
            yield Problem(where, f"its number follows {expected - 1}: {_gap(expected - 1, seq)}")
        if name is None:
            yield Problem(where, "its stream has no name")
        for what in (*_faults(reader.codec, Encoded(kind, version, data), metadata), *_oddities(recorded_at, one)):
            yield Problem(where, what)
        last, seqs[stream] = position, seq
        show(position)


def _gap(last: int, found: int) -> str:
    if found <= last:
        return "it is there twice, or out of order"
    missing = found - last - 1
    return f"{last + 1} is missing" if missing == 1 else f"{last + 1} to {found - 1} are missing"


def _faults(codec: Codec, payload: Encoded, metadata: bytes | None) -> Iterator[str]:
    yield from _undecodable(codec, payload)
    if metadata is not None:
        kind, version, _ = codec.encode({})
        for what in _undecodable(codec, Encoded(kind, version, metadata)):
            yield f"its metadata: {what}"


def _oddities(recorded_at: object, one: object) -> Iterator[str]:
    if not isinstance(recorded_at, int) or not 0 <= recorded_at < _YEAR_10000:
        yield f"its time is no number of microseconds from 1970 to 9999, but {recorded_at!r}"
    if one is not None and not (isinstance(one, bytes) and len(one) == _UUID_BYTES):
        yield f"its id is no UUID, but {one!r}"


def _undecodable(codec: Codec, payload: Encoded) -> Iterator[str]:
    if not isinstance(payload.data, bytes):
        yield f"its data are no bytes, but {payload.data!r}"
        return
    try:
        codec.decode(*payload)
    except DecodeError as error:
        yield str(error)


def _snapshots(reader: FileReader) -> Iterator[Problem]:
    for projection, seq, log_id, kind, version, data, checksum in reader.rows(_SNAPSHOTS):
        where = f"snapshot of {projection}"
        if zlib.crc32(data) != checksum:
            yield Problem(where, "it is truncated or damaged")
            continue
        for what in _undecodable(reader.codec, Encoded(kind, version, data)):
            yield Problem(where, what)
        if log_id == repr(reader.log_id):  # others may be here too, where a file has snapshots of another log
            last = _last(reader, projection)
            if seq > last:
                yield Problem(where, f"it is ahead of its log: it has event {seq}, and the last one is {last}")


def _last(reader: FileReader, projection: str) -> int:
    """Return the number that a snapshot can't be above: its stream's last, where its identity says which that is."""
    try:
        identity: Any = ast.literal_eval(projection)
    except (SyntaxError, ValueError):  # it follows several streams
        return reader.last_position()
    if isinstance(identity, tuple) and len(identity) == 2 and all(isinstance(part, str) for part in identity):  # noqa: PLR2004 - class and stream
        return reader.last_seq(identity[1])
    return reader.last_position()
