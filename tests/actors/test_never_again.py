"""The defects of Pykka that floor 1 must not have, each under its number in the design's list."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from hume.actors import NO_REPLY, Crash, Down, Exit, GenServer, Reply, Supervisor, Table, kill, stop, whereis
from hume.errors import ActorDead
from tests.helpers import LIMIT, Gate, Probe, all_at_once, do, eventually, gone, mailbox, next_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Echo(GenServer):
    """Answers at once, later from another actor's thread, or by a method."""

    def init(self, helper: pykka.ActorRef[Any] | None = None) -> None:
        self.helper = helper

    def handle_call(self, message: Any, from_: Reply) -> Any:
        if isinstance(message, BaseException):
            raise message
        if self.helper is not None and message % 2:
            GenServer.send(self.helper, (from_, message))
            return NO_REPLY
        return message

    def echo(self, message: Any) -> Any:
        return message


class Helper(GenServer):
    """Answers what others deferred; now and then it forgets."""

    def handle_info(self, message: tuple[Reply, int]) -> None:
        from_, number = message
        if number % 5:
            GenServer.reply(from_, number)


# -- 13: what is mutable is shared between threads


def test_never_again_13_what_a_table_hands_out_is_shared_with_nobody() -> None:
    """Never again 13, T6: a caller's later change of what it put in, or got out, reaches no other thread."""
    owner = Probe.start()
    row: dict[str, list[int]] = {"numbers": [1]}
    table: Table = do(owner, lambda _: Table("shared"))
    do(owner, lambda _: table.insert("row", row))
    row["numbers"].append(2)
    mine, theirs = table["row"], do(Probe.start(), lambda _: table["row"])
    mine["numbers"].append(3)
    assert theirs == table["row"] == {"numbers": [1]}


# -- 14: a failing ask leaves the actor running and its supervisor ignorant


ASKS: dict[str, Callable[[pykka.ActorRef[Any], BaseException], Any]] = {
    "ask": lambda ref, error: ref.ask(error, timeout=LIMIT),
    "future": lambda ref, error: ref.ask(error, block=False).get(timeout=LIMIT),
    "call": lambda ref, error: GenServer.call(ref, error, timeout=LIMIT),
}


@pytest.mark.parametrize("way", ASKS)
def test_never_again_14_a_failing_ask_ends_the_actor_and_everybody_hears(way: str) -> None:
    """Never again 14: the caller gets the error, the actor is dead, its links and monitors hear why."""
    seen: SimpleQueue[Any] = SimpleQueue()
    parent = Probe.start(seen, trap_exit=True)
    ref = do(parent, lambda _: Echo.start_link())
    monitor = do(parent, lambda probe: probe.monitor(ref))
    error = ValueError("boom")
    with pytest.raises(ValueError, match="boom") as caught:
        ASKS[way](ref, error)
    assert caught.value is error
    gone(ref)
    heard = [next_of(seen), next_of(seen)]
    assert Exit(ref, Crash(error)) in heard
    assert Down(monitor, ref, Crash(error)) in heard


def test_never_again_14_a_supervisor_restarts_after_a_failing_ask() -> None:
    """Never again 14: the next call under the name is served by a successor."""
    Supervisor.start([Echo.child_spec(name="echo")])
    first = whereis("echo")
    assert first is not None
    with pytest.raises(ValueError, match="boom"):
        first.ask(ValueError("boom"))
    eventually(lambda: whereis("echo") not in {None, first})
    assert GenServer.call("echo", 2) == 2


# -- 15: an ask that races a stop hangs; an ask after a fork hangs


def test_never_again_15_an_ask_that_finds_the_actor_alive_and_comes_too_late_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Never again 15: Pykka asks whether it is alive, and then sends: here the actor dies in between, each time."""
    alive = pykka.ActorRef.is_alive

    def dies_after_the_look(ref: pykka.ActorRef[Any]) -> bool:
        was = alive(ref)
        kill(ref)
        return was

    refs = [Echo.start() for _ in range(3)]
    proxy = refs[2].proxy()
    monkeypatch.setattr(pykka.ActorRef, "is_alive", dies_after_the_look)
    with pytest.raises(ActorDead, match="killed"):
        refs[0].ask(1, timeout=LIMIT)
    assert refs[1].stop(timeout=LIMIT)
    with pytest.raises(ActorDead, match="killed"):
        proxy.echo(1).get(timeout=LIMIT)


CALLS: list[Callable[[pykka.ActorRef[Any], pykka.ActorProxy[Any], int], Any]] = [
    lambda ref, _, number: GenServer.call(ref, number, timeout=None),
    lambda ref, _, number: ref.ask(number),
    lambda ref, _, number: ref.ask(number, block=False).get(),
    lambda _, proxy, number: proxy.echo(number).get(),
]
ENDS: list[Callable[[pykka.ActorRef[Any]], object]] = [
    stop,
    kill,
    lambda ref: ref.stop(),
    lambda ref: GenServer.send(ref, "an error ends it"),
]


class Mortal(Echo):
    def handle_info(self, message: Any) -> None:
        raise LookupError(message)


@pytest.mark.usefixtures("fast_switching")
@pytest.mark.parametrize("deferring", [False, True], ids=["at once", "deferred"])
def test_never_again_15_no_call_ever_hangs_over_a_death(deferring: bool) -> None:
    """Never again 15, S9: thousands of calls without a timeout, raced against stops, kills and crashes, all return."""
    helper = Helper.start() if deferring else None
    answered = refused = 0

    def ask_till_it_is_dead(ref: pykka.ActorRef[Any], proxy: pykka.ActorProxy[Any], call: Callable[..., Any]) -> int:
        number = 0
        while True:
            try:
                assert call(ref, proxy, number) == number
            except (ActorDead, pykka.ActorDeadError, LookupError):
                return number
            number += 1
            if number == 5:  # of those that the helper forgets, every one waits for the death
                death.open()

    for round_ in range(120):
        ref = Mortal.start(helper)
        proxy = ref.proxy()
        death = Gate()

        def end(ref: pykka.ActorRef[Any] = ref, death: Gate = death, round_: int = round_) -> int:
            death.hold()
            ENDS[round_ % len(ENDS)](ref)
            return 0

        outcomes = all_at_once(end, *(functools.partial(ask_till_it_is_dead, ref, proxy, call) for call in CALLS))
        assert all(isinstance(outcome, int) for outcome in outcomes), outcomes
        answered += sum(outcome for outcome in outcomes if isinstance(outcome, int))
        refused += len(CALLS)
        gone(ref)
        assert not mailbox(ref).pending
    assert answered > 1000
    assert refused == 480


@pytest.mark.usefixtures("fast_switching")
def test_never_again_15_no_stop_ever_hangs_over_a_death() -> None:
    """Never again 15, S14: stops of every kind at once, also in the middle of a kill, all return."""
    for _ in range(60):
        ref = Echo.start()
        outcomes = all_at_once(
            functools.partial(stop, ref, timeout=LIMIT),
            ref.stop,
            functools.partial(kill, ref),
            ref.stop(block=False).get,
        )
        assert all(outcome in {None, True, False} or isinstance(outcome, ActorDead) for outcome in outcomes), outcomes
        gone(ref)


FORK = """
    import os, warnings
    warnings.simplefilter("ignore")
    import pykka
    from hume.actors import GenServer, kill, stop, whereis
    from hume.errors import ActorDead

    class Echo(GenServer):
        def handle_call(self, message, from_):
            return message

    def dead(act):
        try:
            act()
        except pykka.ActorDeadError:
            return True
        return False

    ref, linked = Echo.start(name="echo"), Echo.start_link(name="linked")
    proxy = ref.proxy()
    child = os.fork()
    if child == 0:
        checks = [
            not ref.is_alive(),
            whereis("echo") is None,
            pykka.ActorRegistry.get_all() == [],
            dead(lambda: ref.ask(1)),
            dead(lambda: ref.tell(1)),
            dead(lambda: ref.proxy()),
            dead(lambda: proxy.clock.get()),
            dead(lambda: GenServer.call(ref, 1, timeout=None)),
            dead(lambda: GenServer.call("echo", 1, timeout=None)),
            dead(lambda: GenServer.call(linked, 1, timeout=None)),
            dead(lambda: stop(ref, timeout=None)),
            ref.stop() is False,
            kill(ref) is False,
        ]
        again = Echo.start_link(name="echo")
        checks.append(GenServer.call("echo", 2) == 2)
        checks.append(GenServer.call(again, 3) == 3)
        raise SystemExit(0 if all(checks) else f"failed: {checks}")
    _, status = os.waitpid(child, 0)
    assert GenServer.call("echo", 4) == 4
    print("child", os.waitstatus_to_exitcode(status))
"""


def test_never_again_15_an_ask_after_a_fork_fails_at_once() -> None:
    """Never again 15: in the child all actors are dead, at once and clearly; new ones start; the parent goes on."""
    done = subprocess.run(  # noqa: S603 - the program is the one above
        [sys.executable, "-c", textwrap.dedent(FORK)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("child 0\n", 0), done.stderr
