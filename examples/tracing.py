"""One trace from a request to all that follows from it: OpenTelemetry spans, drawn as a tree. Needs the extra otel."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import hume
from hume.telemetry import otel

exporter = InMemorySpanExporter()  # a program of yours has another one, which sends the spans to where you look at them
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
otel.instrument(provider)


class Stock(hume.Projection[int], store=hume.EventStoreActor):
    """What is left; when that is little, it orders more."""

    def init_state(self, projection: str) -> int:
        return 10

    def handle_event(self, event: int, state: int) -> int:
        if state - event < 3:
            hume.publish(hume.EventStoreActor, "orders", 10)
        return state - event


class Orders(hume.Projection[int], store=hume.EventStoreActor):
    """How much has been ordered."""

    def init_state(self, projection: str) -> int:
        return 0

    def handle_event(self, event: int, state: int) -> int:
        return state + event


hume.EventStoreActor.start_link()
stock, orders = hume.start_link(Stock, stream="sales"), hume.start_link(Orders, stream="orders")

with provider.get_tracer("shop").start_as_current_span("POST /sales"):
    hume.publish(hume.EventStoreActor, "sales", 8)
assert (hume.state(stock), hume.state(orders)) == (2, 10)


def draw(parent: ReadableSpan | None, depth: int) -> list[str]:
    """Return a line for each span below another."""
    lines = []
    for span in exporter.get_finished_spans():
        if (span.parent and span.parent.span_id) == (parent and parent.context.span_id):
            lines += ["  " * depth + span.name, *draw(span, depth + 1)]
    return lines


tree = draw(None, 0)
assert [line.strip() for line in tree] == ["POST /sales", "publish", "process Stock", "publish", "process Orders"]
print("\n".join(tree))
