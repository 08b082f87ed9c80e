"""hume.tree(): the supervision tree as data, and drawn. No actor is asked, so none can hold it up."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume.actors import Application, Backoff, ChildSpec, DynamicSupervisor, GenServer, HeirActor, Node, Supervisor, tree
from tests.actors.nursery import Nursery, crash, which
from tests.helpers import LIMIT, Gate, ManualClock, in_thread
from tests.samples import STORE, Collected, Total, doing

if TYPE_CHECKING:
    from collections.abc import Hashable


class Printer(GenServer):
    """A worker that holds still while it is told to."""

    def handle_cast(self, message: Gate) -> None:
        message.hold()


class Plain(pykka.ThreadingActor):
    """Knows nothing of Hume."""


def node_of(name: Hashable) -> Node:
    """Return the node of the actor that was started with a name."""
    (found,) = (node for node in tree() if node.name == name)
    return found


def test_without_an_application_the_root_is_stopped() -> None:
    assert hume.tree() == Node(Application, Application, None, "stopped", 0, None, 0)
    assert str(hume.tree()) == "Application, stopped"


def test_every_actor_below_the_application_is_there_in_start_order() -> None:
    inner = [(Printer, {"name": "labels"}), ChildSpec(id="spare", start=Printer.start_link), Plain]
    outer = [
        (Total, {"stream": "s", "name": "total"}),
        ChildSpec(id="inner", start=lambda: Supervisor.start_link(inner), type="supervisor"),
        (DynamicSupervisor, {"name": "crowd"}),
    ]
    hume.EventStoreActor.start_link()
    Supervisor.start_link(outer, name="outer")
    hume.DynamicSupervisor.start_child("crowd", Printer)
    hume.state("total")
    nodes = list(tree())
    kinds = [None if node.actor_class is None else node.actor_class.__name__ for node in nodes]
    assert [(kind, node.name, node.identity, len(node.children)) for kind, node in zip(kinds, nodes, strict=True)] == [
        ("Application", Application, None, 3),
        ("HeirActor", HeirActor, HeirActor, 0),
        ("EventStoreActor", STORE, None, 0),
        ("Supervisor", "outer", None, 3),
        ("Total", "total", ("tests.samples.Total", "s"), 0),
        ("Supervisor", None, "inner", 3),
        ("Printer", "labels", "labels", 0),
        ("Printer", None, "spare", 0),
        ("Plain", None, Plain, 0),
        ("DynamicSupervisor", "crowd", "crowd", 1),
        ("Printer", None, Printer, 0),
    ]
    assert {node.state for node in nodes if node.name != "total"} == {"running"}
    assert all(node.uptime is not None and node.restarts == node.mailbox == 0 for node in nodes)


def test_restarts_belong_to_the_child_and_the_uptime_to_its_process() -> None:
    time = ManualClock()

    class Clocked(Printer):
        clock = time

    Supervisor.start_link([(Clocked, {"name": "old"}), (Clocked, {"name": "new"})], name="sup")
    time.advance(60.0)
    hume.kill("new")
    which("sup")
    time.advance(5.0)
    told = {name: (node.restarts, node.uptime) for name in ("old", "new") for node in [node_of(name)]}
    assert told == {"old": (0, 65.0), "new": (1, 5.0)}


def test_a_child_without_a_process_says_whether_it_comes_back() -> None:
    nursery = Nursery()
    patient = nursery.spec("patient", backoff=Backoff(first=1000.0, maximum=1000.0))
    Supervisor.start_link([patient, nursery.spec("idle")], name="sup")
    crash(which("sup")[0].ref)  # type: ignore[arg-type]  # it runs
    Supervisor.terminate_child("sup", "idle")
    assert node_of("sup").children == (
        Node(None, None, "patient", "restarting", 1, None, 0),
        Node(None, None, "idle", "stopped", 0, None, 0),
    )


def test_what_is_busy_shows_what_waits_for_it_and_a_projection_its_phase() -> None:
    hume.EventStoreActor.start_link()
    with Gate() as gate, Gate() as other:
        hume.start_link(Collected, stream="s", name="busy")
        hume.publish(STORE, "s", doing(gate.hold))
        gate.wait()
        Printer.start_link(name="printer")
        for message in (other, "waits", "waits too"):
            GenServer.cast("printer", message)
        other.wait()
        assert (node_of("busy").state, node_of("printer").state) == ("catching_up", "running")
        assert node_of("printer").mailbox == 2
        assert str(node_of("printer")).endswith(", 2 waiting")


def test_it_is_drawn_with_box_characters() -> None:
    leaf = Node("labels", Printer, "labels", "running", 2, 61.25, 3)
    lost = Node(None, None, "gone", "restarting", 1, None, 0)
    total = Node(None, Total, ("tests.samples.Total", ("account", 1)), "live", 0, 0.5, 0)
    inner = Node(None, Supervisor, "desk", "running", 0, 70.0, 0, (leaf, lost))
    root = Node(Application, Application, None, "running", 0, 71.0, 0, (inner, total))
    assert str(root).splitlines() == [
        "Application, running, up 71.0 s",
        "├── Supervisor 'desk', running, up 70.0 s",
        "│   ├── Printer 'labels', running, up 61.2 s, 2 restarts, 3 waiting",
        "│   └── ? 'gone', restarting, 1 restart",
        "└── Total ('account', 1), live, up 0.5 s",
    ]


@pytest.mark.parametrize(
    ("encoding", "drawn"),
    [
        ("ascii", ["Application, running", "|-- Printer 'Zo\\xeb', running", "`-- Printer '\\u0436', running"]),
        ("latin-1", ["Application, running", "|-- Printer 'Zoë', running", "`-- Printer '\\u0436', running"]),
        ("utf-8", ["Application, running", "├── Printer 'Zoë', running", "└── Printer 'ж', running"]),
        (None, ["Application, running", "├── Printer 'Zoë', running", "└── Printer 'ж', running"]),
    ],
)
def test_it_is_drawn_with_what_standard_output_can_take(
    encoding: str | None, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that prints it must not fail because of where its output goes."""
    monkeypatch.setattr(sys, "stdout", encoding and io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    nodes = tuple(Node(name, Printer, None, "running", 0, None, 0) for name in ("Zoë", "ж"))
    root = Node(Application, Application, None, "running", 0, None, 0, nodes)
    print(root)  # noqa: T201 - what is tested
    assert str(root).splitlines() == drawn


def test_it_can_be_looked_at_while_children_come_and_go() -> None:
    DynamicSupervisor.start_link(name="crowd")

    def come_and_go() -> None:
        for _ in range(100):
            ref: Any = DynamicSupervisor.start_child("crowd", Printer)
            DynamicSupervisor.start_child("crowd", Printer)
            DynamicSupervisor.terminate_child("crowd", ref)

    going = in_thread(come_and_go)
    while not going.done():
        assert str(tree()).count("Printer") <= 101
    going.result(LIMIT)
    assert str(tree()).count("Printer") == 100
