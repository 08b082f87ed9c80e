"""Connections that are lent to one thread at a time, and closed when the last one is back."""

from __future__ import annotations

import sqlite3
from _thread import allocate_lock
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from hume.stores._sqlite_schema import Database

__all__ = ["Loan", "Pool"]


class Pool:
    """Connections for whoever asks, in any thread: made when none is idle, put back after use.

    After an error a connection is not used again but made anew, so a file that is whole again is usable again.

    Args:
        database: whose connections these are.
        connect: makes one.
        check: raises an error when nobody is to get a connection any more.
        single: there is one connection, and who asks waits for it. (To a database in memory there can be no second.)
    """

    def __init__(
        self,
        database: Database,
        connect: Callable[[], sqlite3.Connection],
        check: Callable[[], object],
        *,
        single: bool = False,
    ) -> None:
        self.database, self.connect, self.check = database, connect, check
        self.turn = allocate_lock() if single else None
        self.idle: deque[sqlite3.Connection] = deque()  # its methods are atomic
        self.closed = False

    def lend(self, doing: str) -> Loan:
        """Return a context manager that gives a connection.

        Args:
            doing: what it is for, for the message of a `StorageFailed`, which takes the place of SQLite's errors.
        """
        return Loan(self, doing)

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back. Any thread, any number of times."""
        self.closed = True
        self.drain()

    def drain(self) -> None:
        """Close what is idle now."""
        while True:
            try:
                connection = self.idle.pop()  # atomic: each is closed once
            except IndexError:
                return
            connection.close()


class Loan:
    """A connection for the length of a ``with`` block. A transaction left open by an error is rolled back."""

    __slots__ = ("_connection", "_doing", "_pool")

    def __init__(self, pool: Pool, doing: str) -> None:
        self._pool, self._doing = pool, doing

    def __enter__(self) -> sqlite3.Connection:
        pool = self._pool
        if pool.turn is not None:
            pool.turn.acquire()
        try:
            pool.check()
            try:
                self._connection = pool.idle.pop()
            except IndexError:
                self._connection = pool.connect()
        except BaseException as error:
            if pool.turn is not None:
                pool.turn.release()
            if isinstance(error, sqlite3.Error):
                raise pool.database.failed(error, self._doing) from error
            raise
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        pool, connection = self._pool, self._connection
        try:
            if error is None or self._recovers(error):
                pool.idle.append(connection)
            else:
                connection.close()
        finally:
            if pool.turn is not None:
                pool.turn.release()
            # put back first, look second: `close` says so first and empties `idle` second, so one of both closes it
            if pool.closed:
                pool.close()
        if isinstance(error, sqlite3.Error):
            raise pool.database.failed(error, self._doing) from error

    def _recovers(self, error: BaseException) -> bool:
        """Roll back; return whether the connection can be used again."""
        if isinstance(error, sqlite3.Error) and not self._pool.database.in_memory:
            return False  # closing it rolls back
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        return True
