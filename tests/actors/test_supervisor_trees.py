"""Random trees of supervisors against a model: who is started again, in which order, and who is left alone."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hume.actors import ChildSpec, Supervisor, stop, stop_application, whereis
from hume.errors import ActorDead, ChildRunning
from tests.actors.nursery import Worker, end
from tests.helpers import LIMIT, eventually, exit_reason

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Plan:
    """What a part of a tree is to look like: a worker, when it has no strategy."""

    strategy: Any = None
    max_restarts: int = 0
    below: tuple[Plan, ...] = ()


def supervised(below: st.SearchStrategy[Plan]) -> st.SearchStrategy[Plan]:
    """Return plans of supervisors."""
    strategies = st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])
    return st.builds(Plan, strategies, st.integers(0, 3), st.lists(below, min_size=1, max_size=3).map(tuple))


TREES = supervised(st.recursive(st.just(Plan()), supervised, max_leaves=5))
NUMBERS = st.integers(0, 100)


class Node:
    """What OTP's rules make of one actor of the tree; all are permanent."""

    def __init__(self, plan: Plan, parent: Node | None, journal: list[tuple[int, ...]], path: tuple[int, ...]) -> None:
        self.plan, self.parent, self.journal, self.path = plan, parent, journal, path
        self.below = [Node(one, self, journal, (*path, number)) for number, one in enumerate(plan.below)]
        self.up, self.restarts = False, 0

    def __iter__(self) -> Iterator[Node]:
        yield self
        for node in self.below:
            yield from node

    def start(self) -> None:
        """Start with a new history, and the children in order."""
        self.journal.append(self.path)
        self.up, self.restarts = True, 0
        for node in self.below:
            node.start()

    def end(self) -> None:
        """End, with all below."""
        for node in self:
            node.up = False

    def die(self) -> None:
        """End by itself: the supervisor starts it again, with its group, or gives up and dies too."""
        self.end()
        above = self.parent
        if above is None:
            return
        above.restarts += 1
        if above.restarts > above.plan.max_restarts:
            above.die()
            return
        first = {"one_for_one": self.path[-1], "rest_for_one": self.path[-1], "one_for_all": 0}[above.plan.strategy]
        last = self.path[-1] if above.plan.strategy == "one_for_one" else len(above.below)
        for node in above.below[first : last + 1]:
            node.start()  # also one that had been terminated


class Trees(RuleBasedStateMachine):
    """Ends actors of every level, and asks supervisors of every level to stop and start their children."""

    @initialize(plan=TREES)
    def start_it(self, plan: Plan) -> None:
        self.started: list[tuple[int, ...]] = []
        self.root = Node(plan, None, [], ())
        self.root.start()
        self.top = self.start(self.root)

    def start(self, node: Node) -> Any:
        self.started.append(node.path)
        if node.plan.strategy is None:
            return Worker.start_link(node.path, [], name=node.path)
        children = [
            ChildSpec(
                id=one.path,
                start=functools.partial(self.start, one),
                type="worker" if one.plan.strategy is None else "supervisor",
            )
            for one in node.below
        ]
        options = {"strategy": node.plan.strategy, "max_restarts": node.plan.max_restarts, "max_seconds": 1e6}
        return Supervisor.start_link(children, name=node.path, **options)

    def one(self, number: int, *, running: bool) -> Node | None:
        """Choose an actor other than the root whose supervisor runs."""
        nodes = [node for node in self.root if node.parent is not None and node.parent.up and (node.up or not running)]
        return nodes[number % len(nodes)] if nodes else None

    @precondition(lambda self: self.root.up)
    @rule(number=NUMBERS, how=st.sampled_from(["kill", "stop", "crash"]))
    def ends(self, number: int, how: str) -> None:
        node = self.one(number, running=True)
        if node is None:
            return
        ref: Any = whereis(node.path)
        if how == "crash" and node.plan.strategy is None:
            end(ref, ValueError("told to"))
        elif how == "stop":
            stop(ref, timeout=LIMIT)
        else:
            end(ref, "kill")
        node.die()

    @precondition(lambda self: self.root.up)
    @rule(number=NUMBERS)
    def is_terminated(self, number: int) -> None:
        node = self.one(number, running=False)
        if node is not None and node.parent is not None:
            Supervisor.terminate_child(node.parent.path, node.path)
            node.end()

    @precondition(lambda self: self.root.up)
    @rule(number=NUMBERS)
    def is_restarted_by_hand(self, number: int) -> None:
        node = self.one(number, running=False)
        if node is None or node.parent is None:
            return
        if node.up:
            with pytest.raises(ChildRunning):
                Supervisor.restart_child(node.parent.path, node.path)
        else:
            Supervisor.restart_child(node.parent.path, node.path)
            node.start()

    @precondition(lambda self: not self.root.up)
    @rule()
    def begins_again(self) -> None:
        self.root.start()
        self.top = self.start(self.root)

    @invariant()
    def is_as_the_model_says(self) -> None:
        eventually(self.is_settled, LIMIT / 3)
        assert self.started == self.root.journal
        if not self.root.up:
            assert exit_reason(self.top) == "shutdown"

    def is_settled(self) -> bool:
        """Ask every supervisor, top down, so that each has dealt with what it was told."""
        try:
            for node in self.root:
                if node.up and node.plan.strategy is not None:
                    shown = {info.id: info.ref is not None for info in Supervisor.which_children(node.path)}
                    if shown != {one.path: one.up for one in node.below}:
                        return False
        except ActorDead:
            return False
        return all((whereis(node.path) is not None) == node.up for node in self.root)

    def teardown(self) -> None:
        stop_application()
        assert not [node.path for node in self.root if whereis(node.path) is not None]


TestTrees = Trees.TestCase
TestTrees.settings = settings(
    max_examples=60,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.generate],  # a difference shows when a limit has passed, so looking for a smaller one takes too long
)
TestTrees.__doc__ = "V2: V4: V5: V6: V9: V11: V12: who is started again, whatever ends at whichever level."
