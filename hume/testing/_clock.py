"""A clock that stands still until a test moves it, and the timers that are due then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

import pykka
from pykka._envelope import Envelope

from hume.actors._calls import wait_gone
from hume.actors._gen_server import GenServer
from hume.actors._mailbox import Mailbox, NextTimer, Reply, current
from hume.actors._registry import check_timeout
from hume.errors import CallingSelf, Timeout

if TYPE_CHECKING:
    from hume.actors._clock import Clock

__all__ = ["ManualClock"]

_START: Final = datetime(2024, 1, 1, tzinfo=UTC)
_NEVER: Final = float("inf")


class ManualClock:
    """A clock that stands still until the test moves it.

    As a context manager it is the clock of every actor that is started within (``GenServer.clock``); or give it to a
    class: ``clock = the_clock`` in its body. It decides over timers (``send_after``), ``snapshot_after``,
    ``catch_up_after``, the delays of a `Backoff`, the window of ``max_seconds``, and the ``recorded_at`` of events. The
    timeouts of calls and stops are real time, and so is the time between a `SQLiteEventStore`'s looks for what other
    processes wrote.

    Args:
        start: what `utcnow` returns at first; with a time zone.

    Example::

        with ManualClock() as clock:
            ref = hume.start_link(Inventory, stream="warehouse", snapshot_after=30.0)
            hume.publish(hume.EventStoreActor, "warehouse", ("add", "lamp", 1))
            clock.advance(30.0)
            assert hume.status(ref).snapshot_seq == 1
    """

    def __init__(self, start: datetime = _START) -> None:
        if start.tzinfo is None:
            msg = f"start must have a time zone, such as datetime(2024, 1, 1, tzinfo=UTC), not {start!r}"
            raise ValueError(msg)
        self._start = start.astimezone(UTC)
        self._now = 0.0  # written under the lock, and only ever raised; read by any thread
        self._lock = Lock()
        self._replaced: list[Clock] = []

    def monotonic(self) -> float:
        """Return the seconds for which it has been moved."""
        return self._now

    def utcnow(self) -> datetime:
        """Return the date and time, in UTC."""
        return self._start + timedelta(seconds=self._now)

    def jump(self, seconds: float) -> None:
        """Move it and wait for nobody: actors notice when they next look at their mailbox.

        For actors that are held still, and for time that is to pass within one's own callback.
        """
        _check_seconds(seconds)
        with self._lock:
            self._now += seconds

    def advance(self, seconds: float, *, timeout: float = 5.0) -> None:
        """Let time pass, with every timer that becomes due in it handled at its own time, one after the other.

        Timers that are set meanwhile belong to it. When this returns, all actors by this clock have handled what was
        due, and what was sent to them before. (What an actor then sent on to another one may still be on its way.)

        Args:
            seconds: how long.
            timeout: seconds of real time for which an actor may keep it waiting.

        Raises:
            Timeout: an actor was busy for so long. Where one is held still on purpose, use `jump`.
            CallingSelf: an actor by this clock can't wait for itself; it may use `jump`.
        """
        _check_seconds(seconds)
        check_timeout(timeout)
        me = current()
        if me is not None and me.clock is self:
            msg = f"{me} would wait for itself; in an actor's own callbacks use jump()"
            raise CallingSelf(msg)
        self._pass(self._now + seconds, timeout)

    def _pass(self, end: float, timeout: float) -> None:
        boxes, due = self._settle(self._boxes(), timeout)  # timers that are being set are set then
        while due <= end:
            self._reach(due)
            boxes, due = self._settle(boxes, timeout)
        self._reach(end)

    def _reach(self, now: float) -> None:
        with self._lock:
            self._now = max(self._now, now)  # an actor may have jumped beyond it

    def _settle(self, boxes: list[Mailbox], timeout: float) -> tuple[list[Mailbox], float]:
        """Wait until all actors have handled what is due and what was sent to them; return when the next is due.

        Each is asked twice. One that waits for its next message takes the first question at once, and then those of its
        timers that are due go before the second. A death makes links, and so supervisors, act, and a start makes
        another actor; so the end is a round in which there was none of these. *boxes* are those of before the time
        moved, from where on one may die unasked.
        """
        while True:
            asked = [self._ask(mailbox) for mailbox in boxes for _ in range(2)]
            dates = [_answer(reply, mailbox, timeout) for mailbox, reply in asked]
            before, boxes = boxes, self._boxes()
            if boxes == before:
                return boxes, min(dates, default=_NEVER)

    def _boxes(self) -> list[Mailbox]:
        boxes = [ref.actor_inbox for ref in pykka.ActorRegistry.get_all()]
        return [mailbox for mailbox in boxes if isinstance(mailbox, Mailbox) and mailbox.clock is self]

    @staticmethod
    def _ask(mailbox: Mailbox) -> tuple[Mailbox, Reply]:
        reply = Reply()
        mailbox.put(Envelope(NextTimer(), reply))
        return mailbox, reply

    def __enter__(self) -> Self:
        self._replaced.append(GenServer.clock)
        GenServer.clock = self
        return self

    def __exit__(self, *_: object) -> None:
        GenServer.clock = self._replaced.pop()


def _answer(reply: Reply, mailbox: Mailbox, timeout: float) -> float:
    """Return when an actor's next timer is due; of one that has died, never, once its links have heard of it."""
    try:
        due = reply.get(timeout=timeout)
    except BaseException as error:
        if reply.done() and wait_gone(mailbox, timeout):
            return _NEVER  # that was the error with which it crashed, whatever it is
        if not reply.done() and not isinstance(error, pykka.Timeout):
            raise  # the test was interrupted
        msg = f"{mailbox} is busy; where an actor is held still use jump(), which waits for nobody"
        raise Timeout(msg) from None
    return _NEVER if due is None else float(due)


def _check_seconds(seconds: float) -> None:
    if seconds is None or seconds == _NEVER:
        msg = f"seconds must be a number of seconds, not {seconds!r}"
        raise TypeError(msg)
    check_timeout(seconds, "seconds")
