"""What can hardly be beaten: a bare Pykka actor, a bare queue between two threads, a bare loop."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Bare", "actor", "fold", "queue_round_trip"]


class Bare(pykka.ThreadingActor):
    """Answers with what it is asked."""

    use_daemon_thread = True

    def on_receive(self, message: Any) -> Any:
        return message


@contextmanager
def actor(timeout: float | None = None) -> Iterator[Callable[[], Any]]:
    """Give a function that asks a bare Pykka actor, and waits for its answer; so many seconds, or without limit."""
    ref = Bare.start()
    try:
        yield (lambda: ref.ask(1)) if timeout is None else (lambda: ref.ask(1, timeout=timeout))
    finally:
        ref.stop()


@contextmanager
def queue_round_trip() -> Iterator[Callable[[], Any]]:
    """Give a function that sends something to a thread, and waits until it comes back, on two bare queues."""
    there: SimpleQueue[int] = SimpleQueue()
    back: SimpleQueue[int] = SimpleQueue()

    def serve() -> None:
        while message := there.get():
            back.put(message)

    def round_trip() -> None:
        there.put(1)
        back.get()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield round_trip
    finally:
        there.put(0)
        thread.join()


def fold(handler: Callable[[Any, Any], Any], payloads: Iterable[Any], state: Any) -> Any:
    """Apply payloads to a state, with nothing around it."""
    for payload in payloads:
        state = handler(payload, state)
    return state
