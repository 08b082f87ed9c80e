"""Reading a log in a SQLite file: in the caller's thread, a page at a time, without waiting for the writer."""
# ruff: noqa: S608 - the statements are made of constants; whatever a caller gives is bound to a "?"

from __future__ import annotations

import heapq
import itertools
import json
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from hume.errors import DecodeError
from hume.stores._batch import check_count
from hume.stores._codec import JSONCodec
from hume.stores._event import POSITION, Event, new_event
from hume.stores._event_store import DirectStore
from hume.stores._json_form import Found
from hume.stores._page import EventPage
from hume.stores._selector import prefix as prefix_selector
from hume.stores._selector import select
from hume.stores._sqlite_write import check_durable_stream

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from hume.stores._codec import Codec
    from hume.stores._page import Page
    from hume.stores._selector import Selector
    from hume.stores._sqlite_pool import Pool
    from hume.stores._sqlite_write import LogOrigin

__all__ = ["Reader"]

_PAGE: Final = 500  # events that are fetched at once
_NEAR: Final = 2000  # events that are looked at one by one rather than by way of their streams
_FEW: Final = 32  # streams that are merged; of more, or of a prefix with more, the log is read and the rest left out
_ENDLESS: Final = b""  # after every text, as any blob is

_FIELDS: Final = "seq, type, version, data, metadata, recorded_at, events.id, position"
_ROWS: Final = f"SELECT s.name, {_FIELDS} FROM events CROSS JOIN streams s ON s.id = stream WHERE"  # events first
_OF_STREAM: Final = f"SELECT NULL, {_FIELDS} FROM events WHERE stream = (SELECT id FROM streams WHERE name = ?)"
_FORWARD: Final = f"{_OF_STREAM} AND seq > ? ORDER BY seq LIMIT ?"
_BACKWARD: Final = f"{_OF_STREAM} AND seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ?"
_ALL: Final = f"{_ROWS} position > ? ORDER BY position LIMIT ?"
_WITH_PREFIX: Final = f"{_ROWS} position > ? AND position <= ? AND s.name >= ? AND s.name < ? ORDER BY position LIMIT ?"
_OF_STREAMS: Final = (
    f"{_ROWS} position > ? AND position <= ? AND s.name IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?"
)
_AT_POSITIONS: Final = f"{_ROWS} position IN (SELECT value FROM json_each(?)) ORDER BY position"
_LAST_SEQ: Final = "SELECT max(seq) FROM events WHERE stream = (SELECT id FROM streams WHERE name = ?)"
_LAST_POSITION: Final = "SELECT max(position) FROM events"
_NAMES: Final = "SELECT name FROM streams WHERE name >= ? AND name < ? ORDER BY name"
_ROW_OF: Final = "SELECT id FROM streams WHERE name = ?"
_ROWS_OF_PREFIX: Final = f"SELECT id FROM streams WHERE name >= ? AND name < ? LIMIT {_FEW + 1}"
_LAST_OF_ROW: Final = "SELECT max(seq) FROM events WHERE stream = ?"
_POSITION_OF: Final = "SELECT position FROM events WHERE stream = ? AND seq = ?"
_POSITIONS: Final = "SELECT position FROM events WHERE stream = ? AND seq > ? ORDER BY seq LIMIT ?"

_position: Final = itemgetter(POSITION)


class Reader(DirectStore):
    """The reading half of a store's face, for any thread.

    Each page is a short read of its own. What has been written never changes, so several reads up to a last number
    that was seen before are as good as one.
    """

    __slots__ = ("_codec", "_metadata_type", "_origin", "_readers")

    def __init__(self, readers: Pool, origin: LogOrigin, codec: Codec) -> None:
        self._readers, self._origin, self._codec = readers, origin, codec
        self._metadata_type = codec.encode({})  # the same for all metadata, so it is not stored with them

    @property
    def log_id(self) -> UUID:
        """The identity of this log: another one in another file."""
        return self._origin.uuid

    # -- one stream

    def page(self, stream: Hashable, after: int, limit: int) -> tuple[Page, int, int]:
        """Return a stream's events, of *limit* numbers; see `DirectStore.page`."""
        check_durable_stream(stream)
        with self._readers.turn(), self._readers.lend("read events") as connection:
            rows = connection.execute(_FORWARD, (stream, after, limit)).fetchall()
            end = rows[-1][1] if rows else after
            last = end if 0 < len(rows) < limit else connection.execute(_LAST_SEQ, (stream,)).fetchone()[0] or 0
        return EventPage(self._events(rows, stream)), end, last

    def events(
        self,
        stream: Hashable,
        after: int = 0,
        limit: int | None = None,
        backward: bool = False,  # noqa: FBT001, FBT002 - the contract fixes the signature
    ) -> Iterator[Event]:
        """Yield a stream's events; see `FullEventStore.events`.

        *limit* counts numbers: what an upcaster made of one event comes whole, and one that it dropped is not counted.
        """
        check_count("after", after)
        if limit is not None:
            check_count("limit", limit)
        last = self.last_seq(stream)
        # each event straight from its page, without a step of the generator
        return chain.from_iterable((self._backward if backward else self._forward)(stream, after, last, limit))

    def _forward(self, stream: Hashable, after: int, last: int, limit: int | None) -> Iterator[list[Event]]:
        left = last if limit is None else limit
        while after < last and left > 0:
            with self._readers.turn(), self._readers.lend("read events") as connection:
                rows = connection.execute(_FORWARD, (stream, after, min(last - after, left, _PAGE))).fetchall()
            page = self._events(rows, stream)
            after = rows[-1][1]
            yield page
            left -= _count(page, limit)

    def _backward(self, stream: Hashable, after: int, last: int, limit: int | None) -> Iterator[list[Event]]:
        left = last if limit is None else limit
        while after < last and left > 0:
            with self._readers.turn(), self._readers.lend("read events") as connection:
                rows = connection.execute(_BACKWARD, (stream, after, last, min(left, _PAGE))).fetchall()
            page = self._events(rows[::-1], stream)[::-1]
            last = rows[-1][1] - 1
            yield page
            left -= _count(page, limit)

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event, 0 if it has none."""
        check_durable_stream(stream)
        with self._readers.turn(), self._readers.lend("read events") as connection:
            return connection.execute(_LAST_SEQ, (stream,)).fetchone()[0] or 0

    # -- several streams

    def page_of(self, selector: Selector, after: int, limit: int) -> tuple[Page, int, int]:
        """Return some of the selected events; see `DirectStore.page_of`.

        Where few streams are selected, the rest of a long log is passed over by way of their indexes.
        """
        for stream in selector.streams or ():
            check_durable_stream(stream)
        events, end, last = self._of_selected(selector, after, limit)
        return EventPage(events), end, last

    def _of_selected(self, selector: Selector, after: int, limit: int) -> tuple[list[Event], int, int]:
        with self._readers.turn(), self._readers.lend("read events") as connection:
            if selector.streams is None and selector.prefix is None:
                rows = connection.execute(_ALL, (after, limit)).fetchall()
                end = rows[-1][-1] if rows else after
            else:
                rows, end = _selected(connection, selector, after, limit)
            last = connection.execute(_LAST_POSITION).fetchone()[0] or 0
        return self._events(rows), end, last

    def all_events(
        self,
        after: int = 0,
        limit: int | None = None,
        streams: Iterable[Hashable] | None = None,
        prefix: str | None = None,
    ) -> Iterator[Event]:
        """Yield events in global order; see `FullEventStore.all_events`. *limit* counts as in `events`."""
        selector = select(streams, prefix)
        for stream in selector.streams or ():
            check_durable_stream(stream)
        check_count("after", after)
        if limit is not None:
            check_count("limit", limit)
        return chain.from_iterable(self._all(selector, after, self.last_position(), limit))

    def _all(self, selector: Selector, after: int, last: int, limit: int | None) -> Iterator[list[Event]]:
        left = last if limit is None else limit
        while after < last and left > 0:
            page, after, _ = self._of_selected(selector, after, min(left, _PAGE))
            if after > last:
                page = [event for event in page if event[POSITION] <= last]
            yield page
            left -= _count(page, limit)

    def last_position(self) -> int:
        """Return the position of the last event, 0 if there is none."""
        with self._readers.turn(), self._readers.lend("read events") as connection:
            return connection.execute(_LAST_POSITION).fetchone()[0] or 0

    def streams(self, prefix: str | None = None) -> list[Hashable]:
        """Return the streams that have events, in alphabetical order; with *prefix* those that begin with it."""
        names = _range(prefix_selector("" if prefix is None else prefix).prefix)
        with self._readers.turn(), self._readers.lend("list the streams") as connection:
            return [name for (name,) in connection.execute(_NAMES, names)]

    # -- rows into events

    def _events(self, rows: list[Any], stream: Hashable = None) -> list[Event]:
        """Return what was stored as events: as many for each row as the upcasters make of it."""
        origin, decode = self._origin, self._codec.decode
        readers = Found(self._reader)
        events: list[Event] = []
        add, at_utc = events.append, datetime.fromtimestamp
        read = kind = version = recorded = raw = at = metadata = None
        for name, seq, new_kind, new_version, data, new_raw, new_recorded, one, position in rows:
            try:
                # neighbours are mostly of one type, and what was appended together has one time, and one thing said
                if new_kind != kind or new_version != version:
                    kind, version = new_kind, new_version
                    read = readers[new_kind, new_version]
                if new_recorded != recorded:
                    recorded, at = new_recorded, at_utc(new_recorded / 1_000_000, UTC)  # exact until the year 2223
                if new_raw != raw:
                    raw, metadata = new_raw, None if new_raw is None else self._metadata(new_raw)
                source = origin if one is None else UUID(bytes=one)
                if read is not None:
                    add(new_event(Event, (seq, read(data), stream or name, source, at, metadata, position)))
                    continue
                for payload in decode(new_kind, new_version, data):
                    add(new_event(Event, (seq, payload, stream or name, source, at, metadata, position)))
            except Exception as error:
                raise self._undecodable(error, (new_kind, new_version, data), stream or name, seq) from error
        return events

    def _reader(self, of: tuple[str, int]) -> Callable[[bytes], Any] | None:
        """Return what makes one payload of the data of a type, if the codec has something for that."""
        # of a class derived from ours the `decode` counts, which it may have changed
        return self._codec.reader(*of) if type(self._codec) is JSONCodec else None

    def _undecodable(self, error: Exception, row: tuple[str, int, bytes], stream: Hashable, seq: int) -> DecodeError:
        """Return what a reader gets for an error of the codec's, which knows nothing of streams."""
        try:
            self._codec.decode(*row)  # says it best
        except DecodeError as said:
            return said.at(stream, seq)
        except Exception as said:  # noqa: BLE001 - somebody's own codec may say anything
            error = said
        return DecodeError(row[0], row[1], f"{type(error).__name__}: {error}", stream=stream, seq=seq)

    def _metadata(self, raw: bytes) -> Any:
        return self._codec.decode(self._metadata_type.type_name, self._metadata_type.version, raw)[0]


def _count(page: Sequence[Event], limit: int | None) -> int:
    """Return of how many stored events these are; without a limit nobody needs to know."""
    return 0 if limit is None else len(set(map(_position, page)))


def _range(prefix: str | None) -> tuple[str, str | bytes]:
    """Return where the names that begin with a prefix begin, and what follows the last of them."""
    start = prefix or ""
    for length in range(len(start), 0, -1):  # the last character that has a next one
        code = ord(start[length - 1])
        if code < 0x10FFFF:  # noqa: PLR2004 - the last there is
            return start, start[: length - 1] + chr(0xE000 if code == 0xD7FF else code + 1)  # noqa: PLR2004 - surrogates follow
    return start, _ENDLESS


def _selected(connection: sqlite3.Connection, selector: Selector, after: int, limit: int) -> tuple[list[Any], int]:
    """Return the rows of a page, and the position up to which these are all there are."""
    last = connection.execute(_LAST_POSITION).fetchone()[0] or 0
    if last - after > _NEAR:
        streams = _few(connection, selector)
        if streams is not None:
            return _merged(connection, streams, after, last, limit)
    end = min(last, after + _NEAR)
    if selector.streams is None:
        rows = connection.execute(_WITH_PREFIX, (after, end, *_range(selector.prefix), limit)).fetchall()
    else:
        rows = connection.execute(_OF_STREAMS, (after, end, json.dumps(selector.streams), limit)).fetchall()
    return rows, rows[-1][-1] if len(rows) == limit else max(after, end)


def _few(connection: sqlite3.Connection, selector: Selector) -> list[int] | None:
    """Return the rows of the selected streams; `None` if they are too many to be looked at one by one."""
    if selector.streams is None:
        found = connection.execute(_ROWS_OF_PREFIX, _range(selector.prefix)).fetchall()
    elif len(selector.streams) <= _FEW:
        found = [connection.execute(_ROW_OF, (name,)).fetchone() for name in dict.fromkeys(selector.streams)]
    else:
        return None
    return [row[0] for row in found if row is not None] if len(found) <= _FEW else None


def _merged(
    connection: sqlite3.Connection, streams: list[int], after: int, last: int, limit: int
) -> tuple[list[Any], int]:
    """Return the next rows of some streams, found through the index that has each one's numbers and positions."""
    share = max(16, 2 * limit // max(1, len(streams)))
    parts: list[list[int]] = []
    end = last
    for stream in streams:
        seq = _seq_at(connection, stream, after)
        part: list[int] = [one for (one,) in connection.execute(_POSITIONS, (stream, seq, share))]
        parts.append(part)
        if len(part) == share:  # there may be more of it, from here on
            end = min(end, part[-1])
    chosen = list(itertools.islice((one for one in heapq.merge(*parts) if one <= end), limit))
    rows = connection.execute(_AT_POSITIONS, (json.dumps(chosen),)).fetchall()
    return rows, chosen[-1] if len(chosen) == limit else end


def _seq_at(connection: sqlite3.Connection, stream: int, after: int) -> int:
    """Return the number of a stream's last event up to a position: by bisection, as positions ascend with numbers."""
    low, high = 0, connection.execute(_LAST_OF_ROW, (stream,)).fetchone()[0] if after else 0
    while low < high:
        middle = (low + high + 1) // 2
        if connection.execute(_POSITION_OF, (stream, middle)).fetchone()[0] <= after:
            low = middle
        else:
            high = middle - 1
    return low
