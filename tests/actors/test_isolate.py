"""Copies: equal to `copy.deepcopy`'s, sharing nothing that can be changed, and free for what can't be."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import uuid
from collections import OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume.actors._isolate import ATOMS, is_immutable, isolated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


class Color(enum.Enum):
    RED = "red"
    LIST = ("li", "st")


class Point(NamedTuple):
    x: Any
    y: Any = 0


class NamedPoint(Point):
    """Without ``__slots__``: an attribute can be added to an instance at any time."""


@dataclasses.dataclass(frozen=True)
class Frozen:
    value: Any


@dataclasses.dataclass(frozen=True, slots=True, weakref_slot=True)
class Slotted:
    value: Any


class Marker:
    """A base class with nothing in it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Boxed(Marker, Generic[T]):
    value: T


@dataclasses.dataclass
class Open:
    value: Any


class OpenChild(Frozen):
    """No dataclass itself, so it takes attributes that its fields don't name."""


class FrozenHidden:
    __slots__ = ("hidden",)


@dataclasses.dataclass(frozen=True)
class WithHidden(FrozenHidden):
    value: Any


@dataclasses.dataclass(frozen=True)
class FrozenDict(dict[Any, Any]):
    value: Any = 0


@dataclasses.dataclass(frozen=True)
class FrozenDeque(deque[Any]):
    value: Any = 0


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    value: Any = 0


@dataclasses.dataclass(frozen=True)
class Cached:
    value: Any

    @functools.cached_property
    def parts(self) -> list[Any]:
        return [self.value]


@dataclasses.dataclass(frozen=True)
class HalfSet:
    value: Any = dataclasses.field(init=False)


class Zone(dt.tzinfo):
    """A time zone that can be changed."""

    def __init__(self) -> None:
        self.hours = 1

    def utcoffset(self, _dt: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=self.hours)

    def dst(self, _dt: dt.datetime | None) -> None:
        return None

    def tzname(self, _dt: dt.datetime | None) -> str:
        return "Z"


class SubclassedInt(int):
    """Takes attributes."""


class SubclassedTuple(tuple[Any, ...]):
    """Of no kind that the library knows."""

    __slots__ = ()


def function() -> None:
    """Do nothing."""


atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, dt.UTC])),
    st.times(),
    st.timedeltas(),
    st.decimals(),
    st.fractions(),
    st.uuids(),
    st.sampled_from([Color.RED, Color.LIST, range(3), ..., NotImplemented, int, function, len]),
    st.builds(bytearray),
)
hashables = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from([Color.RED, Slotted("s")])),
    lambda inner: st.one_of(st.tuples(inner, inner), st.frozensets(inner, max_size=3), inner.map(Frozen)),
    max_leaves=4,
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Everything that holds something, changeable or not."""
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
        st.sets(hashables, max_size=4),
        st.frozensets(hashables, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(deque),
        st.dictionaries(hashables, inner, max_size=3).map(OrderedDict),
        st.tuples(inner, inner).map(lambda xy: Point(*xy)),
        inner.map(NamedPoint),
        inner.map(Frozen),
        inner.map(Slotted),
        inner.map(Boxed),
        inner.map(Open),
        inner.map(OpenChild),
        inner.map(Cached),
    )


values = st.recursive(atoms, containers, max_leaves=12)


def inside(value: object) -> Iterator[object]:
    """Yield what a value holds, however it holds it."""
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from value
    if not isinstance(value, type | enum.Enum):  # these are names, not data
        yield from getattr(value, "__dict__", {}).values()
        yield from (getattr(value, name) for name in getattr(value, "__dataclass_fields__", ()))


def changeable(value: object) -> dict[int, object]:
    """Return what can be changed in place in a value, by identity, as these tests know it: not as the library does."""
    found = dict[int, object]()
    if isinstance(value, list | dict | set | bytearray | deque | Open | OpenChild | NamedPoint | Cached):
        found[id(value)] = value
    for part in inside(value):
        found |= changeable(part)
    return found


def form(value: object) -> object:
    """Return what two equal values have in common, types included: a NaN's too, and without a set's order."""
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(form(part)) for part in value)
    within = [form(part) for part in inside(value)]
    return type(value), within or repr(value)


@given(value=values)
def test_a_copy_equals_that_of_deepcopy(value: Any) -> None:
    """T6: and so does its type, all the way down."""
    assert form(isolated(value)) == form(copy.deepcopy(value)) == form(value)


@given(value=values)
def test_a_copy_shares_nothing_that_can_be_changed(value: Any) -> None:
    """T6: so no later change of the one shows in the other."""
    copied = isolated(value)
    shared = changeable(value).keys() & changeable(copied).keys()
    assert not shared, f"{[changeable(value)[number] for number in shared]} are in both"


@given(value=values)
def test_what_is_called_immutable_holds_nothing_that_can_be_changed(value: Any) -> None:
    """T6: what threads may share is never in doubt."""
    if is_immutable(value):
        assert not changeable(value)
        assert isolated(value) is value


@given(value=st.recursive(hashables, lambda inner: inner.map(Point), max_leaves=4))
def test_what_cannot_be_changed_is_not_copied(value: Any) -> None:
    """T6: copies cost nothing where nobody could tell."""
    assert is_immutable(value)
    assert isolated(value) is value


def _add_attribute(value: Any) -> None:
    value.added = []


CHANGEABLE: list[tuple[Any, Callable[[Any], object]]] = [
    ([], lambda v: v.append(1)),
    ({}, lambda v: v.update(a=1)),
    (set(), lambda v: v.add(1)),
    (bytearray(), lambda v: v.append(1)),
    (deque(), lambda v: v.append(1)),
    (defaultdict(list), lambda v: v["a"]),
    (([],), lambda v: v[0].append(1)),
    (Point([]), lambda v: v.x.append(1)),
    (NamedPoint(1), _add_attribute),
    (Frozen([]), lambda v: v.value.append(1)),
    (Slotted([]), lambda v: v.value.append(1)),
    (Boxed([]), lambda v: v.value.append(1)),
    (Open(1), _add_attribute),
    (OpenChild(1), _add_attribute),
    (FrozenDict(), lambda v: v.update(a=1)),
    (FrozenDeque(), lambda v: v.append(1)),
    (Cached(1), lambda v: v.parts.append(2)),
    (SubclassedInt(1), _add_attribute),
    (Marker(), _add_attribute),
    (dt.datetime(2024, 1, 1, tzinfo=Zone()), lambda v: _add_attribute(v.tzinfo)),
    (dt.time(12, tzinfo=Zone()), lambda v: _add_attribute(v.tzinfo)),
]


@pytest.mark.parametrize(("value", "change"), CHANGEABLE, ids=lambda part: type(part).__name__)
def test_what_can_be_changed_is_not_called_immutable(value: Any, change: Callable[[Any], object]) -> None:
    """T6: however well it hides it; the change is made, to prove the point."""
    assert not is_immutable(value)
    assert not is_immutable((value,))
    copied = isolated(value)
    assert copied is not value
    change(value)


def test_a_value_hidden_beside_the_fields_is_found() -> None:
    """T6: in a slot of a base class, or in the instance's dict."""
    hidden, beside = WithHidden(1), Frozen(1)
    object.__setattr__(hidden, "hidden", [])
    object.__setattr__(beside, "extra", [])
    assert not is_immutable(hidden)
    assert not is_immutable(beside)


IMMUTABLE: list[Any] = [
    None, True, 1, 1.5, 1j, "a", b"a", range(3), ..., NotImplemented,
    dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC), dt.datetime(2024, 1, 1),  # noqa: DTZ001
    dt.time(12), dt.timedelta(1), dt.UTC, decimal.Decimal(1), fractions.Fraction(1, 2), uuid.UUID(int=1),
    Color.RED, (), (1, ("a",)), frozenset({1}), Point(1), Frozen(1), Slotted((1, 2)), Boxed("a"),
]  # fmt: skip


@pytest.mark.parametrize("value", IMMUTABLE, ids=repr)
def test_what_cannot_be_changed_is_called_immutable(value: Any) -> None:
    """T6: so that it is not copied for nothing."""
    assert is_immutable(value)
    assert isolated(value) is value
    assert isolated([value]) == [value]


def test_a_field_that_was_never_set_holds_nothing() -> None:
    """T6: asking is no error."""
    half = HalfSet()
    assert is_immutable(half)
    assert isolated(half) is half


def test_an_object_of_no_known_kind_is_not_called_immutable() -> None:
    """T6: in doubt a copy is made."""
    assert not is_immutable(SubclassedTuple((1,)))
    assert not is_immutable(FrozenError())
    assert not is_immutable(object())


def test_no_copier_shares_and_a_copier_of_ones_own_copies_all_but_atoms() -> None:
    """T6: the caller decides how rows are copied."""
    row: list[int] = []
    assert isolated(row, None) is row
    assert isolated((1,), list) == [1]  # type: ignore[comparison-overlap]  # it is what the copier makes of it
    assert all(isolated(atom, lambda _: pytest.fail("an atom was copied")) is atom for atom in (1, "a", None, int))


def test_atoms_stay_themselves_under_deepcopy() -> None:
    """T6: leaving the copy out for them changes nothing."""
    for value in (1, "a", b"a", range(3), 1.5, decimal.Decimal(1), uuid.UUID(int=1), int, function, len, dt.UTC):
        assert type(value) in ATOMS
        assert copy.deepcopy(value) == value
