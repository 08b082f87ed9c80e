"""What an in-memory store holds: a sorted log per stream, and the order of all. Plain data, without a lock."""

from __future__ import annotations

import heapq
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from sortedcontainers import SortedDict, SortedSet

from hume.errors import IdConflict, UnexpectedSequence
from hume.stores._batch import EXISTS, Batch
from hume.stores._event import POSITION, Event, Origin, new_event

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from datetime import datetime
    from uuid import UUID

__all__ = ["SEGMENT", "Log", "Logs"]

SEGMENT: Final = 1024  # events; also the longest page, and so the longest that a reader holds the lock
_position: Final = itemgetter(POSITION)


class Log:
    """One stream's events in order: full segments, sorted by their first number, and the one that still grows.

    Appending costs O(1) and a page O(log n + its length), whatever other streams hold. Only to be touched with the
    table's lock held: a SortedDict can't be read while it is written, nor can the step that seals a segment.
    """

    __slots__ = ("first", "ids", "segments", "shareable", "tail")

    def __init__(self) -> None:
        self.segments: SortedDict[int, list[Event]] | None = None  # most streams never fill one
        self.tail: list[Event] = []
        self.first = 1  # the number of the tail's first event
        self.shareable = True  # no payload can be changed in place, so readers get the very objects
        self.ids: dict[UUID, int] | None = None  # the number of each event, once somebody has appended with ids

    @property
    def last(self) -> int:
        """The number of the last event."""
        return self.first + len(self.tail) - 1

    def extend(self, events: list[Event]) -> None:
        """Append events, whose numbers are the next."""
        tail = self.tail
        tail.extend(events)
        if self.ids is not None:
            self.ids.update((event.id, event.seq) for event in events if event.id is not None)
        if len(tail) >= SEGMENT:
            self._seal()

    def _seal(self) -> None:
        """Put what the tail holds of full segments in among them."""
        if self.segments is None:
            self.segments = SortedDict()
        full = len(self.tail) // SEGMENT * SEGMENT
        for start in range(0, full, SEGMENT):
            self.segments[self.first + start] = self.tail[start : start + SEGMENT]
        self.first += full
        self.tail = self.tail[full:]

    def page(self, after: int, limit: int) -> list[Event]:
        """Return the events that follow number *after*: at most *limit*, and none beyond the end of their segment."""
        start = after + 1
        if start >= self.first or self.segments is None:
            segment, first = self.tail, self.first
        else:
            first, segment = self.segments.peekitem(self.segments.bisect_right(start) - 1)
        return segment[start - first : start - first + limit]

    def known(self, one: UUID) -> int | None:
        """Return the number of the event that has this id, or `None`."""
        if self.ids is None:
            self.ids = {event.id: event.seq for event in self.everything() if event.id is not None}
        return self.ids.get(one)

    def event(self, seq: int) -> Event:
        """Return the event of that number, which is there."""
        return self.page(seq - 1, 1)[0]

    def everything(self) -> Iterable[Event]:
        """Yield all events."""
        if self.segments is not None:
            for segment in self.segments.values():
                yield from segment
        yield from self.tail

    def after_position(self, position: int, limit: int) -> list[Event]:
        """Return at most *limit* events whose position is greater, found by halving: positions ascend with numbers."""
        low, high = 0, self.last
        while low < high:
            middle = (low + high) // 2
            if self.event(middle + 1)[POSITION] <= position:
                low = middle + 1
            else:
                high = middle
        return self.page(low, limit)

    def _check(self) -> None:
        """Assert that the numbers are 1, 2, 3, ..., the positions ascend, and every segment but the last is full."""
        everything = list(self.everything())
        assert [event.seq for event in everything] == list(range(1, self.last + 1))
        positions = list(map(_position, everything))
        assert positions == sorted(positions)
        assert all(len(segment) == SEGMENT for segment in (self.segments or {}).values())
        assert len(self.tail) < SEGMENT
        assert self.ids is None or self.ids == {event.id: event.seq for event in everything}


class Logs:
    """All streams of a store and the order of all events: what the table holds and the heir inherits."""

    __slots__ = ("names", "order", "origin", "others", "streams")

    def __init__(self) -> None:
        self.streams: dict[Hashable, Log] = {}
        self.order: list[Event] = []  # by position: the event at position p stands at index p - 1
        self.names: SortedSet[str] = SortedSet()  # of the streams whose names are strings: finds those with a prefix
        self.others: list[Hashable] = []  # the other streams' names
        self.origin = Origin()

    def last(self, stream: Hashable) -> int:
        """Return the number of a stream's last event, 0 if it has none."""
        log = self.streams.get(stream)
        return 0 if log is None else log.last

    def check(self, batch: Batch, at: int) -> int | None:
        """Return the number that the batch ended with if it has been appended before; else that it may be, at *at*.

        Raises:
            UnexpectedSequence: the stream is not where the batch expects it.
            IdConflict: an id is known with another payload, or only a part of the ids is known.
        """
        if batch.ids:
            before = self._appended_before(batch)
            if before is not None:
                return before
        expected = batch.expect_seq
        if expected is not None and (at == 0 if expected is EXISTS else expected != at):
            raise UnexpectedSequence(batch.stream, expected, at)
        return None

    def _appended_before(self, batch: Batch) -> int | None:
        log = self.streams.get(batch.stream)
        if log is None or batch.ids is None:
            return None
        seqs = [log.known(one) for one in batch.ids]
        found = [seq for seq in seqs if seq is not None]
        if not found:
            return None
        for one, seq, payload in zip(batch.ids, seqs, batch.payloads, strict=True):
            if seq is None or log.event(seq).payload != payload:
                raise IdConflict(batch.stream, one, known=seq is not None)
        return found[-1]

    def add(self, batch: Batch, recorded_at: datetime) -> int:
        """Append a batch that `check` has let pass, and return the last number."""
        stream, log = batch.stream, self.streams.get(batch.stream)
        if log is None:
            if not batch.payloads:
                return 0
            log = self.streams[stream] = Log()
            if isinstance(stream, str):
                self.names.add(stream)
            else:
                self.others.append(stream)
        if not batch.shareable:
            log.shareable = False
        order, metadata, ids, source = self.order, batch.metadata, batch.ids, self.origin
        seq, position = log.first + len(log.tail) - 1, len(order)
        events: list[Event] = []
        for index, payload in enumerate(batch.payloads):
            seq += 1
            position += 1
            one = source if ids is None else ids[index]
            events.append(new_event(Event, (seq, payload, stream, one, recorded_at, metadata, position)))
        log.extend(events)
        order.extend(events)
        return seq

    def matching(self, prefix: str | None) -> list[Hashable]:
        """Return the streams: those that are strings in alphabetical order, then the others in order of appearance."""
        if prefix is None:
            return [*self.names, *self.others]
        found: list[Hashable] = []
        for name in self.names.irange(prefix):
            if not name.startswith(prefix):
                break
            found.append(name)
        return found

    def page(self, after: int, limit: int, streams: Iterable[Hashable] | None) -> tuple[list[Event], int]:
        """Return at most *limit* events after a position, and the position up to which these are all there are."""
        if streams is None:
            page = self.order[after : after + limit]
            return page, after + len(page)
        logs = [log for log in map(self.streams.get, dict.fromkeys(streams)) if log is not None]
        # Each log gives a page of its own, short where a segment ends; so the merged page is cut at the first end.
        pages = [(log, log.after_position(after, limit)) for log in logs]
        ends = [page[-1][POSITION] for log, page in pages if page and page[-1].seq < log.last]
        end = min(ends, default=len(self.order))
        merged = heapq.merge(*(page for _, page in pages), key=_position)
        chosen = [event for event in merged if event[POSITION] <= end][:limit]
        return chosen, chosen[-1][POSITION] if len(chosen) == limit else end

    def _check(self) -> None:
        """Assert that positions are 1, 2, 3, ... and that every event stands in its stream, once."""
        for stream, log in self.streams.items():
            log._check()
            assert all(event.stream == stream for event in log.everything())
        assert [event.position for event in self.order] == list(range(1, len(self.order) + 1))
        assert sum(log.last for log in self.streams.values()) == len(self.order)
        assert set(self.names) | set(self.others) == set(self.streams)
