"""Events stored by last year's program, read by today's: a class renamed, a field added, an event split in two.

The two programs are functions here, and each runs in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hume
from hume.stores import SQLiteEventStore

if TYPE_CHECKING:
    from collections.abc import Iterator


def last_year(file: str) -> None:
    @hume.event("opened")  # the name in the file
    @dataclass(frozen=True)
    class Opened:
        owner: str

    @hume.event("moved")
    @dataclass(frozen=True)
    class Moved:
        euros: float  # which turned out to be a mistake

    SQLiteEventStore.start_link(file)
    hume.publish_many(SQLiteEventStore, "account", [Opened("ann"), Moved(12.3), Moved(0.07)])


def today(file: str) -> None:
    @hume.event("opened", version=2)  # the name stays, so the class could be renamed, and would be if it were moved
    @dataclass(frozen=True)
    class AccountOpened:
        owner: str
        currency: str

    @hume.event("paid")
    @dataclass(frozen=True)
    class Paid:
        cents: int

    @hume.event("received")
    @dataclass(frozen=True)
    class Received:
        cents: int

    @hume.upcaster("opened", 1)
    def add_currency(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"currency": "EUR"}  # from version 1 to version 2

    @hume.upcaster("moved", 1)
    def split(data: dict[str, Any]) -> Iterator[tuple[str, int, dict[str, int]]]:
        cents = {"cents": round(100 * data["euros"])}
        yield "paid", 1, cents  # one event becomes two; to return None would drop it
        yield "received", 1, cents

    class Books(hume.Projection[list[Any]], store=SQLiteEventStore, version=2):  # a snapshot of version 1 is not used
        def init_state(self, projection: Any) -> list[Any]:
            return []

        def handle_event(self, event: Any, books: list[Any]) -> list[Any]:
            return [*books, event]

    SQLiteEventStore.start_link(file)
    ref = hume.start_link(Books, stream="account")
    hume.publish(SQLiteEventStore, "account", Paid(1))
    books = hume.state(ref)
    print(*(str(event).rpartition(".")[2] for event in books), sep="\n")
    assert books == [
        AccountOpened("ann", "EUR"),
        *(Paid(1230), Received(1230)),
        *(Paid(7), Received(7)),
        Paid(1),
    ]
    print("events in the file, which is as it was:", hume.snapshot(ref).seq)
    assert hume.snapshot(ref).seq == 4


def main() -> None:
    if len(sys.argv) > 1:
        {"last_year": last_year, "today": today}[sys.argv[1]](sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as directory:
        for program in ("last_year", "today"):
            command = [sys.executable, __file__, program, str(Path(directory, "bank.db"))]
            print(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout, end="")  # noqa: S603 - this


if __name__ == "__main__":
    main()
