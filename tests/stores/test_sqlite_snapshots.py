"""Snapshots in a SQLite file."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import Snapshot
from hume.stores import JSONCodec, SQLiteEventStore, SQLiteSnapshotStore
from tests.helpers import LIMIT, eventually, in_thread
from tests.samples import Total
from tests.stores.files import change, face, has_pending, held

if TYPE_CHECKING:
    from pathlib import Path

    import pykka


# -- snapshots


def test_a_projection_goes_on_from_its_snapshot_in_the_file(path: Path, ref: pykka.ActorRef[Any]) -> None:
    follower = hume.start(Total, stream="s", store=ref)
    for number in range(1, 11):
        hume.publish(ref, "s", number)
    assert hume.take_snapshot(follower) == Snapshot(10, 55)
    hume.stop(follower)
    hume.stop(ref)
    again = SQLiteEventStore.start(path)
    follower = hume.start(Total, stream="s", store=again)
    assert hume.state(follower) == 55
    status = hume.status(follower)
    assert (status.snapshot_seq, status.events_applied) == (10, 0)


def cut(path: Path) -> None:
    change(path, "UPDATE snapshots SET data = substr(data, 1, length(data) - 1)")


def cut_to_nothing(path: Path) -> None:
    change(path, "UPDATE snapshots SET data = x''")


def of_an_unknown_type(path: Path) -> None:
    change(path, "UPDATE snapshots SET type = 'Gone'")


def of_another_log(path: Path) -> None:
    change(path, "UPDATE snapshots SET log_id = replace(log_id, substr(log_id, 7, 8), '01234567')")


def of_another_version(path: Path) -> None:
    change(path, "UPDATE snapshots SET version = '2'")


def ahead_of_the_log(path: Path) -> None:
    change(path, "UPDATE snapshots SET seq = 1000")


def without_sense(path: Path) -> None:
    change(path, "UPDATE snapshots SET version = '(', seq = -1")


@pytest.mark.parametrize(
    "damage",
    [cut, cut_to_nothing, of_an_unknown_type, of_another_log, of_another_version, ahead_of_the_log, without_sense],
)
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_a_snapshot_that_is_of_no_use_means_a_full_replay(path: Path, ref: pykka.ActorRef[Any], damage: Any) -> None:
    follower = hume.start(Total, stream="s", store=ref)
    for number in range(1, 11):
        hume.publish(ref, "s", number)
    hume.take_snapshot(follower)
    hume.stop(follower)
    damage(path)
    follower = hume.start(Total, stream="s", store=ref)
    assert hume.state(follower) == 55
    status = hume.status(follower)
    assert (status.snapshot_seq, status.events_applied) == (None, 10)
    assert hume.take_snapshot(follower) == Snapshot(10, 55)


def test_snapshots_are_saved_when_the_store_is_dead_too(path: Path, ref: pykka.ActorRef[Any], api: Any) -> None:
    hume.stop(ref)
    api.snapshots.persist_snapshot("p", Snapshot(3, "late"))
    api.snapshots.persist_snapshot("p", Snapshot(2, "older"))
    api.snapshots.close()
    assert SQLiteSnapshotStore(path).last_snapshot("p") == Snapshot(3, "late")


@pytest.mark.usefixtures("patient")
def test_snapshots_are_saved_in_turn_with_appends(path: Path, commits: list[str]) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    commits.clear()
    with held(path, api):
        first = in_thread(api.append, "s", ["a"])
        saved = in_thread(api.snapshots.persist_snapshot, "p", Snapshot(1, "a"))
        eventually(partial(has_pending, ref, 2))
    assert (first.result(LIMIT), saved.result(LIMIT), len(commits)) == (1, None, 2)
    assert api.snapshots.last_snapshot("p") == Snapshot(1, "a")


@pytest.mark.parametrize(
    "identity",
    ["p", 3, None, ("app.Class", "stream"), ("app.Class", hume.prefix("o-")), ("c", hume.ALL), uuid.UUID(int=7), ((),)],
)
@pytest.mark.parametrize("version", [1, "two", ("a", 3)])
def test_identity_version_and_log_come_back_as_they_were(tmp_path: Path, identity: Any, version: Any) -> None:
    log_id = uuid.uuid4()
    snapshots = SQLiteSnapshotStore(tmp_path / "snapshots.db")
    snapshots.persist_snapshot(identity, Snapshot(1, ["x"], identity, version, log_id))
    snapshots.close()
    found = SQLiteSnapshotStore(tmp_path / "snapshots.db").last_snapshot(identity)
    assert found is not None
    assert (found.projection, found.version, found.log_id) == (identity, version, log_id)


def test_an_identity_without_a_lasting_text_is_refused(tmp_path: Path) -> None:
    snapshots = SQLiteSnapshotStore(tmp_path / "snapshots.db")
    with pytest.raises(TypeError, match="give projection="):
        snapshots.persist_snapshot(("p", object()), Snapshot(1, "x"))


def test_a_state_that_is_too_large_for_a_row_is_refused_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hume.stores._sqlite_snapshots.MAX_PAYLOAD", 100)
    snapshots = SQLiteSnapshotStore(tmp_path / "snapshots.db")
    with pytest.raises(ValueError, match="the state of 'p' takes 102 bytes, and a snapshot may take 100"):
        snapshots.persist_snapshot("p", Snapshot(1, "x" * 100))
    assert snapshots.last_snapshot("p") is None


@pytest.mark.parametrize("codec", [object(), JSONCodec])
def test_what_is_no_codec_is_refused(tmp_path: Path, codec: Any) -> None:
    with pytest.raises(TypeError, match="codec must be an object with encode and decode"):
        SQLiteSnapshotStore(tmp_path / "snapshots.db", codec)
    assert list(tmp_path.iterdir()) == []


def test_a_closed_snapshot_store_says_so(tmp_path: Path) -> None:
    snapshots = SQLiteSnapshotStore(tmp_path / "snapshots.db")
    snapshots.close()
    with pytest.raises(ValueError, match="is closed"):
        snapshots.last_snapshot("p")
