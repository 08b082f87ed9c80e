"""What every supervisor does: watch its children, restart those that die, give up when there are too many deaths."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from pykka._envelope import Envelope

from hume import telemetry
from hume.actors._calls import call_mailbox
from hume.actors._child import Child, ChildCounts, ChildInfo, bury, count
from hume.actors._child_spec import ChildSpec, ChildType, is_count, is_seconds
from hume.actors._gen_server import GenServer, Stop
from hume.actors._registry import mailbox_of
from hume.actors._restarts import AutoShutdown, History, is_restarted
from hume.actors._signals import KILLED, SHUTDOWN, Exit, is_orderly
from hume.errors import AlreadyStarted, HumeError, StartFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    import pykka

    from hume.actors._mailbox import Mailbox, Reply
    from hume.actors._registry import Server

__all__ = ["Request", "SupervisorCore", "ask"]

_log = logging.getLogger("hume.actors.supervisor")


class Request(NamedTuple):
    """A call to a supervisor: the name of its method, and the argument."""

    method: str
    argument: Any = None


def ask(server: Server, method: str, argument: Any = None) -> Any:
    """Have a supervisor run its method, however long it takes, and return the answer.

    Raises:
        TypeError: the server is no supervisor.
    """
    mailbox = mailbox_of(server)
    if not issubclass(mailbox.ref.actor_class, SupervisorCore):
        msg = f"{mailbox} is no supervisor"
        raise TypeError(msg)
    return call_mailbox(mailbox, Request(method, argument), None)


class Retry(NamedTuple):
    """A supervisor's note to itself about a child: valid as long as the child's ticket is this one.

    With a reason its last start failed, and another try has to be allowed first; without one the try is due.
    """

    child: Child
    ticket: int
    reason: object = None


class SupervisorCore(GenServer):
    """What `Supervisor` and `DynamicSupervisor` share: when to restart and when to give up."""

    trap_exit = True
    child_type: ClassVar[ChildType] = "supervisor"
    # for the backoff's jitter; not the generator that the program may have seeded, and where nobody else may draw
    random: ClassVar[staticmethod[[], float]] = staticmethod(random.Random().random)  # noqa: S311 - no secret

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._children: dict[Hashable, Child] = {}  # in start order
        self._running: dict[pykka.ActorRef[Any], Child] = {}
        self._auto_shutdown: AutoShutdown = "never"
        self._extra: tuple[Any, ...] = ()
        self.actor_inbox.face = self._children

    def _initialise(self, mailbox: Mailbox) -> bool:
        started = super()._initialise(mailbox)
        if not started:
            self._stop_children()  # a subclass's init raised after it had started them
        return started

    def _set_up(self, max_restarts: int, max_seconds: float) -> None:
        if not is_count(max_restarts):
            msg = f"max_restarts must be a whole number of at least 0, not {max_restarts!r}"
            raise ValueError(msg)
        if not is_seconds(max_seconds) or max_seconds == 0:
            msg = f"max_seconds must be a number of seconds greater than 0, not {max_seconds!r}"
            raise ValueError(msg)
        self._history = History(max_restarts, max_seconds)

    def _check_significant(self, spec: ChildSpec) -> None:
        if spec.significant and self._auto_shutdown == "never":
            msg = f"child {spec.id!r} is significant, which needs auto_shutdown any_significant or all_significant"
            raise ValueError(msg)

    def _new_child(self, spec: ChildSpec) -> Child:
        try:
            self._check_significant(spec)
        except ValueError as error:
            raise StartFailed(spec.id, error) from error
        child = Child(spec)
        self._start_asked(child)
        return child

    def _start_asked(self, child: Child) -> None:
        """Start a child because somebody asked for it, who is told in so many words if its name is taken."""
        try:
            self._start(child)
        except StartFailed as failed:
            if isinstance(failed.__cause__, AlreadyStarted):
                raise failed.__cause__ from None
            raise

    def _start(self, child: Child) -> None:
        child.start(self.actor_inbox, self.clock, self._extra)
        if child.ref is not None:
            self._running[child.ref] = child

    def _stop_child(self, child: Child) -> None:
        self._forget(child)
        child.shut_down(self.actor_inbox)

    def _forget(self, child: Child) -> None:
        if child.ref is not None:
            self._running.pop(child.ref, None)  # when its Exit comes, it is nobody's

    def _stop_children(self) -> None:
        """Stop the children in reverse start order, one after the other."""
        for child in reversed(list(self._children.values())):
            self._stop_child(child)

    # -- deaths

    def handle_info(self, message: Any, /) -> None:
        """Take note of a child's death; ignore anybody else's."""
        if not isinstance(message, Exit):
            super().handle_info(message)
        elif message.ref is not None and message.ref in self._running:
            self._child_died(self._running.pop(message.ref), message.reason)

    def _child_died(self, child: Child, reason: object) -> None:
        backoff = child.spec.backoff
        if backoff is not None and self.clock.monotonic() - child.started_at > backoff.maximum:
            child.attempt = 0  # it has lived for a while: this is a new row of crashes
        if reason == KILLED and child.ref is not None:
            bury(cast("Mailbox", child.ref.actor_inbox))
        child.turn("stopped")
        if is_restarted(child.spec, reason):
            self._plan_restart(child, reason)
        else:
            about = self._log_fields(child=child.spec.id, reason=reason)
            _log.debug("%s: child %r ended: %s", self, child.spec.id, reason, extra=about)
            self._ended(child)

    def _plan_restart(self, child: Child, reason: object) -> None:
        """Restart a child now, or when its backoff says; or give up, when there were too many restarts."""
        backoff = child.spec.backoff
        allowed = backoff is not None or self._history.add(self.clock.monotonic())
        delay = 0.0 if backoff is None else backoff.delay(child.attempt, type(self).random)
        about = {"supervisor": self.actor_ref, "child_id": child.spec.id, "reason": reason}
        why = repr(reason) if isinstance(reason, BaseException) else reason  # of a start that failed
        if not allowed:
            noted = self._log_fields(child=child.spec.id, reason=reason, restarts=child.restarts)
            words = "%s gives up on child %r (%s) after %d restarts"
            _log.error(words, self, child.spec.id, why, child.restarts, extra=noted)
            telemetry.execute(("hume", "supervisor", "give_up"), {"restarts": child.restarts}, about)
            raise Stop(SHUTDOWN)
        child.attempt += 1
        child.restarts += 1
        level = logging.INFO if is_orderly(reason) else logging.WARNING
        when = f"in {delay:.2g} s" if delay > 0 else "now"
        noted = self._log_fields(child=child.spec.id, reason=reason, restarts=child.restarts, delay=delay)
        words = "%s restarts child %r %s (%s), restart %d"
        _log.log(level, words, self, child.spec.id, when, why, child.restarts, extra=noted)
        telemetry.execute(("hume", "supervisor", "restart"), {"restarts": child.restarts, "delay": delay}, about)
        self._clear(child)
        child.turn("restarting")
        if delay > 0:
            self.send_after(delay, Retry(child, child.ticket))
        else:
            self._restart(child)

    def _try_again(self, failed: StartFailed, child: Child) -> None:
        """After a restart that failed: arrange for another try; what others ask comes in between."""
        why = failed.__cause__  # this is the starter's error, and so nobody else logs it
        _log.warning("%s: %s", self, failed, exc_info=why, extra=self._log_fields(child=child.spec.id, reason=why))
        child.turn("restarting")
        self.actor_inbox.put(Envelope(Retry(child, child.ticket, failed.__cause__)))

    def _on_retry(self, retry: Retry, _reply: Reply | None) -> None:
        child = retry.child
        if child.ticket != retry.ticket:
            return  # it was terminated, or restarted with others, meanwhile
        if retry.reason is None:
            self._restart(child)
        else:
            self._plan_restart(child, retry.reason)

    def _clear(self, child: Child) -> None:
        """Stop those that are restarted together with *child*."""

    def _restart(self, child: Child) -> None:
        """Start *child* again, and those that are restarted together with it."""
        raise NotImplementedError

    def _ended(self, child: Child) -> None:
        """Take note that a child has ended and is not restarted."""
        raise NotImplementedError

    # -- requests

    def _on_request(self, request: Request, reply: Reply | None) -> None:
        if reply is None:
            return
        method = getattr(self, request.method, None)
        if method is None:
            name = request.method.lstrip("_")
            reply.fail(TypeError(f"{self} has no {name}: its children have no specs to keep"))
            return
        try:
            reply.set(method(request.argument))
        except HumeError as error:
            reply.fail(error)

    def _which_children(self, _: None) -> list[ChildInfo]:
        return [child.info() for child in self._children.values()]

    def _count_children(self, _: None) -> ChildCounts:
        return count(list(self._children.values()))

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any, Any], None]]] = {
        **GenServer._handlers,
        Request: _on_request,
        Retry: _on_retry,
    }
