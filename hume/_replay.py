"""The fold: events into a state. Pure but for `Fold.give_way`, which lets readers in between two events."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any, TypeVar

from hume import telemetry
from hume._behaviour import Clauses, bare
from hume._snapshot import Snapshot
from hume.actors._isolate import isolated
from hume.errors import StaleEvent
from hume.stores._event import SEQ, Event, as_event, unshared

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hume._projection import Projection

__all__ = ["Fold", "apply", "evolve", "in_order", "replay"]

S = TypeVar("S")

_EVOLVE = ("hume", "projection", "evolve")
_REPLAY = ("hume", "projection", "replay")


class Fold:
    """A state, and the number of the last event in it (its position, where several streams are folded)."""

    __slots__ = ("cursor", "event", "seq", "state", "unknown", "waiting")

    def __init__(self, seq: int, state: Any, cursor: int = SEQ) -> None:
        self.seq, self.state, self.cursor = seq, state, cursor
        self.event: Event | None = None  # that is being handled
        self.unknown = 0  # events that no clause handles, and that were skipped
        self.waiting = False  # somebody wants to read in between

    def skip(self, event: Event) -> None:
        """Count an event that no clause handles."""
        self.unknown += 1

    def give_way(self) -> None:
        """Let those read who wait; in a pure fold there are none."""


def apply(fold: Fold, clauses: Clauses, events: Sequence[Event]) -> None:
    """Apply events in order. If a handler raises, the fold stands at the event before, with a state to throw away."""
    step, whole, state, cursor = clauses.step, clauses.whole, fold.state, fold.cursor
    event: Event | None = None
    try:
        for event in events:  # the library's hottest lines; event[1] is its payload
            fold.event = event
            new = step(event if whole else event[1], state)
            if new is None:
                new = clauses.unknown(event, state)  # raises, or skips the event
                fold.skip(event)
            state = new
            if fold.waiting:
                fold.seq, fold.state = event[cursor], state
                fold.give_way()
        if event is not None:
            fold.seq = event[cursor]
    except BaseException:
        if event is not None:
            fold.seq = event[cursor] - 1
        raise
    finally:
        fold.state, fold.event = state, None


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
    instance = bare(cls)
    if snapshot is None:
        snapshot = Snapshot(0, instance.init_state(None))
    events = in_order(items, snapshot.seq)
    fold = Fold(snapshot.seq, isolated(snapshot.state, cls.__hume_options__.copy_state))
    apply(fold, Clauses(instance, cls.__hume_handlers__, strict=strict), events)
    return dataclasses.replace(snapshot, seq=fold.seq, state=fold.state), len(events)


def in_order(items: Iterable[Any], after: int) -> list[Event]:
    """Return somebody's events as `Event`s, with payloads of their own, since a handler may put those into a state.

    Raises:
        StaleEvent: a number is not above *after*, or the one before it.
        TypeError: an item is neither an `Event` nor a ``(seq, payload)`` pair.
    """
    events: list[Event] = []
    for item in items:
        event = as_event(item)
        if event.seq <= after and not _is_sibling(event, events):
            raise StaleEvent(event.seq, after)
        after = event.seq
        events.append(unshared(event))
    return events


def _is_sibling(event: Event, before: Sequence[Event]) -> bool:
    """Tell whether an event is, with the one before it, one of those into which an upcaster split an older one."""
    return bool(before) and event.id is not None and (before[-1].id, before[-1].seq) == (event.id, event.seq)
