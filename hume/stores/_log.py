"""What an in-memory store holds: a log per stream, and the order of all. Plain data, without a lock."""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from itertools import count, islice, repeat
from typing import TYPE_CHECKING, Any, Final

from sortedcontainers import SortedSet

from hume.errors import IdConflict, UnexpectedSequence
from hume.stores._batch import EXISTS, Batch
from hume.stores._event import POSITION, Event, Origin, new_event

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
    from uuid import UUID

    from hume.stores._event import Moment
    from hume.stores._selector import Selector

__all__ = ["LONGEST_PAGE", "Log", "LogPage", "Logs"]

LONGEST_PAGE: Final = 1024  # events, and so the longest that a reader holds the lock
_FEW: Final = 16  # streams that are looked at one by one; of more, the order of all is gone through


class Log:
    """One stream's events in columns: what belongs to number n stands at index n - 1, or under the key n.

    So an append makes no object for the garbage collector to look at, and a fold reads the payloads as they lie there.
    Positions are kept as runs, since events that follow each other in the stream mostly do so in the store: run r
    begins at index ``starts[r]``, with position ``firsts[r]``. Appending costs O(1) and a page O(its length), whatever
    other streams hold. Only to be touched with the table's lock held, except that what stands under a number, once
    there, never changes.
    """

    __slots__ = (
        *("stream", "origin", "starts", "firsts", "payloads", "recorded_at"),
        *("metadata", "given_ids", "ids", "indexed", "shareable"),
    )

    def __init__(self, stream: Hashable, origin: Origin) -> None:
        self.stream, self.origin = stream, origin
        self.starts: list[int] = []
        self.firsts: list[int] = []
        self.recorded_at: list[Moment] = []
        self.payloads: list[Any] = []
        self.metadata: dict[int, dict[str, Any]] = {}  # of those events that have any
        self.given_ids: dict[int, UUID] = {}  # of those events that were appended with one
        self.ids: dict[UUID, int] = {}  # the number of each id, as far as ``indexed``: for appends with ids
        self.indexed = 0
        self.shareable = True  # no payload can be changed in place, so readers get the very objects

    @property
    def last(self) -> int:
        """The number of the last event."""
        return len(self.payloads)

    def describe(self, batch: Batch) -> None:
        """Note what is said of a batch that is being appended, besides its payloads."""
        seq, count = len(self.payloads) + 1, len(batch.payloads)
        if not batch.shareable:
            self.shareable = False
        if batch.metadata is not None:
            self.metadata.update(zip(range(seq, seq + count), repeat(batch.metadata)))
        if batch.ids is not None:
            self.given_ids.update(enumerate(batch.ids, seq))

    def cut(self, length: int) -> None:
        """Take out what was appended after number *length*, however far that came."""
        run = bisect_left(self.starts, length)
        del self.starts[run:], self.firsts[run:], self.recorded_at[length:], self.payloads[length:]
        for column in (self.metadata, self.given_ids):
            for seq in [seq for seq in column if seq > length]:
                column.pop(seq)
        self.ids, self.indexed = {}, 0

    def page(self, after: int, limit: int) -> LogPage:
        """Return the events that follow number *after*, at most *limit* of them."""
        return LogPage(self, after, after + limit)

    def position(self, index: int) -> int:
        """Return the position of the event at an index."""
        run = bisect_right(self.starts, index) - 1
        return self.firsts[run] + index - self.starts[run]

    def positions(self, start: int, end: int) -> Iterator[int]:
        """Yield the positions of the events from one index up to another."""
        run = bisect_right(self.starts, start) - 1
        while start < end:
            run += 1
            until = min(end, self.starts[run]) if run < len(self.starts) else end
            first = self.firsts[run - 1] - self.starts[run - 1]
            yield from range(first + start, first + until)
            start = until

    def index_after(self, position: int) -> int:
        """Return the index of the first event beyond a position."""
        run = bisect_right(self.firsts, position)
        if not run:
            return 0
        end = self.starts[run] if run < len(self.starts) else len(self.payloads)
        return min(end, self.starts[run - 1] + position + 1 - self.firsts[run - 1])

    def id(self, seq: int) -> UUID:
        """Return the id of the event of that number, which is there."""
        given = self.given_ids.get(seq)
        return self.origin.event_id(self.position(seq - 1)) if given is None else given

    def known(self, one: UUID) -> int | None:
        """Return the number of the event that has this id, or `None`."""
        for seq in range(self.indexed + 1, self.last + 1):
            self.ids[self.id(seq)] = seq
            self.indexed = seq
        return self.ids.get(one)

    def event(self, seq: int) -> Event:
        """Return the event of that number, which is there."""
        return self._event(seq, self.payloads[seq - 1], self.recorded_at[seq - 1], self.position(seq - 1))

    def _event(self, seq: int, payload: Any, recorded_at: Moment, position: int) -> Event:
        source = self.given_ids.get(seq, self.origin)
        return new_event(Event, (seq, payload, self.stream, source, recorded_at, self.metadata.get(seq), position))

    def _check(self) -> None:
        """Assert that the columns are of one length, and the positions ascend."""
        assert len(self.payloads) == len(self.recorded_at)
        assert len(self.starts) == len(self.firsts)
        assert self.starts[:1] in ([], [0])
        positions = list(self.positions(0, self.last))
        assert positions == [self.position(index) for index in range(self.last)]
        assert all(map(int.__lt__, positions, positions[1:]))
        numbers = set(range(1, self.last + 1))
        assert numbers.issuperset(self.metadata)
        assert numbers.issuperset(self.given_ids)
        assert self.ids == {self.id(seq): seq for seq in range(1, self.indexed + 1)}


class LogPage:
    """A part of a log: the payloads; whole events are made only for those who want them.

    It is cut out with the table's lock held, and is its reader's from then on. What else there is of its events is
    looked up in the log without the lock: each of these looks is a single step, at what is there and never changes.
    """

    __slots__ = ("_log", "_start", "payloads")

    def __init__(self, log: Log, start: int, end: int) -> None:
        self._log, self._start = log, start
        self.payloads: Sequence[Any] = log.payloads[start:end]

    def event(self, index: int) -> Event:
        """Return one of the events whole."""
        log, at = self._log, self._start + index
        return log._event(at + 1, self.payloads[index], log.recorded_at[at], log.position(at))

    def events(self) -> list[Event]:
        """Return all of the events whole."""
        log, start = self._log, self._start
        end = start + len(self.payloads)
        times, positions = log.recorded_at[start:end], log.positions(start, end)
        return list(map(log._event, count(start + 1), self.payloads, times, positions))


class Logs:
    """All streams of a store and the order of all events: what the table holds and the heir inherits.

    The order is kept as runs, too: run r is of ``logs[r]``, from number ``seqs[r]`` on, and begins at position
    ``firsts[r]``.
    """

    __slots__ = ("count", "firsts", "logs", "names", "origin", "others", "seqs", "streams")

    def __init__(self) -> None:
        self.streams: dict[Hashable, Log] = {}
        self.count = 0  # events, and so the last position
        self.firsts: list[int] = []
        self.logs: list[Log] = []
        self.seqs: list[int] = []
        self.names: SortedSet[str] = SortedSet()  # of the streams whose names are strings: finds those with a prefix
        self.others: list[Hashable] = []  # the other streams' names
        self.origin = Origin()

    def last(self, stream: Hashable) -> int:
        """Return the number of a stream's last event, 0 if it has none."""
        log = self.streams.get(stream)
        return 0 if log is None else len(log.payloads)

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

    def add(self, batch: Batch, recorded_at: Moment) -> int:
        """Append a batch that `check` has let pass, and return the last number."""
        is_plain = batch.metadata is None and batch.ids is None and batch.shareable
        return self.extend(batch.stream, batch.payloads, recorded_at, None if is_plain else batch)

    def extend(self, stream: Hashable, payloads: Sequence[Any], recorded_at: Moment, about: Batch | None = None) -> int:
        """Append payloads to a stream, and return the last number; *about*: their batch, if it says more of them."""
        log = self.streams.get(stream)
        if log is None:
            log = Log(stream, self.origin)
        seq, position, added = len(log.payloads), self.count, len(payloads)
        if not added:
            return seq
        try:
            if not position or self.logs[-1] is not log:
                self._begin_run(log)
            if about is not None:
                log.describe(about)
            if added == 1:  # mostly: as below, at half the price
                log.recorded_at.append(recorded_at)
                log.payloads.append(payloads[0])
            else:
                log.recorded_at.extend(repeat(recorded_at, added))
                log.payloads.extend(payloads)
            self.count = position + added
            if not seq:
                self._begin(log)
        except BaseException:  # no memory, or a Ctrl-C: all or nothing
            self._cut(position, {log: seq})
            raise
        return seq + added

    def add_all(self, batches: Sequence[tuple[Batch, Moment]]) -> list[int]:
        """Append batches that `check` has let pass, all or none."""
        position, before = self.count, {batch.stream: self.last(batch.stream) for batch, _ in batches}
        try:
            return [self.add(batch, recorded_at) for batch, recorded_at in batches]
        except BaseException:
            logs = {self.streams[stream]: seq for stream, seq in before.items() if stream in self.streams}
            self._cut(position, logs)
            raise

    def _begin_run(self, log: Log) -> None:
        log.starts.append(len(log.payloads))
        log.firsts.append(self.count + 1)
        self.firsts.append(self.count + 1)
        self.seqs.append(len(log.payloads) + 1)
        self.logs.append(log)

    def _begin(self, log: Log) -> None:
        self.streams[log.stream] = log
        if isinstance(log.stream, str):
            self.names.add(log.stream)
        else:
            self.others.append(log.stream)

    def _cut(self, position: int, logs: Mapping[Log, int]) -> None:
        """Take out what was appended beyond a position, and in each of the logs after a number, however far it came."""
        self.count = position
        run = bisect_right(self.firsts, position)
        del self.firsts[run:], self.seqs[run:], self.logs[run:]
        for log, seq in logs.items():
            log.cut(seq)
            if not seq:
                self.streams.pop(log.stream, None)
                if isinstance(log.stream, str):
                    self.names.discard(log.stream)
                self.others = [name for name in self.others if name in self.streams]

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
        names: Iterable[Hashable]
        if selector.prefix is not None:
            names = self._beginning_with(selector.prefix)
        elif selector.streams is not None:
            names = dict.fromkeys(selector.streams)
        else:
            return None
        some = list(islice(names, _FEW + 1))
        return None if len(some) > _FEW else [log for log in map(self.streams.get, some) if log is not None]

    def _merged(self, after: int, limit: int, logs: Sequence[Log]) -> tuple[list[Event], int]:
        parts: list[Iterable[tuple[int, int, int]]] = []  # position, which log, number
        for which, log in enumerate(logs):
            start = log.index_after(after)
            positions = log.positions(start, min(log.last, start + limit))
            parts.append(zip(positions, repeat(which), count(start + 1)))
        chosen = list(islice(heapq.merge(*parts), limit))
        end = chosen[-1][0] if len(chosen) == limit else self.count
        return [logs[which].event(seq) for _, which, seq in chosen], max(after, end)

    def _all(self, after: int, limit: int, selector: Selector) -> tuple[list[Event], int]:
        streams = None if selector.streams is None else frozenset(selector.streams)
        events: list[Event] = []
        run = max(0, bisect_right(self.firsts, after + 1) - 1)
        for at in range(run, min(run + LONGEST_PAGE, len(self.firsts))):
            log, first = self.logs[at], self.firsts[at]
            until = self.firsts[at + 1] if at + 1 < len(self.firsts) else self.count + 1
            passed = max(0, after + 1 - first)  # events of this run, as it is older
            if log.stream in selector if streams is None else log.stream in streams:
                length = min(until - first - passed, limit - len(events))
                events += log.page(self.seqs[at] - 1 + passed, length).events()
                if len(events) == limit:
                    return events, events[-1][POSITION]
            after = max(after, until - 1)
        return events, after

    def _check(self) -> None:
        """Assert that every event stands in its stream, and in the order of all, once."""
        found: dict[Log, list[int]] = {}
        ends = [*self.firsts[1:], self.count + 1] if self.firsts else []
        for first, until, log, seq in zip(self.firsts, ends, self.logs, self.seqs, strict=True):
            assert first < until
            positions = found.setdefault(log, [])
            assert len(positions) == seq - 1
            positions += range(first, until)
        for stream, log in self.streams.items():
            log._check()
            assert log.stream == stream
            assert log.last
            assert found.pop(log) == list(log.positions(0, log.last))
        assert not found
        assert sum(log.last for log in self.streams.values()) == self.count
        assert set(self.names) | set(self.others) == set(self.streams)
