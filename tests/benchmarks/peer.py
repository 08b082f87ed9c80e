"""The peer: ``eventsourcing``, driven the way that is fastest for it, with the same payloads."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from eventsourcing.application import Application
from eventsourcing.domain import DomainEvent
from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.popo import POPOAggregateRecorder, POPOApplicationRecorder, POPOTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from eventsourcing.sqlite import SQLiteApplicationRecorder, SQLiteDatastore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "LIMIT",
    "ORIGIN",
    "Added",
    "POPOAggregateRecorder",
    "added",
    "application",
    "mapper",
    "runner",
    "sqlite",
    "stored",
]

LIMIT: Final = 60.0  # seconds that the runner may take
ORIGIN: Final = uuid.UUID(int=1)


class Added(DomainEvent):
    """An event with a payload, a frozen dataclass as all of the library's."""

    payload: Any


def added(seq: int, payload: Any) -> Added:
    """Return an event as an application's user makes it."""
    return Added(originator_id=ORIGIN, originator_version=seq, timestamp=Added.create_timestamp(), payload=payload)


def stored(seq: int, state: bytes, stream: str = "stream") -> Any:
    """Return an event as a recorder takes it."""
    return StoredEvent(originator_id=stream, originator_version=seq, topic="topic", state=state)


def mapper() -> Any:
    """Return what makes stored events of events, and the reverse; with JSON, as it comes."""
    return Application().mapper


@contextmanager
def sqlite(path: str) -> Iterator[Any]:
    """Give a recorder for a file, with a number for each event in the whole (as ours has), as an application does."""
    datastore = SQLiteDatastore(path)
    recorder = SQLiteApplicationRecorder(datastore)
    recorder.create_table()
    try:
        yield recorder
    finally:
        datastore.close()


class _Total(POPOTrackingRecorder):
    """The view: a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0


class _Sum(Projection[_Total]):
    """The projection: adds the payloads, and says so."""

    told: Callable[[], object] = int  # to be called after each event

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        view = self.view
        with view._database_lock:
            view.total += domain_event.payload
            view.insert_tracking(tracking)
        self.told()


def application(count: int = 0) -> type[Application[Any]]:
    """Return an application class, all of whose instances share one log in memory, with *count* events in it."""
    recorder = POPOApplicationRecorder()

    class Shared(Application[Any]):
        def construct_recorder(self) -> Any:
            return recorder

    Shared().save(*(added(seq, 1) for seq in range(1, count + 1)))
    return Shared


@contextmanager
def runner(app: type[Application[Any]], told: Callable[[], object] | None = None) -> Iterator[Any]:
    """Give a running projection of an application, that calls *told* after each event."""
    projection = type("Sum", (_Sum,), {} if told is None else {"told": staticmethod(told)})
    with ProjectionRunner(application_class=app, projection_class=projection, view_class=_Total) as running:
        yield running
