"""A store in a file, for the tests of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hume.stores import SQLiteEventStore, _sqlite, _sqlite_schema
from hume.stores._sqlite_schema import Database
from tests.helpers import LIMIT
from tests.stores.files import face

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    import pykka


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store's file may be."""
    return tmp_path / "events.db"


@pytest.fixture
def ref(path: Path) -> pykka.ActorRef[Any]:
    """A store with a file."""
    started: pykka.ActorRef[Any] = SQLiteEventStore.start(path)
    return started


@pytest.fixture
def api(ref: pykka.ActorRef[Any]) -> Any:
    """The methods of that store."""
    return face(ref)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the ends of the transactions of stores that are started from here on."""
    seen: list[str] = []

    def connect(database: Database) -> sqlite3.Connection:
        connection = plain(database)

        def saw(sql: str) -> None:
            if sql == "COMMIT" or (sql.startswith("INSERT INTO events") and not connection.in_transaction):
                seen.append(sql)

        connection.set_trace_callback(saw)
        return connection

    plain = Database.connect
    monkeypatch.setattr(Database, "connect", connect)
    return seen


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores wait for a locked file as long as a test may take, and take their turn to append alone."""
    monkeypatch.setattr(_sqlite, "_POLL_AFTER", 1000.0)
    monkeypatch.setattr(_sqlite_schema, "BUSY_TIMEOUT", LIMIT)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores give up at once when their file is locked."""
    monkeypatch.setattr(_sqlite_schema, "BUSY_TIMEOUT", 0.01)
