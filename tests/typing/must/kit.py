# pyright: strict
"""The testing kit: what is given knows its state, a wait what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import pykka

import hume
from hume.testing import FaultySnapshotStore, FaultyStore, Gate, Given, ManualClock, crash, given, kill, wait_until

if TYPE_CHECKING:
    from collections.abc import Hashable


class Total(hume.Projection[int], store=hume.EventStoreActor):
    def init_state(self, projection: Hashable) -> int:
        return 0

    def handle_event(self, payload: int, state: int) -> int:
        return state + payload


def a_projection() -> None:
    assert_type(given(Total, [1, 2]), Given[int])
    assert_type(given(Total, [1, 2]).when(3, 4).state(), int)
    assert_type(given(Total).then(0, times=2).when("x").raises(hume.UnknownEvent, match="x").payload, object)


def actors_and_stores(shelf: hume.SnapshotStore) -> None:
    store = FaultyStore(hume.EventStoreActor)
    a_store: hume.EventStore = store
    snapshots: hume.SnapshotStore = FaultySnapshotStore(shelf)
    with ManualClock() as clock, store.hold("events") as gate:
        assert_type(gate, Gate)
        ref = hume.start_link(Total, stream="s", store=store, snapshots=snapshots)
        store.fail_next("append", OSError("disk full"), times=2, applied=True)
        clock.advance(30.0, timeout=60.0)
        clock.jump(1)
    assert_type(crash(ref, ValueError("bad")), bool)
    assert_type(kill("a name"), bool)
    assert_type(wait_until(lambda: hume.whereis("a name")), pykka.ActorRef[Any])
    assert_type(wait_until(lambda: len("four"), None), int)
    hume.validate_store(a_store)
