"""Who is told that a stream grew.

A hint says only: look at the log. It is level-triggered: however many are given while one waits to be seen, one waits.
"""

from __future__ import annotations

import threading
from _thread import allocate_lock
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from pykka._envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hume.actors._mailbox import Mailbox
    from hume.stores._selector import Selector

__all__ = ["LOOK", "Hint", "selectors", "subscribe", "subscribe_selector", "subscribers", "tell"]


class Look:
    """The message that a hint puts into the mailbox of a projection."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "a hint to look at the log"


LOOK: Final = Look()

# Written under the lock, always by putting a new tuple in place; read without it: a publisher sees the old one or the
# new one. A projection subscribes before it first reads its log, so a publisher that saw the old one was early enough.
subscribers: dict[Hashable, tuple[Hint, ...]] = {}
selectors: tuple[tuple[Selector, Hint], ...] = ()  # those who follow several streams
_lock: Final = allocate_lock()

_CROWD: Final = 8  # more of them than this are told by another thread


class Hint:
    """Tells one projection to look at its log; any thread may give it, only the projection takes it."""

    __slots__ = ("_envelope", "_idle", "_mailbox")

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox
        self._envelope: Envelope[Any] = Envelope(LOOK)
        self._idle = [True]

    def give(self) -> None:
        """Put a message into the mailbox, unless one is there that has not been seen."""
        if self._idle:
            try:
                del self._idle[0]  # atomic: of several that give at once, one puts the message
            except IndexError:
                return
            try:
                self._mailbox.put(self._envelope)
            except BaseException:  # a KeyboardInterrupt; it comes after calls, so not between the two `try`s
                self._idle[:] = (True,)
                raise

    def taken(self) -> None:
        """Note that the message has been seen. To be called before the log is read: what comes later is told again."""
        self._idle[:] = (True,)


def subscribe(stream: Hashable, hint: Hint, mailbox: Mailbox) -> None:
    """Have *hint* given whenever *stream* grows, until the mailbox's actor dies."""
    with _lock:
        subscribers[stream] = (*subscribers.get(stream, ()), hint)
    if not mailbox.at_death(lambda: _unsubscribe(stream, hint)):
        _unsubscribe(stream, hint)


def _unsubscribe(stream: Hashable, hint: Hint) -> None:
    with _lock:
        left = tuple(other for other in subscribers.get(stream, ()) if other is not hint)
        if left:
            subscribers[stream] = left
        else:
            subscribers.pop(stream, None)
    _dismiss_if_idle()


def subscribe_selector(selector: Selector, hint: Hint, mailbox: Mailbox) -> None:
    """Have *hint* given whenever a selected stream grows, until the mailbox's actor dies."""
    global selectors  # noqa: PLW0603 - as subscribers, which can be changed in place
    entry = (selector, hint)
    with _lock:
        selectors = (*selectors, entry)
    if not mailbox.at_death(lambda: _unsubscribe_selector(entry)):
        _unsubscribe_selector(entry)


def _unsubscribe_selector(entry: tuple[Selector, Hint]) -> None:
    global selectors  # noqa: PLW0603 - as above
    with _lock:
        selectors = tuple(other for other in selectors if other is not entry)
    _dismiss_if_idle()


def _dismiss_if_idle() -> None:
    if not subscribers and not selectors:
        _crier.dismiss()


def tell(stream: Hashable, *, here: bool = False) -> None:
    """Tell whoever follows *stream* that it grew; a crowd in another thread, unless it is to be told *here*."""
    hints = subscribers.get(stream, ())
    if len(hints) + len(selectors) > _CROWD and not here:
        _crier.tell(stream)
        return
    for hint in hints:
        hint.give()
    for selector, hint in selectors:
        if stream in selector:
            hint.give()


class _Crier:
    """A thread that tells a crowd, as waking a hundred projections takes longer than a publisher should have to wait.

    It is there from the first crowd on until nobody follows anything. No news is lost: a stream is taken out of
    ``_waiting`` before its followers are told, so a publisher who still finds it there, after his append, is early
    enough. And he puts first and looks for the thread second, while it leaves only if it finds the queue empty, and
    says so under the lock.
    """

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._thread: threading.Thread | None = None  # changed under the lock
        self._queue: SimpleQueue[tuple[Hashable] | None] = SimpleQueue()
        self._waiting: dict[Hashable, None] = {}  # each step on it is atomic

    def tell(self, stream: Hashable) -> None:
        """Have those who follow *stream* told soon; any thread."""
        if stream not in self._waiting:
            self._waiting[stream] = None
            self._queue.put((stream,))
        if self._thread is None or not self._thread.is_alive():  # nor is it in a child of os.fork
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(target=self._run, name="hume-crier", daemon=True)
                    self._thread.start()

    def dismiss(self) -> None:
        """Have the thread leave if nobody follows anything."""
        if self._thread is not None:
            self._queue.put(None)

    def _run(self) -> None:
        while True:
            told = self._queue.get()
            if told is not None:
                (stream,) = told
                self._waiting.pop(stream, None)
                tell(stream, here=True)
            elif self._leaves():
                return

    def _leaves(self) -> bool:
        with self._lock:
            if subscribers or selectors or not self._queue.empty():
                return False
            self._thread = None
            return True


_crier: Final = _Crier()
