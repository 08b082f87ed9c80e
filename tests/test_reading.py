"""Reading a projection: what is in the answer, how long it may take, and that it is whole."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume._snapshot import Snapshot
from hume.actors import GenServer, Reply
from hume.errors import CallingSelf
from tests.helpers import LIMIT, Gate, all_at_once, eventually, gone, in_thread, mailbox, waiting
from tests.samples import STORE, Collected, PairStore, Shelf, Total, doing, failing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


@pytest.fixture(autouse=True)
def store() -> Any:
    return STORE.start_link()


def silently(*events: Any, stream: Hashable = "s") -> None:
    """Append to a stream without telling anybody, as another process would."""
    ref = hume.whereis(STORE)
    assert ref is not None
    ref.proxy().append(stream, list(events)).get(timeout=LIMIT)


def test_a_read_has_in_it_all_that_any_thread_published_before(fast_switching: None) -> None:
    ref = hume.start_link(Total, stream="s")

    def write_and_read() -> None:
        for _ in range(250):
            seq = hume.publish(STORE, "s", 1)
            assert hume.state(ref) >= seq
            assert hume.snapshot(ref).seq >= seq

    assert all_at_once(*[write_and_read] * 4) == [None] * 4
    assert hume.snapshot(ref) == Snapshot(1000, 1000)


def test_a_read_sees_what_was_appended_without_a_hint_too() -> None:
    ref = hume.start_link(Collected, stream="s", catch_up_after=1000.0)
    for ask in (
        lambda: len(hume.state(ref)),
        lambda: hume.snapshot(ref).seq,
        lambda: hume.catch_up_sync(ref).seq,
        lambda: hume.take_snapshot(ref).seq,
        lambda: hume.query(ref, len),
        lambda: ref.proxy().length().get(timeout=LIMIT),
    ):
        before = hume.snapshot(ref).seq
        silently("x")
        assert ask() == before + 1


def test_an_up_to_date_read_sends_no_message() -> None:
    ref = hume.start_link(Collected, stream="s")
    hume.publish(STORE, "s", "a")
    hume.state(ref)
    with Gate() as gate:
        idle = in_thread(hume.query, ref, doing_nothing(gate), timeout=LIMIT)
        gate.wait()  # the projection can't answer a message now
        assert hume.state(ref, timeout=0.0) == ["a"]
        assert hume.snapshot(ref, at_least=1, timeout=0.0) == Snapshot(1, ["a"])
        assert hume.state(ref, dirty=True, timeout=0.0) == ["a"]
        assert waiting(ref) == 0
    idle.result(LIMIT)


def doing_nothing(gate: Gate) -> Callable[[Any], None]:
    def fn(state: Any) -> None:
        gate.hold()

    return fn


def test_what_is_read_is_the_readers_own() -> None:
    ref = hume.start_link(Collected, stream="s")
    hume.publish(STORE, "s", ["deep"])
    asks: list[Callable[[], Any]] = [
        lambda: hume.state(ref),
        lambda: hume.state(ref, dirty=True),
        lambda: hume.state(ref, at_least=1),
        lambda: hume.snapshot(ref).state,
        lambda: hume.catch_up_sync(ref).state,
        lambda: hume.query(ref, lambda state: state),
    ]
    for ask in asks * 2:
        answer = ask()
        assert answer == [["deep"]]
        answer[0].append("mine")
        answer.append("mine")


# -- dirty


def test_a_dirty_read_answers_in_the_middle_of_a_rebuild_with_what_has_been_applied() -> None:
    with Gate() as first, Gate() as second:
        hume.publish_many(STORE, "s", ["a", doing(first.hold, "b"), "c", doing(second.hold, "d"), "e"])
        ref = hume.start_link(Collected, stream="s")
        first.wait()
        reading = in_thread(hume.snapshot, ref, dirty=True, timeout=LIMIT)
        eventually(lambda: mailbox(ref).face.waiting)
        first.open()
        assert reading.result(LIMIT) == Snapshot(2, ["a", "b"])
        second.wait()
        status = hume.status(ref)  # needs not wait for the event in hand
        assert (status.phase, status.seq < 4) == ("catching_up", True)
    assert hume.state(ref) == list("abcde")


def test_a_dirty_read_does_not_look_at_the_log_but_a_plain_one_does() -> None:
    ref = hume.start_link(Collected, stream="s", catch_up_after=1000.0)
    assert hume.state(ref) == []
    silently("a")
    assert hume.state(ref, dirty=True) == []
    assert hume.state(ref) == ["a"]
    assert hume.state(ref, dirty=True) == ["a"]


def test_a_dirty_read_that_gets_no_turn_times_out_saying_so() -> None:
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold))
        ref = hume.start_link(Collected, stream="s")
        gate.wait()
        with pytest.raises(hume.Timeout, match=r"was busy with one event, or with being read, for 0\.01 seconds"):
            hume.state(ref, dirty=True, timeout=0.01)
    assert hume.state(ref) == ["done"]


def test_a_dirty_read_of_a_projection_that_dies_meanwhile_gets_an_error_not_half_a_state() -> None:
    error = ZeroDivisionError("poison")
    with Gate() as gate:

        def poison(state: list[Any]) -> None:
            state.append("half")
            gate.hold()
            raise error

        hume.publish(STORE, "s", poison)
        ref = hume.start_link(Collected, stream="s")
        gate.wait()
        readings = [in_thread(hume.state, ref, dirty=True, timeout=LIMIT) for _ in range(3)]
        eventually(lambda: mailbox(ref).face.waiting)
    assert all(isinstance(reading.exception(LIMIT), ZeroDivisionError | hume.ActorDead) for reading in readings)
    with Gate() as gate:
        ref = hume.start_link(Collected, stream="other", projection="p")
        hume.publish(STORE, "other", doing(gate.hold))
        gate.wait()
        readings = [in_thread(hume.state, ref, dirty=True, timeout=None) for _ in range(3)]
        eventually(lambda: mailbox(ref).face.waiting)
        hume.kill(ref)
        # while its thread is still in the handler
        assert all(isinstance(reading.exception(LIMIT), hume.ActorDead) for reading in readings)


# -- at_least


def test_at_least_waits_for_a_number_whoever_writes_it() -> None:
    ref = hume.start_link(Collected, stream="s", catch_up_after=0.01)
    readings = [in_thread(hume.snapshot, ref, at_least=seq, timeout=LIMIT) for seq in (3, 1, 2, 2)]
    eventually(lambda: len(mailbox(ref).face.mailbox.pending) == 4)
    assert not any(reading.done() for reading in readings)
    silently("a")
    assert readings[1].result(LIMIT).seq >= 1
    silently("b", "c")
    assert [reading.result(LIMIT).seq >= seq for reading, seq in zip(readings, (3, 1, 2, 2), strict=True)] == [True] * 4


def test_at_least_is_answered_in_the_middle_of_a_rebuild() -> None:
    with Gate() as first, Gate() as second:
        hume.publish_many(STORE, "s", [doing(first.hold), *["x"] * 1099, doing(second.hold), "y"])
        ref = hume.start_link(Collected, stream="s")
        first.wait()
        reading = in_thread(hume.snapshot, ref, at_least=1000, timeout=LIMIT)
        eventually(lambda: len(mailbox(ref).pending) == 1)
        first.open()
        assert 1000 <= reading.result(LIMIT).seq < 1101  # while the second gate is shut
        second.wait()
        assert hume.status(ref).phase == "catching_up"


def test_at_least_that_is_not_reached_times_out_naming_both_numbers() -> None:
    ref = hume.start_link(Collected, stream="s")
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.state(ref)
    with pytest.raises(hume.Timeout, match=r"is at 2 and did not reach 7 within 0\.01 seconds"):
        hume.state(ref, at_least=7, timeout=0.01)


def test_a_plain_read_that_gets_no_answer_times_out_naming_both_numbers_and_the_projection_goes_on() -> None:
    with Gate() as gate:
        hume.publish_many(STORE, "s", ["a", doing(gate.hold), "c"])
        ref = hume.start_link(Collected, stream="s")
        gate.wait()
        for ask in (hume.state, hume.snapshot, hume.catch_up_sync):
            with pytest.raises(hume.Timeout, match=r"is at \d and did not reach 3 within 0\.01 seconds"):
                ask(ref, timeout=0.01)
        for call in (lambda: hume.query(ref, len, timeout=0.01), lambda: hume.take_snapshot(ref, timeout=0.01)):
            with pytest.raises(hume.Timeout, match=r"did not answer within 0\.01 seconds"):
                call()
    assert hume.state(ref) == ["a", "done", "c"]


def test_readers_who_gave_up_are_not_kept() -> None:
    ref = hume.start_link(Collected, stream="s")
    box = mailbox(ref)
    for _ in range(450):
        reply = Reply()
        box.face.expect(10**6, reply)
        hume.query(ref, len)  # so it has been taken
        reply.fail(hume.Timeout())
    assert box.pending == {}
    assert len(ref.proxy()._actor._waiters) <= 101


# -- query


def test_a_query_runs_in_the_projection_and_only_its_answer_is_copied() -> None:
    copies = []

    def counting(state: Any) -> Any:
        copies.append(state)
        return list(state) if isinstance(state, list) else state

    ref = hume.start_link(Collected, stream="s", copy_state=counting)
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.state(ref)
    copies.clear()
    assert hume.query(ref, len) == 2
    assert hume.query(ref, lambda state: threading.current_thread() is mailbox(ref).thread) is True
    assert [copy for copy in copies if isinstance(copy, list)] == []


def test_a_querys_error_goes_to_its_caller_and_ends_nothing() -> None:
    ref = hume.start_link(Collected, stream="s")
    with pytest.raises(ZeroDivisionError):
        hume.query(ref, lambda state: 1 // len(state))
    hume.publish(STORE, "s", "a")
    assert hume.query(ref, lambda state: 1 // len(state)) == 1


# -- never torn


class Fields:
    """A state with four fields that are always equal between two events."""

    def __init__(self) -> None:
        self.a = self.b = self.c = self.d = 0

    def __deepcopy__(self, memo: object) -> tuple[int, ...]:
        # field by field, with room in between for other threads
        return tuple(getattr(self, name) for name in "abcd")


class InPlace(hume.Projection[Any], store=STORE, snapshot_every=50):
    def init_state(self, projection: Hashable) -> Any:
        return Fields()

    def handle_event(self, payload: int, state: Any) -> Any:
        for name in "abcd":
            setattr(state, name, payload)
        return state


def test_no_reader_ever_gets_a_torn_state_though_the_handler_changes_it_field_by_field(fast_switching: None) -> None:
    shelf, done = Shelf(), threading.Event()
    ref = hume.start_link(InPlace, stream="s", snapshots=shelf)

    def write() -> int:
        try:
            for number in range(1, 5000):
                hume.publish(STORE, "s", number)
            hume.publish_many(STORE, "s", range(5000, 10_000))
        finally:
            done.set()
        return 0

    def read(ask: Callable[[], Snapshot[Any]]) -> Callable[[], int]:
        def run() -> int:
            reads = last = 0
            while not done.is_set():
                snapshot = ask()
                assert snapshot.state == (snapshot.seq,) * 4, snapshot
                assert snapshot.seq >= last  # nobody goes back in time
                last, reads = snapshot.seq, reads + 1
            return reads

        return run

    dirty, plain = (
        read(lambda: hume.snapshot(ref, dirty=True, timeout=LIMIT)),
        read(lambda: hume.snapshot(ref, timeout=LIMIT)),
    )
    results = all_at_once(write, dirty, dirty, plain)
    assert all(isinstance(result, int) for result in results), results
    assert all(snapshot.state == (snapshot.seq,) * 4 for snapshot in shelf.saved)
    assert hume.state(ref) == (9999,) * 4


def test_a_readers_copy_holds_the_next_event_back() -> None:
    """The copier is what shows it: while it runs in a reader's thread the projection can't go on."""
    handled = threading.Event()
    with Gate() as gate:

        def slow_copy(state: Any) -> Any:
            if threading.current_thread().name.startswith("test-"):
                gate.hold()
            return list(state)

        ref = hume.start_link(Collected, stream="s", copy_state=slow_copy)
        assert hume.state(ref) == []
        reading = in_thread(hume.snapshot, ref, dirty=True, timeout=LIMIT)
        gate.wait()
        hume.publish(STORE, "s", doing(handled.set))
        eventually(lambda: waiting(ref) == 0)  # it has taken the hint, and wants to begin
        assert not handled.is_set()
        assert hume.status(ref).seq == 0
        gate.open()
        assert reading.result(LIMIT) == Snapshot(0, [])
    assert handled.wait(LIMIT)
    assert hume.snapshot(ref).seq == 1


def test_readers_in_a_crowd_do_not_keep_the_projection_from_its_work() -> None:
    ref = hume.start_link(Total, stream="s")
    done = threading.Event()

    def read() -> int:
        while not done.is_set():
            hume.state(ref, dirty=True, timeout=LIMIT)
        return 0

    def write() -> int:
        try:
            for number in range(1, 101):
                hume.publish(STORE, "s", 1)
                assert hume.state(ref, timeout=LIMIT) == number
        finally:
            done.set()
        return 0

    assert all_at_once(write, read, read, read, read) == [0] * 5


# -- hint, catch-up, read and stop, driven step by step


def test_a_read_that_comes_during_a_catch_up_has_in_it_what_was_published_during_it() -> None:
    """The catch-up that runs has asked for the end of the log before the second event came."""
    with Gate() as gate:
        ref = hume.start_link(Collected, stream="s", catch_up_after=1000.0)
        hume.publish(STORE, "s", doing(gate.hold, "a"))
        gate.wait()
        hume.publish(STORE, "s", "b")
        silently("c")
        reads = [in_thread(ask, ref, timeout=LIMIT) for ask in (hume.snapshot, hume.catch_up_sync, hume.take_snapshot)]
        eventually(lambda: len(mailbox(ref).pending) == 3)
        assert not any(read.done() for read in reads)
    assert [read.result(LIMIT) for read in reads] == [Snapshot(3, ["a", "b", "c"])] * 3


def test_a_stop_that_comes_after_a_read_lets_the_read_be_answered() -> None:
    with Gate() as gate:
        ref = hume.start_link(Collected, stream="s")
        hume.publish(STORE, "s", doing(gate.hold, "a"))
        gate.wait()
        reading = in_thread(hume.state, ref, timeout=LIMIT)
        eventually(lambda: len(mailbox(ref).pending) == 1)
        hume.publish(STORE, "s", "b")
        stopping = in_thread(hume.stop, ref, timeout=LIMIT)
        eventually(lambda: mailbox(ref).stopping)
    assert reading.result(LIMIT)[:1] == ["a"]
    stopping.result(LIMIT)


def test_a_read_that_comes_after_a_stop_gets_what_the_event_in_hand_leads_to_or_an_error_at_once() -> None:
    with Gate() as gate:
        ref = hume.start_link(Collected, stream="s")
        hume.publish(STORE, "s", doing(gate.hold, "a"))
        gate.wait()
        stopping = in_thread(hume.stop, ref, timeout=LIMIT)
        eventually(lambda: mailbox(ref).stopping)
        reads = [
            in_thread(hume.state, ref, timeout=LIMIT),
            in_thread(hume.state, ref, timeout=LIMIT, at_least=100),
            in_thread(hume.query, ref, len, timeout=LIMIT),
        ]
        eventually(lambda: len(mailbox(ref).pending) == 3)
    assert reads[0].result(LIMIT) == ["a"]
    assert [type(read.exception(LIMIT)) for read in reads[1:]] == [hume.ActorDead] * 2
    stopping.result(LIMIT)
    gone(ref)


@pytest.mark.parametrize("end", [hume.stop, hume.kill])
def test_hints_that_come_while_it_ends_disturb_nobody(end: Callable[[Any], Any]) -> None:
    with Gate() as gate:

        class Slow(Collected):
            def terminate(self, reason: Any) -> None:
                gate.hold()

        ref = hume.start_link(Slow, stream="s")
        hume.publish(STORE, "s", "a")
        hume.state(ref)
        ending = in_thread(end, ref)
        if end is hume.stop:
            gate.wait()
        for number in range(2, 50):
            assert hume.publish(STORE, "s", "b") == number
    ending.result(LIMIT)
    gone(ref)
    assert waiting(ref) <= 2
    assert len(hume.state(hume.start_link(Collected, stream="s"))) == 49


def test_a_catch_up_asked_for_by_hand_waits_for_nothing_and_leads_to_one() -> None:
    arrived = threading.Event()
    ref = hume.start_link(Collected, stream="s", catch_up_after=1000.0)
    hume.state(ref)
    silently(doing(arrived.set))
    hume.catch_up(ref)
    assert arrived.wait(LIMIT)


# -- from inside


def test_a_projection_that_reads_itself_is_told_so_at_once() -> None:
    errors: list[BaseException] = []

    def read_myself(state: list[Any]) -> None:
        for options in ({}, {"dirty": True}, {"at_least": 1}):
            with pytest.raises(hume.CallingSelf) as refused:
                hume.state(ref, **options)
            errors.append(refused.value)

    ref = hume.start_link(Collected, stream="s")
    hume.publish(STORE, "s", read_myself)
    assert hume.state(ref) == []
    assert len(errors) == 3
    assert "in its own callbacks use self.state" in str(errors[0])


def test_a_projection_may_read_another_and_publish_to_it() -> None:
    source = hume.start_link(Total, stream="numbers")

    def forward(state: list[Any]) -> None:
        hume.publish(STORE, "numbers", 5)
        state.append(hume.state(source))

    ref = hume.start_link(Collected, stream="s")
    hume.publish_many(STORE, "s", [forward, forward])
    assert hume.state(ref) == [5, 10]


@pytest.mark.parametrize("reads", [("dirty", "dirty"), ("dirty", "plain"), ("plain", "plain")], ids=" and ".join)
def test_of_two_projections_whose_handlers_read_each_other_one_is_told_so_at_once(reads: tuple[str, str]) -> None:
    """Each has an event in hand until it has its answer: without a limit they would wait for ever."""
    both, outcomes = threading.Barrier(2), SimpleQueue[Any]()

    def reading(other: str, how: str) -> Any:
        def read() -> None:
            both.wait(LIMIT)
            try:
                outcomes.put(hume.state(other, timeout=None, dirty=how == "dirty"))
            except CallingSelf:
                outcomes.put("refused")

        return doing(read)

    for name in "ab":
        hume.start_link(Collected, stream=name, name=name)
    for one, other, how in zip("ab", "ba", reads, strict=True):
        hume.publish(STORE, one, reading(other, how))
    told = [outcomes.get(timeout=LIMIT) for _ in reads]
    assert "refused" in told
    assert all(outcome in ("refused", [], ["done"]) for outcome in told)
    assert [hume.state(name, timeout=LIMIT) for name in "ab"] == [["done"], ["done"]]


def test_a_handler_that_runs_into_a_timeout_of_its_own_is_not_taken_for_a_late_answer() -> None:
    ref = hume.start_link(Collected, stream="s")
    hume.publish(STORE, "s", failing(hume.Timeout("the printer did not answer")))
    with pytest.raises(hume.Timeout, match="the printer did not answer"):
        hume.state(ref, timeout=LIMIT)


def test_an_actor_of_another_kind_reads_as_any_thread_does() -> None:
    class Asker(GenServer):
        def handle_call(self, message: Any, from_: Any) -> Any:
            return message()

    ref = hume.start_link(Total, stream="s")
    asker = Asker.start_link()
    hume.publish(STORE, "s", 5)
    assert GenServer.call(asker, lambda: hume.state(ref)) == 5


def test_a_store_that_loses_its_log_is_seen_at_the_next_read() -> None:
    store = PairStore()
    ref = hume.start_link(Collected, stream="s", store=store)
    hume.publish_many(store, "s", ["old"] * 3)
    assert hume.state(ref) == ["old"] * 3
    store.logs.clear()
    assert hume.snapshot(ref) == Snapshot(0, [])
    silently("not mine")
    hume.publish(store, "s", failing(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        hume.state(ref)
