"""A tree of supervisors with a crash at each level: what restarts, what stays as it is, and that nothing is lost."""

from __future__ import annotations

import logging
from queue import SimpleQueue
from typing import Any

import hume


class Stock(hume.Projection[dict[str, int]], store=hume.EventStoreActor):
    """How many of each item there are."""

    def init_state(self, projection: Any) -> dict[str, int]:
        return {}

    def handle_event(self, payload: tuple[str, int], state: dict[str, int]) -> dict[str, int]:
        item, number = payload
        return {**state, item: state.get(item, 0) + number}


class Printer(hume.GenServer):
    """Prints labels, until the paper jams."""

    def init(self) -> None:
        self.printed = 0

    def handle_call(self, message: str, from_: Any) -> int:
        if message == "crumpled":
            raise RuntimeError("paper jam")
        self.printed += 1
        return self.printed


DESK = {"name": "desk", "children": [(Printer, {"name": "labels"}), (Printer, {"name": "bills"})]}
OFFICE = {"name": "office", "children": [(Stock, {"stream": "goods", "name": "stock"}), (hume.Supervisor, DESK)]}
SHOP = [hume.EventStoreActor, (hume.Supervisor, OFFICE)]
NAMES = [hume.EventStoreActor, "office", "stock", "desk", "labels", "bills"]


actors: dict[Any, Any] = {}  # who has each name
crashes: SimpleQueue[Any] = SimpleQueue()  # what each restart is about


def restarted(supervisor: str) -> list[Any]:
    """Wait until a supervisor has dealt with a death; return the names that now stand for another actor."""
    print("reason:", crashes.get(timeout=5)["reason"])
    hume.Supervisor.which_children(supervisor)  # it answers when it is done with what came before: the restart
    before = dict(actors)
    actors.update({name: hume.whereis(name) for name in NAMES})
    print(hume.tree())
    return [name for name in NAMES if actors[name] != before[name]]


def crash_a_worker() -> None:
    print("\nThe third level: a worker crashes, and is restarted alone.")
    try:
        hume.GenServer.call("labels", "crumpled")
    except RuntimeError as error:
        print("the caller gets the error:", error)
    assert restarted("desk") == ["labels"]
    assert hume.GenServer.call("labels", "tea") == 1  # its memory is new; what must last belongs in events or a table


def kill_a_supervisor() -> None:
    print("\nThe second level: a supervisor is killed, and comes back with all that is below it.")
    hume.kill("office")
    assert restarted("shop") == ["office", "stock", "desk", "labels", "bills"]
    assert hume.state("stock") == {"tea": 3}


def kill_the_store() -> None:
    print("\nThe first level: the store is killed, and by rest_for_one what was started after it goes too.")
    hume.kill(hume.EventStoreActor)
    assert restarted("shop") == NAMES
    hume.publish(hume.EventStoreActor, "goods", ("tea", 4))
    print("no event was lost: the stock is", hume.state("stock"))
    assert hume.state("stock") == {"tea": 7}


def main() -> None:
    logging.getLogger("hume").addHandler(logging.NullHandler())  # or the crashes would be logged to stderr
    hume.telemetry.attach("crashes", ("hume", "supervisor", "restart"), lambda _, __, about, ___: crashes.put(about))
    # rest_for_one: the office reads the store, so it is restarted with the store, and not the other way round
    hume.Supervisor.start_link(SHOP, strategy="rest_for_one", name="shop")
    hume.publish(hume.EventStoreActor, "goods", ("tea", 3))
    assert [hume.GenServer.call("labels", text) for text in ("tea", "milk")] == [1, 2]
    actors.update({name: hume.whereis(name) for name in NAMES})
    print(hume.tree())
    crash_a_worker()
    kill_a_supervisor()
    kill_the_store()


if __name__ == "__main__":
    main()
