"""Every exception of the library, one class per decision that a caller can take.

::

    HumeError
    ├── ActorDead            (also pykka.ActorDeadError)  the server is dead, unknown, or died before it answered
    ├── Timeout              (also pykka.Timeout)         no answer in time
    ├── CallingSelf                                       the call would wait for its own caller
    ├── AlreadyStarted                                    the name, identity or child id runs already
    ├── SupervisorError
    │   ├── AlreadyPresent                                a stopped child has that id
    │   ├── ChildNotFound                                 no child has that id
    │   ├── ChildRunning                                  the child runs
    │   ├── ChildRestarting                               the child waits for its next try
    │   ├── MaxChildren                                   the supervisor is full
    │   └── StartFailed                                   a child did not start; its error is the cause
    ├── TableError
    │   ├── NotOwner                                      only the owner may do that
    │   ├── NotFound                                      nobody has that table
    │   └── TableDeleted                                  the table is gone
    ├── TelemetryError                                    a handler id that is taken, or unknown
    ├── CodecError
    │   ├── EncodeError                                   the payload can't be stored as bytes
    │   └── DecodeError                                   stored bytes can't be read back
    ├── InvalidStore                                      the object is no event store
    ├── UnexpectedSequence                                the stream has moved on: read again and retry
    ├── IdConflict                                        an id is known with another payload
    ├── StorageFailed                                     a file can't be used: nothing was stored, see why
    ├── TransferFailed                                    an export or import stopped at what can't be transferred
    ├── UnknownEvent                                      no clause of the projection handles the event
    └── StaleEvent                                        the event is in the snapshot already

Arguments of the wrong type or value raise ``TypeError`` or ``ValueError``, as everywhere in Python. Facts are
attributes. All of these pickle; a fact that can't be pickled (a ref) is ``None`` on the other side.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, Final

import pykka

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = [
    "ActorDead",
    "AlreadyPresent",
    "AlreadyStarted",
    "CallingSelf",
    "ChildNotFound",
    "ChildRestarting",
    "ChildRunning",
    "CodecError",
    "DecodeError",
    "EncodeError",
    "HumeError",
    "IdConflict",
    "InvalidStore",
    "MaxChildren",
    "NotFound",
    "NotOwner",
    "StaleEvent",
    "StartFailed",
    "StorageFailed",
    "SupervisorError",
    "TableDeleted",
    "TableError",
    "TelemetryError",
    "Timeout",
    "TransferFailed",
    "UnexpectedSequence",
    "UnknownEvent",
]


_SHOWN: Final = 10  # of a list that may be long


class HumeError(Exception):
    """The root of every exception that Hume raises on its own account."""

    def __reduce__(self) -> tuple[Any, ...]:
        facts = {key: value if _pickles(value) else None for key, value in vars(self).items()}
        return _rebuild, (type(self), self.args, facts)


def _pickles(fact: object) -> bool:
    try:
        pickle.dumps(fact)
    except Exception:  # noqa: BLE001 - a fact is somebody's payload, reason or ref: it may raise anything
        return False
    return True


def _rebuild(cls: type[HumeError], args: tuple[Any, ...], facts: dict[str, Any]) -> HumeError:
    error = cls.__new__(cls)  # not cls(...): an __init__ takes facts, while args is the finished message
    error.args = args
    vars(error).update(facts)
    return error


class ActorDead(HumeError, pykka.ActorDeadError):
    """The server is dead or unknown, or it died before it answered.

    ``server``: what was asked for, as text; ``reason``: its exit reason, ``"noproc"`` when nobody has that name. Start
    it again (or let its supervisor do so) and retry.
    """

    def __init__(self, server: object, reason: object = "noproc", *, way_out: str = "") -> None:
        self.server: str = str(server)
        self.reason = reason
        why = "no actor has that name" if reason == "noproc" else f"exit reason: {reason}"
        super().__init__(f"{self.server} is not alive ({why})" + (way_out and f"; {way_out}"))


class Timeout(HumeError, pykka.Timeout):
    """No answer within the time given. A late answer is dropped; the work may still be done."""


class CallingSelf(HumeError):
    """The call would wait, directly or around a ring of calls, for the very actor that makes it."""


class AlreadyStarted(HumeError):
    """The name, identity or child id is taken by a running actor: ``ref``."""

    def __init__(
        self,
        what: object,
        ref: pykka.ActorRef[Any],
        *,
        already: str = "started, as",
        way_out: str = "use that one, or stop it first",
    ) -> None:
        self.ref: pykka.ActorRef[Any] = ref
        super().__init__(f"{what} is already {already} {ref}; {way_out}")


class SupervisorError(HumeError):
    """A supervisor refused a request; its tree is as it was. ``child_id`` is the id that was named."""

    _why = "was refused"

    def __init__(self, child_id: Hashable) -> None:
        self.child_id = child_id
        super().__init__(f"child {child_id!r} {self._why}")


class AlreadyPresent(SupervisorError):
    """A child with that id is there, without a process."""

    _why = (
        "is present but not running: use restart_child, or delete_child first; "
        "if it waits for a restart, terminate_child before that"
    )


class ChildNotFound(SupervisorError):
    """No child has that id. ``known`` are the ids there are, of a supervisor whose children have ids."""

    _why = "was not found: which_children lists those there are"

    def __init__(self, child_id: Hashable, known: Iterable[Hashable] = ()) -> None:
        super().__init__(child_id)
        self.known: tuple[Hashable, ...] = tuple(known)
        if self.known:
            more = ", ..." if len(self.known) > _SHOWN else ""
            there = ", ".join(map(repr, self.known[:_SHOWN]))
            self.args: tuple[Any, ...] = (f"child {child_id!r} was not found; there are {there}{more}",)


class ChildRunning(SupervisorError):
    """The child runs."""

    _why = "is running: use terminate_child first"


class ChildRestarting(SupervisorError):
    """The child has crashed and waits for its next try."""

    _why = "waits for its next restart: use terminate_child to give that up"


class MaxChildren(SupervisorError):
    """The dynamic supervisor has as many children as it may have."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(None)
        self.args: tuple[Any, ...] = (f"the supervisor has {limit} children, the most that max_children allows",)


class StartFailed(SupervisorError):
    """A child did not start; its own error is ``__cause__``."""

    def __init__(self, child_id: Hashable, cause: BaseException) -> None:
        super().__init__(child_id)
        self.args: tuple[Any, ...] = (f"child {child_id!r} failed to start: {cause!r}",)
        self.__cause__: BaseException | None = cause


class TableError(HumeError):
    """A table refused an operation; it is as it was. ``table`` is its name."""


class NotOwner(TableError):
    """Only the table's owner may do that, and the caller is not (or no longer) the owner."""

    def __init__(self, table: Hashable, action: str, owner: object) -> None:
        self.table = table
        self.owner: str = str(owner)
        super().__init__(f"table {table!r}: only its owner, {owner}, may {action}; ask it to, with a message")


class NotFound(TableError):
    """Nobody has a table of that name to hand over."""

    def __init__(self, table: Hashable, owner: object = None) -> None:
        self.table = table
        why = "" if owner is None else f": it belongs to {owner}, which is alive"
        super().__init__(f"the heir has no table {table!r}{why}")


class TableDeleted(TableError):
    """The table went with its owner, or was deleted."""

    def __init__(self, table: Hashable) -> None:
        self.table = table
        super().__init__(f"table {table!r} is deleted; give a table an heir if it must outlive its owner")


class TelemetryError(HumeError):
    """A handler id that is attached already, or is not attached."""


class CodecError(HumeError):
    """A payload and its bytes don't go together; nothing was stored or changed. ``type_name`` is the event's type."""


class EncodeError(CodecError):
    """The payload can't be stored as bytes.

    ``type_name``: the payload's type; ``path``: the place in the payload, such as ``payload.lines[0]``; ``why``.
    """

    def __init__(self, type_name: str, path: str, why: str) -> None:
        self.type_name = type_name
        self.path = path
        self.why = why
        super().__init__(f"a payload of type {type_name} can't be encoded: {path} {why}")


class DecodeError(CodecError):
    """Stored bytes can't be read back: their type is unknown, of another version, or doesn't fit them.

    ``type_name`` and ``version``: what was stored; ``why``; ``stream`` and ``seq``: the event, where a store read it.
    """

    def __init__(
        self, type_name: str, version: int, why: str, *, stream: Hashable = None, seq: int | None = None
    ) -> None:
        self.type_name = type_name
        self.version = version
        self.why = why
        self.stream = stream
        self.seq = seq
        place = "" if seq is None else f"event {seq} of stream {stream!r}: "
        super().__init__(f"{place}event type {type_name!r}, version {version}: {why}")

    def at(self, stream: Hashable, seq: int) -> DecodeError:
        """Return the same error with the event's place, for a store to raise."""
        error = DecodeError(self.type_name, self.version, self.why, stream=stream, seq=seq)
        error.__cause__ = self.__cause__
        return error


class InvalidStore(HumeError):
    """The object is no event store. ``missing`` names the methods it lacks."""

    def __init__(self, store: object, missing: tuple[str, ...], why: str = "") -> None:
        self.missing = missing
        lacks = why or f"it lacks {', '.join(missing)}"
        if missing and not {"append", "events", "last_seq"}.intersection(missing):
            super().__init__(f"{store!r} is an event store that can't do that: {lacks}; see hume.stores.FullEventStore")
            return
        super().__init__(
            f"{store!r} is no event store: {lacks}; a store is an object with "
            "append, events and last_seq, or an actor that has them, by ref, proxy or name"
        )


class UnexpectedSequence(HumeError):
    """The stream's last number is not the expected one; nothing was appended."""

    def __init__(self, stream: Hashable, expected: object, actual: int) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        super().__init__(f"stream {stream!r} is at {actual}, expected {expected}; read it again and retry")


class IdConflict(HumeError):
    """An event's id is in the stream already, with another payload, or without the rest of its batch."""

    def __init__(self, stream: Hashable, event_id: object, *, known: bool) -> None:
        self.stream = stream
        self.id = event_id
        why = "is there with another payload or number" if known else "is new, while others of its batch are there"
        super().__init__(f"stream {stream!r}: id {event_id} {why}; nothing was appended")


class StorageFailed(HumeError):
    """A store's file could not be opened, read or written; nothing was stored. SQLite's own error is the cause.

    ``path``: the file. The store lives on: when the reason is gone, the next try succeeds.
    """

    def __init__(self, path: object, doing: str, why: str) -> None:
        self.path: str = str(path)
        super().__init__(f"{self.path}: can't {doing}: {why}")


class TransferFailed(HumeError):
    """An export came upon an event that no file can have, or an import upon a line that is not as it should be.

    ``why``; ``line``: the number of the line of the file that is imported, from 1 on; `None` in an export.
    """

    def __init__(self, why: str, *, line: int | None = None) -> None:
        self.why = why
        self.line = line
        super().__init__(why if line is None else f"line {line}: {why}")


class UnknownEvent(HumeError):
    """No clause of the projection handles the event: ``payload``."""

    def __init__(self, projection: str, payload: object, hint: str = "") -> None:
        self.projection = projection
        self.payload = payload
        super().__init__(f"{projection} does not handle {payload!r}{hint}")


class StaleEvent(HumeError):
    """The event's number, ``seq``, is not above the snapshot's, ``at``: it has been applied already."""

    def __init__(self, seq: int, at: int) -> None:
        self.seq = seq
        self.at = at
        super().__init__(f"event {seq} has been applied already: the snapshot is at {at}; give what follows, in order")
