"""The events: what each is called, when it happens, what is measured and what is said about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EVENTS", "EventName", "EventType"]

EventName: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event; `EVENTS` has all that Hume executes.

    Args:
        name: its name, for `attach`.
        when: when it happens.
        measurements: the name of each measurement, and its unit.
        metadata: the name of each fact about the event, and what it is.
    """

    name: EventName
    when: str
    measurements: Mapping[str, str] = field(hash=False)
    metadata: Mapping[str, str] = field(hash=False)


_SECONDS: Final = "seconds"
_EVENTS: Final = "events"
_SEQ: Final = "number of an event in its stream, or its position where several streams are followed"
_EPOCH: Final = "owners that the table has had"
_RESTARTS: Final = "restarts of the child so far"

_PROJECTION: Final = {
    "projection": "its identity",
    "stream": "the stream, or streams, that it follows",
    "class": "its class",
}
_FOLD: Final = {"projection": "the projection class", "seq": "number of the last event in the result"}
_SPAN: Final = "an object that the start and the end have in common, and nothing else has"
_PUBLISH: Final = {"store": "the store", "stream": "the stream", "span": _SPAN}
_HANDLING: Final = {**_PROJECTION, "event": "the Event", "span": _SPAN}
_STORE: Final = {"store": "the store's ref", "stream": "the stream"}
_TRANSFER: Final = {
    "store": "the store, as it was given",
    "file": "the file, as it was given",
    "done": "True at the end",
}
_CHILD: Final = {
    "supervisor": "the supervisor's ref",
    "child_id": "the id of the child that died",
    "reason": "its exit reason",
}

_ALL: Final = (
    EventType(
        ("hume", "projection", "init"),
        "a projection has been started: its state is restored from its snapshot, and catching up begins",
        {"duration": _SECONDS, "seq": _SEQ},
        _PROJECTION,
    ),
    EventType(
        ("hume", "projection", "catch_up"),
        "events that a projection found in its log have been applied, or one of them has failed",
        {"duration": _SECONDS, "events": _EVENTS},
        {**_PROJECTION, "seq": "number of the last event applied"},
    ),
    EventType(
        ("hume", "projection", "caught_up"),
        "a projection has reached the end of its log",
        {"seq": _SEQ},
        _PROJECTION,
    ),
    EventType(
        ("hume", "projection", "snapshot"),
        "a snapshot has been saved, or could not be",
        {"duration": _SECONDS, "seq": _SEQ},
        {**_PROJECTION, "error": "what failed, or None"},
    ),
    EventType(
        ("hume", "projection", "unknown_event"),
        "a projection with strict=False has skipped an event that no clause handles",
        {"seq": _SEQ},
        {**_PROJECTION, "payload": "the event's payload"},
    ),
    EventType(
        ("hume", "projection", "handle_event", "start"),
        "a projection begins to handle an event",
        {"seq": _SEQ},
        _HANDLING,
    ),
    EventType(
        ("hume", "projection", "handle_event", "stop"),
        "it has handled the event, or failed; in the same thread as the start",
        {"duration": _SECONDS, "seq": _SEQ},
        {**_HANDLING, "error": "what the handler raised, or None"},
    ),
    EventType(
        ("hume", "projection", "lag"),
        "somebody has called poll: of each live projection, unless its store would have to be waited for",
        {"lag": "events that it is behind its log", "seq": _SEQ},
        _PROJECTION,
    ),
    EventType(("hume", "projection", "evolve"), "hume.evolve has returned", {"duration": _SECONDS}, _FOLD),
    EventType(
        ("hume", "projection", "replay"),
        "hume.replay has returned",
        {"duration": _SECONDS, "events": _EVENTS},
        _FOLD,
    ),
    EventType(
        ("hume", "publish", "start"),
        "hume.publish or publish_many is about to append",
        {"events": _EVENTS},
        {
            **_PUBLISH,
            "carrier": "a dict of the events' metadata, to which a handler may add; None: the store takes none",
        },
    ),
    EventType(
        ("hume", "publish", "stop"),
        "the append has returned, or failed; in the same thread as the start",
        {"duration": _SECONDS, "events": _EVENTS},
        {**_PUBLISH, "seq": "number of the last event, or None", "error": "what the append raised, or None"},
    ),
    EventType(
        ("hume", "store", "append"),
        "one of Hume's stores has stored something new in a stream",
        {"events": _EVENTS, "seq": _SEQ},
        _STORE,
    ),
    EventType(
        ("hume", "store", "export"),
        "`export_events` has written another thousand events, or is done",
        {"events": "events written so far", "total": "position of the store's last event", "duration": _SECONDS},
        _TRANSFER,
    ),
    EventType(
        ("hume", "store", "import"),
        "`import_events` has stored another thousand events (without telling of appends), or is done",
        {"events": "events read so far", "new": "those of them that the store did not have", "duration": _SECONDS},
        _TRANSFER,
    ),
    EventType(
        ("hume", "supervisor", "restart"),
        "a child has died, or could not be started again, and is restarted now or after the delay",
        {"restarts": _RESTARTS, "delay": _SECONDS},
        _CHILD,
    ),
    EventType(
        ("hume", "supervisor", "give_up"),
        "a child has died once too often, and its supervisor ends",
        {"restarts": _RESTARTS},
        _CHILD,
    ),
    EventType(
        ("hume", "heir", "received"),
        "the heir has a table whose owner has died",
        {"epoch": _EPOCH},
        {"table": "the table's name", "from_ref": "who owned it; None: an heir that has died"},
    ),
    EventType(
        ("hume", "heir", "sent"),
        "the heir has handed a table to who asked for it",
        {"epoch": _EPOCH},
        {"table": "the table's name", "to_ref": "who owns it now"},
    ),
    EventType(
        ("hume", "heir", "not_found"),
        "the heir was asked for a table that it does not have; that is how a first start begins",
        {},
        {"table": "the name asked for"},
    ),
    EventType(
        ("hume", "telemetry", "handler_failed"),
        "a telemetry handler has raised, and is detached",
        {},
        {"handler_id": "its id", "event": "the name of the event that it was handling", "error": "what it raised"},
    ),
)

EVENTS: Final[Mapping[EventName, EventType]] = MappingProxyType({event.name: event for event in _ALL})
"""Every event that Hume executes, by its name."""
