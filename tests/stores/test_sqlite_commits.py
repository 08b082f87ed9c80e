"""Who shares a transaction, who hears of what others wrote, and what a store's death leaves."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume.errors import ActorDead, StorageFailed, Timeout, UnexpectedSequence
from hume.stores import SQLiteEventStore, _sqlite_commit
from tests.helpers import LIMIT, eventually, gone, in_thread, telemetry_of
from tests.samples import Collected
from tests.stores.files import face, has_pending, held, locked, payloads, program, result

if TYPE_CHECKING:
    from concurrent.futures import Future

    import pykka


# -- group commit


def test_one_thread_alone_commits_each_append_in_its_own_thread(
    commits: list[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = SQLiteEventStore.start(path)
    commits.clear()
    monkeypatch.delattr("hume.stores._sqlite.call_mailbox")  # so that a message would be an error
    assert [face(ref).append("s", [number]) for number in range(5)] == [1, 2, 3, 4, 5]
    assert len(commits) == 5


@pytest.mark.usefixtures("patient")
def test_appends_that_wait_together_share_one_transaction(commits: list[str], path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    commits.clear()
    with held(path, api) as first:
        futures = [in_thread(api.append, f"s{number}", ["a", "b"]) for number in range(8)]
        eventually(partial(has_pending, ref, 8))
    assert [future.result(LIMIT) for future in futures] == [2] * 8
    assert first.result(LIMIT) == 1
    assert len(commits) == 2  # the first one's, and that of all others
    assert [event.position for event in api.all_events()] == list(range(1, 18))


@pytest.mark.usefixtures("patient")
def test_one_that_is_refused_refuses_only_itself(commits: list[str], path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    one = uuid.uuid4()
    api.append("s", ["a"], ids=[one])
    commits.clear()
    works = [
        partial(api.append, "s", ["b"], 0),  # refused
        partial(api.append, "t", ["c"], 0),
        partial(api.append, "s", ["other"], ids=[one]),  # refused
        partial(api.append, "t", ["d"], 1),  # expects the one before
        partial(api.append_many, [("u", ["e"], 0), ("t", ["f"], 1)]),  # refused, both
        partial(api.append_many, [("u", ["g"], 0), ("t", ["h"], 2), ("u", ["i"], 1)]),
        partial(api.append, "s", ["a"], 0, ids=[one]),  # known
    ]
    futures = []
    with held(path, api):
        for number, work in enumerate(works):
            futures.append(in_thread(work))
            eventually(partial(has_pending, ref, number + 1))
    outcomes = [future.exception(LIMIT) or future.result(LIMIT) for future in futures]
    assert [outcome if isinstance(outcome, int | list) else type(outcome).__name__ for outcome in outcomes] == [
        "UnexpectedSequence", 1, "IdConflict", 2, "UnexpectedSequence", [1, 3, 2], 1,
    ]  # fmt: skip
    assert len(commits) == 2
    assert payloads(api.all_events()) == ["a", "x", "c", "d", "g", "h", "i"]
    assert [event.position for event in api.all_events()] == list(range(1, 8))


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("gives_up", [{0, 4, 7}, {1, 2}, {6, 8}])
def test_all_who_wait_are_woken_though_some_have_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch, gives_up: set[int]
) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    futures = []
    with held(path, api):
        for number in range(9):
            monkeypatch.setattr("hume.stores._sqlite._ANSWER_WITHIN", 0.01 if number in gives_up else 10 * LIMIT)
            futures.append(in_thread(api.append, f"s{number}", ["a"]))
            if number in gives_up:
                assert type(futures[-1].exception(LIMIT)) is Timeout
            else:
                eventually(partial(has_pending, ref, sum(not future.done() for future in futures)))
    assert [futures[number].result(LIMIT) for number in range(9) if number not in gives_up] == [1] * (9 - len(gives_up))
    assert api.last_position() == 1 + 9 - len(gives_up)  # what nobody waited for was not stored


@pytest.mark.usefixtures("patient")
def test_who_has_his_answer_does_not_wait_for_the_next_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    seconds: list[Future[int]] = []
    waiting = _sqlite_commit.Committer._waiting
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:

        def wait_and_lock(self: Any) -> Any:
            if self._answered and not seconds:
                seconds.append(in_thread(api.append, "new", ["b"]))
                eventually(partial(has_pending, ref, 2))
                other.execute("BEGIN IMMEDIATE")
            return waiting(self)

        monkeypatch.setattr(_sqlite_commit.Committer, "_waiting", wait_and_lock)
        with held(path, api):
            first = in_thread(api.append, "s", ["a"])
            eventually(partial(has_pending, ref, 1))
        assert first.result(LIMIT / 2) == 1
        assert not seconds[0].done()
        other.execute("ROLLBACK")
        assert seconds[0].result(LIMIT) == 1


@pytest.mark.usefixtures("impatient")
def test_when_the_transaction_fails_each_gets_a_clear_error_and_nothing_is_stored(path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    with locked(path):
        futures = [in_thread(api.append, "s", [number]) for number in range(4)]
        errors = [future.exception(LIMIT) for future in futures]
    assert {type(error) for error in errors} == {StorageFailed}
    assert len(set(map(id, errors))) == 4
    for error in errors:
        assert error is not None
        assert "locked" in str(error)
        assert isinstance(error.__cause__, sqlite3.OperationalError)
    assert api.last_position() == 0
    assert api.append("s", ["a"]) == 1  # and the store is usable


@pytest.mark.usefixtures("patient")
def test_a_message_that_was_sent_before_an_append_is_handled_before_it(path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    with held(path, api):
        first = in_thread(api.append, "s", ["a"])
        eventually(partial(has_pending, ref, 1))
        seen = ref.proxy().last_seq("s")  # between the two
        second = in_thread(api.append, "s", ["b"])
        eventually(partial(has_pending, ref, 3))
    assert (first.result(LIMIT), seen.get(timeout=LIMIT), second.result(LIMIT)) == (1, 1, 2)


@pytest.mark.usefixtures("patient")
def test_a_killed_store_acknowledges_nothing_and_stores_nothing(path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    api = face(ref)
    with held(path, api) as first:
        futures = [in_thread(api.append, "s", [number]) for number in range(3)]
        eventually(partial(has_pending, ref, 3))
        hume.kill(ref)
        assert {type(future.exception(LIMIT)) for future in futures} == {ActorDead}  # at once
    assert type(first.exception(LIMIT)) is ActorDead
    gone(ref)
    again = face(SQLiteEventStore.start(path))
    assert again.last_position() == 0
    assert again.append("s", ["a"]) == 1


def test_a_dead_store_answers_nothing(ref: pykka.ActorRef[Any], api: Any) -> None:
    api.append("s", ["a"])
    events = api.events("s")
    hume.stop(ref)
    uses = (
        lambda: list(events),
        partial(api.last_seq, "s"),
        api.last_position,
        api.streams,
        partial(api.append, "s", [1]),
    )
    for use in uses:
        with pytest.raises(ActorDead):
            use()


def test_a_crashed_store_is_restarted_by_its_supervisor_with_all_its_events(path: Path) -> None:
    hume.Supervisor.start_link([SQLiteEventStore.child_spec(path)])
    hume.publish(SQLiteEventStore, "s", "a")
    first = hume.whereis(SQLiteEventStore)
    assert first is not None
    hume.kill(first)
    eventually(lambda: hume.whereis(SQLiteEventStore) not in {None, first})
    assert hume.publish(SQLiteEventStore, "s", "b") == 2


def test_reads_do_not_wait_for_a_writer(path: Path, api: Any) -> None:
    api.append("s", ["a"])
    with locked(path):
        assert payloads(api.events("s")) == payloads(api.all_events(prefix="s")) == ["a"]
        assert (api.last_seq("s"), api.last_position(), api.streams()) == (1, 1, ["s"])


def test_the_write_ahead_log_stays_short_though_there_is_always_somebody_who_reads(
    path: Path, api: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 500_000
    monkeypatch.setattr(_sqlite_commit, "_LONG_WAL", limit)
    api._committer._longest_wal = limit
    wal = path.with_name(f"{path.name}-wal")
    done = threading.Event()

    def read() -> None:
        last: sqlite3.Connection | None = None
        while not done.is_set():
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("BEGIN")  # before the last one ends: so SQLite by itself finds no moment to begin anew
            connection.execute("SELECT max(position) FROM events").fetchone()
            if last is not None:
                last.close()
            last = connection
        if last is not None:
            last.close()

    sizes = [0]

    def is_shorter() -> bool:
        api.append("s", ["x" * 100_000])
        sizes.append(wal.stat().st_size)
        return sizes[-1] < sizes[-2]

    reader = in_thread(read)
    try:
        eventually(is_shorter)
    finally:
        done.set()
    reader.result(LIMIT)
    assert max(sizes) > limit
    assert payloads(api.events("s")) == ["x" * 100_000] * (len(sizes) - 1)


def test_a_proxy_has_the_same_methods(ref: pykka.ActorRef[Any], api: Any) -> None:
    proxy = ref.proxy()
    assert proxy.append("s", ["a"]).get() == 1
    assert proxy.append_many([("s", ["b"], 1), ("t", ["c"], 0)]).get() == [2, 1]
    with pytest.raises(UnexpectedSequence):
        proxy.append("s", ["x"], 0).get()
    assert proxy.events("s").get() == list(api.events("s"))
    assert proxy.all_events().get() == list(api.all_events())
    assert (proxy.last_seq("s").get(), proxy.last_position().get(), proxy.streams().get()) == (2, 3, ["s", "t"])


def test_an_append_is_told_once_by_telemetry(ref: pykka.ActorRef[Any], api: Any) -> None:
    one = uuid.uuid4()
    with telemetry_of(("hume", "store", "append")) as told:
        for _ in range(2):
            api.append("s", ["a", "b"], ids=[one, uuid.UUID(int=1)])
        api.append_many([("t", ["c"], 0)])
    name = ("hume", "store", "append")
    assert told.get_nowait() == (name, {"events": 2, "seq": 2}, {"store": ref, "stream": "s"})
    assert told.get_nowait() == (name, {"events": 1, "seq": 1}, {"store": ref, "stream": "t"})
    assert told.empty()


# -- in memory


def test_a_store_in_memory_is_nobody_elses() -> None:
    one, other = (face(SQLiteEventStore.start(":memory:", name=name)) for name in "ab")
    one.append("s", ["a"])
    assert in_thread(lambda: payloads(one.events("s"))).result(LIMIT) == ["a"]
    assert other.last_position() == 0
    assert one.log_id != other.log_id
    assert not Path(":memory:").exists()


# -- several processes

WRITER = """
import sys, json
from hume.stores import SQLiteEventStore, _sqlite_commit
from hume.stores._event_store import resolve
api = resolve(SQLiteEventStore.start(sys.argv[1], durability="normal"))
got = []
for number in range(int(sys.argv[3])):
    got.append((api.append("shared", [f"{sys.argv[2]}.{number}", "pair"]), f"{sys.argv[2]}.{number}"))
    api.append_many([(f"own-{sys.argv[2]}", [number], number), ("shared", ["many"], None)])
print(json.dumps(got))
"""


def test_several_processes_write_one_file_without_gaps(path: Path, api: Any) -> None:
    processes = [program(WRITER, path, name, 25) for name in range(3)]
    got = [pair for process in processes for pair in result(process)]
    shared = payloads(api.events("shared"))
    assert len(shared) == 3 * 25 * 3
    assert all(shared[seq - 2 : seq] == [payload, "pair"] for seq, payload in got)
    assert [event.seq for event in api.events("shared")] == list(range(1, len(shared) + 1))
    assert [event.position for event in api.all_events()] == list(range(1, len(shared) + 3 * 25 + 1))
    for name in range(3):
        assert payloads(api.events(f"own-{name}")) == list(range(25))


def test_a_projection_hears_of_what_another_process_wrote(path: Path, ref: pykka.ActorRef[Any]) -> None:
    hume.publish(ref, "shared", "first")
    one = hume.start(Collected, stream="shared", store=ref, catch_up_after=1000.0)
    several = hume.start(Collected, stream=hume.prefix("own-"), store=ref, catch_up_after=1000.0)
    assert hume.state(one) == ["first"]
    result(program(WRITER, path, "x", 2))
    # dirty: what they have seen of their own accord
    eventually(lambda: hume.state(one, dirty=True) == ["first", "x.0", "pair", "many", "x.1", "pair", "many"])
    eventually(lambda: hume.state(several, dirty=True) == [0, 1])


def test_what_another_wrote_is_known_to_the_next_append(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hume.stores._sqlite._POLL_AFTER", 1000.0)
    mine, other = (face(SQLiteEventStore.start(path, name=name)) for name in "ab")
    for last in range(0, 12, 4):
        assert mine.append("s", ["mine"], last) == last + 1
        assert other.append("s", ["theirs"], last + 1) == last + 2
        assert mine.append("s", ["mine"], last + 2) == last + 3
        assert other.append("s", ["theirs"]) == last + 4
        with pytest.raises(UnexpectedSequence) as refused:
            mine.append("s", ["late"], last + 3)
        assert refused.value.actual == last + 4
    assert payloads(mine.all_events()) == ["mine", "theirs"] * 6
    assert [event.position for event in mine.all_events()] == list(range(1, 13))


def test_what_another_wrote_just_before_an_append_of_our_own_is_told_too(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hume.stores._sqlite._POLL_AFTER", 1000.0)
    mine, other = (SQLiteEventStore.start(path, name=name) for name in "ab")
    follower = hume.start(Collected, stream="theirs", store=mine, catch_up_after=1000.0)
    assert hume.state(follower) == []
    face(other).append("theirs", ["x"])  # append, unlike publish, tells nobody
    assert hume.state(follower, dirty=True) == []
    face(mine).append("ours", ["y"])
    eventually(lambda: hume.state(follower, dirty=True) == ["x"])
