"""What an in-memory store holds: a log per stream, and the order of all. Plain data, without a lock."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from itertools import count, islice, repeat
from typing import TYPE_CHECKING, Any, Final

from sortedcontainers import SortedSet

from hume.errors import IdConflict, UnexpectedSequence
from hume.stores._batch import EXISTS, Batch
from hume.stores._event import Event, Origin, new_event

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from hume.stores._selector import Selector

__all__ = ["LONGEST_PAGE", "Log", "LogPage", "Logs"]

LONGEST_PAGE: Final = 1024  # events, and so the longest that a reader holds the lock
_FEW: Final = 16  # streams that are looked at one by one; of more, the order of all is gone through


class Log:
    """One stream's events in columns: what belongs to number n stands at index n - 1, or under the key n.

    So an append makes no object for the garbage collector to look at, and a fold reads the payloads as they lie there.
    Appending costs O(1) and a page O(its length), whatever other streams hold. Only to be touched with the table's
    lock held, except that what stands under a number, once there, never changes.
    """

    __slots__ = (
        "given_ids", "ids", "metadata", "origin", "payloads", "positions", "recorded_at", "shareable", "stream"
    )  # fmt: skip

    def __init__(self, stream: Hashable, origin: Origin) -> None:
        self.stream, self.origin = stream, origin
        self.positions: array[int] = array("q")
        self.payloads: list[Any] = []
        self.recorded_at: list[datetime] = []
        self.metadata: dict[int, dict[str, Any]] = {}  # of those events that have any
        self.given_ids: dict[int, UUID] = {}  # of those events that were appended with one
        self.ids: dict[UUID, int] | None = None  # the number of each id, once somebody has appended with ids
        self.shareable = True  # no payload can be changed in place, so readers get the very objects

    @property
    def last(self) -> int:
        """The number of the last event."""
        return len(self.positions)

    def extend(self, batch: Batch, recorded_at: datetime, position: int) -> None:
        """Append a batch, whose first event has this position."""
        payloads, seq = batch.payloads, len(self.positions) + 1
        if len(payloads) == 1:
            self.positions.append(position)
            self.payloads.append(payloads[0])
            self.recorded_at.append(recorded_at)
        else:
            self.positions.extend(range(position, position + len(payloads)))
            self.payloads.extend(payloads)
            self.recorded_at.extend(repeat(recorded_at, len(payloads)))
        if not batch.shareable:
            self.shareable = False
        if batch.metadata is not None:
            self.metadata.update(zip(range(seq, seq + len(payloads)), repeat(batch.metadata)))
        if batch.ids is not None:
            self.given_ids.update(enumerate(batch.ids, seq))
        if self.ids is not None:
            self.ids.update((self.id(number), number) for number in range(seq, seq + len(payloads)))

    def cut(self, position: int) -> None:
        """Take out what was appended beyond a position, however far that came."""
        length = bisect_right(self.positions, position)
        for seq in range(length + 1, len(self.positions) + 1):
            self.metadata.pop(seq, None)
            self.given_ids.pop(seq, None)
        del self.positions[length:], self.payloads[length:], self.recorded_at[length:]
        self.ids = None

    def page(self, after: int, limit: int) -> LogPage:
        """Return the events that follow number *after*, at most *limit* of them."""
        return LogPage(self, after, after + limit)

    def id(self, seq: int) -> UUID:
        """Return the id of the event of that number, which is there."""
        given = self.given_ids.get(seq)
        return self.origin.event_id(self.positions[seq - 1]) if given is None else given

    def known(self, one: UUID) -> int | None:
        """Return the number of the event that has this id, or `None`."""
        if self.ids is None:
            self.ids = {self.id(seq): seq for seq in range(1, self.last + 1)}
        return self.ids.get(one)

    def event(self, seq: int) -> Event:
        """Return the event of that number, which is there."""
        return self._event(seq, self.payloads[seq - 1], self.recorded_at[seq - 1], self.positions[seq - 1])

    def _event(self, seq: int, payload: Any, recorded_at: datetime, position: int) -> Event:
        source = self.given_ids.get(seq, self.origin)
        return new_event(Event, (seq, payload, self.stream, source, recorded_at, self.metadata.get(seq), position))

    def _check(self) -> None:
        """Assert that the columns are of one length, and the positions ascend."""
        assert len(self.positions) == len(self.payloads) == len(self.recorded_at)
        assert all(map(int.__lt__, self.positions, self.positions[1:]))
        numbers = set(range(1, self.last + 1))
        assert numbers.issuperset(self.metadata)
        assert numbers.issuperset(self.given_ids)
        assert self.ids is None or self.ids == {self.id(seq): seq for seq in numbers}


class LogPage:
    """A part of a log: the payloads; whole events are made only for those who want them.

    It is cut out with the table's lock held, and is its reader's from then on. What else there is of its events is
    looked up in the log without the lock: in a single step each, of what is there and never changes.
    """

    __slots__ = ("_log", "_start", "payloads")

    def __init__(self, log: Log, start: int, end: int) -> None:
        self._log, self._start = log, start
        self.payloads: Sequence[Any] = log.payloads[start:end]

    def event(self, index: int) -> Event:
        """Return one of the events whole."""
        log, at = self._log, self._start + index
        return log._event(at + 1, self.payloads[index], log.recorded_at[at], log.positions[at])

    def events(self) -> list[Event]:
        """Return all of the events whole."""
        log, start = self._log, self._start
        end = start + len(self.payloads)
        return list(
            map(log._event, count(start + 1), self.payloads, log.recorded_at[start:end], log.positions[start:end])
        )


class Logs:
    """All streams of a store and the order of all events: what the table holds and the heir inherits."""

    __slots__ = ("names", "order", "origin", "others", "seqs", "streams")

    def __init__(self) -> None:
        self.streams: dict[Hashable, Log] = {}
        self.order: list[Log] = []  # the event at position p is in the log at index p - 1 ...
        self.seqs: array[int] = array("q")  # ... and has the number at index p - 1
        self.names: SortedSet[str] = SortedSet()  # of the streams whose names are strings: finds those with a prefix
        self.others: list[Hashable] = []  # the other streams' names
        self.origin = Origin()

    def last(self, stream: Hashable) -> int:
        """Return the number of a stream's last event, 0 if it has none."""
        log = self.streams.get(stream)
        return 0 if log is None else len(log.positions)

    # -- writing

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
            if seq is None or log.payloads[seq - 1] != payload:
                raise IdConflict(batch.stream, one, known=seq is not None)
        return found[-1]

    def add(self, batch: Batch, recorded_at: datetime) -> int:
        """Append a batch that `check` has let pass, and return the last number."""
        log, number = self.streams.get(batch.stream), len(batch.payloads)
        if log is None:
            if not number:
                return 0
            log = Log(batch.stream, self.origin)
        order, seq = self.order, len(log.positions)
        position = len(order)
        try:
            if number == 1:
                order.append(log)
                self.seqs.append(seq + 1)
            else:
                order.extend(repeat(log, number))
                self.seqs.extend(range(seq + 1, seq + 1 + number))
            log.extend(batch, recorded_at, position + 1)
            if not seq:
                self._begin(log)
        except BaseException:  # no memory, or a Ctrl-C: all or nothing
            self.cut(position)
            raise
        return seq + number

    def add_all(self, batches: Iterable[tuple[Batch, datetime]]) -> list[int]:
        """Append batches that `check` has let pass, all or none."""
        position = len(self.order)
        try:
            return [self.add(batch, recorded_at) for batch, recorded_at in batches]
        except BaseException:
            self.cut(position)
            raise

    def _begin(self, log: Log) -> None:
        self.streams[log.stream] = log
        if isinstance(log.stream, str):
            self.names.add(log.stream)
        else:
            self.others.append(log.stream)

    def cut(self, position: int) -> None:
        """Take out what was appended beyond a position, however far that came."""
        for log in dict.fromkeys(self.order[position:]):
            log.cut(position)
            if not log.positions:
                self.streams.pop(log.stream, None)
                if isinstance(log.stream, str):
                    self.names.discard(log.stream)
                self.others = [name for name in self.others if name in self.streams]
        del self.order[position:], self.seqs[position:]

    # -- reading

    def matching(self, prefix: str | None) -> list[Hashable]:
        """Return the streams: those that are strings in alphabetical order, then the others in order of appearance."""
        return [*self.names, *self.others] if prefix is None else list(self._beginning_with(prefix))

    def _beginning_with(self, prefix: str) -> Iterator[str]:
        for name in self.names.irange(prefix):
            if not name.startswith(prefix):
                return
            yield name

    def page(self, after: int, limit: int, selector: Selector) -> tuple[list[Event], int]:
        """Return at most *limit* events after a position, and the position up to which these are all there are."""
        few = self._few(selector)
        return self._all(after, limit, selector) if few is None else self._merged(after, limit, few)

    def _few(self, selector: Selector) -> list[Log] | None:
        names: Iterable[Hashable] | None = selector.streams
        if selector.prefix is not None:
            names = self._beginning_with(selector.prefix)
        if names is None:
            return None
        some = list(islice(dict.fromkeys(names) if selector.prefix is None else names, _FEW + 1))
        return None if len(some) > _FEW else [log for log in map(self.streams.get, some) if log is not None]

    def _merged(self, after: int, limit: int, logs: Iterable[Log]) -> tuple[list[Event], int]:
        parts: list[Iterable[tuple[int, int, int]]] = []  # position, which log, number
        found: list[Log] = []
        for which, log in enumerate(logs):
            start = bisect_right(log.positions, after)
            parts.append(zip(log.positions[start : start + limit], repeat(which), count(start + 1)))
            found.append(log)
        chosen = list(islice(heapq.merge(*parts), limit))
        end = chosen[-1][0] if len(chosen) == limit else len(self.order)
        return [found[which].event(seq) for _, which, seq in chosen], end

    def _all(self, after: int, limit: int, selector: Selector) -> tuple[list[Event], int]:
        streams = None if selector.streams is None else frozenset(selector.streams)
        order, seqs, events = self.order, self.seqs, list[Event]()
        end = min(len(order), after + LONGEST_PAGE)
        for index in range(after, end):
            log = order[index]
            if log.stream in selector if streams is None else log.stream in streams:
                events.append(log.event(seqs[index]))
                if len(events) == limit:
                    return events, index + 1
        return events, max(after, end)

    def _check(self) -> None:
        """Assert that every event stands in its stream, and in the order of all, once."""
        for stream, log in self.streams.items():
            log._check()
            assert log.stream == stream
            assert log.last
        assert len(self.order) == len(self.seqs)
        for position, (log, seq) in enumerate(zip(self.order, self.seqs, strict=True), 1):
            assert log.positions[seq - 1] == position
        assert sum(log.last for log in self.streams.values()) == len(self.order)
        assert set(self.names) | set(self.others) == set(self.streams)
