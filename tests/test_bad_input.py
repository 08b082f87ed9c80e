"""Mistakes: each gets an error at the call that names what was wrong and what was expected, and nothing has changed.

Those of beginners, with all that they are told, are in test_mistakes.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import pykka
import pytest

import hume
from hume import _bus
from hume.actors import GenServer, Table, _registry
from tests.helpers import gone
from tests.samples import STORE, Collected, Total

if TYPE_CHECKING:
    from collections.abc import Callable

NAN = float("nan")


class Plain(pykka.ThreadingActor):
    pass


class House(NamedTuple):
    """What there is before each mistake: a store with two events, a projection that has read them, and a stranger."""

    projection: Any
    stranger: Any

    def facts(self) -> Any:
        store = hume.whereis(STORE)
        assert store is not None
        return (
            [(event.seq, event.payload, event.metadata) for event in store.proxy().events("s").get()],
            store.proxy().last_position().get(),
            hume.snapshot(self.projection),
            hume.status(self.projection),
            set(_registry._holders),
            dict(_bus.subscribers),
            {ref.actor_urn for ref in pykka.ActorRegistry.get_all()},
            set(threading.enumerate()),
            Table.whereis(("hume", "snapshot", "mistake")),
        )


@pytest.fixture
def house() -> Any:
    STORE.start_link()
    projection = hume.start_link(Collected, stream="s", projection="p", name="n")
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.state(projection)
    return House(projection, GenServer.start_link(name="stranger"))


Mistake = tuple[str, "Callable[[House], object]", type[Exception], str]


def start(**options: Any) -> Callable[[House], object]:
    return lambda _: hume.start_link(Collected, **{"stream": "x", "projection": "mistake", **options})


STARTS: list[Mistake] = [
    ("unknown start option", start(snapshot_evry=5), TypeError, "unknown option 'snapshot_evry'; allowed are stream, "),
    ("stream None", start(stream=None), TypeError, "a stream must have a name, not None"),
    ("a dict as stream", start(stream={"s": 1}), TypeError, "a stream is one hashable name, not {'s': 1}"),
    (
        "an unhashable within a tuple",
        start(stream=("s", [1])),
        TypeError,
        "a stream is one hashable name, not ('s', [1])",
    ),
    ("no streams", start(stream=[]), ValueError, "stream=[] selects nothing"),
    ("a None among the streams", start(stream=["s", None]), TypeError, "a stream must have a name, not None"),
    ("unhashable identity", start(projection=["p"]), TypeError, "projection ['p'] must be hashable"),
    ("unhashable name", start(name=["n"]), TypeError, "name ['n'] must be hashable"),
    ("taken identity", start(projection="p"), hume.AlreadyStarted, "projection 'p' is already started"),
    ("taken name", start(name="n"), hume.AlreadyStarted, "name 'n' is already started"),
    ("no class", lambda _: hume.start("Collected", stream="s"), TypeError, "a subclass of hume.Projection, not 'Coll"),  # type: ignore[arg-type]
    (
        "no projection",
        lambda _: hume.start_link(STORE, stream="s"),  # type: ignore[type-var]
        TypeError,
        "a subclass of hume.Projection, not <class",
    ),
    (
        "no store",
        lambda _: hume.start_link(hume.Projection, stream="s", projection="mistake"),
        TypeError,
        "needs a store: give store= in its class line or at the start",
    ),
    (
        "no init_state",
        lambda _: hume.start_link(hume.Projection, stream="s", store=STORE, projection="mistake"),
        NotImplementedError,
        "Projection must have init_state(self, projection)",
    ),
    (
        "rubbish store",
        start(store=object()),
        hume.InvalidStore,
        "it lacks append, events, last_seq; a store is an object",
    ),
    ("unknown store", start(store="nobody"), hume.ActorDead, "store 'nobody' is not alive (no actor has that name)"),
    (
        "rubbish snapshots",
        start(snapshots={}),
        TypeError,
        "an object with last_snapshot and persist_snapshot, or None, not {}",
    ),
    ("snapshot_every", start(snapshot_every=0), ValueError, "a whole number of events, at least 1, or None, not 0"),
    ("snapshot_after", start(snapshot_after=-1), ValueError, "a number of seconds greater than 0, or None, not -1"),
    (
        "catch_up_after",
        start(catch_up_after="x"),
        ValueError,
        "catch_up_after must be a number of seconds greater than 0",
    ),
    ("strict", start(strict="yes"), TypeError, "strict must be a bool, not 'yes'"),
    ("copy_state", start(copy_state=5), TypeError, "copy_state must be a function that copies a state, or None, not 5"),
    ("version", start(version=[1]), TypeError, "version must be hashable, such as a number, and not None; it is [1]"),
    ("timeout", start(timeout="long"), TypeError, "timeout must be a number of seconds or None, not 'long'"),
]


def publish(payload: Any = "x", store: Any = STORE, stream: Any = "s", **options: Any) -> Callable[[House], object]:
    return lambda _: hume.publish(store, stream, payload, **options)


def many(payloads: Any, **options: Any) -> Callable[[House], object]:
    return lambda _: hume.publish_many(STORE, "s", payloads, **options)


PUBLISHES: list[Mistake] = [
    ("None among payloads", many(["x", None]), ValueError, "a payload must not be None"),
    (
        "a payload that can't be copied",
        publish(threading.Lock()),
        TypeError,
        "a log must not share what can be changed",
    ),
    ("payloads is a mapping", many({"a": 1}), TypeError, "several payloads, such as a list of them, not {'a': 1}"),
    ("payloads is one", many(5), TypeError, "several payloads, such as a list of them, not 5"),
    ("payloads None", many(None), TypeError, "several payloads, such as a list of them, not None"),
    ("stream None", publish(stream=None), TypeError, "a stream must have a name, not None"),
    ("several streams", publish(stream=["s", "t"]), TypeError, "a stream is one hashable name, not ['s', 't']"),
    (
        "expect_seq negative",
        publish(expect_seq=-1),
        ValueError,
        "expect_seq must be at least 0 (0: the stream is empty)",
    ),
    (
        "expect_seq a float",
        publish(expect_seq=2.0),
        TypeError,
        "expect_seq must be a whole number (0: the stream is empty)",
    ),
    ("expect_seq a bool", publish(expect_seq=True), TypeError, "not True"),
    ("expect_seq text", many(["x"], expect_seq="2"), TypeError, "expect_seq must be a whole number"),
    (
        "expect_seq wrong",
        publish(expect_seq=1),
        hume.UnexpectedSequence,
        "stream 's' is at 2, expected 1; read it again",
    ),
    ("metadata", publish(metadata=["who"]), TypeError, "metadata must be a mapping"),
    ("store None", publish(store=None), hume.InvalidStore, "it lacks append, events, last_seq"),
    ("store of no kind", publish(store=object()), hume.InvalidStore, "is no event store"),
    ("store unknown", publish(store="nobody"), hume.ActorDead, "no actor has that name"),
    (
        "store a projection",
        lambda house: hume.publish(house.projection, "s", "x"),
        hume.InvalidStore,
        "it lacks append, e",
    ),
]


def each(
    make: Callable[[Callable[..., object], str], list[Mistake]], *functions: Callable[..., object]
) -> list[Mistake]:
    return [mistake for function in functions for mistake in make(function, function.__name__)]


def bad_server(ask: Callable[..., object], name: str) -> list[Mistake]:
    return [
        (f"{name} of a stranger", lambda house: ask(house.stranger), TypeError, "is no projection"),
        (f"{name} of a stranger's name", lambda _: ask("stranger"), TypeError, "is no projection"),
        (
            f"{name} of an unknown name",
            lambda _: ask("nobody"),
            hume.ActorDead,
            "'nobody' is not alive (no actor has th",
        ),
        (f"{name} of None", lambda _: ask(None), hume.ActorDead, "server None is not alive"),
        (
            f"{name} of an unhashable",
            lambda _: ask(["n"]),
            TypeError,
            "a server is an ActorRef, an ActorProxy or a (hash",
        ),
    ]


def bad_timeout(ask: Callable[..., object], name: str) -> list[Mistake]:
    def with_timeout(timeout: Any) -> Callable[[House], object]:
        return lambda house: ask(house.projection, timeout=timeout)

    return [
        (
            f"{name} timeout text",
            with_timeout("soon"),
            TypeError,
            "timeout must be a number of seconds or None, not 'soon'",
        ),
        (
            f"{name} timeout a bool",
            with_timeout(True),
            TypeError,
            "timeout must be a number of seconds or None, not True",
        ),
        (f"{name} timeout negative", with_timeout(-1), ValueError, "timeout must be at least 0 seconds, not -1"),
        (f"{name} timeout nan", with_timeout(NAN), ValueError, "timeout must be at least 0 seconds, not nan"),
    ]


def query(server: Any, **options: Any) -> int:
    return hume.query(server, len, **options)


READS: list[Mistake] = [
    *each(
        bad_server, hume.state, hume.snapshot, hume.status, hume.catch_up, hume.catch_up_sync, hume.take_snapshot, query
    ),
    *each(bad_timeout, hume.state, hume.snapshot, hume.catch_up_sync, hume.take_snapshot, query),
    ("at_least text", lambda house: hume.state(house.projection, at_least="2"), TypeError, "must be a whole number"),  # type: ignore[call-overload]
    ("at_least a bool", lambda house: hume.state(house.projection, at_least=True), TypeError, "must be a whole number"),
    (
        "at_least negative",
        lambda house: hume.state(house.projection, at_least=-1),
        ValueError,
        "must be at least 0, not -1",
    ),
    (
        "at_least and dirty",
        lambda house: hume.snapshot(house.projection, at_least=1, dirty=True),
        ValueError,
        "dirty=True does not wait, at_least does: give one of them",
    ),
    ("stop an unknown", lambda _: hume.stop("nobody"), hume.ActorDead, "no actor has that name"),
    ("kill an unknown", lambda _: hume.kill("nobody"), hume.ActorDead, "no actor has that name"),
    ("stop with a bad timeout", lambda house: hume.stop(house.projection, timeout="x"), TypeError, "timeout must be a"),  # type: ignore[arg-type]
]

CLASSES: list[Mistake] = [
    (
        "unknown class option",
        lambda _: type("Bad", (Collected,), {}, stream="s"),
        TypeError,
        "unknown option 'stream'; allowed are store, snapshots, ",
    ),
    ("handles a value", lambda _: hume.handles(5), TypeError, "handles needs one or more event types"),  # type: ignore[arg-type]
    (
        "a snapshot of no number",
        lambda _: hume.Snapshot(-1, None),
        ValueError,
        "a snapshot's seq must be a whole number of at least 0, not -1",
    ),
    ("an event of no number", lambda _: hume.Event(0, "x"), ValueError, "must be a whole number of at least 1, not 0"),
    ("a stale event", lambda _: hume.evolve(Total, (1, 1), hume.Snapshot(1, 1)), hume.StaleEvent, "applied already"),
    ("no event", lambda _: hume.evolve(Total, 1, None), TypeError, "must be Event or (seq, payload), not 1"),  # type: ignore[arg-type]
]

MISTAKES = [*STARTS, *PUBLISHES, *READS, *CLASSES]


@pytest.mark.parametrize(("mistake", "error", "says"), [row[1:] for row in MISTAKES], ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_an_error_at_the_call_and_changes_nothing(
    mistake: Callable[[House], object], error: type[Exception], says: str, house: House
) -> None:
    before = house.facts()
    with pytest.raises(error, match=re.escape(says)) as raised:
        mistake(house)
    # whoever was started in vain has gone
    for thread in set(threading.enumerate()) - before[-2]:
        thread.join(10)
    assert house.facts() == before
    if isinstance(raised.value, hume.ActorDead):
        assert isinstance(raised.value, pykka.ActorDeadError)
    assert hume.publish(STORE, "s", "c", expect_seq=2) == 3
    assert hume.state(house.projection) == ["a", "b", "c"]


def test_a_plain_pykka_actor_is_no_server_and_the_error_says_what_to_use() -> None:
    ref = Plain.start()
    for ask in (hume.state, hume.status, hume.catch_up, hume.stop):
        with pytest.raises(TypeError, match="is a plain Pykka actor; Hume's functions need a GenServer"):
            ask(ref)
    ref.stop()


@pytest.mark.parametrize(
    "ask", [hume.state, hume.snapshot, hume.catch_up, hume.catch_up_sync, hume.take_snapshot, query, hume.stop]
)
@pytest.mark.parametrize("end", [hume.stop, hume.kill])
def test_a_dead_projection_is_an_error_that_says_how_it_ended(
    ask: Callable[..., object], end: Any, house: House
) -> None:
    proxy = house.projection.proxy()
    end(house.projection)
    gone(house.projection)
    reason = "normal" if end is hume.stop else "killed"
    for server in (house.projection, proxy):
        with pytest.raises(hume.ActorDead, match=f"exit reason: {reason}") as dead:
            ask(server)
        assert (dead.value.reason, isinstance(dead.value, pykka.ActorDeadError)) == (reason, True)
    assert hume.status(house.projection).phase == hume.status(proxy).phase == "stopped"
