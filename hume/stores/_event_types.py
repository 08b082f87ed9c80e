"""The names and versions of event types, and the upcasters that lead from older data to today's.

What is stored with an event is the *name* and the *version* of its type, never where a class is defined. So a class
whose name is fixed may be moved and renamed; and a name whose class is gone is still led on by its upcasters.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple, Protocol, TypeGuard, TypeVar

from hume.errors import DecodeError

__all__ = [
    "BUILTIN_NAMES",
    "NEWEST",
    "EventType",
    "Stored",
    "Upcaster",
    "event",
    "event_type",
    "registry",
    "title",
    "upcaster",
]

BUILTIN_NAMES: Final = frozenset(
    {
        "bool", "bytes", "date", "datetime", "decimal", "dict", "float", "fraction", "frozenset", "int", "list",
        "none", "set", "str", "time", "timedelta", "tuple", "uuid",
    }
)  # fmt: skip
"""The names of built-in types, which no class may have."""

NEWEST: Final = 2**31 - 1
"""The highest version that a type may have."""

Upcaster = Callable[[Any], Any]

C = TypeVar("C", bound=type)
U = TypeVar("U", bound=Upcaster)

_MARK: Final = "__hume_event__"


class EventType(NamedTuple):
    """What is stored about a payload's type."""

    name: str
    version: int


class Stored(NamedTuple):
    """A payload as a codec stores it, on its way through the upcasters."""

    name: str
    version: int
    data: Any


def event(name: str, version: int = 1) -> Callable[[C], C]:
    """Fix the name, and the version, under which events of a class are stored.

    Without it they have the class's own name, and version 1. With it the class may be moved and renamed. Raise the
    version when data of the old form can't be read as the new one, and write an `upcaster` that leads on from it;
    to add a field that has a default, or to remove one, no version is needed. Stands above ``@dataclass``.

    Raises:
        TypeError: *name* is no string, *version* no whole number, or what is decorated is no class.
        ValueError: *name* is empty or a built-in type's, *version* less than 1, another class has the name, the class
            has another one, or an upcaster leads on from *version* already.

    Example::

        @hume.event("order-placed", version=2)
        @dataclasses.dataclass(frozen=True)
        class OrderPlaced:
            order_id: str
            currency: str
    """
    kind = _checked(name, version, 'hume.event takes a name: @hume.event("order-placed")')
    if name in BUILTIN_NAMES:
        msg = f"{name!r} is the name of a built-in type; give the event type another"
        raise ValueError(msg)

    def decorate(cls: C) -> C:
        if not isinstance(cls, type):
            msg = f"hume.event decorates a class, not {cls!r}"
            raise TypeError(msg)
        registry.claim(cls, kind)
        return cls

    return decorate


def upcaster(name: str, version: int) -> Callable[[U], U]:
    """Make a function the one that leads on from data stored as *version* of the event type *name*.

    It is called with the stored data: what JSON has (dict, list, str, ...), with the tags of the codec's format. It
    may change it. What it returns says what becomes of the event:

    - data: the same event type, one version on.
    - ``(name, version, data)``, a tuple: another event type, or another version.
    - an iterator (so it may ``yield``), or a list of such tuples: as many events, in this order, each of them data or
      a tuple as above.
    - `None`, or an empty list: the event is dropped.

    Each result goes on through the upcaster for its own name and version, until there is none. They are applied
    wherever an event is read; what is stored never changes. An upcaster must always give the same for the same data.

    Raises:
        TypeError: *name* is no string, *version* no whole number, or what is decorated can't be called.
        ValueError: *name* is empty, *version* less than 1 or not below the class's, or another upcaster has both.

    Example::

        @hume.upcaster("order-placed", 1)
        def add_currency(data):
            return data | {"currency": "EUR"}

        @hume.upcaster("cart-checked-out", 1)
        def split(data):
            yield "order-placed", 1, {"order_id": data["id"]}
            yield "cart-emptied", 1, {}
    """
    kind = _checked(name, version, 'hume.upcaster takes a name and a version: @hume.upcaster("order-placed", 1)')

    def decorate(function: U) -> U:
        if not callable(function) or isinstance(function, type):
            msg = f"hume.upcaster decorates a function, not {function!r}"
            raise TypeError(msg)
        registry.add_upcaster(kind, function)
        return function

    return decorate


def event_type(cls: type) -> EventType:
    """Return the name and version of a class: those fixed by `event`, else its own name and version 1."""
    kind: EventType | None = vars(cls).get(_MARK)  # not inherited: a subclass is another type of event
    return EventType(cls.__name__, 1) if kind is None else kind


def _checked(name: object, version: object, usage: str) -> EventType:
    if not isinstance(name, str):
        msg = f"an event type's name must be a string, not {name!r}; {usage}"
        raise TypeError(msg)
    if not name.strip() or not name.isprintable():
        msg = f"an event type's name must be text that can be read, not {name!r}"
        raise ValueError(msg)
    if isinstance(version, bool) or not isinstance(version, int):
        msg = f"the version of {name!r} must be a whole number, not {version!r}"
        raise TypeError(msg)
    if not 1 <= version <= NEWEST:
        msg = f"the version of {name!r} must be at least 1, and at most {NEWEST}, not {version!r}"
        raise ValueError(msg)
    return EventType(name, version)


def title(thing: Any) -> str:
    """Return a class's or function's full name, for a message."""
    return f"{getattr(thing, '__module__', '?')}.{getattr(thing, '__qualname__', repr(thing))}"


def same_definition(one: Any, other: Any) -> bool:
    """Tell whether two classes or functions come from the same lines, as when their module was loaded again."""
    if one is other:
        return True
    if title(one) != title(other):
        return False
    if title(one).endswith(("._", "<lambda>")):  # a name that says nothing: a module may have many such functions
        return _line(one) == _line(other)
    return True


def _line(function: Any) -> int | None:
    code = getattr(function, "__code__", None)
    return None if code is None else code.co_firstlineno


class Watcher(Protocol):
    """Who keeps answers of the registry."""

    def forget(self) -> None:
        """Throw them away: they may be wrong by now. Called with the registry's lock held, so it must not ask back."""


class Registry:
    """The event types and upcasters of this process.

    Changes are made under the lock; a look at one name is one look into a dict, which needs none.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._classes: dict[str, type] = {}
        self._upcasters: dict[tuple[str, int], Upcaster] = {}
        self._seen: dict[str, dict[str, type]] = {}
        self._watchers: weakref.WeakSet[Watcher] = weakref.WeakSet()

    def watch(self, watcher: Watcher) -> None:
        """Have somebody forget what it found out here, after each change, for as long as it lives."""
        with self._lock:
            self._watchers.add(watcher)

    def _changed(self) -> None:
        for watcher in self._watchers:
            watcher.forget()

    def claim(self, cls: type, kind: EventType) -> None:
        """Give a class its fixed name and version."""
        with self._lock:
            holder = self._classes.get(kind.name)
            if holder is not None and not same_definition(holder, cls):
                msg = f"event type {kind.name!r} is {title(holder)}; give {title(cls)} another name"
                raise ValueError(msg)
            fixed = vars(cls).get(_MARK, kind)
            if fixed != kind:
                msg = f"{title(cls)} is {fixed.name!r}, version {fixed.version}, already; it can't be {kind.name!r} too"
                raise ValueError(msg)
            self._check_order(kind, cls)
            setattr(cls, _MARK, kind)
            # a reloaded module may have given its class another name: the old one goes, as in a new process
            self._classes = {name: old for name, old in self._classes.items() if not same_definition(old, cls)}
            self._classes[kind.name] = cls
            self._changed()

    def add_upcaster(self, kind: EventType, function: Upcaster) -> None:
        """Make a function the upcaster for a name and version."""
        with self._lock:
            holder = self._upcasters.get(kind)
            if holder is not None and not same_definition(holder, function):
                msg = (
                    f"version {kind.version} of event type {kind.name!r} has the upcaster {title(holder)};"
                    f" {title(function)} can't be another"
                )
                raise ValueError(msg)
            cls = self._classes.get(kind.name)
            if cls is not None and event_type(cls).version <= kind.version:
                raise ValueError(_out_of_order(event_type(cls), cls, function, kind.version))
            self._upcasters[kind] = function
            self._changed()

    def adopt(self, cls: type) -> bool:
        """Remember a class that is stored, for all codecs of this process, and tell whether its name is fixed.

        Raises:
            ValueError: its name is a built-in type's, or that of a class whose name is fixed.
            ValueError: its own version has an upcaster, so what it stored would not come back.
        """
        kind = event_type(cls)
        if _MARK in vars(cls):
            if self._classes.get(kind.name) is not cls:  # a copy, as @dataclass(slots=True) makes one
                self.claim(cls, kind)
            return True
        _checked(*kind, "fix one with hume.event")
        holder = self._classes.get(kind.name)
        if kind.name in BUILTIN_NAMES or holder is not None:
            msg = f"the name {kind.name!r} is that of {'a built-in type' if holder is None else title(holder)}"
            raise ValueError(msg + '; give the class another with @hume.event("...")')
        with self._lock:
            self._check_order(kind, cls)
            self._saw(cls)
        return False

    def _saw(self, cls: type) -> None:
        seen = self._seen.setdefault(cls.__name__, {})
        old = seen.get(title(cls), cls)
        seen[title(cls)] = cls
        if old is not cls:  # it is defined again
            self._changed()

    def _check_order(self, kind: EventType, cls: type) -> None:
        for (name, version), function in self._upcasters.items():
            if name == kind.name and version >= kind.version:
                raise ValueError(_out_of_order(kind, cls, function, version))

    def class_of(self, name: str) -> type | None:
        """Return the class whose name is fixed as this, if there is one."""
        return self._classes.get(name)

    def seen(self, name: str) -> dict[str, type]:
        """Return the classes without a fixed name that have this one, by their full names."""
        with self._lock:
            return dict(self._seen.get(name, {}))

    def has_upcaster(self, name: str, version: int) -> bool:
        """Tell whether an upcaster leads on from this version of this name."""
        return (name, version) in self._upcasters

    def upcast(self, stored: Stored) -> list[Stored]:
        """Return what stored data is today, in order: one as a rule, several when split, none when dropped.

        Raises:
            DecodeError: an upcaster raised, gave what none may give, or they go round in a circle.
        """
        return list(self._lead_on(stored, ()))

    def _lead_on(self, stored: Stored, trail: tuple[EventType, ...]) -> Iterator[Stored]:
        kind = EventType(stored.name, stored.version)
        function = self._upcasters.get(kind)
        if function is None:
            yield stored
            return
        if kind in trail:
            way = " -> ".join(f"{name} {version}" for name, version in (*trail, kind))
            raise DecodeError(stored.name, stored.version, f"its upcasters go round in a circle: {way}")
        try:
            results = [_result(kind, item) for item in _results(function(stored.data))]
        except Exception as error:
            why = f"its upcaster {title(function)} failed: {type(error).__name__}: {error}"
            raise DecodeError(stored.name, stored.version, why) from error
        for result in results:
            yield from self._lead_on(result, (*trail, kind))


def _out_of_order(kind: EventType, cls: type, function: Upcaster, version: int) -> str:
    return (
        f"upcaster {title(function)} leads on from version {version} of event type {kind.name!r}, but {title(cls)} is"
        f' at version {kind.version}: say @hume.event("{kind.name}", version={version + 1})'
    )


def _results(result: Any) -> Iterable[Any]:
    if result is None:
        return ()
    # stored data never hold a tuple, so a list of them can only be a list of events
    if _is_iterator(result) or (_is_list(result) and all(isinstance(item, tuple) for item in result)):
        return result
    return (result,)


def _result(kind: EventType, item: Any) -> Stored:
    if not _is_tuple(item):
        return Stored(kind.name, kind.version + 1, item)
    if len(item) != 3:  # noqa: PLR2004 - name, version, data
        msg = f"an upcaster gives data or (name, version, data), not {item!r}"
        raise TypeError(msg)
    name, version, data = item
    return Stored(*_checked(name, version, "an upcaster gives (name, version, data)"), data)


# isinstance, for type checkers that ask "a list of what?"


def _is_iterator(value: object) -> TypeGuard[Iterator[Any]]:
    return isinstance(value, Iterator)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


registry: Final = Registry()
