"""Objects as the data of their fields, and back: dataclasses, msgspec Structs, NamedTuples and enums.

An object comes back with the fields it had, whatever its class does when it makes a new one: ``__init__`` and
``__post_init__`` of a dataclass are not run again. (A Struct can only be made by its own, and gets its fields after.)
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import reprlib
import types
import typing
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeGuard, cast

from hume.stores._json_form import ATOMS, Malformed, Refused, tagged_int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from hume.stores._json_form import Form

__all__ = ["EnumPlan", "FieldsPlan", "Flat", "Plan", "children", "plan_for"]

Fields = dict[str, Any]

_EXACT: Final = (Any, bool, dict, float, int, list, str, type(None))
_FLOAT_ATOMS: Final = ATOMS - {type(None)} | {float}
_VANILLA: Final = {"array_like": False, "forbid_unknown_fields": False, "omit_defaults": False, "tag": None}


class Flat(enum.Enum):
    """Whether an object is stored without a tag, as msgspec writes it."""

    YES = "yes"
    UNLESS_NULL = "unless there is a null in it"
    NO = "no"


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
    defaults: Mapping[str, Callable[[], Any]]
    floats: tuple[int, ...]
    direct: bool

    def getter(self) -> Callable[[Any], tuple[Any, ...]]:
        """Return what gets an object's values, in the order of the names."""
        if len(self.names) > 1:
            return attrgetter(*self.names)
        return lambda value: tuple(getattr(value, name) for name in self.names)

    def flat(self, kinds: tuple[type, ...]) -> Flat:
        """Tell whether msgspec writes an object with values of these types as `out` does."""
        if any(kinds[place] is int for place in self.floats):
            return Flat.NO
        if ATOMS.issuperset(kinds):
            return Flat.YES
        # msgspec writes null for a float that JSON hasn't, which can be told where there is no None
        return Flat.UNLESS_NULL if _FLOAT_ATOMS.issuperset(kinds) else Flat.NO

    def out(self, value: Any, form: Form, depth: int) -> Any:
        """Return an object's data."""
        try:
            values = [getattr(value, name) for name in self.names]
        except AttributeError as error:
            msg = f"lacks a field of its class: {error}"
            raise Refused(msg) from error
        forms = form.items(values, depth)  # (a list of ours, either way)
        for place in self.floats:
            if type(values[place]) is int:
                forms[place] = tagged_int(values[place])
        return dict(zip(self.names, forms, strict=True))

    def back(self, data: Any, form: Form) -> Any:
        """Return the object whose data these are; data of fields that the class no longer has are passed over."""
        if not _is_dict(data):
            msg = f"its data are a {type(data).__name__}, not an object with the fields of {self.cls.__qualname__}"
            raise Malformed(msg)
        fields: Fields = {}
        for name in self.names:
            if name in data:
                fields[name] = form.back(data[name])
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
            if _is_dict(data) and "member" in data:
                return self.cls[data["member"]]
            return self.cls(form.back(data))
        except LookupError as error:
            msg = f"{self.cls.__qualname__} has no member {error}"
            raise Malformed(msg) from error


def plan_for(cls: type[Any]) -> Plan:
    """Return the plan for a class.

    Raises:
        Refused: it is of no kind that can be stored.
    """
    if issubclass(cls, enum.Enum):
        return EnumPlan(cls)
    if hasattr(cls, "__struct_fields__"):
        return _struct_plan(cls)
    if tuple in cls.__mro__ and hasattr(cls, "_fields"):
        return _namedtuple_plan(cls)
    # what makes its instances in a way of its own may hold more than its fields: a dict, an exception
    if dataclasses.is_dataclass(cls) and cls.__new__ is object.__new__:
        return _dataclass_plan(cls)
    msg = (
        f"is of type {cls.__module__}.{cls.__qualname__}, which can't be stored: use built-in types, dataclasses,"
        " msgspec Structs, NamedTuples and enums (a class decorated by both has @hume.event above @dataclass)"
    )
    raise Refused(msg)


def children(value: Any, plan: Plan | None) -> Iterator[tuple[str, Any]]:
    """Yield what a value holds, each with the step that leads to it, for a message."""
    if isinstance(plan, FieldsPlan):
        yield from ((f".{name}", getattr(value, name, None)) for name in plan.names)
    elif _is_dict(value):
        for key, item in value.items():
            yield f" key {_short(key)}", key
            yield f"[{_short(key)}]", item
    elif isinstance(value, list | tuple):
        yield from ((f"[{index}]", item) for index, item in enumerate(cast("list[Any]", value)))
    elif isinstance(value, set | frozenset):
        yield from ((f" item {_short(item)}", item) for item in cast("set[Any]", value))


def _short(value: object) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001 - a message must not fail because of what it is about
        return f"of type {type(value).__qualname__}"


def _is_dict(value: object) -> TypeGuard[dict[Any, Any]]:
    return isinstance(value, dict)


# -- one plan for each kind of class


def _dataclass_plan(cls: type) -> FieldsPlan:
    fields = dataclasses.fields(cls)
    defaults: dict[str, Callable[[], Any]] = {}
    for field in fields:
        if field.default_factory is not dataclasses.MISSING:
            defaults[field.name] = field.default_factory
        elif field.default is not dataclasses.MISSING:
            defaults[field.name] = functools.partial(_same, field.default)
    plain = all(field.init for field in fields) and not hasattr(cls, "__post_init__")
    return _fields_plan(cls, tuple(field.name for field in fields), _make_dataclass, defaults, plain=plain)


def _struct_plan(cls: Any) -> FieldsPlan:
    names: tuple[str, ...] = cls.__struct_fields__
    config = cls.__struct_config__
    plain = (
        not hasattr(cls, "__post_init__")
        and cls.__struct_encode_fields__ == names
        and all(getattr(config, option) == value for option, value in _VANILLA.items())
    )
    absent = dict.fromkeys(names, _absent)  # the class itself knows its defaults, and what must be there
    return _fields_plan(cls, names, _make_struct, absent, plain=plain)


def _namedtuple_plan(cls: Any) -> FieldsPlan:
    defaults = {name: functools.partial(_same, default) for name, default in cls._field_defaults.items()}
    return _fields_plan(cls, cls._fields, _make_namedtuple, defaults, plain=False)  # msgspec makes arrays of them


def _fields_plan(
    cls: type,
    names: tuple[str, ...],
    make: Callable[[type, Fields], Any],
    defaults: Mapping[str, Callable[[], Any]],
    *,
    plain: bool,
) -> FieldsPlan:
    try:
        hints = typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001 - annotations are code: names of a function or under TYPE_CHECKING, anything
        hints = {}
    floats = tuple(place for place, name in enumerate(names) if _is_float(hints.get(name)))
    exact = all(_is_exact(hints.get(name, _absent)) for name in names)
    inits = any(isinstance(hint, dataclasses.InitVar) for hint in hints.values())
    direct = plain and exact and not inits
    return FieldsPlan(cls, names, functools.partial(make, cls), defaults, floats, direct)


def _is_float(hint: Any) -> bool:
    """Tell whether msgspec makes an int a float for an annotation."""
    choices = _choices(hint)
    return float in choices and int not in choices


def _is_exact(hint: Any, *, inside: bool = False) -> bool:
    """Tell whether msgspec, for an annotation, gives what JSON has or refuses it, but never makes it another type.

    A float's field is exact since an int in it is tagged; what is inside a list or a dict is not.
    """
    if inside and _is_float(hint):
        return False
    for choice in _choices(hint):
        origin, args = typing.get_origin(choice), typing.get_args(choice)
        if origin is dict and args[:1] == (str,):
            args = args[1:]
        elif origin is not list:
            if not any(choice is exact for exact in _EXACT):
                return False
            continue
        if not all(_is_exact(arg, inside=True) for arg in args):
            return False
    return True


def _choices(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in {typing.Union, types.UnionType}
    return typing.get_args(hint) if union else (hint,)


def _same(value: Any) -> Any:
    return value


def _absent() -> Any:
    return _absent


def _make_dataclass(cls: type[Any], fields: Fields) -> Any:
    value: Any = object.__new__(cls)
    for name, item in fields.items():
        object.__setattr__(value, name, item)  # frozen ones too
    return value


def _make_struct(cls: Any, fields: Fields) -> Any:
    fields = {name: item for name, item in fields.items() if item is not _absent}
    try:
        value = cls(**fields)
    except TypeError as error:
        msg = f"its data don't make a {cls.__qualname__}: {error}"
        raise Malformed(msg) from error
    if hasattr(cls, "__post_init__"):
        for name, item in fields.items():
            getattr(cls, name).__set__(value, item)  # what it was, whatever __post_init__ has made of it
    return value


def _make_namedtuple(cls: Any, fields: Fields) -> Any:
    return tuple.__new__(cls, fields.values())  # pyright: ignore[reportUnknownMemberType] - of Any
