"""What a `store` argument may be."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume.actors import GenServer
from tests.samples import STORE, Collected, PairStore

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence


class Names(enum.Enum):
    EVENTS = 1


@dataclass(frozen=True)
class Tenant:
    name: str


class PlainActor(pykka.ThreadingActor):
    """A plain Pykka actor that has the methods."""

    def __init__(self) -> None:
        super().__init__()
        self.log = PairStore()

    def append(self, stream: Hashable, payloads: Sequence[Any], expect_seq: int | None = None) -> int:
        return self.log.append(stream, payloads, expect_seq)

    def events(self, stream: Hashable, after: int = 0, limit: int | None = None) -> list[tuple[int, Any]]:
        return list(self.log.events(stream, after, limit))

    def last_seq(self, stream: Hashable) -> int:
        return self.log.last_seq(stream)


class Server(GenServer):
    """A server of Hume's that has the methods, by itself no store of Hume's."""

    def init(self) -> None:
        self.log = PairStore()

    append, events, last_seq = PlainActor.append, PlainActor.events, PlainActor.last_seq


class NoStore(GenServer):
    def append(self) -> None: ...

    def last_seq(self) -> None: ...


def by_class() -> Any:
    STORE.start_link()
    return STORE


def by_name() -> Any:
    STORE.start_link(name="events")
    return "events"


def by_ref() -> Any:
    return STORE.start_link()


def by_proxy() -> Any:
    return STORE.start_link().proxy()


def by_an_enum_member() -> Any:
    STORE.start_link(name=Names.EVENTS)
    return Names.EVENTS


def plain_object() -> Any:
    return PairStore()


def plain_actor() -> Any:
    return PlainActor.start()


def plain_actors_proxy() -> Any:
    return PlainActor.start().proxy()


def server() -> Any:
    return Server.start_link()


def servers_name() -> Any:
    Server.start_link(name=("events", 1))
    return ("events", 1)


@pytest.fixture(
    params=[
        by_class,
        by_name,
        by_ref,
        by_proxy,
        by_an_enum_member,
        plain_object,
        plain_actor,
        plain_actors_proxy,
        server,
        servers_name,
    ]
)
def good(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return something that is a store."""
    yield request.param()
    for ref in pykka.ActorRegistry.get_by_class(Collected) + pykka.ActorRegistry.get_by_class(PlainActor):
        ref.stop()  # the projection first


def test_every_kind_of_store_does_for_the_whole_job(good: Any) -> None:
    hume.validate_store(good)
    hume.publish_many(good, "s", ["a", ["b"]])
    ref = hume.start_link(Collected, stream="s", store=good)
    assert hume.state(ref) == ["a", ["b"]]
    assert hume.publish(good, "s", "c", expect_seq=2) == 3
    assert hume.snapshot(ref) == hume.Snapshot(3, ["a", ["b"], "c"])
    with pytest.raises(hume.UnexpectedSequence):
        hume.publish(good, "s", "d", expect_seq=2)
    hume.publish_many(good, "s", ["x"] * 1200)
    assert len(hume.state(ref)) == 1203
    hume.take_snapshot(ref)
    hume.kill(ref)
    again = hume.start_link(Collected, stream="s", store=good)
    assert (len(hume.state(again)), hume.status(again).events_applied) == (1203, 0)


def test_handlers_cant_change_what_a_store_of_somebodys_own_holds() -> None:
    store = PairStore()
    refs = [hume.start_link(Collected, stream="s", store=store, projection=number) for number in range(2)]

    def scribble(state: list[Any]) -> None:
        state[0].append("scribbled")

    hume.publish_many(store, "s", [["letter"], scribble])
    assert [hume.state(ref) for ref in refs] == [[["letter", "scribbled"]]] * 2
    assert store.logs["s"][0] == ["letter"]


class Lacking:
    """Has two of the three methods."""

    def append(self) -> None: ...

    events = "not callable"

    def last_seq(self) -> None: ...


@pytest.mark.parametrize(
    ("make", "missing"),
    [
        (object, ("append", "events", "last_seq")),
        (Lacking, ("events",)),
        (lambda: Lacking, ("events",)),
        (NoStore.start_link, ("events",)),
        (lambda: NoStore.start_link().proxy(), ("events",)),
        (lambda: NoStore.start_link(name="n") and "n", ("events",)),
        (lambda: None, ("append", "events", "last_seq")),
        (dict, ("append", "events", "last_seq")),
        (list, ("events", "last_seq")),
        (lambda: dict, ("append", "events", "last_seq")),
        (lambda: print, ("append", "events", "last_seq")),
    ],
)
def test_what_lacks_a_method_is_an_invalid_store_and_the_error_names_what_is_missing(
    make: Any, missing: tuple[str, ...]
) -> None:
    store = make()
    uses: list[Any] = [hume.validate_store, lambda store: hume.publish(store, "s", "x")]
    if store is not None:
        uses.append(lambda store: hume.start_link(Collected, stream="s", store=store))
    for use in uses:
        with pytest.raises(hume.InvalidStore, match=f"is no event store: it lacks {', '.join(missing)}; ") as lacks:
            use(store)
        assert lacks.value.missing == missing


def dead_ref() -> Any:
    ref = STORE.start_link()
    hume.stop(ref)
    return ref


def dead_proxy() -> Any:
    ref = STORE.start_link()
    proxy = ref.proxy()
    hume.kill(ref)
    return proxy


def dead_plain_actor() -> Any:
    ref = PlainActor.start()
    ref.stop()
    return ref


@pytest.mark.parametrize(
    "make",
    [
        lambda: "nobody",
        lambda: ("events", 7),
        lambda: 5,
        lambda: Names.EVENTS,
        lambda: Tenant("acme"),
        lambda: STORE,
        lambda: PairStore,
        dead_ref,
        dead_proxy,
        dead_plain_actor,
    ],
)
def test_a_dead_actor_and_a_name_that_nobody_has_are_dead_stores(make: Any) -> None:
    store = make()
    for use in (
        hume.validate_store,
        lambda store: hume.publish(store, "s", "x"),
        lambda store: hume.start_link(Collected, stream="s", store=store),
    ):
        with pytest.raises(hume.ActorDead) as dead:
            use(store)
        assert isinstance(dead.value, pykka.ActorDeadError)


@pytest.mark.parametrize("name", ["events", 5, Names.EVENTS, Tenant("acme"), ("events", 1)])
def test_a_projection_waits_for_a_store_that_is_down_whatever_kind_of_name_it_has(name: Any) -> None:
    first = STORE.start_link(name=name)
    ref = hume.start_link(Collected, stream="s", store=name, catch_up_after=0.01)
    hume.publish(name, "s", "a")
    assert hume.state(ref) == ["a"]
    hume.kill(first)
    with pytest.raises(hume.ActorDead):
        hume.state(ref)
    hume.catch_up(ref)
    with pytest.raises(hume.ActorDead):
        hume.query(ref, len)
    assert ref.is_alive()
    STORE.start_link(name=name)
    hume.publish(name, "s", "b")
    assert hume.state(ref) == ["a", "b"]


def test_a_projection_of_several_streams_needs_a_store_with_a_global_order() -> None:
    with pytest.raises(hume.InvalidStore, match="all_events, last_position"):
        hume.start_link(Collected, stream=["s", "t"], store=PairStore())


def test_metadata_needs_a_store_that_takes_it() -> None:
    store = PairStore()
    with pytest.raises(TypeError, match="metadata"):
        hume.publish(store, "s", "x", metadata={"who": "me"})
    assert store.logs == {}
    assert hume.publish(store, "s", "x") == 1
