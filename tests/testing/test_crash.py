"""Ending actors on purpose, and waiting for what follows."""

from __future__ import annotations

import functools
import logging
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume.actors import Crash, GenServer, Supervisor, application, whereis
from hume.testing import Gate, crash, kill, wait_until
from tests.helpers import LIMIT, Probe, do, drained, exit_reason, gone, in_thread, mailbox, next_of, waiting
from tests.samples import STORE, Shelf, Total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BOOM = ValueError("boom")


class Plain(pykka.ThreadingActor):
    """Pykka's own."""

    use_daemon_thread = True

    def __init__(self, seen: list[Any]) -> None:
        super().__init__()
        self.seen = seen

    def on_receive(self, message: Any) -> None:
        self.seen.append(message)

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.seen.append(exception_value)


# -- crash


def test_a_server_crashes_after_what_was_sent_before_and_everybody_is_told() -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    watched: SimpleQueue[Any] = SimpleQueue()
    ref, watcher = Probe.start(seen), Probe.start(watched)
    do(watcher, lambda probe: probe.monitor(ref))
    with Gate() as gate:
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        GenServer.cast(ref, "before")
        caller = in_thread(GenServer.call, ref, lambda _: "never", timeout=LIMIT)
        crashed = in_thread(crash, ref, BOOM, timeout=LIMIT)
        wait_until(lambda: waiting(ref) == 3, LIMIT)
    assert crashed.result(LIMIT) is True
    assert drained(seen)[0] == ("cast", "before")
    assert exit_reason(ref) == Crash(BOOM)
    assert next_of(watched).reason == Crash(BOOM)
    assert caller.exception(LIMIT) in (None, BOOM)  # it came before the crash, or after it


def test_a_crash_runs_terminate_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    with caplog.at_level(logging.ERROR, "hume.actors"):
        assert crash(ref)
    (reason,) = [what[1] for what in drained(seen)]
    assert isinstance(reason.exception, RuntimeError)
    assert "hume.testing.crash" in str(reason.exception)
    assert "crashed" in caplog.text


def test_a_projection_crashes_without_a_snapshot_and_its_store_need_not_answer() -> None:
    STORE.start_link()
    shelf = Shelf()
    ref = hume.start(Total, stream="s", name="total", snapshots=shelf)
    hume.publish(STORE, "s", 5)
    assert hume.state("total") == 5
    kill(STORE)
    assert crash("total", BOOM)
    assert shelf.saved == []
    assert exit_reason(ref) == Crash(BOOM)


def test_who_waits_for_a_projection_gets_the_error() -> None:
    STORE.start_link()
    ref = hume.start(Total, stream="s")
    readers = [in_thread(hume.state, ref, at_least=99, timeout=LIMIT) for _ in range(3)]
    wait_until(lambda: len(mailbox(ref).pending) == 3, LIMIT)
    assert crash(ref, BOOM)
    assert [reader.exception(LIMIT) for reader in readers] == [BOOM] * 3


def test_a_store_crashes_and_has_its_events_when_it_is_restarted() -> None:
    Supervisor.start_link([hume.EventStoreActor])
    hume.publish(STORE, "s", 5)
    before = whereis(STORE)
    assert crash(STORE)
    wait_until(lambda: whereis(STORE) not in {None, before}, LIMIT)
    assert hume.publish(STORE, "s", 6) == 2


def test_a_supervisor_crashes_and_stops_its_children() -> None:
    sup = Supervisor.start([STORE])
    store = whereis(STORE)
    assert store is not None
    assert crash(sup, BOOM)
    assert exit_reason(store) == "shutdown"
    assert exit_reason(sup) == Crash(BOOM)


def test_a_plain_pykka_actor_crashes() -> None:
    seen: list[Any] = []
    ref = Plain.start(seen)
    ref.tell("before")
    assert crash(ref, BOOM)
    assert not ref.is_alive()
    wait_until(lambda: seen == ["before", BOOM], LIMIT)
    assert not crash(ref)


def test_a_plain_pykka_actor_under_a_supervisor_crashes() -> None:
    seen: list[Any] = []
    sup = Supervisor.start([(Plain, {"seen": seen})])
    (before,) = [child.ref for child in Supervisor.which_children(sup)]
    assert isinstance(before, pykka.ActorRef)
    assert crash(before.proxy(), BOOM)
    assert exit_reason(before) == Crash(BOOM)
    assert seen == [BOOM]
    wait_until(lambda: Supervisor.which_children(sup)[0].ref not in {before, None}, LIMIT)


def test_it_says_whether_it_was_what_ended_the_actor() -> None:
    ref = Probe.start()
    assert kill(ref)
    assert not crash(ref)
    other = Probe.start()
    assert crash(other)
    assert not kill(other)
    poisoned = Probe.start()
    with Gate() as gate:
        GenServer.cast(poisoned, lambda _: gate.hold())
        gate.wait()
        GenServer.cast(poisoned, lambda _: 1 / 0)
        crashed = in_thread(crash, poisoned, timeout=LIMIT)
        wait_until(lambda: waiting(poisoned) == 2, LIMIT)
    assert crashed.result(LIMIT) is False


def test_an_error_that_is_no_exception_of_a_program_is_a_crash_as_any_other() -> None:
    error, ref = SystemExit(3), Probe.start()
    assert crash(ref, error)
    assert exit_reason(ref) == Crash(error)


def test_a_busy_actor_crashes_later_which_a_timeout_says() -> None:
    ref = Probe.start()
    with Gate() as gate:
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        with pytest.raises(hume.Timeout, match=r"busy for 0.0 seconds; it will crash"):
            crash(ref, BOOM, timeout=0.0)
    assert exit_reason(ref) == Crash(BOOM)


def test_an_actor_cannot_wait_for_its_own_crash() -> None:
    ref = Probe.start()

    def act(probe: Probe) -> None:
        with pytest.raises(hume.CallingSelf):
            crash(probe.actor_ref)

    do(ref, act)


def test_nobody_of_that_name_and_an_error_that_is_none_are_refused() -> None:
    with pytest.raises(hume.ActorDead):
        crash("nobody")
    with pytest.raises(TypeError, match="error must be an exception, such as"):
        crash(application(), "boom")  # type: ignore[arg-type]


# -- wait_until


def test_wait_until_returns_what_its_predicate_returned() -> None:
    values: Iterator[Any] = iter([0, None, [], "there"])
    assert wait_until(lambda: next(values), LIMIT) == "there"


def test_wait_until_goes_on_while_its_predicate_raises() -> None:
    assert wait_until(lambda: hume.ref("late").is_alive() or Probe.start(name="late"), LIMIT)
    calls: list[int] = []

    def third_time() -> bool:
        calls.append(1)
        if len(calls) < 3:
            raise hume.ActorDead("x")
        return True

    assert wait_until(third_time, timeout=None)


def named() -> bool:
    return False


class Later:
    def __call__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<later>"


SIX = 6


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        (lambda: SIX == 7, "SIX == 7 did not come true within 0.0 seconds: it returned False last"),
        (
            lambda: (
                SIX  # more than a line
                < 5
            ),
            "SIX  # more than a line < 5 did not come true within 0.0 seconds: it returned False last",
        ),
        (lambda: [*""], '[*""] did not come true within 0.0 seconds: it returned [] last'),
        (lambda: 1 / 0, "1 / 0 did not come true within 0.0 seconds: it raised ZeroDivisionError('division by zero') "),
        (lambda: "ä☃".isascii() or not SIX, '"ä☃".isascii() or not SIX did not come true'),
        (named, "named did not come true within 0.0 seconds"),
        (Later(), "<later> did not come true within 0.0 seconds"),
        (functools.partial(int, 0), "functools.partial(<class 'int'>, 0) did not come true"),
        (eval("lambda: SIX == 7"), "<function <lambda> at"),  # noqa: S307 - a function whose source is nowhere
    ],
)
def test_a_wait_in_vain_says_what_was_waited_for_and_what_there_was(
    predicate: Callable[[], object], message: str
) -> None:
    with pytest.raises(AssertionError) as caught:
        wait_until(predicate, timeout=0.0)
    assert str(caught.value).startswith(message)


def test_a_wait_in_vain_has_the_last_error_as_its_cause() -> None:
    error, nothing = KeyError("there"), dict[str, int]()
    with pytest.raises(AssertionError) as caught:
        wait_until(functools.partial(nothing.__getitem__, "there"), timeout=0.0)
    assert repr(caught.value.__cause__) == repr(error)


@pytest.mark.parametrize("arguments", [(3,), (named, -1), (named, "soon")])
def test_a_wait_for_what_is_no_function_or_for_no_time_is_refused(arguments: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"predicate must be|timeout must be"):
        wait_until(*arguments)


def test_a_killed_actor_is_gone() -> None:
    ref = Probe.start()
    assert kill(ref)
    gone(ref)
