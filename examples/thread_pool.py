"""Many threads publish to one stream, and each reads its own writes through the projection's own methods."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import hume

TILLS, SALES = 8, 250  # threads, and sales in each of them


@dataclass(frozen=True)  # an event that can't be changed is shared between threads; another would be copied
class Sold:
    till: int
    item: str
    cents: int


@dataclass(frozen=True)
class Returned:
    till: int
    item: str
    cents: int


@dataclass
class Books:
    takings: Counter[int] = field(default_factory=Counter[int])  # cents by till
    items: Counter[str] = field(default_factory=Counter[str])


class Shop(hume.Projection[Books], store=hume.EventStoreActor):
    """What each till has taken, and how many of each item are sold."""

    def init_state(self, projection: Any) -> Books:
        return Books()

    @hume.handles(Sold)
    def sold(self, event: Sold, books: Books) -> Books:
        books.takings[event.till] += event.cents  # in place is fine: nobody sees a state that a handler is changing
        books.items[event.item] += 1
        return books

    @hume.handles(Returned)
    def returned(self, event: Returned, books: Books) -> Books:
        books.takings[event.till] -= event.cents
        books.items[event.item] -= 1
        return books

    # Methods of its own. Through a proxy they run in the projection's thread, after everything published before.

    def takings(self, till: int) -> int:
        return self.state.takings[till]

    def best_sellers(self, count: int) -> list[tuple[str, int]]:
        return self.state.items.most_common(count)


def work(till: int, shop: Any) -> int:
    """Sell, take every tenth item back, and look for each write in the takings; return what was taken."""
    taken = 0
    for number in range(SALES):
        item, cents = ("tea", "milk", "tea", "bread")[number % 4], 100 + number
        hume.publish(hume.EventStoreActor, "sales", Sold(till, item, cents))
        taken += cents
        if number % 10 == 0:
            hume.publish(hume.EventStoreActor, "sales", Returned(till, item, cents))
            taken -= cents
        assert shop.takings(till).get(timeout=5) == taken, "a write is missing"
    return taken


def main() -> None:
    hume.EventStoreActor.start_link()
    ref = hume.start_link(Shop, stream="sales")
    shop = ref.proxy()  # Pykka's own: each method returns a future; threads may share it

    began = time.perf_counter()
    with ThreadPoolExecutor(TILLS) as pool:
        totals = list(pool.map(work, range(TILLS), [shop] * TILLS))
    seconds = time.perf_counter() - began

    print(f"{TILLS} threads made {TILLS * SALES:,} sales, and each found its own in the books: {seconds:.1f} s")
    print("best sellers:", shop.best_sellers(2).get(timeout=5))
    assert shop.best_sellers(2).get(timeout=5) == [("tea", 800), ("milk", 504)]
    print("cents taken:", hume.query(ref, lambda books: books.takings.total()))
    assert hume.query(ref, lambda books: books.takings.total()) == sum(totals)


if __name__ == "__main__":
    main()
