"""Events that come back with the ids, numbers and times that they have had: checked, and put into logs in memory."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from hume.errors import IdConflict, UnexpectedSequence
from hume.stores._batch import Batch
from hume.stores._event import Event

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable
    from uuid import UUID

    from hume.stores._log import Logs

__all__ = ["Returning", "as_returning", "restore", "time_of"]


class Returning(Batch):
    """One event that comes back; a batch of its own, as it has a time and metadata of its own.

    Raises:
        TypeError, ValueError: it lacks what an event in a store has, or has what none may have.
    """

    __slots__ = ("id", "recorded_at", "seq")

    def __init__(self, event: Event) -> None:
        one: Any = event.id  # which `Batch` checks
        super().__init__(event.stream, (event.payload,), ids=(one,), metadata=event.metadata)
        self.metadata = event.metadata or None  # its own alone, not what an append would add
        self.id: UUID = one
        self.seq: int = event.seq
        self.recorded_at: dt.datetime = time_of(event)


def time_of(event: Event) -> dt.datetime:
    """Return when an event was recorded, in UTC.

    Raises:
        TypeError, ValueError: it has no such time, or one without a time zone.
    """
    at: object = event.recorded_at
    if not isinstance(at, dt.datetime):
        msg = f"the recorded_at of {event!r} must be a datetime, not {at!r}"
        raise TypeError(msg)
    if at.tzinfo is None:
        msg = f"the recorded_at of {event!r} has no time zone: {at!r}; give it one, such as datetime.UTC"
        raise ValueError(msg)
    return at.astimezone(dt.UTC)


def as_returning(events: Iterable[Any]) -> list[Returning]:
    """Return events, checked and copied.

    Raises:
        TypeError, ValueError: one is no `Event`, or as `Returning` says.
    """
    return [Returning(as_recorded(event)) for event in events]


def as_recorded(event: Any) -> Event:
    """Return what is an `Event`, and refuse what is none: a pair has no id, and no time."""
    if not isinstance(event, Event):
        msg = f"what is restored must be Events, with id and recorded_at, not {event!r}"
        raise TypeError(msg)
    return event


def restore(logs: Logs, events: Iterable[Returning]) -> int:
    """Put those events into the logs that are not there yet, all or none, and return how many these were.

    With the table's lock held.

    Raises:
        UnexpectedSequence, IdConflict: as `FullEventStore` says; nothing was changed.
    """
    new: dict[tuple[Hashable, UUID], Returning] = {}
    at: dict[Hashable, int] = {}  # where each stream will be
    for event in events:
        stream, key = event.stream, (event.stream, event.id)
        there = _there(logs, event) or _fact(new.get(key))
        if there is None:
            last = at.get(stream, logs.last(stream))
            if event.seq != last + 1:
                raise UnexpectedSequence(stream, event.seq - 1, last)
            at[stream], new[key] = event.seq, event
        elif there != _fact(event):
            raise IdConflict(stream, event.id, known=True)
    logs.add_all([(event, event.recorded_at) for event in new.values()])
    return len(new)


def _there(logs: Logs, event: Returning) -> tuple[int, Any] | None:
    """Return the number and payload of the event in the log that has this one's id."""
    log = logs.streams.get(event.stream)
    seq = None if log is None else log.known(event.id)
    return None if log is None or seq is None else (seq, log.event(seq).payload)


def _fact(event: Returning | None) -> tuple[int, Any] | None:
    return None if event is None else (event.seq, event.payloads[0])
