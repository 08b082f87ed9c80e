"""Exports and imports: the events of a store into a file, and back into a store, as they are."""

from __future__ import annotations

import itertools
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hume import _bus, telemetry
from hume.errors import CodecError, IdConflict, InvalidStore, TransferFailed, UnexpectedSequence
from hume.stores._codec import JSONCodec, check_codec
from hume.stores._event import Event
from hume.stores._event_store import resolve
from hume.stores._record import Record, RecordStore
from hume.stores._restore import time_of

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Generator, Iterator, Sequence

    from hume._export_format import Reading
    from hume.stores._codec import Codec

__all__ = ["export_events", "import_events"]

_EXPORT: Final = ("hume", "store", "export")
_IMPORT: Final = ("hume", "store", "import")
_EVERY: Final = 1000  # events between two words of progress; also the most that are stored at once
_PAGE: Final = 200  # events that are read at once
_MOST_BYTES: Final = 4 * 2**20  # that are stored at once, unless one event has more


def export_events(store: Any, file: Any, *, codec: Codec | None = None) -> int:
    """Write all events of a store to a file, as JSON Lines, and return how many there are.

    Those that there are at the call, in the order of their positions, with ids, numbers, times and metadata. A store
    that keeps bytes, as a `SQLiteEventStore` does, gives those, so that neither the classes of the events need be known
    nor upcasters are applied. Needs little memory, however many events there are, and the extra ``sqlite``.
    Progress is told by telemetry, as ``("hume", "store", "export")``.

    Args:
        store: an event store: an actor by ref, proxy or name, or any object that is a `FullEventStore`.
        file: a path, which has the new file when that is whole, and until then what it had; or an open file, of text
            (in UTF-8) or bytes.
        codec: encodes the payloads; default: the store's own, else a `JSONCodec`.

    Raises:
        TransferFailed: an event that a file can't have: its stream is no string, or its payload can't be encoded.
        InvalidStore: the store has no global order.
        ActorDead, OSError, TypeError: as may be expected.
    """
    source: Any = resolve(store)
    _check_has(store, source, "all_events", "last_position")
    codec = _codec_for(source, codec)
    writing = _format().Writing(is_json=type(codec) is JSONCodec)
    last = source.last_position()
    progress = _Progress(_EXPORT, {"store": store, "file": file}, total=last)
    with _written(file) as write:
        write(writing.header())
        for record in _records(source, codec, last):
            write(writing.line(record))
            progress.count(1)
        write(writing.end(progress.events))
    progress.done()
    return progress.events


def import_events(file: Any, store: Any, *, codec: Codec | None = None) -> int:
    """Store the events of an export, tell the projections that follow them, and return how many were new.

    They keep ids, numbers, times and metadata, and follow on what the store holds, in the file's order. Those that it
    has are passed over: importing twice changes nothing, and an import that was cut short may be done again. The file
    is read, checked and stored in batches of at most 1000 events, each stored whole or not at all; so when one is
    refused, those before it are stored. Progress is told by telemetry, as ``("hume", "store", "import")``.

    Args:
        file: a path, or an open file, of text (in UTF-8) or bytes.
        store: an event store that has ``restore``, as Hume's own have: an actor by ref, proxy or name, or any object.
        codec: decodes the payloads; default: the store's own, else a `JSONCodec`. If it is the store's own, the very
            bytes are stored.

    Raises:
        TransferFailed: a line that is damaged or foreign, has an event of an unknown type, or lacks what comes before
            or after it; ``line`` is its number. Nothing of its batch was stored.
        UnexpectedSequence: the store has other events in a stream, or lacks some. Nothing of the batch was stored.
        IdConflict: it has an event with that id, and another payload or number. Nothing of the batch was stored.
        InvalidStore: the store has no ``restore``.
        ActorDead, StorageFailed, OSError, TypeError: as may be expected.
    """
    target: Any = resolve(store)
    _check_has(store, target, "restore")
    codec = _codec_for(target, codec)
    is_own = _is_own(target, codec)
    restore = target.restore_records if is_own else target.restore
    progress = _Progress(_IMPORT, {"store": store, "file": file}, new=0)
    with _opened(file) as readline:
        for batch in _batches(_format().Reading(readline), _Decoding(codec, is_own=is_own)):
            new = _put(batch, restore)
            if new:
                for stream in {item.stream for item in batch.items}:
                    _bus.tell(stream)
            progress.measured["new"] += new
            progress.count(len(batch.items))
    progress.done()
    return progress.measured["new"]


def _check_has(store: object, target: object, *methods: str) -> None:
    missing = tuple(name for name in methods if not callable(getattr(target, name, None)))
    if missing:
        raise InvalidStore(store, missing)


def _is_own(store: object, codec: Codec) -> bool:
    return isinstance(store, RecordStore) and codec is store.codec


def _codec_for(store: object, codec: Codec | None) -> Codec:
    if codec is None:
        return store.codec if isinstance(store, RecordStore) else JSONCodec()
    check_codec(codec)
    return codec


def _format() -> types.ModuleType:
    """Return the module of the file's format, which needs an extra; `import hume` does not load it."""
    try:
        from hume import _export_format  # noqa: PLC0415 - as said
    except ImportError as error:
        msg = "exports and imports need msgspec, which comes with the extra: pip install 'hume-es[sqlite]'"
        raise ImportError(msg) from error
    return _export_format


class _Progress:
    """Counts events, and tells telemetry: each time that the next thousand is full, and at the end."""

    def __init__(self, name: telemetry.EventName, about: dict[str, Any], **measured: int) -> None:
        self._name, self._about, self._began = name, about, time.perf_counter()
        self.events = self._told = 0
        self.measured = measured  # what is told beside their number

    def count(self, events: int) -> None:
        self.events += events
        if self.events - self._told >= _EVERY:
            self._told = self.events
            self._tell(done=False)

    def done(self) -> None:
        self._tell(done=True)

    def _tell(self, *, done: bool) -> None:
        if telemetry.attached(self._name):
            duration = time.perf_counter() - self._began
            measurements = {"events": self.events, **self.measured, "duration": duration}
            telemetry.execute(self._name, measurements, {**self._about, "done": done})


# -- files


@contextmanager
def _written(file: Any) -> Generator[Callable[[bytes], object]]:
    """Give what writes bytes to a file."""
    if callable(getattr(file, "write", None)):
        yield (lambda line: file.write(line.decode())) if _is_text(file) else file.write
        return
    path = _path(file).resolve()
    if path.exists() and not path.is_file():  # a device or a pipe, in whose place no other file is to come
        with path.open("wb") as opened:
            yield opened.write
        return
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as opened:
            yield opened.write
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _opened(file: Any) -> Generator[Callable[[int], str | bytes]]:
    """Give what reads lines of a file."""
    if callable(getattr(file, "readline", None)):
        yield file.readline
        return
    with _path(file).open("rb") as opened:
        yield opened.readline


def _path(file: object) -> Path:
    if isinstance(file, str | os.PathLike):
        return Path(file)
    msg = f"file must be a path or an open file, not {file!r}"
    raise TypeError(msg)


def _is_text(file: object) -> bool:
    return hasattr(file, "encoding")  # as files of text have, and files of bytes, however made, have not


# -- out of a store


def _records(source: Any, codec: Codec, last: int) -> Iterator[Record]:
    """Yield a store's events up to a position: the bytes that it has, if the codec is its own."""
    own = _is_own(source, codec)
    after = 0
    while after < last:
        page: Sequence[Record] = source.records(after, _PAGE) if own else _encoded_page(source, codec, after)
        if not page:
            raise TransferFailed(f"the store's last position is {last}, but it has no event after position {after}")
        for record in page:
            if record.position <= last:  # the others came after the call
                yield record
        after = page[-1].position


def _encoded_page(source: Any, codec: Codec, after: int) -> list[Record]:
    events = itertools.islice(source.all_events(after, _PAGE), _PAGE)
    return [_encoded(event, codec, position) for position, event in enumerate(events, after + 1)]


def _encoded(event: Any, codec: Codec, position: int) -> Record:
    if not isinstance(event, Event) or event.position != position:
        why = "where upcasters split or drop events, export with the store's own codec"
        raise TransferFailed(f"expected one event at position {position}, found {event!r}; {why}")
    stream: Any = event.stream  # whether it is a string, the format looks
    one: Any = event.id
    try:
        metadata = codec.encode(event.metadata).data if event.metadata else None
        return Record(stream, event.seq, position, one, time_of(event), *codec.encode(event.payload), metadata)
    except Exception as error:
        raise TransferFailed(f"event {event.seq} of stream {stream!r}: {error}") from error


# -- into a store


class _Batch(NamedTuple):
    """What is stored at once, and the lines of the file where it stands."""

    first: int
    last: int
    items: list[Any]


def _batches(reading: Reading, accept: Callable[[Record], Any]) -> Iterator[_Batch]:
    """Yield what is accepted of an export's events."""
    items: list[Any] = []
    first = size = 0
    for record in reading.records():
        if not items:
            first, size = reading.line, 0
        try:
            items.append(accept(record))
        except Exception as error:  # what a codec says; ours are no others
            raise TransferFailed(str(error), line=reading.line) from error
        size += len(record.data)
        if len(items) == _EVERY or size >= _MOST_BYTES:
            yield _Batch(first, reading.line, items)
            items = []
    if items:
        yield _Batch(first, first + len(items) - 1, items)


def _put(batch: _Batch, restore: Callable[[list[Any]], int]) -> int:
    try:
        return restore(batch.items)
    except (IdConflict, UnexpectedSequence) as error:
        error.add_note(f"of lines {batch.first} to {batch.last} nothing was stored")
        raise
    except (TypeError, ValueError, CodecError) as error:
        why = f"of this line and those up to {batch.last} nothing was stored: {error}"
        raise TransferFailed(why, line=batch.first) from error


class _Decoding:
    """Tells what an export's events are, as far as the store must know.

    Args:
        codec: decodes them.
        is_own: the store keeps such bytes itself, so that it is enough that they can be decoded.
    """

    def __init__(self, codec: Codec, *, is_own: bool) -> None:
        self._codec, self._is_own = codec, is_own
        self._metadata_type = codec.encode({})

    def __call__(self, record: Record) -> Record | Event:
        """Return what the store is given for an event.

        Raises:
            ValueError: it is none; or whatever the codec raises.
        """
        payloads = self._codec.decode(record.type_name, record.version, record.data)
        metadata = {} if record.metadata is None else self._metadata(record.metadata)
        if any(payload is None for payload in payloads):
            msg = "a payload must not be None"
            raise ValueError(msg)
        if self._is_own:
            return record
        if len(payloads) != 1:
            msg = f"its upcasters make {len(payloads)} events of it, and this store keeps one event under one number"
            raise ValueError(msg)
        return Event(record.seq, payloads[0], record.stream, record.id, record.recorded_at, metadata)

    def _metadata(self, data: bytes) -> dict[str, Any]:
        kind, version, _ = self._metadata_type
        try:
            (metadata,) = self._codec.decode(kind, version, data)
            return dict(metadata)
        except Exception as error:
            msg = f"its metadata are none: {error}"
            raise ValueError(msg) from error
