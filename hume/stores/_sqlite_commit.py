"""Who writes: works that come together share one transaction, and one wait for the disk."""

from __future__ import annotations

import copy
import logging
import threading
import time
from _thread import allocate_lock
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pykka._envelope import Envelope

from hume import _bus
from hume.actors._clock import SYSTEM_CLOCK
from hume.actors._mailbox import Mailbox, Reply
from hume.errors import HumeError, StorageFailed
from hume.stores._record import EPOCH, MICROSECOND
from hume.stores._sqlite_write import Known, LogOrigin, Rows, Seen, Transaction, Work
from hume.telemetry._log_fields import fields

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from hume.actors._clock import Clock
    from hume.stores._codec import Codec
    from hume.stores._sqlite_pool import Pool

__all__ = ["Committer", "new_answer"]

_log = logging.getLogger("hume.stores")

_LONG_WAL = 16 * 2**20  # bytes; SQLite by itself keeps it at four million, where there are pauses between the reads

_MOST_GROUPS: Final = 100  # that are written in a row before timers have their turn, as messages have it at once

_GREW: Final = "SELECT name FROM streams WHERE id IN (SELECT stream FROM events WHERE position > ? AND position <= ?)"

_Asked: TypeAlias = tuple[Work, Any]  # what is to be done, and the Reply to be answered
_Result: TypeAlias = tuple[Any, Any, "Exception | None"]  # the Reply, with what, or why not


class Answer(Reply):
    """The answer to one of the works that share a transaction, whose callers are woken one by the other.

    To wake a thread takes long, and of several that wake at once all but one wait again, for Python's lock. So the
    store wakes two, when it has nothing to do but to wait for the disk, and each that wakes wakes the next. (The main
    thread has a `Reply` of its own, since Ctrl-C may keep it from waking anybody.)
    """

    others: deque[_Result] | None = None  # who are yet to be answered; given before it is settled

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the answer, as `Reply.get` does, and wake the next."""
        try:
            return Reply.get(self, timeout=timeout)
        finally:
            if self.others:
                wake_one(self.others)


def wake_one(waiting: deque[_Result]) -> None:
    """Answer the first of those who still wait, and can wake the others; any thread."""
    while waiting:
        try:
            answer, value, failure = waiting.popleft()  # atomic: each is answered once
        except IndexError:
            return
        answer.others = waiting
        if answer._settle((value, failure)) and type(answer) is Answer:
            return


def new_answer() -> Reply:
    """Return the answer for which the calling thread will wait."""
    return Reply() if threading.current_thread() is threading.main_thread() else Answer()


class _Group(Rows):
    """Works that share a transaction, and, once they have their numbers, the rows and the answers that they give."""

    __slots__ = ("asked", "is_void", "results")

    def __init__(self, known: Known, asked: list[_Asked]) -> None:
        super().__init__(known)
        self.asked = asked
        self.results: deque[_Result] = deque()
        self.is_void = False  # the numbers are wrong: what they were based upon did not come true

    def answer(self, do: Callable[[Any], Any]) -> None:
        """Do each work whose caller still waits; keep what it returns, or why it is refused."""
        for work, reply in self.asked:
            if reply.done():
                continue
            try:
                self.results.append((reply, do(work), None))
            except HumeError as error:
                self.results.append((reply, None, error))


def _microseconds() -> int:
    return time.time_ns() // 1000


class _Killed(Exception):
    """The store was killed while it wrote: what it wrote is undone."""


class Committer:
    """Does works for the store, in transactions, one at a time.

    Works wait in the store's mailbox, and its actor does all that wait in one transaction, with an answer for each. But
    where one thread appends after the other, each would wait for two changes of threads, which cost as much as the
    work; so while it is quiet, whoever has a work does it in his own thread. ``_turn`` is held by whoever writes, the
    actor or another; all below belongs to its holder.

    While the actor waits for the disk, the threads that append have time. So each gives its own events their numbers,
    as they will be when what is being written is there, and joins the group that is written next, for which then
    nothing is to be done but the insertion. That group is ``_open`` as long as it may be joined, and as long it, and
    what is ``_known``, belong to whoever holds ``_gate``. If what is being written fails, the numbers are void.
    """

    def __init__(self, writer: Pool, codec: Codec, mailbox: Mailbox, clock: Clock) -> None:
        self._writer, self._codec, self._mailbox = writer, codec, mailbox
        self._now = _microseconds if clock is SYSTEM_CLOCK else lambda: (clock.utcnow() - EPOCH) // MICROSECOND
        self._turn = allocate_lock()
        self._is_quiet = True  # nobody had to wait, the last time; read without the turn, as a guess
        self._is_failing = False  # the last look for new events failed
        self._longest_wal = _LONG_WAL  # bytes; to be shortened when it is longer
        self._known = known = Known()
        self._answered: deque[_Result] = deque()  # who are yet to be woken
        self._next = _Group(known, [])  # who have joined
        self._gate = allocate_lock()  # held for a few instructions
        self._open: _Group | None = None
        with writer.turn(), writer.lend("open it") as connection:
            self.origin = LogOrigin(writer.database.log_id)
            known.seen = known.look(connection, None)
        self._told = known.position  # whoever follows the events up to here has been told of them

    # -- any thread

    def do_here(self, work: Work) -> Reply | None:
        """Do a work in the caller's thread if nobody else writes, and answer; `None`: it is to be sent to the actor."""
        if self._turn.locked() or not (self._is_quiet and self._mailbox.empty()):
            return None
        reply = Reply()
        with self._turn:  # which another may just have taken: that is a wait, too, but no harm
            self._write([(work, reply)], 1)
            self._is_quiet = self._mailbox.empty()
        return reply

    def send(self, work: Work, reply: Reply) -> None:
        """Bring a work to the actor: into the group that is written next, if it may be joined, or into the mailbox."""
        # not the main thread: Ctrl-C could come while it holds the gate
        if self._open is None or type(reply) is not Answer or not self._join(work, reply):
            self._mailbox.put(Envelope(work, reply))

    def _join(self, work: Any, reply: Reply) -> bool:
        mailbox, has_joined = self._mailbox, False
        if not mailbox.alive:  # as in a child of os.fork, where the gate may be locked for good
            return False
        with self._gate:
            group, self._open = self._open, None  # nobody else joins, and the numbers are void, if an error ends this
            try:
                if group is not None and group.fit((work,)):
                    result = group.append(work, self._now())
                    reply.mailbox = mailbox
                    mailbox.pending[reply] = work
                    group.results.append((reply, result, None))
                    group.asked.append((work, reply))
                    has_joined = True
            except HumeError:
                has_joined = False  # the actor says so if it is still true when the work has its turn
            self._open = group
        if not mailbox.alive:
            mailbox.refuse_if_dead()  # put first, look second: see there
        return has_joined

    # -- the actor

    def do(self, work: Work, reply: Reply | None) -> None:
        """Do a work that came by the mailbox, with those that wait there too, and answer each."""
        with self._turn:
            size = self._write([(work, reply), *self._waiting()], _MOST_GROUPS)
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

    def _write(self, asked: list[_Asked], most: int) -> int:
        """Do works in one transaction, and what came meanwhile in the next, in *most* so many; answer each work.

        Return how many the last transaction had.
        """
        size, group = 0, _Group(self._known, asked)
        try:
            with self._writer.turn(), self._writer.lend("write to it; nothing was stored") as connection:
                while group.asked:
                    size, most = len(group.asked), most - 1
                    self._do(connection, group, may_join=most > 0)
                    group, self._next = self._next, _Group(self._known, [])
                    if group.is_void:
                        group = _Group(self._known, group.asked)
                    if most and not group.asked:
                        group.asked = self._waiting()
        except (StorageFailed, _Killed) as error:
            # those too that came meanwhile: they are not to wait, one after the other, for the same failure
            self._refuse([*group.asked, *self._next.asked, *self._waiting()], error)
            self._next = _Group(self._known, [])
        finally:
            self._wake()
        return size

    def _do(self, connection: sqlite3.Connection, group: _Group, *, may_join: bool) -> None:
        known = self._known
        grown: list[str] = []
        seen = known.forget()
        is_numbered = bool(group.values) or self._number(group, connection, seen)
        last = known.position
        if not (is_numbered and self._insert(connection, group, may_join=may_join)):
            seen, grown = self._transact(connection, group, None if is_numbered else seen)
            last = known.position
        self._check_alive()  # what a dead store has just stored it does not acknowledge
        known.seen = None if self._next.is_void else seen
        self._told, self._answered = last, group.results
        for stream in grown:
            _bus.tell(stream)

    def _number(self, group: _Group, connection: sqlite3.Connection, seen: Seen | None) -> bool:
        """Give events their numbers, if that can be done without a look at the tables; return whether there are any."""
        if seen is None or seen[0] is not connection or not group.fit([work for work, _ in group.asked]):
            return False
        group.answer(partial(group.append, at=self._now()))
        return bool(group.values)  # if all are refused, that is perhaps for what is no longer true

    def _insert(self, connection: sqlite3.Connection, group: _Group, *, may_join: bool) -> bool:
        """Insert events that have their numbers, and meanwhile let others join; `False`: nothing was done.

        The statement is a transaction of its own, and says at which positions the events are to be. So if anybody has
        written since we looked it fails; and if it succeeds, nobody has, and all that we knew was true.
        """
        self._check_alive()
        self._wake()  # its threads run while this group waits for the disk
        if not (may_join and self._mailbox.empty()):  # who waits already is not to be overtaken
            return group.insert(connection)
        following = self._open = self._next
        try:
            following.is_void = not group.insert(connection)
            return not following.is_void
        finally:
            with self._gate:
                is_whole, self._open = self._open is following, None
            if not is_whole:
                following.is_void = True

    def _transact(self, connection: sqlite3.Connection, group: _Group, seen: Seen | None) -> tuple[Seen, list[str]]:
        """Do works in a transaction; return since when the log is known, and the streams that others appended to."""
        self._wake()  # the next line may take seconds
        connection.execute("BEGIN IMMEDIATE")  # so that nobody, in any process, can come in between
        seen = self._known.look(connection, seen)
        grown = self._grown(connection)
        transaction = Transaction(connection, self._known, self.origin, self._codec, self._now())
        group.results.clear()
        group.answer(lambda work: work.run(transaction))
        transaction.flush()
        self._check_alive()
        connection.execute("COMMIT")
        return seen, grown

    def _wake(self) -> None:
        """Wake those who have been answered."""
        if self._answered:
            wake_one(self._answered)
            wake_one(self._answered)

    def _waiting(self) -> list[_Asked]:
        return [(one.message, one.reply_to) for one in self._mailbox.take_waiting(Work)]

    def _check_alive(self) -> None:
        if not self._mailbox.alive:
            raise _Killed

    def _log(self, error: StorageFailed | _Killed) -> None:
        _log.warning("%s: %s", self._mailbox, error, extra=fields(server=self._mailbox, reason=error))

    def _refuse(self, asked: list[_Asked], error: StorageFailed | _Killed) -> None:
        is_alive = self._mailbox.alive
        if is_alive:
            self._log(error)
        for _, reply in asked:
            if is_alive:
                own: Exception = copy.copy(error)  # each caller's own, for to raise an error changes it
                own.__cause__ = error.__cause__
            else:
                own = self._mailbox.dead_error()
            reply.fail(own)

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
