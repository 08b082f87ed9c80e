"""Every store of ours is put through the kit that we give to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume.stores import SQLiteEventStore, SQLiteSnapshotStore
from hume.testing import EventStoreConformance, SnapshotStoreConformance

if TYPE_CHECKING:
    from pathlib import Path


class TestMemory(EventStoreConformance):
    """The in-memory store."""

    @pytest.fixture
    def store(self) -> Any:
        """Return an empty store."""
        return hume.EventStoreActor.start(name=object())


class TestSQLiteFile(EventStoreConformance):
    """The SQLite store, on a file."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        """Return an empty store."""
        return SQLiteEventStore.start(tmp_path / "events.db", name=object(), durability="normal")


class TestSQLiteInMemory(EventStoreConformance):
    """The SQLite store, without a file."""

    @pytest.fixture
    def store(self) -> Any:
        """Return an empty store."""
        return SQLiteEventStore.start(":memory:", name=object())


class TestSQLiteSnapshots(SnapshotStoreConformance):
    """The SQLite store's snapshots."""

    @pytest.fixture
    def snapshots(self, tmp_path: Path) -> Any:
        """Return an empty snapshot store."""
        return SQLiteSnapshotStore(tmp_path / "snapshots.db")
