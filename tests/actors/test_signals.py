"""Links and monitors: Down, Exit, exit signals, and who outlives whom."""

from __future__ import annotations

import functools
import itertools
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from hume.actors import Crash, Down, Exit, GenServer, Ignore, Table, application, kill, stop, stop_application, whereis
from hume.actors._signals import is_orderly
from hume.errors import ActorDead, Timeout
from tests.helpers import LIMIT, Gate, Probe, all_at_once, do, drained, exit_reason, gone, in_thread, mailbox, next_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    Ref = pykka.ActorRef[Any]


def raise_it(error: BaseException, *_: object) -> None:
    raise error


def crash(ref: Ref) -> ValueError:
    """End an actor by an error in a callback; return the error."""
    error = ValueError("boom")
    GenServer.cast(ref, functools.partial(raise_it, error))
    gone(ref)
    return error


def watcher(**options: Any) -> tuple[Ref, SimpleQueue[Any]]:
    seen: SimpleQueue[Any] = SimpleQueue()
    return Probe.start(seen, **options), seen


def settled(ref: Ref, seen: SimpleQueue[Any]) -> list[Any]:
    """Return all that has come to a probe by now: what was sent before is handled before this call is."""
    do(ref, lambda _: None)
    return drained(seen)


class FailingInit(GenServer):
    def init(self, error: BaseException) -> None:
        raise error


class FailingTerminate(Probe):
    def terminate(self, _reason: Any) -> None:
        msg = "terminate"
        raise ValueError(msg)


# -- monitors


def end_by_stop(ref: Ref) -> str:
    stop(ref, "shutdown")
    return "shutdown"


def end_by_pykkas_stop(ref: Ref) -> str:
    ref.stop()
    return "normal"


def end_by_crash(ref: Ref) -> Crash:
    return Crash(crash(ref))


def end_by_system_exit(ref: Ref) -> Crash:
    error = SystemExit(1)
    GenServer.cast(ref, functools.partial(raise_it, error))
    return Crash(error)


def end_by_kill(ref: Ref) -> str:
    kill(ref)
    return "killed"


def end_by_link(ref: Ref) -> Crash:
    peer = Probe.start()
    do(ref, lambda probe: probe.link(peer))
    return Crash(crash(peer))


ENDS = [end_by_stop, end_by_pykkas_stop, end_by_crash, end_by_system_exit, end_by_kill, end_by_link]


@pytest.mark.parametrize("end", ENDS)
def test_a_monitor_gives_exactly_one_down_whatever_the_cause(end: Callable[[Ref], Any]) -> None:
    """M1: monitor(ref) gives exactly one Down(monitor, ref, reason) when it dies, whatever the cause."""
    ref = Probe.start()
    watch, seen = watcher()
    monitor = do(watch, lambda probe: probe.monitor(ref))
    reason = end(ref)
    gone(ref)
    assert next_of(seen) == Down(monitor, ref, reason)
    assert settled(watch, seen) == []


def test_an_error_in_terminate_is_the_reason_that_monitors_hear() -> None:
    """M1, S15: the true reason, which is the error in terminate."""
    ref = FailingTerminate.start()
    watch, seen = watcher()
    do(watch, lambda probe: probe.monitor(ref))
    stop(ref)
    reason = next_of(seen).reason
    assert isinstance(reason, Crash)
    assert str(reason) == "crashed with ValueError('terminate')"


@pytest.mark.parametrize("error", [ValueError("init"), Ignore()])
def test_a_server_that_does_not_start_is_seen_by_those_who_watched_it_start(error: Exception) -> None:
    """M1: also a death in init."""

    class Held(GenServer):
        def init(self) -> None:
            gate.hold()
            raise error

    watch, seen = watcher()
    with Gate() as gate:
        starting = in_thread(Held.start, name="starting")
        gate.wait()
        do(watch, lambda probe: probe.monitor("starting"))
    assert starting.exception(LIMIT) is (error if isinstance(error, ValueError) else None)
    assert next_of(seen).reason == (Crash(error) if isinstance(error, ValueError) else "normal")


def test_monitoring_a_dead_server_gives_its_down_at_once_with_the_true_reason() -> None:
    """M2: Down at once; the reason is its true one when it is known, by ref and by proxy."""
    ref = Probe.start()
    proxy = ref.proxy()
    stop(ref, "shutdown")
    watch, seen = watcher()
    for server in (ref, proxy):
        monitor = do(watch, lambda probe, server=server: probe.monitor(server))  # type: ignore[misc]
        assert next_of(seen) == Down(monitor, ref, "shutdown")
    assert settled(watch, seen) == []


def test_monitoring_an_unknown_name_gives_noproc() -> None:
    """M2: Down at once, with reason noproc."""
    watch, seen = watcher()
    monitor = do(watch, lambda probe: probe.monitor("nobody"))
    assert next_of(seen) == Down(monitor, None, "noproc")


def test_two_monitors_give_two_downs() -> None:
    """M3: two monitors on one process give two Downs."""
    ref = Probe.start()
    watch, seen = watcher()
    monitors = [do(watch, lambda probe: probe.monitor(ref)) for _ in range(2)]
    stop(ref)
    assert [next_of(seen).monitor for _ in monitors] == monitors
    assert len(set(monitors)) == 2


def test_no_down_comes_after_demonitor() -> None:
    """M3: demonitor, then none; the other monitor still gives its own."""
    ref = Probe.start()
    watch, seen = watcher()
    one, two = (do(watch, lambda probe: probe.monitor(ref)) for _ in range(2))
    do(watch, lambda probe: probe.demonitor(one))
    stop(ref)
    assert next_of(seen).monitor == two
    assert settled(watch, seen) == []
    do(watch, lambda probe: probe.demonitor(one))  # once more is fine, and so is one that is over
    do(watch, lambda probe: probe.demonitor(two))


def test_demonitor_takes_back_a_down_that_is_in_the_mailbox_already() -> None:
    """M3: none, also if the Down is already in the mailbox (OTP's flush); for noproc too."""
    watch, seen = watcher()

    def act(probe: Probe) -> None:
        monitor = probe.monitor(ref)
        stop(ref)
        probe.demonitor(monitor)
        probe.demonitor(probe.monitor("nobody"))

    ref = Probe.start()
    do(watch, act)
    assert settled(watch, seen) == []


def test_a_monitor_of_a_dead_watcher_disturbs_nobody() -> None:
    """M1: the watched one outlives its watcher, and dies as ever."""
    ref = Probe.start()
    watch, _ = watcher()
    do(watch, lambda probe: probe.monitor(ref))
    stop(watch)
    other, seen = watcher()
    do(other, lambda probe: probe.monitor(ref))
    stop(ref)
    assert next_of(seen).ref is ref


def test_the_name_is_free_and_the_tables_are_gone_when_a_monitor_hears() -> None:
    """S5, T9, N1, port 3: whoever hears of a death can take over at once."""
    found: SimpleQueue[Any] = SimpleQueue()

    class Successor(Probe):
        def handle_info(self, message: Any) -> None:
            found.put((type(message), whereis("svc"), Table.whereis("rows"), Probe.start(name="svc")))

    watch = Successor.start(trap_exit=True)
    for end in ENDS:
        ref = Probe.start(name="svc")
        do(ref, lambda _: Table("rows"))
        do(watch, lambda probe, ref=ref: probe.monitor(ref))  # type: ignore[misc]
        end(ref)
        kind, holder, table, successor = next_of(found)
        assert (kind, holder, table) == (Down, None, None)
        assert whereis("svc") is successor
        stop("svc")


@pytest.mark.usefixtures("fast_switching")
def test_a_monitor_set_while_the_server_dies_gives_one_down() -> None:
    """M1, M2: either it is in time, or it comes to a dead one; never both, never neither."""
    watch, seen = watcher()
    for _ in range(300):
        ref = Probe.start()
        (number, _) = all_at_once(lambda: do(watch, lambda probe: probe.monitor(ref)), lambda: kill(ref))  # noqa: B023
        assert next_of(seen) == Down(number, ref, "killed")  # type: ignore[arg-type]
    assert settled(watch, seen) == []


# -- links


@pytest.mark.parametrize("which", [0, 1])
def test_a_link_is_symmetric(which: int) -> None:
    """M4: when one dies, the other gets an exit signal, whoever made the link."""
    pair = [Probe.start(), Probe.start()]
    do(pair[0], lambda probe: probe.link(pair[1]))
    stop(pair[which], "shutdown")
    assert exit_reason(pair[1 - which]) == "shutdown"


def test_there_is_at_most_one_link_between_two() -> None:
    """M4: linked thrice from both sides, one signal comes; unlinked once, none does."""
    peer = Probe.start()
    ref, seen = watcher(trap_exit=True)
    for _ in range(2):
        do(ref, lambda probe: probe.link(peer))
        do(peer, lambda probe: probe.link(ref))
    stop(peer)
    assert next_of(seen) == Exit(peer, "normal")
    assert settled(ref, seen) == []

    other = Probe.start()
    do(ref, lambda probe: probe.link(other))
    do(other, lambda probe: probe.link(ref))
    do(other, lambda probe: probe.unlink(ref))
    stop(other)
    assert settled(ref, seen) == []


def test_unlink_works_from_either_side_and_without_a_link() -> None:
    """M4: afterwards the death of one is nothing to the other."""
    one, two, three = Probe.start(), Probe.start(), Probe.start()
    do(one, lambda probe: (probe.link(two), probe.link(three), probe.unlink(two), probe.unlink(two)))
    do(three, lambda probe: probe.unlink(one))
    kill(two)
    kill(three)
    assert do(one, lambda _: "alive") == "alive"


def test_a_link_to_itself_is_nothing() -> None:
    """M4: an actor is not linked to itself: it dies once, of its own reason."""
    ref, seen = watcher(trap_exit=True)
    do(ref, lambda probe: probe.link(probe.actor_ref))
    stop(ref)
    assert drained(seen) == [("terminate", "normal")]


def test_a_normal_exit_does_not_kill_who_does_not_trap() -> None:
    """M5: an exit signal with reason normal does not kill a process that does not trap exits, nor is it a message."""
    peer = Probe.start()
    ref, seen = watcher()
    do(ref, lambda probe: probe.link(peer))
    stop(peer, "normal")
    assert settled(ref, seen) == []


@pytest.mark.parametrize("end", [end for end in ENDS if end is not end_by_pykkas_stop])
def test_any_other_reason_kills_with_the_same_reason(end: Callable[[Ref], Any]) -> None:
    """M5: any other reason does, with the same reason, all along a chain of links."""
    chain = [Probe.start() for _ in range(4)]
    for one, two in itertools.pairwise(chain):
        do(one, lambda probe, two=two: probe.link(two))  # type: ignore[misc]
    reason = end(chain[0])
    assert [exit_reason(ref) for ref in chain] == [reason] * 4


def test_an_exit_signal_acts_between_two_messages_and_overtakes_what_is_queued() -> None:
    """M5: it ends it between two messages: the handler in hand returns, the queue behind it is dropped."""
    peer = Probe.start()
    ref, seen = watcher()
    with Gate() as gate:
        do(ref, lambda probe: probe.link(peer))
        answer = in_thread(do, ref, lambda _: gate.hold())
        gate.wait()
        GenServer.cast(ref, "queued")
        kill(peer)
        assert ref.is_alive()
        gate.open()
        assert answer.exception(LIMIT) is None
    assert exit_reason(ref) == "killed"
    assert drained(seen) == [("terminate", "killed")]


@pytest.mark.parametrize("end", ENDS)
def test_who_traps_exits_gets_a_message_instead(end: Callable[[Ref], Any]) -> None:
    """M6, M7: Exit(ref, reason) as a message, for normal too; a peer's kill is seen as killed, and can be trapped."""
    peer = Probe.start()
    ref, seen = watcher(trap_exit=True)
    do(ref, lambda probe: probe.link(peer))
    reason = end(peer)
    assert next_of(seen) == Exit(peer, reason)
    assert settled(ref, seen) == []


def test_an_exit_message_waits_its_turn() -> None:
    """M6: a trapped exit is a message as any other, behind those that were sent before."""
    peer = Probe.start()
    ref, seen = watcher(trap_exit=True)
    with Gate() as gate:
        do(ref, lambda probe: probe.link(peer))
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        GenServer.send(ref, "before")
        kill(peer)
        GenServer.send(ref, "after")
        gate.open()
        assert [next_of(seen) for _ in range(3)] == ["before", Exit(peer, "killed"), "after"]


def test_an_actor_may_begin_to_trap_exits_while_it_runs() -> None:
    """M6: what counts is whether it traps when the signal is acted upon."""
    peer = Probe.start()
    ref, seen = watcher()

    def trap(probe: Probe) -> None:
        probe.link(peer)
        stop(peer, "shutdown")
        probe.trap_exit = True

    do(ref, trap)
    assert next_of(seen) == Exit(peer, "shutdown")


def test_kill_can_not_be_trapped() -> None:
    """M7: kill ends who traps exits too, without a message."""
    ref, seen = watcher(trap_exit=True)
    kill(ref)
    assert exit_reason(ref) == "killed"
    assert drained(seen) == []


def test_linking_to_a_dead_server_gives_an_exit_signal_noproc() -> None:
    """M9: with reason noproc: a message for who traps, death for who does not; by ref and by proxy."""
    dead = Probe.start()
    proxy = dead.proxy()
    stop(dead)
    ref, seen = watcher(trap_exit=True)
    for server in (dead, proxy):
        do(ref, lambda probe, server=server: probe.link(server))  # type: ignore[misc]
        assert next_of(seen) == Exit(dead, "noproc")
    other = Probe.start()
    do(other, lambda probe: probe.link(dead))
    assert exit_reason(other) == "noproc"


def test_linking_to_an_unknown_name_is_an_error() -> None:
    """M9: there is no process to link to."""

    def act(probe: Probe) -> str:
        with pytest.raises(ActorDead):
            probe.link("nobody")
        return "alive"

    assert do(Probe.start(), act) == "alive"


@pytest.mark.usefixtures("fast_switching")
def test_a_link_made_while_the_other_dies_gives_one_exit() -> None:
    """M4, M9: never none and never two; the reason is the true one, or noproc for one that was dead before."""
    ref, seen = watcher(trap_exit=True)
    for _ in range(300):
        peer = Probe.start()
        all_at_once(lambda: do(ref, lambda probe: probe.link(peer)), lambda: kill(peer))  # noqa: B023
        message = next_of(seen)
        assert message.ref is peer
        assert message.reason in {"killed", "noproc"}
    assert settled(ref, seen) == []
    assert mailbox(ref).links == []


@pytest.mark.usefixtures("fast_switching")
def test_two_that_die_at_once_forget_each_other() -> None:
    """M4: each signal goes to a dead one then, and is lost; nobody hangs."""
    for _ in range(100):
        one, two = Probe.start(), Probe.start()
        do(one, lambda probe: probe.link(two))  # noqa: B023
        assert True in all_at_once(lambda: kill(one), lambda: kill(two))  # noqa: B023
        gone(one)
        gone(two)
        assert mailbox(one).links == mailbox(two).links == []


# -- start_link


def test_start_link_links_to_the_starter_before_init_runs() -> None:
    """M8: start_link links before init runs."""

    class Child(GenServer):
        def init(self) -> None:
            links.append(list(self.actor_inbox.links))

    links: list[Any] = []
    parent = Probe.start()
    child = do(parent, lambda _: Child.start_link())
    assert links == [[parent.actor_inbox]]
    kill(parent)
    assert exit_reason(child) == "killed"


def test_start_does_not_link() -> None:
    """M8: start gives a server that outlives its starter."""
    parent = Probe.start()
    child = do(parent, lambda _: Probe.start())
    kill(parent)
    assert do(child, lambda _: "alive") == "alive"


def test_an_init_that_raises_gives_a_trapping_starter_both_the_error_and_the_message() -> None:
    """M8: an init that raises also sends the exit signal."""
    parent, seen = watcher(trap_exit=True)
    error = ValueError("init")

    def act(_: Probe) -> None:
        with pytest.raises(ValueError, match="init") as caught:
            FailingInit.start_link(error)
        assert caught.value is error

    do(parent, act)
    message = next_of(seen)
    assert isinstance(message, Exit)
    assert message.reason == Crash(error)


def test_an_init_that_raises_ends_a_starter_that_does_not_trap() -> None:
    """M8: the signal is an exit signal as any other, and comes when the starter's callback has returned."""
    parent = Probe.start()
    error = ValueError("init")

    def act(_: Probe) -> str:
        with pytest.raises(ValueError, match="init"):
            FailingInit.start_link(error)
        return "goes on"

    assert do(parent, act) == "goes on"
    assert exit_reason(parent) == Crash(error)


def test_an_init_that_says_ignore_does_not_end_its_starter() -> None:
    """M8, S3: its end is normal."""
    parent, seen = watcher()
    assert do(parent, lambda _: FailingInit.start_link(Ignore())) is None
    assert settled(parent, seen) == []


@pytest.mark.parametrize("trap_exit", [False, True])
def test_an_init_that_takes_too_long_sends_its_starter_no_exit_signal(trap_exit: bool) -> None:
    """M8, S4: as in OTP (proc_lib unlinks and flushes) the starter gets the Timeout and nothing more."""

    class Slow(GenServer):
        def init(self) -> None:
            gate.hold()

    parent, seen = watcher(trap_exit=trap_exit)

    def act(_: Probe) -> str:
        with pytest.raises(Timeout):
            Slow.start_link(timeout=0.02)
        return "goes on"

    with Gate() as gate:
        assert do(parent, act) == "goes on"
        assert settled(parent, seen) == []


def test_from_a_thread_that_is_no_actor_start_link_links_to_the_application() -> None:
    """M8: it is stopped with the application; its crash does not stop the application."""
    seen: SimpleQueue[Any] = SimpleQueue()
    root = application()
    linked, crashing, free = Probe.start_link(seen), Probe.start_link(), Probe.start()
    crash(crashing)
    assert application() is root
    stop_application()
    assert exit_reason(linked) == "shutdown"
    assert drained(seen) == [("terminate", "shutdown")]
    assert do(free, lambda _: "alive") == "alive"


@pytest.mark.parametrize("reason", ["normal", "shutdown", "odd"])
def test_a_trapping_server_ends_with_its_parent(reason: str) -> None:
    """S15, port 4: a trapping server terminates by itself on its parent's exit, normal too; others' are messages."""
    seen: SimpleQueue[Any] = SimpleQueue()
    parent, peer = Probe.start(), Probe.start()
    child = do(parent, lambda _: Probe.start_link(seen, trap_exit=True))
    do(child, lambda probe: probe.link(peer))
    stop(peer, reason)
    assert next_of(seen) == Exit(peer, reason)
    stop(parent, reason)
    assert exit_reason(child) == reason
    assert drained(seen) == [("terminate", reason)]


def test_a_server_that_does_not_trap_outlives_its_parents_normal_end() -> None:
    """M5: the parent's signal is a signal as any other for who does not trap."""
    parent = Probe.start()
    child = do(parent, lambda _: Probe.start_link())
    stop(parent, "normal")
    assert do(child, lambda _: "alive") == "alive"


def test_the_parents_exit_waits_behind_the_messages_already_there() -> None:
    """Port 4: for who traps exits it waits its turn; later messages are lost."""
    seen: SimpleQueue[Any] = SimpleQueue()
    parent = Probe.start()
    child = do(parent, lambda _: Probe.start_link(seen, trap_exit=True))
    with Gate() as gate:
        GenServer.cast(child, lambda _: gate.hold())
        gate.wait()
        GenServer.send(child, "before")
        kill(parent)
        GenServer.send(child, "after")
    assert exit_reason(child) == "killed"
    assert drained(seen) == ["before", ("terminate", "killed")]


# -- reasons


@pytest.mark.parametrize(
    ("reason", "orderly"),
    [
        ("normal", True),
        ("shutdown", True),
        (("shutdown", "why"), True),
        ("killed", False),
        ("noproc", False),
        (("other", "shutdown"), False),
        ((), False),
        (["shutdown"], False),
        (None, False),
        (Crash(ValueError()), False),
    ],
)
def test_three_reasons_are_orderly(reason: Any, orderly: bool) -> None:
    """S16: normal, shutdown and (shutdown, anything)."""
    assert is_orderly(reason) is orderly


def test_a_crash_shows_its_error_and_holds_no_frame() -> None:
    """S15: a Crash keeps nothing of the actor alive: neither it nor its causes have a traceback."""

    def fail(_: Probe) -> None:
        try:
            {"a": 1}["cause"]
        except KeyError as cause:
            msg = "boom"
            raise ValueError(msg) from cause

    ref = Probe.start()
    GenServer.cast(ref, fail)
    reason = exit_reason(ref)
    assert str(reason) == "crashed with ValueError('boom')"
    assert reason.exception.__traceback__ is None
    assert isinstance(reason.exception.__cause__, KeyError)
    assert reason.exception.__cause__.__traceback__ is None


def test_a_ring_of_causes_does_not_hang_the_death() -> None:
    """S15: a chain of errors made by hand may be a ring."""
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    ref = Probe.start()
    GenServer.cast(ref, functools.partial(raise_it, one))
    assert exit_reason(ref) == Crash(one)
