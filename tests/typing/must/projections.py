# pyright: strict
"""A projection says what its state is; from there on everything knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, assert_type, cast

import pykka
from pykka.typing import ActorMemberMixin, proxy_field, proxy_method

import hume

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True)
class Added:
    item: str
    count: int


@dataclass(frozen=True)
class Removed:
    item: str


Stock = dict[str, int]


class Inventory(hume.Projection[Stock], store=hume.EventStoreActor, snapshot_every=500, copy_state=dict, version="b"):
    label = "warehouse"

    def init_state(self, projection: str) -> Stock:
        return {}

    def handle_event(self, event: Added | Removed, state: Stock) -> Stock:
        match event:
            case Added(item, count):
                return {**state, item: count}
            case Removed(item):
                return {key: count for key, count in state.items() if key != item}

    def on_init(self, projection: str) -> None:
        assert_type(self.state, Stock)

    def on_caught_up(self, snapshot: hume.Snapshot[Stock]) -> None:
        assert_type(snapshot.state, Stock)

    def last_snapshot(self, projection: str) -> hume.Snapshot[Stock] | None:
        return super().last_snapshot(projection)

    def persist_snapshot(self, projection: str, snapshot: hume.Snapshot[Stock]) -> None:
        super().persist_snapshot(projection, snapshot)

    def total(self, minimum: int = 0) -> int:
        return sum(count for count in self.state.values() if count >= minimum)


class InventoryProxy(ActorMemberMixin, pykka.ActorProxy[Inventory]):
    """Pykka's way to tell type checkers what a proxy has."""

    label = proxy_field(Inventory.label)
    total = proxy_method(Inventory.total)


class Items(hume.Projection[frozenset[str]], store="ledger"):
    """Clauses keep their own types."""

    def init_state(self, projection: Hashable) -> frozenset[str]:
        return frozenset()

    @hume.handles(Added)
    def added(self, event: Added, state: frozenset[str]) -> frozenset[str]:
        return state | {event.item}

    @hume.handles(Removed)
    def removed(self, event: Removed, state: frozenset[str]) -> frozenset[str]:
        return state - {event.item}


class Numbers(hume.Projection[list[int]], store="ledger", strict=False):
    """The event as recorded."""

    def init_state(self, projection: Hashable) -> list[int]:
        return []

    def handle_recorded(self, event: hume.Event, state: list[int]) -> list[int]:
        return [*state, event.seq]


K = TypeVar("K")


class Last(hume.Projection[dict[str, K]], Generic[K]):
    """Open for what it holds; no options in its class line."""

    def init_state(self, projection: Any) -> dict[str, K]:
        return {}

    def handle_event(self, event: K, state: dict[str, K]) -> dict[str, K] | None:
        return {"last": event}


def folded() -> None:
    snapshot, count = hume.replay(Inventory, None, [(1, Added("nut", 5)), hume.Event(2, Added("bolt", 7))])
    assert_type(snapshot, hume.Snapshot[Stock])
    assert_type(count, int)
    after = hume.evolve(Inventory, (3, Removed("nut")), snapshot, strict=False)
    assert_type(after, hume.Snapshot[Stock])
    assert after.state == {"bolt": 7}
    event = Added("nut", 1)
    assert_type(Items.added(cast("Items", None), event, frozenset()), frozenset[str])


def started() -> pykka.ActorRef[Inventory]:
    assert_type(hume.EventStoreActor.start_link(), pykka.ActorRef[hume.EventStoreActor])
    hume.EventStoreActor.start_link(name="ledger")
    items = hume.start(Items, stream=["s", "t"], name=("items", 1), projection="items", timeout=10, catch_up_after=5)
    assert_type(items, pykka.ActorRef[Items])
    assert_type(hume.state(items), frozenset[str])
    assert_type(hume.start_link(Last[int], stream="s", store="ledger"), pykka.ActorRef[Last[int]])
    assert_type(Numbers.start_link(stream=hume.prefix("s")), pykka.ActorRef[Numbers])
    assert_type(Numbers.child_spec(stream=hume.ALL), hume.ChildSpec)
    options: dict[str, Any] = {"snapshots": None, "snapshot_after": None}
    return hume.start_link(Inventory, stream="warehouse", **options)


def read(ref: pykka.ActorRef[Inventory], anybody: pykka.ActorRef[Any]) -> None:
    hume.publish(hume.EventStoreActor, "warehouse", Added("nut", 5), expect_seq=0)
    assert_type(hume.state(ref), Stock)
    assert_type(hume.state(ref, dirty=True, timeout=None), Stock)
    assert_type(hume.snapshot(ref, at_least=1), hume.Snapshot[Stock])
    assert_type(hume.catch_up_sync(ref), hume.Snapshot[Stock])
    assert_type(hume.take_snapshot(ref), hume.Snapshot[Stock])
    assert_type(hume.query(ref, len), int)
    nuts: int = hume.query(ref, lambda state: state["nut"])  # to mypy Any, as a lambda fits any overload
    assert nuts == 5
    assert_type(hume.status(ref), hume.Status)
    assert_type(hume.state(anybody), Any)

    plain = ref.proxy()
    stock: Stock = hume.state(plain)
    assert stock == hume.snapshot(plain).state == {"nut": 5}
    proxy = cast("InventoryProxy", plain)
    assert_type(proxy.total(minimum=1), pykka.Future[int])
    assert_type(proxy.label, pykka.Future[str])
    assert proxy.total().get() == 5


def read_by_name() -> None:
    hume.start_link(Inventory, stream="warehouse", projection="copy", name="inventory")
    assert_type(hume.state("inventory"), Any)
    assert_type(hume.snapshot("inventory"), hume.Snapshot[Any])
    assert_type(hume.query("inventory", lambda state: state["nut"]), Any)
    assert_type(hume.query("inventory", len), int)
    assert_type(hume.whereis("inventory"), pykka.ActorRef[Any] | None)
    assert_type(hume.ref("inventory").proxy(), pykka.ActorProxy[Any])


if __name__ == "__main__":
    folded()
    inventory = started()
    read(inventory, inventory)
    read_by_name()
