"""Supervisor: starts its children in order, restarts those that die, stops them in reverse order."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from hume.actors._child import Child, ChildCounts, ChildInfo, spec_of
from hume.actors._child_spec import ChildSpec, check_known, one_of
from hume.actors._gen_server import Stop
from hume.actors._registry import shown
from hume.actors._restarts import AUTO_SHUTDOWNS, STRATEGIES, AutoShutdown, Strategy, group, shuts_down
from hume.actors._signals import SHUTDOWN
from hume.actors._supervisor_core import SupervisorCore, ask
from hume.errors import AlreadyPresent, AlreadyStarted, ChildNotFound, ChildRestarting, ChildRunning, StartFailed

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pykka

    from hume.actors._registry import Server

__all__ = ["Supervisor"]


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
            and exits with reason "shutdown", so that its own supervisor takes over. Children with a `Backoff` do not
            count.
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

    def init(self, *args: Any, **options: Any) -> None:
        """Start the children, in order; when one fails to start, stop those before it, in reverse order.

        It takes what the class says: the children, and the options. A subclass's own may take whatever it likes.
        """
        check_known(options, ("children", "strategy", "max_restarts", "max_seconds", "auto_shutdown"))
        if len(args) > 1:
            msg = f"children are given as one list, not one by one: {list(args)!r}"
            raise TypeError(msg)
        self._begin(*args, **options)

    def _begin(
        self,
        children: Iterable[Any] = (),
        *,
        strategy: Strategy = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        auto_shutdown: AutoShutdown = "never",
    ) -> None:
        if isinstance(children, str | dict) or not isinstance(children, Iterable):
            msg = f"children must be a list of children, not {children!r}"
            raise TypeError(msg)
        one_of("strategy", strategy, STRATEGIES)
        one_of("auto_shutdown", auto_shutdown, AUTO_SHUTDOWNS)
        self._set_up(max_restarts, max_seconds)
        self._strategy: Strategy = strategy
        self._auto_shutdown = auto_shutdown
        specs = [spec_of(child) for child in children]
        for spec in specs:
            self._check_significant(spec)
            if spec.id in self._children:
                msg = f"children must have different ids: {shown(spec.id)} is there twice; give one a name="
                raise ValueError(msg)
            self._children[spec.id] = Child(spec)
        for child in list(self._children.values()):
            try:
                self._start(child)
            except StartFailed:
                self._stop_children()
                raise
            self._drop_if_temporary(child)

    def terminate(self, reason: Any, /) -> None:
        """Stop the children in reverse start order, one after the other."""
        self._stop_children()

    # -- deaths

    def _group(self, child: Child) -> list[Child]:
        return group(self._strategy, list(self._children.values()), child)

    def _clear(self, child: Child) -> None:
        for member in reversed(self._group(child)):
            if member is not child:
                self._stop_child(member)
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
        others_left = any(other.spec.significant and other.state != "stopped" for other in self._children.values())
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
            AlreadyStarted: a child with that id runs, or its name is taken; with the ref of that one.
            AlreadyPresent: a child with that id is there, stopped or waiting for its restart.
            StartFailed: it did not start; nothing is left of it.
        """
        return cast("pykka.ActorRef[Any] | None", ask(server, "_start_child", spec_of(child)))

    @staticmethod
    def terminate_child(server: Server, child_id: Hashable) -> None:
        """Stop a child, which stays in the list without a process (a temporary one is dropped); give up its restart.

        Raises:
            ChildNotFound: there is none with that id.
        """
        ask(server, "_terminate_child", child_id)

    @staticmethod
    def restart_child(server: Server, child_id: Hashable) -> pykka.ActorRef[Any] | None:
        """Start a stopped child again from its spec, and return its ref.

        Raises:
            ChildNotFound: there is none with that id.
            ChildRunning, ChildRestarting: it is not stopped.
            AlreadyStarted: its name is taken; with the ref of who has it.
            StartFailed: it did not start, and stays stopped.
        """
        return cast("pykka.ActorRef[Any] | None", ask(server, "_restart_child", child_id))

    @staticmethod
    def delete_child(server: Server, child_id: Hashable) -> None:
        """Delete the spec of a stopped child.

        Raises:
            ChildNotFound: there is none with that id.
            ChildRunning, ChildRestarting: it is not stopped.
        """
        ask(server, "_delete_child", child_id)

    @staticmethod
    def which_children(server: Server) -> list[ChildInfo]:
        """Return the children, in start order (OTP: the reverse)."""
        return cast("list[ChildInfo]", ask(server, "_which_children"))

    @staticmethod
    def count_children(server: Server) -> ChildCounts:
        """Return how many child specs, running processes, supervisors and workers there are."""
        return cast("ChildCounts", ask(server, "_count_children"))

    def _start_child(self, spec: ChildSpec) -> pykka.ActorRef[Any] | None:
        present = self._children.get(spec.id)
        if present is not None:
            if present.ref is None:
                raise AlreadyPresent(spec.id)
            what = f"child {spec.id!r}"
            raise AlreadyStarted(what, present.ref)
        child = self._new_child(spec)
        if not (child.ref is None and spec.restart == "temporary"):
            self._children[spec.id] = child
        return child.ref

    def _child(self, child_id: Hashable) -> Child:
        try:
            return self._children[child_id]
        except (KeyError, TypeError):  # TypeError: it is not hashable
            raise ChildNotFound(child_id, self._children) from None

    def _stopped_child(self, child_id: Hashable) -> Child:
        child = self._child(child_id)
        if child.state != "stopped":
            raise ChildRunning(child_id) if child.state == "running" else ChildRestarting(child_id)
        return child

    def _terminate_child(self, child_id: Hashable) -> None:
        child = self._child(child_id)
        self._stop_child(child)
        self._drop_if_temporary(child)

    def _restart_child(self, child_id: Hashable) -> pykka.ActorRef[Any] | None:
        child = self._stopped_child(child_id)
        self._start_asked(child)
        return child.ref

    def _delete_child(self, child_id: Hashable) -> None:
        del self._children[self._stopped_child(child_id).spec.id]
