"""A supervisor against a small model of OTP's rules: random strategies, children, ends, kills and requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hume.actors import Ignore, Supervisor
from hume.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRunning,
    StartFailed,
    SupervisorError,
)
from tests.actors.nursery import Boom, Nursery, bring_up, children, end, held, shut_down
from tests.helpers import LIMIT, eventually, exit_reason, gone

IDS = st.sampled_from("abcde")
RESTARTS = st.sampled_from(["permanent", "transient", "temporary"])
REASONS = st.sampled_from(["normal", "shutdown", ("shutdown", 1), "kill", "abnormal", "boom"])
FATES = st.sampled_from(["well", "well", "well", "fail", "ignore"])  # how a start goes
SHUTDOWNS = st.sampled_from([5.0, None, "brutal_kill"])
INITIAL = st.lists(st.tuples(IDS, RESTARTS, SHUTDOWNS, st.booleans()), max_size=5, unique_by=lambda child: child[0])
OPTIONS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
        "max_restarts": st.integers(0, 6),
        "max_seconds": st.sampled_from([2.5, 5.0]),
        "auto_shutdown": st.sampled_from(["never", "never", "any_significant", "all_significant"]),
    }
)


@dataclass
class ModelChild:
    restart: str
    significant: bool
    life: int = 0  # 0: no process; else the number of its life, a new one at each start


@dataclass
class Model:
    """OTP's rules for a supervisor whose starts go as `fates` says."""

    strategy: str
    max_restarts: int
    max_seconds: float
    auto_shutdown: str
    children: dict[Any, ModelChild] = field(default_factory=dict)
    fates: dict[Any, list[str]] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    now: float = 0.0
    lives: int = 0
    alive: bool = True

    def fate(self, child_id: Any) -> str:
        fates = self.fates.get(child_id)
        return fates.pop(0) if fates else "well"

    def start(self, child_id: Any) -> str:
        fate, child = self.fate(child_id), self.children[child_id]
        if fate == "well":
            self.lives += 1
            child.life = self.lives
        elif fate == "ignore" and child.restart == "temporary":
            del self.children[child_id]
        return fate

    def stop(self, child_id: Any) -> None:
        self.children[child_id].life = 0
        if self.children[child_id].restart == "temporary":
            del self.children[child_id]

    def ends(self, child_id: Any, reason: Any) -> None:
        child = self.children[child_id]
        orderly = reason in ("normal", "shutdown") or isinstance(reason, tuple)
        if child.restart == "permanent" or (child.restart == "transient" and not orderly):
            self.restarted(child_id)
            return
        self.stop(child_id)
        if child.significant and self.auto_shutdown != "never":
            left = any(other.significant and other.life for other in self.children.values())
            self.alive = self.auto_shutdown == "all_significant" and left

    def restarted(self, child_id: Any) -> None:
        """Restart a child and its group, as often as it takes or is allowed."""
        while True:
            self.restarts = [time for time in self.restarts if self.now - time <= self.max_seconds] + [self.now]
            if len(self.restarts) > self.max_restarts:
                self.alive = False
                return
            ids = list(self.children)
            first = {"one_for_one": None, "one_for_all": 0, "rest_for_one": ids.index(child_id)}[self.strategy]
            group = [child_id] if first is None else ids[first:]
            for member in group:
                self.stop(member)
            failed = next((id_ for id_ in group if id_ in self.children and self.start(id_) == "fail"), None)
            if failed is None:
                return
            child_id = failed


class SupervisorMachine(RuleBasedStateMachine):
    """Drives a real supervisor and the model, and compares what is left of each child after every step."""

    @initialize(options=OPTIONS, initial=INITIAL)
    def begin(self, options: dict[str, Any], initial: list[Any]) -> None:
        self.nursery, self.refs, self.lives = Nursery(), dict[Any, Any](), dict[Any, int]()
        self.model = Model(**options)
        specs = [self.new_child(*child) for child in initial]
        self.sup, self.clock = bring_up(Supervisor, specs, **options)
        for child_id in list(self.model.children):
            self.model.start(child_id)
        self.compare()

    @precondition(lambda self: not self.alive())
    @rule(options=OPTIONS, initial=INITIAL)
    def begin_again(self, options: dict[str, Any], initial: list[Any]) -> None:
        self.begin(options, initial)

    def new_child(self, child_id: str, restart: str, shutdown: Any, significant: bool) -> Any:
        significant = significant and restart != "permanent" and self.model.auto_shutdown != "never"
        self.model.children[child_id] = ModelChild(restart, significant)
        return self.nursery.spec(child_id, restart=restart, shutdown=shutdown, significant=significant)

    def plan(self, child_id: str, fate: str) -> None:
        self.model.fates.setdefault(child_id, []).append(fate)
        self.nursery.plan(child_id, {"well": None, "fail": Boom("as planned"), "ignore": Ignore}[fate])

    def alive(self) -> bool:
        return self.model.alive

    # -- what may happen

    @precondition(alive)
    @rule(child_id=IDS, restart=RESTARTS, shutdown=SHUTDOWNS, significant=st.booleans(), fate=FATES)
    def start_child(self, child_id: str, restart: str, shutdown: Any, significant: bool, fate: str) -> None:
        present = self.model.children.get(child_id)
        if present is not None:
            spec = self.nursery.spec(child_id)
            self.refused(AlreadyStarted if present.life else AlreadyPresent, Supervisor.start_child, spec)
            return
        spec = self.new_child(child_id, restart, shutdown, significant)
        self.plan(child_id, fate)
        went = self.model.start(child_id)
        if went == "fail":
            del self.model.children[child_id]
            self.refused(StartFailed, Supervisor.start_child, spec)
        else:
            assert (Supervisor.start_child(self.sup, spec) is None) == (went == "ignore")
        self.compare()

    @precondition(alive)
    @rule(child_id=IDS)
    def terminate_child(self, child_id: str) -> None:
        if child_id not in self.model.children:
            self.refused(ChildNotFound, Supervisor.terminate_child, child_id)
            return
        self.model.stop(child_id)
        Supervisor.terminate_child(self.sup, child_id)
        self.compare()

    @precondition(alive)
    @rule(child_id=IDS, fate=FATES)
    def restart_child(self, child_id: str, fate: str) -> None:
        child = self.model.children.get(child_id)
        if child is None or child.life:
            self.refused(ChildRunning if child else ChildNotFound, Supervisor.restart_child, child_id)
            return
        self.plan(child_id, fate)
        if self.model.start(child_id) == "fail":
            self.refused(StartFailed, Supervisor.restart_child, child_id)
        else:
            Supervisor.restart_child(self.sup, child_id)
        self.compare()

    @precondition(alive)
    @rule(child_id=IDS)
    def delete_child(self, child_id: str) -> None:
        child = self.model.children.get(child_id)
        if child is None or child.life:
            self.refused(ChildRunning if child else ChildNotFound, Supervisor.delete_child, child_id)
            return
        del self.model.children[child_id]
        Supervisor.delete_child(self.sup, child_id)
        self.compare()

    @precondition(alive)
    @rule(data=st.data(), reason=REASONS, fates=st.lists(st.tuples(IDS, FATES), max_size=4))
    def child_ends(self, data: st.DataObject, reason: Any, fates: list[tuple[str, str]]) -> None:
        """A child ends by itself, and the next starts go as planned."""
        running = [child_id for child_id, child in self.model.children.items() if child.life]
        if running:
            self.some_end([data.draw(st.sampled_from(running))], reason, fates)

    @precondition(alive)
    @rule(reason=REASONS)
    def all_end_at_once(self, reason: Any) -> None:
        """All children have ended before the supervisor hears of the first."""
        running = [child_id for child_id, child in self.model.children.items() if child.life]
        if running:
            self.some_end(running, reason, [])

    @precondition(alive)
    @rule(seconds=st.sampled_from([0.5, 2.5, 5.0, 5.5]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.model.now += seconds

    @precondition(alive)
    @rule()
    def stop(self) -> None:
        shut_down(self.sup)
        self.model.alive = False
        self.compare()

    # -- how it is checked

    def refused(self, error: type[Exception], ask: Any, argument: Any) -> None:
        """What is asked is refused, and nothing has changed."""
        with pytest.raises((SupervisorError, AlreadyStarted)) as caught:
            ask(self.sup, argument)
        assert caught.type is error

    def some_end(self, ids: list[str], reason: Any, fates: list[tuple[str, str]]) -> None:
        for child_id, fate in fates:
            self.plan(child_id, fate)
        refs = [self.refs[child_id] for child_id in ids]
        if len(ids) == 1:
            self.end(refs[0], reason)
        else:
            with held(self.nursery, self.sup):
                for ref in refs:
                    self.end(ref, reason)
        # of several that are dead those count that nobody has restarted, stopped or forgotten since
        lives = {child_id: self.model.children[child_id].life for child_id in ids}
        for child_id, life in lives.items():
            child = self.model.children.get(child_id)
            if self.model.alive and child is not None and child.life == life:
                self.model.ends(child_id, reason)
        self.compare()

    @staticmethod
    def end(ref: Any, reason: Any) -> None:
        end(ref, Boom("by itself") if reason == "boom" else reason)

    def compare(self) -> None:
        """Wait until the supervisor has done what there was to do, then compare; what was planned is forgotten."""
        if not self.model.alive:
            assert exit_reason(self.sup) == "shutdown"
            for ref in self.refs.values():
                gone(ref)
            self.refs = {}
            return
        expected = {child_id: bool(child.life) for child_id, child in self.model.children.items()}
        # a restart that fails is tried again after what is asked in between: so ask until nothing waits for a try
        eventually(lambda: "restarting" not in children(self.sup).values(), LIMIT)
        found = children(self.sup)
        assert {child_id: ref is not None for child_id, ref in found.items()} == expected
        assert list(found) == list(expected)  # in start order
        for child_id, ref in found.items():
            if ref is not None:
                known = self.lives.setdefault(ref, self.model.children[child_id].life)
                assert known == self.model.children[child_id].life  # the same process if and only if the same life
        assert len({self.lives[ref] for ref in found.values() if ref}) == len([ref for ref in found.values() if ref])
        self.refs = {child_id: ref for child_id, ref in found.items() if ref is not None}
        self.model.fates.clear()
        self.nursery.plans.clear()

    @invariant()
    def counts_agree(self) -> None:
        if self.alive():
            running = sum(bool(child.life) for child in self.model.children.values())
            specs = len(self.model.children)
            assert Supervisor.count_children(self.sup) == (specs, running, 0, specs)

    def teardown(self) -> None:
        if hasattr(self, "sup") and self.sup.is_alive():
            shut_down(self.sup)


TestSupervisorMachine = SupervisorMachine.TestCase
TestSupervisorMachine.__doc__ = "V4: V5: V6: V7: V10: V11: V12: V13: V15: a supervisor does what the model says."
TestSupervisorMachine.settings = settings(
    max_examples=120, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
