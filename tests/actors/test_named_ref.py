"""hume.ref(name): Pykka's own interface to whichever actor has the name now."""

from __future__ import annotations

import copy
import pickle
from queue import SimpleQueue
from typing import Any

import pykka
import pytest

import hume
from hume.actors import GenServer, Stop, Supervisor, _registry, kill, ref, stop, whereis
from hume.errors import ActorDead, Timeout
from tests.actors.nursery import which
from tests.helpers import LIMIT, Gate, eventually, gone, in_thread, mailbox


class Echo(GenServer):
    """Answers with its number and what it was asked; counts the actors of its kind."""

    def init(self, number: int = 1, seen: SimpleQueue[Any] | None = None, gate: Gate | None = None) -> None:
        self.number, self._seen = number, seen
        if gate is not None:
            gate.hold()

    def handle_call(self, message: Any, _from: Any) -> Any:
        return self.number, message

    def handle_info(self, message: Any) -> None:
        if self._seen is not None:
            self._seen.put((self.number, message))

    def double(self) -> int:
        return 2 * self.number


def test_it_has_pykkas_interface_and_follows_the_name() -> None:
    seen: SimpleQueue[Any] = SimpleQueue()
    follower = hume.ref("echo")  # before anybody has the name
    assert not follower.is_alive()
    first = Echo.start(1, seen, name="echo")
    proxy = follower.proxy()
    for number in (1, 2):
        now = whereis("echo")
        assert now is not None
        assert follower.is_alive()
        assert follower.ask("hello") == (number, "hello")
        assert follower.ask("later", block=False).get(timeout=LIMIT) == (number, "later")
        follower.tell("told")
        assert seen.get(timeout=LIMIT) == (number, "told")
        assert (proxy.number.get(), proxy.double().get()) == (number, 2 * number)
        assert (follower.actor_urn, follower.actor_class) == (now.actor_urn, Echo)
        assert (follower.actor_inbox, follower.actor_stopped) == (now.actor_inbox, now.actor_stopped)
        if number == 1:
            kill(first)
            Echo.start(2, seen, name="echo")
    assert follower.stop(timeout=LIMIT) is True
    assert whereis("echo") is None


def test_it_follows_a_supervised_actor_through_its_restarts() -> None:
    Supervisor.start_link([(Echo, {"name": "echo"})], name="sup")
    follower = ref("echo")
    before = follower.actor_urn
    kill("echo")
    which("sup")
    assert follower.ask("again") == (1, "again")
    assert follower.actor_urn != before


def test_it_is_a_server_wherever_one_is_asked_for() -> None:
    Echo.start(7, name="echo")
    follower = ref("echo")
    assert GenServer.call(follower, "x") == GenServer.call(follower.proxy(), "x") == (7, "x")
    stop(follower)
    for use in (GenServer.call, stop):
        with pytest.raises(ActorDead, match="'echo'"):
            use(follower, "gone")


def test_while_nobody_has_the_name_it_says_so_by_that_name() -> None:
    follower = ref(("account", 1))
    future = follower.ask("x", block=False)
    for use in (
        lambda: follower.ask("x"),
        lambda: future.get(timeout=LIMIT),
        lambda: follower.tell("x"),
        lambda: follower.actor_urn,
        lambda: follower.actor_class,
        lambda: follower.actor_inbox,
        lambda: follower.actor_stopped,
    ):
        with pytest.raises(
            pykka.ActorDeadError, match=r"name \('account', 1\) is not alive \(no actor has that name\)"
        ):
            use()
    with pytest.raises(pykka.ActorDeadError, match=r"name \('account', 1\) not found"):
        follower.proxy()
    assert not follower.is_alive()
    assert follower.stop() is False
    assert follower.stop(block=False).get(timeout=LIMIT) is False


def test_a_proxy_made_of_it_says_so_too_when_nobody_has_the_name_any_more() -> None:
    Echo.start(name="echo")
    proxy = ref("echo").proxy()
    stop("echo")
    with pytest.raises(ActorDead, match="name 'echo'"):
        proxy.double().get(timeout=LIMIT)


def test_wait_returns_the_actor_that_takes_the_name_once_it_has_started() -> None:
    with Gate() as gate:
        waiting = in_thread(ref("echo").wait, LIMIT)
        starting = in_thread(Echo.start, gate=gate, name="echo")
        gate.wait()
        with pytest.raises(Timeout, match="still starting"):
            ref("echo").wait(0)
        assert not waiting.done()
    assert waiting.result(LIMIT) is starting.result(LIMIT) is ref("echo").wait(0)


def test_wait_passes_over_an_actor_that_does_not_come_to_the_end_of_its_init() -> None:
    class Fails(GenServer):
        def init(self, gate: Gate) -> None:
            gate.hold()
            raise ValueError

    with Gate() as gate:
        failing = in_thread(Fails.start, gate, name="echo")
        gate.wait()
        waiting = in_thread(ref("echo").wait, LIMIT)
        eventually(lambda: mailbox(whereis("echo")) and not waiting.done())
    assert isinstance(failing.exception(LIMIT), ValueError)
    started = Echo.start(name="echo")
    assert waiting.result(LIMIT) is started


def test_wait_gives_up_in_time_and_keeps_nothing() -> None:
    with pytest.raises(Timeout, match="nobody took the name 'echo' within 0 seconds"):
        ref("echo").wait(0)
    assert _registry._awaited == {}
    with pytest.raises(TypeError, match="number of seconds"):
        ref("echo").wait("long")  # type: ignore[arg-type]  # what is refused


def test_an_actor_that_stops_itself_leaves_the_name() -> None:
    class Once(GenServer):
        def handle_info(self, message: Any) -> None:
            raise Stop

    once = Once.start(name="once")
    follower = ref("once")
    follower.tell("go")
    gone(once)
    assert not follower.is_alive()


@pytest.mark.parametrize("name", [[], {}, set()], ids=repr)
def test_a_name_must_be_hashable(name: Any) -> None:
    with pytest.raises(TypeError, match="a name must be hashable, such as a string, not"):
        ref(name)


def test_what_has_no_name_to_follow_is_refused() -> None:
    echo = Echo.start()
    for server in (echo, echo.proxy(), ref("echo")):
        with pytest.raises(TypeError, match="ref needs a name to follow"):
            ref(server)


def test_it_says_which_name_and_copies_of_it_follow_that_too() -> None:
    follower = ref("echo")
    assert (repr(follower), str(follower)) == ("<ref to the name 'echo'>", "name 'echo'")
    Echo.start(3, name="echo")
    for same in (copy.copy(follower), copy.deepcopy(follower), pickle.loads(pickle.dumps(follower))):
        assert same.ask("x") == (3, "x")
