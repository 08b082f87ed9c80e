"""Event stores: the contract, and the stores that come with Hume.

`SQLiteEventStore` and `SQLiteSnapshotStore` are loaded when they are first used; they need the extra ``sqlite``, unless
they are given a codec of somebody's own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from hume.stores._batch import EXISTS
from hume.stores._codec import Codec, Encoded, JSONCodec
from hume.stores._event import Event
from hume.stores._event_store import EventStore, FullEventStore, validate_store
from hume.stores._event_types import event, upcaster
from hume.stores._memory import EventStoreActor
from hume.stores._selector import ALL, Selector, prefix

if TYPE_CHECKING:
    from hume.stores._sqlite import SQLiteEventStore, SQLiteSnapshotStore

__all__ = [
    "ALL",
    "EXISTS",
    "Codec",
    "Encoded",
    "Event",
    "EventStore",
    "EventStoreActor",
    "FullEventStore",
    "JSONCodec",
    "SQLiteEventStore",
    "SQLiteSnapshotStore",
    "Selector",
    "event",
    "prefix",
    "upcaster",
    "validate_store",
]

_LAZY: Final = {
    "SQLiteEventStore": "hume.stores._sqlite",
    "SQLiteSnapshotStore": "hume.stores._sqlite",
}


def __getattr__(name: str) -> Any:
    """Load what needs an extra, when it is asked for."""
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_LAZY[name]), name)
