"""Hume: event-sourced state machines as supervised actors, on Pykka.

A projection is an actor that folds a stream of events into a state, takes snapshots, and survives crashes::

    import hume

    class Inventory(hume.Projection, store=hume.EventStoreActor, snapshot_every=100):
        def init_state(self, projection):
            return {}

        def handle_event(self, event, state):
            match event:
                case ("add", key, value):
                    return {**state, key: value}
                case ("remove", key):
                    return {k: v for k, v in state.items() if k != key}

    hume.EventStoreActor.start_link()
    ref = hume.start_link(Inventory, stream="warehouse", projection="inventory")

    hume.publish(hume.EventStoreActor, "warehouse", ("add", "foo", 42))     # -> 1
    assert hume.state(ref) == {"foo": 42}
    hume.publish(hume.EventStoreActor, "warehouse", ("remove", "foo"))      # -> 2
    assert hume.state(ref) == {}
"""

from hume import telemetry
from hume._api import (
    catch_up,
    catch_up_sync,
    publish,
    publish_many,
    query,
    snapshot,
    start,
    start_link,
    state,
    status,
    take_snapshot,
)
from hume._behaviour import handles
from hume._projection import Projection
from hume._replay import evolve, replay
from hume._snapshot import Snapshot, SnapshotStore
from hume._transfer import export_events, import_events
from hume._view import Status
from hume.actors import (
    Backoff,
    ChildSpec,
    DynamicSupervisor,
    GenServer,
    HeirActor,
    Supervisor,
    Table,
    kill,
    ref,
    stop,
    tree,
    whereis,
)
from hume.errors import (
    ActorDead,
    AlreadyPresent,
    AlreadyStarted,
    CallingSelf,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    CodecError,
    DecodeError,
    EncodeError,
    HumeError,
    IdConflict,
    InvalidStore,
    MaxChildren,
    NotFound,
    NotOwner,
    StaleEvent,
    StartFailed,
    StorageFailed,
    SupervisorError,
    TableDeleted,
    TableError,
    TelemetryError,
    Timeout,
    TransferFailed,
    UnexpectedSequence,
    UnknownEvent,
)
from hume.stores import ALL, EXISTS, Event, EventStore, EventStoreActor, event, prefix, upcaster, validate_store

__all__ = [
    "ALL",
    "EXISTS",
    "ActorDead",
    "AlreadyPresent",
    "AlreadyStarted",
    "Backoff",
    "CallingSelf",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "ChildSpec",
    "CodecError",
    "DecodeError",
    "DynamicSupervisor",
    "EncodeError",
    "Event",
    "EventStore",
    "EventStoreActor",
    "GenServer",
    "HeirActor",
    "HumeError",
    "IdConflict",
    "InvalidStore",
    "MaxChildren",
    "NotFound",
    "NotOwner",
    "Projection",
    "Snapshot",
    "SnapshotStore",
    "StaleEvent",
    "StartFailed",
    "Status",
    "StorageFailed",
    "Supervisor",
    "SupervisorError",
    "Table",
    "TableDeleted",
    "TableError",
    "TelemetryError",
    "Timeout",
    "TransferFailed",
    "UnexpectedSequence",
    "UnknownEvent",
    "catch_up",
    "catch_up_sync",
    "event",
    "evolve",
    "export_events",
    "handles",
    "import_events",
    "kill",
    "prefix",
    "publish",
    "publish_many",
    "query",
    "ref",
    "replay",
    "snapshot",
    "start",
    "start_link",
    "state",
    "status",
    "stop",
    "take_snapshot",
    "telemetry",
    "tree",
    "upcaster",
    "validate_store",
    "whereis",
]
