"""What may be a child, what a spec says of it, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pykka
import pytest

from hume.actors import (
    ChildSpec,
    DynamicSupervisor,
    Supervisor,
    whereis,
)
from hume.errors import AlreadyStarted, StartFailed
from tests.actors.nursery import Boom, Nursery, children, states, which
from tests.helpers import LIMIT, Probe

# -- what a child may be


class Plain(pykka.ThreadingActor):
    """Knows nothing of Hume."""

    def __init__(self, greeting: str = "hello") -> None:
        super().__init__()
        self.greeting = greeting


def test_a_child_may_be_given_in_four_ways() -> None:
    """V1: a spec, a class with child_spec, a pair of a class and its options, a plain Pykka actor class."""
    nursery = Nursery()
    sup = Supervisor.start([nursery.spec("spec"), Probe, (DynamicSupervisor, {"name": "pair"}), Plain])
    assert [(info.id, info.type, info.actor_class) for info in which(sup)] == [
        ("spec", "worker", None),
        (Probe, "worker", Probe),
        ("pair", "supervisor", DynamicSupervisor),
        (Plain, "worker", Plain),
    ]
    assert set(states(sup).values()) == {"running"}
    assert whereis("pair") == children(sup)["pair"]


def test_the_options_of_a_pair_are_the_childs() -> None:
    """V1: (class, options) starts the class with these options."""
    inner = (Supervisor, {"children": [Probe], "name": "inner"})
    sup = Supervisor.start([(Plain, {"greeting": "good morning"}), inner])
    assert children(sup)[Plain].proxy().greeting.get(timeout=LIMIT) == "good morning"
    assert list(children("inner")) == [Probe]


def test_a_spec_has_otps_defaults() -> None:
    """V1: permanent, 5 seconds for a worker and no limit for a supervisor, worker, not significant."""
    spec = ChildSpec(id="a", start=Probe.start_link)
    assert (spec.restart, spec.shutdown, spec.type) == ("permanent", 5.0, "worker")
    assert (spec.significant, spec.backoff, spec.actor_class) == (False, None, None)
    assert ChildSpec(id="a", start=Probe.start_link, type="supervisor").shutdown is None
    assert ChildSpec(id="a", start=Probe.start_link, type="supervisor", shutdown=2).shutdown == 2
    assert Probe.child_spec().shutdown == 5.0
    assert Supervisor.child_spec([]).type == "supervisor"


@pytest.mark.parametrize("shutdown", [0, 0.0, 0.25, 7, None, "brutal_kill"])
def test_a_worker_and_a_supervisor_may_have_any_shutdown(shutdown: Any) -> None:
    """V1: no limit is allowed for a worker too."""
    assert ChildSpec(id="a", start=Probe.start_link, shutdown=shutdown).shutdown == shutdown
    assert ChildSpec(id="a", start=Probe.start_link, shutdown=shutdown, type="supervisor").shutdown == shutdown


def test_a_spec_can_be_copied_with_another_field() -> None:
    """V1: a class's own spec is changed with dataclasses.replace."""
    spec = dataclasses.replace(Supervisor.child_spec([], name="n"), restart="transient")
    assert (spec.id, spec.restart, spec.shutdown, spec.type) == ("n", "transient", None, "supervisor")


# -- bad input


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"restart": "prmanent"}, ["restart", "'prmanent'", "'permanent', 'transient', 'temporary'"]),
        ({"restart": None}, ["restart", "None", "'permanent'"]),
        ({"restart": ["permanent"]}, ["restart", "['permanent']"]),
        ({"shutdown": -10}, ["shutdown", "-10", "seconds", "None", "'brutal_kill'"]),
        ({"shutdown": -1.0}, ["shutdown", "-1.0"]),
        ({"shutdown": "brutal"}, ["shutdown", "'brutal'", "'brutal_kill'"]),
        ({"shutdown": True}, ["shutdown", "True"]),
        ({"shutdown": float("nan")}, ["shutdown", "nan"]),
        ({"shutdown": float("inf")}, ["shutdown", "inf", "None (no limit)"]),
        ({"shutdown": [5]}, ["shutdown", "[5]"]),
        ({"type": "wrker"}, ["type", "'wrker'", "'worker', 'supervisor'"]),
        ({"start": None}, ["start", "None", "callable"]),
        ({"start": "Probe"}, ["start", "'Probe'"]),
        ({"id": None}, ["id", "None"]),
        ({"id": ["a"]}, ["id", "['a']", "hashable"]),
        ({"significant": 1}, ["significant", "1"]),
        ({"significant": True}, ["'a'", "permanent"]),
        ({"backoff": 3.0}, ["backoff", "3.0", "Backoff"]),
    ],
    ids=str,
)
def test_a_bad_spec_is_refused_naming_the_value_and_the_allowed_ones(fields: dict[str, Any], named: list[str]) -> None:
    """V1: when it is made, long before anything is started."""
    with pytest.raises((TypeError, ValueError)) as caught:
        ChildSpec(**{"id": "a", "start": Probe.start_link, **fields})
    for word in named:
        assert word in str(caught.value)


def test_a_spec_needs_an_id_and_a_start() -> None:
    """V1: both are required."""
    with pytest.raises(TypeError, match="id"):
        ChildSpec(start=Probe.start_link)  # type: ignore[call-arg]  # that is the test
    with pytest.raises(TypeError, match="start"):
        ChildSpec(id="a")  # type: ignore[call-arg]  # that is the test


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"strategy": "none_for_one"}, ["strategy", "'none_for_one'", "'one_for_one', 'one_for_all', 'rest_for_one'"]),
        ({"strategy": None}, ["strategy", "None", "'one_for_one'"]),
        ({"max_restarts": -1}, ["max_restarts", "-1"]),
        ({"max_restarts": 1.5}, ["max_restarts", "1.5"]),
        ({"max_restarts": float("inf")}, ["max_restarts", "inf"]),
        ({"max_restarts": True}, ["max_restarts", "True"]),
        ({"max_seconds": 0}, ["max_seconds", "0", "greater than 0"]),
        ({"max_seconds": -1}, ["max_seconds", "-1"]),
        ({"max_seconds": float("inf")}, ["max_seconds", "inf"]),
        ({"max_seconds": None}, ["max_seconds", "None"]),
        ({"auto_shutdown": "always"}, ["auto_shutdown", "'always'", "'never', 'any_significant', 'all_significant'"]),
    ],
    ids=str,
)
def test_a_bad_option_is_refused_naming_the_value_and_the_allowed_ones(
    options: dict[str, Any], named: list[str]
) -> None:
    """V6: (and V5, V15) at the start, before any child is started."""
    nursery = Nursery()
    with pytest.raises(ValueError, match=named[0]) as caught:
        Supervisor.start(nursery.specs("a"), **options)
    for word in named:
        assert word in str(caught.value)
    assert nursery.read() == []


@pytest.mark.parametrize(
    "child", ["hej", 17, None, Boom, (Probe,), (Probe, "options"), (Probe, {}, {}), Probe.start_link, object()], ids=str
)
def test_what_is_no_child_is_refused_with_what_a_child_may_be(child: Any) -> None:
    """V1: at a start and at start_child, in the caller."""
    nursery = Nursery()
    with pytest.raises(TypeError, match="a child is a ChildSpec, an actor class, or"):
        Supervisor.start([nursery.spec("a"), child])
    sup = Supervisor.start(nursery.specs("b"))
    with pytest.raises(TypeError, match="a child is a ChildSpec, an actor class, or"):
        Supervisor.start_child(sup, child)
    assert nursery.read() == [("start", "b")]
    assert list(children(sup)) == ["b"]


def test_a_child_spec_that_makes_no_spec_is_refused() -> None:
    """V1: child_spec must return a ChildSpec."""

    class Odd:
        @staticmethod
        def child_spec() -> str:
            return "a spec"

    with pytest.raises(TypeError, match=r"Odd.child_spec must return a ChildSpec, not 'a spec'"):
        Supervisor.start([Odd])


def test_duplicate_ids_are_refused_before_any_child_is_started() -> None:
    """V14: the error names the id."""
    nursery = Nursery()
    with pytest.raises(ValueError, match="different ids: 'b' is there twice"):
        Supervisor.start(nursery.specs("a", "b", "c", "b"))
    assert nursery.read() == []


@pytest.mark.parametrize("result", ["a pid", 17, Probe, object(), ("ok", None)], ids=str)
def test_a_start_that_returns_no_actor_is_a_failed_start_that_names_it(result: Any) -> None:
    """V2: in a start the others are stopped; in start_child the tree is as it was."""
    nursery, bad = Nursery(), ChildSpec(id="bad", start=lambda: result)
    message = r"child 'bad' failed to start.*must return the ref of an actor, or None, not"
    with pytest.raises(StartFailed, match=message) as caught:
        Supervisor.start([nursery.spec("a"), bad])
    assert isinstance(caught.value.__cause__, TypeError)
    assert nursery.read() == [("start", "a"), ("stop", "a", "shutdown")]
    sup = Supervisor.start(nursery.specs("a"))
    with pytest.raises(StartFailed, match="must return the ref"):
        Supervisor.start_child(sup, bad)
    assert list(children(sup)) == ["a"]


def test_a_start_that_returns_a_plain_pykka_actor_says_what_to_do() -> None:
    """V1: a plain actor is supervised by naming its class."""
    plain = Plain.start()
    with pytest.raises(StartFailed, match="name the class itself as the child"):
        Supervisor.start([ChildSpec(id="plain", start=lambda: plain)])
    plain.stop()


def test_a_supervisor_with_a_taken_name_starts_no_child() -> None:
    """V2: the name is claimed before init; the error has the ref."""
    nursery = Nursery()
    first = Supervisor.start([], name="taken")
    with pytest.raises(AlreadyStarted, match="'taken'") as caught:
        Supervisor.start(nursery.specs("a"), name="taken")
    assert caught.value.ref == first
    assert nursery.read() == []
