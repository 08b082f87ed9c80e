"""Payloads as bytes: what comes back is equal and of the same type, and what can't be stored or read says why."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import math
import subprocess
import sys
import threading
import types
import typing
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings

from hume.errors import DecodeError
from hume.stores._codec import Encoded, JSONCodec
from hume.stores._event_types import BUILTIN_NAMES, event
from hume.stores._json_form import NAMES
from tests.stores.payloads import (
    BERLIN,
    CLASSES,
    EXAMPLES,
    Point,
    Rights,
    Simple,
    make_class,
    new_process,
    objects,
    registry_restored,
    same,
    values,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CODEC = JSONCodec(CLASSES)

in_its_own_time = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(autouse=True)
def event_types_as_before() -> Iterator[None]:
    """Let no test see the classes of another."""
    with registry_restored():
        yield


@pytest.fixture
def codec() -> JSONCodec:
    """Return a codec that knows no class of its own."""
    return JSONCodec()


def round_trip(payload: Any, codec: JSONCodec = CODEC) -> Any:
    (result,) = codec.decode(*codec.encode(payload))
    return result


# -- round trips


@in_its_own_time
@given(values)
def test_what_is_stored_comes_back_equal_and_of_the_same_type_all_the_way_down(payload: Any) -> None:
    assert same(round_trip(payload), payload)


@in_its_own_time
@given(objects(values))
def test_objects_come_back_whatever_is_in_their_fields(payload: Any) -> None:
    assert same(round_trip(payload), payload)


@pytest.mark.parametrize("payload", EXAMPLES, ids=lambda payload: type(payload).__name__)
def test_each_kind_of_payload_comes_back(payload: Any) -> None:
    assert same(round_trip(payload), payload)
    assert same(round_trip([{"in": (payload,)}]), [{"in": (payload,)}])


@in_its_own_time
@given(values)
@example({(0,), (None,)})  # of which the one is its own form for both, and the other for the fast one
def test_the_fast_ways_write_what_the_careful_way_writes(payload: Any) -> None:
    assert CODEC.encode(payload) == CODEC._tables.encode_carefully(payload)


@in_its_own_time
@given(values)
def test_data_are_strict_json_and_equal_values_of_a_codec_have_equal_bytes(payload: Any) -> None:
    encoded = CODEC.encode(payload)
    assert msgspec.json.encode(msgspec.json.decode(encoded.data)) == encoded.data or "$int" in str(encoded.data)
    assert JSONCodec().encode(round_trip(payload)) == encoded


def test_what_is_read_is_not_shared_between_two_reads() -> None:
    encoded = CODEC.encode({"lines": [1]})
    (first,), (second,) = CODEC.decode(*encoded), CODEC.decode(*encoded)
    first["lines"].append(2)
    assert second == {"lines": [1]}


# -- classes


def test_a_class_defined_inside_a_function_works_by_its_name(codec: JSONCodec) -> None:
    @dataclasses.dataclass(frozen=True)
    class Local:
        value: int

    encoded = codec.encode(Local(3))
    assert encoded == ("Local", 1, b'{"value":3}')
    assert codec.decode(*encoded) == [Local(3)]


def test_a_class_is_not_known_to_a_process_that_has_neither_stored_nor_registered_it() -> None:
    cls = make_class("Unseen", "m")
    encoded = JSONCodec().encode(cls(1))
    new_process()
    codec = JSONCodec()
    with pytest.raises(DecodeError, match="no class with the name 'Unseen' is known"):
        codec.decode(*encoded)
    codec.register(cls)
    assert codec.decode(*encoded) == [cls(1)]


def test_a_class_that_another_codec_of_the_process_has_stored_is_known(codec: JSONCodec) -> None:
    @dataclasses.dataclass
    class Shared:
        value: int

    encoded = JSONCodec().encode(Shared(1))
    assert codec.decode(*encoded) == [Shared(1)]


def test_a_class_with_a_fixed_name_may_be_renamed_and_moved(codec: JSONCodec) -> None:
    encoded = codec.encode(make_class("OldName", "old.place", fixed=("thing", 1))(1))
    new_process()
    new = make_class("NewName", "new.place", fixed=("thing", 1))
    assert encoded.type_name == "thing"
    assert JSONCodec().decode(*encoded) == [new(1)]


def test_a_class_that_is_defined_again_takes_the_place_of_the_old_one(codec: JSONCodec) -> None:
    old, new = make_class("Again", "m"), make_class("Again", "m")
    encoded = codec.encode(old(1))
    assert type(codec.decode(*encoded)[0]) is old
    codec.encode(new(1))
    assert type(codec.decode(*encoded)[0]) is new


def test_the_name_may_be_fixed_below_a_decorator_that_makes_a_copy_of_the_class(codec: JSONCodec) -> None:
    @dataclasses.dataclass(slots=True)
    @event("test-below")
    class Below:
        value: int

    assert codec.decode(*codec.encode(Below(1))) == [Below(1)]


def test_a_class_whose_name_is_fixed_after_it_was_stored_is_stored_under_the_new_name(codec: JSONCodec) -> None:
    cls = make_class("Late", "m")
    assert codec.encode(cls(1)).type_name == "Late"
    event("test-late", version=3)(cls)
    assert codec.encode([cls(1)]).data == b'[{"$object":["test-late",3,{"value":1}]}]'
    assert codec.encode(cls(1))[:2] == ("test-late", 3)


def test_a_subclass_does_not_have_its_bases_name(codec: JSONCodec) -> None:
    base = event("test-base")(make_class("Base", "m"))
    sub = type("Sub", (base,), {})
    assert codec.encode(sub(1)).type_name == "Sub"


def test_a_field_that_was_added_gets_its_default_and_one_that_is_gone_is_passed_over() -> None:
    data = b'{"name":"a","gone":1}'
    assert CODEC.decode("Simple", 1, data) == [Simple("a")]
    assert same(CODEC.decode("Slotted", 1, data)[0]._lines, [])
    assert CODEC.decode("Plain", 1, data)[0].extra == {}
    assert CODEC.decode("Point", 1, b'{"x":{"$set":[]}}') == [Point(set())]


def test_an_annotation_that_changes_later_changes_no_stored_value(codec: JSONCodec) -> None:
    day = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    encoded = codec.encode(make_class("Typed", "m", field=dt.datetime)(day))
    codec.register(make_class("Typed", "m", field=Any))
    assert codec.decode(*encoded)[0].value == day


@pytest.mark.parametrize(
    "annotation",
    [
        "Nowhere", Any, object, bool, int, float, int | float, str | None, list, list[int], list[float], dict[str, Any],
        dict[str, float], dict[int, str], typing.Literal[1], typing.Annotated[int, "positive"],
        typing.Dict, typing.List,  # noqa: UP006 - as old code has them
    ],
    ids=str,
)  # fmt: skip
def test_a_value_comes_back_whatever_its_annotation_says(codec: JSONCodec, annotation: Any) -> None:
    cls = make_class("Annotated", "m", field=annotation)
    for value in (
        None,
        True,
        1,
        1.0,
        "1",
        [1],
        [1.0],
        (1,),
        {"a": 1},
        {"a": 1.0},
        {1: "a"},
        {"a": (1,)},
        [None],
        math.inf,
    ):
        assert same(round_trip(cls(value), codec), cls(value))


def test_an_object_is_not_made_by_its_constructor_again(codec: JSONCodec) -> None:
    @dataclasses.dataclass
    class Strict:
        value: int

        def __post_init__(self) -> None:
            if rules["strict"]:
                raise ValueError("rules are stricter today")

    rules = {"strict": False}
    encoded = codec.encode(Strict(1))
    rules["strict"] = True
    assert codec.decode(*encoded)[0].value == 1


# -- the format


class Kept(enum.Enum):
    TEXT = "text"
    PAIR = (1, 2)


class Place(NamedTuple):
    x: float
    y: Any


@dataclasses.dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str


FORMAT: list[tuple[Any, str, bytes]] = [
    (None, "none", b"null"),
    (True, "bool", b"true"),
    (42, "int", b"42"),
    (2**70, "int", b"1180591620717411303424"),
    (-(1 << 16_000), "int", b'{"$int":"-0x1' + b"0" * 4000 + b'"}'),
    (1.0, "float", b"1.0"),
    (math.inf, "float", b'{"$float":"inf"}'),
    ("Grüße $", "str", '"Grüße $"'.encode()),
    ([1, (2, [3])], "list", b'[1,{"$tuple":[2,[3]]}]'),
    (("add", "foo", 42), "tuple", b'["add","foo",42]'),
    ({"a": {"b": [None, False]}}, "dict", b'{"a":{"b":[null,false]}}'),
    ({"$a": 1, "$$b": 2, "c$": 3}, "dict", b'{"$$a":1,"$$$b":2,"c$":3}'),
    ({1: "a", (2,): "b"}, "dict", b'{"$dict":[[1,"a"],[{"$tuple":[2]},"b"]]}'),
    ({"b", "a", "c"}, "set", b'["a","b","c"]'),
    (frozenset({(1,), 2}), "frozenset", b'[2,{"$tuple":[1]}]'),
    ([{1}, frozenset({2})], "list", b'[{"$set":[1]},{"$frozenset":[2]}]'),
    (b"\x00\xff\x10", "bytes", b'"AP8Q"'),
    (Decimal("1.10"), "decimal", b'"1.10"'),
    ([Decimal("-Infinity")], "list", b'[{"$decimal":"-Infinity"}]'),
    (Fraction(1, 3), "fraction", b"[1,3]"),
    (UUID(int=5), "uuid", b'"00000000-0000-0000-0000-000000000005"'),
    (dt.date(2024, 2, 29), "date", b'"2024-02-29"'),
    (dt.time(12, 30, 0, 5), "time", b'"12:30:00.000005"'),
    (dt.datetime(2024, 1, 2, 3, 4, 5), "datetime", b'"2024-01-02T03:04:05"'),  # noqa: DTZ001 - naive ones too
    ([dt.datetime(2024, 1, 2, tzinfo=dt.UTC)], "list", b'[{"$datetime":"2024-01-02T00:00:00+00:00"}]'),
    (dt.timedelta(days=-1, microseconds=7), "timedelta", b"[-1,0,7]"),
    (Simple("a", 1, 2.5, None), "Simple", b'{"name":"a","count":1,"price":2.5,"note":null}'),
    (Simple("a", 1, 2), "Simple", b'{"name":"a","count":1,"price":{"$int":"0x2"},"note":null}'),
    (Money(Decimal(1), "EUR"), "Money", b'{"amount":{"$decimal":"1"},"currency":"EUR"}'),
    ([Money(Decimal(1), "EUR")], "list", b'[{"$object":["Money",1,{"amount":{"$decimal":"1"},"currency":"EUR"}]}]'),
    (Place(1.0, {2}), "Place", b'{"x":1.0,"y":{"$set":[2]}}'),
    (Kept.TEXT, "Kept", b'"text"'),
    (Kept.PAIR, "Kept", b'{"member":"PAIR"}'),
    ((Rights.READ | Rights.WRITE, Kept.TEXT), "tuple", b'[{"$object":["Rights",1,3]},{"$object":["Kept",1,"text"]}]'),
]


@pytest.mark.parametrize(
    ("payload", "name", "data"), FORMAT, ids=[f"{name}-{n}" for n, (_, name, _) in enumerate(FORMAT)]
)
def test_the_format_stays_as_it_is_on_users_disks(payload: Any, name: str, data: bytes) -> None:
    codec = JSONCodec([Simple, Money, Place, Kept, Rights])
    assert codec.encode(payload) == Encoded(name, 1, data)
    (result,) = codec.decode(name, 1, data)
    assert same(result, payload)


@pytest.mark.parametrize(
    ("zone", "inner"),
    [
        (BERLIN, b'["2024-10-27T02:30:00",1,"Europe/Berlin"]'),
        (None, b'["2024-10-27T02:30:00",1,null]'),
        (dt.timezone(dt.timedelta(microseconds=-1)), b'["2024-10-27T02:30:00",1,[-1,86399,999999]]'),
    ],
)
def test_a_fold_a_zone_and_an_odd_offset_are_stored_beside_the_time(zone: dt.tzinfo | None, inner: bytes) -> None:
    (moment,) = CODEC.decode("datetime", 1, inner)
    assert (moment.fold, moment.tzinfo) == (1, zone)
    assert CODEC.encode(moment).data == inner


def test_each_built_in_type_has_a_name_that_no_class_may_have() -> None:
    assert set(NAMES.values()) == BUILTIN_NAMES
    assert len(NAMES) == len(BUILTIN_NAMES)


# -- surroundings


def test_the_codec_loads_msgspec_when_it_is_made_and_not_before() -> None:
    code = (
        "import sys, hume.stores._codec as codec; assert 'msgspec' not in sys.modules;"
        "codec.JSONCodec(); assert 'msgspec' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)  # noqa: S603 - our own code


def test_without_msgspec_the_codec_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "msgspec", None)
    with pytest.raises(ImportError, match=r"hume-es\[sqlite\]"):
        JSONCodec()


@pytest.mark.usefixtures("fast_switching")
def test_threads_may_share_a_codec_while_classes_are_defined() -> None:
    codec, faults, done = JSONCodec(), list[BaseException](), threading.Event()

    def work(number: int) -> None:
        try:
            cls = make_class(f"Threaded{number}", "m")
            for count in range(200):
                assert codec.decode(*codec.encode(cls(count))) == [cls(count)]
                assert same(round_trip([cls(count), {count}], codec), [cls(count), {count}])
        except BaseException as error:  # noqa: BLE001 - to be raised where the test can see it
            faults.append(error)

    def define() -> None:
        while not done.is_set():
            make_class("Redefined", "m", fixed=("test-redefined", 1))

    definer = threading.Thread(target=define)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in (definer, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    definer.join()
    assert faults == []


def test_modules_are_never_imported_because_data_say_so(codec: JSONCodec, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("test_never_imported")
    vars(module)["Evil"] = make_class("Evil", "test_never_imported")
    monkeypatch.setitem(sys.modules, "test_never_imported", module)
    for name in ("Evil", "test_never_imported.Evil", "test_never_imported:Evil"):
        with pytest.raises(DecodeError, match="no class with the name"):
            codec.decode(name, 1, b'{"value":1}')
