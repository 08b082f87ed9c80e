"""Supervisor: starts its children in order, restarts those that die, stops them in reverse order."""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

from pykka._envelope import Envelope

from hume import telemetry
from hume.actors._calls import call
from hume.actors._child import Child, ChildCounts, ChildInfo, count, spec_of
from hume.actors._child_spec import ChildSpec, ChildType, is_seconds, one_of
from hume.actors._gen_server import GenServer, Stop
from hume.actors._restarts import (
    AUTO_SHUTDOWNS,
    STRATEGIES,
    AutoShutdown,
    History,
    Strategy,
    group,
    is_restarted,
    shuts_down,
)
from hume.actors._signals import SHUTDOWN, Exit, is_orderly
from hume.errors import (
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    HumeError,
    StartFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    import pykka

    from hume.actors._mailbox import Reply
    from hume.actors._registry import Server

__all__ = ["Supervisor"]

_log = logging.getLogger("hume.actors.supervisor")


class Request(NamedTuple):
    """A call to a supervisor: which of its methods, with what."""

    method: Callable[[Any, Any], Any]
    argument: Any = None


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
    random: ClassVar[Callable[[], float]] = staticmethod(random.random)  # for the backoff's jitter

    def _set_up(self, max_restarts: int, max_seconds: float) -> None:
        if isinstance(max_restarts, bool) or not isinstance(max_restarts, int) or max_restarts < 0:
            msg = f"max_restarts must be a whole number of at least 0, not {max_restarts!r}"
            raise ValueError(msg)
        if not is_seconds(max_seconds) or max_seconds == 0:
            msg = f"max_seconds must be a number of seconds greater than 0, not {max_seconds!r}"
            raise ValueError(msg)
        self._history = History(max_restarts, max_seconds)
        self._running: dict[pykka.ActorRef[Any], Child] = {}
        self._extra: tuple[Any, ...] = ()

    def _start(self, child: Child) -> None:
        child.start(self.actor_inbox, self.clock, self._extra)
        if child.ref is not None:
            self._running[child.ref] = child

    def _stop(self, child: Child) -> None:
        self._forget(child)
        child.shut_down(self.actor_inbox)

    def _forget(self, child: Child) -> None:
        if child.ref is not None:
            self._running.pop(child.ref, None)  # when its Exit comes, it is nobody's

    # -- deaths

    def handle_info(self, message: Any) -> None:
        """Take note of a child's death; ignore anybody else's (V16)."""
        if not isinstance(message, Exit):
            super().handle_info(message)
        elif message.ref is not None and message.ref in self._running:
            self._child_died(self._running.pop(message.ref), message.reason)

    def _child_died(self, child: Child, reason: object) -> None:
        backoff = child.spec.backoff
        if backoff is not None and self.clock.monotonic() - child.started_at > backoff.maximum:
            child.attempt = 0  # it has lived for a while: this is a new row of crashes
        child.turn("stopped")
        if is_restarted(child.spec, reason):
            self._plan_restart(child, reason)
        else:
            _log.debug("%s: child %r ended: %s", self, child.spec.id, reason)
            self._ended(child)

    def _plan_restart(self, child: Child, reason: object) -> None:
        """Restart a child now, or when its backoff says; or give up, when there were too many restarts (V6)."""
        backoff = child.spec.backoff
        allowed = backoff is not None or self._history.add(self.clock.monotonic())
        delay = 0.0 if backoff is None else backoff.delay(child.attempt, self.random)
        about = {"supervisor": self.actor_ref, "child_id": child.spec.id, "reason": reason}
        if not allowed:
            _log.error("%s gives up on child %r (%s) after %d restarts", self, child.spec.id, reason, child.restarts)
            telemetry.execute(("hume", "supervisor", "give_up"), {"restarts": child.restarts}, about)
            raise Stop(SHUTDOWN)
        child.attempt += 1
        child.restarts += 1
        level = logging.INFO if is_orderly(reason) else logging.WARNING
        when = f"in {delay:.2g} s" if delay > 0 else "now"
        _log.log(level, "%s restarts child %r %s (%s), restart %d", self, child.spec.id, when, reason, child.restarts)
        telemetry.execute(("hume", "supervisor", "restart"), {"restarts": child.restarts, "delay": delay}, about)
        self._clear(child)
        child.turn("restarting")
        if delay > 0:
            self.send_after(delay, Retry(child, child.ticket))
        else:
            self._restart(child)

    def _try_again(self, failed: StartFailed, child: Child) -> None:
        """After a restart that failed: arrange for another try; what others ask comes in between (V7)."""
        _log.warning("%s: %s", self, failed)
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
        try:
            answer = request.method(self, request.argument)
        except HumeError as error:
            answer = None
            if reply is not None:
                reply.fail(error)
        if reply is not None:
            reply.set(answer)

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any, Any], None]]] = {
        **GenServer._handlers,  # noqa: SLF001 - its own base class
        Request: _on_request,
        Retry: _on_retry,
    }


class Supervisor(SupervisorCore):
    """Starts its children in order, restarts those that die, and stops them in reverse order: OTP's supervisor.

    ``Supervisor.start_link(children, strategy=..., name=...)``, or a subclass whose ``init`` calls
    ``super().init(children, strategy=...)``. A child is a `ChildSpec`, a class with ``child_spec`` (any `GenServer` or
    `Projection`), a pair of such a class and a dict of its start options, or a plain Pykka actor class.

    Args:
        children: the children, in start order.
        strategy: ``"one_for_one"`` restarts the child that died, ``"one_for_all"`` all, ``"rest_for_one"`` that child
            and those started after it.
        max_restarts: how many restarts within *max_seconds* are allowed; at the next the supervisor stops its children
            and exits with reason "shutdown", so that its own supervisor takes over. Children with a `Backoff` don't count.
        max_seconds: seconds.
        auto_shutdown: whether ``"any_significant"`` child that ends by itself, or the last of ``"all_significant"``
            ones, ends the supervisor; ``"never"``.

    Raises:
        ValueError, TypeError: a bad option or child, or an id that is there twice; nothing was started.
        StartFailed: a child did not start; those before it were stopped.

    Example::

        ref = Supervisor.start_link([EventStoreActor, (Inventory, {"stream": "warehouse"})], strategy="rest_for_one")
        Supervisor.which_children(ref)

    The rules are those of OTP's ``supervisor``.
    """

    def init(
        self,
        children: Iterable[Any] = (),
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
    ) -> None:
        """Start the children, in order; when one fails to start, stop those before it, in reverse order (V2)."""
        one_of("strategy", strategy, STRATEGIES)
        one_of("auto_shutdown", auto_shutdown, AUTO_SHUTDOWNS)
        self._set_up(max_restarts, max_seconds)
        self._strategy, self._auto_shutdown = strategy, auto_shutdown
        self._children: dict[Hashable, Child] = {}
        specs = [spec_of(child) for child in children]
        for spec in specs:
            self._check_significant(spec)
            if spec.id in self._children:
                msg = f"children must have different ids: {spec.id!r} is there twice"
                raise ValueError(msg)
            self._children[spec.id] = Child(spec)
        self.actor_inbox.face = self._children
        for child in list(self._children.values()):
            try:
                self._start(child)
            except StartFailed:
                self.terminate(SHUTDOWN)
                raise
            self._drop_if_temporary(child)

    def terminate(self, reason: Any) -> None:
        """Stop the children in reverse start order, one after the other (V3)."""
        for child in reversed(list(self._children.values())):
            self._stop(child)

    def _check_significant(self, spec: ChildSpec) -> None:
        if spec.significant and self._auto_shutdown == "never":
            msg = f"child {spec.id!r} is significant, which needs auto_shutdown any_significant or all_significant"
            raise ValueError(msg)

    # -- deaths

    def _group(self, child: Child) -> list[Child]:
        return group(self._strategy, list(self._children.values()), child)

    def _clear(self, child: Child) -> None:
        for member in reversed(self._group(child)):
            if member is not child:
                self._stop(member)
                self._drop_if_temporary(member)

    def _restart(self, child: Child) -> None:
        self._clear(child)
        for member in self._group(child):
            try:
                self._start(member)
            except StartFailed as failed:
                self._try_again(failed, member)
                return

    def _ended(self, child: Child) -> None:
        self._drop_if_temporary(child)
        others_left = any(
            other.spec.significant and other.state != "stopped" for other in self._children.values() if other is not child
        )
        if shuts_down(self._auto_shutdown, significant=child.spec.significant, others_left=others_left):
            raise Stop(SHUTDOWN)

    def _drop_if_temporary(self, child: Child) -> None:
        if child.spec.restart == "temporary" and child.ref is None:
            self._children.pop(child.spec.id, None)

    # -- requests: in any thread, and what the supervisor does

    @staticmethod
    def start_child(server: Server, child: Any) -> pykka.ActorRef[Any] | None:
        """Start another child, after those there are, and return its ref; `None` when it chose not to start.

        Raises:
            AlreadyStarted: a child with that id runs.
            AlreadyPresent: a child with that id is there, stopped.
            StartFailed: it did not start; nothing is left of it.
        """
        return cast("pykka.ActorRef[Any] | None", call(server, Request(Supervisor._add, spec_of(child)), None))

    @staticmethod
    def terminate_child(server: Server, child_id: Hashable) -> None:
        """Stop a child, which stays in the list without a process (a temporary one is dropped); give up its restart.

        Raises:
            ChildNotFound: there is none with that id.
        """
        call(server, Request(Supervisor._terminate, child_id), None)

    @staticmethod
    def restart_child(server: Server, child_id: Hashable) -> pykka.ActorRef[Any] | None:
        """Start a stopped child again from its spec, and return its ref.

        Raises:
            ChildNotFound: there is none with that id.
            ChildRunning, ChildRestarting: it is not stopped.
            StartFailed: it did not start, and stays stopped.
        """
        return cast("pykka.ActorRef[Any] | None", call(server, Request(Supervisor._revive, child_id), None))

    @staticmethod
    def delete_child(server: Server, child_id: Hashable) -> None:
        """Delete the spec of a stopped child.

        Raises:
            ChildNotFound: there is none with that id.
            ChildRunning, ChildRestarting: it is not stopped.
        """
        call(server, Request(Supervisor._delete, child_id), None)

    @staticmethod
    def which_children(server: Server) -> list[ChildInfo]:
        """Return the children, in start order (OTP: the reverse)."""
        return cast("list[ChildInfo]", call(server, Request(Supervisor._which), None))

    @staticmethod
    def count_children(server: Server) -> ChildCounts:
        """Return how many child specs, running processes, supervisors and workers there are."""
        return cast("ChildCounts", call(server, Request(Supervisor._count), None))

    def _add(self, spec: ChildSpec) -> pykka.ActorRef[Any] | None:
        present = self._children.get(spec.id)
        if present is not None:
            if present.ref is not None:
                what = f"child {spec.id!r}"
                raise AlreadyStarted(what, present.ref)
            raise ChildRestarting(spec.id) if present.state == "restarting" else AlreadyPresent(spec.id)
        child = Child(spec)
        try:
            self._check_significant(spec)
        except ValueError as error:
            raise StartFailed(spec.id, error) from error
        self._start(child)
        if not (child.ref is None and spec.restart == "temporary"):
            self._children[spec.id] = child
        return child.ref

    def _child(self, child_id: Hashable) -> Child:
        child = self._children.get(child_id)
        if child is None:
            raise ChildNotFound(child_id)
        return child

    def _stopped_child(self, child_id: Hashable) -> Child:
        child = self._child(child_id)
        if child.state != "stopped":
            raise ChildRunning(child_id) if child.state == "running" else ChildRestarting(child_id)
        return child

    def _terminate(self, child_id: Hashable) -> None:
        child = self._child(child_id)
        self._stop(child)
        self._drop_if_temporary(child)

    def _revive(self, child_id: Hashable) -> pykka.ActorRef[Any] | None:
        child = self._stopped_child(child_id)
        self._start(child)
        return child.ref

    def _delete(self, child_id: Hashable) -> None:
        del self._children[self._stopped_child(child_id).spec.id]

    def _which(self, _: None) -> list[ChildInfo]:
        return [child.info() for child in self._children.values()]

    def _count(self, _: None) -> ChildCounts:
        return count(list(self._children.values()))
