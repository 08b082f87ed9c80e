"""GenServer: OTP's generic server on a Pykka ThreadingActor."""

from __future__ import annotations

import inspect
import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar, cast

import pykka
from pykka._envelope import Envelope
from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr, _ActorStop

from hume.actors import _calls, _signals, _threads
from hume.actors._child_spec import ChildSpec, ChildType
from hume.actors._clock import SYSTEM_CLOCK, Clock
from hume.actors._mailbox import WAKE, Mailbox, NextTimer, Reply, StopRequest, Timer, current, set_current
from hume.actors._registry import Ref, Server, acting, any_mailbox_of, check_seconds, check_timeout, claim
from hume.actors._signals import KILLED, NOPROC, NORMAL, Crash, Down, Exit, ExitSignal, crash_of, is_orderly
from hume.errors import ActorDead, Timeout
from hume.telemetry._log_fields import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

__all__ = ["NO_REPLY", "GenServer", "Ignore", "Stop"]

G = TypeVar("G", bound="GenServer")

_log = logging.getLogger("hume.actors")
_thread_numbers = itertools.count(1)


class _NoReply:
    def __repr__(self) -> str:
        return "NO_REPLY"


_CALLBACKS: Final = ("init", "handle_continue", "handle_call", "handle_cast", "handle_info", "terminate", "on_receive")


def refuse_lazy(cls: type, names: Iterable[str]) -> None:
    """Refuse callbacks that would only return something to be run, and do nothing by themselves.

    Raises:
        TypeError: one of a class's own is an ``async def``, or has a ``yield``.
    """
    for name in names:
        flags = getattr(getattr(vars(cls).get(name), "__code__", None), "co_flags", 0)
        if flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            msg = f"{cls.__name__}.{name} must be a plain method, not async: an actor is a thread, and may just wait"
            raise TypeError(msg)
        if flags & inspect.CO_GENERATOR:
            msg = f"{cls.__name__}.{name} must be a plain method that returns, not a generator, which has a yield"
            raise TypeError(msg)


NO_REPLY: Final = _NoReply()  # returned by handle_call when the answer comes later, through GenServer.reply


class Ignore(Exception):
    """Raised by `init`: the server does not start, and `start` returns `None`."""


class Stop(Exception):
    """Raised by a callback: the server stops with *reason*, after `terminate`; then a waiting caller gets *reply*.

    Raised by `init` it is an error of the start as any other; monitors and links hear of *reason*.
    """

    caller: Reply | None = None  # whose call made it stop

    def __init__(self, reason: object = NORMAL, reply: object = NO_REPLY) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply


class GenServer(pykka.ThreadingActor):
    """A server: a thread, a mailbox, and the callbacks below, which run in that thread, one at a time.

    All that Pykka offers works on it: ``start``, ``proxy``, ``ask`` (comes to `handle_call`), ``tell`` (comes to
    `handle_info`), ``stop``, the registry, and the hooks ``on_start``, ``on_stop``, ``on_failure``, ``on_receive``.

    An error in a callback ends the server, and a caller who waits gets that error. An error in a method of yours that
    is called through a proxy goes to its caller and leaves the server alive.

    Example::

        class Counter(GenServer):
            def init(self, start=0):
                self.count = start

            def handle_call(self, message, from_):
                self.count += 1
                return self.count

        ref = Counter.start(10)
        assert GenServer.call(ref, "next") == 11

    The rules are those of OTP's ``gen_server``; where Python forces a difference the docstring says so.
    """

    use_daemon_thread = True
    clock: ClassVar[Clock] = SYSTEM_CLOCK
    child_type: ClassVar[ChildType] = "worker"
    trap_exit: bool = False  # whether exit signals arrive as Exit in handle_info instead of ending this server
    actor_inbox: Mailbox  # pyright: ignore[reportIncompatibleVariableOverride] - made by _create_actor_inbox below

    # Final: what else a subclass called so would be found by whoever writes Subclass.call(ref, message)
    call: Final = staticmethod(_calls.call)
    cast: Final = staticmethod(_calls.cast)
    send: Final = staticmethod(_calls.send)
    reply: Final = staticmethod(_calls.reply)

    # -- callbacks

    def init(self, *args: Any, **kwargs: Any) -> None:
        """Set the server up; gets the arguments of `start`. Raise `Ignore` not to start."""

    def handle_continue(self, argument: Any, /) -> None:
        """Do what `continue_with` put off."""

    def handle_call(self, message: Any, from_: Reply, /) -> Any:
        """Answer a call; return `NO_REPLY` to answer later, from any thread, with ``GenServer.reply(from_, value)``."""
        _log.warning("%s got an unexpected call: %r", self, message, extra=self._log_fields())
        from_.fail(TypeError(f"{type(self).__name__} has no handle_call for {message!r}"))
        return NO_REPLY

    def handle_cast(self, message: Any, /) -> None:
        """Handle a message sent with `cast`; by default it is logged."""
        _log.warning("%s got an unexpected cast: %r", self, message, extra=self._log_fields())

    def handle_info(self, message: Any, /) -> None:
        """Handle any other message (a ``tell``, a timer's, `Down`, `Exit`, `Transfer`); by default it is logged."""
        _log.warning("%s got an unexpected message: %r", self, message, extra=self._log_fields())

    def terminate(self, reason: Any, /) -> None:
        """Clean up. Runs at every end but a kill (OTP: at a shutdown only when exits are trapped)."""

    # -- starting: the starter's thread
    # To type checkers a method that takes *args and **kwargs may be overridden with any parameters, so that a subclass
    # may have a start_link(cls, path) of its own; and one that returns a ref of G by one that returns a ref of Self.

    @classmethod
    def start(cls: type[G], *args: Any, **kwargs: Any) -> pykka.ActorRef[G]:  # noqa: PYI019 # pyright: ignore[reportIncompatibleMethodOverride] - Pykka's has Self
        """Start a server and return its ref once `init` has returned; `None` when it raised `Ignore`.

        Args:
            *args: what `init` gets.
            **kwargs: what `init` gets; and besides that ``name``, any hashable by which the server can be addressed, as
                long as it lives; and ``timeout``, seconds that `init` may take (`None`: no limit).

        Raises:
            AlreadyStarted: the name is taken; `init` is not called.
            Timeout: `init` took too long; the server is killed.
            Exception: whatever `init` raised; nothing is left behind.
        """
        name, timeout = kwargs.pop("name", None), kwargs.pop("timeout", None)
        return cls._spawn(args, kwargs, name, timeout, None)

    @classmethod
    def start_link(cls: type[G], *args: Any, **kwargs: Any) -> pykka.ActorRef[G]:  # noqa: PYI019 - as start
        """Start a server as `start` does, linked to the calling actor from before `init` on.

        From a thread that is no actor it is linked to the application, and is stopped with it.
        """
        name, timeout = kwargs.pop("name", None), kwargs.pop("timeout", None)
        return cls._spawn(args, kwargs, name, timeout, acting(current()))

    @classmethod
    def child_spec(cls, *args: Any, **kwargs: Any) -> ChildSpec:
        """Return how a supervisor starts this class with these arguments; the id is the name, or else the class."""

        def start(*extra: Any) -> Any:
            return cls.start_link(*extra, *args, **kwargs)

        name = kwargs.get("name")
        return ChildSpec(id=cls if name is None else name, start=start, type=cls.child_type, actor_class=cls)

    @classmethod
    def _spawn(
        cls,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        name: Hashable,
        timeout: float | None,
        parent: Mailbox | None,
    ) -> pykka.ActorRef[Self]:
        check_timeout(timeout)
        if (me := current()) is not None and not me.alive:
            raise me.dead_error()  # a killed actor's thread starts nothing any more
        actor = cls(*args, **kwargs)
        if "actor_inbox" not in vars(actor):
            msg = f"{cls.__name__}.__init__ must call super().__init__(); or set up in init, which runs in the actor"
            raise TypeError(msg)
        mailbox = actor.actor_inbox
        actor._claim_names(name)
        if parent is not None:
            mailbox.parent = parent
            _signals.link(parent, mailbox)
        pykka.ActorRegistry.register(actor.actor_ref)
        if not mailbox.alive:  # killed by its name, and taken out of the registry before it was in there
            pykka.ActorRegistry.unregister(actor.actor_ref)
            raise mailbox.dead_error()
        try:
            started = actor._run_init(timeout)
        except BaseException as error:
            if not mailbox.die(Crash(error)) and mailbox.thread is not None and mailbox.reason != KILLED:
                mailbox.thread.join()  # init raised: its thread has announced the death and leaves
            # else init may go on, in a thread that nobody will hear of; or the thread could not be started
            raise
        return cast("pykka.ActorRef[Self]", actor.actor_ref if started else None)  # who raises Ignore knows of None

    def _run_init(self, timeout: float | None) -> Any:
        mailbox, me = self.actor_inbox, current()
        if me is not None:
            # before its thread runs, so that an init that calls its starter sees this, and is refused, not stuck
            me.waiting_on = mailbox, mailbox.started
        try:
            self._start_actor_loop()
            return mailbox.started.get(timeout=timeout)
        except pykka.Timeout:
            msg = f"{self} did not finish init within {timeout} seconds; it was killed"
            late = Timeout(msg)
            if not mailbox.started.fail(late):
                return mailbox.started.get()  # init came to its end at the last moment, or raised a Timeout of its own
            if mailbox.parent is not None:
                _signals.unlink(mailbox.parent, mailbox)  # as OTP does: the starter gets the error, and no exit signal
            mailbox.kill()
            raise late from None
        finally:
            if me is not None:
                me.waiting_on = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.__dict__  # noqa: B018 - CPython 3.11 must make it while no proxy, in another thread, can ask for it too
        self.actor_inbox.ref = Ref(self)
        self.actor_inbox.clock = self.clock
        self.actor_inbox.began = self.clock.monotonic()
        self._init_arguments = args, kwargs
        self.actor_inbox.pending[self.actor_inbox.started] = None  # a kill in init answers whoever waits in start
        self._continues: deque[Any] = deque()
        self._monitoring: dict[int, Mailbox | None] = {}
        self._last_message: object = None

    @property
    def actor_ref(self) -> pykka.ActorRef[Self]:  # pyright: ignore[reportIncompatibleMethodOverride] - as Pykka's
        """This server's ref."""
        return self.actor_inbox.ref

    def __str__(self) -> str:
        return str(self.actor_ref)

    def _log_fields(self, **facts: object) -> dict[str, object]:
        """Return the fields of a log record about this server."""
        return fields(server=self, **facts)

    def _claim_names(self, name: Hashable) -> None:
        if name is not None:
            self.actor_inbox.name = name
            claim(name, self.actor_inbox)

    # -- for callbacks: the server's own thread

    def continue_with(self, argument: Any) -> None:
        """Have `handle_continue` called with *argument* right after this callback, before any other message."""
        self._continues.append(argument)

    def send_after(self, delay: float, message: Any) -> Timer:
        """Get *message* in `handle_info` after *delay* seconds; ``cancel()`` of the result returns the seconds left."""
        check_seconds(delay, "delay")
        return self.actor_inbox.set_timer(delay, message)

    def monitor(self, server: Server) -> int:
        """Get one `Down` when the server dies (at once when it is dead or unknown); return the monitor's number."""
        mine = self.actor_inbox
        try:
            target = any_mailbox_of(server)
        except ActorDead:
            number = next(_signals.monitor_ids)
            self._monitoring[number] = None
            mine.put(Envelope(Down(number, None, NOPROC)))
        else:
            number = target.monitor(lambda down: mine.put(Envelope(down)))
            self._monitoring[number] = target
        return number

    def demonitor(self, monitor: int) -> None:
        """Undo a monitor: no `Down` of it comes any more, not even one that is in the mailbox."""
        target = self._monitoring.pop(monitor, None)
        if target is not None:
            target.demonitor(monitor)

    def link(self, server: Server) -> None:
        """Link this actor and another: when one dies the other gets an exit signal."""
        _signals.link(self.actor_inbox, any_mailbox_of(server))

    def unlink(self, server: Server) -> None:
        """Undo a link."""
        _signals.unlink(self.actor_inbox, any_mailbox_of(server))

    # -- Pykka's hooks for new actor types

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> Reply:
        return Reply()

    def _start_actor_loop(self) -> None:
        name = f"{type(self).__name__}-{next(_thread_numbers)}"
        _threads.start(self.actor_inbox, self._actor_loop, name, daemon=self.use_daemon_thread)

    # -- the server's life, in its own thread

    def _actor_loop(self) -> None:
        """Live, and whatever the end is, announce it: the one place that every death but a kill comes by."""
        mailbox = self.actor_inbox
        set_current(mailbox)
        end = Stop(KILLED)
        try:
            if self._initialise(mailbox):
                end = self._live(mailbox)
        except BaseException as error:  # noqa: BLE001 - a death by SystemExit is a death as any other
            end = Stop(crash_of(error))
        finally:
            caller = end.caller if end.reply is not NO_REPLY else None
            if caller is not None:
                mailbox.pending.pop(caller, None)  # who is answered last, when this server is dead
            mailbox.die(end.reason)
            if caller is not None:
                caller.set(end.reply)

    def _initialise(self, mailbox: Mailbox) -> bool:
        args, kwargs = self._init_arguments
        try:
            self.on_start()
            self.init(*args, **kwargs)
        except Ignore:
            mailbox.pending.pop(mailbox.started, None)  # who is answered when the death is announced
            mailbox.die(NORMAL)
            mailbox.started.set(False)
            return False
        except BaseException as error:  # noqa: BLE001 - whatever it is, whoever waits in start() must get it
            mailbox.pending.pop(mailbox.started, None)  # as above
            reason: object = crash_of(error)
            mailbox.die(error.reason if isinstance(error, Stop) else reason)
            mailbox.started.fail(error)
            return False
        del self._init_arguments, args, kwargs
        mailbox.pending.pop(mailbox.started, None)
        mailbox.started.set(True)
        return True

    def _live(self, mailbox: Mailbox) -> Stop:
        """Serve to the end, clean up, and return how it ended."""
        try:
            self._serve(mailbox)
        except Stop as stop:
            end = stop.with_traceback(None)
        except BaseException as error:  # noqa: BLE001 - as above: a death as any other
            if mailbox.reason is not None:  # not: alive, as its tables have gone to the heir a moment earlier
                return Stop(KILLED)  # what a killed actor's thread still runs into is nobody's business
            end = Stop(crash_of(error))
            about = self._log_fields(reason=end.reason)
            _log.error("%s crashed; last message: %r", self, self._last_message, exc_info=error, extra=about)
        else:
            return Stop(KILLED)
        if mailbox.reason is None:
            self._finish(end)
        return end

    def _finish(self, end: Stop) -> None:
        if not (is_orderly(end.reason) or isinstance(end.reason, Crash)):
            about = self._log_fields(reason=end.reason)
            _log.error("%s stops: %s; last message: %r", self, end.reason, self._last_message, extra=about)
        try:
            self.terminate(end.reason)
            if isinstance(end.reason, Crash):
                error = end.reason.exception
                self.on_failure(type(error), error, None)
            else:
                self.on_stop()
        except BaseException as error:  # noqa: BLE001 - an exit reason as any other; a reply that waits still goes out
            end.reason = crash_of(error)
            _log.exception("%s failed in terminate", self, extra=self._log_fields(reason=end.reason))

    def _serve(self, mailbox: Mailbox) -> None:  # noqa: C901 - the one loop: a call more a message would cost each
        """Handle messages until a `Stop` or another exception ends it, or, by returning, a kill."""
        handlers = self._handlers
        get, signals, continues = _threads.receiver(mailbox, mailbox.get), mailbox.signals, self._continues
        message: Any = None
        try:
            while True:
                while continues and mailbox.alive:
                    self.handle_continue(continues.popleft())
                envelope = get()
                if signals and not self.trap_exit:
                    self._obey_signals(signals)
                if not mailbox.alive:
                    return
                message = envelope.message
                reply: Any = envelope.reply_to  # a Reply, as _create_future makes them
                handler = handlers.get(type(message))
                if reply is not None and reply.done():
                    pass  # its caller has given up
                elif handler is not None:
                    handler(self, message, reply)
                elif reply is not None:
                    self._answer(message, reply)
                elif envelope is not WAKE:
                    self._on_tell(message)
                del envelope, message, reply  # an idle server keeps nothing alive
                message = None
        except BaseException:
            self._last_message = message
            raise

    def _answer(self, message: Any, reply: Reply) -> None:
        try:
            answer = self._on_ask(message, reply)
        except Stop as stop:
            stop.caller = reply
            raise
        if answer is not NO_REPLY:
            reply.set(answer)

    def _on_ask(self, message: Any, reply: Reply, /) -> Any:
        return self.handle_call(message, reply)

    def _on_tell(self, message: Any) -> None:
        self.handle_info(message)

    def on_receive(self, message: Any) -> Any:
        """Pykka's callback: override it and it gets what `handle_call` and `handle_info` would."""
        raise NotImplementedError  # never called: __init_subclass__ routes messages here only when it is overridden

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        refuse_lazy(cls, _CALLBACKS)
        if cls.on_receive is not GenServer.on_receive:
            cls._on_ask = lambda self, message, _reply, /: self.on_receive(message)  # type: ignore[method-assign]
            cls._on_tell = lambda self, message: self.on_receive(message)  # type: ignore[method-assign]

    @staticmethod
    def _obey_signals(signals: deque[ExitSignal]) -> None:
        while signals:
            reason = signals.popleft().reason
            if reason != NORMAL:
                raise Stop(reason)

    def _on_exit_signal(self, signal: ExitSignal, _reply: Reply | None) -> None:
        try:
            self.actor_inbox.signals.remove(signal)
        except ValueError:
            return  # obeyed, or passed over, before this server began to trap exits
        if signal.source is self.actor_inbox.parent:
            raise Stop(signal.reason)  # in its turn, after what was sent before
        self.handle_info(Exit(None if signal.source is None else signal.source.ref, signal.reason))

    def _on_down(self, down: Down, _reply: Reply | None) -> None:
        if down.monitor in self._monitoring:
            del self._monitoring[down.monitor]
            self.handle_info(down)

    def _on_stop_request(self, request: StopRequest, _reply: Reply | None) -> None:
        raise Stop(request.reason)

    def _on_next_timer(self, _message: NextTimer, reply: Reply) -> None:
        reply.set(self.actor_inbox.next_due())

    def _on_actor_stop(self, _message: object, _reply: Reply | None) -> None:
        raise Stop(NORMAL)  # whoever waits in ref.stop() is answered by the death itself

    def _on_cast(self, cast: _calls.Cast, _reply: Reply | None) -> None:
        self.handle_cast(cast.message)

    def _on_proxy(self, message: Any, reply: Reply | None) -> None:
        if reply is None:
            self._handle_receive(message)  # .defer(): nobody to tell of an error, so it ends the server, as in Pykka
            return
        try:
            answer = self._outgoing(self._handle_receive(message))
        except Stop as stop:
            stop.caller = reply
            raise
        except Exception as error:  # noqa: BLE001 - a user's method: its error is its caller's
            reply.fail(error)
        else:
            reply.set(answer)

    def _outgoing(self, answer: Any) -> Any:
        """Return what a method's caller gets for an answer."""
        return answer

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any, Any], None]]] = {
        ExitSignal: _on_exit_signal,
        Down: _on_down,
        StopRequest: _on_stop_request,
        NextTimer: _on_next_timer,
        _ActorStop: _on_actor_stop,
        _calls.Cast: _on_cast,
        ProxyCall: _on_proxy,
        ProxyGetAttr: _on_proxy,
        ProxySetAttr: _on_proxy,
    }
