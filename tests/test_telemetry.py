"""Telemetry: attach, detach, execute; and the catalogue of events."""

from __future__ import annotations

import ast
import functools
import logging
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import telemetry
from hume.errors import TelemetryError
from hume.telemetry import EVENTS
from tests.helpers import LIMIT, Gate, Probe, all_at_once, do, in_thread, mailbox, next_of, telemetry_of

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT = ("test", "happened")
OTHER = ("test", "other")


@pytest.fixture(autouse=True)
def no_handlers() -> Iterator[None]:
    """Detach what a test attached to its own events."""
    yield
    for event in (EVENT, OTHER, telemetry.HANDLER_FAILED):
        for handler in telemetry._handlers.get(event, ()):
            telemetry.detach(handler.id)


def fail(*_: object) -> None:
    msg = "handler"
    raise ValueError(msg)


def test_a_handler_gets_the_event_the_measurements_the_metadata_and_its_config() -> None:
    """E1: fn(event_name, measurements, metadata, config), at every such event from now on."""
    got: list[Any] = []
    telemetry.execute(EVENT, {"n": 0}, {})
    telemetry.attach("id", EVENT, lambda *facts: got.append(facts), {"my": "config"})
    telemetry.execute(EVENT, {"n": 1}, {"about": "this"})
    telemetry.execute(OTHER, {"n": 2}, {})
    telemetry.execute(EVENT, {"n": 3}, {})
    assert got == [(EVENT, {"n": 1}, {"about": "this"}, {"my": "config"}), (EVENT, {"n": 3}, {}, {"my": "config"})]


def test_a_known_handler_id_is_refused() -> None:
    """E1: attach of a known handler id is refused, for whichever event, and nothing is changed."""
    got: list[str] = []
    telemetry.attach(("any", "hashable"), EVENT, lambda *_: got.append("first"))
    for event in (EVENT, OTHER):
        with pytest.raises(TelemetryError, match=r"\('any', 'hashable'\) is attached already; detach it first"):
            telemetry.attach(("any", "hashable"), event, lambda *_: got.append("second"))
        telemetry.execute(event, {}, {})
    assert got == ["first"]


def test_an_unknown_handler_id_can_not_be_detached() -> None:
    """E1: detach of an unknown one is refused too; a detached one is unknown, and may be attached again."""
    with pytest.raises(TelemetryError, match="'id' is not attached"):
        telemetry.detach("id")
    telemetry.attach("id", EVENT, fail)
    telemetry.detach("id")
    telemetry.execute(EVENT, {}, {})
    with pytest.raises(TelemetryError):
        telemetry.detach("id")
    telemetry.attach("id", OTHER, fail)
    telemetry.detach("id")


def test_handlers_run_in_the_order_attached() -> None:
    """E1: also after one in the middle was detached and attached again: then it is last."""
    got: list[int] = []
    for number in range(5):
        telemetry.attach(number, EVENT, lambda *facts: got.append(facts[3]), number)
    telemetry.detach(2)
    telemetry.attach(2, EVENT, lambda *facts: got.append(facts[3]), 2)
    telemetry.execute(EVENT, {}, {})
    assert got == [0, 1, 3, 4, 2]


def test_handlers_run_in_the_thread_that_executes_the_event() -> None:
    """E1: here and now, in that thread."""
    threads: list[threading.Thread] = []
    telemetry.attach("id", EVENT, lambda *_: threads.append(threading.current_thread()))
    ref = Probe.start()
    do(ref, lambda _: telemetry.execute(EVENT, {}, {}))
    telemetry.execute(EVENT, {}, {})
    assert threads == [mailbox(ref).thread, threading.current_thread()]


def test_a_handler_that_raises_is_detached_logged_reported_and_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """E1: it is detached, which is logged and itself an event; the other handlers and the code go on."""
    got: list[str] = []
    telemetry.attach("good", EVENT, lambda *_: got.append("good"))
    telemetry.attach("bad", EVENT, fail)
    telemetry.attach("last", EVENT, lambda *_: got.append("last"))
    with telemetry_of(telemetry.HANDLER_FAILED) as failures:
        telemetry.execute(EVENT, {}, {})
        telemetry.execute(EVENT, {}, {})
        (event, measurements, metadata) = next_of(failures)
        assert failures.empty()
    assert got == ["good", "last"] * 2
    assert (event, measurements) == (("hume", "telemetry", "handler_failed"), {})
    assert (metadata["handler_id"], metadata["event"]) == ("bad", EVENT)
    assert isinstance(metadata["error"], ValueError)
    (record,) = (record for record in caplog.records if record.levelno >= logging.ERROR)
    assert "'bad' failed" in record.getMessage()
    assert record.exc_info is not None
    telemetry.attach("bad", EVENT, lambda *_: None)  # its id is free again


def test_a_handler_of_failures_that_fails_is_detached_without_end() -> None:
    """E1: a failure in reporting a failure is logged and reported no further."""
    telemetry.attach("reporter", telemetry.HANDLER_FAILED, fail)
    telemetry.attach("bad", EVENT, fail)
    telemetry.execute(EVENT, {}, {})
    assert not telemetry.attached(EVENT)
    assert not telemetry.attached(telemetry.HANDLER_FAILED)


def test_of_several_threads_in_a_failing_handler_one_reports_it() -> None:
    """E1: one log record and one event, however many threads were in it."""
    gates = [Gate(), Gate()]

    def fail_together(*_: object) -> None:
        gates[threading.current_thread() is not first].hold()
        fail()

    telemetry.attach("bad", EVENT, fail_together)
    with telemetry_of(telemetry.HANDLER_FAILED) as failures:
        first: Any = None
        runs = [in_thread(telemetry.execute, EVENT, {}, {}) for _ in range(2)]
        gates[1].wait()
        gates[1].open()
        assert [run.result(LIMIT) for run in runs] == [None, None]
        assert failures.qsize() == 1


def test_attached_tells_whether_anybody_listens() -> None:
    """E1: so that nothing is built for nobody."""
    assert not telemetry.attached(EVENT)
    telemetry.attach("id", EVENT, fail)
    assert telemetry.attached(EVENT)
    assert not telemetry.attached(OTHER)
    telemetry.detach("id")
    assert not telemetry.attached(EVENT)


def test_a_handler_may_attach_and_detach() -> None:
    """E1: no lock is held while handlers run; what one changes counts from the next event on."""
    got: list[str] = []

    def once(*_: object) -> None:
        got.append("once")
        telemetry.detach("once")
        telemetry.attach("next", EVENT, lambda *_: got.append("next"))

    telemetry.attach("once", EVENT, once)
    telemetry.execute(EVENT, {}, {})
    telemetry.execute(EVENT, {}, {})
    assert got == ["once", "next"]


@pytest.mark.usefixtures("fast_switching")
def test_threads_that_attach_detach_and_execute_at_once_lose_nothing() -> None:
    """E1: a handler that stays gets every event, whatever comes and goes beside it."""
    counted: SimpleQueue[None] = SimpleQueue()
    telemetry.attach("stays", EVENT, lambda *_: counted.put(None))

    def come_and_go(name: str) -> None:
        for _ in range(3000):
            telemetry.attach(name, EVENT, lambda *_: None)
            telemetry.detach(name)
            telemetry.execute(EVENT, {}, {})

    assert all_at_once(*(functools.partial(come_and_go, name) for name in "abc")) == [None] * 3
    assert counted.qsize() == 9000


@pytest.mark.usefixtures("fast_switching")
def test_of_two_that_attach_one_id_at_once_one_wins() -> None:
    """E1: and the other is refused."""
    for _ in range(100):
        outcomes = all_at_once(*(functools.partial(telemetry.attach, "id", event, fail) for event in (EVENT, OTHER)))
        assert [type(outcome) for outcome in outcomes if outcome is not None] == [TelemetryError]
        telemetry.detach("id")


@pytest.mark.parametrize("event", ["hume.store", ["a", "list"], ("hume", 1), None])
def test_a_bad_event_name_is_refused(event: Any) -> None:
    """E1: at the call, with an example of a good one."""
    with pytest.raises(TypeError, match="must be a tuple of strings such as"):
        telemetry.attach("id", event, fail)


def test_a_handler_that_can_not_be_called_is_refused() -> None:
    """E1: at the call, not at the first event."""
    with pytest.raises(TypeError, match="must be callable as"):
        telemetry.attach("id", EVENT, "print")  # type: ignore[arg-type]


# -- the catalogue


def test_every_event_that_the_source_names_is_in_the_catalogue_and_the_other_way_round() -> None:
    """E1: the catalogue is complete, and nothing in it is made up; what comes with each is checked where it happens."""
    written = set()
    for path in Path(hume.__file__).parent.rglob("*.py"):
        if path.name == "_events.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple) and all(isinstance(part, ast.Constant) for part in node.elts):
                name = tuple(part.value for part in node.elts if isinstance(part, ast.Constant))
                if name[:1] == ("hume",):
                    written.add(name)
    assert written == set(EVENTS)


def test_the_catalogue_has_the_names_that_were_promised() -> None:
    promised = {
        "projection": "init catch_up snapshot evolve replay caught_up unknown_event",
        "heir": "received sent not_found",
        "store": "append",
        "supervisor": "restart give_up",
    }
    assert set(EVENTS) >= {("hume", part, name) for part, names in promised.items() for name in names.split()}


def test_each_entry_of_the_catalogue_says_when_and_with_what() -> None:
    for name, event in EVENTS.items():
        assert event.name == name
        assert event.when
        assert all(event.measurements.values())
        assert all(event.metadata.values())


def test_the_catalogue_can_not_be_changed() -> None:
    with pytest.raises(TypeError):
        EVENTS["my", "own"] = EVENTS["hume", "store", "append"]  # type: ignore[index]  # just that
    with pytest.raises(AttributeError):
        EVENTS["hume", "store", "append"].name = ("my", "own")  # type: ignore[misc]  # just that
