# pyright: strict
"""Mistakes with stores, event types and telemetry that are found before anything runs."""

from __future__ import annotations

from typing import Any

import hume
from hume.stores import SQLiteEventStore

# -- publishing

hume.publish("ledger", "s")  # error: call-arg, reportCallIssue
hume.publish("ledger", ["s"], 1)  # error: arg-type, reportArgumentType
hume.publish("ledger", "s", 1, 0)  # error: call-arg, reportCallIssue
hume.publish("ledger", "s", 1, expect_seq="0")  # error: arg-type, reportArgumentType
hume.publish("ledger", "s", 1, metadata=["by"])  # error: arg-type, reportArgumentType
hume.publish_many("ledger", "s", 5)  # error: arg-type, reportArgumentType
seq: str = hume.publish("ledger", "s", 1)  # error: assignment, reportAssignmentType
hume.Event("1", "payload")  # error: arg-type, reportArgumentType
hume.Event(1, "payload").seq = 2  # error: misc, reportAttributeAccessIssue
hume.prefix(5)  # error: arg-type, reportArgumentType

# -- stores

hume.EventStoreActor.start_link("ledger")  # error: call-arg, reportCallIssue
hume.EventStoreActor.start_link(path="ledger.db")  # error: call-arg, reportCallIssue
SQLiteEventStore.start_link()  # error: call-arg, reportCallIssue
SQLiteEventStore.start_link(5)  # error: arg-type, reportArgumentType
SQLiteEventStore.start_link("ledger.db", durability="fast")  # error: arg-type, reportArgumentType
SQLiteEventStore.start_link("ledger.db", codec="json")  # error: arg-type, reportArgumentType
store: hume.EventStore = {}  # error: assignment, reportAssignmentType
shelf: hume.SnapshotStore = {}  # error: assignment, reportAssignmentType


class Numberless:
    def append(self, stream: str, payloads: list[Any]) -> None: ...
    def events(self, stream: str, after: int = 0, limit: int | None = None) -> list[str]:
        return []

    def last_seq(self, stream: str) -> int:
        return 0


numberless: hume.EventStore = Numberless()  # error: assignment, reportAssignmentType


# -- event types


@hume.event  # error: arg-type, reportArgumentType
class Nameless: ...


@hume.event("order", "2")  # error: arg-type, reportArgumentType
class Versioned: ...


@hume.event("order")  # error: type-var, reportArgumentType, reportUntypedFunctionDecorator
def order() -> None: ...


@hume.upcaster("order")  # error: call-arg, reportCallIssue, reportUntypedFunctionDecorator
def older(data: dict[str, Any]) -> dict[str, Any]:
    return data


@hume.upcaster("order", 1)  # error: type-var, reportArgumentType, reportUntypedFunctionDecorator
def lost() -> None: ...


# -- telemetry


def heard(event: tuple[str, ...]) -> None: ...


def four(event: tuple[str, ...], measurements: object, metadata: object, config: object) -> None: ...


hume.telemetry.attach("seen", "hume.store.append", four)  # error: arg-type, reportArgumentType
hume.telemetry.attach("seen", ("hume", "store", "append"), heard)  # error: arg-type, reportArgumentType
hume.telemetry.attach("seen", ("hume", "store", "append"))  # error: call-arg, reportCallIssue
hume.telemetry.attach(["seen"], ("hume", "store", "append"), four)  # error: arg-type, reportArgumentType
