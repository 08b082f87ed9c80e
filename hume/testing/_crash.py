"""Ending actors on purpose: as an error of theirs would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

import pykka
from pykka._envelope import Envelope
from pykka.messages import ProxyCall

from hume.actors._calls import wait_gone
from hume.actors._gen_server import GenServer
from hume.actors._mailbox import Mailbox, current
from hume.actors._registry import Server, any_mailbox_of, check_timeout
from hume.actors._signals import Crash
from hume.errors import CallingSelf, Timeout

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["crash"]


class _Bomb(Envelope[None]):
    """An envelope that raises in the actor that opens it. So it needs no cooperation of a callback."""

    __slots__ = ("_error", "_receiver")

    def __init__(self, receiver: Mailbox, error: BaseException) -> None:
        self.reply_to = None
        self._receiver, self._error = receiver, error

    @property
    def message(self) -> None:  # type: ignore[override]  # what Pykka stores, this computes
        """Raise the error in the receiver's thread; the sender's, which looks what kind it is, gets `None`."""
        if current() is self._receiver:
            raise self._error


def crash(server: Server, error: BaseException | None = None, *, timeout: float | None = 5.0) -> bool:
    """Make an actor crash at its next message, as if handling that had raised *error*; return when it is dead.

    Whatever the actor is: a server, a projection, a store, a supervisor (which stops its children), a plain Pykka
    actor (by its ref). What was sent before is handled first. All that follows a crash follows: ``terminate``, the
    hand-over of its tables, `Down` and `Exit` with the reason ``Crash(error)``, its supervisor's restart; its callers
    get the error.

    Args:
        server: a ref, a proxy or a name.
        error: default: a `RuntimeError` that says where it comes from.
        timeout: seconds to wait for its death; `None`: no limit.

    Returns:
        Whether this was what ended it; `False` when it was dead before, or had another end meanwhile.

    Raises:
        ActorDead: nobody has that name.
        Timeout: it is busy, and will crash when it comes to its next message.
        CallingSelf: an actor can't wait for its own end; it can raise.
    """
    check_timeout(timeout)
    error = RuntimeError("made to crash by hume.testing.crash") if error is None else error
    if not isinstance(error, BaseException):
        msg = f"error must be an exception, such as ValueError('bad'), not {error!r}"
        raise TypeError(msg)
    ref = server.actor_ref if isinstance(server, pykka.ActorProxy) else server
    if isinstance(ref, pykka.ActorRef) and not isinstance(ref.actor_inbox, Mailbox):
        return _crash_plain(ref, error, timeout)
    mailbox = any_mailbox_of(server)
    if mailbox is current():
        msg = f"{mailbox} would wait for its own end; in its own callbacks raise the error"
        raise CallingSelf(msg)
    is_server = issubclass(mailbox.ref.actor_class, GenServer)
    mailbox.put(_Bomb(mailbox, error) if is_server else _failing_call(error))
    if not wait_gone(mailbox, timeout):
        raise _late(mailbox, timeout)
    return isinstance(mailbox.reason, Crash) and mailbox.reason.exception is error


def _crash_plain(ref: pykka.ActorRef[Any], error: BaseException, timeout: float | None) -> bool:
    if not ref.is_alive():
        return False
    ref.actor_inbox.put(_failing_call(error))
    if not ref.actor_stopped.wait(timeout):
        raise _late(ref, timeout)
    return True


def _failing_call(error: BaseException) -> Envelope[ProxyCall]:
    """Return a message whose handling raises in Pykka's own loop: while it looks for the method that is to be called.

    (Not an envelope as above: a plain actor that has a supervisor has its mailbox look into envelopes, too.)
    """

    def path() -> Iterator[NoReturn]:
        raise error
        yield  # makes this a generator: it raises when the actor looks

    return Envelope(ProxyCall(cast("Any", path()), (), {}))


def _late(server: object, timeout: float | None) -> Timeout:
    return Timeout(f"{server} was busy for {timeout} seconds; it will crash when it comes to its next message")
