"""Starts and stops: what comes in pairs, what a listener may add; stores and handlers do the same with one."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import telemetry
from tests.helpers import Gate, drained, gone, telemetry_of
from tests.samples import STORE, Collected, PairStore, Total, doing, failing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PUBLISH = ("hume", "publish", "start"), ("hume", "publish", "stop")
HANDLE = ("hume", "projection", "handle_event", "start"), ("hume", "projection", "handle_event", "stop")
LAG = ("hume", "projection", "lag")


@pytest.fixture(autouse=True)
def store() -> Any:
    return STORE.start_link()


@contextmanager
def adding(**fields: Any) -> Iterator[list[Any]]:
    """Add metadata to whatever is published; yields the carriers as they came."""
    came = []

    def add(_name: Any, _measurements: Any, metadata: Any, _config: Any) -> None:
        came.append(None if metadata["carrier"] is None else dict(metadata["carrier"]))
        if metadata["carrier"] is not None:
            metadata["carrier"].update(fields)

    telemetry.attach("adding", PUBLISH[0], add)
    yield came
    telemetry.detach("adding")


def recorded(stream: str) -> list[hume.Event]:
    ref = hume.whereis(STORE)
    assert ref is not None
    return list(ref.proxy().events(stream).get())


def test_a_listener_may_add_to_the_metadata_of_what_is_published_and_the_publisher_wins() -> None:
    with adding(a="listener's", b="listener's") as came:
        hume.publish(STORE, "s", 1, metadata={"a": "publisher's", "c": 3})
        hume.publish_many(STORE, "s", [2, 3])
    hume.publish(STORE, "s", 4)
    added = {"a": "listener's", "b": "listener's"}
    assert [event.metadata for event in recorded("s")] == [{**added, "a": "publisher's", "c": 3}, added, added, {}]
    assert came == [{"a": "publisher's", "c": 3}, {}]


def test_what_a_projection_publishes_says_where_it_comes_from_also_with_a_listeners_metadata() -> None:
    def publish_on() -> None:
        hume.publish(STORE, "next", "b")

    with adding(trace="t"):
        hume.publish(STORE, "s", doing(publish_on))
        hume.state(hume.start_link(Collected, stream="s"))
    (cause,), (event,) = recorded("s"), recorded("next")
    assert event.metadata == {"trace": "t", "correlation_id": cause.id, "causation_id": cause.id}


class WithMetadata(PairStore):
    def __init__(self) -> None:
        super().__init__()
        self.metadata: list[Any] = []

    def append(self, stream: Any, payloads: Any, expect_seq: int | None = None, **more: Any) -> int:
        self.metadata.append(more)
        return super().append(stream, payloads, expect_seq)


def test_a_store_of_ones_own_gets_a_listeners_metadata_if_it_takes_any() -> None:
    plain, rich = PairStore(), WithMetadata()
    with adding(a=1) as came:
        assert (hume.publish(plain, "s", "a"), hume.publish(rich, "s", "a")) == (1, 1)
        with pytest.raises(TypeError, match="metadata"):
            hume.publish(plain, "s", "b", metadata={"the": "publisher's"})
    assert came == [None, {}, None]
    assert rich.metadata == [{"metadata": {"a": 1}}]
    assert plain.logs == {"s": ["a"]}


class Remote(hume.GenServer):
    """A store that is an actor and lets nobody run its methods elsewhere."""

    def init(self) -> None:
        self.log: list[Any] = []

    def append(self, stream: Any, payloads: Any, expect_seq: int | None = None, *, metadata: Any = None) -> int:
        self.log += [(payload, metadata) for payload in payloads]
        return len(self.log)

    def events(self, stream: Any, after: int = 0, limit: int | None = None) -> list[Any]:
        return [(seq, payload) for seq, (payload, _) in enumerate(self.log, 1)][after:][:limit]

    def last_seq(self, stream: Any) -> int:
        return len(self.log)


def test_an_actor_that_is_a_store_gets_a_listeners_metadata_if_it_takes_any() -> None:
    ref = Remote.start()
    with adding(a=1):
        hume.publish(ref, "s", "x")
    assert ref.proxy().log.get() == [("x", {"a": 1})]


def test_bad_metadata_is_refused_as_it_is_without_a_listener() -> None:
    with adding(a=1), pytest.raises(TypeError, match="metadata must be a mapping or None, not 5"):
        hume.publish(STORE, "s", 1, metadata=5)  # type: ignore[arg-type]  # just that
    assert recorded("s") == []


def test_the_start_and_the_stop_of_a_publish_have_one_span_in_common() -> None:
    with telemetry_of(*PUBLISH) as events:
        hume.publish_many(STORE, "s", ["a", "b"])
        with pytest.raises(hume.UnexpectedSequence) as refused:
            hume.publish(STORE, "s", "c", expect_seq=5)
    (started, one, first), (stopped, two, last), (_, _, again), (_, _, failed) = drained(events)
    assert (started, stopped) == PUBLISH
    assert (one["events"], two["events"]) == (2, 2)
    assert first["span"] is last["span"]
    assert again["span"] is failed["span"]
    assert first["span"] is not again["span"]
    assert (last["seq"], last["error"], failed["seq"], failed["error"]) == (2, None, None, refused.value)


class Recorded(hume.Projection[list[Any]], store=STORE):
    def init_state(self, projection: Any) -> list[Any]:
        return []

    def handle_recorded(self, event: hume.Event, state: list[Any]) -> list[Any]:
        return [*state, event.seq]


@pytest.mark.parametrize(("cls", "state"), [(Total, 6), (Recorded, [1, 2, 3])])
def test_each_event_that_is_handled_is_told_with_itself(cls: Any, state: Any) -> None:
    hume.publish_many(STORE, "s", [1, 2, 3])
    with telemetry_of(*HANDLE) as events:
        ref = hume.start_link(cls, stream="s", projection="p")
        assert hume.state(ref) == state
    told = drained(events)
    assert [name for name, _, _ in told] == list(HANDLE) * 3
    assert [measured["seq"] for _, measured, _ in told] == [1, 1, 2, 2, 3, 3]
    assert [about["event"] for _, _, about in told[::2]] == recorded("s")
    assert len({id(about["span"]) for _, _, about in told}) == 3
    assert {about["error"] for _, _, about in told[1::2]} == {None}
    assert {(about["projection"], about["stream"], about["class"]) for _, _, about in told} == {("p", "s", cls)}


def test_who_listens_to_the_stops_alone_gets_them() -> None:
    hume.publish(STORE, "s", 1)
    with telemetry_of(HANDLE[1], PUBLISH[1]) as events:
        hume.publish(STORE, "s", 2)
        assert hume.state(hume.start_link(Total, stream="s")) == 3
    assert [name for name, _, _ in drained(events)] == [PUBLISH[1], HANDLE[1], HANDLE[1]]


class Clause(hume.Projection[int], store=STORE):
    def init_state(self, projection: Any) -> int:
        return 0

    @hume.handles(int)
    def number(self, event: int, state: int) -> int:
        return state + event


def test_the_stop_of_a_handling_that_fails_says_with_what_error() -> None:
    error = ZeroDivisionError()
    hume.publish(STORE, "raises", failing(error))
    hume.publish(STORE, "unknown", "what?")
    with telemetry_of(HANDLE[1]) as events:
        gone(hume.start(Collected, stream="raises"))
        gone(hume.start(Clause, stream="unknown"))
        assert hume.state(hume.start(Clause, stream="unknown", strict=False)) == 0
    raised, unknown, skipped = [about["error"] for _, _, about in drained(events)]
    assert (raised is error, type(unknown), skipped) == (True, hume.UnknownEvent, None)


def test_a_projection_handles_the_same_whether_somebody_listens_or_not() -> None:
    """Also where somebody begins to listen, or stops, in the middle of it."""
    ref = hume.start(Clause, stream="n", strict=False)
    for number in range(5):
        hume.publish_many(STORE, "n", [number, "what?"])
        with telemetry_of(*HANDLE):
            hume.publish_many(STORE, "n", [number, "what?"])
            hume.state(ref)
    assert hume.state(ref) == 20
    assert (hume.status(ref).seq, hume.status(ref).unknown_events) == (20, 10)


# -- lag


def lags() -> list[Any]:
    with telemetry_of(LAG) as events:
        telemetry.poll()
        return sorted((about["projection"], measured) for _, measured, about in drained(events))


def test_the_lag_is_the_number_of_events_between_a_projection_and_the_end_of_its_log() -> None:
    with Gate() as gate:
        hume.publish_many(STORE, "s", [1, 2])
        hume.state(hume.start(Total, stream="s", projection="quick"))
        hume.start(Collected, stream="t", projection="slow")
        hume.publish_many(STORE, "t", ["a", doing(gate.hold), "c"])
        gate.wait()
        assert [(who, measured["lag"]) for who, measured in lags()] == [("quick", 0), ("slow", 3)]
    hume.state(ref := hume.start(Total, stream="s", projection="later"))
    hume.stop(ref)
    assert [who for who, _ in lags()] == ["quick", "slow"]


def test_a_lag_that_nobody_knows_is_not_told_and_the_others_are() -> None:
    broken, remote = PairStore(), Remote.start()
    hume.publish(broken, "s", "a")
    hume.state(hume.start(Collected, stream="s", store=broken, projection="broken"))
    hume.state(hume.start(Collected, stream="s", store=remote, projection="would have to be waited for"))
    hume.state(hume.start(Total, stream="s", projection="fine"))
    broken.down = True
    assert [who for who, _ in lags()] == ["fine"]


def test_poll_tells_nothing_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hume.state(hume.start(Total, stream="s"))
    monkeypatch.setattr(telemetry, "execute", lambda *_: pytest.fail("it was told"))
    telemetry.poll()


# -- nobody listens


def test_publishing_while_nobody_listens_does_not_even_call_telemetry() -> None:
    called = []

    def profile(frame: FrameType, event: str, _arg: Any) -> None:
        if event == "call":
            called.append(frame.f_code.co_filename)

    sys.setprofile(profile)
    try:
        hume.publish(STORE, "s", 1)
    finally:
        sys.setprofile(None)
    assert any(name.endswith("_memory.py") for name in called)
    assert not any("telemetry" in Path(name).parent.name or name.endswith("_watch.py") for name in called)


def test_handling_while_nobody_listens_asks_telemetry_by_the_page_and_not_by_the_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: SimpleQueue[Any] = SimpleQueue()

    def attached(name: telemetry.EventName) -> bool:
        asked.put(name)
        return False

    monkeypatch.setattr(telemetry, "attached", attached)
    numbers = []
    for events in (1, 400):
        hume.publish_many(STORE, f"s{events}", [1] * events)
        assert hume.state(hume.start(Total, stream=f"s{events}", snapshot_every=None)) == events
        numbers.append(len(drained(asked)))
    assert numbers[0] == numbers[1] < 10
