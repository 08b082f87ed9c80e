"""Stores that fail, or take their time, when a test says so; otherwise the stores that they wrap."""

from __future__ import annotations

import functools
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from hume.stores._event_store import resolve
from hume.testing._wait import Gate

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from hume._snapshot import Snapshot, SnapshotStore

__all__ = ["FaultySnapshotStore", "FaultyStore"]


class _Faulty:
    """What is to happen at the next calls. Any thread may call and plan: each step is one operation of a dict or deque.

    All that is no method of the contract is the wrapped store's.
    """

    methods: ClassVar[tuple[str, ...]] = ()

    def __init__(self, store: Any) -> None:
        self._store = store
        self._failures: dict[str, deque[tuple[BaseException, bool]]] = {name: deque() for name in self.methods}
        self._gates: dict[str, Gate] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store!r})"

    def fail_next(self, method: str, error: BaseException, *, times: int = 1, applied: bool = False) -> None:
        """Have the next calls of a method raise, whoever calls, after those that are to fail already.

        Args:
            method: one of ``methods``.
            error: the error. A projection takes `ActorDead` and `Timeout` for a store that is down, and tries again;
                any other error of its store ends it.
            times: how many calls.
            applied: whether the store does what it is asked before it raises, so that the caller can't know.

        Raises:
            TypeError, ValueError: a bad argument.
        """
        self._check(method)
        if not isinstance(error, BaseException):
            msg = f"error must be an exception, such as OSError('disk full'), not {error!r}"
            raise TypeError(msg)
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            msg = f"times must be a whole number of at least 1, not {times!r}"
            raise ValueError(msg)
        self._failures[method].extend([(error, applied)] * times)

    def hold(self, method: str) -> Gate:
        """Hold the calls of a method from now on, each in its caller's thread, until the gate is opened.

        Example::

            with store.hold("events") as gate:
                hume.publish(store, "warehouse", ("add", "lamp", 1))
                gate.wait()                                     # the projection's thread is in there now
                assert hume.state(ref, dirty=True) == {}
            assert hume.state(ref) == {"lamp": 1}
        """
        self._check(method)
        gate = self._gates[method] = Gate()
        return gate

    def _check(self, method: str) -> None:
        if method not in self.methods:
            msg = f"method must be one of {', '.join(map(repr, self.methods))}, not {method!r}"
            raise ValueError(msg)

    def _target(self) -> Any:
        return self._store

    def _run(self, method: str, *args: Any, **kwargs: Any) -> Any:
        gate = self._gates.get(method)
        if gate is not None:
            gate.hold()
        try:
            error, applied = self._failures[method].popleft()
        except IndexError:
            return getattr(self._target(), method)(*args, **kwargs)
        if applied:
            getattr(self._target(), method)(*args, **kwargs)
        raise error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # asked for by copy and pickle, of something that is half made perhaps
        value = getattr(self._target(), name)
        return functools.partial(self._run, name) if name in self.methods else value


class FaultyStore(_Faulty):
    """An event store that fails or waits on cue, and otherwise does what the store does that it wraps.

    It is accepted wherever a store is. What it wraps may be whatever a ``store`` argument may be; a name is looked up
    at each call. Nobody takes the fast path to the wrapped store: every read and every append comes by here.

    Example::

        store = FaultyStore(hume.EventStoreActor)
        ref = hume.start_link(Inventory, stream="warehouse", store=store)
        store.fail_next("append", OSError("disk full"))
        with pytest.raises(OSError):
            hume.publish(store, "warehouse", ("add", "lamp", 1))
    """

    methods: ClassVar[tuple[str, ...]] = (
        "append",
        "append_many",
        "events",
        "all_events",
        "last_seq",
        "last_position",
        "streams",
    )

    def append(self, stream: Hashable, payloads: Sequence[Any], expect_seq: Any = None, **more: Any) -> int:
        """Append; see `FullEventStore.append`."""
        seq: int = self._run("append", stream, payloads, expect_seq, **more)
        return seq

    def events(
        self, stream: Hashable, after: int = 0, limit: int | None = None, *backward: bool, **more: Any
    ) -> Iterable[Any]:
        """Return a stream's events; see `FullEventStore.events`."""
        events: Iterable[Any] = self._run("events", stream, after, limit, *backward, **more)
        return events

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event."""
        seq: int = self._run("last_seq", stream)
        return seq

    def _target(self) -> Any:
        return resolve(self._store)


class FaultySnapshotStore(_Faulty):
    """A snapshot store that fails or waits on cue, as a `FaultyStore` does.

    Example::

        snapshots = FaultySnapshotStore(SQLiteSnapshotStore("snapshots.db"))
        snapshots.fail_next("persist_snapshot", OSError("disk full"))
    """

    methods: ClassVar[tuple[str, ...]] = ("last_snapshot", "persist_snapshot")

    def __init__(self, snapshots: SnapshotStore) -> None:
        super().__init__(snapshots)

    def last_snapshot(self, projection: Hashable) -> Snapshot[Any] | None:
        """Return the newest snapshot of a projection."""
        snapshot: Snapshot[Any] | None = self._run("last_snapshot", projection)
        return snapshot

    def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[Any]) -> None:
        """Keep a snapshot."""
        self._run("persist_snapshot", projection, snapshot)
