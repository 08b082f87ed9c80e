"""Names for actors, and what a `server` argument may be: a ref, a proxy or a name."""

from __future__ import annotations

from _thread import allocate_lock
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import pykka

from hume.actors._mailbox import Mailbox
from hume.errors import ActorDead, AlreadyStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = [
    "Ref",
    "Server",
    "acting",
    "any_mailbox_of",
    "check_name",
    "check_seconds",
    "check_timeout",
    "claim",
    "find",
    "in_seconds",
    "mailbox_of",
    "set_root",
    "shown",
    "unknown",
    "whereis",
]

Server: TypeAlias = "pykka.ActorRef[Any] | pykka.ActorProxy[Any] | Hashable"


class Ref(pykka.ActorRef[Any]):
    """A server's ref. It is an identity, no data: a copy of a message or a state holds the same one."""

    def __copy__(self) -> Ref:
        return self

    def __deepcopy__(self, _memo: object) -> Ref:
        return self

    def __str__(self) -> str:
        mailbox = self.actor_inbox
        name = mailbox.name if isinstance(mailbox, Mailbox) else None
        singletons: tuple[Any, ...] = (None, self.actor_class)
        known = "" if name in singletons else f" {name!r}"
        return f"{self.actor_class.__name__}{known} ({self.actor_urn})"


# Written under the lock; read without it, since looking a key up in a dict is atomic. A name stays until its holder's
# death takes it out, so nobody can take a name over while its holder's tables are still on their way to the heir.
_holders: dict[Hashable, Mailbox] = {}
_lock: Final = allocate_lock()
_awaited: dict[Hashable, list[Callable[[], object]]] = {}  # whom to call when a name is taken; under the lock

_root: Callable[[], Mailbox]


def whereis(name: Hashable) -> pykka.ActorRef[Any] | None:
    """Return the ref of the live actor that has this name, or `None`."""
    check_name(name)
    mailbox = find(name)
    return None if mailbox is None else mailbox.ref


def check_name(name: object, what: str = "a name") -> None:
    """Refuse what can't be a name."""
    try:
        hash(name)
    except TypeError:
        msg = f"{what} must be hashable, such as a string, not {name!r}"
        raise TypeError(msg) from None


def shown(name: object) -> str:
    """Return a name as a user would write it."""
    return name.__name__ if isinstance(name, type) else repr(name)


def unknown(what: str, name: object) -> ActorDead:
    """Return the error for a name that nobody has; it says what may have been meant."""
    if isinstance(name, type) and issubclass(name, pykka.Actor):
        way_out = f"start it first, with {name.__name__}.start_link, or give the ref or the name of one that runs"
    elif isinstance(name, type):
        way_out = f"it is a class: give an instance, {name.__name__}(...), unless it is a name"
    elif name is None:
        way_out = "whereis returns None for a name that nobody has"
    else:
        way_out = "start it first, or look at the spelling"
    return ActorDead(f"{what} {shown(name)}", way_out=way_out)


def find(name: Hashable) -> Mailbox | None:
    """Return the mailbox of the live actor that has this name, or `None`."""
    mailbox = _holders.get(name)
    return mailbox if mailbox is not None and mailbox.alive else None


def claim(name: Hashable, mailbox: Mailbox, what: str | None = None, option: str = "name") -> None:
    """Give an actor a name; it is free again at the actor's death.

    Raises:
        TypeError: it can't be hashed.
        AlreadyStarted: somebody has it (of two that race for a name exactly one wins).
        ActorDead: the actor is dead.
    """
    what = f"name {shown(name)}" if what is None else what
    try:
        with _lock:
            holder = _holders.get(name)
            if holder is None or not holder.alive:  # dead: its tables have moved, only its release is not here yet
                holder = _holders[name] = mailbox
    except TypeError:
        msg = f"{what} must be hashable, such as a string"
        raise TypeError(msg) from None
    if holder is not mailbox:
        way_out = f"use that one, stop it first, or give this one another {option}="
        raise AlreadyStarted(what, holder.ref, way_out=way_out)
    if _awaited:
        with _lock:
            callbacks = _awaited.pop(name, [])
        for callback in callbacks:
            callback()
    if not mailbox.at_death(lambda: _release(name, mailbox)):
        _release(name, mailbox)
        raise mailbox.dead_error()


def when_claimed(name: Hashable, callback: Callable[[], object]) -> bool:
    """Call *callback* when the name is next taken; `False` (and it is not kept) when somebody has it now."""
    with _lock:
        if find(name) is None:
            _awaited.setdefault(name, []).append(callback)
            return True
    return False


def forget_callback(name: Hashable, callback: Callable[[], object]) -> None:
    """Forget a callback that `when_claimed` keeps."""
    with _lock:
        left = [other for other in _awaited.get(name, []) if other != callback]
        if left:
            _awaited[name] = left
        else:
            _awaited.pop(name, None)


def _release(name: Hashable, mailbox: Mailbox) -> None:
    with _lock:
        if _holders.get(name) is mailbox:
            del _holders[name]


def mailbox_of(server: Server) -> Mailbox:
    """Resolve a ref, a proxy or a name to a live actor's mailbox.

    Raises:
        ActorDead: it is dead, or nobody has that name.
        TypeError: it is none of these, or a plain Pykka actor, which has no mailbox of ours.
    """
    if isinstance(server, pykka.ActorRef):
        mailbox = server.actor_inbox
    elif isinstance(server, pykka.ActorProxy):
        mailbox = server.actor_ref.actor_inbox
    else:
        try:
            named = _holders.get(server)
        except TypeError:
            msg = f"a server is an ActorRef, an ActorProxy or a (hashable) name, not {server!r}"
            raise TypeError(msg) from None
        if named is None:
            _refuse_no_name(server)
            raise unknown("server", server)
        mailbox = named
    if not isinstance(mailbox, Mailbox):
        msg = f"{server} is a plain Pykka actor; Hume's functions need a GenServer (use the ref's own ask and tell)"
        raise TypeError(msg)
    if not mailbox.alive:
        raise mailbox.dead_error()
    return mailbox


def _refuse_no_name(server: object) -> None:
    """Refuse what is hashable, and all the same no name that anybody meant to give."""
    if isinstance(server, pykka.Actor):
        way_out = f"give the ref that {type(server).__name__}.start returned, or in the actor itself self.actor_ref"
    elif isinstance(server, pykka.Future):
        way_out = "get() what it stands for first"
    else:
        return
    msg = f"a server is an ActorRef, an ActorProxy or a name, not {server!r}; {way_out}"
    raise TypeError(msg)


def any_mailbox_of(server: Server) -> Mailbox:
    """Do what `mailbox_of` does, but take the ref or proxy of a dead actor too, where its death is no error."""
    ref = server.actor_ref if isinstance(server, pykka.ActorProxy) else server
    if isinstance(ref, pykka.ActorRef) and isinstance(ref.actor_inbox, Mailbox):
        return ref.actor_inbox
    return mailbox_of(server)


def check_timeout(timeout: float | None, name: str = "timeout") -> None:
    """Refuse what is no number of seconds (`None` is: without limit)."""
    if timeout is not None and not (type(timeout) is float and timeout >= 0):  # which says it without a further call
        check_seconds(timeout, name, "a number of seconds or None")


def check_seconds(value: float, name: str, wanted: str = "a number of seconds") -> None:
    """Refuse what is no number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be {wanted}, not {value!r}{in_seconds(value)}"
        raise TypeError(msg)
    if not value >= 0:  # not: refuses NaN too
        msg = f"{name} must be at least 0 seconds, not {value!r}"
        raise ValueError(msg)


def in_seconds(value: object) -> str:
    """Return what to say after a value that is no number of seconds."""
    return f"; give its seconds, {value.total_seconds()}" if isinstance(value, timedelta) else ""


def set_root(root: Callable[[], Mailbox]) -> None:
    """Say who acts for the threads that are no actors; called once, by the application."""
    global _root  # noqa: PLW0603 - the one hook by which this floor's bottom knows of its top
    _root = root


def acting(mailbox: Mailbox | None) -> Mailbox:
    """Return the actor for which a thread acts: its own, or the application's root for a thread that is no actor."""
    return _root() if mailbox is None else mailbox


def forget_all() -> None:
    """Forget every name, in a child of `os.fork`."""
    _holders.clear()
