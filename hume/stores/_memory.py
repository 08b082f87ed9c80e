"""EventStoreActor: one sorted log per stream, in memory, in a table that outlives the actor."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from hume import telemetry
from hume.actors._clock import SYSTEM_CLOCK
from hume.actors._heir import HeirActor
from hume.actors._isolate import is_immutable, isolated
from hume.actors._mailbox import current
from hume.actors._table import Table
from hume.errors import NotFound
from hume.stores._batch import Batch, check_count, check_stream
from hume.stores._event import POSITION, unshared
from hume.stores._event_store import DirectStore
from hume.stores._log import LONGEST_PAGE, Logs
from hume.stores._page import EventPage
from hume.stores._restore import as_returning, restore
from hume.stores._selector import select
from hume.stores._store_server import StoreServer
from hume.telemetry import _handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
    from uuid import UUID

    import pykka

    from hume.actors._clock import Clock
    from hume.actors._mailbox import Mailbox
    from hume.stores._event import Event, Moment
    from hume.stores._page import Page
    from hume.stores._selector import Selector

__all__ = ["EventStoreActor", "Journal"]

_APPEND: Final = ("hume", "store", "append")
_NOTHING: Final = EventPage()


class Journal(DirectStore):
    """The store's methods, for any thread: atomic under the table's lock, as long as the store actor owns the table.

    The lock orders an append and the actor's death: either the events are in the table when it moves to the heir, or
    the append finds another owner and is refused. Nothing of a user's runs while it is held.
    """

    __slots__ = ("_logs", "_mailbox", "_now", "_table")

    def __init__(self, table: Table, mailbox: Mailbox, clock: Clock) -> None:
        self._table, self._mailbox = table, mailbox
        self._now: Callable[[], Moment] = time.time if clock is SYSTEM_CLOCK else clock.utcnow
        self._logs: Logs = table["logs"]

    @property
    def log_id(self) -> UUID:
        """The identity of these logs: another one when a store starts with nothing."""
        return self._logs.origin.uuid

    # -- writing

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
        batch = Batch(stream, payloads, expect_seq, ids, metadata)
        recorded_at, table, logs = self._now(), self._table, self._logs
        with table.lock:
            table.check_owner(self._mailbox)
            before = logs.check(batch, logs.last(stream)) if batch.ids or expect_seq is not None else None
            seq = logs.add(batch, recorded_at) if before is None else before
        if _handlers and before is None and telemetry.attached(_APPEND):
            self._tell(batch, seq)
        return seq

    def append_one(self, stream: Hashable, payload: Any) -> int:
        """Append one payload; see `DirectStore.append_one`."""
        if type(stream) is not str or not is_immutable(payload) or _handlers or current() is not None:
            return self.append(stream, (payload,))  # there is something to check, to copy, to tell or to inherit
        recorded_at, table = self._now(), self._table
        with table.lock:
            table.check_owner(self._mailbox)
            return self._logs.extend(stream, (payload,), recorded_at)

    def append_many(
        self, batches: Iterable[tuple[Hashable, Iterable[Any], Any]], *, metadata: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Append to several streams, all or nothing; see `FullEventStore.append_many`."""
        checked = [Batch(*batch, metadata=metadata) for batch in batches]
        logs, recorded_at = self._logs, self._now()
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            at: dict[Hashable, int] = {}  # where each stream will be, as a batch may follow another of its stream
            for batch in checked:
                seq = at.get(batch.stream, logs.last(batch.stream))
                logs.check(batch, seq)
                at[batch.stream] = seq + len(batch.payloads)
            seqs = logs.add_all([(batch, recorded_at) for batch in checked])
        if telemetry.attached(_APPEND):
            for batch, seq in zip(checked, seqs, strict=True):
                self._tell(batch, seq)
        return seqs

    def restore(self, events: Iterable[Event]) -> int:
        """Store events with the ids, numbers and times that they have; see `FullEventStore`."""
        checked = as_returning(events)
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            return restore(self._logs, checked)

    def _tell(self, batch: Batch, seq: int) -> None:
        about = {"store": self._mailbox.ref, "stream": batch.stream}
        telemetry.execute(_APPEND, {"events": len(batch.payloads), "seq": seq}, about)

    # -- reading: lazily, a page at a time, up to the end that there was at the call

    def page(self, stream: Hashable, after: int, limit: int) -> tuple[Page, int, int]:
        """Return some of a stream's events; see `DirectStore.page`."""
        table = self._table
        with table.lock:
            table.check_owner(self._mailbox)
            log = self._logs.streams.get(stream)
            if log is None:
                return _NOTHING, after, 0
            page, last, shareable = log.page(after, min(limit, LONGEST_PAGE)), log.last, log.shareable
        if not shareable:
            page.payloads = list(map(isolated, page.payloads))
        return page, after + len(page.payloads), last

    def page_of(self, selector: Selector, after: int, limit: int) -> tuple[Page, int, int]:
        """Return some of the selected events; see `DirectStore.page_of`."""
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            events, end = self._logs.page(after, min(limit, LONGEST_PAGE), selector)
            last = self._logs.count
        return EventPage(list(map(unshared, events))), end, last

    def events(
        self,
        stream: Hashable,
        after: int = 0,
        limit: int | None = None,
        backward: bool = False,  # noqa: FBT001, FBT002 - the contract fixes the signature
    ) -> Iterator[Event]:
        """Yield a stream's events; see `FullEventStore.events`."""
        check_stream(stream)
        check_count("after", after)
        last = self.last_seq(stream)
        if limit is not None:
            check_count("limit", limit)
            if backward:
                after = max(after, last - limit)
            else:
                last = min(last, after + limit)
        return self._backward(stream, after, last) if backward else self._forward(stream, after, last)

    def _forward(self, stream: Hashable, after: int, last: int) -> Iterator[Event]:
        while after < last:
            page, after, _ = self.page(stream, after, last - after)
            yield from page.events()

    def _backward(self, stream: Hashable, after: int, last: int) -> Iterator[Event]:
        while after < last:
            first = max(after, last - LONGEST_PAGE)
            yield from reversed(list(self._forward(stream, first, last)))
            last = first

    def all_events(
        self,
        after: int = 0,
        limit: int | None = None,
        streams: Iterable[Hashable] | None = None,
        prefix: str | None = None,
    ) -> Iterator[Event]:
        """Yield events in global order; see `FullEventStore.all_events`."""
        selector = select(streams, prefix)
        check_count("after", after)
        if limit is not None:
            check_count("limit", limit)
        return self._all(selector, after, self.last_position(), limit)

    def _all(self, selector: Selector, after: int, last: int, limit: int | None) -> Iterator[Event]:
        left = last if limit is None else limit  # there are no more events than positions
        while after < last and left > 0:
            page, after, _ = self.page_of(selector, after, left)
            chosen = [event for event in page.events() if event[POSITION] <= last]
            left -= len(chosen)
            yield from chosen

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event, 0 if it has none."""
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            return self._logs.last(stream)

    def last_position(self) -> int:
        """Return the position of the last event, 0 if there is none."""
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            return self._logs.count

    def streams(self, prefix: str | None = None) -> list[Hashable]:
        """Return the streams that have events; see `FullEventStore.streams`."""
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            return self._logs.matching(prefix)


class EventStoreActor(StoreServer):
    """An event store in memory, registered under its class unless it is given another name.

    Any thread calls `append`, `events` and `last_seq` through the functions of Hume with the actor's name or ref; they
    run in the caller's thread. Through ``ref.proxy()`` they run in the actor, with the same result. The logs are a
    table with the application's heir behind it: a store that is started again under its name goes on where it was.

    Example::

        EventStoreActor.start_link()
        hume.publish(EventStoreActor, "warehouse", ("add", "foo", 42))
    """

    @classmethod
    def start(cls, *, name: Hashable = None, timeout: float | None = None) -> pykka.ActorRef[Self]:
        """Start a store, named by its class unless *name* is given, with the logs that a store of this name left."""
        return super().start(cls if name is None else name, name=cls if name is None else name, timeout=timeout)

    @classmethod
    def start_link(cls, *, name: Hashable = None, timeout: float | None = None) -> pykka.ActorRef[Self]:
        """Start a store as `start` does, linked to the caller."""
        return super().start_link(cls if name is None else name, name=cls if name is None else name, timeout=timeout)

    def init(self, name: Hashable) -> None:
        """Take the logs that a store of this name left with the heir, or begin new ones."""
        key = ("hume", "logs", name)
        try:
            table = HeirActor.take(key)
        except NotFound:
            # copier None: the logs are changed in place, by Journal alone, and what it hands out is copied there
            table = Table(key, heir=HeirActor, copier=None)
            table.insert("logs", Logs())
        self._journal = self.actor_inbox.face = Journal(table, self.actor_inbox, self.clock)
