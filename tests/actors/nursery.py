"""What the tests of supervision share: workers that write down their lives, and starts that go as the test says."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hume import testing
from hume.actors import ChildSpec, GenServer, Ignore, Stop, Supervisor, kill, stop
from tests.helpers import LIMIT, Gate, ManualClock, eventually, gone, in_thread, waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    import pykka

    from hume.actors import ChildInfo, Reply


class Boom(Exception):
    """What the workers of these tests crash with."""


class Worker(GenServer):
    """Writes down its start and its end, and does what it is told: a call, a cast or a message is a function."""

    def init(self, child_id: Hashable, journal: list[Any], start: Callable[[Worker], object] | None = None) -> None:
        self.id, self.journal = child_id, journal
        if start is not None:
            start(self)
        journal.append(("start", child_id))

    def handle_call(self, message: Callable[[Worker], Any], _from: Reply) -> Any:
        return message(self)

    def handle_info(self, message: Callable[[Worker], Any]) -> None:
        message(self)

    def terminate(self, reason: Any) -> None:
        self.journal.append(("stop", self.id, reason))


class Nursery:
    """Makes the specs of workers that share a journal, and decides how each start of them goes."""

    def __init__(self) -> None:
        self.journal: list[Any] = []
        self.plans: dict[Hashable, list[Any]] = {}  # what the next starts of a child do; then all is well

    def spec(self, child_id: Hashable, **fields: Any) -> ChildSpec:
        """Return the spec of a worker."""
        return ChildSpec(id=child_id, start=functools.partial(self.start, child_id), **fields)

    def specs(self, *ids: Hashable, **fields: Any) -> list[ChildSpec]:
        """Return specs of workers that are alike."""
        return [self.spec(child_id, **fields) for child_id in ids]

    def plan(self, child_id: Hashable, *outcomes: Any) -> None:
        """Say how a child's next starts go: an error is raised, a `Gate` holds, a pair does both; `None` is well."""
        self.plans.setdefault(child_id, []).extend(outcomes)

    def start(self, child_id: Hashable) -> pykka.ActorRef[Any] | None:
        """Start a worker, or whatever the plan says."""
        plans = self.plans.get(child_id)
        ref: pykka.ActorRef[Any] | None = Worker.start_link(
            child_id, self.journal, functools.partial(self._follow, plans.pop(0) if plans else None)
        )
        return ref

    def _follow(self, plan: Any, worker: Worker) -> None:
        if isinstance(plan, tuple):
            for part in plan:
                self._follow(part, worker)
        elif isinstance(plan, Gate):
            plan.hold()
        elif plan is Ignore:
            self.journal.append(("ignore", worker.id))
            raise Ignore
        elif plan is not None:
            self.journal.append(("fail", worker.id))
            raise plan

    def read(self) -> list[Any]:
        """Return what has been written since the last reading."""
        read = self.journal[:]
        del self.journal[: len(read)]
        return read


def refuse(error: BaseException) -> Callable[[Any], None]:
    """Return a message that makes a worker raise."""

    def raise_it(_worker: Any) -> None:
        raise error

    return raise_it


def crash(ref: pykka.ActorRef[Any]) -> None:
    """Make a worker crash, and wait until its supervisor has been told."""
    testing.crash(ref, Boom("told to"), timeout=LIMIT)


def end(ref: pykka.ActorRef[Any], reason: Any) -> None:
    """End a worker by itself: with an exit reason, an error, or a "kill"; its supervisor has then been told."""
    if reason == "kill":
        kill(ref)
    elif isinstance(reason, BaseException):
        GenServer.send(ref, refuse(reason))
    else:
        GenServer.send(ref, refuse(Stop(reason)))
    gone(ref)  # the exit signal is sent before the thread leaves


def children(server: Any) -> dict[Hashable, Any]:
    """Return the ids of a supervisor's children, in order, each with its ref, `None` or "restarting"."""
    return {info.id: info.ref for info in which(server)}


def which(server: Any) -> list[ChildInfo]:
    """Return what `which_children` says, once all that came before has been handled."""
    return Supervisor.which_children(server)


def states(server: Any) -> dict[Hashable, str]:
    """Return for each child whether it is "running", "stopped" or "restarting"."""
    return {
        child_id: ref if isinstance(ref, str) else "stopped" if ref is None else "running"
        for child_id, ref in children(server).items()
    }


def between_two_tries(nursery: Nursery, sup: Any, ref: pykka.ActorRef[Any], *asks: Callable[[], Any]) -> list[Any]:
    """Crash a child whose restart then fails once, and return what *asks* got, in turn, before the next try."""
    child_id = GenServer.call(ref, lambda worker: worker.id)
    with Gate() as gate:
        nursery.plans.setdefault(child_id, []).insert(0, (gate, Boom("the restart")))
        crash(ref)
        gate.wait()  # the supervisor is held in the start that is going to fail
        answers = []
        for ask in asks:
            before = waiting(sup)
            answers.append(in_thread(ask))
            eventually(lambda: waiting(sup) > before)  # noqa: B023 - called at once
    return [answer.exception(LIMIT) or answer.result(LIMIT) for answer in answers]


@contextmanager
def held(nursery: Nursery, sup: Any) -> Iterator[None]:
    """Keep a supervisor busy, so that what happens meanwhile waits in its mailbox."""
    with Gate() as gate:
        nursery.plan("gate", (gate, Ignore))
        holding = in_thread(Supervisor.start_child, sup, nursery.spec("gate", restart="temporary"))
        gate.wait()
        yield
    assert holding.result(LIMIT) is None


def bring_up(cls: type[Any], *args: Any, **options: Any) -> tuple[Any, ManualClock]:
    """Start a supervisor of a class with a clock of its own, which stands still until the test moves it."""
    the_clock = ManualClock()

    class Clocked(cls):  # type: ignore[misc]  # a class as good as the one that was given
        clock = the_clock
        random = staticmethod(lambda: 0.5)  # no jitter

    return Clocked.start(*args, **options), the_clock


def shut_down(server: Any, reason: object = "shutdown") -> None:
    """Stop a supervisor and wait until it is down."""
    stop(server, reason, timeout=LIMIT)
