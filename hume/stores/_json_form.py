"""Values as what JSON has, and back, equal and of the same type; the format is written down in `_codec.py`."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import fractions
import math
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = ["ATOMS", "DEEPEST", "NAMES", "STRINGS", "Form", "Found", "Malformed", "Refused", "Write", "tagged_int"]

DEEPEST: Final = 100  # levels: reading takes a few stack frames a level, of the thousand that there are
_TOO_LONG: Final = 10**4300  # Python refuses to write or read a decimal number of more than 4,300 digits

ATOMS: Final = frozenset({bool, int, str, type(None)})
"""Types whose values are their own forms, but for very long ints and half characters, which msgspec refuses."""

_CAREFUL_ATOMS: Final = frozenset({bool, type(None)})
_MINUTE: Final = dt.timedelta(minutes=1)
STRINGS: Final = frozenset({str})

NAMES: Final[dict[type, str]] = {
    bool: "bool", bytes: "bytes", dt.date: "date", dt.datetime: "datetime", decimal.Decimal: "decimal",
    dict: "dict", float: "float", fractions.Fraction: "fraction", frozenset: "frozenset", int: "int", list: "list",
    type(None): "none", set: "set", str: "str", dt.time: "time", dt.timedelta: "timedelta", tuple: "tuple",
    uuid.UUID: "uuid",
}  # fmt: skip
"""The built-in types, by the names under which payloads of them are stored."""

_PLAIN: Final = frozenset({"bool", "dict", "float", "int", "list", "none", "str"})  # JSON tells these by itself

K = TypeVar("K")
V = TypeVar("V")

Write = Callable[[Any, int], Any]
Read = Callable[[Any], Any]


class Refused(Exception):
    """A value has no form; the message says why. Never leaves the codec."""


class Malformed(Exception):
    """A form is none of the format's; the message says why. Never leaves the codec."""


class Found(dict[K, V]):
    """A dict that finds out what it doesn't know yet, and keeps it.

    Two threads may both find out: what they find is equal, and either will do.
    """

    __slots__ = ("_find",)

    def __init__(self, find: Callable[[K], V]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, key: K) -> V:
        value = self[key] = self._find(key)
        return value


class Form:
    """Takes values apart into what JSON has, and puts them together again.

    Args:
        write_class: returns the function that takes values of a class apart; raises `Refused` for an unknown kind.
        read_object: makes a value of the name, version and data behind an ``$object`` tag.
        careful: looks into each string and number for what JSON hasn't. It is for when an encoder has refused, since
            next to none needs it.
    """

    def __init__(
        self, write_class: Callable[[type], Write], read_object: Callable[[Any], Any], *, careful: bool = False
    ) -> None:
        self._atoms = _CAREFUL_ATOMS if careful else ATOMS
        self._bare: dict[type, Write] = {
            dict: self._dict, float: _write_float, int: _write_int, list: self.items, str: _write_text,
            bool: _as_is, type(None): _as_is,
        }  # fmt: skip
        self._inner: dict[type, Write] = {
            tuple: self.items, set: self._set, frozenset: self._set, fractions.Fraction: self._fraction, **_INNER,
        }  # fmt: skip
        self._write = Found(write_class)
        self._write.update(self._bare)
        for kind, inner in self._inner.items():
            self._write[kind] = _tagged("$" + NAMES[kind], inner)
        self._containers: dict[type, Read] = {dict: self._back_dict, list: self._back_items}
        self._read: dict[str, Read] = {
            "$tuple": lambda inner: tuple(self._back_items(inner)),
            "$set": lambda inner: set(self._back_items(inner)),
            "$frozenset": lambda inner: frozenset(self._back_items(inner)),
            "$dict": lambda inner: dict(self._back_items(pair) for pair in _list(inner)),
            "$fraction": lambda inner: fractions.Fraction(*self._back_items(inner)),
            "$object": read_object,
            **_READ,
        }

    # -- values to forms

    def out(self, value: object, depth: int) -> Any:
        """Return the form of a value that stands *depth* levels down in the payload.

        Raises:
            Refused: it has none.
        """
        return self._write[type(value)](value, depth)

    def root_of(self, kind: type) -> Write | None:
        """Return what makes the data of a payload of this built-in type: its form, without the tag of the type."""
        return self._inner.get(kind) or self._bare.get(kind)

    def items(self, values: Any, depth: int) -> Any:
        """Return the forms of the values in a container that stands *depth* levels down, in a sequence.

        The container itself, where its values are their own forms: msgspec writes each kind of them as a list.
        """
        depth = deeper(depth)
        atoms, write = self._atoms, self._write
        if atoms.issuperset(map(type, values)):
            return values
        return [value if (kind := type(value)) in atoms else write[kind](value, depth) for value in values]

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        depth = deeper(depth)
        atoms, write = self._atoms, self._write
        if not STRINGS.issuperset(map(type, value)):
            return {"$dict": [self.items(pair, depth) for pair in value.items()]}
        if atoms is _CAREFUL_ATOMS:
            for key in value:
                _write_text(key, depth)
        if "$" in "".join(value):
            value = {"$" + key if key.startswith("$") else key: item for key, item in value.items()}
        if atoms.issuperset(map(type, value.values())):
            return value
        return {key: item if (kind := type(item)) in atoms else write[kind](item, depth) for key, item in value.items()}

    def _set(self, value: Any, depth: int) -> list[Any]:
        forms: list[Any] = self.items(value, depth)
        return sorted(forms, key=_order)  # the same bytes in each process, whatever its hash seed

    def _fraction(self, value: fractions.Fraction, depth: int) -> Any:
        return self.items((value.numerator, value.denominator), depth)

    # -- forms to values

    def back(self, form: Any) -> Any:
        """Return the value that a form stands for; what is no form, as an upcaster may give, is left as it is.

        Raises:
            Malformed: it has a tag that the format has not. (What is behind a tag may raise what it likes.)
        """
        read = self._containers.get(form.__class__)
        return form if read is None else read(form)

    def root_back(self, name: str, data: Any) -> Any:
        """Return the payload of the built-in type *name* that was stored as *data*."""
        if name not in _PLAIN:
            return self._read["$" + name](data)
        value = self.back(data)
        if NAMES.get(value.__class__) != name:
            msg = f"its data are a {type(value).__name__}"
            raise Malformed(msg)
        return value

    def _back_dict(self, form: dict[Any, Any]) -> Any:
        back = self.back
        if len(form) == 1:
            ((key, inner),) = form.items()
            read = self._read.get(key)
            if read is not None:
                return read(inner)
            if isinstance(key, str) and key.startswith("$") and not key.startswith("$$"):
                msg = f"it has the unknown tag {key!r}"
                raise Malformed(msg)
        return {_key(key): item if type(item) in ATOMS else back(item) for key, item in form.items()}

    def _back_items(self, form: Any) -> list[Any]:
        back = self.back
        return [item if type(item) in ATOMS else back(item) for item in _list(form)]


def deeper(depth: int) -> int:
    """Return the next level.

    Raises:
        Refused: there is none.
    """
    if depth >= DEEPEST:
        msg = f"is nested deeper than {DEEPEST} levels, or contains itself"
        raise Refused(msg)
    return depth + 1


def _order(form: Any) -> str:
    return repr(_listed(form))


def _listed(form: Any) -> Any:
    """Return a form with lists for all sequences: values that are their own forms may stand there as a tuple."""
    if isinstance(form, dict):
        return {key: _listed(item) for key, item in form.items()}
    return list(map(_listed, form)) if isinstance(form, list | tuple) else form


def _tagged(tag: str, inner: Write) -> Write:
    return lambda value, depth: {tag: inner(value, depth)}


def _key(key: Any) -> Any:
    if not isinstance(key, str) or not key.startswith("$"):
        return key
    if not key.startswith("$$"):
        msg = f"it has the unknown key {key!r}"
        raise Malformed(msg)
    return key[1:]


def _list(form: Any) -> list[Any]:
    if form.__class__ is not list:
        msg = f"it has a {type(form).__name__} where a list belongs"
        raise Malformed(msg)
    return form


# -- one function a type: value, depth -> what follows the tag


def _as_is(value: Any, _depth: int) -> Any:
    return value


def _write_float(value: float, _depth: int) -> Any:
    return value if math.isfinite(value) else {"$float": str(value)}


def _write_int(value: int, _depth: int) -> Any:
    return value if -_TOO_LONG < value < _TOO_LONG else {"$int": hex(value)}


def tagged_int(value: int) -> Any:
    """Return the form of an int that can't be taken for a float."""
    return {"$int": hex(value)}


def _write_text(value: str, _depth: int) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        msg = f"is a str with half a character, {value[error.start]!r}, at {error.start}, which UTF-8 has not"
        raise Refused(msg) from error
    return value


def _write_bytes(value: bytes, _depth: int) -> str:
    return base64.b64encode(value).decode("ascii")


def _write_moment(value: dt.datetime | dt.time, _depth: int) -> Any:
    zone = value.tzinfo
    if zone is None:
        return [value.isoformat(), value.fold, None] if value.fold else value.isoformat()
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return [value.replace(tzinfo=None).isoformat(), value.fold, zone.key]
    if type(zone) is not dt.timezone:
        msg = f"has a tzinfo of type {type(zone).__qualname__}, {zone!r}; use datetime.timezone or zoneinfo.ZoneInfo"
        raise Refused(msg)
    offset = zone.utcoffset(None)
    if value.fold or offset % _MINUTE:  # Python itself misreads some offsets with a fraction of a second
        return [value.replace(tzinfo=None).isoformat(), value.fold, _write_timedelta(offset, 0)]
    return value.isoformat()


def _read_moment(kind: type[Any]) -> Read:
    def read(inner: Any) -> Any:
        if isinstance(inner, str):
            return kind.fromisoformat(inner)
        text, fold, zone = _list(inner)
        if zone is not None:
            zone = zoneinfo.ZoneInfo(zone) if isinstance(zone, str) else dt.timezone(dt.timedelta(*zone))
        return kind.fromisoformat(text).replace(fold=fold, tzinfo=zone)

    return read


def _write_timedelta(value: dt.timedelta, _depth: int) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_INNER: Final[dict[type, Write]] = {
    bytes: _write_bytes,
    dt.date: lambda value, _depth: value.isoformat(),
    dt.datetime: _write_moment,
    dt.time: _write_moment,
    dt.timedelta: _write_timedelta,
    decimal.Decimal: lambda value, _depth: str(value),
    uuid.UUID: lambda value, _depth: str(value),
}

_READ: Final[dict[str, Read]] = {
    "$bytes": lambda inner: base64.b64decode(inner, validate=True),
    "$date": dt.date.fromisoformat,
    "$datetime": _read_moment(dt.datetime),
    "$decimal": decimal.Decimal,
    "$float": float,
    "$int": lambda inner: int(inner, 16),
    "$time": _read_moment(dt.time),
    "$timedelta": lambda inner: dt.timedelta(*inner),
    "$uuid": uuid.UUID,
}
