"""Tables under many threads that write, give, take and kill: none is lost, none has a dead owner, nobody hangs."""

from __future__ import annotations

import functools
import random
import threading
from typing import TYPE_CHECKING, Any

from hume.actors import HeirActor, Table, application, kill, whereis
from hume.actors._table import _named
from hume.errors import ActorDead, NotFound, NotOwner
from tests.helpers import Probe, all_at_once, do, eventually, gone

if TYPE_CHECKING:
    from collections.abc import Callable

ACTORS, TABLES, THREADS, STEPS = 5, 6, 5, 500
REFUSALS = (NotOwner, NotFound, ActorDead)  # what may be said to one who comes too late


class Crew:
    """Actors that are replaced when they are killed, and the tables that they pass around."""

    def __init__(self) -> None:
        self.actors: list[Any] = [Probe.start() for _ in range(ACTORS)]
        self.everybody = list(self.actors)
        self.tables: list[Table] = [do(self.actors[0], self.maker(number)) for number in range(TABLES)]
        self.written: list[tuple[Table, Any]] = []  # the rows whose insert has returned
        self.lock = threading.Lock()

    @staticmethod
    def maker(number: int) -> Callable[[Any], Table]:
        return lambda _: Table(("kept", number), heir=HeirActor)

    def worker(self, seed: int) -> Callable[[], int]:
        """Return what one thread does; it counts what it was not refused."""
        rng = random.Random(seed)  # noqa: S311 - a schedule, no secret

        def run() -> int:
            done = 0
            for step in range(STEPS):
                action = rng.choice([self.insert, self.insert, self.take, self.give, self.give, self.make, self.kill])
                try:
                    action(rng, (seed, step))
                    done += 1
                except REFUSALS:
                    pass
            return done

        return run

    def insert(self, rng: random.Random, key: Any) -> None:
        table = rng.choice(self.tables)
        self.ask(rng.choice(self.actors), lambda: table.insert(key, [key]))
        self.written.append((table, key))

    def take(self, rng: random.Random, _: Any) -> None:
        name = rng.choice(self.tables).name
        self.ask(rng.choice(self.actors), lambda: HeirActor.take(name))

    def give(self, rng: random.Random, _: Any) -> None:
        table = rng.choice(self.tables)
        owner, receiver = table.owner, rng.choice(self.actors)
        if owner in self.actors and owner is not receiver:
            self.ask(owner, lambda: table.give_away(receiver))

    def make(self, rng: random.Random, key: Any) -> None:
        """Make a table that is to go with its owner."""
        self.ask(rng.choice(self.actors), lambda: Table(("own", key)))

    def kill(self, rng: random.Random, _: Any) -> None:
        """Kill an actor, perhaps in the middle of one of the above, and put another in its place."""
        place = rng.randrange(ACTORS)
        with self.lock:
            new = Probe.start()
            self.everybody.append(new)
            old, self.actors[place] = self.actors[place], new
        assert kill(old)
        for table in self.tables:
            assert table.owner is not old

    def kill_heir(self) -> int:
        """Kill the heir a few times; it is restarted each time."""
        for _ in range(4):
            heir = whereis(HeirActor)
            if heir is not None:
                kill(heir)
            eventually(lambda heir=heir: whereis(HeirActor) not in (None, heir))  # type: ignore[misc]
        return 0

    @staticmethod
    def ask(actor: Any, fn: Callable[[], object]) -> None:
        """Have an actor do something; raise the refusal that it meets."""

        def attempt(_: Probe) -> object:
            try:
                return fn()
            except REFUSALS as error:
                return error

        answer = do(actor, attempt)
        if isinstance(answer, Exception):
            raise answer


def test_no_table_is_lost_whoever_writes_gives_takes_and_kills(fast_switching: None) -> None:
    """T2, T3, T7, T9, V18, defect 12: each row whose insert has returned is there at the end, each owner is alive."""
    root, crew = application(), Crew()
    results = all_at_once(*[crew.worker(seed) for seed in range(THREADS)], crew.kill_heir)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    assert sum(result for result in results if isinstance(result, int)) > THREADS
    assert application() is root
    eventually(lambda: None not in {table.owner for table in crew.tables})  # the last heir has adopted what waited
    for number, table in enumerate(crew.tables):
        assert Table.whereis(("kept", number)) is table
        assert table.owner in (*crew.actors, whereis(HeirActor))
        table._check()
    for table, key in crew.written:
        assert table[key] == [key]
    for actor in crew.actors:
        kill(actor)
    for actor in crew.everybody:
        gone(actor)
    assert set(_named) == {("kept", number) for number in range(TABLES)}
    assert {table.owner for table in crew.tables} == {whereis(HeirActor)}


def test_a_gift_to_an_actor_that_is_being_killed_is_refused_or_inherited(fast_switching: None) -> None:
    """T3, T9: the table is with the giver or with the heir, never in between, and never with the dead."""
    giver, heir = Probe.start(), Probe.start()
    for _ in range(150):
        receiver = Probe.start()
        table = do(giver, lambda _: Table(heir=heir))
        given, killed = all_at_once(_gift(giver, receiver, table), functools.partial(kill, receiver))
        assert killed is True
        assert table.owner is (heir if given is True else giver)
        table._check()


def _gift(giver: Any, receiver: Any, table: Table) -> Callable[[], object]:
    def attempt(_: Probe) -> bool:
        try:
            table.give_away(receiver)
        except ActorDead:
            return False
        return True

    return lambda: do(giver, attempt)


def test_a_table_made_by_an_actor_that_is_being_killed_is_deleted_or_inherited(fast_switching: None) -> None:
    """T1, T2, T9: no name stays taken by a table without an owner."""
    heir = Probe.start()
    for number in range(150):
        owner = Probe.start()
        all_at_once(_making(owner, number, heir), functools.partial(kill, owner))
        gone(owner)
        kept = Table.whereis(("kept", number))
        assert kept is None or kept.owner is heir
        assert Table.whereis(("own", number)) is None


def _making(owner: Any, number: int, heir: Any) -> Callable[[], object]:
    return lambda: do(owner, lambda _: (Table(("kept", number), heir=heir), Table(("own", number))))


def test_owners_that_are_each_others_heirs_can_die_together(fast_switching: None) -> None:
    """T2, T9: no deadlock, and no table with a dead owner."""
    for _ in range(100):
        one, other = Probe.start(), Probe.start()
        tables = [do(one, lambda _, other=other: Table(heir=other)) for _ in range(3)]  # type: ignore[misc]
        tables += [do(other, lambda _, one=one: Table(heir=one)) for _ in range(3)]  # type: ignore[misc]
        killed = all_at_once(functools.partial(kill, one), functools.partial(kill, other))
        assert killed == [True, True]
        assert {table.owner for table in tables} == {None}
        for table in tables:
            table._check()
