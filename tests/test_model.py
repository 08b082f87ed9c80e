"""A projection, driven every way there is, against a model in plain Python: lists of what has been published."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import hume
from hume.actors import HeirActor, kill, stop, stop_application
from hume.stores._event_store import resolve
from tests.helpers import LIMIT
from tests.samples import STORE, logs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

STREAM, OTHER = "followed", "not followed"
LAST = 5  # how many of the latest events a state shows


def folded(numbers: Sequence[int]) -> tuple[int, int, tuple[int, ...]]:
    """Return what every projection here has to show after these events: so short that no test takes long."""
    return len(numbers), sum(number * place for place, number in enumerate(numbers, 1)), tuple(numbers[-LAST:])


class Pure(hume.Projection[tuple[int, int, tuple[int, ...]]], store=STORE, catch_up_after=3600.0):
    """Never changes a state; every event makes a new one."""

    def init_state(self, projection: Hashable) -> tuple[int, int, tuple[int, ...]]:
        return 0, 0, ()

    def handle_event(self, payload: int, state: tuple[int, int, tuple[int, ...]]) -> tuple[int, int, tuple[int, ...]]:
        count, total, latest = state
        return count + 1, total + payload * (count + 1), (*latest, payload)[-LAST:]

    def shown(self) -> tuple[int, int, tuple[int, ...]]:
        """Answer through a proxy."""
        return self.state


class InPlace(hume.Projection[dict[str, Any]], store=STORE, snapshot_every=3, catch_up_after=3600.0):
    """Changes its one state, bit by bit: whoever could look in between would see that it is torn."""

    def init_state(self, projection: Hashable) -> dict[str, Any]:
        return {"count": 0, "total": 0, "latest": []}

    def handle_event(self, payload: int, state: dict[str, Any]) -> dict[str, Any]:
        state["count"] += 1
        state["latest"].append(payload)
        state["total"] += payload * state["count"]
        del state["latest"][:-LAST]
        return state

    def shown(self) -> dict[str, Any]:
        """Answer through a proxy."""
        return self.state


def seen(state: Any) -> tuple[int, int, tuple[int, ...]]:
    """Return a state of either projection, and spoil the one that was handed out."""
    if isinstance(state, tuple):
        return state
    facts = state["count"], state["total"], tuple(state["latest"])
    state["latest"].append("spoilt")
    state.clear()
    return facts


NAMES = ("pure", "in place")
names = st.sampled_from(NAMES)
numbers = st.integers(0, 9)
# around nothing, snapshot_every of the one and of the other, a projection's page, and a page of the log
sizes = st.one_of(st.integers(0, 8), st.sampled_from([99, 100, 101, 999, 1000, 1001, 1023, 1024, 1025]))


class Machine(RuleBasedStateMachine):
    """The model: the events of two streams, who is alive, and the numbers that must never go back."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[str, list[int]] = {STREAM: [], OTHER: []}
        self.refs: dict[str, Any] = {}  # the latest actor of each projection
        self.alive: set[str] = set()
        self.store_up = False
        self.reached = dict.fromkeys(NAMES, 0)  # by this actor
        self.saved = dict.fromkeys(NAMES, -1)  # by any

    def teardown(self) -> None:
        for name in NAMES:
            if name in self.alive:
                stop(name, timeout=LIMIT)
                assert hume.status(self.refs[name]).phase == "stopped"
        stop_application()

    @initialize()
    def begin(self) -> None:
        self.start_store()
        for name in NAMES:
            self.start(name)

    # -- lives and deaths

    @precondition(lambda self: not self.store_up)
    @rule()
    def start_store(self) -> None:
        STORE.start_link()
        self.store_up = True

    @precondition(lambda self: self.store_up)
    @rule(end=st.sampled_from([kill, stop]), again=st.booleans())
    def end_store(self, end: Callable[[Any], object], again: bool) -> None:
        end(STORE)
        self.store_up = False
        if again:
            self.start_store()

    @rule()
    def kill_heir(self) -> None:
        if hume.whereis(HeirActor) is not None:
            kill(HeirActor)

    @rule(name=names)
    def start(self, name: str) -> None:
        cls: Any = Pure if name == "pure" else InPlace
        if not self.store_up:
            with pytest.raises(hume.ActorDead):
                cls.start_link(stream=STREAM, projection=name, name=name)
        elif name in self.alive:
            with pytest.raises(hume.AlreadyStarted) as refusal:
                cls.start_link(stream=STREAM, projection=name)  # the identity is taken
            assert refusal.value.ref is self.refs[name]
        else:
            ref = self.refs[name] = cls.start_link(stream=STREAM, projection=name, name=name)
            self.alive.add(name)
            self.reached[name] = max(0, self.saved[name])
            assert hume.status(ref).seq >= self.reached[name]  # it goes on where the last snapshot was taken

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), again=st.booleans())
    def kill_projection(self, data: st.DataObject, again: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        assert kill(name)
        self.alive.remove(name)
        if again:
            self.start(name)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def stop_projection(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        stop(name, timeout=LIMIT)
        self.alive.remove(name)
        status = hume.status(self.refs[name])
        assert status.seq == max(0, status.snapshot_seq or 0)  # an orderly stop has saved what there was

    # -- writing

    @rule(stream=st.sampled_from([STREAM, STREAM, STREAM, OTHER]), number=numbers, expect=st.booleans())
    def publish(self, stream: str, number: int, expect: bool) -> None:
        log = self.logs[stream]
        if not self.store_up:
            with pytest.raises(hume.ActorDead):
                hume.publish(STORE, stream, number)
            return
        log.append(number)
        assert hume.publish(STORE, stream, number, expect_seq=len(log) - 1 if expect else None) == len(log)

    @precondition(lambda self: self.store_up)
    @rule(stream=st.sampled_from([STREAM, STREAM, OTHER]), size=sizes, number=numbers)
    def publish_many(self, stream: str, size: int, number: int) -> None:
        log = self.logs[stream]
        batch = [(number + place) % 10 for place in range(size)]
        log += batch
        assert hume.publish_many(STORE, stream, batch) == len(log)

    @precondition(lambda self: self.store_up)
    @rule(stream=st.sampled_from([STREAM, OTHER]), off=st.integers(-3, 3), size=st.integers(1, 3))
    def be_refused(self, stream: str, off: int, size: int) -> None:
        actual = len(self.logs[stream])
        expected = max(0, actual + off)
        if expected == actual:
            expected += 1
        with pytest.raises(hume.UnexpectedSequence) as refusal:
            hume.publish_many(STORE, stream, [1] * size, expect_seq=expected)
        assert (refusal.value.expected, refusal.value.actual) == (expected, actual)

    @precondition(lambda self: self.store_up)
    @rule(bad=st.sampled_from([[1, None], "text", 7]))
    def publish_rubbish(self, bad: Any) -> None:
        with pytest.raises((TypeError, ValueError)):
            hume.publish_many(STORE, STREAM, bad)

    # -- reading

    def _expect(self, name: str, read: Callable[[], Any]) -> Any:
        """Read what has all that was published in it, or is refused, and why."""
        if name in self.alive and self.store_up:
            answer = read()
            self.reached[name] = len(self.logs[STREAM])
            return answer
        with pytest.raises(hume.ActorDead):
            read()
        return None

    @rule(name=names, how=st.sampled_from(["state", "query", "proxy"]))
    def read(self, name: str, how: str) -> None:
        ref = self.refs[name]

        def proxied() -> Any:
            if not ref.is_alive():
                return hume.state(ref)  # Pykka makes no proxy of it
            return ref.proxy().shown().get(timeout=LIMIT)

        reads: dict[str, Callable[[], Any]] = {
            "state": lambda: hume.state(name, timeout=LIMIT),
            "query": lambda: hume.query(ref, lambda state: state, timeout=LIMIT),
            "proxy": proxied,
        }
        answer = self._expect(name, reads[how])
        if answer is not None:
            assert seen(answer) == folded(self.logs[STREAM])

    @rule(name=names, how=st.sampled_from([hume.snapshot, hume.catch_up_sync, hume.take_snapshot]))
    def read_a_snapshot(self, name: str, how: Callable[..., hume.Snapshot[Any]]) -> None:
        snapshot = self._expect(name, lambda: how(name, timeout=LIMIT))
        if snapshot is not None:
            assert snapshot.seq == len(self.logs[STREAM])
            assert seen(snapshot.state) == folded(self.logs[STREAM])
            if how is hume.take_snapshot:
                assert hume.status(name).snapshot_seq == snapshot.seq

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), place=st.integers(0, 10_000))
    def wait_for_a_number(self, data: st.DataObject, place: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        log = self.logs[STREAM]
        least = place % (1 + (len(log) if self.store_up else self.reached[name]))
        snapshot = hume.snapshot(name, at_least=least, timeout=LIMIT)
        assert least <= snapshot.seq <= len(log)
        assert seen(snapshot.state) == folded(log[: snapshot.seq])
        with pytest.raises(hume.Timeout, match=f"did not reach {len(log) + 1} within"):
            hume.snapshot(name, at_least=len(log) + 1, timeout=0)

    @rule(name=names)
    def hint(self, name: str) -> None:
        if name in self.alive:
            hume.catch_up(name)
        else:
            with pytest.raises(hume.ActorDead):
                hume.catch_up(name)

    @rule(name=names, message=st.sampled_from(["stray", 0, ("down", 1), {"a": []}]))
    def send_a_stray_message(self, name: str, message: Any) -> None:
        hume.GenServer.send(name, message)
        hume.GenServer.cast(name, message)
        if name in self.alive:
            with pytest.raises(TypeError, match="handle_call"):
                self.refs[name].ask(message, timeout=LIMIT)

    # -- what holds after every step

    @invariant()
    def the_log_is_what_was_published(self) -> None:
        if self.store_up:
            store = resolve(STORE)
            for stream, log in self.logs.items():
                assert store.last_seq(stream) == len(log)
                events = list(store.events(stream, max(0, len(log) - 10)))
                assert [(event.seq, event.payload) for event in events] == list(enumerate(log, 1))[-10:]
            logs_of()._check()

    @invariant()
    def what_is_shown_at_once_is_the_fold_of_a_beginning_of_the_log(self) -> None:
        log = self.logs[STREAM]
        for name in self.alive:
            snapshot = hume.snapshot(name, dirty=True, timeout=LIMIT)
            assert self.reached[name] <= snapshot.seq <= len(log)
            assert seen(snapshot.state) == folded(log[: snapshot.seq])
            self.reached[name] = snapshot.seq

    @invariant()
    def no_snapshot_is_ahead_or_goes_back(self) -> None:
        for name, ref in self.refs.items():
            status = hume.status(ref)
            saved = -1 if status.snapshot_seq is None else status.snapshot_seq
            assert self.saved[name] <= saved <= status.seq <= len(self.logs[STREAM])
            self.saved[name] = saved

    @invariant()
    def who_lives_is_in_order(self) -> None:
        for name, ref in self.refs.items():
            assert ref.is_alive() == (name in self.alive)
            assert hume.whereis(name) is (ref if name in self.alive else None)
            status = hume.status(ref)
            assert (status.phase == "stopped") == (name not in self.alive)
            assert status.unknown_events == 0
            assert status.last_error is None or isinstance(status.last_error, hume.ActorDead)  # the store was down
            assert len(ref.actor_inbox._timers) <= 1  # none in the moment in which it fires


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # none to shrink: what threads did is not done again for that


def test_a_projection_does_what_its_model_does_whatever_happens_to_it() -> None:
    """State equals the fold of the log, at every step, through publishes, refusals, kills, stops and restarts."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.usefixtures("fast_switching")
def test_a_projection_does_what_its_model_does_when_threads_switch_all_the_time() -> None:
    """The same, where whatever can interleave does."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=40,
            deadline=None,
            phases=PHASES,
            suppress_health_check=list(HealthCheck),
        ),
    )
