"""OpenTelemetry: what is published and what is done with it are one trace; the metrics are those of the docstring."""

from __future__ import annotations

import functools
import importlib
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import hume
from hume import telemetry
from hume.stores import SQLiteEventStore
from hume.telemetry import otel
from tests.helpers import LIMIT, Gate, ManualClock, all_at_once, gone
from tests.samples import STORE, Collected, PairStore, Total, doing, failing
from tests.stores.files import program, result

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Tracing:
    """An SDK that keeps the spans."""

    def __init__(self, **options: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def spans(self) -> list[ReadableSpan]:
        """Return what has ended, in the order of the starts."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.name == name]


class Measuring:
    """An SDK that keeps the metrics."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])

    def metrics(self) -> dict[str, Any]:
        """Collect, and return each metric by its name."""
        data = self.reader.get_metrics_data()
        scopes = [] if data is None else [scope for one in data.resource_metrics for scope in one.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Return the attributes and the value, or count, of each of a metric's points."""
        metric = self.metrics().get(name)
        points = [] if metric is None else metric.data.data_points
        return [(dict(point.attributes), getattr(point, "count", getattr(point, "value", None))) for point in points]


@pytest.fixture
def tracing() -> Tracing:
    return Tracing()


@pytest.fixture
def measuring() -> Iterator[Measuring]:
    measuring = Measuring()
    yield measuring
    measuring.provider.shutdown()


@pytest.fixture(autouse=True)
def instrumented(tracing: Tracing, measuring: Measuring) -> Iterator[None]:
    otel.instrument(tracing.provider, measuring.provider)
    yield
    if otel._bridges:
        otel.uninstrument()


@pytest.fixture(autouse=True)
def store() -> Any:
    return STORE.start_link()


def ids(span: ReadableSpan) -> tuple[int, int]:
    return span.context.trace_id, span.context.span_id


def parent(span: ReadableSpan) -> tuple[int, int] | None:
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


def links(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


# -- traces


def test_from_the_request_over_publish_to_each_projections_handling_it_is_one_trace(tracing: Tracing) -> None:
    refs = [hume.start_link(cls, stream="s") for cls in (Total, Collected)]
    with tracing.tracer.start_as_current_span("request"):
        hume.publish(STORE, "s", 1)
    for ref in refs:
        hume.state(ref)
    (request,), (publish,) = tracing.named("request"), tracing.named("publish")
    assert parent(publish) == ids(request)
    for name in ("process Total", "process Collected"):
        (process,) = tracing.named(name)
        assert (parent(process), links(process)) == (ids(publish), [ids(publish)])
        assert process.end_time is not None
    assert len(tracing.spans()) == 4


def test_spans_are_as_the_conventions_for_messaging_say(tracing: Tracing) -> None:
    ref = hume.start_link(Total, stream="warehouse", projection="stock")
    hume.publish(STORE, "warehouse", 1)
    hume.publish_many(STORE, "warehouse", [2, 3])
    hume.state(ref)
    one, many = tracing.named("publish")
    process = tracing.named("process Total")[1]
    assert (one.kind, process.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert one.instrumentation_scope is not None
    assert one.instrumentation_scope.name == "hume"
    destination = {"messaging.system": "hume", "messaging.destination.name": "warehouse"}
    publish = {**destination, "messaging.operation.name": "publish", "messaging.operation.type": "send"}
    assert dict(one.attributes or {}) == {**publish, "hume.seq": 1}
    assert dict(many.attributes or {}) == {**publish, "hume.seq": 3, "messaging.batch.message_count": 2}
    event = next(event for event in hume.whereis(STORE).proxy().events("warehouse").get() if event.seq == 2)  # type: ignore[union-attr]  # it is there
    assert dict(process.attributes or {}) == {
        **destination,
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": "stock",
        "messaging.message.id": str(event.id),
        "hume.seq": 2,
    }


def test_what_a_handler_does_belongs_to_its_span_so_a_chain_of_projections_is_one_trace(tracing: Tracing) -> None:
    def work() -> None:
        with tracing.tracer.start_as_current_span("work"):
            hume.publish(STORE, "next", 1)

    hume.publish(STORE, "s", doing(work))
    hume.state(hume.start_link(Collected, stream="s"))
    hume.state(hume.start_link(Total, stream="next"))
    chain = tracing.spans()
    assert [span.name for span in chain] == ["publish", "process Collected", "work", "publish", "process Total"]
    assert [parent(span) for span in chain] == [None, *map(ids, chain[:-1])]


PUBLISHER = """
import json, sys
import hume
from hume.telemetry import otel
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

provider = TracerProvider()
otel.instrument(provider)
hume.stores.SQLiteEventStore.start_link(sys.argv[1])
with provider.get_tracer("test").start_as_current_span("request") as span:
    hume.publish(hume.stores.SQLiteEventStore, "s", 1)
print(json.dumps(span.get_span_context().trace_id))
"""


def test_it_is_one_trace_in_another_process_too(tracing: Tracing, tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    SQLiteEventStore.start_link(path)
    ref = hume.start_link(Total, stream="s", store=SQLiteEventStore)
    trace_id = result(program(PUBLISHER, path))
    assert hume.state(ref, at_least=1, timeout=LIMIT) == 1
    (process,) = tracing.spans()
    assert (process.name, process.context.trace_id) == ("process Total", trace_id)
    assert process.parent is not None
    assert process.parent.is_remote


class Earlier(hume.EventStoreActor):
    clock = ManualClock()  # in January 2024


def test_an_event_that_is_handled_long_after_is_linked_and_its_trace_does_not_grow(tracing: Tracing) -> None:
    Earlier.start_link(name="old")
    hume.publish("old", "s", 1)
    hume.state(hume.start_link(Total, stream="s", store="old"))
    publish, process = tracing.spans()
    assert (parent(process), links(process)) == (None, [ids(publish)])
    assert process.context.trace_id != publish.context.trace_id


def test_of_a_trace_context_given_by_the_publisher_nothing_is_replaced(tracing: Tracing) -> None:
    remote = TraceContextTextMapPropagator().extract({"traceparent": TRACEPARENT, "tracestate": "a=b"})
    with tracing.tracer.start_as_current_span("request", remote):
        hume.publish(STORE, "s", 1, metadata={"traceparent": TRACEPARENT})
        hume.publish(STORE, "s", 2)
    given, inherited = [event.metadata for event in hume.whereis(STORE).proxy().events("s").get()]  # type: ignore[union-attr]  # it is there
    assert given == {"traceparent": TRACEPARENT}
    assert inherited["tracestate"] == "a=b"


def test_a_trace_context_given_by_the_publisher_wins_and_is_linked(tracing: Tracing) -> None:
    hume.publish(STORE, "s", 1, metadata={"traceparent": TRACEPARENT, "tracestate": "a=b"})
    hume.state(hume.start_link(Total, stream="s"))
    publish, process = tracing.spans()
    given = (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    assert (parent(process), links(process), links(publish)) == (given, [given], [given])
    assert process.context.trace_state.get("a") == "b"


@pytest.mark.parametrize("value", [5, "", "nonsense", ["00"], TRACEPARENT.replace("b", "z"), {}, None])
def test_an_event_with_no_valid_trace_context_is_handled_without_a_span(value: Any, tracing: Tracing) -> None:
    hume.publish(STORE, "s", 1, metadata={"traceparent": value, "tracestate": value})
    assert hume.state(hume.start_link(Total, stream="s")) == 1
    assert [span.name for span in tracing.spans()] == ["publish"]
    hume.publish(STORE, "s", 2)
    hume.state(hume.start_link(Total, stream="s", projection="it goes on"))
    assert tracing.named("process Total")


def test_where_the_metadata_can_not_be_kept_publishing_and_handling_are_as_ever(tracing: Tracing) -> None:
    plain = PairStore()
    hume.publish(plain, "s", 1)
    assert hume.state(hume.start_link(Total, stream="s", store=plain)) == 1
    assert [span.name for span in tracing.spans()] == ["publish"]


class MadeUp(PairStore):
    """A store that says little of its events."""

    def __init__(self, recorded_at: datetime | None) -> None:
        super().__init__()
        self.recorded_at = recorded_at

    def events(self, stream: Any, after: int = 0, limit: int | None = None) -> Any:
        about = {"traceparent": TRACEPARENT}
        for seq, payload in super().events(stream, after, limit):
            yield hume.Event(seq, payload, recorded_at=self.recorded_at, metadata=about)


@pytest.mark.parametrize(("days_ago", "is_child"), [(None, True), (0, True), (1, False)])
def test_an_event_need_not_say_when_it_was_recorded_or_where(
    days_ago: int | None, is_child: bool, tracing: Tracing
) -> None:
    now = datetime.now()  # noqa: DTZ005 - of a store that knows no time zones
    store = MadeUp(None if days_ago is None else now - timedelta(days=days_ago))
    store.append("s", [1])
    hume.state(hume.start_link(Total, stream="s", store=store))
    (process,) = tracing.spans()
    assert process.attributes is not None
    assert (process.parent is not None, "messaging.message.id" in process.attributes) == (is_child, False)


def test_an_append_that_is_refused_is_a_span_with_the_error(tracing: Tracing) -> None:
    with pytest.raises(hume.UnexpectedSequence):
        hume.publish(STORE, "s", 1, expect_seq=5)
    (publish,) = tracing.spans()
    assert publish.status.status_code == StatusCode.ERROR
    assert publish.attributes is not None
    assert publish.attributes["error.type"] == "UnexpectedSequence"
    assert "hume.seq" not in publish.attributes
    assert [event.name for event in publish.events] == ["exception"]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_a_handling_that_fails_is_a_span_with_the_error(tracing: Tracing) -> None:
    hume.publish(STORE, "s", failing(ValueError("poison")))
    gone(hume.start(Collected, stream="s"))
    (process,) = tracing.named("process Collected")
    assert (process.status.status_code, process.status.description) == (StatusCode.ERROR, "poison")
    assert process.attributes is not None
    assert process.attributes["error.type"] == "ValueError"


def test_what_is_not_sampled_at_the_publish_is_not_at_the_handling(tracing: Tracing, measuring: Measuring) -> None:
    otel.uninstrument()
    silent = Tracing(sampler=ALWAYS_OFF)
    otel.instrument(silent.provider, measuring.provider)
    hume.publish(STORE, "s", 1)
    otel.uninstrument()
    otel.instrument(tracing.provider, measuring.provider)
    assert hume.state(hume.start_link(Total, stream="s")) == 1
    assert silent.spans() + tracing.spans() == []


@pytest.mark.usefixtures("fast_switching")
def test_of_many_threads_and_projections_each_publish_has_its_handlings_and_no_other(tracing: Tracing) -> None:
    projections = [hume.start_link(Total, stream=stream, projection=(stream, n)) for stream in "ab" for n in range(2)]

    def publish(stream: str) -> None:
        for _ in range(50):
            with tracing.tracer.start_as_current_span("request"):
                hume.publish(STORE, stream, 1)

    all_at_once(*(functools.partial(publish, stream) for stream in "abab"))
    for ref in projections:
        assert hume.state(ref, timeout=LIMIT) == 100
    published = {ids(span): span for span in tracing.named("publish")}
    requests = {ids(span) for span in tracing.named("request")}
    assert {parent(span) for span in published.values()} == requests
    handled = tracing.named("process Total")
    assert len(handled) == 2 * len(published) == 400
    its_own = {(parent(span), str((span.attributes or {})["messaging.consumer.group.name"])) for span in handled}
    assert its_own == {
        (its, f"{stream}/{n}")
        for its, span in published.items()
        for stream in [str((span.attributes or {})["messaging.destination.name"])]
        for n in range(2)
    }


# -- metrics


def documented() -> dict[str, tuple[str, str, set[str]]]:
    """Return the table in the docstring: kind, unit and attributes of each metric."""
    lines = [line.replace("`", "") for line in (otel.__doc__ or "").splitlines() if line.startswith("``hume.")]
    rows = [(*line.split(maxsplit=3), "")[:4] for line in lines]
    return {name: (kind, unit, set(filter(None, more.split(", ")))) for name, kind, unit, more in rows}


KINDS = {"Histogram": "histogram", "Sum": "counter", "Gauge": "gauge"}


def use_everything() -> None:
    class Bad(Collected, strict=False):
        def persist_snapshot(self, projection: Any, snapshot: Any) -> None:
            msg = "disk full"
            raise OSError(msg)

        def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
            return None if payload == "what?" else super().handle_event(payload, state)

    with pytest.raises(hume.UnexpectedSequence):
        hume.publish(STORE, "s", "a", expect_seq=5)
    hume.publish_many(STORE, "s", ["a", "what?"])
    ref = hume.start(Bad, stream="s", projection="bad")
    with pytest.raises(OSError, match="disk full"):
        hume.take_snapshot(ref)
    hume.publish(STORE, "poison", failing(ValueError()))
    gone(hume.start(Collected, stream="poison"))
    supervisor = hume.Supervisor.start([(STORE, {"name": "ledger"})], max_restarts=1, name="shop")
    hume.kill("ledger")
    hume.Supervisor.which_children(supervisor)  # answers when it has restarted it
    hume.kill("ledger")
    gone(supervisor)


def test_the_metrics_are_those_of_the_docstring(measuring: Measuring) -> None:
    use_everything()
    found = {
        name: (
            KINDS[type(metric.data).__name__],
            metric.unit,
            set().union(*(point.attributes for point in metric.data.data_points)),
        )
        for name, metric in measuring.metrics().items()
    }
    assert found == documented()
    assert all(metric.description for metric in measuring.metrics().values())


def test_the_metrics_say_what_happened(measuring: Measuring) -> None:
    use_everything()
    collected, bad = {"hume.projection.class": "Collected"}, {"hume.projection.class": "Bad"}
    refused = {"error.type": "UnexpectedSequence"}
    child = {"hume.supervisor": "shop", "hume.child": "ledger", "error.type": "killed"}
    assert measuring.points("hume.publish.duration") == [(refused, 1), ({}, 2)]
    assert measuring.points("hume.store.appended_events") == [({}, 3)]
    handled = measuring.points("hume.projection.handler.duration")
    assert sorted(handled, key=str) == [(bad, 2), ({**collected, "error.type": "ValueError"}, 1)]
    assert measuring.points("hume.projection.unknown_events") == [(bad, 1)]
    assert ({**bad, "error.type": "OSError"}, 1) in measuring.points("hume.projection.snapshot.duration")
    assert measuring.points("hume.projection.lag") == [({**bad, "hume.projection.name": "bad"}, 0)]
    assert measuring.points("hume.supervisor.restarts") == [(child, 1)]
    assert measuring.points("hume.supervisor.give_ups") == [(child, 1)]


def test_the_lag_is_that_of_the_moment_also_of_a_projection_that_is_stuck(measuring: Measuring) -> None:
    lag = functools.partial(measuring.points, "hume.projection.lag")
    about = {"hume.projection.class": "Collected", "hume.projection.name": "p"}
    with Gate() as gate:
        ref = hume.start_link(Collected, stream="s", projection="p")
        hume.publish(STORE, "s", doing(gate.hold))
        gate.wait()
        assert lag() == [(about, 1)]
        hume.publish_many(STORE, "s", ["a", "b"])
        assert lag() == [(about, 3)]
    hume.state(ref)
    assert lag() == [(about, 0)]
    hume.stop(ref)
    assert lag() == []


# -- beginning and ending


def test_it_is_instrumented_once() -> None:
    with pytest.raises(hume.TelemetryError, match=r"instrumented already; uninstrument\(\) it first"):
        otel.instrument()
    otel.uninstrument()
    with pytest.raises(hume.TelemetryError, match=r"not instrumented; instrument\(\) it first"):
        otel.uninstrument()


def test_without_an_sdk_it_does_nothing_and_leaves_no_trace_context(tracing: Tracing) -> None:
    otel.uninstrument()
    otel.instrument()
    hume.publish(STORE, "s", 1)
    hume.state(hume.start_link(Total, stream="s"))
    (event,) = hume.whereis(STORE).proxy().events("s").get()  # type: ignore[union-attr]  # it is there
    assert event.metadata == {}


def test_afterwards_nobody_listens_and_it_may_begin_again(tracing: Tracing, measuring: Measuring) -> None:
    ref = hume.start_link(Total, stream="s")
    for number in (1, 2):
        hume.publish(STORE, "s", number)
        hume.state(ref)
        otel.uninstrument()
        assert not any(map(telemetry.attached, telemetry.EVENTS))
        hume.publish(STORE, "s", number)
        hume.state(ref)
        assert measuring.points("hume.projection.lag") == []
        assert len(tracing.spans()) == 2 * number
        otel.instrument(tracing.provider, measuring.provider)
        assert [value for _, value in measuring.points("hume.projection.lag")] == [0]
    assert measuring.points("hume.store.appended_events") == [({}, 2)]


def test_a_span_that_is_open_at_the_end_ends_with_its_handling_and_leaves_the_thread_clean(tracing: Tracing) -> None:
    current = []

    class Tracer(Collected):
        def current_span(self) -> None:
            current.append(trace.get_current_span())

    ref = hume.start_link(Tracer, stream="s")
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold))
        gate.wait()
        otel.uninstrument()
        assert tracing.named("process Tracer") == []
    ref.proxy().current_span().get()
    assert len(tracing.named("process Tracer")) == 1
    assert current == [trace.INVALID_SPAN]
    assert not any(map(telemetry.attached, telemetry.EVENTS))


def test_a_handler_of_the_bridges_that_was_detached_does_not_stand_in_the_way_of_the_end() -> None:
    name = ("hume", "store", "append")
    (handler,) = telemetry._handlers[name]
    telemetry.detach(handler.id)
    otel.uninstrument()
    assert not any(map(telemetry.attached, telemetry.EVENTS))


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "hume.telemetry.otel")
    with pytest.raises(ImportError, match=r"pip install 'hume-es\[otel\]'"):
        importlib.import_module("hume.telemetry.otel")
