"""Kill a supervised projection, then publish an event that it can't handle: it always comes back from its snapshot."""

from __future__ import annotations

import logging
from queue import SimpleQueue
from typing import Any

import hume


class Balances(hume.Projection[dict[str, int]], store=hume.EventStoreActor, snapshot_every=100):
    """What each account holds."""

    def init_state(self, projection: Any) -> dict[str, int]:
        return {}

    def handle_event(self, event: Any, state: dict[str, int]) -> dict[str, int] | None:
        match event:
            case ("deposited", account, amount):
                return {**state, account: state.get(account, 0) + amount}
        return None


class CarefulBalances(Balances):
    """The same with the bug fixed: an amount that is no number is passed over."""

    def handle_event(self, event: Any, state: dict[str, int]) -> dict[str, int] | None:
        match event:
            case ("deposited", _, amount) if not isinstance(amount, int):
                return state
        return super().handle_event(event, state)


OPTIONS = {"stream": "bank", "projection": "balances", "name": "balances"}


def collect(*event_name: str) -> SimpleQueue[Any]:
    """Return a queue that gets (measurements, metadata) of each such telemetry event from now on."""
    seen: SimpleQueue[Any] = SimpleQueue()
    hume.telemetry.attach(event_name, event_name, lambda _name, measured, about, _config: seen.put((measured, about)))
    return seen


def kill_it() -> None:
    print("\nkilling it")
    restored, handed_back = collect("hume", "projection", "init"), collect("hume", "heir", "sent")
    hume.kill("balances")
    measured, _ = restored.get(timeout=5)  # its supervisor has started another one
    print("restarted from the snapshot at event", measured["seq"])
    measured, about = handed_back.get(timeout=5)
    print("the heir handed back the table", about["table"], "to owner number", measured["epoch"])
    assert measured["epoch"] == 3  # after the killed projection and the heir
    assert hume.state("balances") == {"ann": 10_000, "bob": 35}
    print("events replayed:", hume.status("balances").events_applied)
    assert hume.status("balances").events_applied == 7


def poison_it() -> None:
    print("\npublishing an event that its handler can't take")
    crashes = collect("hume", "supervisor", "restart")
    hume.publish(hume.EventStoreActor, "bank", ("deposited", "eve", "ten"))
    _, about = crashes.get(timeout=5)
    print("it", about["reason"])  # and it is started again, from its snapshot: at first soon, then later each time
    assert isinstance(about["reason"].exception, TypeError)


def fix_it() -> None:
    print("\nputting the fixed class in its place, under the same identity")
    hume.Supervisor.terminate_child("supervisor", "balances")  # gives up the restart that is due
    hume.Supervisor.delete_child("supervisor", "balances")
    hume.Supervisor.start_child("supervisor", (CarefulBalances, OPTIONS))
    hume.publish(hume.EventStoreActor, "bank", ("deposited", "bob", 7))
    print("the state is", hume.state("balances"))
    assert hume.state("balances") == {"ann": 10_000, "bob": 42}
    print("events replayed:", hume.status("balances").events_applied)
    assert hume.status("balances").events_applied == 7 + 1 + 1  # Bob's, the bad one, the last


def main() -> None:
    logging.getLogger("hume").addHandler(logging.NullHandler())  # or the crash would be logged to stderr
    hume.Supervisor.start_link([hume.EventStoreActor, (Balances, OPTIONS)], name="supervisor")
    hume.publish_many(hume.EventStoreActor, "bank", [("deposited", "ann", 1)] * 10_000)
    print("snapshot saved at event", hume.take_snapshot("balances").seq)
    hume.publish_many(hume.EventStoreActor, "bank", [("deposited", "bob", 5)] * 7)
    assert hume.state("balances") == {"ann": 10_000, "bob": 35}
    kill_it()
    poison_it()
    fix_it()


if __name__ == "__main__":
    main()
