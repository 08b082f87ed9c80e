"""Talking to servers, from any thread: call, cast, send, stop, kill."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pykka
from pykka._envelope import Envelope

from hume.actors import _threads
from hume.actors._mailbox import Mailbox, Reply, StopRequest, current
from hume.actors._registry import Server, any_mailbox_of, check_timeout, mailbox_of
from hume.actors._signals import KILLED, NORMAL
from hume.errors import ActorDead, CallingSelf, Timeout
from hume.telemetry._log_fields import fields

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Cast", "call", "call_mailbox", "cast", "kill", "reply", "send", "stop", "wait_for"]


_log = logging.getLogger("hume.actors")


class Cast:
    """A message for `handle_cast`."""

    __slots__ = ("message",)

    def __init__(self, message: object) -> None:
        self.message = message

    def __repr__(self) -> str:
        return f"Cast({self.message!r})"


def call(server: Server, message: Any, timeout: float | None = 5.0) -> Any:
    """Send a message to the server's `handle_call` and return the answer.

    After *timeout* seconds the caller gives up (`None`: never). The server skips a call whose caller has given up; if
    it has begun, the late answer is dropped. A server's death fails the call at once, so no call hangs.

    Raises:
        ActorDead: the server is dead or unknown, or dies before it answers.
        Timeout: no answer in time.
        CallingSelf: the server waits, directly or through others, for the caller.
        Exception: the error that ended the server while this call waited.
    """
    check_timeout(timeout)
    return call_mailbox(mailbox_of(server), message, timeout)


def call_mailbox(
    mailbox: Mailbox,
    message: Any,
    timeout: float | None,
    send: Callable[[Any, Reply], object] | None = None,
    kind: Callable[[], Reply] = Reply,
) -> Any:
    """Do what `call` does, with a mailbox at hand; *send* brings the message there in another way than the queue."""
    reply = kind()
    me = current()
    if me is not None:
        wait_for(me, mailbox, reply)
    try:
        if send is None:
            mailbox.put(Envelope(message, reply))
        else:
            send(message, reply)
        return reply.get(timeout=timeout)
    except pykka.Timeout:
        msg = f"{mailbox} did not answer within {timeout} seconds"
        if reply.fail(Timeout(msg)):  # tells the server that nobody waits ...
            raise Timeout(msg) from None
        return reply.get()  # ... unless its answer came first
        # (the server may have answered with a pykka.Timeout of its own; then `fail` loses, and that one is raised)
    finally:
        if me is not None:
            me.waiting_on = None
        del reply  # it holds the error, whose traceback holds this frame: a cycle for each failed call


def wait_for(me: Mailbox, target: Mailbox, reply: Reply | None) -> None:
    """Note that an actor waits for another's answer, or for its end; refuse at once what would close a ring."""
    # Each writes its own `waiting_on` and then walks: of two that would close a ring the later one sees the other's.
    if not me.alive:
        raise me.dead_error()  # a killed actor's thread reaches nobody any more
    me.waiting_on = target, reply
    step: Mailbox | None = target
    while step is not None:
        if step is me:
            me.waiting_on = None
            raise CallingSelf(_ring(me, target, reply))
        step = _awaited_by(step)


def _ring(me: Mailbox, target: Mailbox, reply: Reply | None) -> str:
    msg = f"{me} would wait for itself"
    if target is not me:
        return f"{msg}: {target} waits for it; use cast, which does not wait, in one of the two"
    if reply is None:
        return f"{msg} to stop; raise Stop in a callback instead"
    return f"{msg}; in an actor use its own attributes and methods, or defer() or cast"


def refuse_call_of(target: Mailbox, me: Mailbox) -> None:
    """Refuse the call by which somebody, whose end is now waited for, waits for the one who waits.

    That one has noted in its ``waiting_on`` whom it waits for, and then comes here: a call that begins later is refused
    by `wait_for`, which sees the note.
    """
    step: Mailbox | None = target
    while step is not None:
        waits, following = step.waiting_on, _awaited_by(step)
        if waits is not None and following is me and waits[1] is not None:
            waits[1].fail(CallingSelf(f"{step} waits for {me}, which waits for the end of {target}"))
        step = None if following is me else following


def _awaited_by(mailbox: Mailbox) -> Mailbox | None:
    waits = mailbox.waiting_on
    if waits is None:
        return None
    target, reply = waits
    if not target.alive or (reply is not None and reply.done()):
        return None  # what it waited for has come; its thread has only not run since
    return target


def await_start(mailbox: Mailbox, timeout: float | None = 5.0) -> None:
    """Wait until an actor's init has ended.

    Raises:
        ActorDead: it died, or chose not to start.
        Timeout: it is still in init after *timeout* seconds.
    """
    if not mailbox.started.done():
        if (me := current()) is not None:
            wait_for(me, mailbox, mailbox.started)
        try:
            mailbox.started.get(timeout=timeout)
        except pykka.Timeout:
            if not mailbox.started.done():
                msg = f"{mailbox} is still starting after {timeout} seconds"
                raise Timeout(msg) from None
        except Exception as error:
            raise mailbox.dead_error() from error
        finally:
            if me is not None:
                me.waiting_on = None
    if not mailbox.alive:
        raise mailbox.dead_error()


def cast(server: Server, message: Any) -> None:
    """Send a message to the server's `handle_cast`; where nobody is, it is dropped."""
    send(server, Cast(message))


def send(server: Server, message: Any) -> None:
    """Send a plain message to the server's `handle_info`; where nobody is, it is dropped."""
    with suppress(ActorDead):
        mailbox_of(server).put(Envelope(message))


def reply(from_: Reply, value: Any) -> bool:
    """Answer a call that returned `NO_REPLY`, from any thread; return whether it was the first answer."""
    if not isinstance(from_, Reply):
        msg = f"reply needs the from_ that handle_call got, not {from_!r}"
        raise TypeError(msg)
    return from_.set(value)


def stop(server: Server, reason: object = NORMAL, timeout: float | None = 5.0) -> None:
    """Stop a server: what was sent before is handled, `terminate(reason)` runs, and then this returns.

    Raises:
        ActorDead: it is dead already, or unknown.
        Timeout: it is not down after *timeout* seconds; it will stop when it gets there, or `kill` it.
        CallingSelf: an actor can't wait for its own end; raise `Stop` in a callback instead.
    """
    check_timeout(timeout)
    mailbox = mailbox_of(server)
    me = current()
    if me is not None:
        wait_for(me, mailbox, None)
    try:
        mailbox.put(Envelope(StopRequest(reason)))
        if not wait_gone(mailbox, timeout):
            msg = f"{mailbox} did not stop within {timeout} seconds"
            raise Timeout(msg)
    finally:
        if me is not None:
            me.waiting_on = None


def wait_gone(mailbox: Mailbox, timeout: float | None) -> bool:
    """Wait until an actor is down and its thread has left; return `False` when it is not down in time."""
    deadline = None if timeout is None else _threads.monotonic() + timeout
    if not mailbox.wait(timeout):
        return False
    thread = mailbox.thread
    if thread is not None and thread is not threading.current_thread() and mailbox.reason != KILLED:
        # the thread announced the death itself, as the last thing that it does (a killed one may be anywhere)
        thread.join(None if deadline is None else max(0.0, deadline - _threads.monotonic()))
    return True


def wait_or_kill(mailbox: Mailbox, timeout: float | None) -> None:
    """Wait until an actor that has been told to stop is down; when the time is over, kill it, which is logged."""
    if not wait_gone(mailbox, timeout) and mailbox.kill():
        _log.warning("%s did not stop in time, and was killed", mailbox, extra=fields(server=mailbox, reason=KILLED))


def kill(server: Server) -> bool:
    """End an actor at once, without `terminate`; return `False` when it was dead already.

    When this returns it is dead for everybody: its names are free, its tables have moved, monitors and links have been
    told. A Python thread can't be interrupted: a busy one leaves when its handler returns, and until then whatever it
    tries with tables, stores and calls is refused.

    Raises:
        ActorDead: nobody has that name.
    """
    return any_mailbox_of(server).kill()
