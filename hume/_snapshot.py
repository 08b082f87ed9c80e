"""Snapshots: what one is, where they are kept, when one is due."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, runtime_checkable

from hume.actors._heir import HeirActor
from hume.actors._table import Table
from hume.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Snapshot", "SnapshotPolicy", "SnapshotStore", "SnapshotTable", "supersedes"]

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[State]):
    """A projection's state after the event number *seq* of its stream.

    What follows is where it comes from, for whoever keeps it; it does not count when two are compared. A snapshot of
    another projection, version or log is not used.

    Args:
        seq: the number of the last event in it; 0: none.
        state: the state.
        projection: the projection's identity.
        version: the projection's ``version``.
        log_id: the identity of the log: what its store says, or else what the projection called it.
    """

    seq: int
    state: State
    projection: Hashable = field(default=None, compare=False)
    version: Hashable = field(default=None, compare=False)
    log_id: Hashable = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if isinstance(self.seq, bool) or not isinstance(self.seq, int) or self.seq < 0:
            msg = f"a snapshot's seq must be a whole number of at least 0, not {self.seq!r}"
            raise ValueError(msg)


@runtime_checkable
class SnapshotStore(Protocol):
    """Where snapshots are kept; a projection calls it in its own thread, with a state that nobody changes.

    *projection* is the identity of the one that asks: any hashable, or in a store of your own, what yours are.
    """

    def last_snapshot(self, projection: Any, /) -> Snapshot[Any] | None:
        """Return the newest snapshot of a projection; `None` if there is none."""
        ...

    def persist_snapshot(self, projection: Any, snapshot: Snapshot[Any], /) -> None:
        """Keep a snapshot in place of the one there is, unless that one is newer."""
        ...


def supersedes(new: Snapshot[Any], old: Snapshot[Any] | None) -> bool:
    """Tell whether *new* takes the place of *old*: not when it is an older one of the same version and log."""
    return old is None or (new.version, new.log_id) != (old.version, old.log_id) or new.seq >= old.seq


class SnapshotTable:
    """The default snapshot store: a table of the projection's own, with the application's heir behind it.

    There is one from the first snapshot on, so that a start that fails leaves none behind.
    """

    def __init__(self, projection: Hashable) -> None:
        """Take the table that an earlier actor of this projection left with the heir, if it did."""
        self._name = ("hume", "snapshot", projection)
        self._table: Table | None = None
        with suppress(NotFound):
            self._table = HeirActor.take(self._name)

    def last_snapshot(self, projection: Hashable) -> Snapshot[Any] | None:
        """Return the newest snapshot; `None` if there is none."""
        return None if self._table is None else self._table.get(projection)

    def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[Any]) -> None:
        """Keep a snapshot. Only the table's owner gets here, so nobody writes between the look and the insert."""
        if self._table is None:
            # copier None: the projection hands over copies, and copies what it gets
            self._table = Table(self._name, heir=HeirActor, copier=None)
        if supersedes(snapshot, self._table.get(projection)):
            self._table.insert(projection, snapshot)


_SHARE: Final = 20  # snapshots may take one part in so many of the time
_SHARE_IN_REBUILD: Final = 50
_ADVANCE: Final = 0.05  # seconds that they may take beyond that, so that small ones need not wait


class SnapshotPolicy:
    """When a snapshot is due: after so many events, or so many seconds with at least one; within a share of the time.

    Plain data, told the time by its caller.

    Args:
        every: events; `None`: their number does not matter.
        after: seconds; `None`: time does not matter.
        now: the time at the start.
    """

    __slots__ = ("_after", "_began", "_every", "_last", "_saved_at", "_spent", "events")

    def __init__(self, every: int | None, after: float | None, now: float) -> None:
        self._every, self._after = every, after
        self._began = self._saved_at = now
        self._spent = self._last = 0.0
        self.events = 0  # applied since the last snapshot

    def wait(self, now: float, *, more: bool = False) -> float | None:
        """Return the seconds until a snapshot is due (0.0: it is); `None` when only further events can make it so.

        In the middle of a rebuild, with *more* to come, a later one will do better: then the share is smaller, and one
        of the time since the last snapshot, with no advance and nothing saved up.
        """
        if not self.events:
            return None
        by_number = self._every is not None and self.events >= self._every
        if not by_number and self._after is None:
            return None
        due_in = 0.0 if by_number else self._saved_at + (self._after or 0.0) - now
        over_budget = (self._spent - _ADVANCE) * _SHARE - (now - self._began)
        if more:
            over_budget = max(over_budget, self._last * _SHARE_IN_REBUILD - (now - self._saved_at))
        return max(0.0, due_in, over_budget)

    def saved(self, began: float, now: float) -> None:
        """Note that a snapshot was taken, and how long that took."""
        self._last = now - began
        self._spent += self._last
        self._saved_at = now
        self.events = 0
