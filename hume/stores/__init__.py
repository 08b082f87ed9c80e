"""Event stores: the contract, and the stores that come with Hume."""

from hume.stores._batch import EXISTS
from hume.stores._event import Event
from hume.stores._event_store import EventStore, FullEventStore, validate_store
from hume.stores._memory import EventStoreActor
from hume.stores._selector import ALL, Selector, prefix

__all__ = [
    "ALL",
    "EXISTS",
    "Event",
    "EventStore",
    "EventStoreActor",
    "FullEventStore",
    "Selector",
    "prefix",
    "validate_store",
]
