"""The log: every line says in fields what it is about; one line for each crash, one for each restart."""

from __future__ import annotations

import ast
import dataclasses
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import hume
from hume import telemetry
from hume.actors import HeirActor, Table
from tests.helpers import Gate, Probe, do, eventually, gone, mailbox
from tests.samples import STORE, Collected, PairStore, Shelf, failing
from tests.stores.files import change

if TYPE_CHECKING:
    from collections.abc import Callable

FIELDS = set(re.findall(r"^``(hume_\w+)``", telemetry.__doc__ or "", re.MULTILINE))
BOOM = ValueError("boom")


def boom(*_: object) -> Any:
    raise BOOM


class Bad(Collected):
    def persist_snapshot(self, projection: Any, snapshot: Any) -> None:
        raise BOOM


class Untidy(Probe):
    def terminate(self, reason: Any) -> None:
        raise BOOM


def unexpected_cast() -> None:
    hume.GenServer.cast(ref := hume.GenServer.start(name="a"), "what?")
    hume.stop(ref)


def unexpected_message() -> None:
    (ref := hume.GenServer.start(name="a")).tell("what?")
    hume.stop(ref)


def unexpected_call() -> None:
    with pytest.raises(TypeError):
        hume.GenServer.call(hume.GenServer.start(name="a"), "what?")


def crash() -> None:
    with pytest.raises(ValueError, match="boom"):
        do(Probe.start(name="a"), boom)


def odd_stop() -> None:
    hume.stop(Probe.start(name="a"), "a whim")


def bad_end() -> None:
    hume.stop(Untidy.start(name="a"))


def bad_monitor() -> None:
    mailbox(ref := Probe.start(name="a")).monitor(boom)
    hume.kill(ref)


def inherited() -> None:
    do(ref := Probe.start(), lambda _: Table("rows", heir=HeirActor))
    hume.kill(ref)


def poison() -> None:
    hume.publish_many(STORE, "s", ["a", failing(BOOM)])
    gone(hume.start(Collected, stream="s", projection="p", name="a"))


def unsaved() -> None:
    ref = hume.start(Bad, stream="s", projection="p", name="a")
    hume.publish(STORE, "s", "x")
    with pytest.raises(ValueError, match="boom"):
        hume.take_snapshot(ref)


def skipped() -> None:
    class Loose(hume.Projection[int], store=STORE, strict=False):
        def init_state(self, projection: Any) -> int:
            return 0

        @hume.handles(int)
        def number(self, event: int, state: int) -> int:
            return state + event

    hume.publish_many(STORE, "s", [1, "what?"])
    hume.state(hume.start(Loose, stream="s", projection="p", name="a"))


def start_with(snapshot: hume.Snapshot[Any]) -> Any:
    shelf = Shelf()
    shelf.kept["p"] = snapshot
    hume.publish_many(STORE, "s", ["x", "y"])
    return hume.start(Collected, stream="s", projection="p", name="a", snapshots=shelf)


def other_version() -> None:
    start_with(hume.Snapshot(1, ["x"], "p", 99))


def ahead() -> None:
    start_with(hume.Snapshot(7, ["x"], "p", 1))


def another_log() -> None:
    store = PairStore()
    store.append("s", ["x", "y"])
    hume.state(ref := hume.start(Collected, stream="s", projection="p", name="a", store=store))
    store.logs.clear()
    hume.state(ref)


def store_down() -> None:
    store = PairStore()
    hume.state(ref := hume.start(Collected, stream="s", projection="p", name="a", store=store))
    store.down = True
    with pytest.raises(hume.ActorDead):
        hume.query(ref, len)
    store.down = False


CHILD_SPEC = dataclasses.replace(Probe.child_spec(name="c"), id="c")


def supervised(child: Any, **options: Any) -> Any:
    return hume.Supervisor.start([child], name="a", **options)


def ended() -> None:
    supervised(dataclasses.replace(CHILD_SPEC, restart="temporary"))
    hume.kill("c")
    hume.Supervisor.which_children("a")


def restarted() -> None:
    supervised(CHILD_SPEC)
    hume.kill("c")
    hume.Supervisor.which_children("a")


def given_up() -> None:
    ref = supervised(CHILD_SPEC, max_restarts=0)
    hume.kill("c")
    gone(ref)


def overdue() -> None:
    with Gate() as gate:

        class Stubborn(Probe):
            def terminate(self, reason: Any) -> None:
                gate.hold()

        supervised(dataclasses.replace(Stubborn.child_spec(name="c"), shutdown=0.01))
        hume.stop("a")


class Once(Probe):
    started = False

    def init(self, *args: Any, **kwargs: Any) -> None:
        if Once.started:
            raise BOOM
        Once.started = True
        super().init(*args, **kwargs)


def not_restarted() -> None:
    Once.started = False
    ref = supervised(dataclasses.replace(Once.child_spec(name="c"), id="c"), max_restarts=1)
    hume.kill("c")
    gone(ref)


def bad_listener() -> None:
    telemetry.attach("listener", ("hume", "store", "append"), boom)
    hume.publish(STORE, "s", 1)


class Line(NamedTuple):
    logger: str
    level: int
    message: str  # how it goes on after the actor's name, if there is one
    fields: dict[str, Any]


SERVER: dict[str, Any] = {"hume_server": ...}
PROJECTION = {**SERVER, "hume_projection": "p", "hume_stream": "s"}
CHILD = {**SERVER, "hume_child": "c"}
FAILED = {"hume_reason": "ValueError('boom')"}
CRASHED = {"hume_reason": "crashed with ValueError('boom')"}
KILLED = {"hume_reason": "killed"}

LINES: dict[Callable[[], None], Line] = {
    unexpected_cast: Line("hume.actors", logging.WARNING, "got an unexpected cast: 'what?'", SERVER),
    unexpected_message: Line("hume.actors", logging.WARNING, "got an unexpected message: 'what?'", SERVER),
    unexpected_call: Line("hume.actors", logging.WARNING, "got an unexpected call: 'what?'", SERVER),
    crash: Line("hume.actors", logging.ERROR, "crashed; last message: ", {**SERVER, **CRASHED}),
    odd_stop: Line("hume.actors", logging.ERROR, "stops: a whim; ", {**SERVER, "hume_reason": "a whim"}),
    bad_end: Line("hume.actors", logging.ERROR, "failed in terminate", {**SERVER, **CRASHED}),
    bad_monitor: Line("hume.actors", logging.ERROR, "died, and a step of its death failed: ", {**SERVER, **FAILED}),
    inherited: Line("hume.actors.heir", logging.DEBUG, "inherited table 'rows' from", {**SERVER, "hume_table": "rows"}),
    poison: Line("hume.actors", logging.ERROR, "crashed; last message: ", {**PROJECTION, **CRASHED, "hume_seq": 2}),
    unsaved: Line(
        "hume.projection", logging.WARNING, "persist_snapshot failed: ", {**PROJECTION, **FAILED, "hume_seq": 1}
    ),
    skipped: Line("hume.projection", logging.WARNING, "skips event 2: ", {**SERVER, "hume_stream": "s", "hume_seq": 2}),
    other_version: Line("hume.projection", logging.WARNING, "ignores a snapshot of ", {**PROJECTION, "hume_seq": 0}),
    ahead: Line("hume.projection", logging.WARNING, "ignores a snapshot at 7, ahead", {**PROJECTION, "hume_seq": 0}),
    another_log: Line("hume.projection", logging.WARNING, "starts over: ", {**PROJECTION, "hume_seq": 2}),
    store_down: Line(
        "hume.projection",
        logging.WARNING,
        "can't read its store, and tries again: ",
        {**PROJECTION, "hume_seq": 0, "hume_reason": ...},
    ),
    ended: Line("hume.actors.supervisor", logging.DEBUG, "child 'c' ended: killed", {**CHILD, **KILLED}),
    restarted: Line(
        "hume.actors.supervisor",
        logging.WARNING,
        "restarts child 'c' now (killed), restart 1",
        {**CHILD, **KILLED, "hume_restarts": 1, "hume_delay": 0.0},
    ),
    given_up: Line(
        "hume.actors.supervisor",
        logging.ERROR,
        "gives up on child 'c' (killed) after 0 restarts",
        {**CHILD, **KILLED, "hume_restarts": 0},
    ),
    overdue: Line("hume.actors", logging.WARNING, "did not stop in time, and was killed", {**SERVER, **KILLED}),
    not_restarted: Line("hume.actors.supervisor", logging.WARNING, "child 'c' failed to start: ", {**CHILD, **FAILED}),
    bad_listener: Line(
        "hume.telemetry",
        logging.ERROR,
        "telemetry handler 'listener' failed at ('hume', 'store', 'append') and is detached",
        {"hume_handler": "listener", "hume_event": "hume.store.append", **FAILED},
    ),
}


@pytest.fixture(autouse=True)
def store() -> Any:
    return STORE.start_link()


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name.startswith("hume_")}


@pytest.mark.parametrize("happen", LINES, ids=lambda happen: happen.__name__)
def test_a_line_says_in_fields_what_it_is_about(happen: Callable[[], None], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "hume")
    line = LINES[happen]
    happen()
    eventually(lambda: any(line.message in record.getMessage() for record in caplog.records))
    (record,) = (record for record in caplog.records if line.message in record.getMessage())
    found = fields_of(record)
    assert (record.name, record.levelno, found) == (
        line.logger,
        line.level,
        {name: found.get(name) if value is ... else value for name, value in line.fields.items()},
    )
    assert all(isinstance(value, str | int | float) for value in found.values())
    assert set(found) <= FIELDS
    if "hume_server" in found:
        assert record.getMessage().startswith(found["hume_server"])


def test_what_a_store_in_a_file_can_not_do_is_a_line_with_the_store(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.db"
    hume.stores.SQLiteEventStore.start_link(path, name="file")
    change(path, "DROP TABLE events")
    with pytest.raises(hume.StorageFailed):
        hume.publish("file", "s", 1)
    hume.stop("file")
    record = next(record for record in caplog.records if record.name == "hume.stores")
    assert set(fields_of(record)) == {"hume_server", "hume_reason"}
    assert re.match(r"SQLiteEventStore 'file' \(\S+\): .*events.db: can't ", record.getMessage())


def test_every_field_in_the_docstring_is_there() -> None:
    assert {field for line in LINES.values() for field in line.fields} == FIELDS


def test_every_line_of_the_log_has_fields() -> None:
    """The lines in the table above are not all that there may be one day."""
    for path in Path(hume.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("_log."):
                assert "extra" in {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"


def test_a_crash_is_one_line_with_the_traceback_and_its_restart_is_another(caplog: pytest.LogCaptureFixture) -> None:
    hume.Supervisor.start_link([(Collected, {"stream": "s", "projection": "p", "name": "c"})], name="supervisor")
    first = hume.whereis("c")
    assert first is not None
    hume.publish(STORE, "s", failing(BOOM))
    gone(first)
    hume.Supervisor.which_children("supervisor")
    crashed, restarted = caplog.records[:2]
    assert (crashed.name, crashed.exc_info is not None) == ("hume.actors", True)
    assert (restarted.name, restarted.exc_info) == ("hume.actors.supervisor", None)
    assert fields_of(crashed)["hume_reason"] == fields_of(restarted)["hume_reason"]
    assert "was handling event 1 of stream 's'" in caplog.text
