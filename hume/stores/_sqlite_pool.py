"""Connections that are lent to one thread at a time, and closed when the last one is back."""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from _thread import allocate_lock
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable
    from types import TracebackType

    from hume.stores._sqlite_schema import Database

__all__ = ["Loan", "Pool"]

_MOST_IDLE: Final = 16  # connections that a pool keeps open for whoever comes; each takes a few file descriptors


class Pool:
    """Connections for whoever asks, in any thread: made when none is idle, put back after use.

    To be used as ``with pool.turn(), pool.lend("read events") as connection:``.

    After an error a connection is not used again but made anew, so a file that is whole again is usable again.

    Args:
        database: whose connections these are.
        connect: makes one.
        check: raises an error when nobody is to get a connection any more.
        single: there is one connection, and who asks waits for it. (To a database in memory there can be no second.)

    Attributes:
        turn: returns a lock: that of the one connection, or else a new one, which nobody else holds. It is a lock of
            Python's own, whose ``with`` is left as a whole; an interrupt (Ctrl-C) can keep `Loan` from its last steps.
    """

    def __init__(
        self,
        database: Database,
        connect: Callable[[], sqlite3.Connection],
        check: Callable[[], object],
        *,
        single: bool = False,
    ) -> None:
        self.database, self.connect, self.check, self.single = database, connect, check, single
        self.begin_anew()
        self.idle: deque[sqlite3.Connection] = deque()  # its methods are atomic
        self.loans: deque[None] = deque()  # as many as there are loans
        self.one: sqlite3.Connection | None = None  # of a single pool: the one connection, idle or lent
        self.closed = False
        with _fork_lock:
            _pools.add(self)

    def begin_anew(self) -> None:
        """Have the turn be nobody's: a thread that has it is not there in a child of `os.fork`."""
        self.turn: Callable[[], LockType] = repeat(allocate_lock()).__next__ if self.single else allocate_lock

    def lend(self, doing: str) -> Loan:
        """Return a context manager that gives a connection.

        Args:
            doing: what it is for, for the message of a `StorageFailed`, which takes the place of SQLite's errors.
        """
        return Loan(self, doing)

    def take(self) -> sqlite3.Connection:
        """Return a connection: idle until now, or new."""
        try:
            return self.idle.pop()
        except IndexError:
            pass
        if self.one is None:
            return self.connect()
        # who has the turn knows that it is not lent: so an interrupt came in the last steps of its loan
        recover(self.one)
        return self.one

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back. Any thread, any number of times."""
        self.closed = True
        self.drain()

    def drain(self) -> None:
        """Close what is idle now."""
        self.one = None
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
        pool.loans.append(None)
        while _forks:  # looked at second, and said first by who forks: so one of both sees the other, and waits
            pool.loans.pop()
            with _fork_lock:
                pool.loans.append(None)
        try:
            pool.check()
            self._connection = connection = pool.take()
            if pool.single:
                pool.one = connection
        except BaseException as error:
            pool.loans.pop()
            if isinstance(error, sqlite3.Error):
                raise pool.database.failed(error, self._doing) from error
            raise
        return connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        pool, connection = self._pool, self._connection
        try:
            if (error is None or self._recovers(error)) and len(pool.idle) < _MOST_IDLE:
                pool.idle.append(connection)
            else:
                pool.one = None
                connection.close()
        finally:
            pool.loans.pop()
            # put back first, look second: `close` says so first and empties `idle` second, so one of both closes it
            if pool.closed:
                pool.close()
        if isinstance(error, sqlite3.Error):
            raise pool.database.failed(error, self._doing) from error

    def _recovers(self, error: BaseException) -> bool:
        """Roll back; return whether the connection can be used again."""
        if isinstance(error, sqlite3.Error) and not self._pool.database.in_memory:
            return False  # closing it rolls back
        recover(self._connection)
        return True


def recover(connection: sqlite3.Connection) -> None:
    """Roll back what is not committed."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


# -- fork: SQLite's connections must not cross it. What SQLite knows of a file's locks in the parent is not true in the
# child, where a connection of its own to the same file would trust it all the same, and lose what it writes. So none is
# open while the process forks: who holds one is waited for, who wants one waits; afterwards each process makes its own.

_FORK_WAITS: Final = 10.0  # seconds at most: the process would hang if it forked in the middle of a loan of its own

_pools: Final[weakref.WeakSet[Pool]] = weakref.WeakSet()
_fork_lock: Final = allocate_lock()  # held while the process forks
_forks: Final[list[None]] = []  # not empty: it is about to


def _before_fork() -> None:
    _fork_lock.acquire()
    _forks.append(None)
    deadline = time.monotonic() + _FORK_WAITS
    for pool in list(_pools):
        while pool.loans and time.monotonic() < deadline:
            time.sleep(0.001)
        if not pool.database.in_memory:
            pool.drain()


def _after_fork() -> None:
    _forks.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    for pool in _pools:
        pool.begin_anew()
    _after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork_in_child)
