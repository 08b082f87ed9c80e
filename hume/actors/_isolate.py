"""Copies that keep one thread's changes from another: as `copy.deepcopy`, but free for what can't be changed."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import fractions
import functools
import types
import uuid
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ATOMS", "is_immutable", "isolated"]

T = TypeVar("T")

ATOMS: Final = frozenset(
    {
        bool, bytes, complex, float, int, range, str, type, type(None), type(...), type(NotImplemented),
        dt.date, dt.timedelta, dt.timezone,
        decimal.Decimal, fractions.Fraction, uuid.UUID,
        types.FunctionType, types.BuiltinFunctionType,
    }
)  # fmt: skip
"""Types whose values can't be changed in place and hold nothing that can.

Classes and functions are here as names for what they do: `copy.deepcopy` shares them too, whatever they hold.
"""


def is_immutable(value: object) -> bool:
    """Tell whether nothing in *value* can be changed in place, so that threads may share it.

    True for atoms, enum members, and tuples, frozensets and frozen dataclasses of such, all the way down. Of a type it
    does not know it says no.
    """
    kind = type(value)
    if kind in ATOMS:
        return True
    if kind is tuple or kind is frozenset:
        return _all_immutable(value)  # type: ignore[arg-type]  # a tuple or a frozenset, as just seen
    if isinstance(value, enum.Enum | type):
        return True
    if kind is dt.datetime or kind is dt.time:
        return type(value.tzinfo) in ATOMS  # type: ignore[attr-defined]  # somebody's own tzinfo may be anything
    if isinstance(value, tuple):
        # a namedtuple; where there is a __dict__ an attribute can be added at any time
        return hasattr(kind, "_fields") and not hasattr(value, "__dict__") and _all_immutable(value)
    return _is_frozen(value)


def _is_frozen(value: object) -> bool:
    names = _frozen_fields(type(value))  # type: ignore[arg-type]  # mypy takes the instances' __hash__ for the class's
    if names is None:
        return False
    # an attribute beside the fields, if there can be one, may hold anything; a field that was never set holds nothing
    extras = getattr(value, "__dict__", ())
    return all(name in names for name in extras) and _all_immutable(getattr(value, name, None) for name in names)


@functools.lru_cache(maxsize=1024)
def _frozen_fields(kind: type) -> frozenset[str] | None:
    """Return the names of a frozen dataclass's fields; `None` for any other class, and where values may hold more."""
    parameters = vars(kind).get("__dataclass_params__")  # not inherited: a subclass that is no dataclass is not frozen
    if parameters is None or not parameters.frozen or any("__new__" in vars(base) for base in kind.__mro__[:-1]):
        return None  # (what has a __new__ of its own may be a list, a dict, an exception as well)
    names = frozenset(kind.__dataclass_fields__)  # type: ignore[attr-defined]  # a dataclass, as just seen
    for base in kind.__mro__[:-1]:
        members = vars(base)
        slots = members.get("__slots__", ())
        if not (names | {"__dict__", "__weakref__"}).issuperset((slots,) if isinstance(slots, str) else slots):
            return None
        if any(isinstance(member, functools.cached_property) for member in members.values()):
            return None  # it writes to its instance, and what it writes may be changed in place
    return names


def _all_immutable(values: Iterable[object]) -> bool:
    for value in values:  # noqa: SIM110 - a generator in all() would double the cost
        if type(value) not in ATOMS and not is_immutable(value):
            return False
    return True


def isolated(value: T, copier: Callable[[Any], Any] | None = copy.deepcopy) -> T:
    """Return *value* itself when it can't be changed, else a copy that shares nothing changeable with it.

    Args:
        copier: what copies it; with `copy.deepcopy` flat dicts, lists and sets of atoms are copied without it, with
            the same result; `None` trusts the caller that the value is never changed in place.
    """
    kind = type(value)
    if copier is None or kind in ATOMS:
        return value
    if copier is copy.deepcopy:
        if kind is dict:
            if _all_immutable(value.values()) and _all_immutable(value):  # type: ignore[attr-defined,arg-type]  # a dict
                return value.copy()  # type: ignore[attr-defined,no-any-return]  # a dict
        elif kind is list or kind is set:
            if _all_immutable(value):  # type: ignore[arg-type]  # a list or a set
                return value.copy()  # type: ignore[attr-defined,no-any-return]  # a list or a set
        elif is_immutable(value):
            return value
        return _copied(value)
    return copier(value)  # type: ignore[no-any-return]  # a copier returns what it is given


def _copied(value: T) -> T:
    try:
        return copy.deepcopy(value)
    except TypeError as error:
        kind = type(value).__name__
        msg = f"what threads share is copied, and this {kind} can't be: {error}; use data, or a copier of your own"
        raise TypeError(msg) from error
