"""A scheduler that lets one actor run at a time, in an order of the test's choice: races are found, and found again.

Each actor keeps its thread, but of all of them one runs: whoever has the baton. The test hands it to an actor, and gets
it back as soon as that one waits, for its next message or, in the middle of a callback, for somebody else. The other
way would be to have no threads, and to run the callbacks on the test's own stack. But there a callback that waits lies
below all that runs until its answer is there: of two that wait, the one that began earlier could never go on before the
other has ended, and it is in such orders that races are. A thread is used here as other languages use a coroutine: a
stack that can be left wherever it waits.

No two threads touch anything at once: all that is below, and all that the actors share, is used by whoever has the
baton, and it is handed on by locks. A thread of somebody's own has no part in it: it runs and waits as it always does.
"""

from __future__ import annotations

import random
import threading
import time
from _thread import allocate_lock
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

import pykka

from hume import _bus
from hume.actors import _threads
from hume.actors._application import stop_actors, stop_application
from hume.actors._gen_server import GenServer
from hume.actors._mailbox import Mailbox
from hume.actors._registry import Server, any_mailbox_of
from hume.actors._supervisor_core import SupervisorCore
from hume.errors import HumeError
from hume.testing._clock import ManualClock
from hume.testing._leaks import application_in_use
from hume.testing._strand import NEVER, Lock, Strand, never

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykka._envelope import Envelope

__all__ = ["Deadlock", "Scheduler"]

_TEST: Final = "test"  # the name of the test's own thread, where it is one of those that may go on
_PATIENCE: Final = 30.0  # seconds of real time that an actor may run; only one that waits for what we can't see does
_LAST_WORDS: Final = 100  # times that an actor which is abandoned may try to wait all the same


class Deadlock(AssertionError):
    """The test waits, nobody can go on, and no time that passes would help; or there is no end to it."""


class Scheduler:
    """Actors that are started within run only when the test lets them, one at a time, a message at a time.

    A *step* takes one actor to where it next waits. So it handles one message, if no callback waits for anybody; else
    the rest of it is another step, which is possible when what it waits for is there. `init` runs at once, in `start`.
    Wherever the test itself waits (a call, `hume.state`, `stop`, `wait_until`) actors make steps until it need not.

    Who makes the next step is up to *choose*. It gets the names of those who can, and returns one of them; a name is
    ``"Inventory#2"`` for the second ``Inventory`` that was started. A choice may be made by Hypothesis, which finds the
    order in which something fails, and reduces it to the simplest::

        @given(st.data())
        def test_transfers_add_up(data):
            with Scheduler(lambda names: data.draw(st.sampled_from(names))):
                ...

    or at random (``choose=random.Random(seed).choice``). The steps that were made are in `history`; with
    ``replay=history`` the same test does the same again. What is done without waiting can't be interrupted, but where
    it calls `pause`, from which, if it is the test that calls, the one to go on may be ``"test"``.

    Time stands still, for timers and for timeouts, as long as anybody can go on. Where the test waits and nobody can,
    it goes on by itself to the next moment at which somebody has something to do; ``clock.advance(seconds)`` moves it.
    Leaving the ``with`` stops all actors in order; after an error in it they are killed.

    Args:
        choose: default: who has waited for the longest time.
        replay: the history of another run; where it ends, *choose* goes on.
        max_steps: how many there may be in all.

    Raises:
        TypeError: *choose* can't be called.
        Deadlock: (wherever the test waits) nobody can go on, or not after *max_steps* steps.
        HumeError: (on entering) actors run already, with threads that are not the scheduler's.

    Example::

        with Scheduler() as scheduler:
            hume.EventStoreActor.start_link()
            ref = hume.start_link(Inventory, stream="warehouse")
            scheduler.run()
            hume.publish(hume.EventStoreActor, "warehouse", ("add", "lamp", 1))
            assert scheduler.waiting() == [ref]
            assert hume.state(ref, dirty=True) == {}
            scheduler.step(ref)
            assert hume.state(ref, dirty=True) == {"lamp": 1}

    What does not wait for an actor is part of the step that does it: an append, a write to a file, a ``time.sleep``. A
    plain Pykka actor takes part if a supervisor of Hume has started it; else it keeps its thread, as do threads of the
    test's own. What goes by the system's clock all the same, such as a `SQLiteEventStore`'s looks for what other
    processes wrote, does not happen.
    """

    def __init__(
        self,
        choose: Callable[[Sequence[str]], str] | None = None,
        *,
        replay: Sequence[str] = (),
        max_steps: int = 10_000,
    ) -> None:
        if choose is not None and not callable(choose):
            msg = f"choose must be a function that returns one of the names it gets, not {choose!r}"
            raise TypeError(f"{msg}; a history is given as replay=" if isinstance(choose, list) else msg)
        self.history: list[str] = []  # who made each step
        self.clock: ManualClock = _Clock(self)
        self._choose, self._replay, self._max_steps = choose, tuple(replay), max_steps
        self._strands: dict[str, Strand] = {}  # by name, in the order started
        self._started: Counter[str] = Counter()  # of each class
        self._latest: dict[str, int] = {}  # the number of each one's latest step
        self._count = 0  # of steps, and of times that the time went on
        self._baton = allocate_lock()  # the test waits for it
        self._baton.acquire()
        self._running: Strand | None = None  # who has the baton, if not the test
        self._home: int | None = None  # the test's thread, while the scheduler is in force
        self._is_closing = False
        self._replaced: list[tuple[Any, str, Any]] = []

    # -- for the test

    def waiting(self) -> list[pykka.ActorRef[Any]]:
        """Return the actors that could make a step now, in the order in which they were started."""
        return [self._strands[name].mailbox.ref for name in self._ready()]

    def step(self, server: Server) -> None:
        """Have one actor make a step.

        Raises:
            ValueError: it can't: it has no message, waits for somebody, or is dead.
        """
        self._check_home()
        name = self._name_of(any_mailbox_of(server))
        if name not in self._ready():
            strand = self._strands.get(name)
            why = "is dead" if strand is None else strand.plight()
            msg = f"{name} can't make a step, it {why}; those who can are {self._ready()}"
            raise ValueError(msg)
        self._resume(name)

    def run(self, steps: int | None = None) -> None:
        """Have actors make steps, *steps* at most, until none can without more time."""
        self._check_home()
        while (steps is None or steps > 0) and (ready := self._ready()):
            self._resume(self._pick(ready))
            steps = None if steps is None else steps - 1

    def pause(self) -> None:
        """Let others go on here, if they are chosen; for what is called by an actor, or by the test.

        What does not wait is one step, such as an append with the hints that follow. A store of the test's own that
        pauses takes it apart.
        """
        me = self._me()
        if me is not None:
            me.wait(lambda: True, never)
        elif self._home == threading.get_ident() and not self._is_closing:
            while (name := self._pick([*self._ready(), _TEST])) != _TEST:
                self._resume(name)
            self._note(_TEST)

    def __enter__(self) -> Self:
        if self._is_closing:
            msg = "a scheduler is used once; make another one, with replay=history to do the same again"
            raise HumeError(msg)
        _refuse_running_actors()
        self._home = threading.get_ident()
        self._replace(_threads, "allocate_lock", lambda: Lock(self))
        self._replace(_threads, "monotonic", self.clock.monotonic)
        self._replace(_threads, "sleep", self._sleep)
        self._replace(_threads, "start", self._start)
        self._replace(_threads, "receiver", self._receiver)
        self._replace(GenServer, "clock", self.clock)
        self._replace(SupervisorCore, "random", staticmethod(random.Random(0).random))  # noqa: S311 - no secret
        self._replace(_bus, "_CROWD", NEVER)  # no crowd is told by another thread
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._is_closing = True
        try:
            if kind is None:
                stop_actors()
        finally:
            try:
                self._end_all()
            finally:
                while self._replaced:
                    setattr(*self._replaced.pop())
                self._home = None

    # -- who is next

    def _check_home(self) -> None:
        if self._home != threading.get_ident():
            msg = "a scheduler is for the thread that has entered it, between entering and leaving"
            raise HumeError(msg)

    def _ready(self) -> list[str]:
        return [name for name, strand in self._strands.items() if strand.is_ready()]

    def _pick(self, names: list[str]) -> str:
        done = len(self.history)
        if done < len(self._replay) and not self._is_closing:
            name = self._replay[done]
        elif self._choose is None or self._is_closing:
            name = self._longest_waiting(names)
        else:
            name = names[0] if len(names) == 1 else self._choose(names)
        if name not in names:
            msg = f"step {done + 1} can't be made by {name!r}; those who can are {names}"
            raise ValueError(msg)
        return name

    def _longest_waiting(self, names: Sequence[str]) -> str:
        return min(names, key=lambda name: self._latest.get(name, 0))

    def _note(self, name: str) -> None:
        self._tick()
        self._latest[name] = self._count
        if not self._is_closing:
            self.history.append(name)

    def _tick(self) -> None:
        self._count += 1
        if self._count > self._max_steps:
            msg = f"no end after {self._max_steps} steps (see max_steps), the last of which were {self.history[-10:]}"
            raise Deadlock(msg)

    def _resume(self, name: str) -> None:
        """Have an actor make a step; after it, those that it has started run their init."""
        self._note(name)
        self._hand_to(self._strands[name])
        self._begin_new()

    def _begin_new(self) -> None:
        while new := [strand for strand in self._strands.values() if not strand.has_begun]:
            self._hand_to(new[0])

    def _hand_to(self, strand: Strand) -> None:
        self._running, strand.has_begun = strand, True
        strand.go.release()
        if not self._baton.acquire(timeout=_PATIENCE):
            msg = f"{strand.name} has been running for {_PATIENCE} s; the scheduler sees only what waits for actors"
            raise Deadlock(msg)
        self._running = None
        if strand.has_ended:
            del self._strands[strand.name]

    # -- waiting

    def _me(self) -> Strand | None:
        thread = threading.current_thread()
        return thread if isinstance(thread, Strand) and thread.scheduler is self else None

    def _sees_me(self) -> bool:
        """Tell whether the calling thread is the test's, or an actor's of this scheduler, while it is in force."""
        return self._home is not None and (self._home == threading.get_ident() or self._me() is not None)

    def _wait(self, until: Callable[[], bool], moment: Callable[[], float]) -> None:
        """Let others go on until something is true, or the time has come. It may be no longer true then."""
        me = self._me()
        if me is not None:
            me.wait(until, moment)
            return
        while not until():
            if ready := self._ready():
                self._resume(self._pick(ready))
            elif moment() <= self.clock.monotonic():
                return
            else:
                self._let_time_pass(moment())

    def _let_time_pass(self, limit: float) -> None:
        self._tick()
        due = min(limit, self._next_moment())
        if due == NEVER:
            plights = [f"{name} {strand.plight()}" for name, strand in self._strands.items() if not strand.is_idle]
            msg = f"the test waits, and nobody can go on: {'; '.join(plights) or 'no actor has a message'}"
            raise Deadlock(msg)
        self.clock._reach(due)

    def _next_moment(self) -> float:
        """Return when somebody can go on because time has passed."""
        return min((strand.moment() for strand in self._strands.values()), default=NEVER)

    # -- what stands in for what actors run on

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self._replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def _name_of(self, mailbox: Mailbox) -> str:
        thread = mailbox.thread
        return thread.name if isinstance(thread, Strand) else str(mailbox)

    def _start(self, mailbox: Mailbox, run: Callable[[], None], _name: str, *, daemon: bool) -> None:
        of_class = mailbox.ref.actor_class.__name__
        self._started[of_class] += 1
        strand = mailbox.thread = Strand(self, f"{of_class}#{self._started[of_class]}", mailbox, run)
        strand.start()
        self._strands[strand.name] = strand
        if self._home == threading.get_ident():
            self._begin_new()  # else when the starter has begun to wait for it

    def _sleep(self, seconds: float) -> None:
        if not self._sees_me():
            time.sleep(seconds)
            return
        end = self.clock.monotonic() + seconds
        self._wait(lambda: False, lambda: end)

    def _receiver(self, mailbox: Mailbox, get: Callable[[], Envelope[Any]]) -> Callable[[], Envelope[Any]]:
        me = self._me()
        return get if me is None else lambda: me.receive(mailbox, get)

    def _end_all(self) -> None:
        """Kill who is still there, and take what is left of their threads out of whatever they wait for."""
        strands = list(reversed(self._strands.values()))
        for strand in strands:
            strand.mailbox.kill()
            strand.is_abandoned = True
        for strand in strands:
            if self._running is not None:  # one that has not come back: the others need not wait for it
                with suppress(RuntimeError):  # that one may be just about to begin
                    strand.go.release()
            for _ in range(_LAST_WORDS):
                if self._running is None and not strand.has_ended:
                    self._hand_to(strand)
        stop_application()  # for what the dead have left to the heir


class _Clock(ManualClock):
    """The scheduler's time."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    def _pass(self, end: float, timeout: float) -> None:
        self._scheduler.run()
        while (due := self._scheduler._next_moment()) <= end:
            self._reach(due)
            self._scheduler.run()
        self._reach(end)
        self._scheduler.run()


def _refuse_running_actors() -> None:
    running = [ref for ref in pykka.ActorRegistry.get_all() if isinstance(ref.actor_inbox, Mailbox)]
    if not application_in_use():
        stop_application()
        running = [ref for ref in running if ref.is_alive()]
    if running:
        names = ", ".join(map(str, running))
        msg = f"actors run already, with threads that no scheduler steps: {names}; start them within the `with`"
        raise HumeError(msg)
    if isinstance(GenServer.clock, ManualClock):
        msg = "a clock is in force already; a scheduler has one of its own: its attribute clock"
        raise HumeError(msg)
