"""Exit signals and kills: of a supervisor's parent, of strangers, of itself, and of what is left behind."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from hume.actors import (
    ChildSpec,
    GenServer,
    Supervisor,
    Table,
    application,
    kill,
    stop,
    whereis,
)
from hume.errors import ActorDead, HumeError, NotOwner, TableDeleted
from tests.actors.nursery import Boom, Nursery, Worker, children, end, refuse, states, which
from tests.helpers import LIMIT, Gate, Probe, do, eventually, exit_reason, gone, in_thread

if TYPE_CHECKING:
    from collections.abc import Callable


class Plain(pykka.ThreadingActor):
    """Knows nothing of Hume."""

    def __init__(self, greeting: str = "hello") -> None:
        super().__init__()
        self.greeting = greeting


def test_an_exit_signal_of_its_parent_stops_a_supervisor_with_its_children() -> None:
    """V16: whatever the parent's reason."""
    for reason in ("shutdown", "normal", Boom("parent")):
        nursery, parent = Nursery(), Probe.start()
        sup = do(parent, lambda _actor: Supervisor.start_link(nursery.specs("a", "b")))  # noqa: B023 - called at once
        if isinstance(reason, Boom):
            GenServer.cast(parent, refuse(reason))
        else:
            stop(parent, reason)
        gone(sup)
        assert nursery.read()[2:] == [("stop", "b", "shutdown"), ("stop", "a", "shutdown")]


def test_an_exit_signal_of_anybody_else_is_ignored() -> None:
    """V16: a linked stranger's death ends nothing and restarts nothing."""
    nursery = Nursery()
    sup = Supervisor.start(nursery.specs("a"))
    before = children(sup)
    for reason in ("normal", "shutdown", "kill", Boom("stranger")):
        stranger = Worker.start("stranger", [])
        GenServer.call(stranger, lambda worker: worker.link(sup))
        end(stranger, reason)
    assert children(sup) == before


def test_a_supervisor_started_outside_of_actors_stops_with_the_application() -> None:
    """V16: its parent is the application."""
    nursery = Nursery()
    sup = Supervisor.start_link(nursery.specs("a"))
    stop(application(), "shutdown", timeout=LIMIT)
    assert exit_reason(sup) == "shutdown"
    assert nursery.read() == [("start", "a"), ("stop", "a", "shutdown")]


def test_a_killed_supervisor_leaves_no_orphans() -> None:
    """V16: naive port 8: its children hear the exit signal, those that trap exits too, and their children."""
    nursery = Nursery()
    inner = Supervisor.child_spec(nursery.specs("leaf"), name="inner")
    sup = Supervisor.start([nursery.spec("a"), (Probe, {"trap_exit": True}), inner, Plain])
    refs = [*children(sup).values(), *children("inner").values()]
    kill(sup)
    for ref in refs:
        gone(ref)
    assert whereis("inner") is None


def test_a_supervisor_that_was_killed_is_restarted_when_what_it_left_behind_is_gone() -> None:
    """V9: V18: a busy grandchild still has its name; its successor waits for that, and no restart is used up."""
    nursery, gate = Nursery(), Gate()
    leaf = ChildSpec(id="leaf", start=functools.partial(Worker.start_link, "leaf", nursery.journal, name="leaf"))
    sup = Supervisor.start([Supervisor.child_spec([leaf], name="inner")], max_restarts=1)
    first = whereis("leaf")
    with gate:
        GenServer.send("leaf", lambda _worker: gate.hold())
        gate.wait()
        kill("inner")
        asking = in_thread(which, sup)
        assert not asking.done()
    asking.result(LIMIT)
    assert whereis("leaf") not in (None, first)
    assert states(sup) == {"inner": "running"}


@pytest.mark.parametrize("shutdown", ["brutal_kill", 0.02])
def test_a_supervisor_that_is_killed_for_its_shutdown_is_down_when_what_it_left_behind_is(shutdown: Any) -> None:
    """V3: V18: a subtree is stopped as a whole, and its names are free."""
    nursery, gate = Nursery(), Gate()
    leaf = ChildSpec(id="leaf", start=functools.partial(Worker.start_link, "leaf", nursery.journal, name="leaf"))
    inner = dataclasses.replace(Supervisor.child_spec([leaf], name="inner"), shutdown=shutdown)
    sup = Supervisor.start([inner])
    first = whereis("leaf")
    with gate:
        GenServer.send("leaf", lambda _worker: gate.hold())
        gate.wait()
        terminating = in_thread(Supervisor.terminate_child, sup, "inner")
        eventually(lambda: whereis("inner") is None)
        assert not terminating.done()
    terminating.result(LIMIT)
    assert whereis("leaf") is None
    Supervisor.restart_child(sup, "inner")
    assert whereis("leaf") not in (None, first)


def test_what_a_killed_supervisor_left_behind_is_killed_when_it_does_not_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """V18: the supervisor does not wait for ever for somebody else's child."""
    monkeypatch.setattr("hume.actors._child._ORPHANS_TIMEOUT", 0.02)
    nursery, gate = Nursery(), Gate()
    leaf = ChildSpec(id="leaf", start=functools.partial(Worker.start_link, "leaf", nursery.journal, name="leaf"))
    sup = Supervisor.start([Supervisor.child_spec([leaf], name="inner")], max_restarts=1)
    first = whereis("leaf")
    assert first is not None
    with gate:
        GenServer.send("leaf", lambda _worker: gate.hold())
        gate.wait()
        kill("inner")
        assert states(sup) == {"inner": "running"}
        assert whereis("leaf") not in (None, first)
        assert not first.is_alive()
    gone(first)


def test_the_zombie_of_a_killed_child_touches_nothing_any_more() -> None:
    """V18: tables, names, servers and supervisors refuse it, and its successor is not disturbed."""
    errors: dict[str, BaseException] = {}
    gate, tables = Gate(), []

    class Owner(Worker):
        def init(self, *args: Any) -> None:
            super().init(*args)
            self.table = Table("table")
            tables.append(self.table)

    def misbehave(zombie: Owner) -> None:
        gate.hold()
        attempts: dict[str, Callable[[], object]] = {
            "insert": lambda: zombie.table.insert("key", "zombie"),
            "its successor's table": lambda: tables[-1].insert("key", "zombie"),
            "call": lambda: GenServer.call("b", lambda worker: worker.id),
            "start": lambda: Worker.start("c", []),
            "start_child": lambda: Supervisor.start_child("sup", Probe),
            "new table": lambda: Table("another"),
        }
        for name, attempt in attempts.items():
            try:
                attempt()
            except HumeError as error:
                errors[name] = error

    owner = ChildSpec(id="a", start=functools.partial(Owner.start_link, "a", [], name="a"), shutdown=0.02)
    other = ChildSpec(id="b", start=functools.partial(Worker.start_link, "b", [], name="b"))
    sup = Supervisor.start([owner, other], name="sup")
    zombie = children(sup)["a"]
    with gate:
        GenServer.send("a", misbehave)
        gate.wait()
        Supervisor.terminate_child(sup, "a")  # it does not heed the shutdown
        successor = Supervisor.restart_child(sup, "a")
        assert whereis("a") == successor
    gone(zombie)
    assert {name: type(error) for name, error in errors.items()} == {
        "insert": TableDeleted,
        "its successor's table": NotOwner,
        "call": ActorDead,
        "start": ActorDead,
        "start_child": ActorDead,
        "new table": ActorDead,
    }
    assert whereis("a") == successor
    assert list(tables[-1]) == []
    assert states(sup) == {"a": "running", "b": "running"}
