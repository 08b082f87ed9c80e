"""What the tests of events as bytes share: a class of each kind, values of every type, and what "the same" means."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import fractions
import math
import zoneinfo
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from hypothesis import strategies as st

from hume.stores._event_types import event, registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Simple:
    """Plain annotations only, so msgspec reads it."""

    name: str
    count: int = 0
    price: float = 0.0
    note: str | None = None


@dataclasses.dataclass(slots=True)
class Slotted:
    name: str
    _lines: list[str] = dataclasses.field(default_factory=list)
    rest: Any = None


@dataclasses.dataclass(frozen=True)
class Loose:
    """Annotations that say too much, too little or nothing true."""

    at: dt.datetime | None
    numbers: list[float]
    what: Decimal | tuple[int, ...] | Any = None


@dataclasses.dataclass
class Doubling:
    """Making one again would not give the same."""

    start: dataclasses.InitVar[int]
    value: int = 0
    total: int = dataclasses.field(init=False)

    def __post_init__(self, start: int) -> None:
        self.value = self.value * 2 + start
        self.total = self.value + 1


@dataclasses.dataclass(frozen=True)
class Box(Generic[T]):
    value: T


class Plain(msgspec.Struct, frozen=True):
    name: str
    price: float | None = None
    extra: dict[str, int] = {}


class Odd(msgspec.Struct, rename="camel", tag=True, omit_defaults=True, kw_only=True):
    first_name: str
    second_name: Any = "none"

    def __post_init__(self) -> None:
        if isinstance(self.first_name, str) and not self.first_name.endswith("!"):
            self.first_name += "!"


class Point(NamedTuple):
    x: Any
    y: float = 0.0


class Color(enum.Enum):
    RED = "red"
    BLUE = 2
    PAIR = ("a", 1)
    NOTHING = None


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"
    ODD = "$odd"


class Rights(enum.Flag):
    READ = 1
    WRITE = 2


def make_class(name: str, module: str, /, *, field: Any = int, fixed: tuple[str, int] | None = None) -> Any:
    """Return a new dataclass with one field, ``value``, as a module that is loaded again would define it."""
    cls = dataclasses.make_dataclass(name, [("value", field)])
    cls.__module__, cls.__qualname__ = module, name
    return event(*fixed)(cls) if fixed else cls


CLASSES = (Simple, Slotted, Loose, Doubling, Box, Plain, Odd, Point, Color, Level, Word, Rights)

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

_offsets = st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(dt.timezone)
_zones = st.none() | st.just(dt.UTC) | _offsets | st.sampled_from([BERLIN, zoneinfo.ZoneInfo("America/New_York")])
# "null", "$" and the names of tags are what the fast ways look for
_texts = st.text(max_size=8) | st.sampled_from(["null", "$", "$$", "$tuple", "$object", '"$set', "\\u0024set"])
_numbers = st.integers() | st.sampled_from([2**63, 2**64, -(2**64), -(10**30)])

_hashable_atoms = st.one_of(
    st.none(), st.booleans(), _numbers, _texts, st.floats(allow_nan=False), st.binary(max_size=8),
    st.dates(), st.timedeltas(), st.uuids(), st.fractions(),
    st.datetimes(timezones=_zones, allow_imaginary=True), st.times(timezones=_zones),
    st.decimals(allow_nan=False),
    st.sampled_from([*Color, *Level, *Word, Rights(0), Rights.READ | Rights.WRITE]),
)  # fmt: skip
_atoms = _hashable_atoms | st.just(math.nan) | st.sampled_from([Decimal("NaN"), Decimal("sNaN123"), Decimal("-0.00")])


def _hashables(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Box, inner),
        st.builds(Point, inner, st.floats(allow_nan=False) | st.integers()),
    )


hashables = st.recursive(_hashable_atoms, _hashables, max_leaves=5)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects of classes, with anything in their fields, whatever their annotations say."""
    return st.one_of(
        st.builds(Simple, _texts, st.integers(), st.floats() | st.integers(), st.none() | _texts),
        st.builds(Simple, inner, inner, inner, inner),
        st.builds(Slotted, inner, st.lists(inner, max_size=2), inner),
        st.builds(Loose, inner, st.lists(st.integers() | st.floats(), max_size=3), inner),
        st.builds(Doubling, st.integers(0, 9), st.integers(0, 9)),
        st.builds(Plain, _texts, st.floats() | st.integers() | st.none(), st.dictionaries(_texts, st.integers())),
        st.builds(Plain, inner, inner, inner),
        st.builds(lambda first, second: Odd(first_name=first, second_name=second), inner, inner),
        st.builds(Box, inner),
        st.builds(Point, inner, inner),
    )


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_texts, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=3),
        st.sets(hashables, max_size=3),
        objects(inner),
    )


values = st.recursive(_atoms | hashables, _containers, max_leaves=12)


def new_process() -> None:
    """Forget the classes and upcasters that were seen or defined so far, as a process that begins has none."""
    registry._classes, registry._upcasters, registry._seen = {}, {}, {}
    registry._changed()


@contextlib.contextmanager
def registry_restored() -> Iterator[None]:
    """Give back the classes and upcasters there were before."""
    kept = (
        registry._classes.copy(),
        registry._upcasters.copy(),
        {name: dict(one) for name, one in registry._seen.items()},
    )
    try:
        yield
    finally:
        registry._classes, registry._upcasters, registry._seen = kept
        registry._changed()


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are equal and of the same type, and so is all that is in them, in the same order."""
    if type(one) is not type(other):
        return False
    compare = _COMPARE.get(type(one))
    if compare is not None:
        return compare(one, other)
    names = _names(one)
    if names is not None:
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


def _names(value: Any) -> tuple[str, ...] | None:
    if dataclasses.is_dataclass(value):
        return tuple(field.name for field in dataclasses.fields(value))
    return getattr(value, "__struct_fields__", getattr(value, "_fields", None))


def _same_items(one: Any, other: Any) -> bool:
    return len(one) == len(other) and all(map(same, one, other))


def _same_dicts(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    return _same_items(list(one.items()), list(other.items()))


def _same_sets(one: Any, other: Any) -> bool:
    twins = {item: item for item in other}
    return one == other and all(same(item, twins[item]) for item in one)


def _same_moments(one: Any, other: Any) -> bool:
    zones = [(type(it.tzinfo), getattr(it.tzinfo, "key", it.utcoffset()), it.fold) for it in (one, other)]
    return zones[0] == zones[1] and bool(one.replace(tzinfo=None) == other.replace(tzinfo=None))


_COMPARE: dict[type, Callable[[Any, Any], bool]] = {
    list: _same_items,
    tuple: _same_items,
    dict: _same_dicts,
    set: _same_sets,
    frozenset: _same_sets,
    float: lambda one, other: repr(one) == repr(other),  # nan is itself, and 0.0 is not -0.0
    Decimal: lambda one, other: str(one) == str(other),
    dt.datetime: _same_moments,
    dt.time: _same_moments,
}

EXAMPLES: list[Any] = [
    None, True, 0, -(10**5000), 1.0, -0.0, math.inf, "", "\x00", "$", b"\x00\xff", [], (), {}, set(), frozenset(),
    ("add", "foo", 42), {"by number": {1: {2, 3}}}, {1: "int", "1": "str"}, {"$tuple": [1]},
    {"$object": ["Box", 1, {}]},
    {"$$": {"$": 1}, "": None}, [None, 1.5], [None, math.nan], {(1, frozenset({2})): [({},)]},
    dt.datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN, fold=1),
    dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999),  # noqa: DTZ001 - naive ones too
    dt.time(1, 2, 3, 4, fold=1), dt.time(1, tzinfo=BERLIN), dt.date.min, dt.timedelta.min,
    Decimal("1.10"), UUID(int=7), fractions.Fraction(-(10**5000), 7),
    Simple("a", 1, 1.5), Simple("a", 1, 2), Simple("a", True, math.inf), Simple("null", 1, 1.5, None),
    Slotted("a", ["$b"], {"$c": 1}), Loose(dt.datetime.now(dt.UTC), [1, 2.0], (1,)), Doubling(1, 2), Box(Box({1})),
    Plain("a", 2, {"x": 1}), Plain("a"), Odd(first_name="a"), Point(1), Point((1,), 2),
    *Color, Level.LOW, Word.ODD, Rights.READ | Rights.WRITE, [Level.LOW, 1, Word.YES, "yes"],
]  # fmt: skip
