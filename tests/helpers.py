"""What all tests share: waiting for a thing (never for time), threads held still, actors that show what they get."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar

from hume import telemetry, testing
from hume.actors import GenServer
from hume.actors._mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pykka

    from hume.actors import Reply

LIMIT: Final = 30.0  # seconds that a test waits for what must happen; only a failing test takes so long

T = TypeVar("T")

Gate = testing.Gate
ManualClock = testing.ManualClock


def eventually(predicate: Callable[[], object], timeout: float = LIMIT) -> None:
    """Wait until *predicate* is true; for what tells nobody that it has happened."""
    testing.wait_until(predicate, timeout)


def in_thread(fn: Callable[..., T], *args: Any, **kwargs: Any) -> Future[T]:
    """Run a function in a thread of its own; ``result(LIMIT)`` of the answer returns or raises what it did."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = fn(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must get it
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=f"test-{getattr(fn, '__name__', 'thread')}", daemon=True).start()
    return future


def all_at_once(*fns: Callable[[], T]) -> list[T | BaseException]:
    """Run functions in threads that start together; return their results, or what they raised, in the order given."""
    barrier = threading.Barrier(len(fns))

    def run(fn: Callable[[], T]) -> T:
        barrier.wait(LIMIT)
        return fn()

    futures = [in_thread(run, fn) for fn in fns]
    return [future.exception(LIMIT) or future.result(LIMIT) for future in futures]


def mailbox(ref: pykka.ActorRef[Any] | None) -> Mailbox:
    """Return an actor's mailbox, the record of its life."""
    assert ref is not None
    assert isinstance(ref.actor_inbox, Mailbox)
    return ref.actor_inbox


def thread_of(ref: pykka.ActorRef[Any]) -> threading.Thread:
    """Return an actor's thread, which may have left."""
    thread = mailbox(ref).thread
    assert thread is not None
    return thread


def gone(ref: pykka.ActorRef[Any]) -> None:
    """Wait until an actor is dead and its thread has left, zombies too."""
    thread = thread_of(ref)
    assert ref.actor_stopped.wait(LIMIT), f"{ref} is still alive"
    thread.join(LIMIT)
    assert not thread.is_alive(), f"the thread of {ref} is still there"


def waiting(ref: pykka.ActorRef[Any]) -> int:
    """Return how many messages wait in an actor's mailbox."""
    return len(mailbox(ref))


def exit_reason(ref: pykka.ActorRef[Any]) -> Any:
    """Wait until an actor is dead, and return why."""
    gone(ref)
    return mailbox(ref).reason


class Probe(GenServer):
    """An actor that does what it is told, see `do`, and puts what it gets where the test sees it.

    ``Probe.start(seen, trap_exit=True)``: *seen* is a ``SimpleQueue`` that gets every plain message, and each cast as
    ``("cast", message)``; ``("terminate", reason)`` at the end.
    """

    def init(self, seen: SimpleQueue[Any] | None = None, *, trap_exit: bool = False) -> None:
        self.trap_exit = trap_exit
        self.seen: SimpleQueue[Any] = SimpleQueue() if seen is None else seen

    def handle_call(self, message: Callable[[Probe], Any], _from: Reply) -> Any:
        return message(self)

    def handle_cast(self, message: Any) -> None:
        if callable(message):
            message(self)
        else:
            self.seen.put(("cast", message))

    def handle_info(self, message: Any) -> None:
        self.seen.put(message)

    def terminate(self, reason: Any) -> None:
        self.seen.put(("terminate", reason))


def do(ref: pykka.ActorRef[Any], fn: Callable[[Any], T], timeout: float = LIMIT) -> T:
    """Run ``fn(actor)`` in a `Probe`'s thread and return its result; what it raises ends the probe."""
    result: T = GenServer.call(ref, fn, timeout=timeout)
    return result


def next_of(seen: SimpleQueue[Any]) -> Any:
    """Wait for the next thing that a probe saw."""
    return seen.get(timeout=LIMIT)


def drained(seen: SimpleQueue[Any]) -> list[Any]:
    """Return what a probe has seen so far and nobody has asked for."""
    return [seen.get_nowait() for _ in range(seen.qsize())]


@contextmanager
def telemetry_of(
    *event_names: tuple[str, ...],
) -> Iterator[SimpleQueue[tuple[Any, Mapping[str, Any], Mapping[str, Any]]]]:
    """Collect ``(event_name, measurements, metadata)`` of each such event in a queue."""
    events: SimpleQueue[tuple[Any, Mapping[str, Any], Mapping[str, Any]]] = SimpleQueue()
    ids = [object() for _ in event_names]
    for handler_id, event_name in zip(ids, event_names, strict=True):
        telemetry.attach(handler_id, event_name, lambda *facts: events.put(facts[:3]))
    try:
        yield events
    finally:
        for handler_id in ids:
            telemetry.detach(handler_id)
