"""Telemetry of floor 2: what each event says; nothing is built for nobody."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import telemetry
from tests.helpers import LIMIT, drained, gone, telemetry_of
from tests.samples import STORE, Collected, Total, failing

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

MINE = {
    ("hume", "projection", name)
    for name in ("init", "catch_up", "caught_up", "snapshot", "unknown_event", "evolve", "replay")
} | {("hume", "store", "append")}


class Loose(Collected, strict=False):
    def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
        return None if payload == "what?" else super().handle_event(payload, state)


@pytest.fixture(autouse=True)
def store() -> Any:
    return STORE.start_link()


def use_everything() -> Any:
    hume.publish_many(STORE, "s", ["a", "what?"])
    ref = hume.start_link(Loose, stream="s", projection="p")
    hume.state(ref)
    hume.take_snapshot(ref)
    hume.replay(Total, None, [(1, 1), (2, 1)])
    hume.evolve(Total, (5, 1), None)
    return ref


def one_of(events: list[Any], name: str) -> list[Any]:
    return [(measurements, metadata) for (_, _, last), measurements, metadata in events if last == name]


def test_the_events_say_what_happened() -> None:
    with telemetry_of(*MINE) as queue:
        use_everything()
        events = drained(queue)
    about = {"projection": "p", "stream": "s", "class": Loose}
    (((_, init_about),), ((measured, catch_up_about),)) = one_of(events, "init"), one_of(events, "catch_up")
    assert init_about == about
    assert (measured["events"], catch_up_about) == (2, {**about, "seq": 2})
    assert one_of(events, "caught_up") == [({"seq": 2}, about)]
    assert one_of(events, "unknown_event") == [({"seq": 2}, {**about, "payload": "what?"})]
    (((measured, snapshot_about),)) = one_of(events, "snapshot")
    assert (measured["seq"], snapshot_about) == (2, {**about, "error": None})
    assert one_of(events, "append") == [({"events": 2, "seq": 2}, {"store": hume.whereis(STORE), "stream": "s"})]
    (((measured, replay_about),)) = one_of(events, "replay")
    assert (measured["events"], replay_about) == (2, {"projection": Total, "seq": 2})
    (((_, evolve_about),)) = one_of(events, "evolve")
    assert evolve_about == {"projection": Total, "seq": 5}


def test_a_snapshot_that_failed_says_with_what_error() -> None:
    error = OSError("disk full")

    class Full(Collected):
        def persist_snapshot(self, projection: Hashable, snapshot: Any) -> None:
            raise error

    with telemetry_of(("hume", "projection", "snapshot")) as queue:
        ref = hume.start_link(Full, stream="s")
        with pytest.raises(OSError, match="disk full"):
            hume.take_snapshot(ref)
        assert [metadata["error"] for _, _, metadata in drained(queue)] == [error]


def test_a_catch_up_that_fails_says_how_far_it_came() -> None:
    with telemetry_of(("hume", "projection", "catch_up")) as queue:
        hume.publish_many(STORE, "s", ["a", "b", failing(ZeroDivisionError())])
        gone(hume.start_link(Collected, stream="s"))
        ((_, measurements, metadata),) = drained(queue)
    assert (measurements["events"], metadata["seq"]) == (2, 2)


def test_a_refused_append_and_a_look_that_finds_nothing_are_no_events() -> None:
    ref = hume.start_link(Collected, stream="s")
    hume.state(ref)
    with telemetry_of(*MINE) as queue:
        with pytest.raises(hume.UnexpectedSequence):
            hume.publish(STORE, "s", "a", expect_seq=5)
        hume.catch_up(ref)
        hume.query(ref, len)
        assert drained(queue) == []


def test_a_handler_that_raises_is_detached_and_disturbs_nobody() -> None:
    calls: SimpleQueue[object] = SimpleQueue()

    def bad(name: Any, measurements: Mapping[str, Any], metadata: Mapping[str, Any], config: Any) -> None:
        calls.put(name)
        raise RuntimeError

    for number, name in enumerate(MINE):
        telemetry.attach(number, name, bad)
    ref = use_everything()
    hume.publish(STORE, "s", "b")
    assert hume.state(ref) == ["a", "b"]
    assert hume.status(ref).errors == 0
    assert {calls.get(timeout=LIMIT) for _ in MINE} == MINE
    assert calls.empty()
    assert not any(map(telemetry.attached, MINE))


def test_a_handler_may_look_at_the_projection_without_standing_in_its_own_way() -> None:
    seen = []

    def look(name: Any, measurements: Any, metadata: Any, config: Any) -> None:
        with pytest.raises(hume.CallingSelf):
            hume.state("n", dirty=True)
        seen.append(hume.status("n").seq)

    telemetry.attach("look", ("hume", "projection", "unknown_event"), look)
    hume.start_link(Loose, stream="s", name="n")
    hume.publish_many(STORE, "s", ["a", "what?"])
    assert hume.state("n") == ["a"]
    telemetry.detach("look")
    assert len(seen) == 1


def test_with_nobody_attached_nothing_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def record(name: Any, *_: Any) -> None:
        built.append(name)

    monkeypatch.setattr(telemetry, "execute", record)
    use_everything()
    assert [name for name in built if name in MINE] == []
