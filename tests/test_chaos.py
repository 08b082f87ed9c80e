"""A tree of three levels under random kills and eight publishers; then quiet, and everything is as the model says."""

from __future__ import annotations

import dataclasses
import functools
import random
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pykka
import pytest

import hume
from hume.actors import Application, Backoff, ChildSpec, HeirActor, Table, application
from hume.actors import _table as tables
from tests.helpers import eventually

STORES = ("store-a", "store-b")
PROJECTIONS = 25  # of each store
KILLS = 200
PUBLISHERS = 8
MANY = 10**6  # restarts that are allowed: what is tested is not when they give up


class Sum(hume.Projection[int], snapshot_every=20):
    """The sum of a stream's numbers, and how many there were."""

    def init_state(self, projection: Any) -> int:
        return 0

    def handle_event(self, event: int, state: int) -> int:
        return state + event


def projection(store: str, number: int) -> ChildSpec:
    """Return the spec of a projection that comes back soon however often it is killed."""
    spec = Sum.child_spec(
        stream=f"{store}/{number % 10}", projection=(store, number), name=("sum", store, number), store=store
    )
    return dataclasses.replace(spec, backoff=Backoff(base=0.005, maximum=0.05))


def projections(store: str) -> Any:
    """Start the supervisor of a store's projections."""
    children = [projection(store, number) for number in range(PROJECTIONS)]
    return hume.Supervisor.start_link(children, max_restarts=MANY)


def branch(store: str) -> Any:
    """Start a store and, after it, the supervisor of its projections."""
    children = [
        ChildSpec(id="store", start=lambda: hume.EventStoreActor.start_link(name=store)),
        ChildSpec(id="projections", start=lambda: projections(store), type="supervisor"),
    ]
    return hume.Supervisor.start_link(children, strategy="rest_for_one", max_restarts=MANY)


def branch_spec(store: str) -> ChildSpec:
    """Return the spec of a branch."""
    return ChildSpec(id=store, start=lambda: branch(store), type="supervisor")


def publish(seed: int, quiet: threading.Event, said: list[tuple[str, int, int]]) -> None:
    """Publish numbers until it is quiet; note stream, number in the stream, and what was published."""
    chance = random.Random(seed)  # noqa: S311 - a test's own
    while not quiet.wait(
        0.001
    ):  # the pace: eight of them at full speed would leave the killer little of the interpreter
        store, payload = chance.choice(STORES), chance.randrange(100)
        stream = f"{store}/{chance.randrange(10)}"
        try:
            said.append((stream, hume.publish(store, stream, payload), payload))
        except hume.ActorDead:
            continue  # the store is being restarted; nothing was appended


def kill_at_random(seed: int, spared: set[Any], said: list[list[tuple[str, int, int]]]) -> None:
    """Kill actors of every level, one after the other; after each the publishers get on a little."""
    chance = random.Random(seed)  # noqa: S311 - a test's own

    def victims() -> list[Any]:
        return [ref for ref in pykka.ActorRegistry.get_all() if ref.actor_urn not in spared]

    for _ in range(KILLS):
        published = sum(map(len, said))
        eventually(functools.partial(has_grown, said, published))
        for victim in chance.choices(victims() or [None]):
            if victim is not None:
                hume.kill(victim)


def has_grown(said: list[list[tuple[str, int, int]]], published: int) -> bool:
    """Tell whether the publishers got on a little."""
    return sum(map(len, said)) > published + 10


def refs_below(*roots: Any) -> set[str]:
    """Return the URNs of these supervisors and of all actors below them."""
    found: set[str] = set()

    def walk(ref: Any) -> None:
        found.add(ref.actor_urn)
        if issubclass(ref.actor_class, hume.Supervisor):
            for child in hume.Supervisor.which_children(ref):
                assert isinstance(child.ref, pykka.ActorRef), child
                walk(child.ref)

    for root in roots:
        walk(root)
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_any_kills_every_projection_is_what_was_published(seed: int) -> None:
    """No event lost or doubled, no orphan, no thread left, no table without an owner."""
    threads_before = threading.active_count()
    top = hume.Supervisor.start_link([branch_spec(store) for store in STORES], max_restarts=MANY)
    spared = {top.actor_urn, application().actor_urn}
    quiet = threading.Event()
    said: list[list[tuple[str, int, int]]] = [[] for _ in range(PUBLISHERS)]
    with ThreadPoolExecutor(PUBLISHERS) as pool:
        publishers = [pool.submit(publish, seed, quiet, said[seed]) for seed in range(PUBLISHERS)]
        try:
            kill_at_random(seed, spared, said)
        finally:
            quiet.set()
        for publisher in publishers:
            publisher.result(60)

    model: dict[str, dict[int, int]] = defaultdict(dict)
    for stream, seq, payload in (line for lines in said for line in lines):
        assert seq not in model[stream], "two events have one number"
        model[stream][seq] = payload
    for events in model.values():
        assert sorted(events) == list(range(1, len(events) + 1))

    for store in STORES:
        hume.ref(store).wait(60)
        for number in range(PROJECTIONS):
            events = model[f"{store}/{number % 10}"]
            eventually(functools.partial(is_current, ("sum", store, number), events))

    eventually(
        lambda: whole_tree(application(), top) == {ref.actor_urn for ref in pykka.ActorRegistry.get_all()}
    )  # no orphan
    for table in list(tables._named.values()):
        assert isinstance(table, Table)
        assert table.owner is not None, table
        assert table.owner.is_alive(), table

    hume.stop(top, timeout=60)
    hume.actors.stop_application()
    assert hume.whereis(Application) is None
    assert hume.whereis(HeirActor) is None
    eventually(lambda: threading.active_count() <= threads_before)


def whole_tree(*roots: Any) -> set[str]:
    """Return the tree's URNs, or nothing while a part of it is being restarted."""
    try:
        return refs_below(*roots)
    except (AssertionError, hume.ActorDead):
        return set()


def is_current(name: Any, events: dict[int, int]) -> bool:
    """Tell whether the projection is there and has the sum of these events."""
    try:
        return bool(hume.state(name, timeout=30) == sum(events.values()))
    except hume.ActorDead:
        return False
