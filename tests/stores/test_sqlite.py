"""What is special to a store in a SQLite file; what every store does is in test_conformance.py."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import Snapshot
from hume.errors import StorageFailed
from hume.stores import SQLiteEventStore, SQLiteSnapshotStore, _sqlite_schema
from hume.stores._sqlite_schema import APPLICATION_ID, MIGRATIONS, Database
from tests.stores.files import change, face, line_of, payloads, program, result, rows, tell

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    import pykka


NEW = len(MIGRATIONS)


# -- the file


def test_what_was_appended_is_there_after_a_restart(path: Path, ref: pykka.ActorRef[Any], api: Any) -> None:
    one = uuid.uuid4()
    api.append("s", [{"a": 1}, ("t", 2)], metadata={"by": one, "at": datetime(2024, 2, 29, tzinfo=UTC)})
    api.append("s", ["c"], ids=[one])
    before, log_id = list(api.all_events()), api.log_id
    hume.stop(ref)
    again = face(SQLiteEventStore.start(path))
    assert list(again.all_events()) == before
    assert [event.id for event in again.events("s")] == [event.id for event in before]
    assert [event.metadata for event in again.events("s")] == [event.metadata for event in before]
    assert again.log_id == log_id


def test_an_orderly_stop_leaves_one_file(path: Path, ref: pykka.ActorRef[Any], api: Any) -> None:
    api.append("s", ["a"])
    list(api.events("s"))
    api.snapshots.persist_snapshot("p", Snapshot(1, "a"))
    hume.stop(ref)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_path_may_hold_whatever_a_file_name_may(tmp_path: Path) -> None:
    path = tmp_path / "a?b #1 %41 ü.db"
    face(SQLiteEventStore.start(str(path))).append("s", ["a"])
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".db"] == [path.name]


def test_a_relative_path_stays_what_it_was_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = SQLiteEventStore.child_spec("events.db")
    api = face(SQLiteEventStore.start("events.db"))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    api.append("s", ["a"])
    assert payloads(api.events("s")) == ["a"]
    assert spec.id is SQLiteEventStore


@pytest.mark.parametrize(("durability", "synchronous"), [("full", 2), ("normal", 1)])
def test_durability_is_what_sqlite_calls_synchronous(
    path: Path, monkeypatch: pytest.MonkeyPatch, durability: Any, synchronous: int
) -> None:
    made: list[sqlite3.Connection] = []

    def connect(database: Database) -> sqlite3.Connection:
        made.append(plain(database))
        return made[-1]

    plain = Database.connect
    monkeypatch.setattr(Database, "connect", connect)
    SQLiteEventStore.start(path, durability=durability)
    names = ("synchronous", "journal_mode", "foreign_keys")
    modes = [made[0].execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert modes == [synchronous, "wal", 1]


def test_several_processes_that_make_the_file_at_once_agree_on_one_log(tmp_path: Path) -> None:
    source = (
        "import sys, json, hume\nfrom hume.stores import SQLiteEventStore\n"
        "from hume.stores._event_store import resolve\n"
        "print('ready', flush=True)\n"
        "for path in sys.stdin:\n"
        "    ref = SQLiteEventStore.start(path.strip()); api = resolve(ref); api.append('s', ['x'])\n"
        "    print(api.log_id, flush=True)\n"
        "    hume.stop(ref)\n"
        "print(json.dumps('done'))"
    )
    processes = [program(source) for _ in range(4)]
    assert [line_of(process) for process in processes] == ["ready\n"] * 4
    for number in range(60):  # of so many, one or two clashed where SQLite does not wait
        path = tmp_path / f"{number}.db"
        for process in processes:
            tell(process, str(path))
        assert len({line_of(process) for process in processes}) == 1
        assert rows(path, "SELECT max(position), count(*) FROM events") == [(4, 4)]
    assert [result(process) for process in processes] == ["done"] * 4


def test_a_file_that_another_process_makes_while_it_is_looked_at_is_no_other_programs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = _sqlite_schema._pragma

    def pragma(connection: sqlite3.Connection, name: str) -> Any:
        value = plain(connection, name)
        if not looked_at:
            looked_at.append(name)
            with suppress(StorageFailed):  # it is told that the file is locked, at once
                Database(path).connect().close()
        return value

    looked_at: list[str] = []
    monkeypatch.setattr(_sqlite_schema, "BUSY_TIMEOUT", 0.0)
    monkeypatch.setattr(_sqlite_schema, "_pragma", pragma)
    one, other = Database(path), Database(path)
    one.connect().close()
    other.connect().close()
    assert looked_at == ["application_id"]
    assert one.log_id == other.log_id


# -- bad input


@pytest.mark.parametrize("stream", [("a", "tuple"), 3, b"bytes", None, "", "\ud800", "a\0b"])
def test_a_stream_that_is_empty_or_no_text_is_refused(api: Any, stream: Any) -> None:
    of_several = hume.stores.Selector(streams=(stream,))
    uses = (
        api.last_seq,
        api.events,
        partial(api.append, payloads=["a"]),
        lambda one: hume.publish(api, one, "a"),
        lambda one: api.all_events(streams=[one]),
        lambda _: api.page_of(of_several, 0, 10),
    )
    for use in uses:
        with pytest.raises((TypeError, ValueError), match="stream"):
            use(stream)
    with pytest.raises((TypeError, ValueError), match="stream"):
        api.append_many([("good", ["a"], None), (stream, ["a"], None)])
    assert api.last_position() == 0


@pytest.mark.parametrize("stream", ["it's", '"', "%", "\U0010ffff", "\ud7ff", " ", "x" * 10_000])
def test_any_other_text_is_a_stream(api: Any, stream: str) -> None:
    api.append(stream, ["a"])
    api.append("another", ["b"])
    assert payloads(api.events(stream)) == payloads(api.all_events(prefix=stream)) == ["a"]
    assert payloads(api.all_events(streams=[stream])) == ["a"]
    assert list(api.streams(stream)) == [stream]


def test_a_payload_over_the_limit_is_refused_with_its_size(path: Path) -> None:
    api = face(SQLiteEventStore.start(path, max_payload=100))
    with pytest.raises(ValueError, match=r"takes 102 bytes.*max_payload allows 100"):
        api.append("s", ["small", "x" * 100])
    with pytest.raises(ValueError, match=r"takes 102 bytes.*max_payload allows 100"):
        hume.publish(api, "s", "x" * 100)
    assert api.append("s", ["x" * 98]) == 1
    with pytest.raises(ValueError, match="metadata"):
        api.append("s", ["a"], metadata={"much": "x" * 100})
    assert api.last_position() == 1


def test_a_payload_that_cannot_be_encoded_is_refused_with_its_batch(api: Any) -> None:
    with pytest.raises(hume.HumeError, match="object"):
        api.append("s", ["a", object()])
    with pytest.raises(hume.HumeError, match="object"):
        hume.publish(api, "s", object())
    assert api.last_position() == 0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"path": 3}, TypeError),
        ({"path": b"events.db"}, TypeError),
        ({"path": ""}, ValueError),
        ({"path": "a\0b"}, ValueError),
        ({"durability": "none"}, ValueError),
        ({"max_payload": 0}, ValueError),
        ({"max_payload": 2**40}, ValueError),
        ({"max_payload": "1"}, TypeError),
        ({"codec": object()}, TypeError),
        ({"unknown": 1}, TypeError),
    ],
)
def test_a_bad_option_is_refused_at_the_call(path: Path, options: dict[str, Any], error: type[Exception]) -> None:
    for use in (SQLiteEventStore.start, SQLiteEventStore.start_link, SQLiteEventStore.child_spec):
        with pytest.raises(error):
            use(**{"path": path, **options})
    assert list(path.parent.iterdir()) == []


def foreign_application_id(path: Path) -> str:
    change(path, "PRAGMA application_id = 7")
    return "another program's.*application_id 7"


def foreign_tables(path: Path) -> str:
    change(path, "CREATE TABLE customers (name)")
    return "another program's.*tables customers"


def foreign_and_in_use(path: Path) -> str:
    change(path, "PRAGMA journal_mode = WAL", "CREATE TABLE customers (name)")
    return "another program's.*tables customers"


def no_database(path: Path) -> str:
    path.write_text("Dear diary, today I was almost a database. " * 100)
    return "no SQLite database"


def a_newer_schema(path: Path) -> str:
    change(path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {NEW + 1}")
    return f"newer Hume.*version {NEW + 1}.*upgrade"


def tables_of_ours_that_are_gone(path: Path) -> str:
    change(path, f"PRAGMA application_id = {APPLICATION_ID}", f"PRAGMA user_version = {NEW}")
    return "no such table"


def a_folder(path: Path) -> str:
    path.mkdir()
    return "is a folder"


@pytest.mark.parametrize(
    "make",
    [
        foreign_application_id,
        foreign_tables,
        foreign_and_in_use,
        no_database,
        a_newer_schema,
        tables_of_ours_that_are_gone,
        a_folder,
    ],
)
def test_what_is_no_file_of_ours_is_refused_and_not_changed(path: Path, make: Any) -> None:
    reason = make(path)
    before = path.read_bytes() if path.is_file() else None
    for use in (SQLiteEventStore.start, SQLiteSnapshotStore):
        with pytest.raises(StorageFailed, match=f"{path}: can't open it: .*{reason}") as caught:
            use(path)
        assert caught.value.path == str(path)
    assert (path.read_bytes() if path.is_file() else None) == before
    assert hume.whereis(SQLiteEventStore) is None


def test_a_path_in_a_missing_folder_is_refused_and_the_folder_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match=r"there is no folder .*missing; make it first"):
        SQLiteEventStore.start(tmp_path / "missing" / "events.db")
    assert list(tmp_path.iterdir()) == []


def test_a_file_name_that_the_system_refuses_is_refused_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="too long"):
        SQLiteEventStore.start(tmp_path / ("x" * 300))


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    assert face(SQLiteEventStore.start(path)).append("s", ["a"]) == 1


# -- migrations


def test_an_older_file_is_migrated_and_keeps_its_events(
    path: Path, ref: pykka.ActorRef[Any], api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.append("s", ["a"])
    hume.stop(ref)
    monkeypatch.setattr(_sqlite_schema, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE more (x)", "DROP TABLE snapshots")))
    newer = SQLiteEventStore.start(path)
    assert payloads(face(newer).events("s")) == ["a"]
    hume.stop(newer)
    assert rows(path, "PRAGMA user_version") == [(NEW + 1,)]
    monkeypatch.undo()
    with pytest.raises(StorageFailed, match="newer Hume"):
        SQLiteEventStore.start(path)


def test_a_migration_that_fails_changes_nothing(
    path: Path, ref: pykka.ActorRef[Any], api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.append("s", ["a"])
    hume.stop(ref)
    monkeypatch.setattr(_sqlite_schema, "MIGRATIONS", (*MIGRATIONS, ("DROP TABLE snapshots", "no SQL")))
    with pytest.raises(StorageFailed, match="syntax error"):
        SQLiteEventStore.start(path)
    monkeypatch.undo()
    assert payloads(face(SQLiteEventStore.start(path)).events("s")) == ["a"]


# -- the extra


@pytest.mark.parametrize("name", ["SQLiteEventStore.start", "SQLiteEventStore.start_link", "SQLiteSnapshotStore"])
def test_without_msgspec_the_error_names_the_extra_and_nothing_is_made(path: Path, name: str) -> None:
    source = (
        "import sys, json; sys.modules['msgspec'] = None\nimport hume, hume.stores\n"
        f"try:\n    hume.stores.{name}(sys.argv[1])\nexcept ImportError as error:\n    print(json.dumps(str(error)))"
    )
    assert "hume-es[sqlite]" in result(program(source, path))
    assert not path.exists()


def test_importing_hume_stores_does_not_load_sqlite_or_msgspec() -> None:
    names = "[name in sys.modules for name in ('msgspec', 'sqlite3')]"
    source = f"import sys, json, hume.stores; print(json.dumps({names}))"
    assert result(program(source)) == [False, False]
