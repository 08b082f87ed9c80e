"""Typed events, and commands that decide on a state: a reservation is made only if nothing happened meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import hume

STORE = hume.EventStoreActor


@dataclass(frozen=True)
class Received:
    item: str
    count: int


@dataclass(frozen=True)
class Reserved:
    item: str
    count: int
    customer: str


@dataclass(frozen=True)
class Cancelled:
    item: str
    count: int
    customer: str


class Stock(hume.Projection[dict[str, int]], store=STORE, copy_state=None):  # None: handlers never change a state
    """How many of each item can still be reserved."""

    def init_state(self, projection: Any) -> dict[str, int]:
        return {}

    @hume.handles(Received, Cancelled)
    def more(self, event: Received | Cancelled, free: dict[str, int]) -> dict[str, int]:
        return {**free, event.item: free.get(event.item, 0) + event.count}

    @hume.handles(Reserved)
    def fewer(self, event: Reserved, free: dict[str, int]) -> dict[str, int]:
        return {**free, event.item: free[event.item] - event.count}


class SoldOut(Exception):
    pass


def reserve(item: str, count: int, customer: str) -> int:
    """Reserve some of an item, and return the event's number."""
    while True:
        seq, free = (snapshot := hume.snapshot("stock")).seq, snapshot.state
        if free.get(item, 0) < count:
            raise SoldOut(item)
        try:
            return hume.publish(STORE, "stock", Reserved(item, count, customer), expect_seq=seq)
        except hume.UnexpectedSequence:
            continue  # something happened since we looked: decide again


def shop(customer: str) -> int:
    """Reserve lamps, one by one, as long as there are any, and return how many it were."""
    got = 0
    while True:
        try:
            reserve("lamp", 1, customer)
        except SoldOut:
            return got
        got += 1


def main() -> None:
    STORE.start_link()
    hume.start_link(Stock, stream="stock", name="stock")
    hume.publish_many(STORE, "stock", [Received("lamp", 60), Received("chair", 4)])

    with ThreadPoolExecutor(8) as pool:
        lamps = list(pool.map(shop, ("ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal")))
    print("lamps reserved by eight customers at once:", sum(lamps))
    assert sum(lamps) == 60

    print("left:", hume.state("stock"))
    assert hume.state("stock") == {"lamp": 0, "chair": 4}

    hume.publish(STORE, "stock", Cancelled("lamp", 1, "ann"))
    print("one is given back, and goes to zoe as event", reserve("lamp", 1, "zoe"))
    assert hume.snapshot("stock") == hume.Snapshot(64, {"lamp": 0, "chair": 4})


if __name__ == "__main__":
    main()
