"""The application: the root supervisor that every program gets, its end at interpreter exit, and what a fork leaves."""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import Any

import pykka
from pykka._envelope import Envelope

from hume.actors import _registry, _table
from hume.actors._calls import wait_gone
from hume.actors._child_spec import Backoff, ChildSpec
from hume.actors._heir import HeirActor
from hume.actors._mailbox import Mailbox, StopRequest
from hume.actors._signals import SHUTDOWN, ExitSignal
from hume.actors._supervisor import Supervisor
from hume.errors import HumeError

__all__ = ["Application", "application", "stop_application"]

_WORKER_TIMEOUT = 5.0  # seconds for each linked actor to stop, as for a supervised worker
_EXIT_TIMEOUT = 10.0  # seconds for everything, at interpreter exit

_root: pykka.ActorRef[Any] | None = None  # replaced under the lock; read without it
_lock = threading.Lock()
_exiting = False


class Application(Supervisor):
    """The root of the program's supervision tree, started when it is first needed and registered under this class.

    It supervises the `HeirActor`, is the other end of the links of actors that were started with ``start_link`` by
    threads that are no actors, and owns the tables that such threads create.
    """

    def init(self, *_: Any, **__: Any) -> None:
        """Start the heir. However often it is killed, it comes back: its backoff bounds the pace."""
        backoff = Backoff(base=0.05, maximum=1.0)
        super().init([ChildSpec(id=HeirActor, start=HeirActor.start_link, backoff=backoff, actor_class=HeirActor)])

    def terminate(self, reason: Any) -> None:
        """Stop all that is linked, in the reverse of the order started: an actor goes before those it may build on."""
        me = self.actor_inbox
        for other in reversed(me.links):
            child = self._running.get(other.ref)
            if child is not None:
                self._stop_child(child)
            elif other.parent is me:
                other.signal(ExitSignal(me, SHUTDOWN))
                if not wait_gone(other, _WORKER_TIMEOUT):
                    other.kill()


def application() -> pykka.ActorRef[Any]:
    """Return the application's root supervisor; start it if it does not run."""
    root = _root
    return root if root is not None and root.is_alive() else _start()


def _start() -> pykka.ActorRef[Any]:
    global _root  # noqa: PLW0603 - one application a program
    with _lock:
        if _root is not None and _root.is_alive():
            return _root
        if _exiting:
            msg = "the interpreter is exiting: nothing is started any more"
            raise HumeError(msg)
        heir = _registry.find(HeirActor)
        if heir is not None:
            wait_gone(heir, _WORKER_TIMEOUT)  # the root was killed, and its heir is on its way out
        ref: pykka.ActorRef[Any] = Application.start(name=Application)
        _root = ref
        return ref


def stop_application(timeout: float | None = 10.0) -> None:
    """Stop the application: all that is linked to it, and the heir with its tables. It starts again when needed.

    Args:
        timeout: seconds; what is not down by then is killed.
    """
    _registry.check_timeout(timeout)
    root = _root
    if root is not None and root.is_alive():
        _stop_or_kill(root.actor_inbox, timeout)  # type: ignore[arg-type]  # a GenServer's inbox is a Mailbox
    _table.drop_waiting()


def _stop_or_kill(mailbox: Mailbox, timeout: float | None) -> None:
    mailbox.put(Envelope(StopRequest(SHUTDOWN)))
    if not wait_gone(mailbox, timeout):
        mailbox.kill()


def _stop_everything() -> None:
    """At interpreter exit: stop first the actors that nobody is linked to, then the application; at most 10 s in all.

    Actors' threads are daemons, so they still run now; without this they would vanish in the middle of their work.
    """
    global _exiting  # noqa: PLW0603 - said once
    _exiting = True
    deadline = time.monotonic() + _EXIT_TIMEOUT
    for ref in reversed(pykka.ActorRegistry.get_all()):
        mailbox = ref.actor_inbox
        if isinstance(mailbox, Mailbox) and mailbox.parent is None and ref is not _root:
            _stop_or_kill(mailbox, max(0.0, deadline - time.monotonic()))
    stop_application(max(0.0, deadline - time.monotonic()))


# -- fork: only the forking thread lives on in the child, so every actor there is dead, and a lock that another thread
# held would stay locked for ever. The locks below are held over the fork, so that what they guard is whole.


def _locks() -> tuple[Any, ...]:
    return (_lock, _registry._lock, _table._lock, pykka.ActorRegistry._actor_refs_lock)  # noqa: SLF001 - see above


def _before_fork() -> None:
    for lock in _locks():
        lock.acquire()


def _after_fork_in_parent() -> None:
    for lock in reversed(_locks()):
        lock.release()


def _after_fork_in_child() -> None:
    global _root  # noqa: PLW0603 - the child has no application until it needs one
    _root = None
    for ref in pykka.ActorRegistry._actor_refs:  # noqa: SLF001 - its lock is held, so it is whole
        if isinstance(ref.actor_inbox, Mailbox):
            ref.actor_inbox.abandon()
    pykka.ActorRegistry._actor_refs.clear()  # noqa: SLF001 - none of them has a thread here
    _registry.forget_all()
    _table.forget_all()
    _after_fork_in_parent()


_registry.set_root(lambda: application().actor_inbox)  # type: ignore[arg-type,return-value]  # as above
atexit.register(_stop_everything)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(
        before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
    )
