"""What is benchmarked: projections with next to nothing to do, and a store in memory for them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import hume
from hume.actors import stop_application
from hume.stores._event_store import resolve

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

__all__ = ["LIMIT", "STORE", "Keys", "Total", "filled", "memory_store"]

STORE = hume.EventStoreActor
LIMIT = 300.0  # seconds that a read may wait for a long replay

_BATCH = 10_000


class Total(hume.Projection[int], store=STORE):
    """The sum of its events, which are numbers."""

    def init_state(self, projection: Hashable) -> int:
        return 0

    def handle_event(self, payload: int, state: int) -> int:
        return state + payload


class Keys(hume.Projection[dict[int, int]], store=STORE):
    """A dict, changed in place: the first event says how many keys, each later one changes one."""

    def init_state(self, projection: Hashable) -> dict[int, int]:
        return {}

    def handle_event(self, payload: int, state: dict[int, int]) -> dict[int, int]:
        if state:
            state[payload] += 1
        else:
            state.update(dict.fromkeys(range(payload), 0))
        return state


@contextmanager
def memory_store() -> Iterator[Any]:
    """Start a store in memory, and give the object whose methods are the store's; clear away all actors at the end."""
    STORE.start_link()
    try:
        yield resolve(STORE)
    finally:
        stop_application()


def filled(store: Any, stream: Hashable, count: int, payload: Any = 1) -> None:
    """Append so many events to a stream."""
    for start in range(0, count, _BATCH):
        hume.publish_many(store, stream, [payload] * min(_BATCH, count - start))
