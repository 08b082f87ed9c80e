"""The contract of an event store, and what a `store` argument may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

import pykka

from hume.actors._calls import await_start
from hume.actors._mailbox import Mailbox
from hume.actors._registry import find
from hume.errors import ActorDead, InvalidStore

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    from hume.stores._event import Event

__all__ = [
    "DirectStore",
    "EventStore",
    "check_expect_seq",
    "check_stream",
    "metadata_argument",
    "resolve",
    "validate_store",
]

_METHODS: Final = ("append", "events", "last_seq")


@runtime_checkable
class EventStore(Protocol):
    """What an object must have to be a store: an actor, or any other object whose methods threads may call at once."""

    def append(self, stream: Hashable, payloads: Sequence[Any], expect_seq: int | None = None) -> int:
        """Append all payloads to a stream, or none, and return the last one's number.

        They get the next numbers, 1, 2, 3, ..., without a gap. An empty batch changes nothing and returns the stream's
        last number.

        Raises:
            UnexpectedSequence: *expect_seq* is not the stream's last number (0: it is empty). Nothing was changed.
            ValueError: a payload is `None`.
        """

    def events(self, stream: Hashable, after: int = 0, limit: int | None = None) -> Iterable[Event]:
        """Yield the events whose number is greater than *after*, in ascending order, at most *limit* of them.

        Pairs ``(seq, payload)`` will do in a store of your own.
        """

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event; 0 for a stream that has none."""


class DirectStore:
    """The face of a store actor whose methods any thread may run where it is, without a message."""

    __slots__ = ()


class _ActorStore:
    """An actor that has the methods but lets nobody run them elsewhere: each call is a message to it."""

    __slots__ = ("_proxy",)

    def __init__(self, ref: pykka.ActorRef[Any]) -> None:
        self._proxy = ref.proxy()

    def append(self, stream: Hashable, payloads: Sequence[Any], expect_seq: int | None = None, **more: Any) -> int:
        return cast("int", self._proxy.append(stream, payloads, expect_seq, **more).get())

    def events(self, stream: Hashable, after: int = 0, limit: int | None = None) -> Iterable[Event]:
        return cast("Iterable[Event]", self._proxy.events(stream, after, limit).get())

    def last_seq(self, stream: Hashable) -> int:
        return cast("int", self._proxy.last_seq(stream).get())


def resolve(store: Any) -> EventStore:
    """Return the object whose methods are the store's, for any thread to call, here and now.

    Raises:
        InvalidStore: it is no store.
        ActorDead: it is a dead actor, or a name that nobody has.
    """
    if isinstance(store, pykka.ActorRef):
        return _of_actor(store, store)
    if isinstance(store, pykka.ActorProxy):
        return _of_actor(store.actor_ref, store)
    try:
        mailbox = find(store)
    except TypeError:  # not hashable, so no name
        mailbox = None
    if mailbox is not None:
        return _of_actor(mailbox.ref, store)
    missing = _missing(store)
    if isinstance(store, str | tuple) or (isinstance(store, type) and not missing):
        raise ActorDead(f"store {store!r}")
    if missing:
        raise InvalidStore(store, missing)
    return cast("EventStore", store)


def _of_actor(ref: pykka.ActorRef[Any], store: object) -> EventStore:
    mailbox = ref.actor_inbox
    if isinstance(mailbox, Mailbox):
        if mailbox.face is None:
            await_start(mailbox)
        if isinstance(mailbox.face, DirectStore):
            return cast("EventStore", mailbox.face)
    missing = _missing(ref.actor_class)
    if missing:
        raise InvalidStore(store, missing)
    if not ref.is_alive():
        raise ActorDead(ref)
    return _ActorStore(ref)


def _missing(store: object) -> tuple[str, ...]:
    return tuple(name for name in _METHODS if not callable(getattr(store, name, None)))


def validate_store(store: Any) -> None:
    """Check that something is an event store: an object that has the contract, or an actor by ref, proxy or name.

    Raises:
        InvalidStore: naming the methods that it lacks.
        ActorDead: it is a dead actor, or a name that nobody has.
    """
    resolve(store)


def check_stream(stream: Hashable) -> None:
    """Refuse what can't name a stream."""
    try:
        hash(stream)
    except TypeError:
        msg = f"a stream is one hashable name, not {stream!r}"
        raise TypeError(msg) from None
    if stream is None:
        msg = "a stream must have a name, not None"
        raise TypeError(msg)


def check_expect_seq(expect_seq: object) -> None:
    """Refuse what can't be a stream's last number."""
    if expect_seq is None:
        return
    if isinstance(expect_seq, bool) or not isinstance(expect_seq, int):
        msg = f"expect_seq must be a whole number (0: the stream is empty) or None, not {expect_seq!r}"
        raise TypeError(msg)
    if expect_seq < 0:
        msg = f"expect_seq must be at least 0 (0: the stream is empty), not {expect_seq!r}"
        raise ValueError(msg)


def metadata_argument(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the keyword arguments that hand metadata to a store; none when there is none, which every store takes."""
    if metadata is None:
        return {}
    if not hasattr(metadata, "keys"):
        msg = f"metadata must be a mapping or None, not {metadata!r}"
        raise TypeError(msg)
    return {"metadata": metadata}
