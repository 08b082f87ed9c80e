"""Tables against a model in plain Python: who owns what, with which rows and epoch, whatever happens to whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hume.actors import GenServer, HeirActor, Table, Transfer, kill, stop
from hume.actors._table import drop_waiting
from hume.errors import ActorDead, AlreadyStarted, NotFound, NotOwner, TableDeleted
from tests.helpers import Probe, do, drained, gone

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

ACTORS = ("ann", "bob", "cat", "dan")
NAMES = ("red", "blue")
HEIR = "heir"  # in the model; the application's HeirActor in fact
NOBODY = "nobody"  # who owns a table that waits for the heir


@dataclass
class Model:
    """What a table should be. ``owner`` and ``heir`` are names of actors; `None`: deleted, or no heir."""

    table: Table
    name: str | None
    owner: str | None
    heir: str | None
    heir_data: object = None
    epoch: int = 1
    rows: dict[str, list[int]] = field(default_factory=dict)


def _crash(_: Probe) -> None:
    raise ZeroDivisionError


def _crashed(actor: pykka.ActorRef[Any]) -> None:
    GenServer.cast(actor, _crash)


ENDS: dict[str, Callable[[pykka.ActorRef[Any]], object]] = {"kill": kill, "stop": stop, "crash": _crashed}

actors = st.sampled_from(ACTORS)
heirs = st.sampled_from([None, HEIR, *ACTORS])
keys = st.sampled_from("xyz")


class TableMachine(RuleBasedStateMachine):
    """Actors that come and go, and what becomes of their tables."""

    tables = Bundle("tables")

    def __init__(self) -> None:
        super().__init__()
        self.refs: dict[str, pykka.ActorRef[Any]] = {}
        self.seen: dict[str, SimpleQueue[Any]] = {}
        self.due: dict[str, list[tuple[Table, Any, Any]]] = {}  # the Transfers that each live actor must get
        self.models: list[Model] = []
        self.numbers = 0

    def teardown(self) -> None:
        for actor in [*self.refs]:
            self._end(actor, kill)
        drop_waiting()
        assert Table.whereis("red") is Table.whereis("blue") is None

    # -- actors

    @rule(actor=actors)
    def start(self, actor: str) -> None:
        if actor not in self.refs:
            self.seen[actor], self.due[actor] = SimpleQueue(), []
            self.refs[actor] = Probe.start(self.seen[actor], name=actor)

    @rule()
    def start_heir(self) -> None:
        """It adopts what waits for it."""
        if HEIR not in self.refs:
            self.refs[HEIR] = HeirActor.start(name=HeirActor)
            for model in self.models:
                if model.owner == NOBODY:
                    model.owner, model.epoch = HEIR, model.epoch + 1

    @rule(actor=actors, end=st.sampled_from([*ENDS]))
    def end(self, actor: str, end: str) -> None:
        self._end(actor, ENDS[end])

    @rule(end=st.sampled_from([kill, stop]))
    def end_heir(self, end: Callable[[Any], object]) -> None:
        self._end(HEIR, end)

    def _end(self, actor: str, end: Callable[[Any], object]) -> None:
        ref = self.refs.pop(actor, None)
        if ref is None:
            return
        end(ref)
        gone(ref)
        for model in self.models:
            if model.owner == actor:
                self._inherit(model, ref)

    def _inherit(self, model: Model, from_ref: pykka.ActorRef[Any]) -> None:
        if model.heir in self.refs:
            assert model.heir is not None
            self._move(model, model.heir, from_ref, model.heir_data)
        elif model.heir == HEIR:
            model.owner, model.epoch = NOBODY, model.epoch + 1
        else:
            model.owner, model.rows = None, {}

    def _move(self, model: Model, owner: str, from_ref: pykka.ActorRef[Any], data: object) -> None:
        model.owner, model.epoch = owner, model.epoch + 1
        if owner != HEIR:
            self.due[owner].append((model.table, from_ref, data))

    # -- tables

    @rule(target=tables, actor=actors, name=st.sampled_from([None, *NAMES]), heir=heirs)
    def create(self, actor: str, name: str | None, heir: str | None) -> Any:
        if actor not in self.refs:
            return multiple()
        self.numbers += 1
        data = self.numbers
        made = self._do(actor, lambda: Table(name, heir=_address(heir), heir_data=data))
        if name is not None and any(model.name == name and model.owner is not None for model in self.models):
            assert isinstance(made, AlreadyStarted)
            return multiple()
        model = Model(made, name, actor, heir, data)
        self.models.append(model)
        return model

    def _do(self, actor: str, fn: Callable[[], Any]) -> Any:
        """Run a function in an actor; return its result, or what it raised."""

        def attempt(_: Probe) -> Any:
            try:
                return fn()
            except Exception as error:  # noqa: BLE001 - the model says which it must be
                return error

        return do(self.refs[actor], attempt)

    def _owner_does(self, actor: str, model: Model, fn: Callable[[], Any]) -> bool:
        """Have an actor do what only the owner may, and tell whether it was done, which is as the model says."""
        if actor not in self.refs:
            return False
        result = self._do(actor, fn)
        if model.owner is None:
            assert isinstance(result, TableDeleted)
        elif model.owner != actor:
            assert isinstance(result, NotOwner)
        else:
            assert not isinstance(result, Exception)
            return True
        return False

    @rule(actor=actors, model=tables, key=keys, number=st.integers(0, 9))
    def insert(self, actor: str, model: Model, key: str, number: int) -> None:
        row = [number]
        if self._owner_does(actor, model, lambda: model.table.insert(key, row)):
            model.rows[key] = [number]
        row.append(99)  # is nobody's business

    @rule(actor=actors, model=tables, rows=st.dictionaries(keys, st.integers(0, 9).map(lambda number: [number])))
    def insert_many(self, actor: str, model: Model, rows: dict[str, list[int]]) -> None:
        if self._owner_does(actor, model, lambda: model.table.insert_many(rows)):
            model.rows |= rows

    @rule(actor=actors, model=tables, key=keys)
    def insert_new(self, actor: str, model: Model, key: str) -> None:
        if self._owner_does(actor, model, lambda: model.table.insert_new(key, [7])):
            model.rows.setdefault(key, [7])

    @rule(actor=actors, model=tables, key=keys)
    def delete(self, actor: str, model: Model, key: str) -> None:
        if self._owner_does(actor, model, lambda: model.table.delete(key)):
            model.rows.pop(key, None)

    @rule(actor=actors, model=tables)
    def clear(self, actor: str, model: Model) -> None:
        if self._owner_does(actor, model, model.table.clear):
            model.rows.clear()

    @rule(actor=actors, model=tables)
    def drop(self, actor: str, model: Model) -> None:
        if self._owner_does(actor, model, model.table.drop):
            model.owner, model.rows = None, {}

    @rule(actor=actors, model=tables, heir=heirs)
    def set_heir(self, actor: str, model: Model, heir: str | None) -> None:
        self.numbers += 1
        data = self.numbers
        if self._owner_does(actor, model, lambda: model.table.set_heir(_address(heir), data)):
            model.heir, model.heir_data = heir, data

    @rule(giver=actors, taker=st.sampled_from([HEIR, *ACTORS]), model=tables)
    def give_away(self, giver: str, taker: str, model: Model) -> None:
        if giver not in self.refs:
            return
        self.numbers += 1
        data = self.numbers
        if taker not in self.refs:
            assert isinstance(self._do(giver, lambda: model.table.give_away(taker, data)), ActorDead)
        elif taker == giver == model.owner:
            assert isinstance(self._do(giver, lambda: model.table.give_away(taker, data)), ValueError)
        elif self._owner_does(giver, model, lambda: model.table.give_away(_address(taker), data)):
            self._move(model, taker, self.refs[giver], data)

    @rule(actor=actors, name=st.sampled_from(NAMES))
    def take(self, actor: str, name: str) -> None:
        """What the heir has or what waits for it goes to whoever asks; a live owner keeps its own."""
        if actor not in self.refs:
            return
        result = self._do(actor, lambda: HeirActor.take(name))
        waiting = [model for model in self.models if model.name == name and model.owner in (HEIR, NOBODY)]
        if not waiting:
            assert isinstance(result, NotFound)
            return
        (model,) = waiting
        assert result is model.table
        model.owner, model.epoch = actor, model.epoch + 1

    # -- what must hold after each of them

    @invariant()
    def tables_are_what_the_model_says(self) -> None:
        for model in self.models:
            table = model.table
            table._check()
            assert table.epoch == model.epoch
            owner = None if model.owner in (None, NOBODY) else self.refs[model.owner or ""]
            assert table.owner is owner
            if model.owner is not None:
                assert dict(table.items()) == model.rows

    @invariant()
    def names_lead_to_live_tables(self) -> None:
        for name in NAMES:
            live: list[Table | None] = [
                model.table for model in self.models if model.name == name and model.owner is not None
            ]
            assert [Table.whereis(name)] == (live or [None])

    @invariant()
    def owners_hold_their_tables_and_no_others(self) -> None:
        for actor, ref in self.refs.items():
            owned = {model.table for model in self.models if model.owner == actor}
            assert set(ref.actor_inbox._tables) == owned  # type: ignore[attr-defined]  # the inbox is a Mailbox

    @precondition(lambda self: any(self.due.values()))
    @invariant()
    def everybody_gets_the_transfers_due_in_order(self) -> None:
        for actor, due in self.due.items():
            if actor in self.refs:
                do(self.refs[actor], lambda _: None)  # what was sent before has been handled
                assert drained(self.seen[actor]) == [Transfer(*facts) for facts in due]
            due.clear()


def _address(actor: str | None) -> Any:
    return HeirActor if actor == HEIR else actor


def test_tables_owners_and_heirs_agree_with_a_model() -> None:
    """T1, T2, T3, T5, T6, T8, T9, N1: whatever is written, given, taken or dropped, whoever ends and starts again."""
    run_state_machine_as_test(TableMachine, settings=settings(max_examples=100, stateful_step_count=40, deadline=None))
