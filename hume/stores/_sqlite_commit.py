"""Who writes: works that come together share one transaction, and one wait for the disk."""

from __future__ import annotations

import copy
import logging
import sqlite3
import threading
from _thread import allocate_lock
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from pykka._envelope import Envelope

from hume import _bus
from hume.actors._mailbox import Mailbox, Reply
from hume.errors import HumeError, StorageFailed
from hume.stores._sqlite_write import MOST_ROWS, NO_STREAM, Known, LogOrigin, Seen, Transaction, Work
from hume.telemetry._log_fields import fields

if TYPE_CHECKING:
    from hume.actors._clock import Clock
    from hume.stores._codec import Codec
    from hume.stores._sqlite_pool import Pool

__all__ = ["Committer"]

_log = logging.getLogger("hume.stores")

_LONG_WAL = 16 * 2**20  # bytes; SQLite by itself keeps it at four million, where there are pauses between the reads

_NOBODY: Final[deque[Any]] = deque()
_MOST_GROUPS: Final = 32  # that are written in a row, before other messages have their turn, such as the timer's

_GREW: Final = "SELECT name FROM streams WHERE id IN (SELECT stream FROM events WHERE position > ? AND position <= ?)"


class Answer(Reply):
    """The answer to one of the works that share a transaction, whose callers are woken one by the other.

    To wake a thread takes long, and of several that wake at once all but one wait again, for Python's lock. So the
    store wakes two, when it has nothing to do but to wait for the disk, and each that wakes wakes the next. (The main
    thread has a `Reply` of its own, since Ctrl-C may keep it from waking anybody.)
    """

    others: deque[Answer] | None = None  # who are to be woken; given before it is settled

    def settle(self, outcome: tuple[Any, Exception | None]) -> bool:
        """Answer, and wake nobody yet; return whether this was the first answer."""
        if self._outcome.setdefault(None, outcome) is not outcome:
            return False
        if self.mailbox is not None:
            self.mailbox.pending.pop(self, None)
        return True

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the answer, as `Reply.get` does, and wake the next."""
        try:
            return super().get(timeout=timeout)
        finally:
            if self.others:
                wake_one(self.others)


def wake_one(waiting: deque[Answer]) -> None:
    """Wake the first of those who wait, if any."""
    try:  # popleft is atomic: each is woken once
        waiting.popleft()._latch.release()
    except IndexError:
        return


def new_answer() -> Reply:
    """Return the answer for which the calling thread will wait."""
    return Reply() if threading.current_thread() is threading.main_thread() else Answer()


_Result: TypeAlias = tuple[Reply, Any, "Exception | None"]  # to whom, what, or why not


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
        self._answered: deque[Answer] = _NOBODY  # who are yet to be woken
        self._is_quiet = True  # nobody had to wait, the last time; read without the turn, as a guess
        self._is_failing = False  # the last look for new events failed
        self._longest_wal = _LONG_WAL  # bytes; to be shortened when it is longer
        self._known = Known()
        with writer.turn(), writer.lend("open it") as connection:
            self.origin = LogOrigin(writer.database.log_id)
            self._known.seen = self._known.look(connection, None)
        self._told = self._known.position  # whoever follows the events up to here has been told of them

    # -- any thread

    def do_here(self, work: Work) -> Reply | None:
        """Do a work in the caller's thread if nobody else writes, and answer; `None`: it is to be sent to the actor."""
        if self._turn.locked() or not (self._is_quiet and self._mailbox.empty()):
            return None
        reply = Reply()
        with self._turn:  # which another may just have taken: that is a wait, too, but no harm
            self._write([Envelope(work, reply)], 1)
            self._is_quiet = self._mailbox.empty()
        return reply

    # -- the actor

    def do(self, work: Work, reply: Reply | None) -> None:
        """Do a work that came by the mailbox, with those that wait there too, and answer each."""
        with self._turn:
            try:
                size = self._write([Envelope(work, reply), *self._waiting()], _MOST_GROUPS)
            finally:
                self._wake()
            self._is_quiet = size == 1 and self._mailbox.empty()

    def look(self) -> None:
        """Look whether another process has written, and tell those who follow what it wrote."""
        if not self._turn.acquire(blocking=False):
            return  # whoever writes will see it
        try:
            with self._writer.turn(), self._writer.lend("look for new events") as connection:
                seen = self._known.look(connection, self._known.forget())
                grown = self._grown(connection)
                self._shorten_wal(connection)
            self._known.seen = seen
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

    def _write(self, group: list[Envelope[Any]], most: int) -> int:
        """Do works in one transaction, and what came meanwhile in the next, in *most* so many; answer each work.

        Return how many the last transaction had.
        """
        size = 0
        try:
            with self._writer.turn(), self._writer.lend("write to it; nothing was stored") as connection:
                while group:
                    self._do(connection, group)
                    size, most = len(group), most - 1
                    group = self._waiting() if most else []
        except (StorageFailed, _Killed) as error:
            # those too that came meanwhile: they are not to wait, one after the other, for the same failure
            self._refuse([*group, *self._waiting()], error)
        return size

    def _do(self, connection: sqlite3.Connection, group: list[Envelope[Any]]) -> None:
        grown: list[str] = []
        seen = self._known.forget()
        answers = self._insert(connection, group, seen)
        if answers is None:
            self._wake()  # the last group: the next line may take seconds
            connection.execute("BEGIN IMMEDIATE")  # so that nobody, in any process, can come in between
            seen = self._known.look(connection, seen)
            grown = self._grown(connection)
            answers = self._run(group, connection)
            self._check_alive()
            connection.execute("COMMIT")
        self._check_alive()  # what a dead store has just stored it does not acknowledge
        self._known.seen = seen
        self._told = self._known.position
        self._answered = _settled(answers)
        for stream in grown:
            _bus.tell(stream)

    def _insert(
        self, connection: sqlite3.Connection, group: list[Envelope[Any]], seen: Seen | None
    ) -> list[_Result] | None:
        """Do works that append a few events to streams that are known, in one statement; `None`: nothing was done.

        The statement is a transaction of its own, and says at which positions the events are to be. So if anybody has
        written since we looked it fails; and if it succeeds, nobody has, and all that we knew was true.
        """
        known = self._known
        if seen is None or seen[0] is not connection:
            return None
        rows = 0
        for envelope in group:
            batch = envelope.message.plain
            if batch is None or known.streams.get(batch.stream, NO_STREAM)[0] is None:
                return None
            rows += len(batch.payloads)
        if rows > MOST_ROWS:
            return None
        self._check_alive()
        position = known.position
        try:
            answers = self._run(group, connection)
        except sqlite3.IntegrityError:
            known.look_again(connection)
            return None
        return answers if known.position > position else None  # all refused, perhaps for what is no longer true

    def _run(self, group: list[Envelope[Any]], connection: sqlite3.Connection) -> list[_Result]:
        transaction = Transaction(connection, self._known, self.origin, self._codec, self._clock)
        answers: list[_Result] = []
        for envelope in group:
            reply: Any = envelope.reply_to
            if reply.done():
                continue  # its caller has given up
            try:
                answers.append((reply, envelope.message.run(transaction), None))
            except HumeError as error:
                answers.append((reply, None, error))
        self._wake()  # its threads run while this group waits for the disk
        transaction.flush()
        return answers

    def _wake(self) -> None:
        """Wake those who have been answered."""
        waiting, self._answered = self._answered, _NOBODY
        if waiting:
            wake_one(waiting)
            wake_one(waiting)

    def _waiting(self) -> list[Envelope[Any]]:
        return self._mailbox.take_waiting(Work)

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


def _settled(answers: list[_Result]) -> deque[Answer]:
    """Settle answers; return those whose threads are to be woken."""
    waiting: deque[Answer] = deque()
    for answer, value, failure in answers:
        if not isinstance(answer, Answer):
            answer._settle((value, failure))
            continue
        answer.others = waiting
        if answer.settle((value, failure)):
            waiting.append(answer)
    return waiting
