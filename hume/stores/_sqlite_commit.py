"""Who writes: works that come together share one transaction, and one wait for the disk."""

from __future__ import annotations

import copy
import logging
import sqlite3
from _thread import allocate_lock
from typing import TYPE_CHECKING, Any, Final, cast

from pykka._envelope import Envelope

from hume import _bus
from hume.actors._mailbox import Mailbox, Reply
from hume.errors import StorageFailed
from hume.stores._sqlite_write import Known, LogOrigin, Transaction, Work
from hume.telemetry._log_fields import fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from hume.actors._clock import Clock
    from hume.stores._codec import Codec
    from hume.stores._sqlite_pool import Pool

__all__ = ["Committer"]

_log = logging.getLogger("hume.stores")

_LONG_WAL = 16 * 2**20  # bytes; SQLite by itself keeps it at four million, where there are pauses between the reads

_GREW: Final = "SELECT name FROM streams WHERE id IN (SELECT stream FROM events WHERE position > ? AND position <= ?)"


class _Killed(Exception):
    """The store was killed while it wrote: what it wrote is undone."""


class Committer:
    """Does works for the store, in transactions, one at a time.

    Works wait in the store's mailbox, and its actor does all that wait in one transaction, with an answer for each. But
    where one thread appends after the other, each would wait for two changes of threads, which cost as much as the
    work; so while it is quiet, whoever has a work does it in his own thread. ``_turn`` is held by whoever writes, the
    actor or another; all below belongs to its holder.
    """

    def __init__(self, writer: Pool, codec: Codec, mailbox: Mailbox, clock: Clock) -> None:
        self._writer, self._codec, self._mailbox, self._clock = writer, codec, mailbox, clock
        self._turn = allocate_lock()
        self._is_quiet = True  # nobody had to wait, the last time; read without the turn, as a guess
        self._is_failing = False  # the last look for new events failed
        self._longest_wal = _LONG_WAL  # bytes; to be shortened when it is longer
        self._known = Known()
        with writer.turn(), writer.lend("open it") as connection:
            self.origin = LogOrigin(writer.database.log_id)
            self._known.look(connection)
        self._told = self._known.position  # whoever follows the events up to here has been told of them

    # -- any thread

    def do_here(self, work: Work) -> Reply | None:
        """Do a work in the caller's thread if nobody else writes, and answer; `None`: it is to be sent to the actor."""
        if self._turn.locked() or not (self._is_quiet and self._mailbox.empty()):
            return None
        reply = Reply()
        with self._turn:  # which another may just have taken: that is a wait, too, but no harm
            self._do([Envelope(work, reply)], _nobody)
            self._is_quiet = self._mailbox.empty()
        return reply

    # -- the actor

    def do(self, work: Work, reply: Reply | None) -> None:
        """Do a work that came by the mailbox, with those that wait there too, and answer each."""
        with self._turn:
            number = self._do([Envelope(work, reply)], lambda: self._mailbox.take_waiting(Work))
            self._is_quiet = number == 1 and self._mailbox.empty()

    def look(self) -> None:
        """Look whether another process has written, and tell those who follow what it wrote."""
        if not self._turn.acquire(blocking=False):
            return  # whoever writes will see it
        try:
            with self._writer.turn(), self._writer.lend("look for new events") as connection:
                self._known.look(connection)
                grown = self._grown(connection)
                self._shorten_wal(connection)
            self._told, self._is_failing = self._known.position, False
        except StorageFailed as error:
            if not self._is_failing:  # said once, and not forty times a second
                self._log(error)
            self._is_failing = True
            return
        finally:
            self._turn.release()
        for stream in grown:
            _bus.tell(stream)

    # -- whoever has the turn

    def _do(self, group: list[Envelope[Any]], more: Callable[[], list[Envelope[Any]]]) -> int:
        """Do works, and those that come meanwhile, in one transaction; then answer each. Return how many there were."""
        taken = list(group)
        answers: list[tuple[Reply, Any, Exception | None]] = []
        try:
            with self._writer.turn(), self._writer.lend("write to it; nothing was stored") as connection:
                connection.execute("BEGIN IMMEDIATE")  # so that nobody, in any process, can come in between
                self._known.look(connection)
                grown = self._grown(connection)
                transaction = Transaction(connection, self._known, self.origin, self._codec, self._clock)
                while group:
                    answers += [_run(envelope, transaction) for envelope in group if _is_awaited(envelope)]
                    group = more()  # who came while we wrote
                    taken += group
                transaction.flush()
                self._check_alive()
                connection.execute("COMMIT")
                self._check_alive()  # what a dead store has just stored it does not acknowledge
        except BaseException as error:
            self._known.forget()
            if not isinstance(error, StorageFailed | _Killed):
                raise
            # those too that came meanwhile: they are not to wait, one after the other, for the same failure
            self._refuse([*taken, *more()], error)
            return len(taken)
        self._told = self._known.position
        for reply, value, failure in answers:
            if failure is None:
                reply.set(value)
            else:
                reply.fail(failure)
        for stream in grown:
            _bus.tell(stream)
        return len(taken)

    def _check_alive(self) -> None:
        if not self._mailbox.alive:
            raise _Killed

    def _log(self, error: StorageFailed | _Killed) -> None:
        _log.warning("%s: %s", self._mailbox, error, extra=fields(server=self._mailbox, reason=error))

    def _refuse(self, group: list[Envelope[Any]], error: StorageFailed | _Killed) -> None:
        is_alive = self._mailbox.alive
        if is_alive:
            self._log(error)
        for envelope in group:
            if is_alive:
                own: Exception = copy.copy(error)  # each caller's own, for to raise an error changes it
                own.__cause__ = error.__cause__
            else:
                own = self._mailbox.dead_error()
            cast("Reply", envelope.reply_to).fail(own)

    def _grown(self, connection: sqlite3.Connection) -> list[str]:
        """Return the streams that others have appended to since the last look."""
        last = self._known.position
        if last <= self._told:
            return []
        return [name for (name,) in connection.execute(_GREW, (self._told, last))]

    def _shorten_wal(self, connection: sqlite3.Connection) -> None:
        """Empty the write-ahead log when it is long: SQLite can't as long as there is always somebody who reads."""
        size = self._writer.database.wal_size()
        if size > self._longest_wal:
            is_done = self._writer.database.empty_wal(connection)
            self._longest_wal = _LONG_WAL if is_done else 2 * size  # whoever reads for so long is not asked so often


def _nobody() -> list[Envelope[Any]]:
    return []


def _run(envelope: Envelope[Any], transaction: Transaction) -> tuple[Reply, Any, Exception | None]:
    reply = cast("Reply", envelope.reply_to)
    try:
        return reply, envelope.message.run(transaction), None
    except sqlite3.Error:
        raise  # the transaction is lost
    except Exception as error:  # noqa: BLE001 - a refused work, or a codec's error in looking at an id: this caller's alone
        return reply, None, error


def _is_awaited(envelope: Envelope[Any]) -> bool:
    return envelope.reply_to is not None and not cast("Reply", envelope.reply_to).done()
