"""Exit reasons, and the messages that tell of a death: links and monitors are the mailbox's tables of whom to tell."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pykka

    from hume.actors._mailbox import Mailbox

__all__ = [
    "KILLED",
    "NOPROC",
    "NORMAL",
    "SHUTDOWN",
    "Crash",
    "Down",
    "Exit",
    "crash_of",
    "is_orderly",
    "link",
    "unlink",
]

NORMAL: Final = "normal"
SHUTDOWN: Final = "shutdown"
KILLED: Final = "killed"
NOPROC: Final = "noproc"
FORKED: Final = "lost in a fork: threads do not live on in the child process, which has to start its own"

monitor_ids: Final = itertools.count(1)  # next() on it is one C call: unique without a lock


@dataclass(frozen=True, slots=True)
class Crash:
    """The exit reason of an actor that raised. It holds no frame of the actor, so it keeps nothing alive."""

    exception: BaseException

    def __str__(self) -> str:
        return f"crashed with {self.exception!r}"


@dataclass(frozen=True, slots=True)
class Down:
    """What a monitoring actor gets, once, when the actor that it watches has died."""

    monitor: int
    ref: pykka.ActorRef[Any] | None
    reason: Any


@dataclass(frozen=True, slots=True)
class Exit:
    """What an actor that traps exits gets when an actor that is linked to it has died."""

    ref: pykka.ActorRef[Any] | None
    reason: Any


class ExitSignal:
    """An exit signal on its way: kills its receiver, or reaches it as an `Exit` when it traps exits."""

    __slots__ = ("reason", "source")

    def __init__(self, source: Mailbox | None, reason: object) -> None:
        self.source: Mailbox | None = source
        self.reason: object = reason

    def __repr__(self) -> str:
        return f"ExitSignal({self.source}, {self.reason!r})"


def is_orderly(reason: object) -> bool:
    """Tell whether an exit reason is an end as planned: "normal", "shutdown" or ("shutdown", anything)."""
    if isinstance(reason, str):
        return reason in (NORMAL, SHUTDOWN)
    return isinstance(reason, tuple) and reason[:1] == (SHUTDOWN,)


def link(one: Mailbox, other: Mailbox) -> None:
    """Link two mailboxes: when one dies the other gets an exit signal. At most one link joins two of them.

    Linking to a dead one sends a signal with reason "noproc" back.
    """
    # Each table is changed under its own lock, one after the other, never both held. Should one side die in between,
    # add_link tells us, and the signal that it could not send goes out from here.
    if one is other:
        return
    if not one.add_link(other):
        other.signal(ExitSignal(one, NOPROC))
    elif not other.add_link(one):
        one.drop_link(other)
        one.signal(ExitSignal(other, NOPROC))


def unlink(one: Mailbox, other: Mailbox) -> None:
    """Undo a link; without one, nothing happens."""
    one.drop_link(other)
    other.drop_link(one)


def crash_of(error: BaseException) -> Crash:
    """Make an error an exit reason, without its frames.

    They would keep the actor and its state alive as long as anybody holds its ref; the log has shown them.
    """
    link: BaseException | None = error
    for _ in range(100):  # a chain made by hand may be a ring
        if link is None:
            break
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return Crash(error)
