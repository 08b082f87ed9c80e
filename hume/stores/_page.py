"""Some events that follow each other, as a fold gets them: payloads, of which whole events are made when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from hume.stores._event import PAYLOAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hume.stores._event import Event

__all__ = ["EventPage", "Page"]


class Page(Protocol):
    """A part of a log; in order, and never changed."""

    payloads: Sequence[Any]
    """What the events say, with nobody else's objects in it that can be changed."""

    def event(self, index: int) -> Event:
        """Return one of the events whole."""
        ...

    def events(self) -> Sequence[Event]:
        """Return all of the events whole."""
        ...


class EventPage:
    """A page of events that are there already."""

    __slots__ = ("_events", "payloads")

    def __init__(self, events: Sequence[Event] = ()) -> None:
        self._events = events
        self.payloads: Sequence[Any] = [event[PAYLOAD] for event in events]

    def event(self, index: int) -> Event:
        """Return one of them."""
        return self._events[index]

    def events(self) -> Sequence[Event]:
        """Return them."""
        return self._events
