"""Attach functions to what happens inside Hume: ``attach``, ``detach``, ``execute``.

An event has a name, which is a tuple of strings; each time it happens it comes with *measurements* (numbers) and
*metadata* (what it is about). `EVENTS` lists all that Hume executes, and says what comes with each::

    telemetry.EVENTS["hume", "projection", "snapshot"].measurements     # {"duration": "seconds", "seq": ...}

    def slow(event_name, measurements, metadata, config):
        if measurements["duration"] > config:
            print(metadata["projection"], "takes long to save its state")

    telemetry.attach("slow snapshots", ("hume", "projection", "snapshot"), slow, 1.0)

Durations are seconds. Handlers run in the thread in which the event happens, in the order attached; keep them short.
`poll` executes the events that tell of a condition and do not happen by themselves.

What a person should read goes to the standard ``logging``, under ``hume``: once for each crash, with the traceback, and
once for each restart. Records have fields of their own, for formatters that write JSON, and for filters; each is a
string or a number:

===================  ==================================================================================
field                what it is
===================  ==================================================================================
``hume_server``      the actor: class, name and URN, as in the message
``hume_reason``      why it ended, or what failed
``hume_projection``  the projection's identity
``hume_stream``      the stream, or streams, that it follows
``hume_seq``         the number of the event at issue, or else of the last one applied
``hume_child``       the id of a supervisor's child
``hume_restarts``    restarts of the child so far
``hume_delay``       seconds until it is restarted
``hume_table``       the name of a table
``hume_handler``     the id of a telemetry handler
``hume_event``       the name of a telemetry event, with dots: ``hume.store.append``
===================  ==================================================================================
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from hume import errors
from hume.telemetry import _log_fields
from hume.telemetry._events import EVENTS, EventName, EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

__all__ = ["EVENTS", "EventName", "EventType", "attach", "attached", "detach", "execute", "poll"]

HANDLER_FAILED: Final[EventName] = ("hume", "telemetry", "handler_failed")

_OURS: Final = HANDLER_FAILED[:1]  # what the names of all of Hume's own events begin with
_log = logging.getLogger("hume.telemetry")


class _Handler(NamedTuple):
    id: Hashable
    fn: Callable[[EventName, Mapping[str, Any], Mapping[str, Any], Any], object]
    config: Any


# Written under the lock, always by putting a new tuple in place; read without it: a reader sees the old tuple or the
# new one, whole. The hottest paths ask whether it is empty before they ask anything else.
_handlers: dict[EventName, tuple[_Handler, ...]] = {}
_lock = threading.Lock()
_sources: list[Callable[[], None]] = []  # of what `poll` is to tell; filled by the modules when they are imported


def attach(
    handler_id: Hashable,
    event_name: EventName,
    fn: Callable[[EventName, Mapping[str, Any], Mapping[str, Any], Any], object],
    config: Any = None,
) -> None:
    """Call ``fn(event_name, measurements, metadata, config)`` at every such event from now on.

    A handler that raises is detached, which is logged, and disturbs nobody.

    Raises:
        TelemetryError: ``handler_id`` is attached already.
        TypeError: ``event_name`` is no tuple of strings, or ``fn`` can't be called.
        ValueError: it begins with ``"hume"``, and is none of `EVENTS`.
    """
    if not isinstance(event_name, tuple) or not all(isinstance(part, str) for part in event_name):
        msg = f"event_name must be a tuple of strings such as ('hume', 'store', 'append'), not {event_name!r}"
        raise TypeError(msg)
    if event_name[0:1] == _OURS and event_name not in EVENTS:
        import difflib  # noqa: PLC0415 - needed for this message only

        dotted = {".".join(name): name for name in EVENTS}
        nearest = dotted[difflib.get_close_matches(".".join(event_name), dotted, 1, 0.0)[0]]
        msg = f"Hume executes no event {event_name!r}; do you mean {nearest!r}? hume.telemetry.EVENTS has all"
        raise ValueError(msg)
    if not callable(fn):
        msg = f"fn must be callable as fn(event_name, measurements, metadata, config), not {fn!r}"
        raise TypeError(msg)
    with _lock:
        if any(handler.id == handler_id for group in _handlers.values() for handler in group):
            msg = f"telemetry handler {handler_id!r} is attached already; detach it first, or choose another id"
            raise errors.TelemetryError(msg)
        _handlers[event_name] = (*_handlers.get(event_name, ()), _Handler(handler_id, fn, config))


def detach(handler_id: Hashable) -> None:
    """Detach the handler, wherever it is attached.

    Raises:
        TelemetryError: no handler has that id.
    """
    if not _remove(handler_id):
        msg = f"telemetry handler {handler_id!r} is not attached"
        raise errors.TelemetryError(msg)


def attached(event_name: EventName) -> bool:
    """Tell whether anybody listens. Ask before building what only a handler would see."""
    return event_name in _handlers


def execute(event_name: EventName, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Run the handlers of *event_name*, here and now, in the order attached."""
    for handler in _handlers.get(event_name, ()):
        try:
            handler.fn(event_name, measurements, metadata, handler.config)
        except Exception as error:  # noqa: BLE001 - somebody's handler; it is detached and logged
            if _remove(handler.id):  # of several threads in a failing handler, one reports it
                about = _log_fields.fields(handler=handler.id, event=".".join(event_name), reason=error)
                _log.exception("telemetry handler %r failed at %r and is detached", handler.id, event_name, extra=about)
                if event_name != HANDLER_FAILED:
                    execute(HANDLER_FAILED, {}, {"handler_id": handler.id, "event": event_name, "error": error})


def poll() -> None:
    """Execute, in this thread, the events that tell of a condition: ``("hume", "projection", "lag")``.

    They do not happen by themselves, so call this as often as you want to know, about every ten seconds for instance.
    """
    for source in _sources:
        source()


def _remove(handler_id: Hashable) -> bool:
    with _lock:
        for event_name, group in list(_handlers.items()):
            kept = tuple(handler for handler in group if handler.id != handler_id)
            if len(kept) < len(group):
                if kept:
                    _handlers[event_name] = kept
                else:
                    del _handlers[event_name]
                return True
    return False
