"""The contract of an event store, and what a `store` argument may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, cast, runtime_checkable

import pykka

from hume.actors._calls import await_start
from hume.actors._gen_server import GenServer
from hume.actors._isolate import is_immutable
from hume.actors._mailbox import Mailbox
from hume.actors._registry import find, unknown
from hume.errors import ActorDead, InvalidStore

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence
    from uuid import UUID

    from hume.stores._event import Event
    from hume.stores._page import Page
    from hume.stores._selector import Selector

__all__ = [
    "DirectStore",
    "EventStore",
    "FullEventStore",
    "metadata_argument",
    "resolve",
    "validate_store",
]

_METHODS: Final = ("append", "events", "last_seq")
_MORE_METHODS: Final = ("append_many", "all_events", "last_position", "streams", "restore")


@runtime_checkable
class EventStore(Protocol):
    """What an object must have to be a store: an actor, or any other object whose methods threads may call at once.

    A stream is any hashable (in a durable store: a string that is not empty); its events have the numbers 1, 2, 3, ...
    Hume's own stores have all of `FullEventStore`; a projection of one stream needs no more than this.
    """

    def append(self, stream: Any, payloads: Sequence[Any], expect_seq: int | None = None) -> int:
        """Append all payloads to a stream, or none, and return the last one's number.

        They get the next numbers, without a gap. An empty batch changes nothing and returns the stream's last number.

        Raises:
            UnexpectedSequence: *expect_seq* is not the stream's last number (0: it is empty). Nothing was changed.
            ValueError: a payload is `None`.
        """
        ...

    def events(self, stream: Any, after: int = 0, limit: int | None = None) -> Iterable[Event]:
        """Yield the events whose number is greater than *after*, in ascending order, at most *limit* of them.

        Pairs ``(seq, payload)`` will do in a store of your own.
        """
        ...

    def last_seq(self, stream: Any) -> int:
        """Return the number of the stream's last event; 0 for a stream that has none."""
        ...


@runtime_checkable
class FullEventStore(Protocol):
    """The whole contract: with ids that make an append repeatable, several streams at once, and a global order.

    Each event also has a position in its store: 1, 2, 3, ... A reader that has seen position p has seen everything
    below it, whatever writers do.

    A store may also have ``restore(events) -> int``, which `hume.import_events` needs: it stores events with the ids,
    numbers, times and metadata that they have, all or none, and returns how many were new. They get the next positions,
    in the order given. An event that its stream has already, by id, with the same number and payload, is passed over;
    with others it is an `IdConflict`. A new one whose number is not the stream's next is an `UnexpectedSequence`, which
    expects the number before its own. What is no `Event` with a stream, a UUID as its id, and a time with a time zone
    is a ``TypeError`` or ``ValueError``. In every case nothing was changed then.
    """

    def append(
        self,
        stream: Hashable,
        payloads: Iterable[Any],
        expect_seq: Any = None,
        *,
        ids: Iterable[UUID] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Append all payloads to a stream, or none, and return the last one's number.

        Args:
            stream: the stream.
            payloads: any number; none changes nothing and returns the stream's last number.
            expect_seq: the stream's last number must be this (0: no such stream), or ``EXISTS``: it has events.
            ids: one for each payload. If the stream has events with all of these ids and payloads already, this is a
                success that stores nothing and returns the number that the last one has had.
            metadata: what is said about each of them. Within a projection that is handling an event, ``correlation_id``
                and ``causation_id`` are added.

        Raises:
            UnexpectedSequence: the stream is not where *expect_seq* says.
            IdConflict: the stream has an id with another payload, or a part of the ids only.
            TypeError, ValueError: an argument is not allowed. In every case nothing was changed.
        """
        ...

    def append_many(
        self, batches: Iterable[tuple[Hashable, Iterable[Any], Any]], *, metadata: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Append to several streams, all or nothing: ``(stream, payloads, expect_seq)`` each; return the last numbers.

        Raises:
            UnexpectedSequence, TypeError, ValueError: as `append`; nothing was changed in any stream.
        """
        ...

    def events(
        self,
        stream: Hashable,
        after: int = 0,
        limit: int | None = None,
        backward: bool = False,  # noqa: FBT001, FBT002 - the contract fixes the signature
    ) -> Iterable[Event]:
        """Yield the events whose number is greater than *after*, at most *limit* of them.

        Ascending; or, *backward*, from the end of the stream down. A batch is seen whole or not at all, unless *limit*
        cuts it.
        """
        ...

    def all_events(
        self,
        after: int = 0,
        limit: int | None = None,
        streams: Iterable[Hashable] | None = None,
        prefix: str | None = None,
    ) -> Iterable[Event]:
        """Yield the events whose position is greater than *after*, in the order of positions, at most *limit* of them.

        Of all streams; or of *streams*; or of those whose name begins with *prefix*.
        """
        ...

    def last_seq(self, stream: Hashable) -> int:
        """Return the number of the stream's last event; 0 for a stream that has none."""
        ...

    def last_position(self) -> int:
        """Return the position of the store's last event; 0 if it has none."""
        ...

    def streams(self, prefix: str | None = None) -> Iterable[Hashable]:
        """Return the streams that have events: strings in alphabetical order, then others in order of appearance.

        With *prefix* those that are strings beginning with it.
        """
        ...


class DirectStore:
    """The face of a store actor whose methods any thread may run where it is, without a message."""

    __slots__ = ()

    def append_one(self, stream: Hashable, payload: Any) -> int:
        """Append one payload, which is not `None` and of which nothing else is said; as `EventStore.append`."""
        return cast("EventStore", self).append(stream, (payload,))

    def page(self, stream: Hashable, after: int, limit: int) -> tuple[Page, int, int]:
        """Return about *limit* events that follow number *after*: at least one if there is one.

        With them, the number up to which there are no others, and that of the stream's last event.
        """
        raise NotImplementedError

    def page_of(self, selector: Selector, after: int, limit: int) -> tuple[Page, int, int]:
        """Return selected events that follow position *after*, as `page` does, with positions for numbers."""
        raise NotImplementedError


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

    def __getattr__(self, name: str) -> Any:
        """Return a method of the whole contract, if the actor has it."""
        if name not in _MORE_METHODS:
            raise AttributeError(name)
        method = getattr(self._proxy, name)
        return lambda *args, **more: method(*args, **more).get()


def resolve(store: Any) -> EventStore:
    """Return the object whose methods are the store's, for any thread to call, here and now.

    Raises:
        InvalidStore: it is no store.
        ActorDead: it is a dead actor, or a name that nobody has.
    """
    if isinstance(store, DirectStore):
        return store  # type: ignore[return-value]  # a store it is, as all of the kind
    try:
        mailbox = find(store)  # a name, mostly
    except TypeError:  # not hashable, so no name
        mailbox = None
    if mailbox is not None:
        face: EventStore = mailbox.face  # if it is a store's
        return face if isinstance(mailbox.face, DirectStore) else _of_actor(mailbox.ref, store)
    if isinstance(store, pykka.ActorRef):
        return _of_actor(store, store)
    if isinstance(store, pykka.ActorProxy):
        return _of_actor(store.actor_ref, store)
    missing = _missing(store)
    if missing or isinstance(store, type) or hasattr(store, "actor_inbox"):
        _refuse(store, missing)
    return cast("EventStore", store)


def _refuse(store: object, missing: tuple[str, ...]) -> None:
    """Refuse what is no store: all that comes here but the object of an actor that runs."""
    if _is_name(store, missing):
        raise unknown("store", store)
    if missing:
        raise InvalidStore(store, missing)
    if isinstance(store, GenServer) and store.actor_inbox.thread is None:
        kind = type(store).__name__
        raise InvalidStore(store, (), f"it is an actor that was not started; start it with {kind}.start_link")


def _of_actor(ref: pykka.ActorRef[Any], store: object) -> EventStore:
    mailbox = ref.actor_inbox
    if isinstance(mailbox, Mailbox):
        if mailbox.face is None:
            await_start(mailbox)
        if not mailbox.alive:
            raise mailbox.dead_error()
        if isinstance(mailbox.face, DirectStore):
            return cast("EventStore", mailbox.face)
    missing = _missing(ref.actor_class)
    if missing:
        raise InvalidStore(store, missing)
    if not ref.is_alive():
        raise ActorDead(ref)
    return _ActorStore(ref)


def _is_name(store: object, missing: tuple[str, ...]) -> bool:
    """Tell whether something that nobody is called must be a name all the same: of a store that is down."""
    if isinstance(store, type):
        return not missing
    return missing == _METHODS and store is not None and not callable(store) and is_immutable(store)


def _missing(store: object) -> tuple[str, ...]:
    return tuple(name for name in _METHODS if not callable(getattr(store, name, None)))


def validate_store(store: Any) -> None:
    """Check that something is an event store: an object that has the contract, or an actor by ref, proxy or name.

    Raises:
        InvalidStore: naming the methods that it lacks.
        ActorDead: it is a dead actor, or a name that nobody has.
    """
    resolve(store)


def metadata_argument(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the keyword arguments that hand metadata to a store; none when there is none, which every store takes."""
    if metadata is None:
        return {}
    if not hasattr(metadata, "keys"):
        msg = f"metadata must be a mapping or None, not {metadata!r}"
        raise TypeError(msg)
    return {"metadata": metadata}
