"""What only those pay for who listen: the starts and ends of an append and of the handling of an event; the lag."""

from __future__ import annotations

import copy
import functools
import inspect
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import pykka

from hume import telemetry
from hume._view import View
from hume.stores._event_store import DirectStore, _ActorStore, metadata_argument, resolve

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    from hume._behaviour import Clauses
    from hume.stores._event import Event
    from hume.stores._event_store import EventStore

__all__ = ["append", "is_handling_watched", "is_publishing_watched", "watched"]

_PUBLISH_START: Final = ("hume", "publish", "start")
_PUBLISH_STOP: Final = ("hume", "publish", "stop")
_HANDLE_START: Final = ("hume", "projection", "handle_event", "start")
_HANDLE_STOP: Final = ("hume", "projection", "handle_event", "stop")
_LAG: Final = ("hume", "projection", "lag")


# -- publishing


def is_publishing_watched() -> bool:
    """Tell whether somebody listens to the starts or ends of appends."""
    return telemetry.attached(_PUBLISH_START) or telemetry.attached(_PUBLISH_STOP)


def append(
    store: EventStore,
    stream: Hashable,
    payloads: Sequence[Any],
    expect_seq: int | None,
    metadata: Mapping[str, Any] | None,
) -> int:
    """Append as the store does, with the metadata that listeners add; what the publisher gives wins."""
    carrier: dict[str, Any] | None = None
    if _takes_metadata(store) and (metadata is None or isinstance(metadata, Mapping)):  # else the store will refuse it
        carrier = dict(metadata or {})
    about = {"store": store, "stream": stream, "span": object()}
    telemetry.execute(_PUBLISH_START, {"events": len(payloads)}, {**about, "carrier": carrier})
    if carrier:
        metadata = {**carrier, **(metadata or {})}
    began = time.perf_counter()

    def stopped(seq: int | None, error: BaseException | None) -> None:
        measurements = {"duration": time.perf_counter() - began, "events": len(payloads)}
        telemetry.execute(_PUBLISH_STOP, measurements, {**about, "seq": seq, "error": error})

    try:
        seq = store.append(stream, payloads, expect_seq, **metadata_argument(metadata))
    except BaseException as error:
        stopped(None, error)
        raise
    stopped(seq, None)
    return seq


def _takes_metadata(store: EventStore) -> bool:
    if isinstance(store, DirectStore):
        return True
    method: Any = store.append
    if isinstance(store, _ActorStore):  # which hands on what it gets
        method = store._proxy.actor_ref.actor_class.append
    try:
        parameters = inspect.signature(method).parameters
    except (TypeError, ValueError):  # written in C, perhaps
        return False
    return "metadata" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


# -- handling


def is_handling_watched() -> bool:
    """Tell whether somebody listens to the starts or ends of handling an event."""
    return telemetry.attached(_HANDLE_START) or telemetry.attached(_HANDLE_STOP)


def watched(clauses: Clauses, view: View) -> Clauses:
    """Return clauses that do the same, and tell of each event when its handling starts and ends."""
    telling = copy.copy(clauses)
    telling.step = functools.partial(_step, clauses, view.about(), view.cursor)
    telling.whole = True
    return telling


def _step(clauses: Clauses, about: dict[str, Any], cursor: int, event: Event, state: Any) -> Any:
    measurements = {"seq": event[cursor]}
    about = {**about, "event": event, "span": object()}
    telemetry.execute(_HANDLE_START, measurements, about)
    began = time.perf_counter()

    def stopped(error: BaseException | None) -> None:
        duration = time.perf_counter() - began
        telemetry.execute(_HANDLE_STOP, {"duration": duration, **measurements}, {**about, "error": error})

    try:
        new = clauses.step(event if clauses.whole else event.payload, state)
        if new is None and clauses._strict:
            clauses.unknown(event)  # raises: here, so that it is the handling's error
    except BaseException as error:
        stopped(error)
        raise
    stopped(None)
    return new


# -- lag


def tell_lag() -> None:
    """Tell of each live projection how far it is behind its log."""
    if not telemetry.attached(_LAG):
        return
    for view in _views():
        with suppress(Exception):  # its store is down, or somebody's own that raises: then nobody knows the lag
            store = resolve(view.store)
            if not isinstance(store, _ActorStore):  # which would have to be waited for
                seq = view.seq  # before the end is looked up, so that it is never seen beyond it
                measurements = {"lag": max(0, view.feed.last(store) - seq), "seq": seq}
                telemetry.execute(_LAG, measurements, view.about())


def _views() -> Iterator[View]:
    for ref in pykka.ActorRegistry.get_all():
        view = getattr(ref.actor_inbox, "face", None)
        if isinstance(view, View):
            yield view


telemetry._sources.append(tell_lag)
