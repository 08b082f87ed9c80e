"""DynamicSupervisor: children that come and go, each on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pykka

from hume.actors import _threads
from hume.actors._child import Child, ChildCounts, ChildInfo, spec_of
from hume.actors._child_spec import ChildSpec, check_known, is_count, one_of
from hume.actors._supervisor_core import SupervisorCore, ask
from hume.errors import ChildNotFound, MaxChildren, StartFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hume.actors._registry import Server

__all__ = ["DynamicSupervisor"]


class DynamicSupervisor(SupervisorCore):
    """Starts with no children; `start_child` adds them, any number of one kind. They have refs and no ids.

    Args:
        strategy: ``"one_for_one"``, the only one.
        max_restarts: as for `Supervisor`.
        max_seconds: as for `Supervisor`.
        max_children: how many there may be at a time; `None`: any number.
        extra_arguments: go before a child's own when its ``start`` is called.

    At its end all children are told to stop at once, and each has its own ``shutdown`` to do so.
    """

    def init(self, *args: Any, **options: Any) -> None:
        """Start, with no children. It takes the class's options; a subclass's own may take whatever it likes."""
        check_known(options, ("strategy", "max_restarts", "max_seconds", "max_children", "extra_arguments"))
        if args:
            msg = f"a DynamicSupervisor starts with no children, not with {args[0]!r}; give it some with start_child"
            raise TypeError(msg)
        self._begin(**options)

    def _begin(
        self,
        *,
        strategy: str = "one_for_one",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        max_children: int | None = None,
        extra_arguments: Sequence[Any] = (),
    ) -> None:
        one_of("strategy", strategy, ("one_for_one",))
        if not (max_children is None or is_count(max_children)):
            msg = f"max_children must be a whole number of at least 0, or None, not {max_children!r}"
            raise ValueError(msg)
        if not isinstance(extra_arguments, list | tuple):
            msg = f"extra_arguments must be a list or a tuple, not {extra_arguments!r}"
            raise TypeError(msg)
        self._set_up(max_restarts, max_seconds)
        self._max_children, self._extra = max_children, tuple(extra_arguments)

    def terminate(self, reason: Any, /) -> None:
        """Stop all children, together."""
        me = self.actor_inbox
        asked = [(child, child.ask_to_stop(me)) for child in self._children.values()]
        began = _threads.monotonic()
        for child, mailbox in asked:
            if mailbox is not None:
                limit = child.spec.shutdown
                passed = _threads.monotonic() - began
                child.await_stop(me, mailbox, max(0.0, limit - passed) if isinstance(limit, int | float) else limit)

    def _restart(self, child: Child) -> None:
        try:
            self._start(child)
        except StartFailed as failed:
            self._try_again(failed, child)
        else:
            if child.ref is None:
                self._children.pop(child, None)  # it chose not to start

    def _ended(self, child: Child) -> None:
        self._children.pop(child, None)

    @staticmethod
    def start_child(server: Server, child: Any) -> pykka.ActorRef[Any] | None:
        """Start a child and return its ref; `None` when it chose not to start.

        Raises:
            MaxChildren: there are as many as there may be.
            StartFailed: it did not start.
        """
        return cast("pykka.ActorRef[Any] | None", ask(server, "_start_child", spec_of(child)))

    @staticmethod
    def terminate_child(server: Server, ref: pykka.ActorRef[Any]) -> None:
        """Stop a child, and forget it; give up its restart, if it waits for one.

        Raises:
            ChildNotFound: it is no child of this supervisor.
        """
        ask(server, "_terminate_child", ref)

    @staticmethod
    def which_children(server: Server) -> list[ChildInfo]:
        """Return the children; their ids are `None`."""
        return cast("list[ChildInfo]", ask(server, "_which_children"))

    @staticmethod
    def count_children(server: Server) -> ChildCounts:
        """Return how many children, running processes, supervisors and workers there are."""
        return cast("ChildCounts", ask(server, "_count_children"))

    def _start_child(self, spec: ChildSpec) -> pykka.ActorRef[Any] | None:
        if self._max_children is not None and len(self._children) >= self._max_children:
            raise MaxChildren(self._max_children)
        child = self._new_child(spec)
        if child.ref is not None:
            self._children[child] = child
        return child.ref

    def _terminate_child(self, ref: pykka.ActorRef[Any]) -> None:
        child = self._running.get(ref) if isinstance(ref, pykka.ActorRef) else None
        if child is None:
            child = next((child for child in self._children.values() if child.latest is ref), None)
            if child is None:
                raise ChildNotFound(ref)
        self._stop_child(child)
        self._children.pop(child, None)

    def _which_children(self, _: None) -> list[ChildInfo]:
        return [info._replace(id=None) for info in super()._which_children(None)]
