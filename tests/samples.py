"""What the tests of projections share: projections whose events say what is to be done, stores of somebody's own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import hume
from hume.actors import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

STORE = hume.EventStoreActor


class Total(hume.Projection[int], store=STORE):
    """The sum of its events, which are numbers."""

    def init_state(self, projection: Hashable) -> int:
        return 0

    def handle_event(self, payload: Any, state: int) -> int:
        return state + int(payload)


class Collected(hume.Projection[list[Any]], store=STORE):
    """A list of its events, changed in place; an event that is a function is run on the list instead.

    (Functions are what a log hands on as they are, so a test can hold the projection still in one: see `held`.)
    """

    def init_state(self, projection: Hashable) -> list[Any]:
        return []

    def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
        if callable(payload):
            payload(state)
        else:
            state.append(payload)
        return state

    def length(self) -> int:
        """Answer through a proxy."""
        return len(self.state)


def doing(fn: Callable[[], object], payload: Any = "done") -> Callable[[list[Any]], None]:
    """Return an event for `Collected`: call *fn*, then append *payload*."""

    def event(state: list[Any]) -> None:
        fn()
        state.append(payload)

    return event


def failing(error: BaseException) -> Callable[[list[Any]], None]:
    """Return an event for `Collected` that tears its state and raises."""

    def event(state: list[Any]) -> None:
        state.append("half of it")
        raise error

    return event


class PairStore:
    """A store of somebody's own: a plain object that returns ``(seq, payload)`` pairs, and forgets when told to."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.logs: dict[Hashable, list[Any]] = {}
        self.down = False

    def append(self, stream: Hashable, payloads: Sequence[Any], expect_seq: int | None = None) -> int:
        with self.lock:
            log = self.logs.setdefault(stream, [])
            if expect_seq is not None and expect_seq != len(log):
                raise hume.UnexpectedSequence(stream, expect_seq, len(log))
            log.extend(payloads)
            return len(log)

    def events(self, stream: Hashable, after: int = 0, limit: int | None = None) -> Iterable[tuple[int, Any]]:
        self._check_up()
        with self.lock:
            numbered = list(enumerate(self.logs.get(stream, ()), 1))[after:]
        return iter(numbered if limit is None else numbered[:limit])

    def last_seq(self, stream: Hashable) -> int:
        self._check_up()
        with self.lock:
            return len(self.logs.get(stream, ()))

    def _check_up(self) -> None:
        if self.down:
            raise hume.ActorDead("the pair store")


class Shelf:
    """A snapshot store of somebody's own: it keeps what it is given, and shows it."""

    def __init__(self) -> None:
        self.kept: dict[Hashable, hume.Snapshot[Any]] = {}
        self.saved: list[hume.Snapshot[Any]] = []

    def last_snapshot(self, projection: Hashable) -> hume.Snapshot[Any] | None:
        return self.kept.get(projection)

    def persist_snapshot(self, projection: Hashable, snapshot: hume.Snapshot[Any]) -> None:
        self.saved.append(snapshot)
        self.kept[projection] = snapshot


def logs_of(name: Hashable = STORE) -> Any:
    """Return what an in-memory store holds; the test must see to it that nobody writes."""
    table = Table.whereis(("hume", "logs", name))
    assert table is not None
    return table["logs"]


def payloads(store: Any, stream: Hashable, after: int = 0, limit: int | None = None) -> list[Any]:
    """Return the payloads in a store actor's stream, read through its proxy."""
    ref = hume.whereis(store) if isinstance(store, type | str) else store
    assert ref is not None
    return [event.payload for event in ref.proxy().events(stream, after, limit).get()]
