"""Appends that join the group that is written next, while the store waits for the disk with another."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume.actors._mailbox import Reply, current
from hume.errors import ActorDead, StorageFailed, Timeout, UnexpectedSequence
from hume.stores import SQLiteEventStore, _sqlite_commit
from hume.stores._sqlite_write import EncodedBatch, Rows
from tests.helpers import LIMIT, eventually, in_thread
from tests.samples import Collected
from tests.stores.files import change, face, has_pending, held, payloads, rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import pykka

pytestmark = pytest.mark.usefixtures("patient")

THEIRS = "INSERT INTO events VALUES ({position}, {stream}, {seq}, 'str', 1, X'227822', NULL, 0, NULL)"  # "x"


class Writing:
    """A store that knows the streams ``s0`` to ``s7``, and whose actor stands still in the middle of an insertion."""

    first: Future[int]  # what is inserted: the second event of ``s0``, at position 10

    def __init__(self, ref: pykka.ActorRef[Any]) -> None:
        self.api: Any = face(ref)
        self.mailbox: Any = ref.actor_inbox
        self._entered, self._leaves = threading.Semaphore(0), threading.Semaphore(0)

    @contextmanager
    def begun(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writing]:
        insert = Rows.insert

        def standing(rows: Any, connection: sqlite3.Connection) -> bool:
            if current() is self.mailbox:
                self._entered.release()
                assert self._leaves.acquire(timeout=LIMIT)
            return insert(rows, connection)

        self.api.append_many([(f"s{number}", ["known"], 0) for number in range(8)])
        monkeypatch.setattr(Rows, "insert", standing)
        with held(path, self.api):
            self.first = in_thread(self.api.append, "s0", ["first"])
            eventually(partial(has_pending, self.mailbox.ref, 1))
        assert self._entered.acquire(timeout=LIMIT)
        try:
            yield self
        finally:
            self._leaves.release(100)

    def go_on(self) -> None:
        """Let this insertion end; wait until the next one has begun."""
        self._leaves.release()
        assert self._entered.acquire(timeout=LIMIT)

    def join(self, *arguments: Any) -> Future[Any]:
        """Have a thread append; wait until it has joined those who are written next."""
        group = self.api._committer._next
        count = len(group.asked)
        future = in_thread(self.api.append, *arguments)
        eventually(lambda: len(group.asked) > count or future.done())
        return future

    def wait(self, append: Callable[..., Any], *arguments: Any, **more: Any) -> Future[Any]:
        """Have a thread append; wait until its message is in the mailbox."""
        count = len(self.mailbox)
        future = in_thread(partial(append, *arguments, **more))
        eventually(lambda: len(self.mailbox) > count)
        return future

    def tail(self) -> list[tuple[str, int, int]]:
        """Return what follows the event of the thread that was held."""
        return [(event.stream, event.seq, event.position) for event in self.api.all_events(9)]


@pytest.fixture
def writing(ref: pykka.ActorRef[Any], path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a context manager that gives a store that is `Writing`."""
    return partial(Writing(ref).begun, path, monkeypatch)


def answers(*futures: Future[Any]) -> list[Any]:
    """Return the answers, and the types of the errors."""
    return [type(error) if (error := future.exception(LIMIT)) else future.result() for future in futures]


def test_they_need_no_message_and_share_a_transaction(
    commits: list[str], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Writing(SQLiteEventStore.start(path)).begun(path, monkeypatch) as store:
        commits.clear()
        futures = [store.join(f"s{number % 4}", [number, -number]) for number in range(1, 8)]
        assert store.mailbox.empty()
    assert answers(store.first, *futures) == [2, 3, 3, 3, 4, 5, 5, 5]
    assert len(commits) == 2
    assert store.tail() == [
        ("s0", 2, 10), ("s1", 2, 11), ("s1", 3, 12), ("s2", 2, 13), ("s2", 3, 14), ("s3", 2, 15), ("s3", 3, 16),
        ("s0", 3, 17), ("s0", 4, 18), ("s1", 4, 19), ("s1", 5, 20), ("s2", 4, 21), ("s2", 5, 22), ("s3", 4, 23),
        ("s3", 5, 24),
    ]  # fmt: skip
    assert payloads(store.api.all_events(10)) == [sign * n for n in range(1, 8) for sign in (1, -1)]
    times = [event.recorded_at for event in store.api.all_events()]
    assert times == sorted(times)
    assert not store.mailbox.pending


def test_one_that_expects_what_will_be_true_joins_and_one_that_does_not_is_refused(writing: Any) -> None:
    with writing() as store:
        right = store.join("s0", ["a"], 2)
        wrong = store.wait(store.api.append, "s0", ["b"], 2)
    assert answers(store.first, right, wrong) == [2, 3, UnexpectedSequence]
    assert "3" in str(wrong.exception())
    assert payloads(store.api.events("s0")) == ["known", "first", "a"]


def test_what_is_no_plain_append_to_a_known_stream_waits_in_the_mailbox(writing: Any) -> None:
    with writing() as store:
        api = store.api
        futures = [
            store.wait(api.append, "new", ["a"]),
            store.wait(api.append, "s1", ["b"], ids=[uuid.uuid4()]),
            store.wait(api.append, "s2", []),
            store.wait(api.append, "s3", ["c"] * 33),
            store.wait(api.append_many, [("s4", ["d"], 1), ("s5", ["e"], None)]),
        ]
        batch, of_main_thread = EncodedBatch(api.codec, 100, "s6", ["f"]), _sqlite_commit.new_answer()
        api._committer.send(batch, of_main_thread)
        assert len(store.mailbox) == 6
    assert answers(store.first, *futures) == [2, 1, 2, 1, 34, [2, 2]]
    assert of_main_thread.get(timeout=LIMIT) == (2, True)


def test_who_waits_in_the_mailbox_is_not_overtaken(writing: Any) -> None:
    with writing() as store:
        joined = store.join("s1", ["a"])
        waits = store.wait(store.api.append, "new", ["b"])
        store.go_on()
        comes_later = store.wait(store.api.append, "s1", ["c"])  # who would join, if there were nobody before
    assert answers(store.first, joined, waits, comes_later) == [2, 2, 1, 3]
    assert store.tail() == [("s0", 2, 10), ("s1", 2, 11), ("new", 1, 12), ("s1", 3, 13)]


def test_when_another_process_has_written_all_get_other_numbers(writing: Any, path: Path) -> None:
    with writing() as store:
        futures = [store.join("s0", ["a"]), store.join("s1", ["b"]), store.join("s0", ["c"], 3)]
        change(path, THEIRS.format(position=10, stream=1, seq=2))
    assert answers(store.first, *futures) == [3, 4, 2, UnexpectedSequence]
    assert store.tail() == [("s0", 2, 10), ("s0", 3, 11), ("s0", 4, 12), ("s1", 2, 13)]
    assert store.api.append("s0", ["d"]) == 5


def test_numbers_are_void_also_where_nothing_is_in_their_place(writing: Any, path: Path) -> None:
    with writing() as store:
        joined = store.join("s0", ["a"])
        (reply,) = (one for one, work in store.mailbox.pending.items() if work.payloads[0].data == b'"first"')
        reply.fail(Timeout("its caller gives up"))  # so that what it was to append is not appended later
        change(path, THEIRS.format(position=10, stream=8, seq=2))  # and position 11 is free, as if it had been
    assert answers(store.first, joined) == [Timeout, 2]
    assert store.tail() == [("s7", 2, 10), ("s0", 2, 11)]


def test_followers_hear_of_what_another_process_wrote_between_the_two(
    writing: Any, path: Path, ref: pykka.ActorRef[Any]
) -> None:
    with writing() as store:
        follower = hume.start(Collected, store=ref, stream="s7", catch_up_after=1000.0, snapshot_after=None)
        joined = store.join("s0", ["a"])
        eventually(lambda: hume.state(follower, dirty=True) == ["known"])
        store.go_on()
        change(path, THEIRS.format(position=11, stream=8, seq=2))
    assert answers(store.first, joined) == [2, 3]
    eventually(lambda: hume.state(follower, dirty=True) == ["known", "x"])


def test_when_the_disk_fails_they_are_refused_too(writing: Any, path: Path) -> None:
    with writing() as store:
        futures = [store.join("s0", ["a"]), store.join("s1", ["b"])]
        change(path, "CREATE TRIGGER fails BEFORE INSERT ON events BEGIN SELECT no_such_function(); END")
    assert answers(store.first, *futures) == [StorageFailed] * 3
    change(path, "DROP TRIGGER fails")
    assert store.tail() == []
    assert store.api.append("s0", ["c"], 1) == 2


def test_a_killed_store_answers_none_of_them_and_stores_none(writing: Any, path: Path) -> None:
    with writing() as store:
        futures = [store.join("s0", ["a"]), store.join("s1", ["b"])]
        hume.kill(store.mailbox.ref)
        futures.append(store.join("s2", ["c"]))
        assert answers(store.first, *futures) == [ActorDead] * 4  # while its thread still stands
    store.mailbox.thread.join(LIMIT)
    assert rows(path, "SELECT data FROM events WHERE position > 10") == []  # (the first may be there)


def test_one_that_joins_while_the_store_is_killed_is_answered(writing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Rows.add

    def kill_and_add(self: Any, *arguments: Any) -> int:
        hume.kill(store.mailbox.ref)
        return add(self, *arguments)

    with writing() as store:
        monkeypatch.setattr(Rows, "add", kill_and_add)
        assert answers(store.join("s1", ["a"])) == [ActorDead]


def test_a_stop_that_comes_later_lets_them_be_stored(writing: Any, path: Path) -> None:
    with writing() as store:
        joined = store.join("s0", ["a"])
        stop = store.wait(hume.stop, store.mailbox.ref)
    assert answers(store.first, joined, stop) == [2, 3, None]
    assert rows(path, "SELECT data FROM events WHERE position > 9") == [(b'"first"',), (b'"a"',)]


def test_an_error_in_the_middle_of_joining_spoils_nothing(writing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Rows.add

    def add_and_fail(self: Any, *arguments: Any) -> int:
        add(self, *arguments)
        raise MemoryError

    with writing() as store:
        futures = [store.join("s0", ["a"]), store.join("s1", ["b"])]
        with monkeypatch.context() as patch:
            patch.setattr(Rows, "add", add_and_fail)
            assert answers(store.join("s1", ["fails"])) == [MemoryError]
        futures.append(store.wait(store.api.append, "s1", ["c"]))  # nobody joins any more
    assert answers(store.first, *futures) == [2, 3, 2, 3]
    assert store.tail() == [("s0", 2, 10), ("s0", 3, 11), ("s1", 2, 12), ("s1", 3, 13)]


def test_who_can_wake_nobody_does_not_end_the_chain() -> None:
    replies = [Reply(), Reply(), _sqlite_commit.Answer(), _sqlite_commit.Answer()]
    waiting: deque[Any] = deque((reply, number, None) for number, reply in enumerate(replies))
    _sqlite_commit.wake_one(waiting)
    assert [reply.done() for reply in replies] == [True, True, True, False]
    assert replies[2].get(timeout=0.0) == 2
    assert replies[3].done()
