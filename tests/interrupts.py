"""A program that is interrupted at any moment, as by Ctrl-C at a prompt, while it reads and publishes."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import hume
from hume.stores import SQLiteEventStore
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


def reads_and_publishes() -> None:
    STORE.start_link()
    ref = hume.start(Collected, stream="s")
    works: tuple[Callable[[], object], ...] = (
        lambda: hume.state(ref, dirty=True),
        lambda: hume.publish(STORE, "s", 1),
    )
    for number in range(400):
        until_interrupted(works[number % 2], 0.0002 + 0.000_003 * number)
    hume.publish(STORE, "s", "last")
    assert hume.snapshot(ref, timeout=30.0).seq == resolve(STORE).last_seq("s")
    hume.publish(STORE, "s", "told")
    wait_until(lambda: hume.snapshot(ref, dirty=True).seq == resolve(STORE).last_seq("s"), 30.0)


def appends_to_a_file(path: str, others: int) -> None:
    """Append and read, alone or while others do: nobody hangs, and the log is whole."""
    store: Any = resolve(SQLiteEventStore.start_link(path, durability="normal"))
    done = threading.Event()
    counts = [0] * others

    def append(number: int) -> None:
        while not done.is_set():
            counts[number] = store.append(f"s{number}", [1])

    threads = [threading.Thread(target=append, args=(number,)) for number in range(others)]
    for thread in threads:
        thread.start()
    works: tuple[Callable[[], object], ...] = (lambda: store.append("s", [1]), lambda: store.last_seq("s"))
    for number in range(1200):
        until_interrupted(works[number % 4 == 3], 0.0002 + 0.000_003 * (number % 400))
    done.set()
    for thread in threads:
        thread.join(30.0)
        assert not thread.is_alive()
    with ThreadPoolExecutor() as pool:
        pool.submit(store.append, "last", [1]).result(30.0)
    assert [store.last_seq(f"s{number}") for number in range(others)] == counts
    assert [event.position for event in store.all_events()] == list(range(1, store.last_position() + 1))
    assert [event.seq for event in store.events("s")] == list(range(1, store.last_seq("s") + 1))


def main() -> None:
    signal.signal(signal.SIGALRM, interrupt)
    if len(sys.argv) == 1:
        reads_and_publishes()
    else:
        appends_to_a_file(sys.argv[1], int(sys.argv[2]))
    print("all is well")  # noqa: T201 - for the test that runs this


if __name__ == "__main__":
    main()
