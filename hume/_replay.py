"""The fold: events into a state. Pure but for `Fold.give_way`, which lets readers in between two events."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from functools import partial
from operator import length_hint
from typing import TYPE_CHECKING, Any, TypeVar, cast

from hume import telemetry
from hume._behaviour import Clauses, bare
from hume._snapshot import Snapshot
from hume.actors._isolate import is_immutable, isolated
from hume.errors import StaleEvent
from hume.stores._event import PAYLOAD, SEQ, Event, as_event, unshared
from hume.stores._page import EventPage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hume._projection import Projection
    from hume.stores._page import Page

__all__ = ["Fold", "apply", "evolve", "in_order", "replay"]

S = TypeVar("S")

_EVOLVE = ("hume", "projection", "evolve")
_REPLAY = ("hume", "projection", "replay")


class Fold:
    """A state, and the number of the last event in it (its position, where several streams are folded)."""

    __slots__ = ("_at", "_page", "cursor", "seq", "state", "unknown", "waiting")

    def __init__(self, seq: int, state: Any, cursor: int = SEQ) -> None:
        self.seq, self.state, self.cursor = seq, state, cursor
        self._page: Page | None = None  # that is being applied ...
        self._at: Iterator[Any] = iter(())  # ... and how far
        self.unknown = 0  # events that no clause handles, and that were skipped
        self.waiting = False  # somebody wants to read in between

    @property
    def event(self) -> Event | None:
        """The event that is being handled; for the thread that handles it."""
        page = self._page
        # The loop over a list keeps count of where it is, and says how much is left: so the loop itself need not count.
        return None if page is None else page.event(len(page.payloads) - length_hint(self._at) - 1)

    def skip(self, event: Event) -> None:
        """Count an event that no clause handles."""
        self.unknown += 1

    def give_way(self) -> None:
        """Let those read who wait; in a pure fold there are none."""


def apply(fold: Fold, clauses: Clauses, page: Page) -> None:
    """Apply events in order; ``fold.seq`` is for the caller to set, who knows how far the page goes.

    If a handler raises, the fold stands at the event before, with a state to throw away.
    """
    step, state = clauses.step if clauses._strict else partial(_lenient_step, fold, clauses), fold.state
    fold._at = items = iter(page.events() if clauses.whole else page.payloads)
    fold._page = page
    try:
        for item in items:  # the library's hottest lines
            state = step(item, state)
            if state is None:
                clauses.unknown(cast("Event", fold.event))  # raises
            if fold.waiting:
                fold.seq, fold.state = _reached(fold), state
                fold.give_way()
    except BaseException:
        fold.seq = _reached(fold) - 1
        raise
    finally:
        fold.state, fold._page, fold._at = state, None, iter(())


def _lenient_step(fold: Fold, clauses: Clauses, item: Any, state: Any) -> Any:
    new = clauses.step(item, state)
    if new is not None:
        return new
    event = cast("Event", fold.event)
    clauses.unknown(event)  # logs
    fold.skip(event)
    return state


def _reached(fold: Fold) -> int:
    """Return the number of the event in hand."""
    return cast("Event", fold.event)[fold.cursor]  # type: ignore[no-any-return]  # a number


def evolve(
    cls: type[Projection[S]],
    event: Event | tuple[int, Any],
    snapshot: Snapshot[S] | None,
    strict: bool = True,  # noqa: FBT001, FBT002 - the design fixes the signature
) -> Snapshot[S]:
    """Return the snapshot that follows when one event is applied. Pure: what is given is not changed.

    Args:
        cls: the projection class; no actor is started, and its handlers see no attributes of one.
        event: an `Event`, or a pair ``(seq, payload)``.
        snapshot: where to start; `None`: at the class's initial state.
        strict: whether an event that no clause handles raises `UnknownEvent`, or is skipped.

    Raises:
        StaleEvent: the event's number is not above the snapshot's.
        UnknownEvent: no clause handles it.
    """
    began = time.perf_counter()
    result, _ = _fold(cls, snapshot, (event,), strict=strict)
    if telemetry.attached(_EVOLVE):
        about = {"projection": cls, "seq": result.seq}
        telemetry.execute(_EVOLVE, {"duration": time.perf_counter() - began}, about)
    return result


def replay(
    cls: type[Projection[S]],
    snapshot: Snapshot[S] | None,
    events: Iterable[Event | tuple[int, Any]],
    strict: bool = True,  # noqa: FBT001, FBT002 - the design fixes the signature
) -> tuple[Snapshot[S], int]:
    """Return the snapshot that follows when events are applied in order, and how many there were. Pure, as `evolve`.

    Raises:
        StaleEvent: an event's number is not above the one before it, or the snapshot's.
        UnknownEvent: no clause handles an event.
    """
    began = time.perf_counter()
    result, count = _fold(cls, snapshot, events, strict=strict)
    if telemetry.attached(_REPLAY):
        measurements = {"duration": time.perf_counter() - began, "events": count}
        telemetry.execute(_REPLAY, measurements, {"projection": cls, "seq": result.seq})
    return result, count


def _fold(
    cls: type[Projection[S]], snapshot: Snapshot[S] | None, items: Iterable[Any], *, strict: bool
) -> tuple[Snapshot[S], int]:
    if not isinstance(snapshot, Snapshot | None):
        msg = f"snapshot must be a Snapshot, or None to begin with init_state, not {snapshot!r}"
        raise TypeError(msg)
    if not isinstance(items, Iterable):
        msg = f"events must be several, such as a list of them, not {items!r}; evolve takes one"
        raise TypeError(msg)
    instance = bare(cls)
    if snapshot is None:
        snapshot = Snapshot(0, instance.init_state(None))
    events = in_order(items, snapshot.seq)
    fold = Fold(snapshot.seq, isolated(snapshot.state, cls.__hume_options__.copy_state))
    try:
        apply(fold, Clauses(instance, cls.__hume_handlers__, strict=strict), EventPage(events))
    except AttributeError as error:
        if error.obj is instance:
            error.add_note("a pure fold runs no actor: there are the class's attributes, and none that on_init sets")
        raise
    return dataclasses.replace(snapshot, seq=events[-1].seq if events else snapshot.seq, state=fold.state), len(events)


def in_order(items: Iterable[Any], after: int) -> list[Event]:
    """Return somebody's events as `Event`s, with payloads of their own, since a handler may put those into a state.

    Raises:
        StaleEvent: a number is not above *after*, or the one before it.
        TypeError: an item is neither an `Event` nor a ``(seq, payload)`` pair.
    """
    events: list[Event] = []
    for item in items:
        event = item if type(item) is Event else as_event(item)
        seq = event[SEQ]
        if seq <= after and not _is_sibling(event, events):
            raise StaleEvent(seq, after)
        after = seq
        events.append(event if is_immutable(event[PAYLOAD]) else unshared(event))
    return events


def _is_sibling(event: Event, before: Sequence[Event]) -> bool:
    """Tell whether an event is, with the one before it, one of those into which an upcaster split an older one."""
    return bool(before) and event.id is not None and (before[-1].id, before[-1].seq) == (event.id, event.seq)
