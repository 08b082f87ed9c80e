# pyright: strict
"""Stores of one's own, event types, telemetry: what is written naturally is accepted, and keeps its type."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_type

import pykka

import hume
from hume.stores import SQLiteEventStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@hume.event("typing-order-placed", version=2)
@dataclass(frozen=True)
class OrderPlaced:
    order: str
    currency: str = "EUR"


@hume.upcaster("typing-order-placed", 1)
def add_currency(data: dict[str, Any]) -> dict[str, Any]:
    return data | {"currency": "EUR"}


@hume.upcaster("typing-cart-closed", 1)
def split(data: dict[str, str]) -> Iterator[tuple[str, int, dict[str, str]]]:
    yield "typing-order-placed", 2, data


assert_type(OrderPlaced("a").currency, str)
assert_type(add_currency({}), dict[str, Any])
assert_type(split({}), "Iterator[tuple[str, int, dict[str, str]]]")


class Ledger:
    """The least that is a store: strings for streams, one type of payload."""

    def __init__(self) -> None:
        self.logs: dict[str, list[OrderPlaced]] = {}
        self.lock = threading.Lock()

    def append(self, stream: str, payloads: Iterable[OrderPlaced], expect_seq: int | None = None) -> int:
        with self.lock:
            log = self.logs.setdefault(stream, [])
            log.extend(payloads)
            return len(log)

    def events(self, stream: str, after: int = 0, limit: int | None = None) -> list[hume.Event]:
        numbered = list(enumerate(self.logs.get(stream, []), 1))
        return [hume.Event(seq, payload) for seq, payload in numbered[after:][:limit]]

    def last_seq(self, stream: str) -> int:
        return len(self.logs.get(stream, []))


class Shelf:
    """A place for snapshots of one kind of projection."""

    def __init__(self) -> None:
        self.kept: dict[str, hume.Snapshot[int]] = {}

    def last_snapshot(self, identity: str) -> hume.Snapshot[int] | None:
        return self.kept.get(identity)

    def persist_snapshot(self, identity: str, snapshot: hume.Snapshot[int]) -> None:
        self.kept[identity] = snapshot


class Orders(hume.Projection[int], snapshots=Shelf()):
    def init_state(self, projection: object) -> int:
        return 0

    @hume.handles(OrderPlaced)
    def placed(self, event: OrderPlaced, state: int) -> int:
        return state + 1


def heard(event: tuple[str, ...], measured: Mapping[str, Any], about: Mapping[str, Any], config: list[Any]) -> None:
    config.append(measured)


def main() -> None:
    store = Ledger()
    contract: hume.EventStore = store
    shelf: hume.SnapshotStore = Shelf()
    hume.validate_store(contract)
    ref = hume.start_link(Orders, stream="orders", store=store, snapshots=shelf, projection="orders")
    assert_type(hume.publish_many(store, "orders", [OrderPlaced("a"), OrderPlaced("b")]), int)
    assert hume.state(ref) == 2

    assert_type(SQLiteEventStore.start_link(":memory:", durability="normal"), pykka.ActorRef[SQLiteEventStore])
    hume.publish(SQLiteEventStore, "orders", OrderPlaced("c"))
    seen: list[Any] = []
    hume.telemetry.attach("seen", ("hume", "store", "append"), heard, config=seen)
    hume.publish(SQLiteEventStore, "orders", OrderPlaced("d"), metadata={"by": "ann"}, expect_seq=hume.EXISTS)
    hume.telemetry.detach("seen")
    assert len(seen) == 1


if __name__ == "__main__":
    main()
