"""Snapshots: what one is, where it is kept, when one is due."""

from __future__ import annotations

import pickle
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume._snapshot import Snapshot, SnapshotPolicy, SnapshotStore, SnapshotTable, supersedes
from hume.actors import HeirActor, Table, application, kill
from tests.helpers import Probe, do
from tests.samples import Shelf

# -- Snapshot


def test_two_snapshots_are_equal_when_number_and_state_are_whereever_they_come_from() -> None:
    assert Snapshot(1, {"a": 1}, "p", 1, "log") == Snapshot(1, {"a": 1}, "q", 2, "other")
    assert Snapshot(1, {"a": 1}) != Snapshot(2, {"a": 1})
    assert Snapshot(1, {"a": 1}) != Snapshot(1, {"a": 2})


def test_a_snapshot_can_be_pickled_with_all_that_it_says() -> None:
    again = pickle.loads(pickle.dumps(Snapshot(1, [2], "p", 3, "log")))
    assert (again.seq, again.state, again.projection, again.version, again.log_id) == (1, [2], "p", 3, "log")


@pytest.mark.parametrize("seq", [-1, 1.0, True, None, "1"])
def test_a_snapshot_has_a_number_of_events(seq: Any) -> None:
    with pytest.raises(ValueError, match="a snapshot's seq must be a whole number of at least 0, not"):
        Snapshot(seq, None)


def test_an_object_with_the_two_methods_is_a_snapshot_store() -> None:
    assert isinstance(Shelf(), SnapshotStore)
    assert not isinstance({}, SnapshotStore)


# -- which one to keep


def test_an_older_snapshot_of_the_same_version_and_log_is_the_only_one_that_supersedes_nothing() -> None:
    old = Snapshot(5, None, "p", 1, "log")
    for seq, version, log_id in product((4, 5, 6), (1, 2), ("log", "other", None)):
        new = Snapshot(seq, None, "p", version, log_id)
        is_older = seq == 4 and version == 1 and log_id == "log"
        assert supersedes(new, old) is not is_older
    assert supersedes(old, None)


# -- SnapshotTable


def test_a_table_keeps_the_newest_snapshot() -> None:
    table = SnapshotTable("p")
    assert table.last_snapshot("p") is None
    for seq in (1, 3, 2):
        table.persist_snapshot("p", Snapshot(seq, f"state {seq}"))
    assert table.last_snapshot("p") == Snapshot(3, "state 3")


def test_the_heir_keeps_the_table_for_the_owners_successor_and_nobody_else_can_write() -> None:
    application()  # whose heir it is
    first, second = Probe.start(), Probe.start()

    def save(seq: int) -> Any:
        return lambda probe: probe.table.persist_snapshot("p", Snapshot(seq, seq))

    def take(probe: Any) -> None:
        probe.table = SnapshotTable("p")

    do(first, take)
    do(first, save(1))
    table = Table.whereis(("hume", "snapshot", "p"))
    assert table is not None
    assert table.owner is first
    kill(first)
    do(second, take)
    assert table.owner is second
    assert do(second, lambda probe: probe.table.last_snapshot("p")) == Snapshot(1, 1)
    do(second, save(2))
    kill(second)
    assert table.owner is not None
    assert table.owner.actor_class is HeirActor


# -- the policy: a pure function of time


def test_a_snapshot_is_due_after_so_many_events() -> None:
    policy = SnapshotPolicy(3, None, 0.0)
    waits = []
    for events in range(4):
        policy.events = events
        waits.append(policy.wait(1000.0))
    assert waits == [None, None, None, 0.0]


def test_a_snapshot_is_due_after_so_many_seconds_with_at_least_one_event() -> None:
    policy = SnapshotPolicy(None, 10.0, 100.0)
    assert policy.wait(500.0) is None
    policy.events = 1
    assert [policy.wait(now) for now in (100.0, 104.0, 110.0, 200.0)] == [10.0, 6.0, 0.0, 0.0]
    policy.saved(200.0, 200.0)
    assert policy.wait(300.0) is None
    policy.events = 1
    assert policy.wait(203.0) == 7.0


def test_with_both_switched_off_none_is_ever_due() -> None:
    policy = SnapshotPolicy(None, None, 0.0)
    policy.events = 10**9
    assert policy.wait(10.0**9) is None


def test_a_costly_snapshot_is_put_off_until_its_share_of_the_time_has_passed() -> None:
    policy = SnapshotPolicy(1, None, 0.0)
    policy.events = 1
    policy.saved(0.0, 1.05)  # one second more than what is advanced
    policy.events = 1
    assert policy.wait(5.0) == pytest.approx(15.0)
    assert policy.wait(20.0) == pytest.approx(0.0)


steps = st.lists(
    st.tuples(
        st.floats(0.0, 60.0, allow_nan=False),  # seconds that pass
        st.integers(0, 50),  # events
        st.floats(0.0, 30.0, allow_nan=False),  # what the next snapshot would take
    ),
    max_size=60,
)


@given(steps, st.integers(1, 20) | st.none(), st.floats(0.1, 60.0) | st.none())
def test_snapshots_take_a_twentieth_of_the_time_at_most_and_are_never_due_with_nothing_to_save(
    history: list[tuple[float, int, float]], every: int | None, after: float | None
) -> None:
    now, spent = 1000.0, 0.0
    policy = SnapshotPolicy(every, after, now)
    for passed, events, cost in history:
        now += passed
        policy.events += events
        wait = policy.wait(now)
        assert wait is None or wait >= 0.0
        assert (wait is None) or policy.events > 0
        if wait == 0.0:
            # all the earlier ones together, the one before included, are within their share of the time since the start
            assert spent <= (now - 1000.0) / 20 + 0.05 + 1e-6
            policy.saved(now, now + cost)
            now += cost
            spent += cost


@given(steps, st.integers(1, 20) | st.none(), st.floats(0.1, 60.0) | st.none())
def test_a_snapshot_is_due_once_the_time_that_was_named_has_passed(
    history: list[tuple[float, int, float]], every: int | None, after: float | None
) -> None:
    now = 1000.0
    policy = SnapshotPolicy(every, after, now)
    for passed, events, cost in history:
        now += passed
        policy.events += events
        wait = policy.wait(now)
        if wait is not None:
            now += wait + 1e-6
            assert policy.wait(now) == 0.0
            policy.saved(now, now + cost)
            now += cost
