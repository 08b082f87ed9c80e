"""What the store actor writes: works that share a transaction, each with an answer of its own."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from hume.errors import CodecError, DecodeError, IdConflict, UnexpectedSequence
from hume.stores._batch import EXISTS, Batch, check_payload
from hume.stores._codec import JSONCodec, encoded_by
from hume.stores._event import Origin

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence

    from hume.stores._codec import Codec, Encoded

__all__ = [
    "MAX_PAYLOAD",
    "Append",
    "AppendMany",
    "EncodedBatch",
    "EncodedEvent",
    "Known",
    "LogOrigin",
    "Rows",
    "Seen",
    "Transaction",
    "Work",
    "check_durable_stream",
]

MAX_PAYLOAD: Final = 500_000_000  # bytes; SQLite itself allows a row a thousand million

_LOG_BITS: Final = ((1 << 64) - 1) << 64 & ~(0xF << 76)  # the upper half of a UUID, without its version

_MOST_STREAMS: Final = 10_000  # that a writer keeps in mind

_SELECT_STREAM: Final = "SELECT id, (SELECT max(seq) FROM events WHERE stream = streams.id) FROM streams WHERE name = ?"
# Of several rows at once, since each step of SQLite's is a chance for another thread to take Python's lock.
_COLUMNS: Final = 9
_ROW: Final = f"({', '.join('?' * _COLUMNS)})"
_MOST_ROWS: Final = 32
_INSERTS: Final = [f"INSERT INTO events VALUES {', '.join([_ROW] * n)}" for n in range(_MOST_ROWS + 1)]  # noqa: S608 - only `?`
_SELECT_KNOWN: Final = "SELECT seq, type, version, data FROM events WHERE stream = ? AND id = ?"
_SELECT_DERIVED: Final = "SELECT seq, type, version, data FROM events WHERE position = ? AND stream = ? AND id IS NULL"


class LogOrigin(Origin):
    """An origin whose ids say their position, so that one that comes back is found without a search.

    An id is a UUID of version 8 (RFC 9562): the first 60 free bits are the log's, the last 62 the position.
    """

    __slots__ = ("_base",)

    def __init__(self, log_id: UUID | None = None) -> None:
        super().__init__(log_id)
        self._base = self.uuid.int & _LOG_BITS | 8 << 76 | 2 << 62

    def event_id(self, position: int) -> UUID:
        """Return the id of the event at *position*."""
        return UUID(int=self._base | position)

    def position_of(self, one: UUID) -> int | None:
        """Return the position of the event that this is the id of; `None`: it is of no event in this log."""
        position = one.int ^ self._base
        return position if 0 < position < 1 << 62 else None


def check_durable_stream(stream: object) -> None:
    """Refuse what can't name a stream in a file."""
    if type(stream) is str and stream.isascii() and stream.isprintable() and stream:
        return  # mostly
    if not isinstance(stream, str):
        msg = f"a durable store's stream must be a string, not {stream!r}"
        raise TypeError(msg)
    if not stream:
        msg = "a durable store's stream must have a name, not ''"
        raise ValueError(msg)
    if "\0" in stream or not _is_utf8(stream):
        msg = f"a durable store's stream must be text that UTF-8 can encode, without a null character, not {stream!r}"
        raise ValueError(msg)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Work:
    """A message to the store actor: something to be written, complete, so that it needs nothing but a transaction."""

    __slots__ = ()

    def run(self, transaction: Transaction) -> Any:
        """Do it, and return the answer.

        Raises:
            HumeError: refuses this work alone, which has then changed nothing. Any other error, such as what a signal
                raises in the middle of it, ends the whole transaction.
        """
        raise NotImplementedError


def _encoded(codec: Codec, most: int, stream: Hashable, value: Any, what: str = "a payload") -> Encoded:
    """Return a value as it is stored; refuse one that takes more than *most* bytes."""
    encoded = codec.encode(value) if type(codec) is JSONCodec else encoded_by(codec, value)
    if len(encoded.data) > most:
        msg = (
            f"{what} of type {encoded.type_name!r} for stream {stream!r} takes {len(encoded.data)} bytes, and "
            f"max_payload allows {most}; keep such data elsewhere, and a reference to it in the event"
        )
        raise ValueError(msg)
    return encoded


class Append(Work):
    """Appends to one stream; answered with its last number, and whether that is new."""

    __slots__ = ()

    stream: Any  # a str
    payloads: Any  # a sequence of Encoded
    expect_seq: Any
    ids: Any  # of the payloads, if there are any
    encoded_metadata: Any  # bytes, or None

    def run(self, transaction: Transaction) -> tuple[int, bool]:
        """Append them."""
        return transaction.append_once(self)  # which checks before it writes


class EncodedEvent(Append):
    """An event of which nothing else is said, as it will be written; most appends are of one, so that is made quickly.

    Made in the caller's thread, so that nothing of a user's runs in the store's.

    Raises:
        TypeError, ValueError: as `EncodedBatch`.
    """

    __slots__ = ("payloads", "stream")

    expect_seq = ids = encoded_metadata = None

    def __init__(self, codec: Codec, max_payload: int, stream: Hashable, payload: Any) -> None:
        check_durable_stream(stream)
        self.stream = stream
        self.payloads = (_encoded(codec, max_payload, stream, payload),)


class EncodedBatch(Batch, Append):
    """A batch as it will be written; made in the caller's thread, so that nothing of a user's runs in the store's.

    Raises:
        TypeError, ValueError: as `Batch`; or a payload can't be encoded, or is too large.
    """

    __slots__ = ("codec", "encoded_metadata", "max_payload")

    def __init__(  # noqa: PLR0917 - as Batch
        self,
        codec: Codec,
        max_payload: int,
        stream: Hashable,
        payloads: Iterable[Any],
        expect_seq: object = None,
        ids: Iterable[UUID] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        check_durable_stream(stream)
        self.codec: Codec = codec
        self.max_payload: int = max_payload
        super().__init__(stream, payloads, expect_seq, ids, metadata)
        self.encoded_metadata: bytes | None = None
        if self.metadata is not None:
            self.encoded_metadata = _encoded(codec, max_payload, stream, self.metadata, "metadata").data

    def _kept(self, payloads: Sequence[Any]) -> list[Any]:
        for payload in payloads:
            if payload is None:
                check_payload(payload)
        return [_encoded(self.codec, self.max_payload, self.stream, payload) for payload in payloads]


_NO_STREAM: Final = (None, 0)

Seen: TypeAlias = tuple[sqlite3.Connection, int]


class Known:
    """What a writer knows of the log from its last transaction: good as long as nobody else has written.

    ``seen`` says when: by which connection, and its `data_version` then. Whoever begins a transaction forgets that, and
    notes it again when all has gone well: so what knowledge an error or an interrupt left half changed nobody trusts.
    """

    __slots__ = ("position", "seen", "streams")

    def __init__(self) -> None:
        self.position = 0  # the last one
        self.streams: dict[str, tuple[int | None, int]] = {}  # of each its row, if any, and its last number
        self.seen: Seen | None = None

    def forget(self) -> Seen | None:
        """Trust nothing until ``seen`` is noted again; return what it was."""
        seen, self.seen = self.seen, None
        return seen

    def look(self, connection: sqlite3.Connection, before: Seen | None) -> Seen:
        """Look again if anybody else has written since *before*; in a transaction, this holds to its end."""
        seen = connection, connection.execute("PRAGMA data_version").fetchone()[0]  # raised by any other connection
        if seen != before:
            self.look_again(connection)
        elif len(self.streams) > _MOST_STREAMS:
            self.streams.clear()
        return seen

    def look_again(self, connection: sqlite3.Connection) -> None:
        """Look again in any case."""
        self.streams.clear()
        self.position = connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0


class Rows:
    """Events that have their numbers and are to be inserted; what is known of the log counts them in."""

    __slots__ = ("known", "values")

    def __init__(self, known: Known) -> None:
        self.known = known
        self.values: list[Any] = []

    def fit(self, works: Iterable[Work]) -> bool:
        """Tell whether works only append, to streams that are known, and fit into one statement with what is here."""
        streams, count = self.known.streams, len(self.values) // _COLUMNS
        for work in works:
            if not isinstance(work, Append) or work.ids or not work.payloads:
                return False
            if streams.get(work.stream, _NO_STREAM)[0] is None:
                return False
            count += len(work.payloads)
        return count <= _MOST_ROWS

    def append(self, batch: Append, at: int) -> tuple[int, bool]:
        """Append a batch to a stream that is known; return its last number, and whether it is new.

        Args:
            batch: what is to be appended.
            at: the time that is recorded, in microseconds since 1970.

        Raises:
            UnexpectedSequence: the stream is not where the batch expects it; nothing has changed.
        """
        name = batch.stream
        last = self.known.streams[name][1]
        expected = batch.expect_seq
        if expected is not None and (last == 0 if expected is EXISTS else expected != last):
            raise UnexpectedSequence(name, expected, last)
        if not batch.payloads:
            return last, False
        return self.add(name, batch.payloads, batch.encoded_metadata, at, batch.ids), True

    def add(
        self, name: str, payloads: Sequence[Encoded], metadata: bytes | None, at: int, ids: Sequence[UUID] | None
    ) -> int:
        """Add to a stream what may be added, recorded *at* so many microseconds, and return its last number."""
        row, last = self.known.streams[name]  # as the caller has looked whether it may
        values, position = self.values, self.known.position
        for payload in payloads:
            position, last = position + 1, last + 1
            values += position, row, last, *payload, metadata, at, None
        if ids:
            values[-1 - _COLUMNS * (len(ids) - 1) :: _COLUMNS] = [one.bytes for one in ids]
        self.known.position = position
        self.known.streams[name] = row, last
        return last

    def insert(self, connection: sqlite3.Connection) -> bool:
        """Insert them, in one statement; `False`: somebody else has written, and nothing was done."""
        try:
            connection.execute(_INSERTS[len(self.values) // _COLUMNS], self.values)
        except sqlite3.IntegrityError:
            return False
        return True


class Transaction(Rows):
    """A write transaction that has begun; for the thread that writes."""

    __slots__ = ("_codec", "_origin", "connection", "recorded_at")

    def __init__(
        self, connection: sqlite3.Connection, known: Known, origin: LogOrigin, codec: Codec, recorded_at: int
    ) -> None:
        super().__init__(known)
        self.connection, self.recorded_at = connection, recorded_at
        self._origin, self._codec = origin, codec

    def stream(self, name: str) -> tuple[int | None, int]:
        """Return a stream's row, `None` if it has none, and its last number."""
        streams = self.known.streams
        found = streams.get(name)
        if found is None:
            found = streams[name] = self.connection.execute(_SELECT_STREAM, (name,)).fetchone() or _NO_STREAM
        return found

    def append_once(self, batch: Append) -> tuple[int, bool]:
        """Append a batch that has not been appended before; return its last number, and whether it is new.

        Raises:
            UnexpectedSequence: the stream is not where the batch expects it; nothing has changed.
            IdConflict: an id is known with another payload, or only a part of the ids is known; nothing has changed.
        """
        row, _ = self.stream(batch.stream)
        if batch.ids and row is not None:
            before = self._appended_before(batch, row)
            if before is not None:
                return before, False
        return self.append(batch, self.recorded_at)

    def add(
        self, name: str, payloads: Sequence[Encoded], metadata: bytes | None, at: int, ids: Sequence[UUID] | None
    ) -> int:
        """Add to a stream what may be added, as `Rows.add`; a stream that is new gets its row."""
        row, last = self.known.streams[name]
        if row is None:
            row = self.connection.execute("INSERT INTO streams (name) VALUES (?)", (name,)).lastrowid
            self.known.streams[name] = row, last
        return super().add(name, payloads, metadata, at, ids)

    def flush(self) -> None:
        """Insert the rows that wait for it; before what looks at them, and before the end."""
        values, most = self.values, _MOST_ROWS * _COLUMNS
        for start in range(0, len(values), most):
            some = values[start : start + most]
            self.connection.execute(_INSERTS[len(some) // _COLUMNS], some)
        values.clear()

    @contextmanager
    def all_or_nothing(self) -> Generator[None]:
        """Undo what is done in the ``with`` block if an error ends it."""
        self.flush()
        self.connection.execute("SAVEPOINT whole")
        try:
            yield
        except sqlite3.Error:
            raise
        except Exception:
            self.values.clear()
            self.connection.execute("ROLLBACK TO whole")
            self.known.look_again(self.connection)
            raise
        finally:
            if self.connection.in_transaction:  # SQLite may have ended it, for an error of its own
                self.connection.execute("RELEASE whole")

    def _appended_before(self, batch: Append, row: int) -> int | None:
        """Return the last number of a batch whose ids are all known; `None` if none is."""
        self.flush()
        ids: list[UUID] = batch.ids or []
        found = [self._known(one, row) for one in ids]
        if not any(found):
            return None
        for one, there, payload in zip(ids, found, batch.payloads, strict=True):
            if there is None or not self._same(there[1:], payload):
                raise IdConflict(batch.stream, one, known=there is not None)
        return found[-1][0] if found[-1] else None

    def _known(self, one: UUID, row: int) -> tuple[int, str, int, bytes] | None:
        there = self.connection.execute(_SELECT_KNOWN, (row, one.bytes)).fetchone()
        if there is None and (position := self._origin.position_of(one)) is not None:
            there = self.connection.execute(_SELECT_DERIVED, (position, row)).fetchone()
        return there  # type: ignore[no-any-return]  # a row

    def _same(self, there: tuple[str, int, bytes], given: Encoded) -> bool:
        # The bytes may differ though the payloads are equal: a dict has no order, and an old event has an old version.
        if there == tuple(given):
            return True
        try:
            return bool(self._codec.decode(*there) == self._codec.decode(*given))
        except CodecError:
            raise
        except Exception as error:
            raise DecodeError(*there[:2], f"{type(error).__name__}: {error}") from error


class AppendMany(Work):
    """Appends batches, all or none; answered with each one's last number and whether it is new."""

    __slots__ = ("batches",)

    def __init__(self, batches: Sequence[EncodedBatch]) -> None:
        self.batches = batches

    def run(self, transaction: Transaction) -> list[tuple[int, bool]]:
        """Append them."""
        with transaction.all_or_nothing():
            return [transaction.append_once(batch) for batch in self.batches]
