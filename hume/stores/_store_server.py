"""StoreServer: what a store's actor has for those who come through a proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hume.actors._gen_server import GenServer

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from uuid import UUID

    from hume.stores._event import Event

__all__ = ["StoreServer"]


class StoreServer(GenServer):
    """An actor whose journal any thread may use where it is; through ``ref.proxy()`` it is used in the actor.

    The results are the same; only what is read comes as a list, made before anybody can write again.
    """

    _journal: Any  # a DirectStore that is a FullEventStore, too; set by `init`

    def append(
        self,
        stream: Hashable,
        payloads: Iterable[Any],
        expect_seq: Any = None,
        *,
        ids: Iterable[UUID] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Append all payloads or none; see `FullEventStore.append`."""
        seq: int = self._journal.append(stream, payloads, expect_seq, ids=ids, metadata=metadata)
        return seq

    def append_many(
        self, batches: Iterable[tuple[Hashable, Iterable[Any], Any]], *, metadata: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Append to several streams, all or nothing; see `FullEventStore.append_many`."""
        seqs: list[int] = self._journal.append_many(batches, metadata=metadata)
        return seqs

    def restore(self, events: Iterable[Event]) -> int:
        """Store events with the ids, numbers and times that they have; see `FullEventStore`."""
        new: int = self._journal.restore(events)
        return new

    def events(
        self,
        stream: Hashable,
        after: int = 0,
        limit: int | None = None,
        backward: bool = False,  # noqa: FBT001, FBT002 - the contract fixes the signature
    ) -> list[Event]:
        """Return a stream's events; see `FullEventStore.events`."""
        return list(self._journal.events(stream, after, limit, backward))

    def all_events(
        self,
        after: int = 0,
        limit: int | None = None,
        streams: Iterable[Hashable] | None = None,
        prefix: str | None = None,
    ) -> list[Event]:
        """Return events in global order; see `FullEventStore.all_events`."""
        return list(self._journal.all_events(after, limit, streams, prefix))

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event, 0 if it has none."""
        seq: int = self._journal.last_seq(stream)
        return seq

    def last_position(self) -> int:
        """Return the position of the last event, 0 if there is none."""
        position: int = self._journal.last_position()
        return position

    def streams(self, prefix: str | None = None) -> list[Hashable]:
        """Return the streams that have events; see `FullEventStore.streams`."""
        return list(self._journal.streams(prefix))
