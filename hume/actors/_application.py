"""The application: the root supervisor that every program gets, its end at interpreter exit, and what a fork leaves."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from hume import telemetry
from hume.actors import _registry, _table, _threads
from hume.actors._calls import wait_or_kill
from hume.actors._child_spec import Backoff, ChildSpec
from hume.actors._gen_server import GenServer, Stop
from hume.actors._heir import HeirActor
from hume.actors._mailbox import Mailbox, Reply, StopRequest, set_current
from hume.actors._signals import SHUTDOWN, ExitSignal
from hume.actors._supervisor import Supervisor
from hume.errors import HumeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["Application", "application", "stop_actors", "stop_application"]

_WORKER_TIMEOUT = 5.0  # seconds for each linked actor to stop, as for a supervised worker
_EXIT_TIMEOUT = 10.0  # seconds for everything, at interpreter exit
_SHARE = 0.8  # of the time that is left, for one that has others to stop

_root: pykka.ActorRef[Any] | None = None  # replaced under the lock; read without it
_lock = threading.Lock()
_exiting = False


class _StopBy(NamedTuple):
    """Asks the application to stop, with all that is linked to it, by a time; `None`: as long as it takes."""

    deadline: float | None


class Application(Supervisor):
    """The root of the program's supervision tree, started when it is first needed and registered under this class.

    It supervises the `HeirActor`, is the other end of the links of actors that were started with ``start_link`` by
    threads that are no actors, and owns the tables that such threads create.
    """

    _deadline: float | None = None

    def init(self, *_: Any, **__: Any) -> None:
        """Start the heir. However often it is killed, it comes back: its backoff bounds the pace."""
        backoff = Backoff(base=0.05, maximum=1.0)
        super().init([ChildSpec(id=HeirActor, start=HeirActor.start_link, backoff=backoff, actor_class=HeirActor)])

    def handle_info(self, message: Any, /) -> None:
        """Take the tables that are given to it, for the threads that are no actors; the rest is a supervisor's."""
        if not isinstance(message, _table.Transfer):
            super().handle_info(message)

    def terminate(self, reason: Any, /) -> None:
        """Stop all that is linked, in the reverse of the order started: an actor goes before those it may build on.

        The heir goes last, also when it had to be restarted after them.
        """
        me = self.actor_inbox
        for other in reversed(me.links):
            if other.parent is me and other.ref not in self._running:
                other.signal(ExitSignal(me, SHUTDOWN))
                wait_or_kill(other, _patience(other, self._deadline))
        super().terminate(reason)

    def _on_stop_by(self, request: _StopBy, _reply: Reply | None) -> None:
        self._deadline = request.deadline
        raise Stop(SHUTDOWN)

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any, Any], None]]] = {
        **Supervisor._handlers,
        _StopBy: _on_stop_by,
    }


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
            msg = "the interpreter is exiting: nothing is started any more; do it before the main program ends"
            raise HumeError(msg)
        heir = _registry.find(HeirActor)
        if heir is not None:
            wait_or_kill(heir, _WORKER_TIMEOUT)  # the root was killed, and its heir is on its way out, or stuck
        ref: pykka.ActorRef[Any] = Application.start(name=Application)
        _root = ref
        return ref


def stop_application(timeout: float | None = 10.0) -> None:
    """Stop the application: all that is linked to it, and the heir with its tables. It starts again when needed.

    They stop one after the other. One that does not is killed: a worker after 5 seconds, a supervisor never; and with a
    *timeout* before it has used up the others' time.

    Args:
        timeout: seconds for everything; what is not down by then is killed. `None`: as long as it takes.
    """
    _registry.check_timeout(timeout)
    root = _root
    if root is not None:
        mailbox: Mailbox = root.actor_inbox  # type: ignore[assignment]  # a GenServer's inbox is a Mailbox
        _stop_or_kill(mailbox, _StopBy(None if timeout is None else _threads.monotonic() + _SHARE * timeout), timeout)
        heir = _registry.find(HeirActor)
        if heir is not None and heir.parent is mailbox:
            heir.kill()  # the root was killed before it came to its heir
    _table.drop_waiting()


def _stop_or_kill(mailbox: Mailbox, request: object, timeout: float | None) -> None:
    mailbox.put(Envelope(request))
    wait_or_kill(mailbox, timeout)


def _patience(mailbox: Mailbox, deadline: float | None) -> float | None:
    """Return the seconds to wait for one of many that stop in turn: as a supervisor does, but not all that is left."""
    has_others = getattr(mailbox.ref.actor_class, "child_type", None) == "supervisor"
    if deadline is None:
        return None if has_others else _WORKER_TIMEOUT
    left = max(0.0, deadline - _threads.monotonic())
    return left * _SHARE if has_others else min(_WORKER_TIMEOUT, left / 2)


def _stop_everything() -> None:
    """At interpreter exit: actors' threads are daemons, so they would vanish in the middle of their work."""
    global _exiting  # noqa: PLW0603 - said once
    _exiting = True
    stop_actors()


def stop_actors() -> None:
    """Stop first the actors that nobody is linked to, then the application; at most 10 s in all."""
    deadline = _threads.monotonic() + _EXIT_TIMEOUT
    _stop_in_turn((mailbox for mailbox in _latest_first() if mailbox.parent is None), deadline)
    stop_application(_SHARE * max(0.0, deadline - _threads.monotonic()))
    _stop_in_turn(_latest_first(), deadline)  # who is left: its parent ended without it, or was killed


def _latest_first() -> list[Mailbox]:
    boxes = [ref.actor_inbox for ref in reversed(pykka.ActorRegistry.get_all()) if ref is not _root]
    return [mailbox for mailbox in boxes if isinstance(mailbox, Mailbox)]


def _stop_in_turn(mailboxes: Iterable[Mailbox], deadline: float) -> None:
    for mailbox in mailboxes:
        known = issubclass(mailbox.ref.actor_class, GenServer)  # a plain Pykka actor knows one way to stop
        _stop_or_kill(mailbox, StopRequest(SHUTDOWN) if known else _ActorStop(), _patience(mailbox, deadline))


# -- fork: only the forking thread lives on in the child, so every actor there is dead, and a lock that another thread
# held would stay locked for ever. The locks below are held over the fork, so that what they guard is whole.


def _locks() -> tuple[Any, ...]:
    registries = _registry._lock, _table._lock, telemetry._lock, pykka.ActorRegistry._actor_refs_lock
    return (_lock, *registries)


def _before_fork() -> None:
    for lock in _locks():
        lock.acquire()


def _after_fork_in_parent() -> None:
    for lock in reversed(_locks()):
        lock.release()


def _after_fork_in_child() -> None:
    global _root  # noqa: PLW0603 - the child has no application until it needs one
    _root = None
    for ref in pykka.ActorRegistry._actor_refs:
        if isinstance(ref.actor_inbox, Mailbox):
            ref.actor_inbox.abandon()
            ref.actor_inbox._refuse_all()  # who waits in the child for an answer that was asked for before
    pykka.ActorRegistry._actor_refs.clear()
    _registry.forget_all()
    _table.forget_all()
    set_current(None)  # an actor that forked lives on in the parent; its thread's copy is the child's main thread
    _after_fork_in_parent()


_registry.set_root(lambda: application().actor_inbox)  # type: ignore[arg-type,return-value]  # as above
atexit.register(_stop_everything)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
