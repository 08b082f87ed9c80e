"""What the store actor writes: works that share a transaction, each with an answer of its own."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

from hume.errors import CodecError, DecodeError, IdConflict, UnexpectedSequence
from hume.stores._batch import EXISTS, Batch, check_payload
from hume.stores._codec import encoded_by
from hume.stores._event import Origin
from hume.stores._record import EPOCH, MICROSECOND

if TYPE_CHECKING:
    from collections.abc import Generator, Hashable, Iterable, Mapping, Sequence

    from hume.actors._clock import Clock
    from hume.stores._codec import Codec, Encoded

__all__ = [
    "MAX_PAYLOAD",
    "MOST_ROWS",
    "NO_STREAM",
    "Append",
    "EncodedBatch",
    "Known",
    "LogOrigin",
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
MOST_ROWS: Final = 32
_INSERTS: Final = [f"INSERT INTO events VALUES {', '.join([_ROW] * n)}" for n in range(MOST_ROWS + 1)]  # noqa: S608 - only `?`
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
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class EncodedBatch(Batch):
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
            self.encoded_metadata = self._refused("metadata", encoded_by(codec, self.metadata)).data

    def _kept(self, payloads: Sequence[Any]) -> list[Any]:
        return [self._encoded(payload) for payload in payloads]

    def _encoded(self, payload: Any) -> Encoded:
        check_payload(payload)
        encoded = encoded_by(self.codec, payload)
        return encoded if len(encoded.data) <= self.max_payload else self._refused("a payload", encoded)

    def _refused(self, what: str, encoded: Encoded) -> Encoded:
        """Refuse what is too large; what is not, return."""
        if len(encoded.data) > self.max_payload:
            msg = (
                f"{what} of type {encoded.type_name!r} for stream {self.stream!r} takes {len(encoded.data)} bytes, and "
                f"max_payload allows {self.max_payload}; keep such data elsewhere, and a reference to it in the event"
            )
            raise ValueError(msg)
        return encoded


NO_STREAM: Final = (None, 0)

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


class Transaction:
    """A write transaction that has begun; for the thread that writes."""

    def __init__(
        self, connection: sqlite3.Connection, known: Known, origin: LogOrigin, codec: Codec, clock: Clock
    ) -> None:
        self.connection, self.known = connection, known
        self._origin, self._codec = origin, codec
        self._recorded_at = (clock.utcnow() - EPOCH) // MICROSECOND
        self._values: list[Any] = []  # of the rows that are to be inserted

    def stream(self, name: str) -> tuple[int | None, int]:
        """Return a stream's row, `None` if it has none, and its last number."""
        streams = self.known.streams
        found = streams.get(name)
        if found is None:
            found = streams[name] = self.connection.execute(_SELECT_STREAM, (name,)).fetchone() or NO_STREAM
        return found

    def append(self, batch: EncodedBatch) -> tuple[int, bool]:
        """Append a batch; return its last number, and whether it is new. A refused one changes nothing.

        Raises:
            UnexpectedSequence: the stream is not where the batch expects it.
            IdConflict: an id is known with another payload, or only a part of the ids is known.
        """
        name: str = batch.stream  # type: ignore[assignment]  # checked in the caller
        row, last = self.known.streams.get(name) or self.stream(name)
        if batch.ids and row is not None:
            before = self._appended_before(batch, row)
            if before is not None:
                return before, False
        expected = batch.expect_seq
        if expected is not None and (last == 0 if expected is EXISTS else expected != last):
            raise UnexpectedSequence(name, expected, last)
        if not batch.payloads:
            return last, False
        return self.add(name, batch.payloads, batch.encoded_metadata, self._recorded_at, batch.ids), True

    def add(
        self, name: str, payloads: Sequence[Encoded], metadata: bytes | None, at: int, ids: Sequence[UUID] | None
    ) -> int:
        """Add to a stream what may be added, recorded *at* so many microseconds, and return its last number."""
        row, last = self.known.streams[name]  # as the caller has looked whether it may
        if row is None:
            row = self.connection.execute("INSERT INTO streams (name) VALUES (?)", (name,)).lastrowid
        values, position = self._values, self.known.position
        for payload, one in zip(payloads, ids or repeat(None)):  # noqa: B905 - a repeat has no end
            position, last = position + 1, last + 1
            values += position, row, last, *payload, metadata, at, None if one is None else one.bytes
        self.known.position = position
        self.known.streams[name] = row, last
        return last

    def flush(self) -> None:
        """Insert the rows that wait for it; before what looks at them, and before the end."""
        values, most = self._values, MOST_ROWS * _COLUMNS
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
            self._values.clear()
            self.connection.execute("ROLLBACK TO whole")
            self.known.look_again(self.connection)
            raise
        finally:
            if self.connection.in_transaction:  # SQLite may have ended it, for an error of its own
                self.connection.execute("RELEASE whole")

    def _appended_before(self, batch: EncodedBatch, row: int) -> int | None:
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


class Work:
    """A message to the store actor: something to be written, complete, so that it needs nothing but a transaction."""

    __slots__ = ()

    plain: EncodedBatch | None = None
    """What it appends, if that is all that it does, and there are no ids to look for."""

    def run(self, transaction: Transaction) -> Any:
        """Do it, and return the answer.

        Raises:
            HumeError: refuses this work alone, which has then changed nothing. Any other error, such as what a signal
                raises in the middle of it, ends the whole transaction.
        """
        raise NotImplementedError


class Append(Work):
    """Appends batches, all or none; answered with each one's last number and whether it is new."""

    __slots__ = ("batches", "plain")

    def __init__(self, *batches: EncodedBatch) -> None:
        self.batches = batches
        self.plain = batches[0] if len(batches) == 1 and not batches[0].ids else None

    def run(self, transaction: Transaction) -> list[tuple[int, bool]]:
        """Append them."""
        if len(self.batches) == 1:
            return [transaction.append(self.batches[0])]  # which checks before it writes
        with transaction.all_or_nothing():
            return [transaction.append(batch) for batch in self.batches]
