"""The mailbox: an actor's inbox, and the record of its life (OTP's process control block).

An actor and its ref share exactly one object that an actor type may make itself: the inbox. So whatever has to be known
of an actor from any thread, also after its death, lives here: liveness, exit reason, names, links, monitors, tables,
timers, and the calls that still wait for an answer.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from _thread import allocate_lock
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from hume.actors import _threads
from hume.actors._clock import SYSTEM_CLOCK, Clock
from hume.actors._signals import FORKED, KILLED, NOPROC, Crash, Down, ExitSignal, monitor_ids
from hume.errors import ActorDead, CallingSelf
from hume.telemetry._log_fields import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from pykka._types import OptExcInfo

    from hume.actors._table import Table

__all__ = ["WAKE", "Mailbox", "NextTimer", "Reply", "StopRequest", "Timer", "current", "set_current"]

_log = logging.getLogger("hume.actors")

WAKE: Final[Envelope[Any]] = Envelope(None)  # makes an idle owner look around; carries nothing


class StopRequest:
    """Asks a server to stop with a reason, after what was sent before."""

    __slots__ = ("reason",)

    def __init__(self, reason: object) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"StopRequest({self.reason!r})"


class NextTimer:
    """Asks a server when its next timer is due, after what was sent before: by its clock; `None` if it has none."""

    __slots__ = ()


class Reply(pykka.Future[Any]):
    """The one-shot future of a call, on one raw lock. The first answer wins and later ones are dropped.

    Pykka's own future costs half a round trip and raises when it is set twice, which kills an actor.
    """

    _get_hook = None
    mailbox: Mailbox | None = None  # where it is pending; written by the caller before it sends

    def __init__(self) -> None:  # not super().__init__(): the defaults above serve until somebody sets a hook
        self._latch = latch = _threads.allocate_lock()
        latch.acquire()
        # Not the instance's own __dict__: CPython 3.11 makes that when it is first asked for, and two threads that ask
        # at once, with a garbage collection in between, make two of it on the same memory.
        self._outcome: dict[None, tuple[Any, BaseException | None]] = {}

    def set(self, value: Any = None) -> bool:  # type: ignore[override]  # says whether it was the first answer
        """Answer with a value; return whether this was the first answer."""
        return self._settle((value, None))

    def fail(self, error: BaseException) -> bool:
        """Answer with an error; return whether this was the first answer."""
        return self._settle((None, error))

    def set_exception(self, exc_info: OptExcInfo | None = None) -> bool:  # type: ignore[override]  # as set
        """Answer with the exception being handled, or the one given, as Pykka's futures do."""
        import sys  # noqa: PLC0415 - Pykka's calling convention, used by nothing in Hume

        error = (exc_info or sys.exc_info())[1]
        return self.fail(error if error is not None else RuntimeError("set_exception() outside of an except block"))

    def _settle(self, outcome: tuple[Any, BaseException | None]) -> bool:
        # dict.setdefault is atomic, so of two threads that answer at once exactly one releases the latch
        if self._outcome.setdefault(None, outcome) is not outcome:
            return False
        mailbox = self.mailbox
        if mailbox is not None:
            mailbox.pending.pop(self, None)
        self._latch.release()
        return True

    def done(self) -> bool:
        """Tell whether there is an answer."""
        return None in self._outcome

    def set_get_hook(self, func: Callable[[float | None], Any]) -> None:
        """Make `get` return what *func* returns, as Pykka's combinators (map, filter, join, reduce) need it."""
        super().__init__()
        super().set_get_hook(func)

    def get(self, *, timeout: float | None = None) -> Any:
        """Wait for the answer, for at most *timeout* seconds; `None` waits without limit."""
        if self._get_hook is not None:
            return super().get(timeout=timeout)
        mailbox = self.mailbox
        if mailbox is not None and mailbox is _current.mailbox:
            self._refuse(mailbox)
        latch = self._latch
        if timeout is None:
            wait = -1.0
        elif 0.0 <= timeout <= threading.TIMEOUT_MAX:
            wait = timeout
        else:
            wait = min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        if latch.acquire(True, wait):  # noqa: FBT003 - to parse keywords would cost as much as the rest of the call
            latch.release()
        elif not self.done():  # when it is done, somebody else was between the two lines above
            msg = f"{timeout} seconds"
            raise pykka.Timeout(msg)
        value, error = self._outcome[None]
        if error is not None:
            try:
                raise error
            finally:
                del self, error  # the traceback holds this frame: without this, a cycle for each failed call
        return value

    def _refuse(self, mailbox: Mailbox) -> None:
        """Refuse to wait for the answer, as it would have to come from the actor that waits."""
        msg = f"{mailbox} would wait for itself; in an actor use its own attributes and methods, or defer() or cast"
        self.fail(CallingSelf(msg))  # unless it has answered meanwhile; and nobody need answer any more


class Timer:
    """A message that its owner will get later; made by `GenServer.send_after`."""

    __slots__ = ("_clock", "_open", "due", "message")

    def __init__(self, clock: Clock, delay: float, message: object) -> None:
        self._clock = clock
        self.due: float = clock.monotonic() + delay
        self.message: object = message
        self._open = [True]

    def cancel(self) -> float | None:
        """Cancel it; return the seconds that were left, or `None` when it has fired or was cancelled."""
        return max(0.0, self.left()) if self.close() else None

    def left(self) -> float:
        """Return the seconds until it is due; negative when it is late."""
        return self.due - self._clock.monotonic()

    def close(self) -> bool:
        """Take it out of use; return whether it was in use."""
        try:
            self._open.pop()  # atomic: either the owner fires it or somebody cancels it
        except IndexError:
            return False
        return True

    @property
    def is_open(self) -> bool:
        """Whether it has neither fired nor been cancelled."""
        return bool(self._open)


class Mailbox:
    """The inbox of an actor and the record of its life.

    Any thread may send (`put`, `signal`), watch (`monitor`) and end it (`die`). Only the owner, the actor's thread,
    takes from it (`get`) and sets timers. What several threads change lies under ``_lock``, which is held for a few
    instructions and never while another lock is asked for.
    """

    __slots__ = (
        "__weakref__",
        "_dying",
        "_held",
        "_links",
        "_lock",
        "_monitors",
        "_queue",
        "_releases",
        "_tables",
        "_ticket",
        "_timers",
        "alive",
        "began",
        "clock",
        "face",
        "name",
        "parent",
        "pending",
        "reason",
        "ref",
        "signals",
        "started",
        "stopping",
        "thread",
        "waiting_on",
    )

    ref: pykka.ActorRef[Any]

    def __init__(self) -> None:
        self._queue: SimpleQueue[Envelope[Any]] = SimpleQueue()
        self._held: Envelope[Any] | None = None  # taken from the queue and next in line; owner only
        self._lock = allocate_lock()
        self._dying = False
        self._links: dict[Mailbox, None] = {}
        self._monitors: dict[int, Callable[[Down], object]] = {}
        self._releases: list[Callable[[], object]] = []
        self._tables: dict[Table, None] = {}
        self._timers: list[tuple[float, int, Timer]] = []  # a heap; owner only
        self._ticket = itertools.count()
        self.alive: bool = True
        self.reason: object = None  # as long as nobody has begun to end it
        self.thread: threading.Thread | None = None
        self.parent: Mailbox | None = None
        self.pending: dict[Reply, object] = {}  # answers that somebody waits for, with the messages
        self.signals: deque[ExitSignal] = deque()  # exit signals that the owner has not acted upon
        self.started: Reply = Reply()  # how init ended: True, False (it raised Ignore), or its error
        self.stopping: bool = False  # a stop has been asked for
        # whose answer the owner waits for, and where it will be (None: for the other's end): finds rings of calls
        self.waiting_on: tuple[Mailbox, Reply | None] | None = None
        self.name: Hashable = None  # that it was started with
        self.began: float = 0.0  # when, by its clock
        self.face: Any = None  # what other threads may use of this actor without a message
        self.clock: Clock = SYSTEM_CLOCK

    def __deepcopy__(self, _memo: object) -> Mailbox:
        return self  # a ref inside a message or a state is an identity, not data

    def __str__(self) -> str:
        return str(self.ref)

    def __len__(self) -> int:
        return self._queue.qsize() + (self._held is not None)

    def __bool__(self) -> bool:
        return True

    # -- sending: any thread

    def put(self, envelope: Envelope[Any]) -> None:
        """Deliver an envelope; if the owner is dead, whoever waits for its answer gets an error at once."""
        reply = envelope.reply_to
        if isinstance(reply, Reply):
            reply.mailbox = self
            self.pending[reply] = envelope.message
        if type(envelope.message) in (_ActorStop, StopRequest):
            self.stopping = True
        self._queue.put(envelope)
        if not self.alive:
            self._refuse_all()  # as refuse_if_dead, without a call on the way of every message

    def refuse_if_dead(self) -> None:
        """Fail what waits for an answer if the owner is dead; to be called after something was put where it looks.

        Put first, check second. `die` clears ``alive`` before it empties the queue and the table of pending calls, so
        either it sees what was put, or we see here that it has come by. Pykka checks first, and hangs.
        """
        if not self.alive:
            self._refuse_all()

    def signal(self, signal: ExitSignal) -> None:
        """Deliver an exit signal. It takes its turn in the queue, and lies in `signals` for an owner in a hurry."""
        self.signals.append(signal)
        self._queue.put(Envelope(signal))

    # -- taking: the owner only

    def empty(self) -> bool:
        """Tell whether nothing waits (part of Pykka's inbox protocol)."""
        return self._held is None and self._queue.empty()

    def get(self) -> Envelope[Any]:
        """Wait for the next envelope; a due timer's message comes in one too."""
        if (held := self._held) is not None:
            self._held = None
            return held
        while self._timers:
            due, _, timer = self._timers[0]
            left = due - self.clock.monotonic()
            if left > 0.0 and timer.is_open:
                try:
                    return self._queue.get(timeout=min(left, threading.TIMEOUT_MAX))
                except Empty:
                    continue
            heapq.heappop(self._timers)
            if timer.close():
                return Envelope(timer.message)
        return self._queue.get()

    def take_waiting(self, kind: type) -> list[Envelope[Any]]:
        """Take those of the messages in the queue that come next and are of this kind; does not wait.

        So an owner can deal at once with what waits together. The first of another kind keeps its place, and so does
        all that follows it: nothing overtakes anything.
        """
        taken: list[Envelope[Any]] = []
        while self._held is None and not self._queue.empty():
            try:
                envelope = self._queue.get_nowait()
            except Empty:  # it was for whoever ends the actor meanwhile
                break
            if isinstance(envelope.message, kind):
                taken.append(envelope)
            else:
                self._held = envelope
        return taken

    def set_timer(self, delay: float, message: object) -> Timer:
        """Arrange for a message to the owner after *delay* seconds. No thread, no lock; it ends with its owner."""
        timer = Timer(self.clock, delay, message)
        heapq.heappush(self._timers, (timer.due, next(self._ticket), timer))
        return timer

    def next_due(self) -> float | None:
        """Return when the next timer is due (or was, if it has been cancelled); `None` if there is none."""
        return self._timers[0][0] if self._timers else None

    def move_timer(self, timer: Timer, delay: float) -> None:
        """Have an open timer fire after *delay* seconds from now instead."""
        timer.due = self.clock.monotonic() + delay
        self._timers = [(one.due, ticket, one) for _, ticket, one in self._timers]
        heapq.heapify(self._timers)

    # -- what is to be done at the death: any thread

    def at_death(self, release: Callable[[], object]) -> bool:
        """Keep what its death is to release (a name, a subscription); `False` (and nothing kept) when it is dying."""
        with self._lock:
            if not self._dying:
                self._releases.append(release)
            return not self._dying

    def add_table(self, table: Table) -> bool:
        """Note that the actor owns a table; `False` (and nothing noted) when it is dying."""
        with self._lock:
            if not self._dying:
                self._tables[table] = None
            return not self._dying

    def drop_table(self, table: Table) -> None:
        """Note that the actor no longer owns a table."""
        with self._lock:
            self._tables.pop(table, None)

    def add_link(self, other: Mailbox) -> bool:
        """Keep a link; `False` (and nothing kept) when the actor is dead."""
        with self._lock:
            if self.alive:
                self._links[other] = None
            return self.alive

    def drop_link(self, other: Mailbox) -> None:
        """Forget a link."""
        with self._lock:
            self._links.pop(other, None)

    @property
    def links(self) -> list[Mailbox]:
        """Whom it is linked to, in the order linked."""
        with self._lock:
            return list(self._links)

    def monitor(self, deliver: Callable[[Down], object]) -> int:
        """Call *deliver* with a `Down` when the actor dies, exactly once; at once when it is dead."""
        number = next(monitor_ids)
        with self._lock:
            if self.alive:
                self._monitors[number] = deliver
                return number
        deliver(Down(number, self.ref, self.reason))
        return number

    def demonitor(self, number: int) -> None:
        """Forget a monitor."""
        with self._lock:
            self._monitors.pop(number, None)

    def wait(self, timeout: float | None) -> bool:
        """Wait until the actor is dead and its death announced; return `False` when *timeout* seconds pass before."""
        latch = _threads.allocate_lock()
        latch.acquire()
        number = self.monitor(lambda _down: latch.release())
        if latch.acquire(timeout=-1 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)):
            return True
        self.demonitor(number)
        return False

    # -- death: any thread, exactly once

    def die(self, reason: object) -> bool:
        """Make the actor dead for everybody and announce it; return `False` when it was dead or dying already.

        The order is a promise: tables go to their heirs, then names are free, then those who wait, links and
        monitors hear of it. So whoever hears of a death can take over at once.
        """
        with self._lock:
            if self._dying:
                return False
            self._dying = True  # from here no name and no table is added
            self.reason = reason
            releases, self._releases = self._releases, []
            tables, self._tables = self._tables, {}
        for table in tables:
            self._see_to(table.owner_died, self)
        with self._lock:
            self.alive = False  # from here no link and no monitor is added
            links, self._links = self._links, {}
            monitors, self._monitors = self._monitors, {}
        self.ref.actor_stopped.set()
        pykka.ActorRegistry.unregister(self.ref)
        for release in releases:
            self._see_to(release)
        self._refuse_all()
        for other in links:
            other.drop_link(self)
            other.signal(ExitSignal(self, reason))
        for number, deliver in monitors.items():
            self._see_to(deliver, Down(number, self.ref, reason))
        return True

    def _see_to(self, step: Callable[..., object], *arguments: object) -> None:
        """Do one step of the death; one that fails keeps none of the others from being done."""
        try:
            step(*arguments)
        except Exception as error:  # noqa: BLE001 - logged, and said above why nothing more
            about = fields(server=self, reason=error)
            _log.exception("%s died, and a step of its death failed: %r", self, step, extra=about)

    def kill(self) -> bool:
        """End the actor here and now, whatever its thread is doing; the thread leaves when it next looks around."""
        if self.die(KILLED):
            return True
        self.wait(None)  # another thread is at it: when this returns, too, it is dead for everybody
        return False

    def abandon(self) -> None:
        """Make the actor dead in a child of `os.fork`, where it has no thread, whatever its locks looked like."""
        self._lock = allocate_lock()
        self._dying, self.alive, self.reason = True, False, FORKED
        self.ref.actor_stopped = threading.Event()  # the old one may be locked
        self.ref.actor_stopped.set()

    def _refuse_all(self) -> None:
        # Any thread, any number of times: each envelope leaves the queue once, the first answer to a call wins.
        try:
            while True:
                self._queue.get_nowait()
        except Empty:
            pass
        self._queue.put(WAKE)  # this may have eaten what was to wake the owner
        try:
            while True:
                reply, message = self.pending.popitem()  # atomic: each is answered once
                if type(message) is _ActorStop:
                    reply.set(None)
                else:
                    reply.fail(self.error())
        except KeyError:
            pass

    def error(self) -> BaseException:
        """Return what somebody who waits for the dead actor's answer gets: the error that it crashed with, if any."""
        return self.reason.exception if isinstance(self.reason, Crash) else ActorDead(self.ref, self.reason)

    def dead_error(self) -> ActorDead:
        """Return what somebody who addresses the dead actor gets."""
        error = ActorDead(self.ref, NOPROC if self.reason is None else self.reason)
        if isinstance(self.reason, Crash):
            error.__cause__ = self.reason.exception
        return error


class _Current(threading.local):
    mailbox: Mailbox | None = None


_current = _Current()


def current() -> Mailbox | None:
    """Return the mailbox of the actor in whose thread this is called; `None` in any other thread."""
    return _current.mailbox


def set_current(mailbox: Mailbox | None) -> None:
    """Say, in an actor's thread, whose it is."""
    _current.mailbox = mailbox
