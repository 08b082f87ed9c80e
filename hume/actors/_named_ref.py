"""A ref that holds a name, and so outlives the actors that have it one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from hume.actors import _threads
from hume.actors._calls import await_start
from hume.actors._mailbox import Reply
from hume.actors._registry import check_name, check_timeout, find, forget_callback, when_claimed
from hume.errors import ActorDead, Timeout

if TYPE_CHECKING:
    import threading
    from collections.abc import Hashable

    from hume.actors._mailbox import Mailbox

__all__ = ["NamedRef", "ref"]


class NamedRef(pykka.ActorRef[Any]):
    """Pykka's own interface to whichever actor has a name now; made by `ref`.

    The name is looked up at each use, so a proxy made from this follows it too. While nobody has the name, `is_alive`
    is false, and what needs an actor raises `ActorDead`, naming the name.
    """

    def __init__(self, name: Hashable) -> None:
        self.name = name  # not super().__init__(): what it would fix, the properties below look up

    def __repr__(self) -> str:
        return f"<ref to the name {self.name!r}>"

    def __str__(self) -> str:
        return f"name {self.name!r}"

    def _now(self) -> Mailbox:
        mailbox = find(self.name)
        if mailbox is None:
            raise ActorDead(self)
        return mailbox

    if not TYPE_CHECKING:  # in Pykka these are attributes

        @property
        def actor_inbox(self) -> Mailbox:
            """The inbox of the actor that has the name now."""
            return self._now()

        @property
        def actor_class(self) -> type[pykka.Actor]:
            """The class of the actor that has the name now."""
            return self._now().ref.actor_class

        @property
        def actor_urn(self) -> str:
            """The URN of the actor that has the name now."""
            return self._now().ref.actor_urn

        @property
        def actor_stopped(self) -> threading.Event:
            """Whether the actor that has the name now has stopped."""
            return self._now().ref.actor_stopped

        @property
        def _actor_weakref(self) -> Any:
            return self._now().ref._actor_weakref

    def is_alive(self) -> bool:
        """Tell whether somebody has the name."""
        return find(self.name) is not None

    def wait(self, timeout: float | None = 5.0) -> pykka.ActorRef[Any]:
        """Wait until somebody has the name and has ended its init; return that actor's own ref.

        For threads: an actor that waits here handles nothing meanwhile.

        Raises:
            Timeout: nobody has, after *timeout* seconds (`None`: no limit).
        """
        check_timeout(timeout)
        deadline = None if timeout is None else _threads.monotonic() + timeout
        while True:
            taken = Reply()
            if when_claimed(self.name, taken.set):
                try:
                    taken.get(timeout=_left(deadline))
                except pykka.Timeout:
                    forget_callback(self.name, taken.set)
                    msg = f"nobody took the {self} within {timeout} seconds"
                    raise Timeout(msg) from None
            mailbox = find(self.name)
            if mailbox is not None:
                try:
                    await_start(mailbox, _left(deadline))
                except ActorDead:
                    continue  # it did not live to the end of its init: wait for the next
                return mailbox.ref

    def tell(self, message: Any) -> None:
        """Send a message to whoever has the name now.

        Raises:
            ActorDead: nobody has it.
        """
        self._now().ref.tell(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message to whoever has the name now, and wait for the reply; else as Pykka's.

        Raises:
            ActorDead: nobody has it (without *block*: from the future).
        """
        mailbox = find(self.name)
        if mailbox is not None:
            return mailbox.ref.ask(message, block=block, timeout=timeout)
        future = Reply()
        future.fail(ActorDead(self))
        return future.get() if block else future

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Stop whoever has the name now; else as Pykka's: false when nobody has it."""
        mailbox = find(self.name)
        if mailbox is not None:
            return mailbox.ref.stop(block=block, timeout=timeout)
        future = Reply()
        future.set(False)
        return future.get() if block else future


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - _threads.monotonic())


def ref(name: Hashable) -> NamedRef:
    """Return a ref that follows a name: Pykka's ``ask``, ``tell``, ``proxy``, ``stop``, ``is_alive`` across restarts.

    Nobody need have the name yet.

    Raises:
        TypeError: the name is not hashable, or a ref or proxy, which have no name to follow.
    """
    if isinstance(name, pykka.ActorRef | pykka.ActorProxy):
        msg = f"ref needs a name to follow, not {name!r}"
        raise TypeError(msg)
    check_name(name)
    return NamedRef(name)
