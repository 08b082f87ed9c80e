"""All that Pykka offers keeps working on a GenServer; and a contract for the private names that we build on."""

from __future__ import annotations

import inspect
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, get_type_hints

import pykka
import pytest
from pykka import _envelope, messages
from pykka._actor import Actor

from hume.actors import Crash, GenServer, Reply, Stop, kill, stop, whereis
from hume.actors._mailbox import Mailbox
from hume.errors import ActorDead
from tests.helpers import LIMIT, Gate, Probe, do, drained, exit_reason, gone, in_thread, mailbox, next_of, thread_of

if TYPE_CHECKING:
    from collections.abc import Callable


class Account(GenServer):
    """What a user of Pykka would write, with `init` in place of ``__init__``."""

    currency = "EUR"

    def init(self, balance: int = 0) -> None:
        self.balance = balance
        self.notes: list[str] = []
        self.part = pykka.traversable(Part())

    def deposit(self, amount: int, *, note: str = "") -> int:
        if amount <= 0:
            msg = "amount must be positive"
            raise ValueError(msg)
        self.balance += amount
        self.notes.append(note)
        return self.balance

    @property
    def doubled(self) -> int:
        return 2 * self.balance

    def thread(self) -> threading.Thread:
        return threading.current_thread()

    def leave(self) -> None:
        raise SystemExit(1)

    def nested(self, other: Any) -> Any:
        return other.deposit(5).get(timeout=LIMIT)


class Part:
    value = 1

    def double(self) -> int:
        return 2 * self.value


class Classic(GenServer):
    """An actor in Pykka's own style: ``__init__``, the hooks, and ``on_receive`` for every message."""

    def __init__(self, seen: SimpleQueue[Any]) -> None:
        super().__init__()
        self.seen = seen

    def on_start(self) -> None:
        self.seen.put(("on_start", threading.current_thread() is self.actor_inbox.thread))

    def on_stop(self) -> None:
        self.seen.put("on_stop")

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.seen.put(("on_failure", exception_type, str(exception_value), traceback))

    def on_receive(self, message: Any) -> Any:
        self.seen.put(message)
        if message == "fail":
            msg = "boom"
            raise ValueError(msg)
        return f"got {message}"


# -- refs


def test_start_returns_an_actor_ref_that_is_registered() -> None:
    """Pykka: start gives a ref; the registry finds it by class, class name and URN until it has stopped."""
    ref = Account.start(5)
    assert isinstance(ref, pykka.ActorRef)
    assert ref.actor_class is Account
    assert str(ref) == f"Account ({ref.actor_urn})"
    assert pykka.ActorRegistry.get_all() == [ref]
    assert pykka.ActorRegistry.get_by_class(Account) == [ref]
    assert pykka.ActorRegistry.get_by_class(GenServer) == [ref]
    assert pykka.ActorRegistry.get_by_class_name("Account") == [ref]
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is ref
    assert ref.is_alive()
    assert ref.stop()
    assert not ref.is_alive()
    assert pykka.ActorRegistry.get_by_urn(ref.actor_urn) is None


def test_an_actors_own_ref_is_the_one_that_start_returned() -> None:
    """Pykka: actor_ref, actor_urn and actor_inbox agree in the actor and its ref."""
    ref = Probe.start()
    assert do(ref, lambda probe: probe.actor_ref) is ref
    assert do(ref, lambda probe: (probe.actor_urn, probe.actor_inbox, probe.actor_stopped)) == (
        ref.actor_urn,
        ref.actor_inbox,
        ref.actor_stopped,
    )


def test_ask_comes_to_handle_call_and_tell_to_handle_info() -> None:
    """Pykka: ask, with and without block, with a timeout; tell."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)
    assert ref.ask(lambda _: 1) == 1
    assert ref.ask(lambda _: 2, timeout=LIMIT) == 2
    future = ref.ask(lambda _: 3, block=False)
    assert isinstance(future, pykka.Future)
    assert future.get(timeout=LIMIT) == 3
    ref.tell("told")
    assert next_of(seen) == "told"


def test_an_ask_may_time_out_and_the_late_answer_is_dropped() -> None:
    """Pykka: pykka.Timeout for the asker; the actor lives."""
    with Gate() as gate:
        ref = Probe.start()
        with pytest.raises(pykka.Timeout):
            ref.ask(lambda _: gate.hold(), timeout=0.01)
        gate.open()
        assert ref.ask(lambda _: "alive") == "alive"


def test_a_dead_actor_refuses_ask_tell_and_proxy_in_pykkas_way() -> None:
    """Pykka: ActorDeadError at once from ask and tell and proxy; from the future when it was not to block."""
    ref = Probe.start()
    ref.stop()
    refused: list[Callable[[], Any]] = [lambda: ref.ask(1), lambda: ref.tell(1), ref.proxy]
    for act in refused:
        with pytest.raises(pykka.ActorDeadError):
            act()
    with pytest.raises(pykka.ActorDeadError):
        ref.ask(1, block=False).get(timeout=LIMIT)


def test_hume_errors_are_caught_by_pykkas_names() -> None:
    """Pykka: code that catches pykka.ActorDeadError and pykka.Timeout catches ours."""
    kill(ref := Probe.start())
    with pytest.raises(pykka.ActorDeadError):
        GenServer.call(ref, 1)
    with Gate() as gate:
        busy = Probe.start()
        GenServer.cast(busy, lambda _: gate.hold())
        with pytest.raises(pykka.Timeout):
            GenServer.call(busy, 1, timeout=0)


# -- stop


def test_ref_stop_lets_queued_messages_run_first_and_says_whether_it_was_alive() -> None:
    """Pykka, S14: True, with block a boolean; False for the dead; later asks fail."""
    seen: SimpleQueue[Any] = SimpleQueue()
    with Gate() as gate:
        ref = Probe.start(seen)
        GenServer.cast(ref, lambda _: gate.hold())
        gate.wait()
        ref.tell("queued")
        stopping = ref.stop(block=False)
        late = ref.ask(lambda _: None, block=False)
        gate.open()
        assert stopping.get(timeout=LIMIT) is True
    assert ref.stop() is False
    assert ref.stop(block=False).get(timeout=LIMIT) is False
    assert drained(seen) == ["queued", ("terminate", "normal")]
    with pytest.raises(pykka.ActorDeadError):
        late.get(timeout=LIMIT)


def test_an_actor_may_stop_itself() -> None:
    """Pykka: self.stop() takes its turn behind what is queued, and does not block."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Probe.start(seen)

    def stop_after_this(probe: Probe) -> str:
        GenServer.cast(probe.actor_ref, "queued before")
        probe.stop()
        return "goes on"

    assert do(ref, stop_after_this) == "goes on"
    assert exit_reason(ref) == "normal"
    assert drained(seen) == [("cast", "queued before"), ("terminate", "normal")]


def test_stop_through_a_proxy_stops_it() -> None:
    """Pykka: proxy.stop() is the actor's own stop."""
    ref = Account.start()
    ref.proxy().stop().get(timeout=LIMIT)
    assert exit_reason(ref) == "normal"


def test_several_stops_of_one_actor_are_all_answered() -> None:
    """Pykka: none of them hangs."""
    with Gate() as gate:
        ref = Probe.start()
        GenServer.cast(ref, lambda _: gate.hold())
        stops = [ref.stop(block=False) for _ in range(3)]
        gate.open()
        assert [future.get(timeout=LIMIT) for future in stops] == [True, True, True]


def test_the_registry_stops_all_in_reverse_and_broadcasts() -> None:
    """Pykka: ActorRegistry.broadcast and stop_all."""
    seen: SimpleQueue[Any] = SimpleQueue()

    class Named(Probe):
        def terminate(self, _reason: Any) -> None:
            seen.put(self.actor_ref)

    refs = [Named.start(seen) for _ in range(3)]
    pykka.ActorRegistry.broadcast("to all", target_class=Named)
    assert [next_of(seen) for _ in refs] == ["to all"] * 3
    assert pykka.ActorRegistry.stop_all(timeout=LIMIT) == [True] * 3
    assert drained(seen) == refs[::-1]
    assert pykka.ActorRegistry.get_all() == []


# -- proxies


def test_a_proxy_gets_sets_calls_and_defers() -> None:
    """Pykka: attributes, class attributes, properties, methods, traversable parts; all in the actor's thread."""
    ref = Account.start(10)
    proxy = ref.proxy()
    assert isinstance(proxy, pykka.ActorProxy)
    assert proxy.balance.get() == 10
    proxy.balance = 20
    assert proxy.balance.get() == 20
    assert proxy.currency.get() == "EUR"
    assert proxy.doubled.get() == 40
    assert proxy.deposit(2, note="two").get() == 22
    assert proxy.deposit.defer(3, note="three") is None
    assert proxy.notes.get() == ["two", "three"]
    assert proxy.part.double().get() == 2
    proxy.part.value = 5
    assert proxy.part.value.get() == 5
    assert proxy.thread().get() is mailbox(ref).thread


def test_what_a_proxy_returns_are_pykkas_futures() -> None:
    """Pykka: map, filter, join, reduce, get_all."""
    one, two = Account.start(1).proxy(), Account.start(2).proxy()
    assert isinstance(one.balance, pykka.Future)
    assert one.balance.map(lambda value: value * 10).get() == 10
    assert one.balance.join(two.balance).get() == [1, 2]
    assert one.balance.join(two.balance).reduce(lambda a, b: a + b).get() == 3
    assert one.balance.join(two.balance).filter(lambda value: value > 1).get() == [2]
    assert pykka.get_all([one.balance, two.balance], timeout=LIMIT) == [1, 2]


def test_an_error_in_a_users_method_goes_to_its_caller_and_leaves_the_actor_alive() -> None:
    """Design, Errors: called through a proxy, and the state is as the method left it."""
    ref = Account.start(1)
    proxy = ref.proxy()
    with pytest.raises(ValueError, match="amount must be positive"):
        proxy.deposit(-1).get(timeout=LIMIT)
    with pytest.raises(AttributeError):
        proxy.unheard_of.get(timeout=LIMIT)
    with pytest.raises(TypeError):
        proxy.deposit().get(timeout=LIMIT)
    assert proxy.balance.get() == 1
    assert ref.is_alive()


def test_an_error_in_a_deferred_method_ends_the_actor() -> None:
    """Design, Errors: there is nobody to tell, so it is the actor's own, as in Pykka."""
    ref = Account.start()
    ref.proxy().deposit.defer(-1)
    assert str(exit_reason(ref)) == "crashed with ValueError('amount must be positive')"


def test_a_method_that_exits_ends_its_own_actor_only() -> None:
    """Pykka trap 4: sys.exit() in a method does not stop every actor of the program, nor leave its caller hanging."""
    ref, other = Account.start(), Account.start()
    future = ref.proxy().leave()
    assert isinstance(in_thread(future.get, timeout=LIMIT).exception(LIMIT), SystemExit)
    assert isinstance(exit_reason(ref).exception, SystemExit)
    assert other.proxy().balance.get() == 0


def test_an_actor_may_use_another_actors_proxy() -> None:
    """Pykka: proxies are passed around, also as arguments."""
    one, two = Account.start(1).proxy(), Account.start(2).proxy()
    assert one.nested(two).get(timeout=LIMIT) == 7
    assert two.balance.get() == 7


def test_a_proxied_call_to_a_dead_actor_fails_and_one_that_waits_fails_too() -> None:
    """S9: through a proxy as well."""
    with Gate() as gate:
        ref = Account.start()
        proxy = ref.proxy()
        probe = Probe.start()
        GenServer.cast(probe, lambda _: gate.hold())
        waiting = probe.proxy().seen
        gate.wait()
        kill(probe)
        with pytest.raises(ActorDead, match="killed"):
            waiting.get(timeout=LIMIT)
    stop(ref)
    with pytest.raises(pykka.ActorDeadError):
        proxy.balance.get(timeout=LIMIT)


# -- hooks


def test_an_actor_in_pykkas_own_style_works() -> None:
    """Pykka: __init__ with super().__init__(), on_start, on_receive for ask and tell, on_stop."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Classic.start(seen)
    assert next_of(seen) == ("on_start", True)
    assert ref.ask("question") == "got question"
    assert GenServer.call(ref, "call") == "got call"
    ref.tell("news")
    assert ref.stop()
    assert drained(seen) == ["question", "call", "news", "on_stop"]


def test_on_failure_runs_after_an_error_and_on_stop_does_not() -> None:
    """Pykka: on_failure(type, value, traceback) in place of on_stop."""
    seen: SimpleQueue[Any] = SimpleQueue()
    ref = Classic.start(seen)
    ref.tell("fail")
    gone(ref)
    assert drained(seen) == [("on_start", True), "fail", ("on_failure", ValueError, "boom", None)]


def test_on_start_runs_before_init_and_an_error_in_it_is_start_s() -> None:
    """Pykka, S2: unlike in Pykka, start raises it and nothing is left behind."""

    class Failing(GenServer):
        def on_start(self) -> None:
            msg = "on_start"
            raise ValueError(msg)

        def init(self) -> None:
            pytest.fail("init was called")

    with pytest.raises(ValueError, match="on_start"):
        Failing.start(name="failing")
    assert whereis("failing") is None
    assert pykka.ActorRegistry.get_all() == []


def test_an_error_in_on_stop_is_the_exit_reason() -> None:
    """S15: as one in terminate."""

    class Failing(GenServer):
        def on_stop(self) -> None:
            msg = "on_stop"
            raise ValueError(msg)

    ref = Failing.start()
    assert ref.stop()
    assert str(exit_reason(ref)) == "crashed with ValueError('on_stop')"


def test_on_receive_may_come_from_a_mixin() -> None:
    """Pykka: it is an ordinary method, wherever in the bases it is defined; a subclass's wins."""

    class Mixin:
        def on_receive(self, message: Any) -> Any:
            return f"mixed in {message}"

    class Mixed(Mixin, GenServer):
        pass

    class Further(Mixed):
        def on_receive(self, message: Any) -> Any:
            return f"further {super().on_receive(message)}"

    assert Mixed.start().ask(1) == "mixed in 1"
    assert Further.start().ask(1) == "further mixed in 1"


def test_stop_raised_in_on_receive_stops_it() -> None:
    """S15: Stop works in Pykka's callback too."""

    class Server(GenServer):
        def on_receive(self, message: Any) -> Any:
            raise Stop("shutdown", reply=message)

    ref = Server.start()
    assert ref.ask("bye") == "bye"
    assert exit_reason(ref) == "shutdown"


def test_threads_are_daemons_unless_a_class_says_otherwise() -> None:
    """Design, Threads: daemons, so that a script ends when its main thread ends; Pykka's switch is obeyed."""

    class Stubborn(GenServer):
        use_daemon_thread = False

    assert thread_of(Account.start()).daemon
    assert not thread_of(Stubborn.start()).daemon


def test_plain_pykka_actors_live_beside_ours() -> None:
    """Pykka is not patched: a plain actor has its own inbox and future, and talks to a GenServer both ways."""

    class Plain(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return message.ask(lambda _: "asked by a plain actor")

    plain, probe = Plain.start(), Probe.start()
    assert not isinstance(plain.actor_inbox, Mailbox)
    assert isinstance(Plain._create_future(), pykka.ThreadingFuture)
    assert plain.ask(probe) == "asked by a plain actor"
    assert do(probe, lambda _: plain.ask(Probe.start())) == "asked by a plain actor"


# -- the contract: what we build on that Pykka does not promise


def test_the_private_names_of_pykka_that_we_build_on_are_as_we_know_them() -> None:
    """Pykka notes, 0: the hooks for new actor types, the envelope, the stop message, the dispatch of proxy messages."""
    for hook in ("_create_actor_inbox", "_create_future"):
        assert isinstance(inspect.getattr_static(Actor, hook), staticmethod), hook
        assert not inspect.signature(getattr(Actor, hook)).parameters, hook
    for method in ("_start_actor_loop", "_actor_loop"):
        assert list(inspect.signature(getattr(Actor, method)).parameters) == ["self"], method
    assert list(inspect.signature(Actor._handle_receive).parameters) == ["self", "message"]
    assert list(inspect.signature(_envelope.Envelope.__init__).parameters) == ["self", "message", "reply_to"]
    assert _envelope.Envelope.__slots__ == ["message", "reply_to"]
    assert messages._ActorStop() == ()
    assert messages.ProxyCall._fields == ("attr_path", "args", "kwargs")
    assert messages.ProxyGetAttr._fields == ("attr_path",)
    assert messages.ProxySetAttr._fields == ("attr_path", "value")
    assert "_get_hook" in get_type_hints(pykka.Future)
    assert isinstance(pykka.ActorRegistry._actor_refs, list)
    assert hasattr(pykka.ActorRegistry._actor_refs_lock, "acquire")


def test_an_actor_and_its_ref_share_the_inbox_that_the_hook_makes() -> None:
    """Pykka notes, 0: the inbox is the one object that we make and both have; it and the event are what a ref holds."""
    made: list[Any] = []

    class Plain(pykka.ThreadingActor):
        @staticmethod
        def _create_actor_inbox() -> Any:
            made.append(pykka.ThreadingActor._create_actor_inbox())
            return made[-1]

    actor = Plain()
    assert made == [actor.actor_inbox]
    assert actor.actor_ref.actor_inbox is actor.actor_inbox
    assert actor.actor_ref.actor_stopped is actor.actor_stopped


def test_a_ref_asks_by_its_classs_future_and_puts_an_envelope_in_the_inbox() -> None:
    """Pykka notes, 0: ask and stop go by _create_future and inbox.put, and build what they return from its class."""

    class Hooked(GenServer):
        @staticmethod
        def _create_future() -> Reply:
            made.append(Reply())
            return made[-1]

        def handle_call(self, message: Any, from_: Reply) -> Any:
            return from_ is made[-1], message

    made: list[Reply] = []
    ref = Hooked.start()
    assert ref.ask("hello") == (True, "hello")
    assert type(ref.stop(block=False)) is Reply
    assert exit_reason(ref) == "normal"


def test_a_crash_that_pykka_would_swallow_is_seen() -> None:
    """Never again 14: the same program on plain Pykka leaves the actor alive: this is what GenServer changes."""

    class Plain(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            raise message

    class Ours(GenServer):
        def on_receive(self, message: Any) -> Any:
            raise message

    plain, ours, error = Plain.start(), Ours.start(), ValueError("boom")
    for ref in (plain, ours):
        with pytest.raises(ValueError, match="boom"):
            ref.ask(error)
    assert plain.is_alive()
    assert exit_reason(ours) == Crash(error)
