"""Objects as the data of their fields, and back: dataclasses, msgspec Structs, NamedTuples and enums.

An object comes back with the fields it had, whatever its class does when it makes a new one: ``__init__`` and
``__post_init__`` of a dataclass are not run again. (A Struct can only be made by its own, and gets its fields after.)
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from hume.stores._json_form import FLAT, Malformed, Refused, tagged_int

if TYPE_CHECKING:
    from hume.stores._json_form import Form

__all__ = ["EnumPlan", "FieldsPlan", "Plan", "plan_for"]

Fields = dict[str, Any]

_EXACT: Final = frozenset({Any, bool, dict, int, list, object, str, type(None)})
_VANILLA: Final = {"array_like": False, "forbid_unknown_fields": False, "omit_defaults": False, "tag": None}


class Plan(Protocol):
    """How the objects of one class are taken apart and made again."""

    def out(self, value: Any, form: Form, depth: int) -> Any:
        """Return an object's data."""

    def back(self, data: Any, form: Form) -> Any:
        """Return the object whose data these are."""


@dataclasses.dataclass(frozen=True, slots=True)
class FieldsPlan:
    """An object with named fields. Its data are a JSON object of them, each value in its own form.

    What is stored depends on the values, not on what the class says of them: annotations may change later. One
    exception: an int in a field for a float is tagged, since a reader that knows the class would make it a float.

    Args:
        cls: its class.
        names: its fields' names.
        make: makes an object of all its fields.
        defaults: what makes the values of fields that were not stored.
        floats: the places of the fields for floats and no ints.
        direct: msgspec's own encoder and decoder for the class do the same, for values that have no tag: so it has no
            options and no code of its own, and no annotation that would have a value of another type accepted and
            changed.
    """

    cls: type
    names: tuple[str, ...]
    make: Callable[[Fields], Any]
    defaults: dict[str, Callable[[], Any]]
    floats: tuple[int, ...]
    direct: bool

    def getter(self) -> Callable[[Any], tuple[Any, ...]]:
        """Return what gets an object's values, in the order of the names."""
        if len(self.names) > 1:
            return attrgetter(*self.names)
        return lambda value: tuple(getattr(value, name) for name in self.names)

    def is_flat(self, kinds: tuple[type, ...]) -> bool:
        """Tell whether values of these types are stored without a tag."""
        return FLAT.issuperset(kinds) and not any(kinds[place] is int for place in self.floats)

    def out(self, value: Any, form: Form, depth: int) -> Any:
        """Return an object's data."""
        try:
            values = [getattr(value, name) for name in self.names]
        except AttributeError as error:
            msg = f"lacks a field of its class: {error}"
            raise Refused(msg) from error
        forms = form.items(values, depth)
        for place in self.floats:
            if type(values[place]) is int:
                forms[place] = tagged_int(values[place])
        return dict(zip(self.names, forms, strict=True))

    def back(self, data: Any, form: Form) -> Any:
        """Return the object whose data these are; data of fields that the class no longer has are passed over."""
        if not isinstance(data, dict):
            msg = f"its data are a {type(data).__name__}, not an object with the fields of {self.cls.__qualname__}"
            raise Malformed(msg)
        fields: Fields = {}
        for name in self.names:
            if name in data:
                fields[name] = form.back(data[name])  # pyright: ignore[reportUnknownArgumentType]
            elif name in self.defaults:
                fields[name] = self.defaults[name]()
            else:
                msg = (
                    f"its data lack the field {name!r} of {self.cls.__qualname__}: give the field a default, or the"
                    " event type a new version and an upcaster"
                )
                raise Malformed(msg)
        return self.make(fields)


@dataclasses.dataclass(frozen=True, slots=True)
class EnumPlan:
    """A member of an enum. Its data are its value if that is a str or an int, else ``{"member": name}``."""

    cls: type[enum.Enum]

    def out(self, value: enum.Enum, form: Form, depth: int) -> Any:
        """Return a member's data."""
        if type(value.value) in {str, int} and self.cls(value.value) is value:
            return form.out(value.value, depth)
        return {"member": form.out(value.name, depth)}

    def back(self, data: Any, form: Form) -> Any:
        """Return the member whose data these are."""
        try:
            if isinstance(data, dict) and "member" in data:
                return self.cls[data["member"]]
            return self.cls(form.back(data))
        except LookupError as error:
            msg = f"{self.cls.__qualname__} has no member {error}"
            raise Malformed(msg) from error


def plan_for(cls: type) -> Plan:
    """Return the plan for a class.

    Raises:
        Refused: it is of no kind that can be stored.
    """
    if issubclass(cls, enum.Enum):
        return EnumPlan(cls)
    if hasattr(cls, "__struct_fields__"):
        return _struct_plan(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _namedtuple_plan(cls)
    # what makes its instances in a way of its own may hold more than its fields: a dict, an exception
    if dataclasses.is_dataclass(cls) and cls.__new__ is object.__new__:
        return _dataclass_plan(cls)
    msg = (
        f"is of type {cls.__module__}.{cls.__qualname__}, which can't be stored: use built-in types, dataclasses,"
        " msgspec Structs, NamedTuples and enums (a class decorated by both has @hume.event above @dataclass)"
    )
    raise Refused(msg)


def _dataclass_plan(cls: type) -> FieldsPlan:
    fields = dataclasses.fields(cls)
    names = tuple(field.name for field in fields)
    defaults: dict[str, Callable[[], Any]] = {}
    for field in fields:
        if field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = field.default_factory
        elif field.default is not dataclasses.MISSING:
            defaults[field.name] = functools.partial(_same, field.default)
    plain = (
        all(field.init for field in fields)
        and cls.__setattr__ in {object.__setattr__, vars(cls).get("__setattr__")}
        and not hasattr(cls, "__post_init__")
    )
    floats, exact = _annotations(cls, names)
    return FieldsPlan(cls, names, functools.partial(_make_dataclass, cls), defaults, floats, plain and exact)


def _struct_plan(cls: Any) -> FieldsPlan:
    names: tuple[str, ...] = cls.__struct_fields__
    config = cls.__struct_config__
    optional: set[str] = {field.name for field in _struct_fields(cls) if not field.required}
    post_init = hasattr(cls, "__post_init__")
    plain = (
        not post_init
        and cls.__struct_encode_fields__ == names
        and all(getattr(config, option) == value for option, value in _VANILLA.items())
    )
    floats, exact = _annotations(cls, names)
    make = functools.partial(_make_struct, cls, post_init)
    return FieldsPlan(cls, names, make, {}, floats, plain and exact)


def _namedtuple_plan(cls: Any) -> FieldsPlan:
    names: tuple[str, ...] = cls._fields
    defaults: dict[str, Callable[[], Any]] = {
        name: functools.partial(_same, default) for name, default in cls._field_defaults.items()
    }
    floats, _ = _annotations(cls, names)
    make = functools.partial(_make_namedtuple, cls)
    return FieldsPlan(cls, names, make, defaults, floats, direct=False)  # msgspec makes arrays of them


def _same(value: Any) -> Any:
    return value
