"""A whole application, listened to: what it executes is what the catalogue says, and all that the catalogue says."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import telemetry
from hume.actors import HeirActor, Table
from tests.helpers import LIMIT, Probe, do, gone
from tests.samples import STORE, Collected, Total, failing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Executed = tuple[telemetry.EventName, "Mapping[str, Any]", "Mapping[str, Any]"]


class Loose(Collected, strict=False, snapshot_every=1):
    def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
        return None if payload == "what?" else super().handle_event(payload, state)


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleQueue[Executed]]:
    """Whatever is executed, under any name, as if somebody listened to each."""
    seen: SimpleQueue[Executed] = SimpleQueue()
    execute = telemetry.execute

    def record(name: telemetry.EventName, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        seen.put((name, measurements, metadata))
        execute(name, measurements, metadata)

    monkeypatch.setattr(telemetry, "execute", record)
    for name in telemetry.EVENTS:  # so that `attached` is true of each
        telemetry.attach(("listener", name), name, lambda *_: None)
    yield seen
    for name in telemetry.EVENTS:
        telemetry.detach(("listener", name))


def live_and_die(path: Path) -> None:
    """Start, publish, export, import, read, skip, save, crash, restart, hand over, give up."""
    database = hume.stores.SQLiteEventStore.start_link(path / "events.db")
    hume.publish_many(database, "s", ["a"])
    hume.export_events(database, path / "export")
    hume.import_events(path / "export", hume.stores.SQLiteEventStore.start_link(path / "copy.db", name="copy"))
    children = [(STORE, {}), (Loose, {"stream": "s", "name": "loose"})]
    supervisor = hume.Supervisor.start(children, max_restarts=1, name="supervisor")
    hume.publish_many(STORE, "s", ["a", "what?", "b"])
    assert hume.state("loose") == ["a", "b"]
    telemetry.poll()
    hume.take_snapshot("loose")
    first = hume.whereis("loose")
    assert first is not None
    hume.publish(STORE, "s", failing(ValueError("poison")))
    gone(first)
    hume.replay(Total, None, [(1, 1), (2, 1)])
    hume.evolve(Total, (1, 1), None)
    hume.kill(STORE)
    hume.Supervisor.which_children(supervisor)  # answers when it has restarted it
    hume.kill(STORE)
    gone(supervisor)


def fail(*_: object) -> None:
    msg = "handler"
    raise ValueError(msg)


def test_what_an_application_executes_is_what_the_catalogue_says(
    executed: SimpleQueue[Executed], tmp_path: Path
) -> None:
    live_and_die(tmp_path)
    owner = Probe.start()
    do(owner, lambda _: Table("rows", heir=HeirActor))
    hume.kill(owner)
    do(Probe.start(), lambda _: HeirActor.take("rows"))
    telemetry.attach("bad", ("test",), fail)
    telemetry.execute(("test",), {}, {})
    seen: set[telemetry.EventName] = set()
    while seen != set(telemetry.EVENTS) or not executed.empty():
        try:
            name, measurements, metadata = executed.get(timeout=LIMIT)
        except Empty:
            break
        if name != ("test",):
            event = telemetry.EVENTS[name]
            assert (name, set(measurements), set(metadata)) == (name, set(event.measurements), set(event.metadata))
            assert all(isinstance(value, int | float) and value >= 0 for value in measurements.values())
            seen.add(name)
    assert seen == set(telemetry.EVENTS)
