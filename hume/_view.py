"""A projection as other threads see it: its state between two events, and its status, without a message."""

from __future__ import annotations

import functools
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from hume import telemetry
from hume._bus import Hint
from hume._replay import Fold
from hume.actors import _threads
from hume.actors._calls import wait_for
from hume.actors._isolate import isolated
from hume.actors._mailbox import Reply, current
from hume.actors._signals import Crash
from hume.errors import Timeout

if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable, Hashable, Iterator

    from hume._feed import Feed
    from hume.actors._mailbox import Mailbox
    from hume.stores._event import Event

__all__ = ["Interrupted", "Phase", "Status", "View"]

_UNKNOWN = ("hume", "projection", "unknown_event")

Phase: TypeAlias = Literal["catching_up", "live", "stopped"]


class Interrupted(Exception):
    """The projection is to end, or has been killed: what was being caught up is left as it is."""


@dataclass(frozen=True, slots=True)
class Status:
    """What a projection is doing.

    Args:
        projection: its identity.
        stream: its stream.
        seq: the number of the last event applied.
        snapshot_seq: the number of the last event in its newest snapshot; `None`: it has none.
        phase: ``"catching_up"`` (behind what it last saw of its log), ``"live"`` or ``"stopped"``.
        last_error: the last error in a callback, or in reading the store; `None`: none so far.
        events_applied: events applied since this actor started; what it replayed, and what came since.
        unknown_events: events that no clause handles, and that were skipped, since it started.
        errors: how many errors there were, since it started.
    """

    projection: Hashable
    stream: Hashable
    seq: int
    snapshot_seq: int | None
    phase: Phase
    last_error: BaseException | None
    events_applied: int
    unknown_events: int
    errors: int


_KEPT: Final = 1000
_GLANCE: Final = 0.05  # seconds after which a reader who waits looks whether the projection is still alive

# What named projections that are down did last, so that one which waits for its restart can be looked at. Changed by
# single operations of a dict, which are atomic; the oldest goes when there are too many.
_departed: dict[Hashable, Status] = {}


def departed(name: Hashable) -> Status | None:
    """Return the last status of the projection that had this name, while nobody has it."""
    return _departed.get(name)


def _waits(lock: LockType, limit: float) -> Iterator[bool]:
    """Return what takes a lock, in a loop over it; each round tells whether the lock has been taken.

    A KeyboardInterrupt comes, in the main thread, after calls. The loop makes none, so none can come between the taking
    and a ``try`` that follows, and leave the lock taken for good: as with a ``with``, which can't give up waiting.
    """
    return iter(functools.partial(lock.acquire, timeout=min(_GLANCE, limit)), None)


class _Gap(Reply):
    """The end of the event in hand, for which a reader waits: what is looked at where rings of waiting are found."""

    def __init__(self, view: View) -> None:
        super().__init__()
        self._view = view

    def done(self) -> bool:
        """Tell whether no event is in hand."""
        return self._view._page is None


class View(Fold):
    """The fold of a running projection.

    ``busy`` guards ``seq`` and ``state``: the projection holds it while it applies events, a reader while it copies.
    So nobody sees a state that a handler is changing. Between two events the projection looks at ``waiting`` and lets
    a reader in. Any thread appends to ``arrivals``, and only the projection takes from it. All the rest is written by
    the projection's thread only, one assignment each, and read by any.
    """

    __slots__ = (
        "_tries",
        "_turnstile",
        "applied",
        "arrivals",
        "busy",
        "copier",
        "errors",
        "feed",
        "hint",
        "last_error",
        "log_id",
        "mailbox",
        "phase",
        "projection",
        "snapshot_seq",
        "store",
        "torn",
    )

    def __init__(
        self,
        mailbox: Mailbox,
        projection: Hashable,
        feed: Feed,
        store: Any,
        copier: Callable[[Any], Any] | None,
    ) -> None:
        super().__init__(0, None, feed.cursor)
        self.mailbox, self.projection, self.feed, self.store, self.copier = mailbox, projection, feed, store, copier
        self.busy = _threads.allocate_lock()
        self._tries = _waits(self.busy, 0.0)
        self._turnstile = _threads.allocate_lock()
        self.arrivals: deque[tuple[int, Reply]] = deque()  # who waits for which number, and has not been seen
        self.applied = self.errors = 0
        self.snapshot_seq: int | None = None
        self.phase: Phase = "catching_up"
        self.last_error: BaseException | None = None
        self.log_id: Hashable = None
        self.hint = Hint(mailbox)
        self.torn = False  # a handler has raised: what it left of the state is shown to nobody
        mailbox.at_death(self._interrupt)

    # -- the projection's thread

    def give_way(self) -> None:
        """Let in the reader who waits.

        He holds the turnstile while he waits for ``busy``; so by going through it before taking ``busy`` again the
        projection can't overtake him.

        Raises:
            Interrupted: it has been killed; so it leaves after the event in hand, not after the page.
        """
        self.busy.release()
        with self._turnstile:
            pass
        self.busy.acquire()
        if not self.mailbox.alive:
            raise Interrupted

    def skip(self, event: Event) -> None:
        """Count an event that no clause handles, and tell."""
        super().skip(event)
        if telemetry.attached(_UNKNOWN):
            telemetry.execute(_UNKNOWN, {"seq": event[self.cursor]}, {**self.about(), "payload": event.payload})

    def failed(self, error: BaseException) -> None:
        """Note an error that does not end the projection."""
        self.last_error = error
        self.errors += 1

    def leave_a_note(self, name: Hashable) -> None:
        """Have the last status be there under a name after the projection's death, until another one takes the name."""
        _departed.pop(name, None)

        def leave() -> None:
            _departed[name] = self.status()
            while len(_departed) > _KEPT:
                _departed.pop(next(iter(_departed), None), None)

        self.mailbox.at_death(leave)

    # -- any other thread

    def about(self) -> dict[str, Any]:
        """Return what telemetry says of the projection in each of its events."""
        return {"projection": self.projection, "stream": self.feed.stream, "class": self.mailbox.ref.actor_class}

    def is_of(self, store: object) -> bool:
        """Tell whether the state was folded from this store's log, as far as the store can say."""
        log_id = getattr(store, "log_id", None)
        return log_id is None or log_id is self.log_id or log_id == self.log_id

    def expect(self, seq: int, reply: Reply) -> None:
        """Have *reply* answered with ``(seq, state)`` once the projection has reached *seq*, or fail at its death.

        No message is sent but the hint, and none where one waits already: the projection takes it before it looks at
        ``arrivals``, and that before it reads the log. So what comes too late to be seen gives a hint of its own.
        """
        self.mailbox.pending[reply] = self
        reply.mailbox = self.mailbox
        self.arrivals.append((seq, reply))
        self.hint.give()
        self.mailbox.refuse_if_dead()

    def _interrupt(self) -> None:
        self.waiting = True

    def copy(self, timeout: float | None) -> tuple[int, Any]:
        """Return the number of the last event applied, and a copy of the state; waits for the event in hand at most.

        Raises:
            Timeout: the event in hand took longer than *timeout* seconds.
            ActorDead: the projection died meanwhile.
            BaseException: what a handler raised meanwhile, which ends the projection.
        """
        for held in self._tries:
            if not held:
                break
            try:  # as _copy, without a call: most reads come by here
                if self.torn or not self.mailbox.alive:
                    raise self._unreadable()
                return self.seq, isolated(self.state, self.copier)
            finally:
                self.busy.release()
        return self._copy_in_a_gap(timeout)

    def _copy(self) -> tuple[int, Any]:
        if self.torn or not self.mailbox.alive:
            raise self._unreadable()
        return self.seq, isolated(self.state, self.copier)

    def _unreadable(self) -> BaseException:
        return self.last_error if self.torn and self.last_error is not None else self.mailbox.dead_error()

    def _copy_in_a_gap(self, timeout: float | None) -> tuple[int, Any]:
        limit = threading.TIMEOUT_MAX if timeout is None else min(timeout, threading.TIMEOUT_MAX)
        deadline = _threads.monotonic() + limit
        me = current()
        if me is not None:
            wait_for(me, self.mailbox, _Gap(self))  # two whose handlers read each other would wait for ever
        try:
            for held in _waits(self._turnstile, limit):
                if held:
                    break
                self._check_wait(deadline, timeout)
            try:
                self.waiting = True
                for held in _waits(self.busy, limit):
                    if held:
                        break
                    self._check_wait(deadline, timeout)
                try:
                    return self._copy()
                finally:
                    self.busy.release()
            finally:
                self.waiting = False
                if not self.mailbox.alive:
                    self.waiting = True  # it died, and said so, perhaps just before the line above
                self._turnstile.release()
        finally:
            if me is not None:
                me.waiting_on = None

    def _check_wait(self, deadline: float, timeout: float | None) -> None:
        if not self.mailbox.alive:
            raise self.mailbox.dead_error()  # a killed one's thread may hold the lock for ever
        if _threads.monotonic() >= deadline:
            msg = f"{self.mailbox} was busy with one event, or with being read, for {timeout} seconds"
            raise Timeout(msg)

    def status(self) -> Status:
        """Return what the projection is doing; of a dead one, what it did last."""
        snapshot_seq = self.snapshot_seq  # before seq, so that it is never seen ahead of it
        last_error, reason = self.last_error, self.mailbox.reason
        if last_error is None and isinstance(reason, Crash):
            last_error = reason.exception
        return Status(
            self.projection,
            self.feed.stream,
            self.seq,
            snapshot_seq,
            self.phase if self.mailbox.alive else "stopped",
            last_error,
            self.applied,
            self.unknown,
            self.errors,
        )
