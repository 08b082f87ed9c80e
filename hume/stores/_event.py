"""Event: one line of a stream's log, never changed."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from hume.actors._isolate import isolated

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

__all__ = ["POSITION", "SEQ", "Event", "Moment", "Origin", "as_event", "new_event", "unshared"]

SEQ, PAYLOAD, STREAM, ID, RECORDED_AT, METADATA, POSITION = range(7)  # where a field stands in the tuple

Moment: TypeAlias = datetime | float
"""A time as a store may keep it: in seconds since 1970 it is made, and kept, for half the price."""


class Origin:
    """The identity of a log, and the source of its events' ids.

    An id is made when somebody asks for it: the name-based UUID (RFC 9562, version 5) of the event's position within
    the log's own random UUID. So it is the same at every look, and an append need not make one.
    """

    __slots__ = ("uuid",)

    def __init__(self, log_id: uuid.UUID | None = None) -> None:
        self.uuid: uuid.UUID = uuid.uuid4() if log_id is None else log_id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Origin) and other.uuid == self.uuid

    def __hash__(self) -> int:
        return hash(self.uuid)

    def event_id(self, position: int) -> uuid.UUID:
        """Return the id of the event at *position*."""
        return uuid.uuid5(self.uuid, str(position))


class Event(tuple[Any, ...]):
    """An event as its store recorded it. Immutable.

    Args:
        seq: its number in its stream: 1, 2, 3, ...
        payload: what was appended.
        stream: its stream.
        id: its UUID.
        recorded_at: when it was appended, by the store's clock, in UTC.
        metadata: a dict of what was said about it; ``{}`` if nothing.
        position: its number in its store, if the store has a global order.
    """

    # A tuple, because a log holds millions of them: it is made by one C call, and compares by seq first.
    __slots__ = ()

    def __new__(  # noqa: PLR0917, PYI034 - a parameter a field, in its place; a tuple of just this class is made
        cls,
        seq: int,
        payload: Any,
        stream: Hashable = None,
        id: uuid.UUID | None = None,  # noqa: A002 - the field's name, fixed by the design
        recorded_at: datetime | None = None,
        metadata: Mapping[str, Any] | None = None,
        position: int | None = None,
    ) -> Event:
        """Make an event, as a store of your own would."""
        if isinstance(seq, bool) or not isinstance(seq, int) or seq < 1:
            msg = f"an event's seq must be a whole number of at least 1, not {seq!r}"
            raise ValueError(msg)
        return tuple.__new__(
            cls, (seq, payload, stream, id, recorded_at, dict(metadata) if metadata else None, position)
        )

    if TYPE_CHECKING:

        @property
        def seq(self) -> int: ...
        @property
        def payload(self) -> Any: ...
        @property
        def stream(self) -> Hashable: ...
        @property
        def position(self) -> int | None: ...
    else:
        seq = property(itemgetter(SEQ), doc="Its number in its stream.")
        payload = property(itemgetter(PAYLOAD), doc="What was appended.")
        stream = property(itemgetter(STREAM), doc="Its stream.")
        position = property(itemgetter(POSITION), doc="Its number in its store.")

    @property
    def id(self) -> uuid.UUID | None:
        """Its UUID."""
        origin = self[ID]
        return origin.event_id(self[POSITION]) if isinstance(origin, Origin) else origin

    @property
    def recorded_at(self) -> datetime | None:
        """When it was appended, in UTC."""
        at: Moment | None = self[RECORDED_AT]
        return at if at is None or isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)

    @property
    def metadata(self) -> dict[str, Any]:
        """A copy of what was said about it."""
        return isolated(self[METADATA] or {})

    @property
    def correlation_id(self) -> Any:
        """The id of the event that began the chain of events which led to this one; `None`: it began one."""
        return (self[METADATA] or {}).get("correlation_id")

    @property
    def causation_id(self) -> Any:
        """The id of the event that was being handled when this one was appended; `None`: none was."""
        return (self[METADATA] or {}).get("causation_id")

    def with_payload(self, payload: Any) -> Event:
        """Return the same event with another payload."""
        return tuple.__new__(Event, (self[SEQ], payload, *self[STREAM:]))

    def __repr__(self) -> str:
        return f"Event(seq={self.seq}, payload={self.payload!r}, stream={self.stream!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, tuple(self)


def _rebuilt(*fields: Any) -> Event:
    return new_event(Event, fields)


new_event: Final = tuple.__new__  # new_event(Event, (seq, payload, stream, origin, recorded_at, metadata, position))


def unshared(event: Event) -> Event:
    """Return the event with a payload that nobody else has, where it could be changed in place."""
    payload = isolated(event.payload)
    return event if payload is event.payload else event.with_payload(payload)


def as_event(item: object) -> Event:
    """Return *item* as an `Event`; a plain ``(seq, payload)`` pair will do.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(item, Event):
        return item
    if isinstance(item, tuple) and len(item) == 2 and isinstance(item[0], int):  # noqa: PLR2004 - a pair
        return Event(*item)
    msg = f"events must be Event or (seq, payload), not {item!r}"
    raise TypeError(msg)
