"""The life of a projection: its start, callbacks, names, own methods, and ends."""

from __future__ import annotations

import logging
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume import _bus, telemetry
from hume._snapshot import Snapshot
from hume.actors import Crash, GenServer, Stop, _registry
from hume.stores import SQLiteEventStore
from hume.stores._event_store import resolve
from tests.helpers import LIMIT, Gate, ManualClock, all_at_once, eventually, exit_reason, gone, in_thread, mailbox
from tests.samples import STORE, Collected, PairStore, Shelf, Total, doing, failing

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path


@pytest.fixture(autouse=True)
def store() -> Any:
    return STORE.start_link()


class Diary(Collected):
    """Writes down each callback, and in which thread."""

    entries: list[tuple[Any, ...]]
    threads: set[threading.Thread]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.entries, cls.threads = [], set()

    def note(self, *entry: Any) -> None:
        self.entries.append(entry)
        self.threads.add(threading.current_thread())

    def init_state(self, projection: Hashable) -> list[Any]:
        self.note("init_state", projection)
        return []

    def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
        self.note("handle_event", payload)
        return super().handle_event(payload, state)

    def on_init(self, projection: Hashable) -> None:
        self.note("on_init", projection, list(self.state))

    def on_caught_up(self, snapshot: Snapshot[list[Any]]) -> None:
        self.note("on_caught_up", snapshot)

    def last_snapshot(self, projection: Hashable) -> Snapshot[list[Any]] | None:
        self.note("last_snapshot", projection)
        return super().last_snapshot(projection)

    def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[list[Any]]) -> None:
        self.note("persist_snapshot", projection, snapshot)
        super().persist_snapshot(projection, snapshot)

    def terminate(self, reason: Any) -> None:
        self.note("terminate", reason)


def the_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


# -- the whole life


def test_the_callbacks_run_in_the_projections_thread_in_this_order() -> None:
    class Mine(Diary):
        pass

    hume.publish_many(STORE, "s", ["a", "b"])
    ref = hume.start_link(Mine, stream="s", projection="p")
    assert hume.state(ref) == ["a", "b"]
    hume.publish(STORE, "s", "c")
    assert hume.query(ref, len) == 3
    hume.stop(ref)
    assert Mine.entries == [
        ("last_snapshot", "p"),
        ("init_state", "p"),
        ("on_init", "p", []),
        ("handle_event", "a"),
        ("handle_event", "b"),
        ("on_caught_up", Snapshot(2, ["a", "b"])),
        ("handle_event", "c"),
        ("on_caught_up", Snapshot(3, ["a", "b", "c"])),
        ("persist_snapshot", "p", Snapshot(3, ["a", "b", "c"])),
        ("terminate", "normal"),
    ]
    assert Mine.threads == {mailbox(ref).thread}
    Mine.entries.clear()
    again = hume.start_link(Mine, stream="s", projection="p")
    hume.state(again)
    hume.query(again, len)
    assert Mine.entries == [
        ("last_snapshot", "p"),
        ("on_init", "p", ["a", "b", "c"]),
        ("on_caught_up", Snapshot(3, ["a", "b", "c"])),
    ]


def test_start_returns_before_the_log_has_been_replayed() -> None:
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold))
        ref = hume.start_link(Collected, stream="s")
        gate.wait()
        status = hume.status(ref)
        assert (status.phase, status.seq, status.events_applied) == ("catching_up", 0, 0)
    assert hume.state(ref) == ["done"]


def test_the_status_says_what_it_is_what_it_did_and_how_it_ended() -> None:
    hume.publish_many(STORE, "s", ["a", "b"])
    ref = hume.start_link(Collected, stream="s", projection="p")
    hume.take_snapshot(ref)
    expected = hume.Status("p", "s", 2, 2, "live", None, 2, 0, 0)
    assert hume.status(ref) == hume.status(ref.proxy()) == expected
    proxy, error = ref.proxy(), ZeroDivisionError("poison")
    hume.publish(STORE, "s", failing(error))
    gone(ref)
    assert hume.status(ref) == hume.status(proxy) == hume.Status("p", "s", 2, 2, "stopped", error, 2, 0, 1)


def test_what_is_left_when_it_has_ended_is_nothing() -> None:
    for end in (hume.stop, hume.kill):
        ref = hume.start_link(Collected, stream="s", projection="p", name="n")
        hume.state(ref)
        end(ref)
        gone(ref)
        assert hume.whereis("n") is None
        assert _bus.subscribers == {}
        assert ref not in pykka.ActorRegistry.get_all()
        with pytest.raises(hume.ActorDead):
            hume.state(ref)
        with pytest.raises(hume.ActorDead, match="no actor has that name"):
            hume.state("n")


# -- a start that fails


class Broken(Exception):
    pass


def raiser(*_: Any) -> Any:
    raise Broken


@pytest.mark.parametrize("callback", ["init_state", "on_init"])
@pytest.mark.parametrize("start", [hume.start, hume.start_link])
def test_an_error_in_a_callback_of_the_start_is_raised_there_and_nothing_is_left(start: Any, callback: str) -> None:
    threads = set(threading.enumerate())
    names = dict(_registry._holders)
    cls = type("Bad", (Collected,), {callback: raiser})
    with pytest.raises(Broken):
        start(cls, stream="s", projection="p", name="n")
    assert _bus.subscribers == {}
    assert set(_registry._holders) - set(names) <= {hume.HeirActor}
    eventually(lambda: set(threading.enumerate()) <= threads)
    ref = start(Collected, stream="s", projection="p", name="n")
    hume.stop(ref)
    hume.stop(hume.start_link(Collected, stream="s", projection="p"))  # so that no table stays with nobody


def test_a_start_that_takes_too_long_is_given_up_and_its_thread_leaves() -> None:
    with Gate() as gate:
        cls = type("Slow", (Collected,), {"on_init": lambda *_: gate.hold()})
        with pytest.raises(hume.Timeout, match=r"did not finish init within 0\.01 seconds"):
            hume.start_link(cls, stream="s", projection="p", timeout=0.01)
        assert hume.state(hume.start_link(Collected, stream="s", projection="p")) == []


def test_a_caller_who_knows_its_name_waits_until_it_has_started() -> None:
    hume.publish(STORE, "s", "a")
    with Gate() as gate:
        cls = type("Slow", (Collected,), {"on_init": lambda *_: gate.hold()})
        starting = in_thread(hume.start_link, cls, stream="s", name="n")
        gate.wait()
        for ask in (hume.state, hume.take_snapshot, hume.catch_up_sync):
            with pytest.raises(hume.Timeout):
                ask("n", timeout=0.01)
        reading = in_thread(hume.state, "n", timeout=LIMIT)
        assert not reading.done()
    assert reading.result(LIMIT) == ["a"]
    starting.result(LIMIT)


# -- identities and names


def test_two_live_projections_cant_have_one_identity() -> None:
    first = hume.start_link(Collected, stream="s", projection="p")
    with pytest.raises(hume.AlreadyStarted, match="projection 'p' is already started") as taken:
        hume.start_link(Total, stream="other", projection="p")
    assert taken.value.ref is first
    hume.start_link(Collected, stream="s", projection="q")
    hume.stop(first)
    hume.start_link(Total, stream="other", projection="p")


def test_without_one_the_identity_is_the_class_and_the_stream() -> None:
    ref = hume.start_link(Collected, stream="s")
    assert hume.status(ref).projection == ("tests.samples.Collected", "s")
    hume.start_link(Collected, stream="other")
    hume.start_link(Total, stream="s")
    with pytest.raises(hume.AlreadyStarted):
        hume.start_link(Collected, stream="s")


def test_an_identity_is_no_name() -> None:
    hume.start_link(Collected, stream="s", projection="p")
    assert hume.whereis("p") is None
    hume.start_link(Collected, stream="s", projection="q", name="p")


def test_a_taken_name_refuses_the_start_and_leaves_the_identity_free() -> None:
    holder = GenServer.start_link(name="n")
    with pytest.raises(hume.AlreadyStarted, match="name 'n' is already started") as taken:
        hume.start_link(Collected, stream="s", projection="p", name="n")
    assert taken.value.ref is holder
    hume.start_link(Collected, stream="s", projection="p")


def test_of_many_that_start_under_one_identity_at_once_one_wins() -> None:
    for number in range(20):
        results = all_at_once(*[lambda number=number: hume.start_link(Collected, stream="s", projection=number)] * 4)
        refs = [result for result in results if isinstance(result, pykka.ActorRef)]
        assert len(refs) == 1
        assert all(isinstance(result, hume.AlreadyStarted) for result in results if result is not refs[0])


def test_a_name_a_ref_and_a_proxy_all_stand_for_a_projection_and_a_name_outlives_restarts() -> None:
    first = hume.start_link(Collected, stream="s", name="n")
    hume.publish(STORE, "s", "a")
    for server in (first, first.proxy(), "n"):
        assert hume.state(server) == ["a"]
        assert hume.snapshot(server).seq == hume.catch_up_sync(server).seq == hume.take_snapshot(server).seq == 1
        assert hume.query(server, len) == 1
        hume.catch_up(server)
    hume.kill("n")
    second = hume.start_link(Collected, stream="s", name="n")
    assert second is not first
    assert hume.state("n") == ["a"]
    hume.stop("n")
    gone(second)


# -- on_caught_up


def test_an_error_in_on_caught_up_is_logged_and_counted_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    error = RuntimeError("the mail is down")

    class Mails(Collected):
        def on_caught_up(self, snapshot: Snapshot[list[Any]]) -> None:
            if snapshot.seq == 1:
                raise error

    ref = hume.start_link(Mails, stream="s")
    hume.publish(STORE, "s", "a")
    assert hume.query(ref, len) == 1
    status = hume.status(ref)
    assert (status.phase, status.last_error, status.errors) == ("live", error, 1)
    (line,) = the_warnings(caplog)
    assert "on_caught_up failed: RuntimeError('the mail is down')" in line
    hume.publish(STORE, "s", "b")
    assert hume.state(ref) == ["a", "b"]


def test_what_on_caught_up_gets_is_its_own() -> None:
    class Rude(Collected):
        def on_caught_up(self, snapshot: Snapshot[list[Any]]) -> None:
            snapshot.state.append("rude")

    ref = hume.start_link(Rude, stream="s")
    hume.publish(STORE, "s", "a")
    assert hume.query(ref, list) == ["a"]


def test_on_caught_up_may_stop_the_projection() -> None:
    """As a one-shot job does: fold what there is, and end, saved."""

    class Job(Collected):
        def on_caught_up(self, snapshot: Snapshot[list[Any]]) -> None:
            if snapshot.seq:
                raise Stop

    shelf = Shelf()
    hume.publish_many(STORE, "s", ["a", "b"])
    ref = hume.start_link(Job, stream="s", snapshots=shelf)
    assert exit_reason(ref) == "normal"
    assert shelf.saved == [Snapshot(2, ["a", "b"])]


# -- methods of one's own


class Account(hume.Projection[dict[str, list[int]]], store=STORE):
    def init_state(self, projection: Hashable) -> dict[str, list[int]]:
        return {"moves": []}

    def handle_event(self, payload: int, state: dict[str, list[int]]) -> dict[str, list[int]]:
        state["moves"].append(payload)
        return state

    def total(self) -> int:
        return sum(self.state["moves"])

    def moves(self) -> list[int]:
        return self.state["moves"]

    def fail(self) -> None:
        raise Broken

    def where(self) -> threading.Thread | None:
        return threading.current_thread()


def test_a_method_called_through_a_proxy_reads_what_its_caller_has_written() -> None:
    account = hume.start_link(Account, stream="s").proxy()
    for number in range(1, 301):
        hume.publish(STORE, "s", 1)
        assert account.total().get(timeout=LIMIT) == number
    assert account.state.get(timeout=LIMIT) == {"moves": [1] * 300}


def test_what_a_method_answers_is_a_copy() -> None:
    ref = hume.start_link(Account, stream="s")
    hume.publish(STORE, "s", 1)
    for ask in (ref.proxy().moves, lambda: ref.proxy().state):
        answer = ask().get(timeout=LIMIT)
        answer["moves"].append(5) if isinstance(answer, dict) else answer.append(5)
    assert hume.state(ref) == {"moves": [1]}


def test_a_methods_error_goes_to_its_caller_and_ends_nothing() -> None:
    ref = hume.start_link(Account, stream="s")
    with pytest.raises(Broken):
        ref.proxy().fail().get(timeout=LIMIT)
    with pytest.raises(AttributeError):
        ref.proxy().state = {}
    assert ref.is_alive()


def test_a_poison_event_that_a_method_call_meets_is_the_callers_error_and_the_projections_end() -> None:
    error = ZeroDivisionError("poison")
    ref = hume.start_link(Collected, stream="s", catch_up_after=1000.0)
    hume.state(ref)
    store = hume.whereis(STORE)
    assert store is not None
    store.proxy().append("s", [failing(error)]).get(timeout=LIMIT)  # in silence: nobody is told
    with pytest.raises(ZeroDivisionError):
        ref.proxy().length().get(timeout=LIMIT)
    assert exit_reason(ref) == Crash(error)


# -- ends


def test_a_handlers_error_ends_the_projection_with_that_error_and_a_note_of_the_event() -> None:
    error = ZeroDivisionError("poison")
    hume.publish_many(STORE, "s", ["a", "b", failing(error), "c"])
    ref = hume.start_link(Collected, stream="s")
    reason = exit_reason(ref)
    assert (reason, hume.status(ref).seq, hume.status(ref).last_error) == (Crash(error), 2, error)
    assert any("was handling event 3 of stream 's'" in note for note in error.__notes__)


def test_a_handler_that_meets_a_dead_actor_is_not_taken_for_a_store_that_is_down() -> None:
    error = hume.ActorDead("somebody whom the handler called")
    hume.publish_many(STORE, "s", ["a", failing(error), "b"])
    ref = hume.start_link(Collected, stream="s")
    assert exit_reason(ref) == Crash(error)
    assert hume.status(ref).seq == 1


def test_everybody_who_waits_gets_the_handlers_error_at_once() -> None:
    error = ZeroDivisionError("poison")
    with Gate() as gate:
        hume.publish_many(STORE, "s", [doing(gate.hold), failing(error)])
        ref = hume.start_link(Collected, stream="s")
        gate.wait()
        asks = [
            in_thread(hume.state, ref, timeout=LIMIT),
            in_thread(hume.snapshot, ref, timeout=LIMIT, at_least=100),
            in_thread(hume.query, ref, len, timeout=LIMIT),
            in_thread(hume.take_snapshot, ref, timeout=LIMIT),
            in_thread(lambda: ref.proxy().length().get(timeout=LIMIT)),
        ]
        eventually(lambda: len(mailbox(ref).pending) >= len(asks))
    for ask in asks:
        assert ask.exception(LIMIT) is error


def test_a_stop_in_the_middle_of_a_rebuild_is_noticed_between_two_pages() -> None:
    with Gate() as gate:
        hume.publish_many(STORE, "s", [doing(gate.hold), *["x"] * 5000])
        ref = hume.start_link(Collected, stream="s")
        gate.wait()
        waiter = in_thread(hume.state, ref, timeout=LIMIT, at_least=5001)
        stopping = in_thread(hume.stop, ref, timeout=LIMIT)
        eventually(lambda: mailbox(ref).stopping and len(mailbox(ref)) >= 2)
    stopping.result(LIMIT)
    assert isinstance(waiter.exception(LIMIT), hume.ActorDead)
    assert 1 <= hume.status(ref).seq <= 2000  # a page for each message before the stop


def test_an_exit_signal_in_the_middle_of_a_rebuild_is_noticed_between_two_pages() -> None:
    with Gate() as gate:
        hume.publish_many(STORE, "s", [doing(gate.hold), *["x"] * 5000])
        supervisor = hume.Supervisor.start_link([Collected.child_spec(stream="s", name="child")])
        gate.wait()
        ref = hume.whereis("child")
        assert ref is not None
        stopping = in_thread(hume.stop, supervisor, "shutdown", timeout=LIMIT)
        eventually(lambda: ref.actor_inbox.signals)  # type: ignore[attr-defined]  # a Mailbox
    stopping.result(LIMIT)
    assert 1 <= hume.status(ref).seq <= 2000  # a page for each message before the stop


@pytest.mark.parametrize("traps", [False, True])
def test_the_normal_end_of_a_linked_actor_interrupts_no_rebuild_and_loses_no_call(traps: bool) -> None:
    class Linked(Collected):
        def on_init(self, projection: Hashable) -> None:
            self.trap_exit = traps
            self.link(other)

    other = GenServer.start_link()
    ref = hume.start_link(Linked, stream="s", catch_up_after=1000.0)
    hume.state(ref)
    with Gate() as gate:
        silent = hume.whereis(STORE)
        assert silent is not None
        silent.proxy().append("s", [doing(gate.hold), *["x"] * 1600]).get(timeout=LIMIT)
        asks = [in_thread(hume.query, ref, len, timeout=LIMIT)]
        gate.wait()
        asks.append(in_thread(hume.query, ref, len, timeout=LIMIT))
        hume.stop(other)
    assert [ask.result(LIMIT) for ask in asks] == [1601, 1601]


def test_a_killed_projection_is_dead_at_once_and_its_old_thread_touches_nothing_any_more() -> None:
    class Mine(Diary, snapshot_every=1):
        pass

    with Gate() as gate:
        hume.publish_many(STORE, "s", ["a", doing(gate.hold), "b", "c"])
        ref = hume.start_link(Mine, stream="s", projection="p")
        gate.wait()
        waiter = in_thread(hume.state, ref, timeout=LIMIT)
        eventually(lambda: len(mailbox(ref)) >= 1)
        before = list(Mine.entries)
        assert hume.kill(ref) is True
        assert isinstance(waiter.exception(LIMIT), hume.ActorDead)
        assert hume.status(ref).phase == "stopped"
        successor = hume.start_link(Collected, stream="other", projection="p")
        assert hume.kill(ref) is False
    gone(ref)
    assert [entry for entry in Mine.entries[len(before) :] if entry[0] != "handle_event"] == []
    assert hume.take_snapshot(successor) == Snapshot(0, [])


def test_a_projection_that_is_killed_as_it_reaches_the_end_tells_nobody_that_it_has() -> None:
    class Mine(Diary):
        pass

    hume.publish_many(STORE, "s", ["a", "b"])
    with Gate() as gate:
        telemetry.attach("gate", ("hume", "projection", "catch_up"), lambda *_: gate.hold())
        ref = hume.start_link(Mine, stream="s")
        gate.wait()  # all is applied
        hume.kill(ref)
        telemetry.detach("gate")
    gone(ref)
    assert Mine.entries[-1] == ("handle_event", "b")


def test_a_killed_projections_thread_leaves_after_the_event_in_hand() -> None:
    class Mine(Diary):
        pass

    with Gate() as gate:
        hume.publish_many(STORE, "s", [doing(gate.hold), *["x"] * 400])
        ref = hume.start_link(Mine, stream="s")
        gate.wait()
        hume.kill(ref)
    gone(ref)
    assert sum(entry[0] == "handle_event" for entry in Mine.entries) == 1


def test_a_supervised_projection_is_back_under_its_name_after_a_crash_and_a_kill() -> None:
    poison = [ZeroDivisionError("poison")]

    def once(state: list[Any]) -> None:
        if poison:
            raise poison.pop()

    hume.Supervisor.start_link([Collected.child_spec(stream="s", name="child")])
    first = hume.whereis("child")
    assert first is not None
    hume.publish_many(STORE, "s", ["a", once, "b"])
    gone(first)
    eventually(lambda: hume.whereis("child"))
    assert hume.state("child") == ["a", "b"]
    second = hume.whereis("child")
    assert second is not None
    hume.kill(second)
    eventually(lambda: hume.whereis("child"))
    assert hume.state("child") == ["a", "b"]


def test_a_child_spec_is_permanent_and_named_by_its_name_or_class_and_identity_and_refuses_bad_options() -> None:
    spec = Total.child_spec(stream="s", snapshot_every=5)
    assert (spec.id, spec.restart, spec.type, spec.actor_class) == (
        (Total, ("tests.samples.Total", "s")),
        "permanent",
        "worker",
        Total,
    )
    assert spec.backoff is not None
    assert Total.child_spec(stream="s", projection="p").id == (Total, "p")
    assert Total.child_spec(stream="s", projection="p", name="total").id == "total"
    with pytest.raises(TypeError, match="Total needs stream="):
        Total.child_spec()  # type: ignore[call-arg]
    ref = spec.start()
    assert hume.status(ref).stream == "s"


# -- what it does not know, and what is not there


def test_a_deferred_call_waits_for_the_store() -> None:
    """Nobody can be told that it was not done."""

    class Marked(Collected):
        def mark(self) -> None:
            marks.put(list(self.state))

    marks: SimpleQueue[list[Any]] = SimpleQueue()
    store = PairStore()
    ref = hume.start_link(Marked, stream="s", store=store, catch_up_after=0.01)
    assert hume.state(ref) == []
    store.append("s", ["a"])
    store.down = True
    ref.proxy().mark.defer()
    with pytest.raises(hume.ActorDead):
        hume.query(ref, len)  # which comes after it
    assert marks.empty()
    store.down = False
    assert marks.get(timeout=LIMIT) == ["a"]


def test_stray_messages_are_logged_and_end_nothing(caplog: pytest.LogCaptureFixture) -> None:
    ref = hume.start_link(Collected, stream="s")
    ref.tell("stray")
    GenServer.cast(ref, "stray cast")
    GenServer.send(ref, ("stray", 1))
    with pytest.raises(TypeError, match="no handle_call for 'stray call'"):
        GenServer.call(ref, "stray call")
    hume.publish(STORE, "s", "a")
    assert hume.state(ref) == ["a"]
    text = "\n".join(the_warnings(caplog))
    assert all(word in text for word in ("message: 'stray'", "cast: 'stray cast'", "('stray', 1)", "'stray call'"))


def test_it_may_have_calls_casts_and_timers_as_any_server_has() -> None:
    fired = threading.Event()

    class Both(Collected):
        def on_init(self, projection: Hashable) -> None:
            self.send_after(0.0, "tick")

        def handle_call(self, message: Any, from_: Any) -> Any:
            return message, len(self.state)

        def handle_info(self, message: Any) -> None:
            fired.set()

    ref = hume.start_link(Both, stream="s")
    hume.publish(STORE, "s", "a")
    assert fired.wait(LIMIT)
    hume.state(ref)
    assert GenServer.call(ref, "how many?") == ("how many?", 1)


def test_while_its_store_is_down_it_lives_says_so_and_goes_on_when_the_store_is_back() -> None:
    store = PairStore()
    ref = hume.start_link(Collected, stream="s", store=store, catch_up_after=0.01)
    hume.publish(store, "s", "a")
    assert hume.state(ref) == ["a"]
    store.down = True
    for ask in (hume.state, hume.take_snapshot, lambda ref: hume.query(ref, len)):
        with pytest.raises(hume.ActorDead, match="the pair store"):
            ask(ref)
    assert hume.state(ref, dirty=True) == ["a"]
    assert isinstance(hume.status(ref).last_error, hume.ActorDead)
    waiter = in_thread(hume.state, ref, timeout=LIMIT, at_least=2)
    store.append("s", ["b"])
    store.down = False
    assert waiter.result(LIMIT) == ["a", "b"]


def test_a_store_that_is_down_is_told_of_once_each_time(caplog: pytest.LogCaptureFixture) -> None:
    def lines() -> int:
        return sum("can't read its store" in record.getMessage() for record in caplog.records)

    with ManualClock() as clock:
        ref = hume.start_link(Collected, stream="s")
        for times in (1, 2):
            hume.stop(STORE)
            clock.advance(3600.0)
            assert (lines(), hume.status(ref).errors) == (times, times)
            STORE.start_link()
            hume.publish(STORE, "s", times)
            assert hume.state(ref)[-1] == times


@pytest.mark.parametrize("log", [STORE, SQLiteEventStore], ids=["memory", "file"])
def test_what_a_projection_publishes_says_what_it_follows_from(log: Any, tmp_path: Path) -> None:
    if log is SQLiteEventStore:
        log.start_link(tmp_path / "events.db")

    class Relay(hume.Projection[int], store=log):
        def init_state(self, projection: Hashable) -> int:
            return 0

        def handle_event(self, payload: Any, state: int) -> int:
            if payload == "first":
                hume.publish(log, "s", "second")
                hume.publish_many(log, "s", ["third"])
            return state + 1

    hume.publish(log, "s", "first")
    ref = hume.start_link(Relay, stream="s")
    eventually(lambda: hume.state(ref) == 3)
    first, second, third = resolve(log).events("s")
    assert not first.metadata
    for event in (second, third):
        assert event.metadata == {"correlation_id": first.id, "causation_id": first.id}
