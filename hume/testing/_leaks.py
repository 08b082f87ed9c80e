"""What a test leaves behind: actors, threads, tables, names and telemetry handlers that were not there before."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

import pykka

from hume import telemetry
from hume.actors import _registry, _table
from hume.actors._application import Application, stop_application
from hume.actors._calls import kill, stop
from hume.actors._heir import HeirActor
from hume.actors._mailbox import Mailbox
from hume.errors import ActorDead, Timeout

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Leaks", "application_in_use"]

_PATIENCE: Final = 10.0  # seconds in which threads must have left; only those that do not take so long
_STOP_TIMEOUT: Final = 5.0  # seconds for each actor, as a supervisor gives


class Leaks:
    """What there is when a test begins, so that what there is at its end can be told from it.

    An application that is in use at the beginning (a fixture of a wider scope has linked actors to it) is left alone;
    otherwise the test gets one of its own, which is stopped, with all that is linked to it, at the test's end.
    """

    def __init__(self) -> None:
        self._shared = application_in_use()
        if not self._shared:
            stop_application()
        self._actors = set(pykka.ActorRegistry.get_all())
        self._rest = _rest()
        self._threads = set(threading.enumerate())

    def stop_all(self) -> None:
        """Stop whatever the test has started, for tests that leave that to others."""
        self._stop_application()
        # From the roots down, since a supervisor would start again what is stopped below it; a few rounds, for an actor
        # may be on its way up while its starter is stopped.
        for _ in range(10):
            refs = self._new_actors()[::-1]  # of one depth the youngest first
            if not refs:
                break
            for ref in sorted(refs, key=_depth):
                _stop_one(ref)
        self._stop_application()  # once more: it drops the tables that wait for its heir, which the rest may have left

    def close(self) -> list[str]:
        """End the test: stop its application, and return the name of everything that is left, having removed it."""
        self._stop_application()
        left = [f"actor {ref}" for ref in self._new_actors()]
        self.stop_all()  # one test's fault is not to be the next one's; and then what outlives its actor shows
        left += [f"actor {ref} (it can't be stopped)" for ref in self._new_actors()]
        for what, found in _rest().items():
            left += [f"{what} {name!r}" for name in found if name not in self._rest[what]]
        for handler_id in _handlers():
            if handler_id not in self._rest["telemetry handler"]:
                telemetry.detach(handler_id)
        return left + [f"thread {thread.name}" for thread in self._living_threads()]

    def _stop_application(self) -> None:
        if not self._shared:
            stop_application()

    def _new_actors(self) -> list[pykka.ActorRef[Any]]:
        new = [ref for ref in pykka.ActorRegistry.get_all() if ref not in self._actors]
        return [ref for ref in new if not self._shared or ref.actor_class not in {Application, HeirActor}]

    def _living_threads(self) -> list[threading.Thread]:
        new = [thread for thread in threading.enumerate() if thread not in self._threads]
        deadline = time.monotonic() + _PATIENCE
        for thread in new:
            if not isinstance(thread, threading._DummyThread):  # of somebody else's, which can't be joined
                thread.join(max(0.0, deadline - time.monotonic()))
        return [thread for thread in new if thread.is_alive()]


def application_in_use() -> bool:
    """Tell whether actors are linked to the application, or tables its own; its heir's are what dead actors left."""
    root, heir = _registry.find(Application), _registry.find(HeirActor)
    return root is not None and (any(mailbox is not heir for mailbox in root.links) or bool(root._tables))


def _rest() -> dict[str, list[Hashable]]:
    names = [name for name in list(_registry._holders) if name is not Application and name is not HeirActor]
    return {"name": names, "table": list(_table._named), "telemetry handler": _handlers()}


def _handlers() -> list[Hashable]:
    return [handler.id for group in list(telemetry._handlers.values()) for handler in group]


def _depth(ref: pykka.ActorRef[Any]) -> int:
    mailbox, depth = ref.actor_inbox, 0
    while isinstance(mailbox, Mailbox) and mailbox.parent is not None:
        mailbox, depth = mailbox.parent, depth + 1
    return depth


def _stop_one(ref: pykka.ActorRef[Any]) -> None:
    if not isinstance(ref.actor_inbox, Mailbox):
        ref.stop(timeout=_PATIENCE)  # a plain Pykka actor
        return
    try:
        stop(ref, "shutdown", timeout=_STOP_TIMEOUT)
    except ActorDead:
        pass
    except Timeout:
        kill(ref)
