"""A log in a SQLite file, opened for reading alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from hume.errors import StorageFailed
from hume.stores._sqlite_pool import Pool
from hume.stores._sqlite_read import Reader
from hume.stores._sqlite_restore import read_records
from hume.stores._sqlite_schema import MIGRATIONS, Database, _open
from hume.stores._sqlite_write import LogOrigin

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from hume.stores._codec import Codec
    from hume.stores._record import Record

__all__ = ["FileReader"]

_PAGE: Final = 200  # events that are read at once
_CANT: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


class FileReader(Reader):
    """The events of a file, for any thread to read; an event store that refuses to be written.

    Args:
        path: the file.
        codec: decodes the payloads of those who ask for more than records.

    Raises:
        StorageFailed: there is no such file, or it is not ours; nothing was made or changed.
    """

    def __init__(self, path: Path, codec: Codec) -> None:
        self.path = path
        database = Database(path if str(path) != ":memory:" else Path.cwd() / path)
        is_in_use = database.path.with_name(f"{database.path.name}-wal").exists()  # by others, and before we came
        self.pool = Pool(database, lambda: _connect(database, is_in_use=is_in_use), lambda: None)
        with self.pool.turn(), self.pool.lend("read it"):
            pass  # which finds out about the log
        super().__init__(self.pool, LogOrigin(database.log_id), codec)

    def close(self) -> None:
        """Close the file for good."""
        self.pool.close()

    @property
    def codec(self) -> Codec:
        """What makes the bytes."""
        return self._codec

    def records(self, after: int, limit: int) -> list[Record]:
        """Return events as they are stored; see `RecordStore.records`."""
        return read_records(self._readers, self._origin, after, limit)

    def each_record(self, stream: str | None, after: int) -> Iterator[Record]:
        """Yield the records after a number in a stream, or, without a stream, after a position, up to the end."""
        while page := read_records(self._readers, self._origin, after, _PAGE, stream):
            yield from page
            after = page[-1].position if stream is None else page[-1].seq

    def rows(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Yield what a statement finds; the caller reads to the end, or closes the iterator."""
        with self.pool.turn(), self.pool.lend("read it") as connection:
            yield from connection.execute(sql, values)

    def append(self, stream: Hashable, payloads: Sequence[Any], expect_seq: int | None = None) -> NoReturn:
        """Refuse."""
        raise StorageFailed(self.path, "append to it", "it was opened for reading alone")

    def restore_records(self, records: Sequence[Record]) -> NoReturn:
        """Refuse."""
        raise StorageFailed(self.path, "import into it", "it was opened for reading alone")


def _connect(database: Database, *, is_in_use: bool) -> sqlite3.Connection:
    if not database.path.is_file():
        raise StorageFailed(database.path, "read it", "there is no such file")
    if is_in_use:
        return _opened(database, "mode=ro")
    # Who may write, and does not, takes the files away again that a reader needs for a while; who may not leaves them.
    try:
        return _opened(database, "mode=rw")
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _CANT:
            raise
    return _opened(database, "immutable=1")  # where nothing can be written, as nobody can


def _opened(database: Database, how: str) -> sqlite3.Connection:
    connection = _open(f"{database.path.as_uri()}?{how}")
    try:
        connection.execute("PRAGMA query_only = ON")
        _check_version(database, connection)
        database._identify(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(database: Database, connection: sqlite3.Connection) -> None:
    version = database._version(connection)
    if version != len(MIGRATIONS):
        why = f"an older Hume made it, with schema {version}" if version else "there is nothing in it"
        way_out = "a SQLiteEventStore that opens it brings it up to date"
        raise StorageFailed(database.path, "read it", f"{why}; {way_out}")
