"""No hot path takes more than it did: counted in calls, locks and messages, which no busy machine can blur.

Each bound is what the path took when it was written down. One that is exceeded says that the path has become longer:
make it short again, or raise the bound and say why. Where a path has become shorter, lower its bound.
"""

from __future__ import annotations

from _thread import allocate_lock
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume.actors import stop_application
from hume.stores import SQLiteEventStore, _sqlite, _sqlite_commit
from hume.stores._event_store import resolve
from hume.stores._sqlite_write import EncodedBatch
from tests.helpers import LIMIT, eventually, waiting
from tests.meter import Meter, Work
from tests.samples import STORE, Total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEVER = 86_400.0  # seconds: a period that no test lives to see
PAGES = 4000  # events: some pages that a projection reads


class Untimed(Total, catch_up_after=NEVER, snapshot_after=None, snapshot_every=None):
    """Does nothing of itself."""


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Meter]:
    with Meter(monkeypatch) as meter:
        yield meter
        stop_application()  # while the locks that count are still in place


@pytest.fixture
def store(meter: Meter) -> Any:
    return STORE.start_link()


def again(meter: Meter, work: Callable[[], object], *refs: Any) -> Work:
    """Measure the second time, when all is warm; and a third, which must be the same, or it is no measure."""
    work()
    first, second = meter.measure(work, *refs), meter.measure(work, *refs)
    assert first == second
    return first


def check(took: Work, bound: Work) -> None:
    assert took.calls <= bound.calls, f"it takes {took.calls} calls now, and may take {bound.calls}"
    # Of these there are so few that one less is to be noticed, too: it may be that they are no longer counted.
    assert (took.locks, took.messages) == (bound.locks, bound.messages)


def test_a_publish_that_nobody_follows_stays_short(meter: Meter, store: Any) -> None:
    check(again(meter, lambda: hume.publish(STORE, "s", 1)), Work(calls=9, locks=1, messages=0))


def test_a_publish_and_the_catch_up_of_one_projection_stay_short(meter: Meter, store: Any) -> None:
    ref = Untimed.start_link(stream="s")
    check(again(meter, lambda: hume.publish(STORE, "s", 1), ref), Work(calls=44, locks=3, messages=1))


def test_publishing_one_more_event_in_a_batch_stays_short(meter: Meter, store: Any) -> None:
    few, many = (again(meter, partial(hume.publish_many, STORE, "s", [1] * n)) for n in (100, 300))
    check(many.beyond(few).per(200), Work(calls=2))


def test_catching_up_with_one_more_event_stays_short(meter: Meter, store: Any) -> None:
    ref = Untimed.start_link(stream="s")

    def catch_up(events: int) -> Work:
        payloads = [1] * events
        return meter.around(lambda: hume.publish_many(STORE, "s", payloads), ref)

    catch_up(PAGES)
    check(catch_up(2 * PAGES).beyond(catch_up(PAGES)).per(PAGES), Work(calls=0.015, locks=0.002))


def test_replaying_one_more_event_stays_short(meter: Meter, store: Any) -> None:
    hume.publish_many(STORE, "s", [1] * 300)
    events = list(resolve(STORE).events("s"))
    few, many = (again(meter, partial(hume.replay, Untimed, None, events[:n])) for n in (100, 300))
    check(many.beyond(few).per(200), Work(calls=1))


def test_the_state_of_a_projection_that_is_caught_up_stays_short(meter: Meter, store: Any) -> None:
    ref = Untimed.start_link(stream="s")
    hume.publish(STORE, "s", 1)
    hume.state(ref)
    check(again(meter, lambda: hume.state(ref), ref), Work(calls=19, locks=2, messages=0))


def test_a_publish_and_the_state_that_has_it_in_it_stay_short(meter: Meter, store: Any) -> None:
    turn, here = allocate_lock(), allocate_lock()
    here.acquire()

    class Held(Untimed):
        def handle_event(self, payload: int, state: int) -> int:
            here.release()  # so that every time `state` comes while the event is being handled
            with turn:
                return state + payload

    ref = Held.start_link(stream="s")

    def work() -> None:
        with turn:
            seq = meter.counted(lambda: hume.publish(STORE, "s", 1))
            here.acquire()
            seen = meter.counted_in_thread(lambda: hume.state(ref))
            eventually(lambda: waiting(ref) == 1)
        assert seen.result(LIMIT) == seq

    meter.around(work, ref)
    first, second = meter.around(work, ref), meter.around(work, ref)
    assert first == second
    check(first, Work(calls=101, locks=7, messages=2))


class Answer(hume.GenServer):
    def handle_call(self, message: Any, from_: Any) -> Any:
        return message


def test_a_call_of_a_server_stays_short(meter: Meter) -> None:
    ref = Answer.start_link()
    check(again(meter, lambda: hume.GenServer.call(ref, 1), ref), Work(calls=15, locks=2, messages=1))


@pytest.fixture
def file(meter: Meter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(_sqlite, "_POLL_AFTER", NEVER)
    return resolve(SQLiteEventStore.start_link(tmp_path / "events.db", durability="normal"))


def test_an_append_to_a_file_stays_short(meter: Meter, file: Any) -> None:
    check(again(meter, lambda: hume.publish(file, "s", {"amount": 1})), Work(calls=47, locks=4, messages=0))


def test_appending_one_more_event_to_a_file_stays_short(meter: Meter, file: Any) -> None:
    few, many = (again(meter, partial(hume.publish_many, file, "s", [{"amount": 1}] * n)) for n in (64, 128))
    check(many.beyond(few).per(64), Work(calls=3))


def test_one_more_append_in_a_transaction_of_several_stays_short(meter: Meter, file: Any) -> None:
    hume.publish(file, "s", {"amount": 1})
    committer = file._committer

    def write(appends: int) -> Work:
        batches = [EncodedBatch(file.codec, 1000, "s", ({"amount": 1},)) for _ in range(appends)]
        asked = [(batch, _sqlite_commit.Answer()) for batch in batches]
        work = meter.measure(lambda: committer._write(asked, 1))  # as the store's actor does with what waits
        assert all(reply.get(timeout=0.0) for _, reply in asked)
        return work

    assert write(16) == write(16)
    check(write(16).beyond(write(4)).per(12), Work(calls=4))


def test_joining_those_who_are_written_next_stays_short(meter: Meter, file: Any) -> None:
    hume.publish(file, "s", {"amount": 1})
    committer = file._committer

    def join(appends: int) -> Work:
        committer._open = group = type(committer._next)(committer._known, [])
        batches = [EncodedBatch(file.codec, 1000, "s", ({"amount": 1},)) for _ in range(appends)]
        answers = [_sqlite_commit.Answer() for _ in range(appends)]
        work = meter.measure(lambda: [committer.send(*one) for one in zip(batches, answers, strict=True)])
        assert [reply for _, reply in group.asked] == answers
        assert all(answer.set() for answer in answers)
        return work

    check(join(8).beyond(join(4)).per(4), Work(calls=6, locks=1))
    committer._open = None


def test_reading_one_more_event_from_a_file_stays_short(meter: Meter, file: Any) -> None:
    hume.publish_many(file, "s", [{"amount": 1}] * 400)

    def read(events: int) -> Work:
        return again(meter, lambda: list(file.events("s", 0, events)))

    check(read(300).beyond(read(100)).per(200), Work(calls=2))
