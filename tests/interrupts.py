"""A program that is interrupted at any moment, as by Ctrl-C at a prompt, while it reads and publishes."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hume
from hume.stores._event_store import resolve
from hume.testing import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

STORE = hume.EventStoreActor


class Impatient(Exception):
    """What a signal's handler raises, as Ctrl-C does."""


class Collected(hume.Projection[list[Any]], store=STORE, catch_up_after=3600.0, snapshot_after=None):
    def init_state(self, projection: Any) -> list[Any]:
        return []

    def handle_event(self, event: Any, state: list[Any]) -> list[Any]:
        return [*state[-5:], event]


interrupted = False


def interrupt(*_: object) -> None:
    global interrupted  # noqa: PLW0603 - a signal has nobody to tell
    interrupted = True
    raise Impatient


def do_it(fn: Callable[[], object]) -> None:
    while not interrupted:  # one that comes while Python deletes an object is swallowed
        fn()


def until_interrupted(fn: Callable[[], object], delay: float) -> None:
    global interrupted  # noqa: PLW0603 - as above
    interrupted = False
    with suppress(Impatient):  # not around the loop itself: in CPython 3.13 its end is in no `with`
        signal.setitimer(signal.ITIMER_REAL, delay)
        do_it(fn)


def main() -> None:
    STORE.start_link()
    ref = hume.start(Collected, stream="s")
    works: tuple[Callable[[], object], ...] = (
        lambda: hume.state(ref, dirty=True),
        lambda: hume.publish(STORE, "s", 1),
    )
    signal.signal(signal.SIGALRM, interrupt)
    for number in range(400):
        until_interrupted(works[number % 2], 0.0002 + 0.000_003 * number)
    hume.publish(STORE, "s", "last")
    assert hume.snapshot(ref, timeout=30.0).seq == resolve(STORE).last_seq("s")
    hume.publish(STORE, "s", "told")
    wait_until(lambda: hume.snapshot(ref, dirty=True).seq == resolve(STORE).last_seq("s"), 30.0)
    print("all is well")  # noqa: T201 - for the test that runs this


if __name__ == "__main__":
    main()
