"""Tables: owner, heir, access, names, copies, atomicity, deletion, epochs, and owners dead without knowing it."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from hume.actors import (
    Crash,
    Down,
    Exit,
    GenServer,
    HeirActor,
    Table,
    Transfer,
    application,
    kill,
    ref,
    stop,
    stop_application,
    whereis,
)
from hume.errors import ActorDead, AlreadyStarted, NotFound, NotOwner, TableDeleted, TableError, Timeout
from tests.helpers import LIMIT, Gate, Probe, all_at_once, do, eventually, gone, in_thread, mailbox, next_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pykka

Ref = Any  # of a Probe


class Boom(Exception):
    """What the actors of these tests crash with."""


def _crash(_: Probe) -> None:
    raise Boom


def _crashed(actor: Ref) -> None:
    GenServer.cast(actor, _crash)


ENDS: dict[str, Callable[[Ref], object]] = {
    "stop": stop,
    "shutdown": lambda actor: stop(actor, "shutdown"),
    "kill": kill,
    "crash": _crashed,
}
every_end = pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())


def end_by(end: Callable[[Ref], object], actor: Ref) -> None:
    """End an actor, and wait until its thread has left."""
    end(actor)
    gone(actor)


def make(owner: Ref, name: Hashable = None, **options: Any) -> Table:
    """Have an actor create a table."""
    table: Table = do(owner, lambda _: Table(name, **options))
    table._check()
    return table


def refusal(fn: Callable[[], object]) -> BaseException:
    """Run a function that must be refused, and return the error."""
    try:
        fn()
    except Exception as error:  # noqa: BLE001 - the caller says which it must be
        return error
    return AssertionError("it was not refused")


def refusal_in(actor: Ref, fn: Callable[[], object]) -> BaseException:
    """Do the same in an actor's thread, which survives it."""
    error: BaseException = do(actor, lambda _: refusal(fn))
    return error


READS: dict[str, Callable[[Table], object]] = {
    "[]": lambda table: table["key"],
    "get": lambda table: table.get("key"),
    "in": lambda table: "key" in table,
    "iter": list,
    "len": len,
    "items": lambda table: list(table.items()),
    "values": lambda table: list(table.values()),
}
WRITES: dict[str, Callable[[Table], object]] = {
    "insert": lambda table: table.insert("key", "new"),
    "insert_many": lambda table: table.insert_many({"key": "new"}),
    "insert_new": lambda table: table.insert_new("other", "new"),
    "delete": lambda table: table.delete("key"),
    "clear": lambda table: table.clear(),
}
OWNERS: dict[str, Callable[[Table], object]] = {
    "drop": lambda table: table.drop(),
    "set_heir": lambda table: table.set_heir(None),
    "give_away": lambda table: table.give_away(application()),
}
every_read = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())
every_write = pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
every_right = pytest.mark.parametrize("right", OWNERS.values(), ids=OWNERS.keys())


# -- who owns a table, and what becomes of it


def test_the_creator_owns_the_table() -> None:
    """T1: with an epoch of 1 and no rows."""
    owner = Probe.start()
    table = make(owner, "t")
    assert table.owner is owner
    assert table.epoch == 1
    assert dict(table.items()) == {}


def test_threads_that_are_no_actors_share_what_one_of_them_creates() -> None:
    """T1: their tables belong to the application."""
    table = Table("t", access="private")
    assert table.owner is application()
    in_thread(table.insert, "key", 1).result(LIMIT)
    assert in_thread(lambda: table["key"]).result(LIMIT) == 1


@every_end
def test_a_table_without_an_heir_is_deleted_when_its_owner_dies(end: Callable[[Ref], object]) -> None:
    """T1: whatever the reason."""
    owner = Probe.start()
    table = make(owner, "t")
    end_by(end, owner)
    assert isinstance(refusal(lambda: len(table)), TableDeleted)
    assert table.owner is None
    assert Table.whereis("t") is None
    table._check()


@every_end
def test_the_heir_becomes_owner_and_gets_a_transfer(end: Callable[[Ref], object]) -> None:
    """T2: with the previous owner and the heir's data; rows and heir stay."""
    seen: SimpleQueue[Any] = SimpleQueue()
    owner, heir = Probe.start(), Probe.start(seen)
    table = make(owner, "t", heir=heir, heir_data=("data",))
    do(owner, lambda _: table.insert("key", 1))
    end_by(end, owner)
    assert next_of(seen) == Transfer(table, owner, ("data",))
    do(heir, lambda _: table.insert("key", table["key"] + 1))
    assert table["key"] == 2
    assert table.owner is heir
    assert table.epoch == 2
    table._check()


def test_an_heir_may_be_a_ref_a_proxy_a_name_or_the_ref_of_a_name() -> None:
    """T2: the name is looked up when the owner dies."""
    heir = Probe.start()
    for address in (heir, heir.proxy(), "heir", ref("heir")):
        owner = Probe.start()
        table = make(owner, heir=address)
        if isinstance(address, str):
            kill(heir)
            heir = Probe.start(name="heir")
        kill(owner)
        assert table.owner is heir


@pytest.mark.parametrize("address", ["dead", "unknown", "itself"])
def test_with_a_dead_heir_the_table_is_deleted(address: str) -> None:
    """T2: or with one that nobody knows, or that is the dying owner itself."""
    owner, dead = Probe.start(name="itself"), Probe.start()
    stop(dead)
    gone(dead)
    table = make(owner, "t", heir=dead if address == "dead" else address)
    kill(owner)
    assert isinstance(refusal(lambda: len(table)), TableDeleted)
    table._check()


def test_the_heir_can_be_changed_and_taken_away() -> None:
    """T2: what counts is the heir at the time of the death."""
    seen: SimpleQueue[Any] = SimpleQueue()
    owner, first, second = Probe.start(), Probe.start(), Probe.start(seen)
    changed, childless = make(owner, heir=first), make(owner, heir=first)
    do(owner, lambda _: changed.set_heir(second, "data"))
    do(owner, lambda _: childless.set_heir(None))
    kill(owner)
    assert changed.owner is second
    assert next_of(seen) == Transfer(changed, owner, "data")
    assert isinstance(refusal(lambda: len(childless)), TableDeleted)


def test_what_can_be_no_heir_is_refused_at_once() -> None:
    """T2: not when the owner dies and it is too late; no table is made, and an heir that was set stays."""
    owner, heir = Probe.start(), Probe.start()
    unhashable: Any = []
    assert isinstance(refusal_in(owner, lambda: Table("t", heir=unhashable)), TypeError)
    assert Table.whereis("t") is None
    table = make(owner, heir=heir)
    assert isinstance(refusal_in(owner, lambda: table.set_heir(unhashable)), TypeError)
    kill(owner)
    assert table.owner is heir


def test_tables_of_a_server_whose_init_raises_are_handed_on_or_deleted() -> None:
    """S2, T1, T2: nothing is left behind by a start that failed, and nothing is lost that has an heir."""
    heir = Probe.start()

    class Failing(GenServer):
        def init(self, *_: Any, **__: Any) -> None:
            Table("kept", heir=heir)
            Table("lost")
            raise Boom

    with pytest.raises(Boom):
        Failing.start()
    assert Table.whereis("lost") is None
    kept = Table.whereis("kept")
    assert kept is not None
    assert kept.owner is heir


def test_an_init_that_takes_too_long_owns_nothing_from_then_on() -> None:
    """S4, V18: the table is deleted, and the stuck thread that comes to life later can't write or make another."""
    result: SimpleQueue[Any] = SimpleQueue()
    with Gate() as gate:

        class Slow(GenServer):
            def init(self, *_: Any, **__: Any) -> None:
                table = Table("slow", access="public")
                gate.hold()
                result.put((refusal(lambda: table.insert("a", 1)), refusal(lambda: Table("late"))))

        with pytest.raises(Timeout):
            Slow.start(timeout=0.05)
        gate.wait()
        assert Table.whereis("slow") is None
    first, second = next_of(result)
    assert isinstance(first, TableDeleted)
    assert isinstance(second, ActorDead)
    assert Table.whereis("late") is None


# -- giving away


def test_a_table_can_be_given_away() -> None:
    """T3: the new owner gets a Transfer with the data, the old one can't write any more, the heir stays."""
    seen: SimpleQueue[Any] = SimpleQueue()
    owner, other, heir = Probe.start(), Probe.start(seen), Probe.start()
    table = make(owner, heir=heir, heir_data="for the heir")
    do(owner, lambda _: table.insert("key", 1))
    do(owner, lambda _: table.give_away(other, {"data": 1}))
    assert next_of(seen) == Transfer(table, owner, {"data": 1})
    assert table.owner is other
    assert table.epoch == 2
    assert isinstance(refusal_in(owner, lambda: table.insert("key", 2)), NotOwner)
    table._check()
    kill(owner)
    assert table.owner is other
    kill(other)
    assert table.owner is heir
    assert table["key"] == 1


def test_a_table_given_to_the_application_is_for_all_threads_that_are_no_actors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """T3, S12: the Transfer is no unexpected message."""
    owner = Probe.start()
    table = make(owner)
    do(owner, lambda _: table.give_away(application()))
    table.insert("key", 1)
    assert table["key"] == 1
    stop_application()  # after which the Transfer has been handled
    assert "unexpected" not in caplog.text


def test_a_gift_that_is_refused_leaves_everything_as_it_was() -> None:
    """T3, T8: to itself, to a dead actor, to an unknown one, by one who is not the owner."""
    seen: SimpleQueue[Any] = SimpleQueue()
    owner, other, dead = Probe.start(seen), Probe.start(), Probe.start()
    stop(dead)
    table = make(owner, heir=other)
    do(owner, lambda _: table.insert("key", 1))
    assert isinstance(refusal_in(owner, lambda: table.give_away(owner)), ValueError)
    assert isinstance(refusal_in(owner, lambda: table.give_away(dead)), ActorDead)
    assert isinstance(refusal_in(owner, lambda: table.give_away("unknown")), ActorDead)
    assert isinstance(refusal_in(other, lambda: table.give_away(other)), NotOwner)
    assert isinstance(refusal(lambda: table.give_away(other)), NotOwner)
    assert (table.owner, table.epoch, dict(table.items())) == (owner, 1, {"key": 1})
    assert seen.empty()
    table._check()


# -- access


@pytest.mark.parametrize("access", ["public", "protected", "private"])
@every_read
def test_who_may_read(access: Any, read: Callable[[Table], object]) -> None:
    """T4: the owner always; others unless it is private."""
    owner, other = Probe.start(), Probe.start()
    table = make(owner, access=access)
    do(owner, lambda _: table.insert("key", "old"))
    wanted = do(owner, lambda _: read(table))
    if access == "private":
        assert isinstance(refusal_in(other, lambda: read(table)), NotOwner)
        assert isinstance(refusal(lambda: read(table)), NotOwner)
    else:
        assert do(other, lambda _: read(table)) == wanted
        assert read(table) == wanted


@pytest.mark.parametrize("access", ["public", "protected", "private"])
@every_write
def test_who_may_write(access: Any, write: Callable[[Table], object]) -> None:
    """T4, T8: the owner always; others only when it is public, else nothing changes."""
    owner, other = Probe.start(), Probe.start()
    old = {"key": "old"}

    def written_by(run: Callable[[Callable[[], object]], object]) -> tuple[object, bool]:
        """Write a table that has one row; return what was raised, and whether it has changed."""
        table = make(owner, access=access)
        do(owner, lambda _: table.insert_many(old))
        error = run(lambda: write(table))
        return error, do(owner, lambda _: dict(table.items())) != old

    assert written_by(lambda fn: do(owner, lambda _: fn()))[1]
    for run in (refusal, lambda fn: refusal_in(other, fn)):
        error, changed = written_by(run)
        assert changed == (access == "public")
        assert isinstance(error, AssertionError if access == "public" else NotOwner)


@pytest.mark.parametrize("access", ["public", "protected", "private"])
@every_right
def test_what_only_the_owner_may_do(access: Any, right: Callable[[Table], object]) -> None:
    """T3, T4, T8: whatever the access; a refusal says who the owner is and changes nothing."""
    owner, other, heir = Probe.start(), Probe.start(), Probe.start()
    table = make(owner, access=access, heir=heir)
    for error in (refusal_in(other, lambda: right(table)), refusal(lambda: right(table))):
        assert isinstance(error, NotOwner)
        assert str(owner) in str(error)
    assert (table.owner, table.epoch) == (owner, 1)
    kill(owner)
    assert table.owner is heir  # so the heir is the one that was set


def test_an_unknown_access_is_refused_with_the_list_of_the_known() -> None:
    """T4: and no table is made."""
    with pytest.raises(ValueError, match="'public', 'protected', 'private'"):
        Table("t", access="secret")  # type: ignore[arg-type]
    assert Table.whereis("t") is None


# -- names


def test_a_name_is_unique_among_live_tables_and_anybody_finds_it() -> None:
    """T5: a second table of that name is refused, with the owner of the first."""
    owner, other = Probe.start(), Probe.start()
    table = make(owner, ("any", "hashable"))
    error = refusal_in(other, lambda: Table(("any", "hashable")))
    assert isinstance(error, AlreadyStarted)
    assert error.ref is owner
    assert do(other, lambda _: Table.whereis(("any", "hashable"))) is table
    assert Table.whereis(("any", "hashable")) is table
    assert Table.whereis("unknown") is None
    kill(other)
    assert Table.whereis(("any", "hashable")) is table
    table._check()


def test_a_name_goes_with_its_table() -> None:
    """T5: dropped, or dead with its owner, it makes room for another."""
    owner = Probe.start()
    first = make(owner, "t")
    do(owner, lambda _: first.drop())
    second = make(owner, "t")
    kill(owner)
    third = Table("t")
    assert Table.whereis("t") is third
    assert isinstance(refusal(lambda: len(first)), TableDeleted)
    assert isinstance(refusal(lambda: len(second)), TableDeleted)
    for table in (first, second, third):
        table._check()


def test_a_name_must_be_hashable_and_a_table_needs_none() -> None:
    """T5: and a table that was refused leaves nothing with its owner."""
    owner = Probe.start()
    assert isinstance(refusal_in(owner, lambda: Table(["unhashable"])), TypeError)  # type: ignore[arg-type]
    assert make(owner) is not make(owner)
    assert len(mailbox(owner)._tables) == 2


def test_of_many_that_race_for_a_tables_name_exactly_one_wins(fast_switching: None) -> None:
    """T5, N2: the others hear who did."""
    owners = [Probe.start() for _ in range(6)]
    for _ in range(20):
        results = all_at_once(*[_maker(owner) for owner in owners])
        winners = [table for table in results if isinstance(table, Table)]
        assert len(winners) == 1
        assert all(isinstance(error, AlreadyStarted) for error in results if error is not winners[0])
        assert Table.whereis("raced") is winners[0]
        do(winners[0].owner, lambda _, winner=winners[0]: winner.drop())  # type: ignore[arg-type,misc]


def _maker(owner: Ref) -> Callable[[], object]:
    def attempt(_: Probe) -> object:
        try:
            return Table("raced")
        except AlreadyStarted as error:
            return error

    return lambda: do(owner, attempt)


# -- copies


def test_a_later_change_of_what_was_inserted_changes_nothing_in_the_table() -> None:
    """T6: by insert, insert_many and insert_new."""
    table = Table()
    row, rows = {"list": [1]}, {"many": [1]}
    table.insert("one", row)
    table.insert_many(rows)
    table.insert_new("new", row)
    row["list"].append(2)
    rows["many"].append(2)
    assert dict(table.items()) == {"one": {"list": [1]}, "many": [1], "new": {"list": [1]}}


def test_a_later_change_of_what_was_read_changes_nothing_in_the_table() -> None:
    """T6: by [], get, items and values."""
    table = Table()
    table.insert("key", [1])
    for row in (table["key"], table.get("key"), dict(table.items())["key"], next(iter(table.values()))):
        assert row == [1]
        row.append(2)
    assert table["key"] == [1]


def test_a_copier_decides_how_rows_are_copied() -> None:
    """T6: with `None` nothing is, for rows that nobody changes in place."""
    row = [1]
    trusting = Table(copier=None)
    trusting.insert("key", row)
    assert trusting["key"] is row
    tupled = Table(copier=tuple)
    tupled.insert("key", row)
    assert tupled["key"] == (1,)


def test_refs_and_tables_own_contents_are_identities() -> None:
    """T6: a ref that goes in is the ref that comes out."""
    actor = Probe.start()
    table = Table()
    table.insert("row", {"actor": actor})
    assert table["row"]["actor"] is actor


def test_what_cannot_be_copied_changes_nothing() -> None:
    """T6, T7, T8: not even a part of it."""
    table = Table()
    table.insert("key", 1)
    with pytest.raises(TypeError):
        table.insert_many([("a", 1), ("key", threading.Lock())])
    with pytest.raises((TypeError, ValueError)):
        table.insert_many([("a", 1), "no pair"])  # type: ignore[list-item]
    with pytest.raises(TypeError):
        table.insert_many([("a", 1), ([], 2)])  # type: ignore[list-item]
    assert dict(table.items()) == {"key": 1}


# -- atomicity


def test_nobody_sees_a_part_of_several_rows_inserted_at_once(fast_switching: None) -> None:
    """T7: in no read that shows several rows."""
    table = Table(access="public")
    table.insert_many({"a": 0, "b": 0})
    done = threading.Event()

    def write() -> int:
        for number in range(1, 400):
            table.insert_many({"a": number, "b": number})
        done.set()
        return 0

    def read() -> int:
        torn = 0
        while not done.is_set():
            rows = dict(table.items())
            torn += rows["a"] != rows["b"]
            torn += len(set(table.values())) != 1
        return torn

    assert all_at_once(write, read, read) == [0, 0, 0]


def test_rows_that_come_and_go_never_break_a_read(fast_switching: None) -> None:
    """T7: a read of all rows shows one moment; no KeyError, no "changed during iteration"."""
    table = Table(access="public")
    done = threading.Event()

    def write() -> int:
        for number in range(300):
            table.insert_many({("row", i): number for i in range(8)})
            for i in range(8):
                table.delete(("row", i))
        done.set()
        return 0

    def read() -> int:
        while not done.is_set():
            assert len({*table.values()}) <= 1
            list(table.items()), list(table), len(table)
        return 0

    assert all_at_once(write, read, read) == [0, 0, 0]


def test_of_many_that_insert_a_new_row_exactly_one_does(fast_switching: None) -> None:
    """T7: the row is the winner's."""
    table = Table(access="public")
    for round_ in range(50):
        won = all_at_once(*[_inserter(table, round_, number) for number in range(4)])
        assert won.count(True) == 1
        assert table[round_] == won.index(True)


def _inserter(table: Table, key: int, value: int) -> Callable[[], bool]:
    return lambda: table.insert_new(key, value)


def test_insert_replaces_insert_new_does_not_and_delete_is_content_with_nothing() -> None:
    """T7: the plain meaning of each."""
    table = Table()
    table.insert("key", 1)
    table.insert("key", 2)
    assert not table.insert_new("key", 3)
    assert table["key"] == 2
    table.insert_many([("key", 4), ("other", 5), ("key", 6)])
    assert dict(table.items()) == {"key": 6, "other": 5}
    table.delete("unknown")
    table.delete("key")
    assert list(table) == ["other"]
    with pytest.raises(KeyError):
        table["key"]
    assert table.get("key", "default") == "default"
    table.clear()
    assert len(table) == 0


# -- deletion


@pytest.mark.parametrize("operation", [*READS.values(), *WRITES.values(), *OWNERS.values()])
@pytest.mark.parametrize("access", ["public", "protected", "private"])
def test_every_operation_on_a_deleted_table_raises(access: Any, operation: Callable[[Table], object]) -> None:
    """T8: and brings nothing back."""
    owner = Probe.start()
    table = make(owner, "t", access=access)
    do(owner, lambda _: table.drop())
    for error in (refusal_in(owner, lambda: operation(table)), refusal(lambda: operation(table))):
        assert isinstance(error, TableDeleted)
        assert isinstance(error, TableError)
    assert Table.whereis("t") is None
    table._check()


# -- epochs and zombies


def test_the_epoch_counts_the_owners_and_nothing_else() -> None:
    """T2, T3: a gift, an inheritance and a take raise it; writes and a new heir don't."""
    owner, other, heir = Probe.start(), Probe.start(), Probe.start()
    table = make(owner, "t", heir=heir)
    do(owner, lambda _: table.insert("key", 1))
    do(owner, lambda _: table.set_heir(heir))
    assert table.epoch == 1
    do(owner, lambda _: table.give_away(other))
    assert table.epoch == 2
    kill(other)
    assert table.epoch == 3
    do(heir, lambda _: table.set_heir(HeirActor))
    kill(heir)
    waiting = table.epoch
    assert waiting > 3
    HeirActor.take("t")
    assert table.epoch > waiting


def test_a_killed_owners_thread_can_do_nothing_to_any_table() -> None:
    """V18, T8: not to the one that was its own, not to a public one; it can't make, take or get one either."""
    owner, heir = Probe.start(), Probe.start()
    table, shared = make(owner, "t", heir=heir), Table("public", access="public")
    do(owner, lambda _: table.insert("key", "old"))
    inherited = make(heir, "inherited", heir=HeirActor)
    errors: SimpleQueue[list[BaseException]] = SimpleQueue()
    attempts: list[Callable[[], object]] = [
        *(lambda write=write: write(table) for write in WRITES.values()),
        *(lambda right=right: right(table) for right in OWNERS.values()),
        *(lambda write=write: write(shared) for write in WRITES.values()),
        lambda: Table("another"),
        Table,
        lambda: HeirActor.take("inherited"),
    ]
    with Gate() as gate:

        def zombie(_: Probe) -> None:
            gate.hold()
            errors.put([refusal(attempt) for attempt in attempts])

        GenServer.cast(owner, zombie)
        gate.wait()
        kill(owner)
        kill(heir)
    found = errors.get(timeout=LIMIT)
    wanted = [TableDeleted] * 8 + [NotOwner] * 5 + [ActorDead] * 3
    assert [type(error) for error in found] == wanted
    assert (inherited.owner, inherited.epoch) == (whereis(HeirActor), 2)
    assert (Table.whereis("another"), dict(shared.items())) == (None, {})


def test_a_killed_owners_thread_cannot_write_what_its_heir_has() -> None:
    """V18, T2: the epoch has moved on, and the rows are the heir's alone."""
    owner, heir = Probe.start(), Probe.start()
    table, _ = make(owner, heir=heir), application()
    do(owner, lambda _: table.insert("key", "old"))
    errors: SimpleQueue[BaseException] = SimpleQueue()
    with Gate() as gate:

        def zombie(_: Probe) -> None:
            gate.hold()
            for attempt in (*WRITES.values(), *OWNERS.values()):
                errors.put(refusal(lambda attempt=attempt: attempt(table)))  # type: ignore[misc]

        GenServer.cast(owner, zombie)
        gate.wait()
        kill(owner)
    for _ in range(len(WRITES) + len(OWNERS)):
        assert isinstance(next_of(errors), NotOwner)
    assert dict(table.items()) == {"key": "old"}
    assert (table.owner, table.epoch) == (heir, 2)


# -- the order of a death


def test_while_its_tables_are_on_their_way_the_owner_is_dead_to_nobody() -> None:
    """T9, N1: with a table held up its name is taken and no monitor has heard; then all of it comes."""
    heard: SimpleQueue[Any] = SimpleQueue()
    owner, heir = Probe.start(name="owner"), Probe.start()
    table = make(owner, "t", heir=heir)
    mailbox(owner).monitor(lambda down: heard.put((down.reason, table.owner, whereis("owner"))))
    with table.lock:
        killing = in_thread(kill, owner)
        eventually(lambda: mailbox(owner).reason is not None)
        assert owner.is_alive()
        assert whereis("owner") is owner
        assert heard.empty()
        assert isinstance(refusal(lambda: Probe.start(name="owner")), AlreadyStarted)
    assert killing.result(LIMIT)
    assert next_of(heard) == ("killed", heir, None)


def test_a_gift_of_an_owner_about_to_die_stands() -> None:
    """T3, T9: what it gave away is not inherited from it."""
    heir, other, owner = Probe.start(), Probe.start(), Probe.start()
    held, gift = make(owner, heir=heir), make(owner, heir=heir)
    with Gate() as gate:

        def give(_: Probe) -> None:
            gate.hold()
            gift.give_away(other)

        GenServer.cast(owner, give)
        gate.wait()
        with held.lock:
            killing = in_thread(kill, owner)
            eventually(lambda: mailbox(owner).reason is not None)  # its tables are on their way
            gate.open()
            eventually(lambda: gift.owner is other)
        assert killing.result(LIMIT)
    assert (held.owner, gift.owner, gift.epoch) == (heir, other, 2)
    gift._check()


@pytest.mark.parametrize("moved", ["given away", "dropped"])
def test_a_table_has_moved_before_its_owner_lets_go_of_it(moved: str) -> None:
    """T3, T9: so whoever ends the owner meanwhile waits for the table, and never leaves it with the dead."""
    owner, other = Probe.start(), Probe.start()
    table = make(owner, "t")
    move = table.drop if moved == "dropped" else lambda: table.give_away(other)
    with mailbox(owner)._lock:  # what it needs to let go
        GenServer.cast(owner, lambda _: move())
        eventually(lambda: table.owner is not owner)
        killing = in_thread(kill, owner)
        assert owner.is_alive()
    assert killing.result(LIMIT)
    assert table.owner is (None if moved == "dropped" else other)
    table._check()


def test_a_gift_to_one_who_is_about_to_die_is_refused() -> None:
    """T3, T9: though nobody has heard of it; the table stays with the giver."""
    giver, heir, dying = Probe.start(), Probe.start(), Probe.start()
    held, gift = make(dying, heir=heir), make(giver, heir=heir)
    with held.lock:
        killing = in_thread(kill, dying)
        eventually(lambda: mailbox(dying).reason is not None)
        assert dying.is_alive()
        assert isinstance(refusal_in(giver, lambda: gift.give_away(dying)), ActorDead)
    assert killing.result(LIMIT)
    assert (gift.owner, gift.epoch) == (giver, 1)
    gift._check()


@every_end
def test_whoever_hears_of_a_death_finds_the_tables_moved(end: Callable[[Ref], object]) -> None:
    """T9: by a monitor or by a link."""
    owner, heir = Probe.start(), Probe.start()
    tables = [make(owner, heir=heir) for _ in range(20)]
    found: SimpleQueue[Any] = SimpleQueue()

    class Watcher(GenServer):
        trap_exit = True

        def init(self, *_: Any, **__: Any) -> None:
            self.link(owner)
            self.monitor(owner)

        def handle_info(self, message: Any) -> None:
            found.put((type(message), {table.owner for table in tables}))

    Watcher.start()
    end_by(end, owner)
    assert [next_of(found), next_of(found)] == [(Exit, {heir}), (Down, {heir})]


def test_a_successor_started_at_the_down_has_its_predecessors_tables() -> None:
    """T9, N1: the name is free and the tables are with the heir when a monitor hears of the death."""
    taken: SimpleQueue[Any] = SimpleQueue()

    class Keeper(GenServer):
        def init(self, *_: Any, **__: Any) -> None:
            try:
                self.table = HeirActor.take("kept")
            except NotFound:
                self.table = Table("kept", heir=HeirActor)
            self.table.insert("lives", self.table.get("lives", 0) + 1)
            taken.put(self.table)

    first = Keeper.start_link(name="keeper")
    successors: SimpleQueue[pykka.ActorRef[Any]] = SimpleQueue()
    mailbox(first).monitor(lambda _down: successors.put(Keeper.start_link(name="keeper")))
    kill(first)
    successor = successors.get(timeout=LIMIT)
    assert next_of(taken) is next_of(taken)
    table = Table.whereis("kept")
    assert table is not None
    assert (table.owner, table["lives"]) == (successor, 2)


def test_the_error_that_ends_the_owner_does_not_hold_its_tables() -> None:
    """T1, T9: a caller that gets the crash finds the table deleted."""
    owner = Probe.start()
    table = make(owner, "t")
    with pytest.raises(Boom):
        do(owner, _crash)
    assert Table.whereis("t") is None
    assert isinstance(refusal(lambda: len(table)), TableDeleted)
    assert isinstance(mailbox(owner).reason, Crash)
