"""What a projection class says about itself: options, clauses, unknown events. No threads here."""

from __future__ import annotations

import copy
import dataclasses
import logging
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict, TypeVar

from hume._snapshot import SnapshotStore
from hume.actors._child_spec import check_known, is_seconds
from hume.actors._registry import in_seconds
from hume.errors import UnknownEvent
from hume.telemetry._log_fields import fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hume.stores._event import Event

__all__ = ["ClassOptions", "Clauses", "Options", "StartOptions", "bare", "handlers_of", "handles", "merge"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_log = logging.getLogger("hume.projection")

_MARK: Final = "_hume_handles"


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """The class options of a projection; see `Projection`."""

    store: Any = None
    snapshots: Any = None
    snapshot_every: int | None = 100
    snapshot_after: float | None = 30.0
    catch_up_after: float = 30.0
    strict: bool = True
    copy_state: Callable[[Any], Any] | None = copy.deepcopy
    version: Hashable = 1

    def __post_init__(self) -> None:
        every = self.snapshot_every
        if every is not None and (isinstance(every, bool) or not isinstance(every, int) or every < 1):
            msg = f"snapshot_every must be a whole number of events, at least 1, or None, not {every!r}"
            raise ValueError(msg)
        if self.snapshot_after is not None and not _is_period(self.snapshot_after):
            given = f"{self.snapshot_after!r}{in_seconds(self.snapshot_after)}"
            msg = f"snapshot_after must be a number of seconds greater than 0, or None, not {given}"
            raise ValueError(msg)
        if not _is_period(self.catch_up_after):
            given = f"{self.catch_up_after!r}{in_seconds(self.catch_up_after)}"
            msg = f"catch_up_after must be a number of seconds greater than 0, not {given}"
            raise ValueError(msg)
        if not isinstance(self.strict, bool):
            msg = f"strict must be a bool, not {self.strict!r}"
            raise TypeError(msg)
        if self.copy_state is not None and not callable(self.copy_state):
            msg = f"copy_state must be a function that copies a state, or None, not {self.copy_state!r}"
            raise TypeError(msg)
        if self.snapshots is not None and (
            isinstance(self.snapshots, type) or not isinstance(self.snapshots, SnapshotStore)
        ):
            msg = (
                f"snapshots must be an object with last_snapshot and persist_snapshot, or None, not {self.snapshots!r}"
            )
            raise TypeError(msg)
        if not isinstance(self.version, Hashable) or self.version is None:
            msg = f"version must be hashable, such as a number, and not None; it is {self.version!r}"
            raise TypeError(msg)


class ClassOptions(TypedDict, total=False):
    """What may stand in a projection's class line, for type checkers; see `Projection`."""

    store: Any
    snapshots: SnapshotStore | None
    snapshot_every: int | None
    snapshot_after: float | None
    catch_up_after: float
    strict: bool
    copy_state: Callable[[Any], Any] | None
    version: Hashable


class StartOptions(ClassOptions, total=False):
    """What a projection may be started with, for type checkers; see `Projection.start`."""

    stream: Required[Any]
    projection: Hashable
    name: Hashable
    timeout: float | None


def _is_period(value: object) -> bool:
    return is_seconds(value) and value != 0


_NAMES: Final = tuple(field.name for field in dataclasses.fields(Options))


def merge(base: Options, given: Mapping[str, Any], also: tuple[str, ...] = ()) -> Options:
    """Return *base* with what is given in its place.

    Args:
        also: further names that the caller takes, for the error message.

    Raises:
        TypeError: an option is unknown; the message names those there are.
        TypeError, ValueError: an option's value is not allowed.
    """
    check_known(given, (*also, *_NAMES))
    return dataclasses.replace(base, **given)


def handles(*event_types: type) -> Callable[[F], F]:
    """Mark a method of a projection as the one that handles events of these types; it is called ``(event, state)``.

    Of several that fit, the one for the nearest type in the event's method resolution order is taken.

    Raises:
        TypeError: no type is given, or something that is no type.

    Example::

        class Balance(hume.Projection, store=hume.EventStoreActor):
            def init_state(self, projection):
                return 0

            @hume.handles(Deposited)
            def deposited(self, event, state):
                return state + event.amount
    """
    if not event_types or not all(isinstance(kind, type) for kind in event_types):
        given = ", ".join(map(repr, event_types)) or "none"
        msg = f"handles needs one or more event types, as @handles(Deposited) or @handles(Deposited, Paid), not {given}"
        raise TypeError(msg)

    def mark(method: F) -> F:
        setattr(method, _MARK, event_types)
        return method

    return mark


def handlers_of(cls: type) -> dict[type, str]:
    """Return which method handles which event type.

    Raises:
        TypeError: one class names two methods for one type.
    """
    found: dict[type, str] = {}
    for base in reversed(cls.__mro__):
        here: dict[type, str] = {}
        for name, member in vars(base).items():
            for kind in getattr(member, _MARK, ()):
                if kind in here:
                    msg = f"{base.__name__} handles {kind.__name__} twice: in {here[kind]} and in {name}"
                    raise TypeError(msg)
                here[kind] = name
        again = set(here.values())  # what a method is said to handle here counts, not what it did in a base
        found = {kind: name for kind, name in found.items() if name not in again} | here
    return found


class Clauses:
    """How one projection handles an event: ``step(payload, state)`` is the new state, `None` if no clause fits."""

    __slots__ = ("_by_type", "_owner", "_server", "_strict", "step", "whole")

    def __init__(self, instance: Any, handlers: Mapping[type, str], *, strict: bool) -> None:
        self._owner = type(instance).__name__
        self._server = str(instance) if hasattr(instance, "actor_inbox") else self._owner
        self._strict = strict
        self._by_type: dict[type, Callable[[Any, Any], Any] | None] = {
            kind: getattr(instance, name) for kind, name in handlers.items()
        }
        self.whole: bool = instance.__hume_recorded__  # step gets the event, not just its payload
        handle_event: Callable[[Any, Any], Any]
        if self.whole:
            handle_event = instance.handle_recorded
        else:
            handle_event = self._by_clause if handlers else instance.handle_event
        self.step = handle_event if strict else _skipping(handle_event)

    def _by_clause(self, payload: Any, state: Any) -> Any:
        kind = type(payload)
        try:
            clause = self._by_type[kind]
        except KeyError:
            clause = self._by_type[kind] = next(filter(None, map(self._by_type.get, kind.__mro__)), None)
        return None if clause is None else clause(payload, state)

    def unknown(self, event: Event) -> None:
        """Deal with an event for which `step` returned `None`: raise, or, if not strict, log it.

        Raises:
            UnknownEvent: the projection is strict.
        """
        clauses = [kind.__name__ for kind, clause in self._by_type.items() if clause is not None]
        clause = self._by_type.get(type(event.payload))
        if clauses and clause is None:
            hint = f": there are clauses for {', '.join(clauses)}"
        else:
            name = getattr(clause, "__name__", "handle_recorded" if self.whole else "handle_event")
            hint = f": {name} returned None; return the new state, also when it was changed in place"
        if self._strict:
            raise UnknownEvent(self._owner, event.payload, hint)
        about = fields(server=self._server, stream=event.stream, seq=event.seq)
        words = "%s skips event %d: no clause handles %r"
        _log.warning(words, self._server, event.seq, event.payload, extra=about)


def _skipping(handle_event: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def step(payload: Any, state: Any) -> Any:
        try:
            return handle_event(payload, state)
        except UnknownEvent:
            return None

    return step


def bare(cls: type[T]) -> T:
    """Return an instance that is no actor, for the callbacks that are pure: it has no thread and no attributes."""
    if not hasattr(cls, "__hume_options__") or not isinstance(cls, type):
        msg = f"expected a subclass of hume.Projection, not {cls!r}"
        raise TypeError(msg)
    return object.__new__(cls)
