"""What may come between two steps of a projection's life, put there on purpose: each of these has gone wrong once."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume.actors import GenServer, Table, kill, stop, stop_application, whereis
from hume.actors._calls import await_start
from hume.stores import _event_store
from hume.stores._event_store import resolve
from tests.helpers import LIMIT, Gate, eventually, gone, in_thread, next_of
from tests.samples import STORE, Collected, doing

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from hume.actors._mailbox import Mailbox


ROOT = Path(__file__).parent.parent


class Untimed(Collected, snapshot_after=None, catch_up_after=86_400.0):
    """Does nothing because time has passed."""


@pytest.fixture(autouse=True)
def store() -> Iterator[Any]:
    yield STORE.start_link()
    stop_application()


def boxed(ref: Any) -> Mailbox:
    mailbox: Mailbox = ref.actor_inbox
    return mailbox


# -- exit signals during a catch-up


@pytest.mark.parametrize("ask", ["query", "proxy", "take_snapshot", "state"])
@pytest.mark.parametrize("trap_exit", [False, True], ids=["not trapping", "trapping"])
def test_an_exit_signal_that_ends_nothing_leaves_nobody_unanswered(ask: str, trap_exit: bool) -> None:
    """A call that has begun to catch up goes on, when an actor to which the projection is linked ends normally."""

    class Here(Untimed):
        def on_init(self, projection: Hashable) -> None:
            self.trap_exit = trap_exit
            self.link(other)

    other = GenServer.start()
    ref = Here.start(stream="s")
    assert hume.state(ref) == []
    asks: dict[str, Any] = {
        "query": lambda: hume.query(ref, len, timeout=LIMIT),
        "proxy": lambda: ref.proxy().length().get(timeout=LIMIT),
        "take_snapshot": lambda: hume.take_snapshot(ref, timeout=LIMIT).seq,
        "state": lambda: len(hume.state(ref, timeout=LIMIT)),
    }
    with Gate() as gate:
        # without a hint, and more than one page
        resolve(STORE).append("s", [doing(gate.hold), *range(1999)])
        answer = in_thread(asks[ask])
        gate.wait()  # it is the call that catches up
        stop(other)
    assert answer.result(LIMIT) == 2000


# -- kills


def test_a_killed_projection_does_not_say_that_it_has_caught_up() -> None:
    announced: SimpleQueue[tuple[int, int]] = SimpleQueue()

    class Here(Untimed):
        def on_caught_up(self, snapshot: hume.Snapshot[list[Any]]) -> None:
            announced.put((threading.get_ident(), snapshot.seq))

    with Gate() as gate:
        first_time = iter([gate.hold])

        def hold_once() -> None:
            next(first_time, int)()  # int(): nothing

        hume.publish(STORE, "s", doing(hold_once))
        killed = Here.start(stream="s")
        zombie = boxed(killed).thread
        gate.wait()
        kill(killed)
        successor = Here.start(stream="s")
        assert hume.state(successor) == ["done"]
    gone(killed)
    assert zombie is not None
    assert next_of(announced)[0] != zombie.ident
    assert announced.empty()


def test_whoever_sees_that_an_actor_is_dead_can_take_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when he sees it before the thread that ends it has come to the names."""
    first = GenServer.start(name="name")
    unregister = pykka.ActorRegistry.unregister

    def held(ref: Any) -> None:  # a step between "it is dead" and "its names are free"
        unregister(ref)
        if ref is first:
            gate.hold()

    monkeypatch.setattr(pykka.ActorRegistry, "unregister", held)
    with Gate() as gate:
        killed = in_thread(kill, first)
        gate.wait()
        assert not first.is_alive()
        second = GenServer.start(name="name")
    assert killed.result(LIMIT)
    assert whereis("name") is second


def test_when_kill_returns_the_actor_is_dead_for_everybody_also_when_another_thread_kills_it() -> None:
    ref = STORE.start(name="another")
    table = Table.whereis(("hume", "logs", "another"))
    assert table is not None
    with table.lock:  # the other killer waits here, in the middle of it
        first = in_thread(kill, ref)
        eventually(lambda: boxed(ref)._dying)
        second = in_thread(lambda: (kill(ref), whereis("another"), ref.is_alive()))
        assert ref.is_alive()
    assert second.result(LIMIT) == (False, None, False)
    assert first.result(LIMIT)


def test_an_actor_that_is_killed_by_its_name_before_it_has_begun_is_in_no_registry() -> None:
    class Here(GenServer):
        inits = 0

        def _claim_names(self, name: Hashable) -> None:
            super()._claim_names(name)
            gate.hold()

        def init(self) -> None:
            Here.inits += 1

    with Gate() as gate:
        started = in_thread(Here.start, name="early")
        gate.wait()
        assert kill("early")
    assert isinstance(started.exception(LIMIT), hume.ActorDead)
    assert pykka.ActorRegistry.get_by_class(Here) == []
    assert Here.inits == 0


# -- stores


def test_a_projection_that_meets_its_store_in_the_middle_of_its_start_does_not_start_over() -> None:
    class Store(hume.EventStoreActor):
        def init(self, name: Hashable) -> None:
            gate.hold()
            super().init(name)

    with Gate() as gate:
        gate.open()
        Store.start()
        ref = Untimed.start(stream="s", store=Store)
        hume.publish_many(Store, "s", [1, 2, 3])
        assert hume.state(ref) == [1, 2, 3]
        kill(Store)
    with Gate() as gate:
        starting = in_thread(Store.start)
        gate.wait()  # it has its name, and not yet its logs
        hume.catch_up(ref)
        published = in_thread(hume.publish, Store, "s", 4)
        called = in_thread(hume.state, ref, at_least=4, timeout=LIMIT)
    starting.result(LIMIT)
    assert published.result(LIMIT) == 4
    assert called.result(LIMIT) == [1, 2, 3, 4]
    assert hume.status(ref).events_applied == 4


def test_a_store_that_takes_its_time_to_start_does_not_end_its_projections(monkeypatch: pytest.MonkeyPatch) -> None:
    class Store(hume.EventStoreActor):
        def init(self, name: Hashable) -> None:
            gate.hold()
            super().init(name)

    with Gate() as gate:
        gate.open()
        Store.start()
        ref = Collected.start(stream="s", store=Store)
        hume.publish(Store, "s", 1)
        assert hume.state(ref) == [1]
        kill(Store)
    with Gate() as gate, monkeypatch.context() as impatient:
        impatient.setattr(_event_store, "await_start", functools.partial(await_start, timeout=0.0))
        starting = in_thread(Store.start)
        gate.wait()
        hume.catch_up(ref)
        eventually(lambda: hume.status(ref).last_error)
    starting.result(LIMIT)
    assert isinstance(hume.status(ref).last_error, hume.Timeout)
    hume.publish(Store, "s", 2)
    assert hume.state(ref) == [1, 2]


def test_a_call_to_a_projection_that_is_starting_waits_for_it() -> None:
    class Here(Untimed):
        def last_snapshot(self, projection: Hashable) -> None:
            gate.hold()

    hume.publish(STORE, "s", 1)
    with Gate() as gate:
        starting = in_thread(Here.start, stream="s", name="here")
        gate.wait()
        reads = [in_thread(hume.state, "here", timeout=LIMIT), in_thread(hume.query, "here", list, timeout=LIMIT)]
    assert [read.result(LIMIT) for read in reads] == [[1], [1]]
    assert hume.status(starting.result(LIMIT)).seq == 1


# -- readers


@pytest.mark.parametrize("dirty", [True, False], ids=["dirty", "at least"])
def test_a_reader_never_sees_a_state_that_a_handler_is_changing(dirty: bool) -> None:
    ref = Untimed.start(stream="s")
    hume.publish(STORE, "s", "before")
    assert hume.state(ref) == ["before"]
    with Gate() as gate:

        def in_two_steps(state: list[Any]) -> None:
            state.append("one half")
            gate.hold()
            state.append("the other half")

        hume.publish(STORE, "s", in_two_steps)
        gate.wait()
        # what is there at once: number 1 is reached, and number 2 is in hand
        read = in_thread(hume.snapshot, ref, dirty=dirty, at_least=None if dirty else 1, timeout=LIMIT)
        eventually(lambda: boxed(ref).face.waiting)
        assert not read.done()
    assert read.result(LIMIT) == hume.Snapshot(2, ["before", "one half", "the other half"])


class Impatient(BaseException):
    """What a signal's handler raises, as Ctrl-C does."""


def test_a_reader_who_is_interrupted_while_he_waits_leaves_the_projection_free() -> None:
    main = threading.main_thread()
    assert threading.current_thread() is main

    def interrupt(*_: object) -> None:
        raise Impatient

    ref = Untimed.start(stream="s")
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with Gate() as gate:
            hume.publish(STORE, "s", doing(gate.hold))
            gate.wait()

            def press_ctrl_c() -> None:
                eventually(lambda: boxed(ref).face.waiting)
                signal.pthread_kill(main.ident or 0, signal.SIGINT)

            pressed = in_thread(press_ctrl_c)
            with pytest.raises(Impatient):
                hume.state(ref, dirty=True, timeout=None)
            pressed.result(LIMIT)
    finally:
        signal.signal(signal.SIGINT, before)
    hume.publish_many(STORE, "s", list(range(100)))
    assert hume.state(ref) == ["done", *range(100)]
    assert hume.state(ref, dirty=True) == ["done", *range(100)]


@pytest.mark.parametrize("arguments", ["", "events.db 0", "events.db 5", ":memory: 0", ":memory: 5"])
def test_interrupts_at_any_moment_leave_nobody_waiting_and_all_logs_whole(arguments: str, tmp_path: Path) -> None:
    """In a process of its own: an interrupt may leave a lock of what measures the coverage taken, too."""
    command = [sys.executable, "-W", "error", "-m", "tests.interrupts", *arguments.split()]
    done = subprocess.run(  # noqa: S603 - ours
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done.stderr
