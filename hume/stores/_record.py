"""Events as bytes, on their way from one store to another."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from hume.stores._codec import Codec

__all__ = ["EPOCH", "MICROSECOND", "Record", "RecordStore"]

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MICROSECOND: Final = dt.timedelta(microseconds=1)


class Record(NamedTuple):
    """An event as a durable store keeps it, whatever its type's upcasters would make of it today."""

    stream: str
    seq: int
    position: int
    id: UUID
    recorded_at: dt.datetime  # in UTC
    type_name: str
    version: int
    data: bytes
    metadata: bytes | None


@runtime_checkable
class RecordStore(Protocol):
    """A store that keeps events as bytes, hands them out as such, and takes them back."""

    @property
    def codec(self) -> Codec:
        """What makes the bytes."""
        ...

    def records(self, after: int, limit: int) -> Sequence[Record]:
        """Return the next records after a position, at most *limit* of them, in the order of positions."""
        ...

    def restore_records(self, records: Sequence[Record]) -> int:
        """Store records as `FullEventStore` says of ``restore``."""
        ...
