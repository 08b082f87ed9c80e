"""The application's heir: tables outlive their owners with it, go back to whoever asks, and outlive the heir too."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from hume import telemetry
from hume.actors import GenServer, HeirActor, Supervisor, Table, application, kill, ref, stop, whereis
from hume.errors import AlreadyStarted, NotFound, NotOwner
from tests.helpers import LIMIT, Probe, all_at_once, do, eventually, gone, next_of, telemetry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RECEIVED, SENT, NOT_FOUND = (("hume", "heir", word) for word in ("received", "sent", "not_found"))


def _crash(_: Probe) -> None:
    raise ZeroDivisionError


ENDS: dict[str, Callable[[Any], object]] = {
    "stop": stop,
    "kill": kill,
    "crash": lambda actor: GenServer.cast(actor, _crash),
}


@pytest.fixture
def heir() -> Any:
    """Start the application, and return its heir."""
    application()
    return whereis(HeirActor)


@pytest.fixture
def no_heir(heir: Any) -> Iterator[Callable[[], Any]]:
    """Stop the heir, so that tables wait; what is yielded starts a new one and returns it."""
    Supervisor.terminate_child(application(), HeirActor)
    yield lambda: Supervisor.restart_child(application(), HeirActor)
    Supervisor.terminate_child(application(), HeirActor)
    Supervisor.restart_child(application(), HeirActor)


def left_behind(name: str, end: Callable[[Any], object] = kill, **options: Any) -> Any:
    """Have an actor make a table with the heir, put a row in, and die; return the actor's ref."""
    owner = Probe.start()
    do(owner, lambda _: Table(name, heir=HeirActor, **options).insert("key", 1))
    end(owner)
    gone(owner)
    return owner


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_the_heir_inherits_and_hands_the_table_to_whoever_takes_it(heir: Any, end: Callable[[Any], object]) -> None:
    """T2, defect 12: whatever ended the owner; the rows, the name and the heir stay."""
    left_behind("t", end)
    table = Table.whereis("t")
    assert table is not None
    assert (table.owner, table.epoch) == (heir, 2)
    successor = Probe.start()
    assert do(successor, lambda _: HeirActor.take("t")) is table
    assert (table.owner, table.epoch, table["key"]) == (successor, 3, 1)
    do(successor, lambda _: table.insert("key", 2))
    table._check()
    kill(successor)
    assert (table.owner, table["key"]) == (heir, 2)


def test_the_heir_can_be_named_by_its_ref_too(heir: Any) -> None:
    """T2, defect 12: the table outlives the heir however the heir was named when it was set."""
    owner, tables = Probe.start(), list[Table]()
    for address in (HeirActor, heir, heir.proxy(), ref(HeirActor)):
        tables.append(do(owner, lambda _, address=address: Table(heir=address)))  # type: ignore[misc]
    changed = do(owner, lambda _: Table())
    do(owner, lambda _: changed.set_heir(heir))
    stop(owner)
    kill(heir)
    eventually(lambda: whereis(HeirActor) not in (None, heir))
    eventually(lambda: {table.owner for table in [*tables, changed]} == {whereis(HeirActor)})


def test_threads_that_are_no_actors_can_take_a_table() -> None:
    """T2: it is the application's from then on."""
    left_behind("t")
    table = HeirActor.take("t")
    table.insert("key", 2)
    assert table.owner is application()


def test_what_the_heir_does_not_have_is_not_found(heir: Any) -> None:
    """T8, defect 12: no such table; one with a live owner; one taken already; one that is deleted. All stay."""
    owner = Probe.start()
    table = do(owner, lambda _: Table("t", heir=HeirActor))
    with pytest.raises(NotFound, match="'unknown'"):
        HeirActor.take("unknown")
    with pytest.raises(NotFound):
        HeirActor.take("t")
    assert (table.owner, table.epoch) == (owner, 1)
    kill(owner)
    assert HeirActor.take("t") is table
    with pytest.raises(NotFound):
        HeirActor.take("t")
    table.drop()
    with pytest.raises(NotFound):
        HeirActor.take("t")


def test_of_many_that_take_one_table_exactly_one_gets_it(heir: Any, fast_switching: None) -> None:
    """T2: the others are told that the heir has it no more."""
    takers = [Probe.start() for _ in range(5)]

    def taking(actor: Any) -> Callable[[], object]:
        def attempt(_: Probe) -> object:
            try:
                return HeirActor.take("t")
            except NotFound as error:
                return error

        return lambda: do(actor, attempt)

    for _ in range(20):
        left_behind("t")
        results = all_at_once(*[taking(actor) for actor in takers])
        (table,) = [result for result in results if isinstance(result, Table)]
        assert sum(isinstance(result, NotFound) for result in results) == len(takers) - 1
        assert table.owner is takers[results.index(table)]
        do(takers[results.index(table)], lambda _, table=table: table.drop())  # type: ignore[misc]


def test_tables_outlive_a_killed_heir(heir: Any) -> None:
    """T2, defect 12: its successor has them, with all rows, and hands them out."""
    left_behind("t")
    kill(heir)
    eventually(lambda: whereis(HeirActor) not in (None, heir))
    table = Table.whereis("t")
    assert table is not None
    eventually(lambda: table.owner is whereis(HeirActor))
    assert table["key"] == 1
    assert HeirActor.take("t") is table
    table._check()


def test_while_the_heir_is_down_its_tables_wait_and_can_be_read(no_heir: Callable[[], Any]) -> None:
    """T2, T4, defect 12: nobody owns them, so nobody writes; their names stay taken."""
    left_behind("t")
    table = Table.whereis("t")
    assert table is not None
    assert table.owner is None
    assert table["key"] == 1
    with pytest.raises(NotOwner, match="when it is back"):
        table.insert("key", 2)
    with pytest.raises(AlreadyStarted):
        Table("t")
    table._check()
    new = no_heir()
    assert (table.owner, table["key"]) == (new, 1)
    table._check()


def test_while_the_heir_is_down_a_table_can_be_taken(no_heir: Callable[[], Any]) -> None:
    """Defect 12: it needs no heir that answers; and the new heir does not take it back."""
    left_behind("taken")
    left_behind("waiting")
    owner = Probe.start()
    table = do(owner, lambda _: HeirActor.take("taken"))
    assert (table.owner, table["key"]) == (owner, 1)
    table._check()
    heir = no_heir()
    waiting = Table.whereis("waiting")
    assert waiting is not None
    assert (table.owner, waiting.owner) == (owner, heir)


def test_tables_that_the_heir_had_wait_when_it_stops(heir: Any, no_heir: Callable[[], Any]) -> None:
    """Defect 12: those it inherited before, as those whose owner dies meanwhile."""
    new = no_heir()
    left_behind("before")
    Supervisor.terminate_child(application(), HeirActor)
    left_behind("meanwhile")
    before, meanwhile = Table.whereis("before"), Table.whereis("meanwhile")
    assert before is not None
    assert meanwhile is not None
    assert before.owner is meanwhile.owner is None
    newest = Supervisor.restart_child(application(), HeirActor)
    assert before.owner is meanwhile.owner is newest is not new


def test_an_heir_under_another_name_leaves_the_waiting_tables_to_the_applications(no_heir: Callable[[], Any]) -> None:
    """T2, defect 12: where `take` would not find them."""
    left_behind("t")
    second = HeirActor.start(name="second")
    table = Table.whereis("t")
    assert table is not None
    assert table.owner is None
    stop(second)
    assert HeirActor.take("t") is table


def test_a_table_that_the_heir_takes_from_itself_stays_with_it(heir: Any) -> None:
    """T2, T9: a telemetry handler may well do that; the table is not lost when the heir dies."""
    result: SimpleQueue[Table] = SimpleQueue()
    telemetry.attach("taker", RECEIVED, lambda *_: result.put(HeirActor.take("t")))
    left_behind("t")
    table = result.get(timeout=LIMIT)
    telemetry.detach("taker")
    assert table.owner is heir
    table._check()
    kill(heir)
    eventually(lambda: table.owner not in (None, heir))
    table._check()


def test_the_application_has_one_heir(heir: Any) -> None:
    """N2: a second one is refused with the first."""
    with pytest.raises(AlreadyStarted) as refused:
        HeirActor.start_link()
    assert refused.value.ref is heir


def test_the_heir_tells_what_it_receives_sends_and_lacks(heir: Any) -> None:
    """E1: with names, refs and the table's epoch."""
    with telemetry_of(RECEIVED, SENT, NOT_FOUND) as events:
        owner = left_behind("t")
        assert next_of(events) == (RECEIVED, {"epoch": 2}, {"table": "t", "from_ref": owner})
        taker = Probe.start()
        do(taker, lambda _: HeirActor.take("t"))
        assert next_of(events) == (SENT, {"epoch": 3}, {"table": "t", "to_ref": taker})
        with pytest.raises(NotFound):
            HeirActor.take("t")
        assert next_of(events) == (NOT_FOUND, {}, {"table": "t"})


def test_a_new_heir_tells_what_it_adopts(no_heir: Callable[[], Any]) -> None:
    """E1, defect 12: each waiting table once, from nobody."""
    left_behind("t")
    with telemetry_of(RECEIVED) as events:
        no_heir()
        assert next_of(events) == (RECEIVED, {"epoch": 3}, {"table": "t", "from_ref": None})
        assert events.empty()


def test_a_stray_message_does_not_hurt_the_heir(heir: Any) -> None:
    """S12: it keeps what it has."""
    left_behind("t")
    GenServer.send(HeirActor, "stray")
    GenServer.cast(HeirActor, "stray")
    with pytest.raises(TypeError):
        GenServer.call(HeirActor, "stray")
    assert whereis(HeirActor) is heir
    assert HeirActor.take("t")["key"] == 1
