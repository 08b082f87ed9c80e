"""What users test their own projections, actors and stores with.

============================================  =========================================================================
`given`, `Given`                              a projection's handlers: given these events, then this state
`crash`, `kill`                               end an actor as an error of its own would, or at once
`wait_until`, `Gate`                          wait for a condition; hold a thread still
`ManualClock`                                 time in the test's hands, with all timers that are due in it
`Scheduler`, `Deadlock`                       actors that take turns, step by step, in an order of the test's choice
`FaultyStore`, `FaultySnapshotStore`          stores that fail, or take their time, on cue
`EventStoreConformance`,                      what any store must do, as pytest classes; they need pytest, and the first
`BasicEventStoreConformance`,                 one Hypothesis (the extra ``test``)
`SnapshotStoreConformance`
============================================  =========================================================================

`hume.testing.plugin` is a pytest plugin: fixtures for a fresh application, stores and a clock, which fail a test that
leaves something behind.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from hume.actors._calls import kill
from hume.testing._clock import ManualClock
from hume.testing._crash import crash
from hume.testing._faulty import FaultySnapshotStore, FaultyStore
from hume.testing._given import Given, given
from hume.testing._scheduler import Deadlock, Scheduler
from hume.testing._wait import Gate, wait_until

if TYPE_CHECKING:
    from hume.testing._event_store import BasicEventStoreConformance, EventStoreConformance
    from hume.testing._snapshot_store import SnapshotStoreConformance

__all__ = [
    "BasicEventStoreConformance",
    "Deadlock",
    "EventStoreConformance",
    "FaultySnapshotStore",
    "FaultyStore",
    "Gate",
    "Given",
    "ManualClock",
    "Scheduler",
    "SnapshotStoreConformance",
    "crash",
    "given",
    "kill",
    "wait_until",
]

_LAZY: Final = {
    "BasicEventStoreConformance": "hume.testing._event_store",
    "EventStoreConformance": "hume.testing._event_store",
    "SnapshotStoreConformance": "hume.testing._snapshot_store",
}


def __getattr__(name: str) -> Any:
    """Load what needs pytest, when it is asked for."""
    if name not in _LAZY:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(_LAZY[name]), name)
