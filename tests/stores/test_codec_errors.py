"""What can't be stored or read as bytes: who is told, where the fault sits, and what is to be done."""

from __future__ import annotations

import dataclasses
import datetime as dt
import pickle
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import pytest

from hume.errors import DecodeError, EncodeError
from hume.stores._codec import JSONCodec
from hume.stores._json_form import DEEPEST, NAMES
from tests.stores.payloads import CLASSES, Box, Color, Point, Simple, make_class, registry_restored, same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CODEC = JSONCodec(CLASSES)


@pytest.fixture(autouse=True)
def event_types_as_before() -> Iterator[None]:
    """Let no test see the classes of another."""
    with registry_restored():
        yield


@pytest.fixture
def codec() -> JSONCodec:
    """Return a codec that knows no class of its own."""
    return JSONCodec()


# -- what can't be stored


class Custom:
    pass


class Zone(dt.tzinfo):
    def utcoffset(self, moment: dt.datetime | None, /) -> dt.timedelta:
        return dt.timedelta(0)

    def dst(self, moment: dt.datetime | None, /) -> None:
        return None

    def tzname(self, moment: dt.datetime | None, /) -> str:
        return "mine"


@dataclasses.dataclass
class Failure(Exception):
    code: int


LOOP: list[Any] = []
LOOP.append({"again": LOOP})

REFUSED: list[tuple[Any, str, str]] = [
    (Custom(), "payload", "tests.stores.test_codec_errors.Custom"),
    ([1, {"a": (2, Custom())}], "payload[1]['a'][1]", "Custom"),
    (Simple("a", Custom()), "payload.count", "Custom"),  # type: ignore[arg-type]  # that is the point
    ({"box": Box(Point(1, Custom()))}, "payload['box'].value.y", "Custom"),  # type: ignore[arg-type]  # as above
    ({len: 1}, "payload key <built-in function len>", "builtin_function_or_method"),
    ({1: {1: {(2, len): 1}}}, "payload[1][1] key (2, <built-in function len>)[1]", "builtin_function_or_method"),
    ({(10**5000, len): 1}, "payload key of type tuple[1]", "builtin_function_or_method"),
    ({1, (2, len)}, "payload item (2, <built-in function len>)[1]", "builtin_function_or_method"),
    ([OrderedDict()], "payload[0]", "collections.OrderedDict"),
    (lambda: 0, "payload", "builtins.function"),
    (Failure(1), "payload", "Failure"),
    ("a\ud800", "payload", r"half a character, '\ud800', at 1"),
    (["a", {"\udfff": 1}], r"payload[1] key '\udfff'", "half a character"),
    (dt.datetime(2024, 1, 1, tzinfo=Zone()), "payload", "tzinfo of type Zone"),
    (dt.time(1, tzinfo=Zone()), "payload", "tzinfo of type Zone"),
    (LOOP, "payload[0]['again'][0]", f"nested deeper than {DEEPEST} levels, or contains itself"),
]


@pytest.mark.parametrize(("payload", "path", "why"), REFUSED, ids=[path for _, path, _ in REFUSED])
def test_what_cant_be_stored_is_refused_with_its_type_and_its_place(payload: Any, path: str, why: str) -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode(payload)
    error = caught.value
    assert error.path.startswith(path)
    assert why in error.why
    assert f"type {error.type_name} can't be encoded: {error.path} {error.why}" in str(error)
    assert error.type_name == NAMES.get(type(payload), type(payload).__name__)


def test_what_is_as_deep_as_it_may_be_can_be_read_and_what_is_deeper_is_not_stored() -> None:
    def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = wrap(value)
        return value

    for wrap in (Box, lambda value: (value,), lambda value: {"in": value}, lambda value: frozenset({value})):
        assert same(CODEC.decode(*CODEC.encode(nested(DEEPEST, wrap))), [nested(DEEPEST, wrap)])
        with pytest.raises(EncodeError, match="nested deeper"):
            CODEC.encode(nested(DEEPEST + 1, wrap))


def test_a_dataclass_that_lacks_a_field_is_refused() -> None:
    simple = Simple("a")
    object.__delattr__(simple, "name")
    with pytest.raises(EncodeError, match="lacks a field of its class"):
        CODEC.encode(simple)


def test_two_classes_of_one_name_are_not_stored_by_one_codec(codec: JSONCodec) -> None:
    one, other = make_class("Twin", "here"), make_class("Twin", "there")
    codec.encode(one(1))
    with pytest.raises(EncodeError, match=r"there\.Twin, whose name 'Twin' is that of here\.Twin"):
        codec.encode(other(1))
    assert codec.decode("Twin", 1, b'{"value":2}') == [one(2)]
    assert JSONCodec([other]).decode("Twin", 1, b'{"value":2}') == [other(2)]


def test_a_class_named_as_a_built_in_type_is_not_stored(codec: JSONCodec) -> None:
    with pytest.raises(EncodeError, match="the name 'date' is that of a built-in type; give the class another"):
        codec.encode(make_class("date", "m")(1))


def test_a_class_named_as_another_is_fixed_is_not_stored(codec: JSONCodec) -> None:
    make_class("Other", "m", fixed=("TestTaken", 1))
    with pytest.raises(EncodeError, match=r"the name 'TestTaken' is that of m\.Other"):
        codec.encode([make_class("TestTaken", "m")(1)])


@pytest.mark.parametrize(
    ("bad", "error", "why"),
    [
        (Simple("a"), TypeError, "must be classes"),
        (Custom, TypeError, "Custom.*can't be stored"),
        (make_class("tuple", "m"), ValueError, "a built-in type"),
    ],
)
def test_only_what_can_be_stored_can_be_registered(bad: Any, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        JSONCodec([Color, int, bad])


# -- what can't be read

UNREADABLE: list[tuple[str, int, bytes, str]] = [
    ("Never", 1, b"{}", r"no class with the name 'Never' is known.*JSONCodec\(types="),
    ("Simple", 2, b"{}", "a newer program has stored it: tests.stores.payloads.Simple is at version 1"),
    ("Simple", 1, b"{}", "lack the field 'name' of Simple: give the field a default"),
    ("Plain", 1, b"{}", "don't make a Plain: .*name"),
    ("Simple", 1, b"[]", "are a list, not an object"),
    ("Simple", 1, b'{"name":', "don't fit: .*truncated"),
    ("Color", 1, b'"green"', "'green' is not a valid Color"),
    ("Color", 1, b'{"member":"GREEN"}', "Color has no member 'GREEN'"),
    ("tuple", 2, b"[]", "version 1 only"),
    ("tuple", 1, b"{}", "a dict where a list belongs"),
    ("dict", 1, b"[]", "its data are a list"),
    ("list", 1, b'[{"$later":1}]', r"unknown tag '\$later'"),
    ("list", 1, b'[{"$later":1,"b":2}]', r"unknown key '\$later'"),
    ("list", 1, b'[{"$object":["Never",1,{}]}]', "no class with the name 'Never'"),
    ("list", 1, b'[{"$object":["os.system",1,"true"]}]', "no class with the name 'os.system'"),
    ("datetime", 1, b'"yesterday"', "don't fit: ValueError"),
    ("set", 1, b"[[]]", "don't fit: TypeError: unhashable"),
    ("list", 1, b"[" * 100_000, "don't fit: RecursionError"),
]


@pytest.mark.parametrize(("name", "version", "data", "why"), UNREADABLE, ids=[why for *_, why in UNREADABLE])
def test_what_cant_be_read_says_which_type_and_why(name: str, version: int, data: bytes, why: str) -> None:
    with pytest.raises(DecodeError, match=why) as caught:
        CODEC.decode(name, version, data)
    assert (caught.value.type_name, caught.value.version) == (name, version)
    assert str(caught.value).startswith(f"event type {name!r}, version {version}: ")


def test_an_older_version_without_an_upcaster_is_not_read(codec: JSONCodec) -> None:
    make_class("Gap", "m", fixed=("test-gap", 3))
    with pytest.raises(DecodeError, match=r"at version 3.*from version 2.*@hume.upcaster\(\"test-gap\", 2\)"):
        codec.decode("test-gap", 2, b'{"value":1}')


def test_a_name_that_may_mean_two_classes_is_not_guessed(codec: JSONCodec) -> None:
    for module in ("here", "there"):
        JSONCodec([make_class("Ambiguous", module)])
    with pytest.raises(DecodeError, match=r"may mean here\.Ambiguous or there\.Ambiguous: say which"):
        codec.decode("Ambiguous", 1, b'{"value":1}')


def test_a_store_adds_the_place_to_the_error_and_it_pickles(codec: JSONCodec) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode("list", 1, b"[")
    located = pickle.loads(pickle.dumps(caught.value.at("orders", 7)))
    assert str(located).startswith("event 7 of stream 'orders': event type 'list', version 1: ")
    assert (located.stream, located.seq, located.type_name, located.why) == ("orders", 7, "list", caught.value.why)
    assert caught.value.at("orders", 7).__cause__ is caught.value.__cause__
