"""Publish two events, and read your own writes."""

from __future__ import annotations

from typing import Any

import hume


class Inventory(hume.Projection[dict[str, int]], store=hume.EventStoreActor, snapshot_every=100):
    """What is in stock: a dict of item and number."""

    def init_state(self, projection: Any) -> dict[str, int]:
        return {}

    def handle_event(self, event: Any, state: dict[str, int]) -> dict[str, int] | None:
        match event:
            case ("add", key, value):
                return {**state, key: value}
            case ("remove", key):
                return {k: v for k, v in state.items() if k != key}
        return None


def main() -> None:
    hume.EventStoreActor.start_link()
    ref = hume.start_link(Inventory, stream="warehouse", projection="inventory")

    print("published event", hume.publish(hume.EventStoreActor, "warehouse", ("add", "foo", 42)))
    print("the state is", hume.state(ref))
    assert hume.state(ref) == {"foo": 42}

    print("published event", hume.publish(hume.EventStoreActor, "warehouse", ("remove", "foo")))
    print("the state is", hume.state(ref))
    assert hume.state(ref) == {}


if __name__ == "__main__":
    main()
