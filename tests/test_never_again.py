"""The design's "Never again", each defect under its number: what went wrong elsewhere is seen to go right here."""

from __future__ import annotations

import functools
import logging
import subprocess
import sys
import threading
from collections import Counter
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume.actors import Crash, stop_application
from hume.stores._event_store import resolve
from tests.effort import effort
from tests.helpers import (
    LIMIT,
    Gate,
    ManualClock,
    all_at_once,
    eventually,
    exit_reason,
    gone,
    in_thread,
    mailbox,
    next_of,
    telemetry_of,
    waiting,
)
from tests.samples import STORE, Collected, PairStore, Shelf, Total, doing, failing, logs_of, payloads

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from hume.actors._mailbox import Mailbox

NEVER = 86_400.0  # seconds: a period that no test lives to see

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def store() -> Iterator[Any]:
    yield STORE.start_link()
    stop_application()


class Boom(Exception):
    """What handlers crash with."""


class Untimed(Collected, snapshot_after=None, catch_up_after=NEVER):
    """Does nothing because time has passed: without a hint or a call it would stand still."""


class Announcing(Untimed):
    """Says where it is whenever it has caught up."""

    reached: SimpleQueue[int]

    def on_caught_up(self, snapshot: hume.Snapshot[list[Any]]) -> None:
        self.reached.put(snapshot.seq)


def boxed(ref: Any) -> Mailbox:
    mailbox: Mailbox = ref.actor_inbox
    return mailbox


def resumed_at(ref: Any) -> int:
    """Return the number of the snapshot from which a projection, which has caught up, was restored."""
    status = hume.status(ref)
    return status.seq - status.events_applied


# -- 1: the sequence numbers


@pytest.mark.parametrize("batch", [["refused"], ["refused", "as well"]], ids=["one", "two"])
def test_never_again_01_a_refused_append_uses_up_no_sequence_number(batch: list[str]) -> None:
    assert hume.publish(STORE, "s", "first") == 1
    for expected in (0, 2, 7):
        with pytest.raises(hume.UnexpectedSequence) as refusal:
            hume.publish_many(STORE, "s", batch, expect_seq=expected)
        assert (refusal.value.stream, refusal.value.expected, refusal.value.actual) == ("s", expected, 1)
    assert hume.publish(STORE, "s", "second", expect_seq=1) == 2
    assert payloads(STORE, "s") == ["first", "second"]
    logs_of()._check()


# -- 2, 3, 4: reading one's own writes, and hints


def test_never_again_02_state_straight_after_publish_is_never_stale() -> None:
    ref = Untimed.start(stream="s")
    for number in range(1, 301):
        hume.publish(STORE, "s", number)
        assert hume.state(ref)[-1] == number


def test_never_again_02_a_catch_up_that_finds_one_running_does_not_return_the_older_result() -> None:
    ref = Untimed.start(stream="s")
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold, "older"))
        gate.wait()  # the catch-up that the hint began is running, and will find one event
        hume.publish(STORE, "s", "newer")
        later = in_thread(hume.catch_up_sync, ref, LIMIT)
        eventually(lambda: boxed(ref).pending)
    assert later.result(LIMIT) == hume.Snapshot(2, ["older", "newer"])


def test_never_again_03_a_hint_that_arrives_during_a_catch_up_is_not_dropped() -> None:
    class Here(Announcing):
        reached: SimpleQueue[int] = SimpleQueue()

    Here.start(stream="s")
    assert next_of(Here.reached) == 0
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold))
        gate.wait()
        hume.publish(STORE, "s", "while it is catching up")
    assert [next_of(Here.reached), next_of(Here.reached)] == [1, 2]  # nobody asks, and no timer fires


def test_never_again_04_hints_leave_one_timer_however_many_there_are() -> None:
    class Here(Announcing, snapshot_every=10):
        reached: SimpleQueue[int] = SimpleQueue()

    ref = Here.start(stream="s")
    for number in range(300):
        assert next_of(Here.reached) == number
        hume.publish(STORE, "s", number)  # a hint starts the next catch-up, not a call
    hume.state(ref)
    eventually(lambda: len(boxed(ref)._timers) == 1)  # none in the moment in which it fires


def test_never_again_04_the_timer_renews_itself_once_a_period() -> None:
    class Here(Collected, snapshot_after=None, catch_up_after=10.0):
        clock = ManualClock()
        looks = 0

        def last_snapshot(self, projection: Hashable) -> None:
            return None

    ref = Here.start(stream="s")
    for number in range(50):
        hume.publish(STORE, "s", number)
        hume.state(ref)
        Here.clock.advance(1.0)
    timers = boxed(ref)._timers
    assert [timer.left() <= 10.0 for _, _, timer in timers] == [True]


# -- 5: concurrent writers


class Slow:
    """A payload that takes its time to be copied."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    def __deepcopy__(self, _memo: object) -> str:
        self.gate.hold()
        return "slow"


def test_never_again_05_a_reader_passes_over_no_event_of_a_slower_writer() -> None:
    ref = Untimed.start(stream="s")
    with Gate() as gate:
        slow = in_thread(hume.publish, STORE, "s", Slow(gate))
        gate.wait()  # one writer is in the middle of its append
        first = hume.publish(STORE, "s", "quick")
        assert hume.snapshot(ref) == hume.Snapshot(first, ["quick"])
    second = slow.result(LIMIT)
    assert hume.snapshot(ref) == hume.Snapshot(2, ["quick", "slow"])
    assert (first, second) == (1, 2)


@pytest.mark.usefixtures("fast_switching")
def test_never_again_05_a_reader_beside_four_writers_sees_every_number_once() -> None:
    def write() -> list[int]:
        return [hume.publish(STORE, "s", number) for number in range(200)]

    def read() -> list[int]:
        seen: list[int] = []
        while len(seen) < 800:
            seen += [event.seq for event in resolve(STORE).events("s", seen[-1] if seen else 0)]
        return seen

    *written, read_by_one = all_at_once(write, write, write, write, read)
    everything = list(range(1, 801))
    assert read_by_one == everything
    assert sorted(seq for seqs in written if isinstance(seqs, list) for seq in seqs) == everything


# -- 6, 7, 8, 11, 12, 16, 19: snapshots


def test_never_again_06_projections_without_a_name_have_a_snapshot_each() -> None:
    class Other(Collected):
        pass

    def start() -> list[Any]:
        return [Collected.start(stream="s"), Other.start(stream="s"), Collected.start(stream="t")]

    refs = start()
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.publish(STORE, "t", "x")
    assert [hume.state(ref) for ref in refs] == [["a", "b"], ["a", "b"], ["x"]]
    for ref in refs:
        hume.stop(ref)
    again = start()
    assert [hume.state(ref) for ref in again] == [["a", "b"], ["a", "b"], ["x"]]
    assert [resumed_at(ref) for ref in again] == [2, 2, 1]
    assert len({hume.status(ref).projection for ref in again}) == 3


def test_never_again_07_a_killed_projection_does_not_go_on_beside_its_successor() -> None:
    shelf = Shelf()
    handled: SimpleQueue[tuple[int, Any]] = SimpleQueue()

    class Here(Untimed, snapshots=shelf, snapshot_every=1):
        def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
            handled.put((threading.get_ident(), payload if isinstance(payload, int) else "gate"))
            return super().handle_event(payload, state)

    with Gate() as gate:
        first_time = iter([gate.hold])

        def hold_once() -> None:
            next(first_time, int)()  # int(): nothing

        hume.publish_many(STORE, "s", [doing(hold_once), *range(1000)])
        killed = Here.start(stream="s")
        zombie = boxed(killed).thread
        gate.wait()
        assert hume.kill(killed)
        successor = Here.start(stream="s")
        assert hume.state(successor) == ["done", *range(1000)]
        newest = shelf.kept[hume.status(successor).projection]
        saved = len(shelf.saved)
    gone(killed)
    assert zombie is not None
    events = [handled.get_nowait() for _ in range(handled.qsize())]
    assert [payload for ident, payload in events if ident == zombie.ident] == ["gate"]  # the one in hand
    assert shelf.saved[saved:] == []
    assert shelf.kept[hume.status(successor).projection] is newest
    assert hume.status(killed).phase == "stopped"


def test_never_again_07_what_a_killed_projection_still_tries_is_refused() -> None:
    errors: SimpleQueue[BaseException] = SimpleQueue()

    class Here(Untimed):
        def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
            if payload == "write":
                gate.hold()
                for write in (
                    lambda: hume.publish(STORE, "s", "a zombie's"),
                    lambda: resolve(STORE).append("s", ["a zombie's"]),
                    lambda: self.persist_snapshot("here", hume.Snapshot(1, ["a zombie's"])),
                    lambda: hume.query(other, len),
                ):
                    try:
                        write()
                    except hume.HumeError as error:
                        errors.put(error)
            return super().handle_event(payload, state)

    with Gate() as gate:
        other = Collected.start(stream="other")
        killed = Here.start(stream="s", projection="here")
        hume.take_snapshot(killed)
        hume.publish(STORE, "s", "write")
        gate.wait()
        hume.kill(killed)
    gone(killed)
    refusals = [errors.get_nowait() for _ in range(errors.qsize())]
    assert [isinstance(error, hume.ActorDead | hume.NotOwner) for error in refusals] == [True] * 4
    assert payloads(STORE, "s") == ["write"]


def test_never_again_08_a_supervised_shutdown_saves_a_snapshot() -> None:
    options: dict[str, Any] = {"stream": "s", "projection": "here", "name": "here", "snapshot_every": None}
    supervisor = hume.Supervisor.start_link([(Untimed, options)])
    hume.publish_many(STORE, "s", ["a", "b", "c"])
    assert hume.state("here") == ["a", "b", "c"]
    hume.stop(supervisor)
    again = Untimed.start(**options)
    assert hume.state(again) == ["a", "b", "c"]
    assert resumed_at(again) == 3


def test_never_again_08_the_end_of_the_application_saves_a_snapshot() -> None:
    shelf = Shelf()
    ref = Untimed.start_link(stream="s", snapshots=shelf, snapshot_every=None)
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.state(ref)
    stop_application()
    assert shelf.saved == [hume.Snapshot(2, ["a", "b"])]


def test_never_again_11_an_older_snapshot_never_replaces_a_newer_one() -> None:
    class Here(Untimed, snapshot_every=None):
        def keep(self, snapshot: hume.Snapshot[list[Any]]) -> int:
            self.persist_snapshot("here", snapshot)
            kept = self.last_snapshot("here")
            return -1 if kept is None else kept.seq

    ref = Here.start(stream="s", projection="here")
    hume.publish(STORE, "s", "a")
    older = hume.take_snapshot(ref)
    hume.publish(STORE, "s", "b")
    newer = hume.take_snapshot(ref)
    proxy = ref.proxy()
    assert [proxy.keep(snapshot).get(timeout=LIMIT) for snapshot in (older, newer, older)] == [2, 2, 2]
    hume.kill(ref)
    again = Here.start(stream="s", projection="here")
    assert hume.state(again) == ["a", "b"]
    assert resumed_at(again) == 2


def test_never_again_12_the_heir_hands_the_table_back() -> None:
    ref = Untimed.start(stream="s", snapshot_every=2)
    hume.publish_many(STORE, "s", ["a", "b"])
    assert hume.state(ref) == ["a", "b"]
    hume.publish(STORE, "s", "c")
    hume.kill(ref)
    again = Untimed.start(stream="s", snapshot_every=2)
    assert hume.state(again) == ["a", "b", "c"]
    assert resumed_at(again) == 2


def test_never_again_12_losing_the_heir_loses_neither_snapshots_nor_logs() -> None:
    ref = Untimed.start(stream="s", snapshot_every=2)
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.state(ref)
    hume.kill(ref)
    hume.kill(STORE)
    for _ in range(2):
        eventually(lambda: hume.whereis(hume.HeirActor))
        hume.kill(hume.HeirActor)  # while it has both tables
    STORE.start_link()
    assert hume.publish(STORE, "s", "c") == 3
    again = Untimed.start(stream="s", snapshot_every=2)
    assert hume.state(again) == ["a", "b", "c"]
    assert resumed_at(again) == 2
    logs_of()._check()


# -- 9, 10, 17: streams


def test_never_again_09_a_list_of_streams_is_followed_or_refused_but_never_ignored() -> None:
    several: Any = ["a", "b"]
    ref = Untimed.start(stream=several)
    hume.publish(STORE, "a", "to a")
    assert hume.state(ref) == ["to a"]
    hume.publish(STORE, "b", "to b")
    assert hume.state(ref) == ["to a", "to b"]


def test_never_again_09_where_a_list_of_streams_can_not_be_served_it_is_refused_at_the_call() -> None:
    several: Any = ["a", "b"]
    none: Any = []
    before = pykka.ActorRegistry.get_all()
    with pytest.raises(TypeError, match="one hashable name, not \\['a', 'b'\\]"):
        hume.publish(STORE, several, "lost")
    with pytest.raises(hume.InvalidStore, match="last_position"):
        Collected.start(stream=several, store=PairStore())
    with pytest.raises(ValueError, match="selects nothing"):
        Collected.start(stream=none)
    assert pykka.ActorRegistry.get_all() == before
    assert logs_of().count == 0


def test_never_again_10_reading_one_stream_does_not_look_at_the_others() -> None:
    hume.publish(STORE, "one", 1)
    events, last_seq = resolve(STORE).events, resolve(STORE).last_seq

    def read() -> None:
        assert [event.payload for event in events("one")] == [1]
        assert last_seq("one") == 1

    alone = effort(read)
    for stream in range(100):
        hume.publish_many(STORE, stream, list(range(100)))
    assert effort(read) == alone


@pytest.mark.parametrize(
    "stream",
    [("account", 1), ("$1",), (), ("a", ("b",)), "_", "$1", "%", "", 0, 1.5, b"raw", frozenset({1}), Boom, ...],
    ids=repr,
)
def test_never_again_17_what_is_written_under_any_hashable_name_is_read_under_it(stream: Hashable) -> None:
    hume.publish_many(STORE, "another", ["not this"])
    ref = Collected.start(stream=stream)
    assert hume.publish_many(STORE, stream, ["a", "b"]) == 2
    assert hume.state(ref) == ["a", "b"]
    hume.stop(ref)
    again = Collected.start(stream=stream)
    assert hume.state(again) == ["a", "b"]
    assert resumed_at(again) == 2
    assert payloads(STORE, stream) == ["a", "b"]


# -- 13, 14, 15: Pykka's


def test_never_again_13_nothing_that_can_be_changed_is_shared() -> None:
    class Here(Untimed):
        def everything(self) -> list[Any]:
            return self.state

    ref = Here.start(stream="s", snapshot_every=1)
    proxy = ref.proxy()
    event = {"tags": ["a"]}
    hume.publish(STORE, "s", event)
    event["tags"].append("the publisher's")
    kept = [{"tags": ["a"]}]
    for read in (
        lambda: hume.state(ref),
        lambda: hume.state(ref, dirty=True),
        lambda: hume.state(ref, at_least=1),
        lambda: hume.snapshot(ref).state,
        lambda: hume.catch_up_sync(ref).state,
        lambda: hume.take_snapshot(ref).state,
        lambda: hume.query(ref, lambda state: state),
        lambda: proxy.everything().get(timeout=LIMIT),
        lambda: proxy.state.get(timeout=LIMIT),
        lambda: payloads(STORE, "s"),
        lambda: [event.payload for event in resolve(STORE).events("s")],
    ):
        answer = read()
        assert answer == kept
        answer[0]["tags"].append("a reader's")
        answer.append("a reader's")
    hume.kill(ref)
    assert hume.state(Here.start(stream="s")) == kept  # neither the log nor the snapshot has changed


class Worker(hume.GenServer):
    """Crashes when it is asked to."""

    def handle_call(self, message: Any, from_: Any) -> Any:
        if message == "crash":
            raise Boom(message)
        return message


def test_never_again_14_an_ask_that_fails_ends_the_actor_and_its_supervisor_knows() -> None:
    supervisor = hume.Supervisor.start_link([(Worker, {"name": "worker"})])
    first = hume.whereis("worker")
    assert first is not None
    with telemetry_of(("hume", "supervisor", "restart")) as restarts:
        with pytest.raises(Boom):
            first.ask("crash", timeout=LIMIT)
        _, _, about = next_of(restarts)
    assert (about["supervisor"], about["reason"].exception.args) == (supervisor, ("crash",))
    eventually(lambda: hume.whereis("worker") not in {None, first})
    assert hume.GenServer.call("worker", "well", timeout=LIMIT) == "well"


def test_never_again_14_a_read_that_meets_a_poison_event_ends_the_projection_and_its_supervisor_knows() -> None:
    poison = [True]

    class Here(Untimed, snapshot_every=1):
        def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
            if payload == "poison" and poison:
                poison.pop()
                raise Boom(payload)
            return super().handle_event(payload, state)

    hume.Supervisor.start_link([(Here, {"stream": "s", "name": "here"})])
    hume.publish(STORE, "s", "well")
    assert hume.state("here") == ["well"]
    first = hume.whereis("here")
    resolve(STORE).append("s", ["poison"])  # without a hint, so that it is the read that meets it
    with telemetry_of(("hume", "supervisor", "restart")) as restarts:
        with pytest.raises(Boom, match="poison"):
            hume.state(first)
        assert isinstance(next_of(restarts)[2]["reason"].exception, Boom)
    eventually(lambda: hume.whereis("here") not in {None, first})
    assert hume.state("here") == ["well", "poison"]
    assert resumed_at(hume.whereis("here")) == 1


class HeldInbox:
    """Stands in for the inbox in somebody's ref: what is sent is held on its way, after all has been checked."""

    def __init__(self, inbox: Any, gate: Gate) -> None:
        self.inbox, self.gate = inbox, gate

    def put(self, envelope: Any) -> None:
        self.gate.hold()
        self.inbox.put(envelope)


@pytest.mark.parametrize("end", [hume.stop, hume.kill], ids=["stop", "kill"])
@pytest.mark.parametrize("cls", [Worker, Untimed], ids=["server", "projection"])
def test_never_again_15_an_ask_that_is_on_its_way_while_the_actor_ends_gets_an_error(cls: Any, end: Any) -> None:
    ref = cls.start(**({"stream": "s"} if cls is Untimed else {}))
    another: Any = mailbox(hume.GenServer.start()).ref.__class__.__new__(type(ref))
    vars(another).update(vars(ref))
    with Gate() as gate:
        another.actor_inbox = HeldInbox(ref.actor_inbox, gate)
        asked = in_thread(another.ask, "hello", timeout=LIMIT)
        gate.wait()  # is_alive() has said yes
        end(ref)
    with pytest.raises(hume.ActorDead):
        asked.result(LIMIT)


@pytest.mark.usefixtures("fast_switching")
def test_never_again_15_calls_that_race_a_stop_are_all_answered() -> None:
    def ask(ref: Any) -> None:
        while True:
            try:
                assert hume.query(ref, len, timeout=LIMIT) == 0
            except hume.ActorDead:
                return

    for _ in range(100):
        ref = Collected.start(stream="s")
        asks = [functools.partial(ask, ref)] * 3
        assert all_at_once(*asks, functools.partial(hume.stop, ref)) == [None] * 4


FORK = """
import os, signal, sys, warnings
import hume, pykka

if not hasattr(os, "fork"):
    sys.exit()

class Total(hume.Projection, store=hume.EventStoreActor):
    def init_state(self, projection): return 0
    def handle_event(self, event, state): return state + event

hume.EventStoreActor.start_link()
ref = hume.start_link(Total, stream="s")
hume.publish(hume.EventStoreActor, "s", 1)
assert hume.state(ref) == 1
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    signal.alarm(20)  # what hangs is ended, and seen
    for ask in (
        lambda: hume.state(ref, timeout=None),
        lambda: hume.query(ref, abs, timeout=None),
        lambda: ref.ask("hello"),
        lambda: hume.publish(hume.EventStoreActor, "s", 2),
    ):
        try:
            ask()
        except pykka.ActorDeadError:
            continue
        os._exit(1)
    os._exit(0)
_, code = os.waitpid(child, 0)
assert code == 0, code
assert hume.state(ref) == 1
"""


def test_never_again_15_an_ask_after_a_fork_gets_an_error() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603 - our own script
    assert (done.returncode, done.stderr) == (0, "")


# -- 16: a store that starts afresh


@pytest.mark.parametrize("length", [1, 2, 3], ids=["shorter", "as long", "longer"])
def test_never_again_16_a_snapshot_of_another_log_is_not_used(length: int, caplog: pytest.LogCaptureFixture) -> None:
    shelf = Shelf()
    ref = Untimed.start_link(stream="s", snapshots=shelf)
    hume.publish_many(STORE, "s", ["old", "older"])
    hume.take_snapshot(ref)
    stop_application()  # which is the end of the logs
    STORE.start_link()
    new = [f"new {number}" for number in range(length)]
    hume.publish_many(STORE, "s", new)
    with caplog.at_level(logging.WARNING, "hume.projection"):
        again = Untimed.start_link(stream="s", snapshots=shelf)
    assert "ignores a snapshot" in caplog.text
    assert hume.state(again) == new
    hume.stop(again)
    assert shelf.saved[-1] == hume.Snapshot(length, new)


def test_never_again_16_a_snapshot_ahead_of_a_log_without_identity_is_not_used() -> None:
    shelf, plain = Shelf(), PairStore()
    ref = Untimed.start(stream="s", store=plain, snapshots=shelf)
    hume.publish_many(plain, "s", ["old", "older"])
    hume.take_snapshot(ref)
    hume.stop(ref)
    plain.logs.clear()
    hume.publish(plain, "s", "new")
    assert hume.state(Untimed.start(stream="s", store=plain, snapshots=shelf)) == ["new"]


def test_never_again_16_a_live_projection_notices_that_its_log_was_replaced() -> None:
    shelf, plain = Shelf(), PairStore()
    live = Untimed.start(stream="s", snapshots=shelf)
    beside = Untimed.start(stream="s", projection="beside", store=plain)
    for log in (STORE, plain):
        hume.publish_many(log, "s", ["old", "older"])
    assert hume.state(live) == hume.state(beside) == ["old", "older"]
    hume.stop(STORE)
    hume.stop(hume.whereis(hume.actors.Application))
    stop_application()  # its snapshots are its own, and it is linked to nobody
    plain.logs.clear()
    STORE.start_link()
    for log in (STORE, plain):
        resolve(log).append("s", ["new"])  # without a hint
    assert hume.state(live) == hume.state(beside) == ["new"]


# -- 18: a handler that raises


def test_never_again_18_a_handler_that_raises_ends_the_projection_and_answers_all_who_wait() -> None:
    ref = Untimed.start(stream="s", name="here")
    hume.publish(STORE, "s", "well")
    assert hume.state(ref) == ["well"]
    with Gate() as gate:
        error = Boom("poison")
        hume.publish_many(STORE, "s", [doing(gate.hold), failing(error), "after it"])
        gate.wait()
        reads = [
            in_thread(hume.state, ref, timeout=LIMIT),
            in_thread(hume.state, ref, at_least=9, timeout=LIMIT),
            in_thread(hume.query, ref, len, timeout=LIMIT),
            in_thread(hume.take_snapshot, ref, timeout=LIMIT),
        ]
        eventually(lambda: len(boxed(ref).pending) == len(reads))
    assert [read.exception(LIMIT) for read in reads] == [error] * len(reads)
    assert exit_reason(ref) == Crash(error)
    assert hume.whereis("here") is None
    with pytest.raises(hume.ActorDead):
        hume.state(ref, dirty=True)  # the state that was torn is shown to nobody
    status = hume.status(ref)
    assert (status.seq, status.last_error, status.phase) == (2, error, "stopped")


def test_never_again_18_a_reader_who_waits_for_the_event_in_hand_gets_its_error() -> None:
    ref = Untimed.start(stream="s")
    with Gate() as gate:
        error = Boom("poison")

        def poison(state: list[Any]) -> None:
            state.append("torn")
            gate.hold()
            raise error

        hume.publish(STORE, "s", poison)
        gate.wait()
        read = in_thread(hume.state, ref, dirty=True, timeout=LIMIT)
        eventually(lambda: boxed(ref).face.waiting)
    assert read.exception(LIMIT) is error


# -- 19: snapshots that are asked for, and those of a stop


def test_never_again_19_take_snapshot_saves_at_once() -> None:
    ref = Untimed.start(stream="s", snapshot_every=1000)
    hume.publish(STORE, "s", "a")
    assert hume.take_snapshot(ref) == hume.Snapshot(1, ["a"])
    assert hume.status(ref).snapshot_seq == 1
    hume.kill(ref)
    again = Untimed.start(stream="s", snapshot_every=1000)
    assert hume.state(again) == ["a"]
    assert resumed_at(again) == 1


def test_never_again_19_a_stop_during_a_catch_up_saves_what_has_been_applied_by_then() -> None:
    shelf = Shelf()
    with Gate() as gate:
        hume.publish_many(STORE, "s", [*range(700), doing(gate.hold, 700), *range(701, 3000)])
        ref = Untimed.start(stream="s", snapshots=shelf, snapshot_every=None)
        gate.wait()
        stopped = in_thread(hume.stop, ref, timeout=LIMIT)
        eventually(lambda: boxed(ref).stopping)
    stopped.result(LIMIT)
    (saved,) = shelf.saved
    assert 701 <= saved.seq < 3000  # it has noticed the stop between two pages
    assert saved.state == list(range(saved.seq))
    again = Untimed.start(stream="s", snapshots=shelf, snapshot_every=None)
    assert hume.state(again) == list(range(3000))
    assert resumed_at(again) == saved.seq


# -- 20: what is no reason to die


def test_never_again_20_a_stray_message_does_not_end_a_projection() -> None:
    ref = Untimed.start(stream="s", name="here")
    hume.publish(STORE, "s", "a")
    for stray in ("stray", 42, {"command": "stop"}, ("EXIT", "normal"), Boom("stray"), object()):
        ref.tell(stray)
        hume.GenServer.cast("here", stray)
        with pytest.raises(TypeError, match="handle_call"):
            ref.ask(stray, timeout=LIMIT)
        with pytest.raises(TypeError, match="handle_call"):
            hume.GenServer.call("here", stray, timeout=LIMIT)
    hume.publish(STORE, "s", "b")
    assert hume.state(ref) == ["a", "b"]
    assert hume.status(ref).errors == 0
    assert waiting(ref) == 0


def test_never_again_20_an_error_in_on_caught_up_is_logged_and_counted_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Here(Total):
        def on_caught_up(self, snapshot: hume.Snapshot[int]) -> None:
            raise Boom(snapshot.seq)

    ref = Here.start(stream="s")
    for number in (1, 2, 3):
        hume.publish(STORE, "s", number)
        assert hume.query(ref, lambda total: total) == sum(range(number + 1))
    status = hume.status(ref)
    assert isinstance(status.last_error, Boom)
    assert status.errors == 4 == Counter(record.levelname for record in caplog.records)["WARNING"]  # at the start too
