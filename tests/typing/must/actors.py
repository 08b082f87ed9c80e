# pyright: strict
"""Servers and supervisors: callbacks, starts and methods of one's own have their natural signatures."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Self, assert_type, cast

import pykka
from pykka.typing import ActorMemberMixin, proxy_method

import hume
from hume.actors import NO_REPLY, Crash, Down, Ignore, Reply, Stop, Transfer

if TYPE_CHECKING:
    from collections.abc import Hashable


class Do(enum.Enum):
    NEXT = 1
    LATER = 2


class Counter(hume.GenServer):
    trap_exit = True

    def init(self, first: int, *, step: int = 1) -> None:
        self.count = first
        self.step = step
        self.waiting: Reply | None = None
        self.continue_with("ready")

    def handle_continue(self, argument: str) -> None:
        assert_type(self.send_after(60, "tick").cancel(), float | None)

    def handle_call(self, message: Do, from_: Reply) -> object:
        match message:
            case Do.NEXT:
                return self.advance()
            case Do.LATER:
                self.waiting = from_
                return NO_REPLY

    def handle_cast(self, message: int) -> None:
        self.count = message

    def handle_info(self, message: Down | Transfer | str) -> None:
        if isinstance(message, Down):
            raise Stop(message.reason)

    def terminate(self, reason: str | Crash) -> None:
        self.count = 0

    def advance(self) -> int:
        self.count += self.step
        return self.count


class CounterProxy(ActorMemberMixin, pykka.ActorProxy[Counter]):
    advance = proxy_method(Counter.advance)


class Lazy(hume.GenServer):
    """A server with a start of its own, as is the habit in OTP."""

    def init(self, name: str) -> None:
        if not name:
            raise Ignore

    @classmethod
    def start_link(cls, name: str) -> pykka.ActorRef[Self]:
        return super().start_link(name, name=name)


class Shop(hume.Supervisor):
    def init(self, counters: int) -> None:
        super().init([Shop.counter(number) for number in range(counters)], strategy="one_for_all")

    @staticmethod
    def counter(number: int) -> hume.ChildSpec:
        return hume.ChildSpec(id=number, start=lambda: Counter.start_link(number), restart="transient", shutdown=1.5)


class Floor(hume.DynamicSupervisor):
    def init(self, kind: str, *, most: int) -> None:
        super().init(max_children=most)

    def terminate(self, reason: object) -> None:
        super().terminate(reason)


def servers() -> None:
    ref = Counter.start(10, name="counter", step=2)
    assert_type(ref, pykka.ActorRef[Counter])
    assert hume.GenServer.call(ref, Do.NEXT, timeout=None) == 12
    assert_type(hume.GenServer.cast("counter", 5), None)
    assert_type(cast("CounterProxy", ref.proxy()).advance(), pykka.Future[int])
    assert_type(Lazy.start_link("lazy"), pykka.ActorRef[Lazy])
    # only a class that raises Ignore has a start that may return None, and says so itself
    maybe = cast("pykka.ActorRef[Lazy] | None", Lazy.start(""))
    assert maybe is None
    hume.stop(ref, timeout=1)
    assert_type(hume.kill("lazy"), bool)


def supervisors() -> None:
    pairs: list[Any] = [Shop.counter(1), (Counter, {"first": 5, "name": "five"}), Plain]
    top = hume.Supervisor.start_link(pairs, strategy="rest_for_one", max_restarts=5, name="top")
    assert_type(top, pykka.ActorRef[hume.Supervisor])
    assert hume.Supervisor.which_children(top)[0].type == "worker"
    assert_type(Shop.start_link(2), pykka.ActorRef[Shop])
    floor = Floor.start_link("ground", most=1)
    assert_type(hume.DynamicSupervisor.start_child(floor, (Counter, {"first": 1})), pykka.ActorRef[Any] | None)
    assert_type(str(hume.tree()), str)


class Plain(pykka.ThreadingActor):
    def on_receive(self, message: object) -> None: ...


class Keeper(hume.GenServer):
    """A table's owner, whose messages are anything."""

    def init(self, key: Hashable) -> None:
        self.table = hume.Table(key, access="protected", heir=hume.HeirActor, heir_data=1)

    def handle_call(self, message: Any, from_: Reply) -> int:
        self.table.insert("row", message)
        return self.table.epoch


def tables() -> None:
    keeper = Keeper.start(("keeper", 1))
    assert hume.GenServer.call(keeper, [1, 2]) == 1
    table = hume.Table.whereis(("keeper", 1))
    assert_type(table, hume.Table | None)
    assert table is not None
    assert dict(table) == {"row": [1, 2]}


if __name__ == "__main__":
    servers()
    supervisors()
    tables()
