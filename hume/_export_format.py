"""The file that an export writes: JSON Lines in UTF-8.

The format is on users' disks: what it says below may be added to, and is never changed under the same version.

The first line is a header, ``{"format":"hume-events","version":1,"data":"json"}``; with ``"data":"base64"`` where the
codec makes no JSON. The last one is ``{"end":n}``, after n events, by which one sees that nothing is cut off. Between
them is a line for each event, in the order of the store's positions, with

=============== =======================================================================================
``stream``      the stream's name
``seq``         the event's number in its stream: 1, 2, 3, ...
``position``    its number in the store that it comes from; ascending
``id``          its UUID
``recorded_at`` ISO 8601, with an offset
``type``        the name of its type, as the codec gives it
``version``     the version of its type
``data``        the payload as it was encoded, whatever upcasters would make of it: JSON, or a string in base64
``metadata``    the metadata, likewise; null if there are none
=============== =======================================================================================
"""

from __future__ import annotations

import base64
import datetime as dt
import uuid  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import msgspec

from hume.errors import TransferFailed
from hume.stores._record import Record
from hume.stores._sqlite_write import check_durable_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Reading", "Writing"]

FORMAT: Final = "hume-events"
VERSION: Final = 1

_NULL: Final = msgspec.Raw(b"null")
_LONGEST_HEADER: Final = 1000  # bytes; so that a foreign file of one long line is not read to its end

T = TypeVar("T")


class _Header(msgspec.Struct):
    format: str
    version: int
    data: str


class _Line(msgspec.Struct):
    stream: str
    seq: Annotated[int, msgspec.Meta(ge=1)]
    position: Annotated[int, msgspec.Meta(ge=1)]
    id: uuid.UUID
    recorded_at: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    type: str
    version: int
    data: msgspec.Raw
    metadata: msgspec.Raw


class _End(msgspec.Struct):
    end: int


class Writing:
    """Makes the lines of an export.

    Args:
        is_json: whether the events' bytes are JSON; else they are written in base64.
    """

    def __init__(self, *, is_json: bool) -> None:
        self._is_json = is_json
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Line).decode

    def header(self) -> bytes:
        """Return the first line."""
        return self._encode(_Header(FORMAT, VERSION, "json" if self._is_json else "base64")) + b"\n"

    def line(self, record: Record) -> bytes:
        """Return the line of an event.

        Raises:
            TransferFailed: its bytes are damaged, and nobody could read the line back.
        """
        stream, seq, position, one, at, type_name, version, data, metadata = record
        about = _NULL if metadata is None else self._raw(metadata)
        fields = _Line(stream, seq, position, one, at, type_name, version, self._raw(data), about)
        try:
            check_durable_stream(stream)
            line = self._encode(fields)
            self._decode(line.decode())  # for what stands in the store as it should not
        except (TypeError, ValueError) as error:
            raise TransferFailed(f"event {seq} of stream {stream!r} can't be exported: {error}") from error
        return line.replace(b"\n", b" ") + b"\n"  # a codec's own, between two values, as JSON has none in a string

    def end(self, events: int) -> bytes:
        """Return the last line."""
        return self._encode(_End(events)) + b"\n"

    def _raw(self, data: bytes) -> msgspec.Raw:
        return msgspec.Raw(data if self._is_json else b'"%s"' % base64.b64encode(data))


class Reading:
    """Reads the lines of an export, and says of the first bad one which it is, and what is wrong with it."""

    def __init__(self, readline: Callable[[int], str | bytes]) -> None:
        self._readline = readline
        self.line = 0  # the number of the last one that was read
        self._decode = msgspec.json.Decoder(_Line).decode

    def records(self) -> Iterator[Record]:
        """Yield the events.

        Raises:
            TransferFailed: a line that is not as it should be.
        """
        header = self._header()
        position = count = 0
        while not isinstance(line := self._body(), _End):
            if line.position <= position:
                raise self._failed(f"its position is {line.position}, after {position}: lines are out of order")
            position, count = line.position, count + 1
            yield self._record(line, header.data)
        if line.end != count:
            raise self._failed(f"the file's end says {line.end} events, and there are {count}: some are missing")
        if (rest := self._next()).strip():
            raise self._failed(f"nothing may follow the end, and there is {_shown(rest)}")

    def _header(self) -> _Header:
        text = self._next(_LONGEST_HEADER)
        wanted = f'expected {{"format":"{FORMAT}","version":{VERSION},"data":"json"}}'
        header = self._parsed(text, _Header, wanted)
        if header.format != FORMAT:
            raise self._failed(f"it is no export of Hume's: {wanted}, found {_shown(text)}")
        if header.version != VERSION or header.data not in {"json", "base64"}:
            raise self._failed(f"it is an export that this Hume does not know: {wanted}, found {_shown(text)}")
        return header

    def _body(self) -> _Line | _End:
        text = self._next()
        if not text:
            raise self._failed('the file has no end: it is cut off; the last line of a whole one is {"end":n}')
        try:
            return self._decode(text)
        except msgspec.DecodeError as error:
            if text.startswith(b'{"end"'):
                return self._parsed(text, _End, 'expected {"end":n}')
            raise self._failed(f"{error}: expected an event, found {_shown(text)}") from error

    def _next(self, limit: int = -1) -> bytes:
        self.line += 1
        try:
            text = self._readline(limit)
        except UnicodeDecodeError as error:  # of an open text file, which reads ahead
            raise self._failed(f"this line or one that follows is no text: {error}; open the file for bytes") from error
        try:
            line = text.encode() if isinstance(text, str) else text
            line.decode()  # which msgspec does not do for what it takes over as it is
        except UnicodeError as error:
            raise self._failed(f"it is not in UTF-8: {error}") from error
        return line

    def _parsed(self, text: bytes, kind: type[T], wanted: str) -> T:
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.DecodeError as error:
            raise self._failed(f"{error}: {wanted}, found {_shown(text)}") from error

    def _record(self, line: _Line, data: str) -> Record:
        try:
            check_durable_stream(line.stream)
            payload = _bytes(line.data, data)
            metadata = None if line.metadata == _NULL else _bytes(line.metadata, data)
        except ValueError as error:
            raise self._failed(str(error)) from error
        at = line.recorded_at.astimezone(dt.UTC)
        return Record(line.stream, line.seq, line.position, line.id, at, line.type, line.version, payload, metadata)

    def _failed(self, why: str) -> TransferFailed:
        return TransferFailed(why, line=self.line)


def _bytes(raw: msgspec.Raw, data: str) -> bytes:
    return bytes(raw) if data == "json" else base64.b64decode(msgspec.json.decode(raw, type=str), validate=True)


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace").rstrip("\n")
    return "nothing" if not text else repr(text if len(text) <= 80 else text[:80] + "...")  # noqa: PLR2004 - a line
