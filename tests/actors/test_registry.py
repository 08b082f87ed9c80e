"""Names: one name, one live process."""

from __future__ import annotations

import functools
import itertools
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import pykka
import pytest

from hume.actors import Down, GenServer, _registry, kill, stop, whereis
from hume.actors._registry import claim
from hume.errors import ActorDead, AlreadyStarted
from tests.helpers import LIMIT, Gate, Probe, all_at_once, do, exit_reason, gone, in_thread, mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class Point(tuple[int, int]):
    __slots__ = ()


@pytest.mark.parametrize("name", ["text", 0, "", False, ("a", ("b", 1)), Probe, frozenset({1}), Point((1, 2)), 1.5])
def test_any_hashable_is_a_name(name: Hashable) -> None:
    """N1: names are any hashable, false ones too."""
    ref = Probe.start(name=name)
    assert whereis(name) is ref
    assert do(name, lambda probe: probe.actor_ref) is ref  # type: ignore[arg-type]


def test_nobody_has_an_unknown_name() -> None:
    """N1: whereis of a name that nobody has is None."""
    Probe.start()
    assert whereis("nobody") is None
    assert whereis(None) is None


def test_a_process_may_have_several_names_and_all_are_free_at_its_death() -> None:
    """N1: a process may have several names; all are released at its death."""
    ref = Probe.start(name="one")
    for name in ("two", "three"):
        claim(name, mailbox(ref))
    claim("two", mailbox(ref))  # its own already: fine
    assert [whereis(name) for name in ("one", "two", "three")] == [ref] * 3
    kill(ref)
    assert [whereis(name) for name in ("one", "two", "three")] == [None] * 3


def test_a_name_of_a_live_process_can_not_be_taken() -> None:
    """N1: one name, one live process."""
    first, second = Probe.start(name="taken"), Probe.start()
    with pytest.raises(AlreadyStarted, match="name 'taken' is already started") as caught:
        claim("taken", mailbox(second))
    assert caught.value.ref is first


def test_a_dead_process_gets_no_name() -> None:
    """N1: a name that came too late is given back at once."""
    ref = Probe.start()
    stop(ref)
    with pytest.raises(ActorDead):
        claim("late", mailbox(ref))
    assert "late" not in _registry._holders


@pytest.mark.usefixtures("fast_switching")
def test_of_two_racing_starts_exactly_one_wins() -> None:
    """N2: exactly one wins, and the loser is told who did."""
    for _ in range(100):
        outcomes = all_at_once(*[lambda: Probe.start(name="one")] * 4)
        losers = [outcome for outcome in outcomes if isinstance(outcome, AlreadyStarted)]
        (winner,) = (outcome for outcome in outcomes if not isinstance(outcome, BaseException))
        assert len(losers) == 3
        assert {loser.ref for loser in losers} == {winner}
        assert whereis("one") is winner
        stop(winner)


@pytest.mark.usefixtures("fast_switching")
def test_of_several_that_claim_many_names_at_once_one_has_each() -> None:
    """N2: the claim itself is one step."""
    refs = [Probe.start() for _ in range(3)]

    def claim_all(ref: pykka.ActorRef[Any]) -> list[int]:
        won = []
        for name in range(3000):
            try:
                claim(name, mailbox(ref))
            except AlreadyStarted:
                continue
            won.append(name)
        return won

    won = cast("list[list[int]]", all_at_once(*(functools.partial(claim_all, ref) for ref in refs)))
    assert sorted(itertools.chain(*won)) == list(range(3000))
    for ref, names in zip(refs, won, strict=True):
        assert all(whereis(name) is ref for name in names)


@pytest.mark.usefixtures("fast_switching")
def test_a_name_is_never_lost_to_the_late_release_of_another_holder() -> None:
    """N1: holders that come and go at once each have the name while they live, and give back only their own."""

    def come_and_go(end: Callable[[Any], object]) -> None:
        held = 0
        while held < 100:
            try:
                ref = Probe.start(name="busy")
            except AlreadyStarted:
                continue
            held += 1
            assert whereis("busy") is ref
            assert do("busy", lambda probe: probe.actor_ref) is ref  # type: ignore[arg-type]
            end(ref)
            assert whereis("busy") is not ref

    assert all_at_once(lambda: come_and_go(stop), lambda: come_and_go(kill)) == [None, None]
    assert whereis("busy") is None


def test_whereis_never_returns_one_that_is_dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """N1: in the middle of a death nobody is found under the name; who takes it now keeps it when it is released."""
    found: list[object] = []
    unregister = pykka.ActorRegistry.unregister

    def spy(ref: pykka.ActorRef[Any]) -> None:
        found.extend((ref.is_alive(), whereis("svc"), Probe.start(name="svc")))
        unregister(ref)

    ref = Probe.start(name="svc")
    monkeypatch.setattr(pykka.ActorRegistry, "unregister", spy)
    kill(ref)
    assert found == [False, None, whereis("svc")]


def test_a_name_is_free_before_anybody_hears_of_the_death() -> None:
    """N1: released before its monitors, its links and those who wait for an answer hear of it."""
    heard: SimpleQueue[Any] = SimpleQueue()
    with Gate() as gate:
        ref = Probe.start(name="svc")
        mailbox(ref).monitor(lambda down: heard.put((down, whereis("svc"), Probe.start(name="svc"))))
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        call = in_thread(GenServer.call, ref, lambda _: None)
        kill(ref)
        down, holder, successor = heard.get(timeout=LIMIT)
    assert isinstance(down, Down)
    assert holder is None
    assert whereis("svc") is successor
    assert isinstance(call.exception(LIMIT), ActorDead)
    gone(ref)


def test_a_caller_who_hears_that_the_server_died_can_take_its_name() -> None:
    """S5, N1: the failed call itself is the news."""

    def leave(_: Probe) -> None:
        msg = "bye"
        raise ValueError(msg)

    for _ in range(200):
        ref = Probe.start(name="svc")
        with pytest.raises(ValueError, match="bye"):
            do("svc", leave)  # type: ignore[arg-type]
        stop(Probe.start(name="svc"))
        exit_reason(ref)
