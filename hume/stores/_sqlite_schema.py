"""A SQLite file with Hume's tables in it: opened, made, migrated, or refused before anything is written."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from hume.errors import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["APPLICATION_ID", "MIGRATIONS", "Database", "Durability"]

Durability: TypeAlias = Literal["full", "normal"]

BUSY_TIMEOUT = 5.0  # seconds that a write waits for another process's

# Bytes. An append changes a little in a page or two of each stream's index: small pages are less to write, and to wait
# for. With 1,024, events of a kilobyte would no longer fit into one. (A file keeps the size that it was made with.)
_PAGE_SIZE: Final = 2048
_CHECKPOINT: Final = 4_096_000  # bytes of the write-ahead log after which SQLite brings its content into the file

_PAUSE: Final = 0.002  # seconds between two tries where SQLite itself does not wait

_PATIENCE: Final = 50  # milliseconds that emptying the write-ahead log waits for those who read it

APPLICATION_ID: Final = 0x48554D45  # "HUME", in the file's header: whose file this is

MIGRATIONS: tuple[Sequence[str], ...] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        "CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        # A stream's last number and the last position are looked up in the indexes, and stand nowhere else. The id is
        # there if it was given; one that was not follows from the log's identity and the position.
        """CREATE TABLE events (
            position INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES streams (id), seq INTEGER NOT NULL,
            type TEXT NOT NULL, version INTEGER NOT NULL, data BLOB NOT NULL, metadata BLOB,
            recorded_at INTEGER NOT NULL, id BLOB)""",
        "CREATE UNIQUE INDEX events_by_seq ON events (stream, seq)",
        "CREATE UNIQUE INDEX events_by_id ON events (stream, id) WHERE id IS NOT NULL",
        """CREATE TABLE snapshots (
            projection TEXT PRIMARY KEY, seq INTEGER NOT NULL, version TEXT NOT NULL, log_id TEXT NOT NULL,
            type TEXT NOT NULL, type_version INTEGER NOT NULL, data BLOB NOT NULL, checksum INTEGER NOT NULL)""",
    ),
)
"""The statements that lead from each version of the schema to the next; a new file runs through all."""

_WHY: Final = {
    sqlite3.SQLITE_BUSY: "another process keeps it locked; try again",
    sqlite3.SQLITE_FULL: "the disk, or a quota, is full; make room and try again",
    sqlite3.SQLITE_READONLY: "it may not be written: look at the permissions of the file and of its folder",
    sqlite3.SQLITE_CANTOPEN: "it can't be opened: look at the permissions of the file and of its folder",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database",
    sqlite3.SQLITE_CORRUPT: "it is damaged; bring back a copy of it",
    sqlite3.SQLITE_IOERR: "the disk, or the system, failed; try again",
}


class Database:
    """A file with our tables in it, or a database in memory of its own (``":memory:"``). Makes connections to it.

    Making one checks the path alone; the first connection checks the file, and makes or migrates the tables.

    Raises:
        TypeError, ValueError: the path, or an option, is not allowed.
        StorageFailed: no file can be there.
    """

    def __init__(self, path: str | Path, durability: Durability = "full") -> None:
        self.in_memory: bool = str(path) == ":memory:"
        self.path: Path = _checked_path(path)
        if durability not in get_args(Durability):
            msg = f"durability must be 'full' or 'normal', not {durability!r}"
            raise ValueError(msg)
        self._durability = durability
        self.log_id: uuid.UUID | None = None  # known after the first connection

    def failed(self, error: sqlite3.Error, doing: str) -> StorageFailed:
        """Return what a caller gets for an error of SQLite's; to be raised from it."""
        code = getattr(error, "sqlite_errorcode", None)
        why = None if code is None else _WHY.get(code & 0xFF)  # the low byte is the kind of error, the rest details
        return StorageFailed(self.path, doing, f"{error}: {why}" if why else str(error))

    # -- connections: any thread may make and use one, one thread at a time

    def connect(self) -> sqlite3.Connection:
        """Return a connection that may write, to tables of this version.

        Raises:
            StorageFailed: the file is not ours, or is made by a newer version, or can't be used.
        """
        if self.in_memory:
            connection = _open(":memory:")
            self._migrate(connection)
            self._identify(connection)
            return connection
        try:
            is_there = self._check_path()
        except OSError as error:
            raise StorageFailed(self.path, "open it", f"{error.strerror}") from error
        if is_there:
            self._check_content()
        try:
            connection = _open(self._uri("rwc"))
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise self.failed(error, "open it") from error
        return connection

    def connect_to_read(self) -> sqlite3.Connection:
        """Return a connection that can't write; the file has been opened with `connect` before."""
        return _open(self._uri("ro"))

    # -- the write-ahead log

    def wal_size(self) -> int:
        """Return the bytes that the write-ahead log takes."""
        try:
            return Path(f"{self.path}-wal").stat().st_size
        except OSError:
            return 0  # there is none now

    def empty_wal(self, connection: sqlite3.Connection) -> bool:
        """Bring the write-ahead log's content into the file and cut it to nothing; `False` if somebody reads it."""
        connection.execute(f"PRAGMA busy_timeout = {_PATIENCE}")  # nobody can write meanwhile
        is_busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        connection.execute(f"PRAGMA busy_timeout = {round(BUSY_TIMEOUT * 1000)}")
        return not is_busy

    def _uri(self, mode: str) -> str:
        return f"{self.path.as_uri()}?mode={mode}"

    def _check_path(self) -> bool:
        """Return whether there is a file with something in it, and refuse where none can be."""
        path = self.path
        if path.is_dir():
            raise StorageFailed(path, "open it", "it is a folder; give the path of a file")
        if not path.parent.is_dir():
            raise StorageFailed(path, "open it", f"there is no folder {path.parent}; make it first")
        if not path.exists():
            if self.log_id is not None:
                raise StorageFailed(path, "use it", "the file is gone; bring it back")
            return False
        if not os.access(
            path, os.W_OK, effective_ids=os.access in os.supports_effective_ids
        ):  # SQLite would open it all the same, and fail at the first append
            raise StorageFailed(path, "open it", "it may not be written: look at its permissions")
        return path.stat().st_size > 0

    def _check_content(self) -> None:
        """Refuse, without a change to it, a file that is not ours."""
        # Through SQLite and not by reading the header: its newest content may stand in the write-ahead log, and to
        # close a file that SQLite has open in this process would drop its locks. As a reader, so that neither a
        # checkpoint nor anything else changes a file that turns out to be somebody else's.
        try:
            connection = _open(self._uri("ro"))
            try:
                self._version(connection)
            finally:
                connection.close()
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_READONLY:
                raise self.failed(error, "open it") from error
            # else a crash left something to be undone, which a reader can't do: `_prepare` looks again after that

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the version of the tables, 0 if there are none, and refuse a file with other content."""
        if connection.in_transaction:
            return self._version_seen(connection)
        connection.execute("BEGIN")  # so that all is seen as it is at one moment: others may be making the tables
        try:
            return self._version_seen(connection)
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _version_seen(self, connection: sqlite3.Connection) -> int:
        application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        if application == APPLICATION_ID:
            if version > len(MIGRATIONS):
                why = f"a newer Hume made it: its schema is version {version}, this one knows up to {len(MIGRATIONS)}"
                raise StorageFailed(self.path, "open it", f"{why}; upgrade hume-es")
            return int(version)
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master LIMIT 3")]
        if application or version or tables:
            what = f"application_id {application}, user_version {version}, tables {', '.join(tables) or 'none'}"
            raise StorageFailed(self.path, "open it", f"it is another program's database ({what}); give another path")
        return 0

    # -- making the tables

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self._version(connection) < len(MIGRATIONS):
            self._migrate(connection)
        self._identify(connection)
        mode = _use_wal(connection)
        if mode != "wal":
            raise StorageFailed(self.path, "open it", f"this file system allows no write-ahead log, but {mode!r} only")
        connection.execute(f"PRAGMA synchronous = {self._durability}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT // _pragma(connection, 'page_size')}")

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Bring the tables to the newest version, all or nothing; of several that open the file at once, one does."""
        connection.execute(f"PRAGMA page_size = {_PAGE_SIZE}")  # of a file that has none yet
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = self._version(connection)  # again, for another process may just have done it
            for statements in MIGRATIONS[version:]:
                for statement in statements:
                    connection.execute(statement)
            if version == 0:
                connection.execute("INSERT INTO meta VALUES ('log_id', ?)", (str(uuid.uuid4()),))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _identify(self, connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT value FROM meta WHERE name = 'log_id'").fetchone()
        if row is None:
            raise StorageFailed(self.path, "open it", "it has no log_id; bring back a copy of it")
        log_id = uuid.UUID(row[0])
        if self.log_id is not None and self.log_id != log_id:
            raise StorageFailed(self.path, "use it", "another log has taken its place; start the store again")
        self.log_id = log_id


def _checked_path(path: object) -> Path:
    if not isinstance(path, str | Path):
        msg = f"path must be a str or a Path (':memory:' for a database in memory), not {path!r}"
        raise TypeError(msg)
    if not str(path) or "\0" in str(path):
        msg = f"path must name a file (or be ':memory:'), not {path!r}"
        raise ValueError(msg)
    return Path(path) if str(path) == ":memory:" else Path(path).absolute()  # wherever the program goes later


def _open(database: str) -> sqlite3.Connection:
    # isolation_level None: transactions begin and end where the code says so
    return sqlite3.connect(
        database,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        uri=database != ":memory:",
    )


def _use_wal(connection: sqlite3.Connection) -> Any:
    """Have the file written by way of a write-ahead log; return how it will be.

    Unlike elsewhere, SQLite does not wait here by itself while another process does the same, or closes the file.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            return connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
                raise
        time.sleep(_PAUSE)


def _pragma(connection: sqlite3.Connection, name: str) -> Any:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]
