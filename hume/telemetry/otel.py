"""OpenTelemetry: a span for each publish and for each event that is handled, joined into one trace; and metrics.

It needs the extra ``otel``; the application sets up the SDK and its exporters, and says::

    from hume.telemetry import otel

    otel.instrument()

**Spans**, after OpenTelemetry's conventions for messaging (``messaging.system`` is ``hume``):

- ``publish``, of kind PRODUCER, around the append; a child of the caller's span.
- ``process`` and the projection's class, of kind CONSUMER, around the handling of an event. It is linked to the span
  of the publish, and is its child if the event is less than a minute old. Older events are handled in a rebuild, or by
  a projection that was down: a trace that ended long ago is not to grow again, so each has a trace of its own.

What joins them is W3C's trace context, ``traceparent`` and ``tracestate`` in the event's metadata; so they are joined
in another process, too, when the store is a file. Metadata that is given to `publish` wins. An event without a trace
context is handled without a span: it was published while nobody traced, or to a store that takes no metadata.

A publish costs some 30 microseconds more, and the handling of an event some 50, so a rebuild of a long stream takes
longer; and it may send many spans: give the SDK a sampler.

**Metrics**:

=====================================  =========  =========  ==================================================
name                                   kind       unit       attributes
=====================================  =========  =========  ==================================================
``hume.publish.duration``              histogram  s          ``error.type``
``hume.store.appended_events``         counter    {event}
``hume.projection.handler.duration``   histogram  s          ``hume.projection.class``, ``error.type``
``hume.projection.unknown_events``     counter    {event}    ``hume.projection.class``
``hume.projection.snapshot.duration``  histogram  s          ``hume.projection.class``, ``error.type``
``hume.projection.lag``                gauge      {event}    ``hume.projection.class``, ``hume.projection.name``
``hume.supervisor.restarts``           counter    {restart}  ``hume.supervisor``, ``hume.child``, ``error.type``
``hume.supervisor.give_ups``           counter    {give_up}  ``hume.supervisor``, ``hume.child``, ``error.type``
=====================================  =========  =========  ==================================================

The lag is the number of events that a live projection is behind its log when the metrics are collected. ``error.type``,
the class of the exception, is there when something failed; of a restart it says why: also ``killed``, for instance.
"""

from __future__ import annotations

import functools
import threading
from contextlib import suppress
from datetime import datetime, timedelta
from importlib import metadata as distributions
from typing import TYPE_CHECKING, Any, Final

from hume import errors, telemetry

try:
    from opentelemetry import context as contexts
    from opentelemetry import metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TracerProvider
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as _error:
    msg = "hume.telemetry.otel needs opentelemetry-api, which comes with the extra: pip install 'hume-es[otel]'"
    raise ImportError(msg) from _error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextvars import Token

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    Facts = Mapping[str, Any]
    Handler = Callable[[telemetry.EventName, Facts, Facts, Any], None]

__all__ = ["instrument", "uninstrument"]

_FRESH: Final = timedelta(minutes=1)
_W3C: Final = TraceContextTextMapPropagator()
_SECONDS: Final = (1e-5, 1e-4, 1e-3, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # a handler takes little


def instrument(tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Begin to trace and to measure.

    Args:
        tracer_provider: where the spans go; default: the global provider.
        meter_provider: where the metrics go; default: the global provider.

    Raises:
        TelemetryError: this is done already.
    """
    with _lock:
        if _bridges:
            msg = "Hume is instrumented already; uninstrument() it first"
            raise errors.TelemetryError(msg)
        bridge = _Bridge(_Spans(tracer_provider), _Metrics(meter_provider))
        bridge.attach()
        _bridges.append(bridge)


def uninstrument() -> None:
    """End it. Spans that are open end when what they are about does.

    Raises:
        TelemetryError: it was not begun.
    """
    with _lock:
        if not _bridges:
            msg = "Hume is not instrumented; instrument() it first"
            raise errors.TelemetryError(msg)
        _bridges.pop().detach()


class _Bridge:
    def __init__(self, spans: _Spans, metrics: _Metrics) -> None:
        self.spans, self.metrics = spans, metrics

    def attach(self) -> None:
        for part in (self.spans, self.metrics):
            for event_name, handler in part.handlers.items():
                telemetry.attach((part, event_name), event_name, handler)

    def detach(self) -> None:
        _detach(self.metrics, self.metrics.handlers)
        self.spans.detach()


def _detach(part: object, event_names: Iterable[telemetry.EventName]) -> None:
    for event_name in event_names:
        with suppress(errors.TelemetryError):  # it has failed, and so been detached
            telemetry.detach((part, event_name))


_bridges: Final[list[_Bridge]] = []  # one or none
_lock: Final = threading.Lock()


class _Spans:
    """Opens spans and closes them. Starts and stops come in pairs, of each pair in one thread, and from all threads."""

    def __init__(self, provider: TracerProvider | None) -> None:
        self._tracer = trace.get_tracer("hume", _version(), provider)
        self._starts: dict[telemetry.EventName, Handler] = {
            ("hume", "publish", "start"): self._publish,
            ("hume", "projection", "handle_event", "start"): self._process,
        }
        self._stops: dict[telemetry.EventName, Handler] = {
            ("hume", "publish", "stop"): self._stop,
            ("hume", "projection", "handle_event", "stop"): self._stop,
        }
        self.handlers = {**self._stops, **self._starts}
        self._open: dict[object, tuple[Span, Token[Context]]] = {}
        self._lock = threading.Lock()
        self._ending = False

    def detach(self) -> None:
        """Open no more spans; the last that is open takes the rest with it.

        A span is the current one in its thread, and only there can that be undone; so this waits for it.
        """
        _detach(self, self._starts)
        with self._lock:
            self._ending = True
            is_last = not self._open
        if is_last:
            _detach(self, self._stops)

    def _publish(self, _name: object, measurements: Facts, about: Facts, _config: object) -> None:
        carrier = about["carrier"]
        given = _creation(carrier)[1] if carrier else []
        attributes = _attributes("publish", "send", about["stream"])
        if measurements["events"] != 1:
            attributes["messaging.batch.message_count"] = measurements["events"]
        span = self._tracer.start_span("publish", kind=SpanKind.PRODUCER, attributes=attributes, links=given)
        within = trace.set_span_in_context(span)
        if carrier is not None and "traceparent" not in carrier:
            _W3C.inject(carrier, within)
        self._opened(about, span, within)

    def _process(self, _name: object, measurements: Facts, about: Facts, _config: object) -> None:
        event = about["event"]
        created, links = _creation(event.metadata)
        if not links:
            return
        attributes = {
            **_attributes("process", "process", event.stream),
            "messaging.consumer.group.name": _label(about["projection"]),
            "hume.seq": measurements["seq"],
        }
        span = self._tracer.start_span(
            f"process {about['class'].__name__}",
            context=created if _is_fresh(event) else contexts.Context(),
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
        )
        if event.id is not None and span.is_recording():
            span.set_attribute("messaging.message.id", str(event.id))
        self._opened(about, span, trace.set_span_in_context(span))

    def _opened(self, about: Facts, span: Span, within: Context) -> None:
        with self._lock:
            if not self._ending:
                self._open[about["span"]] = span, contexts.attach(within)
                return
        span.end()

    def _stop(self, _name: object, _measurements: Facts, about: Facts, _config: object) -> None:
        with self._lock:
            opened = self._open.pop(about["span"], None)
            is_last = self._ending and opened is not None and not self._open
        if opened is None:
            return  # it has none, or began before this did
        span, token = opened
        contexts.detach(token)
        seq, error = about.get("seq"), about["error"]
        if seq is not None:
            span.set_attribute("hume.seq", seq)
        if error is not None:
            span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, str(error)))
            span.set_attribute("error.type", _error_type(error))
        span.end()
        if is_last:
            _detach(self, self._stops)


class _Metrics:
    """Counts and measures."""

    def __init__(self, provider: MeterProvider | None) -> None:
        self.provider = provider
        meter = metrics.get_meter("hume", _version() or "", provider)

        def duration(name: str, description: str) -> metrics.Histogram:
            return meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=_SECONDS)

        self._publish = duration("hume.publish.duration", "Time that publishing took, or failing to")
        self._appended = meter.create_counter("hume.store.appended_events", "{event}", "Events that were stored")
        self._handler = duration("hume.projection.handler.duration", "Time that handling an event took")
        self._unknown = meter.create_counter(
            "hume.projection.unknown_events", "{event}", "Events that no clause handles, and that were skipped"
        )
        self._snapshot = duration("hume.projection.snapshot.duration", "Time that saving a snapshot took")
        self._restarts = meter.create_counter("hume.supervisor.restarts", "{restart}", "Restarts of children")
        self._give_ups = meter.create_counter(
            "hume.supervisor.give_ups", "{give_up}", "Supervisors that ended because of too many restarts"
        )
        meter.create_observable_gauge(
            "hume.projection.lag",
            [functools.partial(_observe_lag, provider)],
            "{event}",
            "Events that a projection is behind its log",
        )
        self.lag = threading.local()  # .seen: what the thread that collects has been told
        self.handlers: dict[telemetry.EventName, Handler] = {
            name: _handler(record) for name, record in self._records().items()
        }

    def _records(self) -> dict[telemetry.EventName, Callable[[Facts, Facts], None]]:
        def timed(histogram: metrics.Histogram) -> Callable[[Facts, Facts], None]:
            return lambda measured, about: histogram.record(measured["duration"], _outcome(about))

        return {
            ("hume", "publish", "stop"): timed(self._publish),
            ("hume", "store", "append"): lambda measured, _: self._appended.add(measured["events"]),
            ("hume", "projection", "handle_event", "stop"): timed(self._handler),
            ("hume", "projection", "unknown_event"): lambda _, about: self._unknown.add(1, _outcome(about)),
            ("hume", "projection", "snapshot"): timed(self._snapshot),
            ("hume", "projection", "lag"): self._told_lag,
            ("hume", "supervisor", "restart"): lambda _, about: self._restarts.add(1, _child(about)),
            ("hume", "supervisor", "give_up"): lambda _, about: self._give_ups.add(1, _child(about)),
        }

    def _told_lag(self, measured: Facts, about: Facts) -> None:
        seen = getattr(self.lag, "seen", None)
        if seen is not None:  # not, when somebody else polls
            attributes = {**_outcome(about), "hume.projection.name": _label(about["projection"])}
            seen.append(Observation(measured["lag"], attributes))


def _handler(record: Callable[[Facts, Facts], None]) -> Handler:
    return lambda _name, measured, about, _config: record(measured, about)


def _observe_lag(provider: MeterProvider | None, _options: CallbackOptions) -> Iterable[Observation]:
    """Return each projection's lag. A gauge is for ever: it serves the next `instrument` of the same provider too."""
    for bridge in _bridges.copy():
        if bridge.metrics.provider is provider:
            lag = bridge.metrics.lag
            lag.seen = []
            try:
                telemetry.poll()
                return list(lag.seen)
            finally:
                lag.seen = None
    return []


def _version() -> str | None:
    try:
        return distributions.version("hume-es")
    except distributions.PackageNotFoundError:
        return None  # run from its sources


def _creation(metadata: Facts) -> tuple[Context, list[Link]]:
    """Return the context in which an event was published, and the link to it; no link, if nothing valid is there."""
    fields = {name: value for name in sorted(_W3C.fields) if isinstance(value := metadata.get(name), str)}
    created = _W3C.extract(fields)
    span_context = trace.get_current_span(created).get_span_context()
    return created, [Link(span_context)] if span_context.is_valid else []


def _is_fresh(event: Any) -> bool:
    at = event.recorded_at  # of a store of somebody's own it may be without a time zone, or not be there
    return at is None or datetime.now(at.tzinfo) - at < _FRESH


def _attributes(operation: str, kind: str, stream: object) -> dict[str, Any]:
    return {
        "messaging.system": "hume",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": _label(stream),
    }


def _outcome(about: Facts) -> dict[str, str]:
    """Return whose it was, if a projection's, and how it failed, if it did."""
    of = {"hume.projection.class": about["class"].__name__} if "class" in about else {}
    return {**of, **_failure(about.get("error"))}


def _child(about: Facts) -> dict[str, str]:
    supervisor = about["supervisor"]
    name = supervisor.actor_inbox.name
    named = _label(supervisor.actor_class if name is None else name)
    return {"hume.supervisor": named, "hume.child": _label(about["child_id"]), **_failure(about["reason"])}


def _failure(error: object) -> dict[str, str]:
    return {} if error is None else {"error.type": _error_type(error)}


def _error_type(error: object) -> str:
    if isinstance(error, str):
        return error  # an exit reason, as "killed"
    return type(getattr(error, "exception", error)).__qualname__  # what a Crash was


def _label(name: object) -> str:
    """Return what a stream, a projection or a child is called, as an attribute's value."""
    if isinstance(name, str):
        return name
    if isinstance(name, type):
        return name.__name__
    return "/".join(map(_label, name)) if isinstance(name, tuple) else str(name)
