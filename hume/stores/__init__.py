"""Event stores: the contract, and the stores that come with Hume."""

from hume.stores._event import Event
from hume.stores._event_store import EventStore, validate_store
from hume.stores._memory import EventStoreActor

__all__ = ["Event", "EventStore", "EventStoreActor", "validate_store"]
