"""One child of a supervisor: started, watched, stopped. All of it runs in the supervisor's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, cast

import pykka

from hume.actors import _signals, _threads
from hume.actors._calls import refuse_call_of, wait_or_kill
from hume.actors._child_spec import BRUTAL_KILL, ActorClass, ChildSpec, ChildType
from hume.actors._mailbox import Mailbox
from hume.actors._plain import supervised_start
from hume.actors._signals import KILLED, SHUTDOWN, ExitSignal
from hume.errors import StartFailed

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hume.actors._clock import Clock

__all__ = ["Child", "ChildCounts", "ChildInfo", "bury", "count", "spec_of"]

_ORPHANS_TIMEOUT: Final = 5.0  # seconds, as for a worker
State: TypeAlias = Literal["running", "stopped", "restarting"]


class ChildInfo(NamedTuple):
    """One line of `which_children`. ``ref`` is `None` without a process, ``"restarting"`` while it waits for a try."""

    id: Hashable
    ref: pykka.ActorRef[Any] | Literal["restarting"] | None
    type: ChildType
    actor_class: ActorClass | None


class ChildCounts(NamedTuple):
    """What `count_children` answers: child specs, running processes, supervisors and workers among the specs."""

    specs: int
    active: int
    supervisors: int
    workers: int


def spec_of(child: Any) -> ChildSpec:
    """Make a `ChildSpec` of whatever may stand for a child.

    Raises:
        TypeError: it is no `ChildSpec`, no class with ``child_spec``, no ``(class, options)``, no Pykka actor class.
    """
    if isinstance(child, ChildSpec):
        return child
    cls: Any = child
    options: Any = {}
    match child:
        case (first, second) if isinstance(child, tuple):
            cls, options = first, second
        case _:
            pass
    if isinstance(cls, type) and isinstance(options, dict):
        make = getattr(cls, "child_spec", None)
        if make is not None:
            spec = make(**options)
            if isinstance(spec, ChildSpec):
                return spec
            msg = f"{cls.__name__}.child_spec must return a ChildSpec, not {spec!r}"
            raise TypeError(msg)
        if issubclass(cls, pykka.ThreadingActor):
            return ChildSpec(id=cls, start=supervised_start(cls, cast("dict[str, Any]", options)), actor_class=cls)
    msg = f"a child is a ChildSpec, an actor class, or (actor class, dict of its start options), not {child!r}"
    raise TypeError(msg)


class Child:
    """A child spec and what has become of it. Others may look at its attributes, for show; only its supervisor acts."""

    __slots__ = ("attempt", "latest", "ref", "restarts", "spec", "started_at", "state", "ticket")

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.ref: pykka.ActorRef[Any] | None = None
        self.latest: pykka.ActorRef[Any] | None = None  # its process, or the one that it had
        self.state: State = "stopped"
        self.restarts = 0  # in all
        self.attempt = 0  # in this row of crashes
        self.started_at = 0.0
        self.ticket = 0  # of its latest state: a retry that was arranged for an earlier one is void

    def start(self, supervisor: Mailbox, clock: Clock, extra: tuple[Any, ...] = ()) -> None:
        """Start its process, linked to the supervisor; without one when it chose not to start.

        Raises:
            StartFailed: with the error as its cause.
        """
        try:
            ref = self.spec.start(*extra)
            if ref is not None:
                _adopt(supervisor, ref)
        except BaseException as error:  # an init that calls sys.exit() is one that failed
            raise StartFailed(self.spec.id, error) from error
        self.ref = self.latest = ref
        self.started_at = clock.monotonic()
        self.turn("stopped" if ref is None else "running")

    def turn(self, state: State) -> None:
        """Change its state; what was arranged for the state before is void."""
        self.state = state
        self.ticket += 1
        if state != "running":
            self.ref = None

    def shut_down(self, supervisor: Mailbox) -> None:
        """Stop its process by its ``shutdown``, and return when it is down."""
        mailbox = self.ask_to_stop(supervisor)
        if mailbox is not None:
            self.await_stop(supervisor, mailbox, self.spec.shutdown)

    def ask_to_stop(self, supervisor: Mailbox) -> Mailbox | None:
        """Send the shutdown, or kill it if that is its ``shutdown``; return its mailbox, `None` without a process."""
        ref = self.ref
        self.turn("stopped")
        if ref is None:
            return None
        mailbox: Mailbox = ref.actor_inbox  # type: ignore[assignment]  # _adopt has seen to it
        if self.spec.shutdown == BRUTAL_KILL:
            mailbox.kill()
        else:
            mailbox.signal(ExitSignal(supervisor, SHUTDOWN))
        return mailbox

    @staticmethod
    def await_stop(supervisor: Mailbox, mailbox: Mailbox, timeout: float | str | None) -> None:
        """Wait until it is down; when the time is over, kill it."""
        supervisor.waiting_on = mailbox, None  # a child that calls its supervisor now is refused, and can't hang
        try:
            refuse_call_of(mailbox, supervisor)  # and so is one that calls it already
            wait_or_kill(mailbox, None if isinstance(timeout, str) else timeout)
        finally:
            supervisor.waiting_on = None
        if mailbox.reason == KILLED:
            bury(mailbox)

    def info(self) -> ChildInfo:
        """Return what `which_children` says of it."""
        spec = self.spec
        return ChildInfo(spec.id, "restarting" if self.state == "restarting" else self.ref, spec.type, spec.actor_class)


def _adopt(supervisor: Mailbox, ref: object) -> None:
    """Link a child that has been started, if it is not linked already."""
    mailbox = ref.actor_inbox if isinstance(ref, pykka.ActorRef) else None
    if not isinstance(mailbox, Mailbox):
        what = ", a plain Pykka actor's (name the class itself as the child)" if mailbox else ""
        msg = f"start must return the ref of an actor, or None, not {ref!r}{what}"
        raise TypeError(msg)
    if mailbox.parent is None:
        mailbox.parent = supervisor
    if supervisor not in mailbox.links:
        _signals.link(supervisor, mailbox)


def bury(dead: Mailbox) -> None:
    """Wait until the actors that a killed one has left behind are down too; after 5 seconds kill them.

    A kill leaves a supervisor no time to stop its children. They hear its exit signal; but a busy one obeys only after
    the message in hand and holds its names until then, on which its successor's start would fail.
    """
    mailboxes = [ref.actor_inbox for ref in pykka.ActorRegistry.get_all()]
    orphans = [mailbox for mailbox in mailboxes if isinstance(mailbox, Mailbox) and _descends(mailbox, dead)]
    deadline = _threads.monotonic() + _ORPHANS_TIMEOUT
    for orphan in orphans:
        wait_or_kill(orphan, max(0.0, deadline - _threads.monotonic()))


def _descends(mailbox: Mailbox, ancestor: Mailbox) -> bool:
    parent = mailbox.parent
    while parent is not None and parent is not ancestor:
        parent = parent.parent
    return parent is ancestor


def count(children: list[Child]) -> ChildCounts:
    """Return what `count_children` answers."""
    supervisors = sum(child.spec.type == "supervisor" for child in children)
    active = sum(child.ref is not None and child.ref.is_alive() for child in children)
    return ChildCounts(len(children), active, supervisors, len(children) - supervisors)
