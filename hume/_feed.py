"""Where a projection's events come from: one stream, or several in the store's global order."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, TypeAlias

from hume import _bus
from hume._replay import in_order
from hume.errors import InvalidStore
from hume.stores._batch import check_stream
from hume.stores._event import POSITION, SEQ, unshared
from hume.stores._event_store import DirectStore
from hume.stores._page import EventPage
from hume.stores._selector import Selector, select

if TYPE_CHECKING:
    from collections.abc import Hashable

    from hume.actors._mailbox import Mailbox
    from hume.stores._event import Event
    from hume.stores._event_store import EventStore
    from hume.stores._page import Page

__all__ = ["Feed", "SelectorFeed", "StreamFeed", "feed_of"]


class StreamFeed:
    """One stream, counted by its numbers."""

    cursor = SEQ  # which of an event's fields counts

    def __init__(self, stream: Hashable) -> None:
        self.stream = stream

    def check(self, store: EventStore) -> None:
        """Refuse a store that can't give this."""

    def subscribe(self, hint: _bus.Hint, mailbox: Mailbox) -> None:
        """Have a hint given whenever there is more."""
        _bus.subscribe(self.stream, hint, mailbox)

    def last(self, store: EventStore) -> int:
        """Return the number of the last event that there is now."""
        return store.last_seq(self.stream)

    def page(self, store: EventStore, after: int, limit: int) -> tuple[Page, int, int]:
        """Return about *limit* events that follow *after*, up to where these are all, and where the end is."""
        if isinstance(store, DirectStore):
            return store.page(self.stream, after, limit)
        last = self.last(store)
        limit = min(limit, last - after)
        if limit <= 0:
            return EventPage(), after, last
        events = in_order(itertools.islice(store.events(self.stream, after, limit), limit), after)
        return EventPage(events), events[-1].seq if events else after, last


class SelectorFeed:
    """Several streams, counted by position."""

    cursor = POSITION

    def __init__(self, selector: Selector) -> None:
        self.stream = selector

    def check(self, store: Any) -> None:
        """Refuse a store that has no global order."""
        missing = tuple(name for name in ("all_events", "last_position") if not callable(getattr(store, name, None)))
        if missing:
            raise InvalidStore(store, missing)

    def subscribe(self, hint: _bus.Hint, mailbox: Mailbox) -> None:
        """Have a hint given whenever there is more."""
        _bus.subscribe_selector(self.stream, hint, mailbox)

    def last(self, store: Any) -> int:
        """Return the position of the last event that there is now, selected or not."""
        position: int = store.last_position()
        return position

    def page(self, store: Any, after: int, limit: int) -> tuple[Page, int, int]:
        """Return about *limit* events that follow *after*, up to where these are all, and where the end is."""
        if isinstance(store, DirectStore):
            return store.page_of(self.stream, after, limit)
        last = self.last(store)
        if last <= after:
            return EventPage(), after, last
        found = store.all_events(after, limit, self.stream.streams, self.stream.prefix)
        events: list[Event] = list(map(unshared, itertools.islice(found, limit)))
        end = events[-1][POSITION] if events else 0
        return EventPage(events), end if len(events) == limit else max(end, last), last


Feed: TypeAlias = StreamFeed | SelectorFeed


def feed_of(stream: Any) -> Feed:
    """Return the feed for a projection's ``stream=``: one stream, a list of them, ``prefix(...)`` or ``ALL``.

    Raises:
        TypeError: it is none of these; ValueError: an empty list.
    """
    if isinstance(stream, Selector):
        return SelectorFeed(stream)
    if isinstance(stream, list | set):
        if not stream:
            msg = "stream=[] selects nothing; give one stream or more, prefix(...) or ALL"
            raise ValueError(msg)
        return SelectorFeed(select(stream, None))
    try:
        check_stream(stream)
    except TypeError as error:
        msg = f"{error}; for several give a list of names, prefix(...) or ALL"
        raise TypeError(msg) from None
    return StreamFeed(stream)
