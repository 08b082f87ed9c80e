"""EventStoreActor: one sorted log per stream, in memory, in a table that outlives the actor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sortedcontainers import SortedDict

from hume import telemetry
from hume.actors._gen_server import GenServer
from hume.actors._heir import HeirActor
from hume.actors._isolate import is_immutable, isolated
from hume.actors._mailbox import Mailbox, current
from hume.actors._table import Table
from hume.errors import NotFound, UnexpectedSequence
from hume.stores._event import Event, Origin, new_event
from hume.stores._event_store import DirectStore, check_expect_seq, check_stream

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from hume.actors._clock import Clock

__all__ = ["EventStoreActor", "Journal"]

_SEGMENT: Final = 1024  # events; also the longest page, and so the longest that a reader holds the lock
_APPEND: Final = ("hume", "store", "append")


class Log:
    """One stream's events in order: full segments, sorted by their first number, and the one that still grows.

    Appending costs O(1) and a page O(log n + its length), whatever other streams hold. Only to be touched with the
    table's lock held: SortedDict can't be read while it is written, and neither can the step that seals a segment.
    """

    __slots__ = ("first", "segments", "shareable", "tail")

    def __init__(self) -> None:
        self.segments: SortedDict[int, list[Event]] | None = None  # most streams never fill one
        self.tail: list[Event] = []
        self.first = 1  # the number of the tail's first event
        self.shareable = True  # no payload can be changed in place, so readers get the very objects

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.first + len(self.tail) - 1

    def seal(self) -> None:
        """Put the full tail among the segments and begin another."""
        if self.segments is None:
            self.segments = SortedDict()
        self.segments[self.first] = self.tail
        self.first += len(self.tail)
        self.tail = []

    def page(self, after: int, limit: int) -> list[Event]:
        """Return the events that follow number *after*: at most *limit*, and none beyond the end of their segment."""
        start = after + 1
        if start >= self.first or self.segments is None:
            segment, first = self.tail, self.first
        else:
            first, segment = self.segments.peekitem(self.segments.bisect_right(start) - 1)
        return segment[start - first : start - first + limit]

    def _check(self) -> None:
        """Assert that the numbers are 1, 2, 3, ... and that every segment but the last is full."""
        everything = [event for segment in (self.segments or {}).values() for event in segment] + self.tail
        assert [event.seq for event in everything] == list(range(1, self.last + 1))
        assert all(len(segment) == _SEGMENT for segment in (self.segments or {}).values())
        assert len(self.tail) < _SEGMENT


class Logs:
    """All streams of a store and the global order: what the table holds and the heir inherits."""

    __slots__ = ("order", "origin", "streams")

    def __init__(self) -> None:
        self.streams: dict[Hashable, Log] = {}
        self.order: list[Event] = []
        self.origin = Origin()

    def _check(self) -> None:
        """Assert that positions are 1, 2, 3, ... and that every event stands in its stream, once."""
        for log in self.streams.values():
            log._check()  # noqa: SLF001 - its own module
        assert [event.position for event in self.order] == list(range(1, len(self.order) + 1))
        assert sum(log.last for log in self.streams.values()) == len(self.order)


class Journal(DirectStore):
    """The store's methods, for any thread: atomic under the table's lock, as long as the store actor owns the table.

    The lock orders an append and the actor's death: either the events are in the table when it moves to the heir, or
    the append finds another owner and is refused.
    """

    __slots__ = ("_clock", "_logs", "_mailbox", "_table")

    def __init__(self, table: Table, mailbox: Mailbox, clock: Clock) -> None:
        self._table, self._mailbox, self._clock = table, mailbox, clock
        self._logs: Logs = table["logs"]

    @property
    def log_id(self) -> UUID:
        """The identity of these logs: another one when a store starts with nothing."""
        return self._logs.origin.uuid

    def append(
        self,
        stream: Hashable,
        payloads: Sequence[Any],
        expect_seq: int | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Append all payloads or none; see `EventStore.append`."""
        check_stream(stream)
        check_expect_seq(expect_seq)
        batch = [_copied(payload) for payload in _checked(payloads)]
        shareable = all(map(is_immutable, batch))
        about = isolated(dict(metadata)) if metadata else None
        if (me := current()) is not None and not me.alive:
            raise me.dead_error()  # a killed actor's thread writes nowhere
        recorded_at = self._clock.utcnow()
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            seq = self._append_locked(stream, batch, expect_seq, (recorded_at, about))
            if not shareable:
                self._logs.streams[stream].shareable = False
        if telemetry.attached(_APPEND):
            about_it = {"store": self._mailbox.ref, "stream": stream}
            telemetry.execute(_APPEND, {"events": len(batch), "seq": seq}, about_it)
        return seq

    def _append_locked(
        self,
        stream: Hashable,
        batch: list[Any],
        expect_seq: int | None,
        envelope: tuple[datetime, dict[str, Any] | None],
    ) -> int:
        logs = self._logs
        log = logs.streams.get(stream)
        seq = 0 if log is None else log.last
        if expect_seq is not None and expect_seq != seq:
            raise UnexpectedSequence(stream, expect_seq, seq)
        if log is None:
            if not batch:
                return 0
            log = logs.streams[stream] = Log()
        order, origin = logs.order, logs.origin
        for payload in batch:
            seq += 1
            event = new_event(Event, (seq, payload, stream, origin, *envelope, len(order) + 1))
            log.tail.append(event)
            order.append(event)
            if len(log.tail) == _SEGMENT:
                log.seal()
        return seq

    def page(self, stream: Hashable, after: int, limit: int) -> list[Event]:
        """Return some of the events that follow number *after*, in order: at least one if there is one."""
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            log = self._logs.streams.get(stream)
            if log is None:
                return []
            events, shareable = log.page(after, limit), log.shareable
        return events if shareable else [event.with_payload(isolated(event.payload)) for event in events]

    def events(self, stream: Hashable, after: int = 0, limit: int | None = None) -> Iterator[Event]:
        """Yield the events whose number is greater than *after*; see `EventStore.events`.

        Lazy: a page at a time, up to the end that the stream had at the call; a batch is seen whole or not at all.
        """
        check_stream(stream)
        _check_number("after", after)
        if limit is not None:
            _check_number("limit", limit)
        last = self.last_seq(stream)
        if limit is not None:
            last = min(last, after + limit)
        return self._pages(stream, after, last)

    def _pages(self, stream: Hashable, after: int, last: int) -> Iterator[Event]:
        while after < last:
            events = self.page(stream, after, min(last - after, _SEGMENT))
            yield from events
            after += len(events)

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event, 0 if it has none."""
        with self._table.lock:
            self._table.check_owner(self._mailbox)
            log = self._logs.streams.get(stream)
            return 0 if log is None else log.last


def _checked(payloads: Sequence[Any]) -> Sequence[Any]:
    if isinstance(payloads, str | bytes) or not hasattr(payloads, "__iter__"):
        msg = f"payloads must be a sequence of payloads, not {payloads!r}; one payload is a sequence of one"
        raise TypeError(msg)
    payloads = list(payloads)
    if any(payload is None for payload in payloads):
        msg = "a payload must not be None"
        raise ValueError(msg)
    return payloads


def _copied(payload: Any) -> Any:
    try:
        return isolated(payload)
    except Exception as error:
        msg = f"payload {payload!r} can't be copied ({error}), and a log must not share what can be changed"
        raise TypeError(msg) from error


def _check_number(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, not {value!r}"
        raise TypeError(msg)
    if value < 0:
        msg = f"{name} must be at least 0, not {value!r}"
        raise ValueError(msg)


class EventStoreActor(GenServer):
    """An event store in memory, registered under its class unless it is given another name.

    Any thread calls `append`, `events` and `last_seq` through the functions of Hume with the actor's name or ref; they
    run in the caller's thread. Through ``ref.proxy()`` they run in the actor, with the same result. The logs are a
    table with the application's heir behind it: a store that is started again under its name goes on where it was.

    Example::

        EventStoreActor.start_link()
        hume.publish(EventStoreActor, "warehouse", ("add", "foo", 42))
    """

    @classmethod
    def start(cls, *, name: Hashable = None, timeout: float | None = None) -> Any:
        """Start a store, named by its class unless *name* is given, with the logs that a store of this name left."""
        return super().start(cls if name is None else name, name=cls if name is None else name, timeout=timeout)

    @classmethod
    def start_link(cls, *, name: Hashable = None, timeout: float | None = None) -> Any:
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

    def append(
        self,
        stream: Hashable,
        payloads: Sequence[Any],
        expect_seq: int | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Append all payloads or none; see `EventStore.append`."""
        return self._journal.append(stream, payloads, expect_seq, metadata=metadata)

    def events(self, stream: Hashable, after: int = 0, limit: int | None = None) -> Iterable[Event]:
        """Return the events whose number is greater than *after*; see `EventStore.events`."""
        return list(self._journal.events(stream, after, limit))

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event, 0 if it has none."""
        return self._journal.last_seq(stream)
