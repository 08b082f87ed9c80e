# pyright: strict
"""Mistakes with projections that are found before anything runs."""

from __future__ import annotations

from typing import cast

import pykka
from pykka.typing import ActorMemberMixin, proxy_field, proxy_method

import hume


class Added: ...


Stock = dict[str, int]


class Inventory(hume.Projection[Stock], store=hume.EventStoreActor):
    label = "warehouse"

    def init_state(self, projection: object) -> Stock:
        return {}

    def handle_event(self, event: Added, state: Stock) -> Stock:
        return state

    def total(self, minimum: int = 0) -> int:
        return len(self.state) + minimum


class InventoryProxy(ActorMemberMixin, pykka.ActorProxy[Inventory]):
    label = proxy_field(Inventory.label)
    total = proxy_method(Inventory.total)


# -- classes


class Misspelt(Inventory, snapshot_evry=5): ...  # error: call-arg, reportCallIssue, reportGeneralTypeIssues


class Mistyped(Inventory, snapshot_every="5"): ...  # error: arg-type, reportArgumentType, reportGeneralTypeIssues


class Shelfless(Inventory, snapshots={}): ...  # error: arg-type, reportArgumentType, reportGeneralTypeIssues


class WrongStart(hume.Projection[Stock]):
    def init_state(self, projection: object) -> list[str]:  # error: override, reportIncompatibleMethodOverride
        return []


class WrongEnd(Inventory):
    def handle_event(self, event: Added, state: Stock) -> str:  # error: override, reportIncompatibleMethodOverride
        return ""


class WrongState(Inventory):
    def handle_event(self, event: Added, state: str) -> Stock:  # error: override, reportIncompatibleMethodOverride
        return {}


class NoState(Inventory):
    def handle_event(self, event: Added) -> Stock:  # error: override, reportIncompatibleMethodOverride
        return {}


class WrongSnapshot(Inventory):
    def on_caught_up(self, snapshot: Stock) -> None: ...  # error: override, reportIncompatibleMethodOverride


class WrongClause(hume.Projection[Stock]):
    def init_state(self, projection: object) -> Stock:
        return {}

    @hume.handles("Added")  # error: arg-type, reportArgumentType
    def added(self, event: Added, state: Stock) -> Stock:
        return state


class Assigning(Inventory):
    def reset(self) -> None:
        self.state = {}  # error: assignment, reportAttributeAccessIssue


# -- starts

hume.start_link(Inventory)  # error: call-arg, reportCallIssue
hume.start_link(Inventory, "warehouse", stream="warehouse")  # error: arg-type, reportArgumentType
hume.start_link(Inventory, stream="warehouse", strem="attic")  # error: call-arg, reportCallIssue
hume.start_link(Inventory, stream="warehouse", snapshot_after="30")  # error: arg-type, reportArgumentType
hume.start_link(Inventory, stream="warehouse", name=["inventory"])  # error: arg-type, reportArgumentType
hume.start_link(hume.EventStoreActor, stream="warehouse")  # error: type-var, reportArgumentType
hume.start("Inventory", stream="warehouse")  # error: arg-type, reportArgumentType
Inventory.start(projection="p")  # error: call-arg, reportCallIssue
Inventory.child_spec(stream="warehouse", restart="temporary")  # error: call-arg, reportCallIssue

# -- reads

ref = hume.start(Inventory, stream="warehouse")
text: str = hume.state(ref)  # error: assignment, reportAssignmentType
hume.state(ref).append(1)  # error: attr-defined, reportAttributeAccessIssue, reportUnknownMemberType
hume.snapshot(ref).state.append(1)  # error: attr-defined, reportAttributeAccessIssue, reportUnknownMemberType
seq: str = hume.take_snapshot(ref).seq  # error: assignment, reportAssignmentType
count: str = hume.query(ref, len)  # error: assignment, reportAssignmentType
pair: tuple[int, Stock] = hume.catch_up_sync(ref)  # error: assignment, reportAssignmentType
of_proxy: str = hume.state(ref.proxy())  # error: assignment, reportAssignmentType
hume.query(ref, "len")  # error: call-overload, reportArgumentType, reportCallIssue
hume.state(ref, timeout="5")  # error: call-overload, reportArgumentType, reportCallIssue
hume.state(ref, at_least="2")  # error: call-overload, reportArgumentType, reportCallIssue
hume.state(["inventory"])  # error: call-overload, reportArgumentType, reportCallIssue
hume.status({})  # error: arg-type, reportArgumentType
proxy = cast("InventoryProxy", ref.proxy())
proxy.total("many")  # error: arg-type, reportArgumentType
proxy.label.get() + 1  # error: operator, reportOperatorIssue, reportUnusedExpression

# -- folds

hume.replay(Inventory, None, 5)  # error: arg-type, reportArgumentType
hume.replay(Inventory, None, [Added()])  # error: list-item, reportArgumentType
hume.replay(Inventory, hume.Snapshot(0, "none"), [])  # error: misc, reportArgumentType
hume.evolve(Inventory, Added(), None)  # error: arg-type, reportArgumentType
hume.evolve(Inventory(), (1, Added()), None)  # error: arg-type, reportArgumentType
hume.Snapshot("1", {})  # error: arg-type, reportArgumentType, reportUnknownArgumentType
