"""Plain Pykka actors under a supervisor: a mailbox put under a class that knows nothing of Hume."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from hume.actors import _signals, _threads
from hume.actors._mailbox import WAKE, Mailbox, Reply, current, set_current
from hume.actors._registry import acting
from hume.actors._signals import KILLED, NORMAL, ExitSignal, crash_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["supervised_start"]


class _PlainMailbox(Mailbox):
    """Tells Pykka's own loop of exit signals and kills in the one word that it knows: stop."""

    __slots__ = ("failure",)

    def __init__(self) -> None:
        super().__init__()
        self.failure: BaseException | None = None

    def get(self) -> Envelope[Any]:
        while True:
            envelope = _threads.receiver(self, super().get)()
            message = envelope.message
            is_signal = isinstance(message, ExitSignal)
            if not self.alive:
                return Envelope(_ActorStop())  # and whoever waits for an answer is refused by the death
            if self.ref.actor_stopped.is_set():  # Pykka empties the inbox, and must not wait here for what never comes
                return Envelope(_ActorStop()) if is_signal else envelope
            if is_signal and message.reason != NORMAL:
                self.face = message.reason
                return Envelope(_ActorStop())
            if envelope is not WAKE and not is_signal:
                return envelope


class _Watched(pykka.ThreadingActor):
    """Goes before a plain actor's class and announces its death."""

    actor_inbox: _PlainMailbox  # pyright: ignore[reportIncompatibleVariableOverride] # set once, by the method below
    use_daemon_thread: ClassVar[bool] = True

    @staticmethod
    def _create_actor_inbox() -> _PlainMailbox:
        return _PlainMailbox()

    @staticmethod
    def _create_future() -> Reply:
        return Reply()

    def _start_actor_loop(self) -> None:
        _threads.start(self.actor_inbox, self._actor_loop, type(self).__name__, daemon=self.use_daemon_thread)

    def _handle_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        self.actor_inbox.failure = exception_value
        super()._handle_failure(exception_type, exception_value, traceback)

    def _handle_receive(self, message: Any) -> Any:
        if isinstance(message, _ActorStop) and not self.actor_inbox.alive:
            return None  # killed: on_stop is not for this
        try:
            return super()._handle_receive(message)
        except Exception:
            raise
        except BaseException as error:  # Pykka would stop every actor of the program
            raise RuntimeError(repr(error)) from error

    def _stop(self) -> None:
        try:
            super()._stop()
        except BaseException as error:  # noqa: BLE001 - on_stop raised SystemExit or the like: an error as any other
            self._handle_failure(type(error), error, error.__traceback__)

    def _actor_loop(self) -> None:
        mailbox = self.actor_inbox
        set_current(mailbox)
        try:
            super()._actor_loop()
        except BaseException as error:  # noqa: BLE001 - a hook raised SystemExit or the like: a death as any other
            mailbox.failure = error
        finally:
            orderly = NORMAL if mailbox.face is None else mailbox.face
            mailbox.die(orderly if mailbox.failure is None else crash_of(mailbox.failure))


@functools.cache
def _watched(cls: type[pykka.ThreadingActor]) -> type[Any]:
    return type(cls.__name__, (_Watched, cls), {"__module__": cls.__module__, "__qualname__": cls.__qualname__})


def supervised_start(cls: type[pykka.ThreadingActor], options: Mapping[str, Any]) -> Callable[..., pykka.ActorRef[Any]]:
    """Return what starts a plain Pykka actor class as a child.

    Such an actor can be restarted, stopped, killed, linked to and monitored. It can't have what takes a `GenServer`'s
    callbacks or loop: a start that waits for ``on_start``, a name, ``terminate`` with the reason, an exit signal that
    overtakes what is queued, a failing ``ask`` that ends it (in Pykka that error is the caller's alone).
    """

    def start(*extra: Any) -> pykka.ActorRef[Any]:
        parent = acting(current())
        actor = _watched(cls)(*extra, **options)
        mailbox: _PlainMailbox = actor.actor_inbox
        mailbox.ref, mailbox.parent, mailbox.began = actor.actor_ref, parent, mailbox.clock.monotonic()
        mailbox.started.set(True)  # Pykka has no start to wait for
        _signals.link(parent, mailbox)
        pykka.ActorRegistry.register(mailbox.ref)
        try:
            actor._start_actor_loop()  # Pykka's hook for implementors, as Actor.start calls it
        except BaseException:
            mailbox.die(KILLED)
            raise
        return mailbox.ref

    return start
