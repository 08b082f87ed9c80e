"""A read model over many streams: one stream for each order, and a view of all that are open, as they appear."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import hume

STORE = hume.EventStoreActor


@dataclass(frozen=True)
class Placed:
    customer: str


@dataclass(frozen=True)
class Added:
    item: str
    cents: int


@dataclass(frozen=True)
class Shipped:
    pass


@dataclass(frozen=True)
class Order:
    customer: str
    cents: int = 0
    items: tuple[str, ...] = ()
    shipped: bool = False


class OneOrder(hume.Projection[Order], store=STORE):
    """What one order looks like: of its own stream, started when somebody wants to see it."""

    def init_state(self, projection: Any) -> Order:
        return Order("nobody")

    def handle_event(self, event: Any, order: Order) -> Order | None:
        match event:
            case Placed(customer):
                return Order(customer)
            case Added(item, cents):
                return replace(order, cents=order.cents + cents, items=(*order.items, item))
            case Shipped():
                return replace(order, shipped=True)
        return None


class OpenOrders(hume.Projection[dict[Any, int]], store=STORE, strict=False):
    """What is to be shipped, in cents, by stream. Not strict: it passes over events that it knows nothing of."""

    def init_state(self, projection: Any) -> dict[Any, int]:
        return {}

    def handle_recorded(self, event: hume.Event, cents: dict[Any, int]) -> dict[Any, int] | None:
        match event.payload:  # the event as recorded: it also says its stream, number, position and time
            case Placed():
                return {**cents, event.stream: 0}
            case Added():
                return {**cents, event.stream: cents[event.stream] + event.payload.cents}
            case Shipped():
                return {stream: some for stream, some in cents.items() if stream != event.stream}
        return None


def main() -> None:
    STORE.start_link()
    orders = hume.start_link(OpenOrders, stream=hume.prefix("order-"))

    for number, customer in enumerate(("ann", "bob", "cat"), 1):  # streams that appear later are seen, too
        hume.publish_many(STORE, f"order-{number}", [Placed(customer), Added("lamp", 1000 * number)], expect_seq=0)
    hume.publish(STORE, "visits", "somebody looked around")  # no order: not selected
    hume.publish(STORE, "order-2", Added("chair", 450))
    hume.publish(STORE, "order-1", Shipped())

    print("to be shipped:", hume.state(orders))
    assert hume.state(orders) == {"order-2": 2450, "order-3": 3000}

    snapshot = hume.snapshot(orders)
    print("up to position", snapshot.seq, "of the store")
    assert snapshot.seq == 9

    order = hume.start_link(OneOrder, stream="order-2")
    print("one of them:", hume.state(order))
    assert hume.state(order) == Order("bob", 2450, ("lamp", "chair"))


if __name__ == "__main__":
    main()
