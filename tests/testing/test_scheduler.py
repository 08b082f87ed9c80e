"""A scheduler by hand: one actor at a time, in any order; found by Hypothesis, and the same again when replayed."""

from __future__ import annotations

import random
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pykka
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hume
from hume.actors import NO_REPLY, Backoff, ChildSpec, DynamicSupervisor, GenServer, Supervisor
from hume.stores import SQLiteEventStore, _sqlite
from hume.stores._event_store import resolve
from hume.testing import Deadlock, Gate, ManualClock, Scheduler, _scheduler, crash, kill, wait_until
from tests.helpers import LIMIT, Probe, do, drained, in_thread, mailbox
from tests.samples import STORE, Collected, PairStore, Total, payloads

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from hume.actors import Reply


class Account(GenServer):
    """A balance, which others may ask for and set; or add to, which is one message."""

    def init(self) -> None:
        self.balance = 0

    def handle_call(self, message: Any, from_: Reply) -> int:
        match message:
            case ("set", balance):
                self.balance = balance
            case ("add", amount):
                self.balance += amount
        return self.balance


class Naive(GenServer):
    """Adds what it gets to the account, in two messages, between which another may come."""

    def init(self, account: pykka.ActorRef[Account]) -> None:
        self.account = account

    def handle_cast(self, amount: int) -> None:
        balance = GenServer.call(self.account, "balance", timeout=None)
        GenServer.call(self.account, ("set", balance + amount))


class Careful(Naive):
    def handle_cast(self, amount: int) -> None:
        GenServer.call(self.account, ("add", amount))


class Silent(GenServer):
    """Answers nobody."""

    def handle_call(self, message: Any, from_: Reply) -> Any:
        return NO_REPLY


def deposits(cls: type[Naive], scheduler: Scheduler) -> int:
    """Add ten and ten; return the balance."""
    with scheduler:
        account = Account.start()
        for _ in range(2):
            GenServer.cast(cls.start(account), 10)
        scheduler.run()
        balance: int = GenServer.call(account, "balance")
        return balance


def drawn(data: st.DataObject) -> Callable[[Sequence[str]], str]:
    """Return what has Hypothesis choose."""
    return lambda names: data.draw(st.sampled_from(names), label="who is next")


exploring = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# -- who is next


def test_an_actor_handles_a_message_when_it_is_stepped_and_not_before() -> None:
    with Scheduler() as scheduler:
        STORE.start_link()
        one, two = Collected.start_link(stream="s"), Collected.start_link(stream="s", projection="two")
        scheduler.run()
        hume.publish(STORE, "s", "event")
        assert scheduler.waiting() == [one, two]
        scheduler.step(two)
        assert [hume.state(ref, dirty=True) for ref in (one, two)] == [[], ["event"]]
        assert scheduler.waiting() == [one]
        assert hume.state(one) == ["event"]  # whoever waits for an answer lets others go on until it is there
        assert scheduler.waiting() == []


def test_init_runs_in_start_and_nobody_else() -> None:
    with Scheduler() as scheduler:
        busy = Probe.start()
        GenServer.cast(busy, "a message")
        account = Account.start()
        assert scheduler.waiting() == [busy]
        assert GenServer.call(account, ("add", 1)) == 1


def test_init_runs_in_the_step_that_starts_an_actor() -> None:
    with Scheduler() as scheduler:
        starter = Probe.start()
        GenServer.cast(starter, lambda _: Probe.start(name="started"))
        scheduler.step(starter)
        assert mailbox(hume.whereis("started")).started.done()
        assert scheduler.waiting() == [starter]  # which can go on


def test_a_callback_that_waits_is_left_there_and_gone_on_with_when_its_answer_is_there() -> None:
    with Scheduler() as scheduler:
        account = Account.start()
        one, two = Naive.start(account), Naive.start(account)
        for teller in (one, two):
            GenServer.cast(teller, 10)
        scheduler.step(one)
        assert scheduler.waiting() == [account, two]
        for ref in (account, two, account, one, two, account, account):
            scheduler.step(ref)
        assert set(scheduler.history) == {"Account#1", "Naive#1", "Naive#2"}
        assert GenServer.call(account, "balance") == 10  # the update of the one who came first is lost


def test_run_makes_no_more_steps_than_it_is_told() -> None:
    with Scheduler() as scheduler:
        ref = Probe.start()
        for number in range(5):
            GenServer.cast(ref, number)
        scheduler.run(3)
        assert len(mailbox(ref)) == 2
        assert scheduler.history == ["Probe#1"] * 3
        scheduler.run()
        assert scheduler.waiting() == []


def test_without_a_choice_whoever_has_waited_for_the_longest_time_is_next() -> None:
    with Scheduler() as scheduler:
        refs = [Probe.start() for _ in range(3)]
        for ref in (refs[0], refs[0], refs[1], refs[1], refs[2]):
            GenServer.cast(ref, "a message")
        scheduler.step(refs[0])
        scheduler.run()
        assert scheduler.history == ["Probe#1", "Probe#2", "Probe#3", "Probe#1", "Probe#2"]


def test_a_step_of_one_who_can_make_none_says_why_and_who_can() -> None:
    with Scheduler() as scheduler:
        account, teller, dead = Account.start(), Naive.start(Silent.start()), Probe.start()
        with pytest.raises(ValueError, match=r"Account#1 .* it has no message; those who can are \[\]"):
            scheduler.step(account)
        GenServer.cast(teller, 1)
        scheduler.run()
        GenServer.cast(account, "a message")
        with pytest.raises(ValueError, match=r"Naive#1 .* it waits for Silent#1; those who can are \['Account#1'\]"):
            scheduler.step(teller)
        hume.stop(dead)
        with pytest.raises(ValueError, match=r"Probe#1 .* it is dead"):
            scheduler.step(dead)


def test_a_pause_lets_others_go_on_in_the_middle() -> None:
    with Scheduler(lambda names: names[-1]) as scheduler:
        one, two = Probe.start(), Probe.start()
        GenServer.cast(one, lambda probe: [step() for step in (scheduler.pause, lambda: probe.seen.put("after it"))])
        GenServer.cast(two, "a message")
        scheduler.step(one)
        assert scheduler.waiting() == [one, two]
        scheduler.pause()  # "test" is the last of the names: the test goes on
        assert scheduler.waiting() == [one, two]
        scheduler.run()
        assert do(one, lambda probe: drained(probe.seen)) == ["after it"]
        assert scheduler.history[:4] == ["Probe#1", "test", "Probe#2", "Probe#1"]
    with Scheduler() as scheduler:
        GenServer.cast(Probe.start(), "a message")
        scheduler.pause()
        assert scheduler.history == ["Probe#1", "test"]  # the test, too, is one of those who wait for their turn


# -- finding races


class EveryOrder:
    """A choice that is another one each time, until there is none left: depth first, the first ones first."""

    def __init__(self) -> None:
        self._path: list[tuple[int, int]] = []  # which of how many, at each choice
        self._at = 0

    def __call__(self, names: Sequence[str]) -> str:
        if self._at == len(self._path):
            self._path.append((0, len(names)))
        index, _ = self._path[self._at]
        self._at += 1
        return names[index]

    @property
    def choices(self) -> list[int]:
        """What was chosen, by index."""
        return [index for index, _ in self._path]

    def is_exhausted(self) -> bool:
        """Go on to the next order; tell whether there is none."""
        self._at = 0
        while self._path:
            index, count = self._path.pop()
            if index + 1 < count:
                self._path.append((index + 1, count))
                return False
        return True


def balances_in_every_order(cls: type[Naive]) -> list[tuple[int, list[int], list[str]]]:
    found, order = [], EveryOrder()
    while True:
        scheduler = Scheduler(order)
        found.append((deposits(cls, scheduler), order.choices, scheduler.history))
        if order.is_exhausted():
            return found


def test_hypothesis_finds_an_update_that_is_lost_and_reduces_the_order_to_the_simplest() -> None:
    failures: list[list[str]] = []

    @settings(exploring, database=None)
    @given(st.data())
    def adds_up(data: st.DataObject) -> None:
        scheduler = Scheduler(drawn(data))
        if deposits(Naive, scheduler) != 20:
            failures.append(scheduler.history)
            pytest.fail("an update is lost")

    with pytest.raises(pytest.fail.Exception) as failed:
        adds_up()
    in_every_order = balances_in_every_order(Naive)
    lost = [(len(choices), choices, history) for balance, choices, history in in_every_order if balance != 20]
    assert 0 < len(lost) < len(in_every_order)
    assert failures[-1] == min(lost)[2]  # with the fewest choices, and of these the first ones
    assert "who is next" in "".join(failed.value.__notes__)  # and it says who was


def test_an_update_that_is_one_message_is_lost_in_no_order() -> None:
    assert {balance for balance, *_ in balances_in_every_order(Careful)} == {20}


def test_a_history_that_is_replayed_is_the_same_again() -> None:
    for seed in range(10):
        first = Scheduler(random.Random(seed).choice)  # noqa: S311 - no secret
        balance = deposits(Naive, first)
        again = Scheduler(replay=first.history)
        assert deposits(Naive, again) == balance
        assert again.history == first.history


def test_a_history_of_something_else_is_refused_where_it_differs() -> None:
    with pytest.raises(
        ValueError, match=r"step 2 can't be made by 'Naive#7'; those who can are \['Account#1', 'Naive#2'"
    ):
        deposits(Naive, Scheduler(replay=["Naive#1", "Naive#7"]))


def test_a_history_in_the_wrong_place_is_told_the_right_one() -> None:
    with pytest.raises(TypeError, match=r"not \['Naive#1'\]; a history is given as replay="):
        Scheduler(["Naive#1"])  # type: ignore[arg-type]  # as somebody might


# -- what Hume promises, in any order


class Paused:
    """A store that lets others go on before and after whatever it does; between two events, too."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.store, self.pause = PairStore(), scheduler.pause

    def append(self, stream: Hashable, batch: Sequence[Any], expect_seq: int | None = None) -> int:
        self.pause()
        seq = self.store.append(stream, batch, expect_seq)
        self.pause()
        return seq

    def events(self, stream: Hashable, after: int = 0, limit: int | None = None) -> Iterable[tuple[int, Any]]:
        for event in self.store.events(stream, after, limit):
            self.pause()
            yield event

    def last_seq(self, stream: Hashable) -> int:
        self.pause()
        last = self.store.last_seq(stream)
        self.pause()
        return last


class Writer(GenServer):
    """Publishes what it gets, and notes whether it is in the state of "p"; which it asks again if that has died."""

    def init(self, store: Any, found: dict[Any, bool]) -> None:
        self.store, self.found = store, found

    def handle_cast(self, payload: Any) -> None:
        hume.publish(self.store, "s", payload)
        self.handle_info(payload)

    def handle_info(self, payload: Any) -> None:
        try:
            self.found[payload] = payload in hume.state("p")
        except (hume.ActorDead, RuntimeError):
            self.send_after(0.1, payload)


class Hurried(Collected, snapshot_every=1, snapshot_after=None, copy_state=list):
    """Saves a snapshot wherever it may."""


def let_die(data: st.DataObject, scheduler: Scheduler, *names: Hashable) -> None:
    """Have some actors die, each after a few steps."""
    for _ in range(data.draw(st.integers(0, 3), label="deaths")):
        scheduler.run(data.draw(st.integers(0, 20), label="steps"))
        victim = hume.whereis(data.draw(st.sampled_from(names), label="victim"))
        if victim is not None:
            data.draw(st.sampled_from([kill, crash]), label="how")(victim)


@exploring
@given(st.data())
def test_whoever_publishes_finds_it_in_the_state_whoever_is_killed_when_in_any_order(data: st.DataObject) -> None:
    found: dict[Any, bool] = {}
    with Scheduler(drawn(data)) as scheduler:
        store = Paused(scheduler)
        Supervisor.start_link([(Hurried, {"stream": "s", "name": "p", "store": store})], max_restarts=100)
        writers = [Writer.start(store, found) for _ in range(2)]
        for number in range(3):
            GenServer.cast(writers[number % 2], number)
        let_die(data, scheduler, "p", hume.HeirActor)
        hume.publish(store, "s", 3)
        scheduler.clock.advance(60.0)
        assert hume.state("p") == [payload for _, payload in store.events("s")]
    assert found == {0: True, 1: True, 2: True}


class Publisher(GenServer):
    """Publishes what it gets; where the store is down, a little later."""

    def handle_cast(self, payload: Any) -> None:
        self.handle_info(payload)

    def handle_info(self, message: Any) -> None:
        try:
            hume.publish(STORE, "s", message)
        except hume.ActorDead:
            self.send_after(0.1, message)


@exploring
@given(st.data())
def test_each_event_is_applied_once_whoever_is_killed_when_in_any_order(data: st.DataObject) -> None:
    with Scheduler(drawn(data)) as scheduler:
        Supervisor.start_link([STORE, (Hurried, {"stream": "s", "name": "p"})], max_restarts=100, name="top")
        publishers = [Publisher.start_link() for _ in range(2)]
        for number in range(6):
            GenServer.cast(publishers[number % 2], number)
        let_die(data, scheduler, "p", STORE, hume.HeirActor)
        scheduler.clock.advance(60.0)
        assert sorted(payloads(STORE, "s")) == [0, 1, 2, 3, 4, 5]
        assert hume.state("p") == payloads(STORE, "s")


def test_a_killed_actor_goes_on_in_its_time_and_reaches_nobody() -> None:
    with Scheduler() as scheduler:
        account = Account.start()
        zombie = Naive.start(account)
        GenServer.cast(zombie, 10)
        scheduler.step(zombie)
        kill(zombie)
        scheduler.step(account)
        assert scheduler.waiting() == [zombie]  # it has its answer
        scheduler.run()
        assert GenServer.call(account, "balance") == 0


# -- waiting


def test_a_deadlock_is_found_and_says_who_waits_for_whom() -> None:
    with Scheduler():
        silent = Silent.start()
        patient = Naive.start(silent)
        GenServer.cast(patient, 10)
        with pytest.raises(Deadlock, match=r"^the test waits, and nobody can go on: Naive#1 waits for Silent#1$"):
            GenServer.call(silent, "for ever", timeout=None)


def test_time_stands_still_while_anybody_can_go_on_and_then_goes_to_the_next_moment() -> None:
    with Scheduler() as scheduler:
        late, early, busy = Probe.start(), Probe.start(), Probe.start()
        do(late, lambda probe: probe.send_after(2.0, "late"))
        do(early, lambda probe: probe.send_after(1.0, "early"))
        for number in range(3):
            GenServer.cast(busy, number)
        with pytest.raises(hume.Timeout):
            GenServer.call(Silent.start(), "?", timeout=1.5)
        assert scheduler.history[2:] == ["Probe#3", "Silent#1", "Probe#3", "Probe#3", "Probe#2"]
        assert scheduler.clock.monotonic() == 1.5


def test_a_timer_that_is_cancelled_is_nothing_to_do() -> None:
    with Scheduler() as scheduler:
        ref = Probe.start()
        do(ref, lambda probe: probe.send_after(2.0, "a message"))
        do(ref, lambda probe: probe.send_after(1.0, "never").cancel())
        scheduler.clock.jump(1.0)
        assert scheduler.waiting() == []
        scheduler.clock.jump(1.0)
        assert scheduler.waiting() == [ref]


def test_an_actor_with_a_clock_of_its_own_goes_by_that() -> None:
    class Early(Probe):
        clock = ManualClock()

    with Scheduler() as scheduler:
        ref = Early.start()
        do(ref, lambda probe: probe.send_after(1.0, "a message"))
        scheduler.clock.advance(5.0)
        assert scheduler.waiting() == []
        Early.clock.jump(1.0)
        assert scheduler.waiting() == [ref]


def test_advance_lets_time_pass_with_all_that_is_due_in_it_and_what_follows() -> None:
    with Scheduler() as scheduler:
        STORE.start_link()
        ref = Total.start_link(stream="s", catch_up_after=30.0)
        hume.publish(STORE, "s", 1)
        scheduler.clock.advance(0.0)
        assert hume.state(ref, dirty=True) == 1
        resolve(STORE).append("s", [2])  # without a hint
        scheduler.clock.advance(29.0)
        assert hume.state(ref, dirty=True) == 1
        scheduler.clock.advance(1.0)
        assert hume.state(ref, dirty=True) == 3
        assert scheduler.clock.monotonic() == 30.0


def test_children_that_do_not_stop_are_killed_in_no_time() -> None:
    with Scheduler() as scheduler:
        silent, top = Silent.start(), DynamicSupervisor.start_link()
        spec = ChildSpec(id="stuck", start=lambda: Naive.start_link(silent), shutdown=7.0)
        stuck: list[Any] = [DynamicSupervisor.start_child(top, spec) for _ in range(2)]
        for ref in stuck:
            GenServer.cast(ref, 10)
        scheduler.run()
        hume.stop(top, timeout=None)
        assert [mailbox(ref).reason for ref in stuck] == ["killed", "killed"]
        assert scheduler.clock.monotonic() == 7.0  # each had that time, and the same


def test_who_does_not_want_to_wait_lets_nobody_go_on() -> None:
    with Scheduler() as scheduler:
        account = Account.start()
        with pytest.raises(hume.Timeout):
            GenServer.call(account, "balance", timeout=0)
        assert scheduler.waiting() == [account]


def test_the_backoff_of_a_restart_is_the_same_each_time() -> None:
    def restarted_at() -> float:
        with Scheduler() as scheduler:
            Supervisor.start_link(
                [ChildSpec(id=1, start=lambda: Probe.start_link(name="p"), backoff=Backoff(base=1.0))]
            )
            for _ in range(2):  # the first restart is at once
                wait_until(lambda: crash("p"), timeout=60.0)
            hume.ref("p").wait(timeout=60.0)
            return scheduler.clock.monotonic()

    assert restarted_at() == restarted_at()


def test_a_start_that_fails_waits_for_what_is_cleaned_up() -> None:
    """Its thread waits in the middle of that, and is joined by whoever has asked for the start."""

    class Failing(Supervisor):
        def init(self, *args: Any, **options: Any) -> None:
            super().init([(Probe, {"name": "child"})])
            raise KeyError

    with Scheduler():
        with pytest.raises(KeyError):
            Failing.start()
        assert hume.whereis("child") is None


def test_gates_and_conditions_let_others_go_on() -> None:
    with Scheduler() as scheduler, Gate() as gate:
        ref = Probe.start()
        GenServer.cast(ref, lambda _: gate.hold())
        GenServer.cast(ref, "after it")
        gate.wait()
        assert scheduler.waiting() == []
        gate.open()
        assert wait_until(lambda: drained(do(ref, lambda probe: probe.seen))) == [("cast", "after it")]
        with pytest.raises(AssertionError, match=r"did not come true within 5\.0 seconds"):
            wait_until(lambda: False)


def test_a_thread_of_somebodys_own_waits_as_it_always_does() -> None:
    with Scheduler() as scheduler:
        account = Account.start()
        answer = in_thread(GenServer.call, account, ("add", 1))
        while not answer.done():
            scheduler.run()
        assert answer.result() == 1


# -- who takes part


def test_a_file_is_a_store_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks for what other processes have written by the system's clock, which stands still here."""
    monkeypatch.setattr(_sqlite, "_POLL_AFTER", 0.0)
    with Scheduler() as scheduler:
        SQLiteEventStore.start_link(tmp_path / "events.db", durability="normal")
        ref = Total.start_link(stream="s", store=SQLiteEventStore)
        for number in range(3):
            hume.publish(SQLiteEventStore, "s", number)
        assert hume.state(ref) == 3
        scheduler.clock.advance(1.0)
        assert scheduler.history == ["Application#1", *["Total#1"] * len(scheduler.history[1:])]


def test_a_crowd_is_told_at_once() -> None:
    with Scheduler() as scheduler:
        STORE.start_link()
        crowd = [Total.start_link(stream="s", projection=number) for number in range(20)]
        scheduler.run()
        hume.publish(STORE, "s", 1)
        assert scheduler.waiting() == crowd
        assert "hume-crier" not in {thread.name for thread in threading.enumerate()}


def test_a_plain_actor_under_a_supervisor_takes_part() -> None:
    class Plain(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return GenServer.call(account, ("add", message))

    with Scheduler() as scheduler:
        account = Account.start()
        top = Supervisor.start_link([Plain])
        [child] = Supervisor.which_children(top)
        ref: Any = child.ref
        ref.tell(1)
        scheduler.step(ref)
        assert scheduler.waiting() == [account]
        assert ref.ask(2) == 3


def test_actors_with_threads_of_their_own_are_refused() -> None:
    ref = Probe.start(name="early")
    with pytest.raises(hume.HumeError, match=r"actors run already.* Probe 'early'"), Scheduler():
        pytest.fail("it was entered")
    hume.stop(ref)
    with Scheduler():  # the application is nobody's, and starts again
        Probe.start_link()


def test_a_scheduler_is_alone_and_is_used_once() -> None:
    with ManualClock(), pytest.raises(hume.HumeError, match="a clock is in force already"), Scheduler():
        pytest.fail("it was entered")
    with Scheduler() as scheduler, pytest.raises(hume.HumeError, match="a clock is in force"), Scheduler():
        pytest.fail("it was entered")
    with pytest.raises(hume.HumeError, match="used once"), scheduler:
        pytest.fail("it was entered")
    with pytest.raises(hume.HumeError, match="between entering and leaving"):
        scheduler.run()


# -- ends


def test_leaving_stops_all_in_order_and_what_waits_is_taken_out_of_it() -> None:
    done: list[str] = []

    class Stuck(GenServer):
        def handle_cast(self, gate: Gate) -> None:
            try:
                gate.hold()
            finally:
                done.append("taken out")

    class Orderly(GenServer):
        def handle_cast(self, message: Any) -> None:
            """Wait, at the end, for its turn."""

        def terminate(self, reason: object) -> None:
            done.append(str(reason))

    with Scheduler(lambda _: pytest.fail("asked for a choice")) as scheduler:
        orderly = Orderly.start(), Orderly.start_link()
        stuck = Stuck.start()
        GenServer.cast(stuck, Gate())
        scheduler.run()
        kill(stuck)
        history = scheduler.history.copy()
        for ref in orderly:
            GenServer.cast(ref, "a message")
    assert done == ["shutdown", "shutdown", "taken out"]
    assert scheduler.history == history  # which is the test's


def test_an_error_within_kills_all_that_is_there() -> None:
    class Orderly(GenServer):
        def terminate(self, reason: object) -> None:
            pytest.fail("it runs on")

    def fail() -> None:
        with Scheduler(lambda _: pytest.fail("asked for a choice")):
            Supervisor.start_link([STORE, Orderly])
            refs.append(Orderly.start_link())
            GenServer.cast(refs[0], 1)
            raise KeyError

    refs: list[Any] = []
    with pytest.raises(KeyError):
        fail()
    assert mailbox(refs[0]).reason == "killed"


def test_an_endless_exchange_is_ended() -> None:
    class Endless(GenServer):
        def handle_cast(self, message: Any) -> None:
            handled.append(message)
            GenServer.cast(self.actor_ref, message)

    handled: list[Any] = []

    def exchange() -> None:
        with Scheduler(max_steps=50):
            GenServer.cast(Endless.start(), "again")
            GenServer.call(Silent.start(), "?")

    with pytest.raises(Deadlock, match=r"no end after 50 steps .* \['Endless#1', 'Endless#1'"):
        exchange()
    assert len(handled) < 50


def test_an_actor_that_does_not_come_back_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scheduler, "_PATIENCE", 0.01)
    event = threading.Event()

    def wait_unseen() -> None:
        with Scheduler() as scheduler:
            Account.start()  # whose thread leaves all the same
            GenServer.cast(Probe.start(), lambda _: event.wait(LIMIT))
            scheduler.run()

    with pytest.raises(Deadlock, match=r"Probe#1 has been running for"):
        wait_unseen()
    event.set()


def test_whatever_waits_can_be_seen_by_a_scheduler() -> None:
    """Timeouts go by its time, and actors' threads are its own; those named here no actor's life depends on."""
    own = {"actors/_threads.py", "_bus.py", "testing/_clock.py", "testing/_scheduler.py"}
    own |= {"stores/_sqlite_pool.py", "stores/_sqlite_schema.py"}  # wait for a fork, and for another process
    root = Path(hume.__file__).parent
    bypasses = re.compile(r"\btime\.(monotonic|sleep)\(|\bthreading\.(Thread|Condition|Event|Semaphore)\(")
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.parts[len(root.parts)] not in {"cli", "telemetry"} and bypasses.search(path.read_text())
    }
    assert found - own == {"actors/_mailbox.py", "testing/_event_store.py", "testing/_leaks.py"}
