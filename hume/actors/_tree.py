"""The supervision tree as data, and drawn."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hume.actors._application import Application
from hume.actors._child import Child
from hume.actors._registry import find

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from hume.actors._mailbox import Mailbox

__all__ = ["Node", "tree"]

_PLAIN: Final = str.maketrans("└├│─", "`||-")


@dataclass(frozen=True, slots=True)
class Node:
    """An actor in the supervision tree. ``str()`` of it draws the tree below it.

    It draws with box characters; where standard output can't take those, with ASCII's.

    Args:
        name: that it was started with; `None`: it has none.
        actor_class: its class; `None` where a child without a process does not say.
        identity: a projection's identity; else its id under its supervisor, if it has one.
        state: ``"running"``, ``"restarting"`` (it waits for its next try), ``"stopped"``; for a projection that runs,
            its phase.
        restarts: how often its supervisor restarted it.
        uptime: seconds since it was started; `None` without a process.
        mailbox: messages that wait.
        children: in start order.
    """

    name: Hashable
    actor_class: type | None
    identity: Hashable
    state: str
    restarts: int
    uptime: float | None
    mailbox: int
    children: tuple[Node, ...] = ()

    def __iter__(self) -> Iterator[Node]:
        """Yield this node and all below it, in the order drawn."""
        yield self
        for child in self.children:
            yield from child

    def __str__(self) -> str:
        return _printable("\n".join(self._lines("", "")))

    def _lines(self, first: str, rest: str) -> Iterator[str]:
        yield first + self._title()
        for number, child in enumerate(self.children, 1):
            last = number == len(self.children)
            yield from child._lines(rest + ("└── " if last else "├── "), rest + ("    " if last else "│   "))

    def _title(self) -> str:
        kind = "?" if self.actor_class is None else self.actor_class.__name__
        label = self.identity if self.name is None or self.name is self.actor_class else self.name
        parts = [kind if label is None or label is self.actor_class else f"{kind} {_text(label, kind)}", self.state]
        if self.uptime is not None:
            parts.append(f"up {self.uptime:.1f} s")
        if self.restarts:
            parts.append(f"{self.restarts} restart{'s' if self.restarts > 1 else ''}")
        if self.mailbox:
            parts.append(f"{self.mailbox} waiting")
        return ", ".join(parts)


def _printable(text: str) -> str:
    """Return what can be printed, also where standard output knows few characters."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def _text(label: Hashable, kind: str) -> str:
    """Return a name, an identity or an id as text; a default one, (class, stream), without the class."""
    if isinstance(label, type):
        return label.__name__
    if isinstance(label, tuple) and len(label) == 2:  # noqa: PLR2004 - a pair
        first, second = label
        name = first.__name__ if isinstance(first, type) else first
        if isinstance(name, str) and name.rpartition(".")[2] == kind:
            return _text(second, kind)
    return repr(label)


def tree() -> Node:
    """Return the application's supervision tree as it is now.

    No actor is asked, so one that is busy or stuck shows as any other. Below the root come its children, and what was
    started with ``start_link`` by threads that are no actors. When the application does not run the root is "stopped".
    """
    root = find(Application)
    if root is None:
        return Node(Application, Application, None, "stopped", 0, None, 0)
    return _running(root, None)


def _running(mailbox: Mailbox, child: Child | None) -> Node:
    face = mailbox.face
    # Others' attributes are read without a lock: each read is atomic, and the picture is one of a moving thing.
    identity = getattr(face, "projection", None if child is None else child.spec.id)
    return Node(
        mailbox.name,
        mailbox.ref.actor_class,
        identity,
        getattr(face, "phase", "running"),
        0 if child is None else child.restarts,
        mailbox.clock.monotonic() - mailbox.began,
        len(mailbox),
        tuple(_children(mailbox)),
    )


def _children(mailbox: Mailbox) -> Iterator[Node]:
    face = mailbox.face
    children = [child for child in list(face.values()) if isinstance(child, Child)] if isinstance(face, dict) else []
    for child in children:
        ref = child.ref
        if ref is None:
            yield Node(None, child.spec.actor_class, child.spec.id, child.state, child.restarts, None, 0)
        else:
            yield _running(_mailbox(ref), child)
    if mailbox.ref.actor_class is Application:
        supervised = {child.ref for child in children}
        for other in mailbox.links:
            if other.parent is mailbox and other.ref not in supervised:
                yield _running(other, None)


def _mailbox(ref: Any) -> Mailbox:
    mailbox: Mailbox = ref.actor_inbox
    return mailbox
