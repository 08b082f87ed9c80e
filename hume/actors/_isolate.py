"""Copies that keep one thread's changes from another: as `copy.deepcopy`, but free for what can't be changed."""

from __future__ import annotations

import copy
import datetime
import decimal
import enum
import fractions
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
        datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
        decimal.Decimal, fractions.Fraction, uuid.UUID,
        types.FunctionType, types.BuiltinFunctionType,
    }
)  # fmt: skip
"""Types whose values can't be changed in place and hold nothing that can."""


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
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return _all_immutable(value)
    parameters = getattr(kind, "__dataclass_params__", None)
    if parameters is not None and parameters.frozen:
        names = kind.__dataclass_fields__
        # an attribute beside the fields, if there can be one, may hold anything
        extras = getattr(value, "__dict__", ())
        return all(name in names for name in extras) and _all_immutable(getattr(value, name) for name in names)
    return False


def _all_immutable(values: Iterable[object]) -> bool:
    for value in values:
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
    return copier(value)  # type: ignore[no-any-return]  # a copier returns what it is given
