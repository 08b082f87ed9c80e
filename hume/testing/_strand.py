"""What actors run on where a scheduler steps them: threads and locks on which whoever waits hands the baton on."""

from __future__ import annotations

import threading
from _thread import allocate_lock
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from hume.actors._clock import SystemClock
from hume.testing._clock import ManualClock

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

    from pykka._envelope import Envelope

    from hume.actors._mailbox import Mailbox
    from hume.testing._scheduler import Scheduler

__all__ = ["NEVER", "Lock", "Strand", "never"]

NEVER: Final = float("inf")
_STANDSTILL: Final = ManualClock()  # of actors that go by the system's clock whatever others do: it never moves


class _Abandoned(BaseException):
    """Takes an actor's thread out of what it waits for, when the scheduler is left."""


def never() -> float:
    return NEVER


class Strand(threading.Thread):
    """An actor's thread. It runs while it has the baton, and says what it waits for when it gives it back."""

    def __init__(self, scheduler: Scheduler, name: str, mailbox: Mailbox, live: Callable[[], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.scheduler, self.mailbox, self._live = scheduler, mailbox, live
        self.go = allocate_lock()
        self.go.acquire()
        self.until: Callable[[], bool] = lambda: True
        self.moment: Callable[[], float] = never
        self.has_begun = self.has_ended = self.is_abandoned = self.is_idle = False

    def run(self) -> None:
        self.go.acquire()
        try:
            if not self.is_abandoned:
                self._live()
        finally:
            self.has_ended = True
            with suppress(RuntimeError):  # nobody waits for it, and others may have left so, when one did not come back
                self.scheduler._baton.release()

    def wait(self, until: Callable[[], bool], moment: Callable[[], float]) -> None:
        """Give the baton back until it comes again: when *until* is true, or it is *moment*, and this one is chosen."""
        if not self.is_abandoned:
            self.until, self.moment = until, moment
            self.scheduler._baton.release()
            self.go.acquire()
        if self.is_abandoned:
            raise _Abandoned

    def receive(self, mailbox: Mailbox, get: Callable[[], Envelope[Any]]) -> Envelope[Any]:
        """Get the next message."""
        if isinstance(mailbox.clock, SystemClock):
            mailbox.clock = _STANDSTILL

        def is_there() -> bool:
            return not mailbox.empty() or _next_due(mailbox) <= mailbox.clock.monotonic()

        self.is_idle = True
        self.wait(is_there, lambda: _next_due(mailbox) if mailbox.clock is self.scheduler.clock else NEVER)
        self.is_idle = False
        return get()

    def is_ready(self) -> bool:
        """Tell whether it could go on."""
        return self.until() or self.moment() <= self.scheduler.clock.monotonic()

    def plight(self) -> str:
        """Say what it waits for."""
        if self.is_idle:
            return "has no message"
        waits = self.mailbox.waiting_on
        return "waits" if waits is None else f"waits for {self.scheduler._name_of(waits[0])}"

    def join(self, timeout: float | None = None) -> None:
        if self.scheduler._sees_me():
            deadline = NEVER if timeout is None else self.scheduler.clock.monotonic() + timeout
            self.scheduler._wait(lambda: self.has_ended, lambda: deadline)
            if not self.has_ended:
                return
        super().join(timeout)


def _next_due(mailbox: Mailbox) -> float:
    return min((due for due, _, timer in mailbox._timers if timer.is_open), default=NEVER)


class Lock:
    """A lock on which whoever waits lets others go on."""

    __slots__ = ("_lock", "_scheduler")

    def __init__(self, scheduler: Scheduler) -> None:
        self._lock: LockType = allocate_lock()
        self._scheduler = scheduler

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:  # noqa: FBT001, FBT002 - as the real one's
        lock, scheduler = self._lock, self._scheduler
        if lock.acquire(blocking=False):
            return True
        if not blocking:
            return False
        if not scheduler._sees_me():
            return lock.acquire(timeout=timeout)
        deadline = NEVER if timeout < 0 else scheduler.clock.monotonic() + timeout
        while not lock.acquire(blocking=False):
            if scheduler.clock.monotonic() >= deadline:
                return False
            scheduler._wait(lambda: not lock.locked(), lambda: deadline)
        return True

    def release(self) -> None:
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
