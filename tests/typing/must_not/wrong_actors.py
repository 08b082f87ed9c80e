# pyright: strict
"""Mistakes with servers, supervisors and tables that are found before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pykka
from pykka.typing import ActorMemberMixin, proxy_method

import hume

if TYPE_CHECKING:
    from hume.actors import Reply


class Counter(hume.GenServer):
    def init(self, first: int) -> None:
        self.count = first

    def advance(self, by: int) -> int:
        self.count += by
        return self.count


class CounterProxy(ActorMemberMixin, pykka.ActorProxy[Counter]):
    advance = proxy_method(Counter.advance)


# -- callbacks


class NoCaller(hume.GenServer):
    def handle_call(self, message: str) -> str:  # error: override, reportIncompatibleMethodOverride
        return message


class NoMessage(hume.GenServer):
    def handle_info(self) -> None: ...  # error: override, reportIncompatibleMethodOverride


class NoReason(hume.GenServer):
    def terminate(self) -> None: ...  # error: override, reportIncompatibleMethodOverride


class Answering(hume.GenServer):
    def handle_cast(self, message: str) -> str:  # error: override, reportIncompatibleMethodOverride
        return message


class Confused(hume.GenServer):
    def handle_call(self, message: str, from_: int) -> str:  # error: override, reportIncompatibleMethodOverride
        return message


class Phone(hume.GenServer):
    def call(self, number: str) -> None: ...  # error: misc, override, reportGeneralTypeIssues


class Loud(hume.GenServer):
    trap_exit = "yes"  # error: assignment, reportAssignmentType


class Replying(hume.GenServer):
    def handle_call(self, message: object, from_: Reply) -> int:
        return "5"  # error: return-value, reportReturnType


# -- use

ref = Counter.start_link(1)
number: int = Counter.start_link(1)  # error: assignment, reportAssignmentType
count = ref.count  # error: attr-defined, reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType
other: pykka.ActorRef[Phone] = ref  # error: assignment, reportAssignmentType
cast("CounterProxy", ref.proxy()).advance("one")  # error: arg-type, reportArgumentType
hume.GenServer.call(["counter"], "next")  # error: arg-type, reportArgumentType
hume.GenServer.call(ref, "next", timeout="5")  # error: arg-type, reportArgumentType
hume.GenServer.cast(ref)  # error: call-arg, reportCallIssue
hume.stop(ref, timeout="1")  # error: arg-type, reportArgumentType
hume.stop({})  # error: arg-type, reportArgumentType
hume.kill(ref, "now")  # error: call-arg, reportCallIssue
hume.whereis(["counter"])  # error: arg-type, reportArgumentType
Counter(1).send_after("1", "tick")  # error: arg-type, reportArgumentType
Counter(1).monitor([])  # error: arg-type, reportArgumentType

# -- supervisors

hume.ChildSpec("counter")  # error: call-arg, reportCallIssue
hume.ChildSpec(id="counter", start=ref)  # error: arg-type, reportArgumentType
hume.ChildSpec(id="counter", start=Counter.start_link, restart="always")  # error: arg-type, reportArgumentType
hume.ChildSpec(id="counter", start=Counter.start_link, shutdown="kill")  # error: arg-type, reportArgumentType
hume.ChildSpec(id=["counter"], start=Counter.start_link)  # error: arg-type, reportArgumentType
hume.Backoff(first="1")  # error: arg-type, reportArgumentType
hume.Supervisor.terminate_child("shop")  # error: call-arg, reportCallIssue
hume.Supervisor.which_children(["shop"])  # error: arg-type, reportArgumentType

# -- tables

hume.Table("stock", access="secret")  # error: arg-type, reportArgumentType
hume.Table("stock", heir=[])  # error: arg-type, reportArgumentType
hume.Table(["stock"])  # error: arg-type, reportArgumentType
table = hume.Table("stock")
table["nut"] = 5  # error: index, reportIndexIssue
table.insert(["nut"], 5)  # error: arg-type, reportArgumentType
del table["nut"]  # error: attr-defined, reportIndexIssue
