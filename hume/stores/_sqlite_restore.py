"""Records into a file and out of it, as they are: ids, numbers, times, and the very bytes."""

# ruff: noqa: S608 - the statements are made of constants; whatever a caller gives is bound to a "?"

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from hume.errors import IdConflict, UnexpectedSequence
from hume.stores._codec import Encoded
from hume.stores._event_types import NEWEST
from hume.stores._record import EPOCH, MICROSECOND, Record
from hume.stores._restore import as_recorded, time_of
from hume.stores._sqlite_write import EncodedBatch, Transaction, Work, check_durable_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hume.stores._codec import Codec
    from hume.stores._sqlite_pool import Pool
    from hume.stores._sqlite_write import LogOrigin

__all__ = ["Restore", "as_records", "read_records"]

_SELECT: Final = """
    SELECT s.name, seq, position, events.id, recorded_at, type, version, CAST(data AS BLOB), CAST(metadata AS BLOB)
    FROM events CROSS JOIN streams s ON s.id = stream WHERE """
_ALL: Final = f"{_SELECT} position > ? ORDER BY position LIMIT ?"
_OF_STREAM: Final = f"{_SELECT} stream = (SELECT id FROM streams WHERE name = ?) AND seq > ? ORDER BY seq LIMIT ?"

_Stored = tuple[int, str, int, bytes]  # number, type, version, data


def read_records(readers: Pool, origin: LogOrigin, after: int, limit: int, stream: str | None = None) -> list[Record]:
    """Return the next records after a position, see `RecordStore.records`; or those after a number in one stream."""
    with readers.turn(), readers.lend("read events") as connection:
        if stream is None:
            rows = connection.execute(_ALL, (after, limit)).fetchall()
        else:
            rows = connection.execute(_OF_STREAM, (stream, after, limit)).fetchall()
    return [
        Record(
            name,
            seq,
            position,
            origin.event_id(position) if one is None else UUID(bytes=one),
            EPOCH + recorded_at * MICROSECOND,
            *stored,
        )
        for name, seq, position, one, recorded_at, *stored in rows
    ]


def as_records(events: Iterable[Any], codec: Codec, max_payload: int) -> list[Record]:
    """Return events as records.

    Raises:
        TypeError, ValueError: what is no event of a durable store; EncodeError: a payload that can't be encoded.
    """
    return [_as_record(event, codec, max_payload) for event in events]


def _as_record(item: Any, codec: Codec, max_payload: int) -> Record:
    event = as_recorded(item)
    one: Any = event.id  # which the batch checks
    batch = EncodedBatch(codec, max_payload, event.stream, (event.payload,), ids=(one,), metadata=event.metadata)
    stream: Any = batch.stream
    # its own metadata alone, not what an append would add
    metadata = codec.encode(event.metadata).data if event.metadata else None
    stored: Encoded = batch.payloads[0]
    return Record(stream, event.seq, event.position or 0, one, time_of(event), *stored, metadata)


class Restore(Work):
    """Stores those records that are not there yet, all or none; answered with their number.

    Raises:
        TypeError, ValueError: a stream that no file has, or a payload that is too large.
    """

    __slots__ = ("_records",)

    def __init__(self, records: Sequence[Record], max_payload: int) -> None:
        for record in records:
            check_durable_stream(record.stream)
            if not 0 <= record.version <= NEWEST:
                msg = (
                    f"event {record.seq} of stream {record.stream!r} has no version that there can be: {record.version}"
                )
                raise ValueError(msg)
            if len(record.data) > max_payload:
                msg = (
                    f"event {record.seq} of stream {record.stream!r} takes {len(record.data)} bytes, and max_payload "
                    f"allows {max_payload}; start the store with another limit"
                )
                raise ValueError(msg)
        self._records = records

    def run(self, transaction: Transaction) -> int:
        """Store them."""
        with transaction.all_or_nothing():
            new: dict[tuple[str, UUID], Record] = {}  # which wait to be inserted, so that the file does not show them
            for record in self._records:
                key = record.stream, record.id
                there = _there(transaction, record) or _stored(new.get(key))
                if there is None:
                    _add(transaction, record)
                    new[key] = record
                elif there[0] != record.seq or not transaction._same(there[1:], _encoded(record)):
                    raise IdConflict(record.stream, record.id, known=True)
        return len(new)


def _there(transaction: Transaction, record: Record) -> _Stored | None:
    """Return what the file has under this record's id."""
    row, _ = transaction.stream(record.stream)
    return None if row is None else transaction._known(record.id, row)


def _stored(record: Record | None) -> _Stored | None:
    return None if record is None else (record.seq, record.type_name, record.version, record.data)


def _encoded(record: Record) -> Encoded:
    return Encoded(record.type_name, record.version, record.data)


def _add(transaction: Transaction, record: Record) -> None:
    _, last = transaction.stream(record.stream)
    if record.seq != last + 1:
        raise UnexpectedSequence(record.stream, record.seq - 1, last)
    at = (record.recorded_at - EPOCH) // MICROSECOND
    transaction.add(record.stream, [_encoded(record)], record.metadata, at, [record.id])
