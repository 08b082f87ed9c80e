"""Stores that fail, or take their time, on cue; otherwise they are the stores that they wrap."""

from __future__ import annotations

import copy
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume.stores import FullEventStore, SQLiteEventStore, SQLiteSnapshotStore
from hume.testing import (
    EventStoreConformance,
    FaultySnapshotStore,
    FaultyStore,
    SnapshotStoreConformance,
    crash,
    wait_until,
)
from tests.helpers import LIMIT, in_thread
from tests.samples import STORE, PairStore, Shelf, Total

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class TestAFaultyStoreIsTheStoreThatItWraps(EventStoreConformance):
    @pytest.fixture
    def store(self) -> FaultyStore:
        return FaultyStore(STORE.start_link())


class TestAFaultySnapshotStoreIsTheStoreThatItWraps(SnapshotStoreConformance):
    @pytest.fixture
    def snapshots(self, tmp_path: Path) -> FaultySnapshotStore:
        return FaultySnapshotStore(SQLiteSnapshotStore(tmp_path / "snapshots.db"))


@pytest.fixture
def store() -> FaultyStore:
    STORE.start_link()
    return FaultyStore(STORE)


def test_it_is_a_store_wherever_one_is_taken(store: FaultyStore) -> None:
    hume.validate_store(store)
    assert isinstance(store, hume.EventStore)
    assert hume.publish(store, "a", 1) == hume.publish_many(store, "b", [2], metadata={"by": "ann"}) == 1
    one, every = hume.start_link(Total, stream="a", store=store), hume.start_link(Total, stream=hume.ALL, store=store)
    assert (hume.state(one), hume.state(every)) == (1, 3)
    assert hume.publish(store, "a", 5) == 2
    assert (hume.state(one), hume.state(every)) == (6, 8)
    assert hume.state(hume.start_link(Total, stream="a", projection="directly")) == 6


def test_a_projection_of_it_reads_by_way_of_it(store: FaultyStore) -> None:
    hume.publish(STORE, "s", 1)
    ref = hume.start(Total, stream="s", store=store, catch_up_after=0.01)
    wait_until(lambda: hume.status(ref).phase == "live", LIMIT)
    with store.hold("events") as gate:
        hume.publish(store, "s", 2)
        gate.wait()
        assert hume.state(ref, dirty=True) == 1
        read = in_thread(hume.state, ref, timeout=LIMIT)
    assert read.result(LIMIT) == 3


def test_only_the_next_calls_fail_and_what_failed_was_not_done(store: FaultyStore) -> None:
    full, broken = OSError("disk full"), OSError("disk broken")
    store.fail_next("append", full, times=2)
    store.fail_next("append", broken)
    errors = []
    for _ in range(3):
        with pytest.raises(OSError, match="disk") as caught:
            hume.publish(store, "s", 1)
        errors.append(caught.value)
    assert errors == [full, full, broken]
    assert store.last_seq("s") == 0
    assert hume.publish(store, "s", 1) == 1


def test_a_call_may_fail_after_it_was_done(store: FaultyStore) -> None:
    ids = [uuid.uuid4()]
    store.fail_next("append", hume.Timeout("no answer"), applied=True)
    with pytest.raises(hume.Timeout):
        store.append("s", ["once"], ids=ids)
    assert store.last_seq("s") == 1
    assert store.append("s", ["once"], ids=ids) == 1
    assert [event.payload for event in store.events("s")] == ["once"]


def test_each_method_has_faults_of_its_own(store: FaultyStore) -> None:
    methods: dict[str, Callable[[], object]] = {
        "append": partial(store.append, "s", [1]),
        "append_many": partial(store.append_many, [("s", [1], None)]),
        "events": partial(store.events, "s"),
        "all_events": store.all_events,
        "last_seq": partial(store.last_seq, "s"),
        "last_position": store.last_position,
        "streams": store.streams,
    }
    assert tuple(methods) == store.methods
    assert set(store.methods) <= set(dir(FullEventStore))
    for name, call in methods.items():
        store.fail_next(name, KeyError(name))
        for other, call_other in methods.items():
            if other != name:
                call_other()
        with pytest.raises(KeyError, match=name):
            call()
        call()


def test_it_asks_no_more_of_a_store_of_somebodys_own_than_that_has() -> None:
    store = FaultyStore(PairStore())
    ref = hume.start_link(Total, stream="s", store=store)
    assert hume.publish(store, "s", 5) == 1
    assert hume.state(ref) == 5
    with pytest.raises(hume.InvalidStore, match="it lacks all_events, last_position"):
        hume.start_link(Total, stream=hume.ALL, store=store)


def test_a_projection_waits_for_a_store_that_is_down(store: FaultyStore) -> None:
    ref = hume.start(Total, stream="s", store=store, catch_up_after=0.01)
    hume.state(ref)
    store.fail_next("last_seq", hume.ActorDead("the store"), times=3)
    hume.publish(store, "s", 1)
    wait_until(lambda: hume.status(ref).seq == 1, LIMIT)
    assert isinstance(hume.status(ref).last_error, hume.ActorDead)
    assert ref.is_alive()


def test_a_projection_is_ended_by_another_error_of_its_store(store: FaultyStore) -> None:
    error = OSError("disk broken")
    ref = hume.start(Total, stream="s", store=store)
    hume.state(ref)
    store.fail_next("events", error)
    hume.publish(store, "s", 1)
    wait_until(lambda: not ref.is_alive(), LIMIT)
    assert hume.status(ref).last_error is error


def test_a_name_is_looked_up_at_each_call(store: FaultyStore) -> None:
    hume.publish(store, "s", 1)
    crash(STORE)
    with pytest.raises(hume.ActorDead):
        store.last_seq("s")
    STORE.start_link()
    assert store.last_seq("s") == 1


def test_a_stores_own_snapshots_are_its_too(tmp_path: Path) -> None:
    store = FaultyStore(SQLiteEventStore.start_link(tmp_path / "events.db"))
    hume.publish(store, "s", 5)
    ref = hume.start(Total, stream="s", store=store, projection="p")
    assert hume.take_snapshot(ref).state == 5
    assert store.snapshots.last_snapshot("p").state == 5


def test_a_snapshot_that_is_not_saved_ends_nothing() -> None:
    STORE.start_link()
    shelf = Shelf()
    snapshots = FaultySnapshotStore(shelf)
    ref = hume.start(Total, stream="s", snapshots=snapshots)
    hume.publish(STORE, "s", 5)
    error = OSError("disk full")
    snapshots.fail_next("persist_snapshot", error)
    with pytest.raises(OSError, match="disk full"):
        hume.take_snapshot(ref)
    assert hume.status(ref).last_error is error
    assert shelf.kept == {}
    assert hume.take_snapshot(ref).seq == 1
    assert shelf.saved == [hume.Snapshot(1, 5)]


def test_a_call_that_is_held_waits_until_the_gate_is_open_and_then_none_is(store: FaultyStore) -> None:
    with store.hold("append") as gate:
        appending = [in_thread(hume.publish, store, "s", number) for number in range(3)]
        gate.wait()
        assert hume.EventStoreActor is STORE
        assert store.last_seq("s") == 0
    assert sorted(future.result(LIMIT) for future in appending) == [1, 2, 3]
    assert hume.publish(store, "s", 4) == 4


def test_it_says_what_it_wraps_and_can_be_copied(store: FaultyStore) -> None:
    assert repr(store).startswith("FaultyStore(<class ")
    store.fail_next("append", OSError("disk full"))
    twin = copy.copy(store)
    with pytest.raises(OSError, match="disk full"):
        twin.append("s", [1])


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda store: store.fail_next("apend", OSError()), ValueError, "method must be one of 'append', "),
        (lambda store: store.hold("log_id"), ValueError, "method must be one of 'append', .*, not 'log_id'"),
        (lambda store: store.fail_next("append", "error"), TypeError, "error must be an exception, such as OSError"),
        (lambda store: store.fail_next("append", OSError(), times=0), ValueError, "times must be a whole number"),
        (lambda store: store.no_such_thing, AttributeError, "no_such_thing"),
    ],
)
def test_bad_input_is_refused_at_the_call(
    act: Callable[[Any], object], error: type[Exception], message: str, store: FaultyStore
) -> None:
    with pytest.raises(error, match=message):
        act(store)
    assert hume.publish(store, "s", 1) == 1
