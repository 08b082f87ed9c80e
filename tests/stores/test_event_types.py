"""The names and versions of event types, and upcasters: what is refused, and what stored data become."""

from __future__ import annotations

import dataclasses
import enum
import functools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from hume.errors import DecodeError, EncodeError
from hume.stores._codec import JSONCodec
from hume.stores._event_types import EventType, Stored, event, event_type, registry, upcaster
from tests.stores.payloads import make_class, registry_restored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def event_types_as_before() -> Iterator[None]:
    """Let no test see the classes and upcasters of another."""
    with registry_restored():
        yield


def placed(name: str, version: int = 1) -> Any:
    """Return a new class for this event type."""

    @event(name, version)
    @dataclasses.dataclass(frozen=True)
    class Placed:
        order_id: str
        currency: Any = "none"

    return Placed


def led_on(name: str, data: Any) -> list[Any]:
    """Return what version 1 of an event type becomes, as upcasters see it."""
    return [tuple(stored) for stored in registry.upcast(Stored(name, 1, data))]


def decode(name: str, version: int, data: bytes) -> list[Any]:
    return JSONCodec().decode(name, version, data)


# -- names


def test_a_class_has_its_own_name_and_version_1_unless_they_are_fixed() -> None:
    assert event_type(make_class("Plain", "m")) == ("Plain", 1)
    assert event_type(make_class("Fixed", "m", fixed=("order-fixed", 2))) == ("order-fixed", 2)


def test_the_decorator_returns_the_class_itself() -> None:
    cls = make_class("Same", "m")
    assert event("same-class")(cls) is cls
    assert registry.class_of("same-class") is cls


def test_two_classes_cant_have_one_name() -> None:
    make_class("One", "here", fixed=("taken", 1))
    with pytest.raises(ValueError, match=r"'taken' is here\.One; give there\.Other another name"):
        make_class("Other", "there", fixed=("taken", 2))
    assert registry.class_of("taken") is not None


def test_a_class_that_is_defined_again_replaces_the_old_one_and_may_have_another_version_and_name() -> None:
    make_class("Again", "m", fixed=("again", 1))
    newer = make_class("Again", "m", fixed=("again", 2))
    assert registry.class_of("again") is newer
    renamed = make_class("Again", "m", fixed=("again-renamed", 1))
    assert (registry.class_of("again"), registry.class_of("again-renamed")) == (None, renamed)


def test_a_class_cant_have_two_names() -> None:
    cls = make_class("Two", "m", fixed=("first", 1))
    with pytest.raises(ValueError, match=r"m\.Two is 'first', version 1, already; it can't be 'second' too"):
        event("second")(cls)
    assert registry.class_of("second") is None


BAD: list[tuple[Any, Any, type[Exception], str]] = [
    (None, 1, TypeError, "must be a string, not None"),
    (make_class("Bare", "m"), 1, TypeError, r"must be a string, not <class 'm\.Bare'>; hume\.\w+ takes a name"),
    ("", 1, ValueError, "not ''"),
    (" ", 1, ValueError, "not ' '"),
    ("a\n", 1, ValueError, r"not 'a\\n'"),
    ("a\ud800", 1, ValueError, "not 'a"),
    ("bad-version", "1", TypeError, "version of 'bad-version' must be a whole number, not '1'"),
    ("bad-version", True, TypeError, "not True"),
    ("bad-version", 1.0, TypeError, "not 1.0"),
    ("bad-version", 0, ValueError, "at least 1, and at most 2147483647, not 0"),
    ("bad-version", 2**31, ValueError, "not 2147483648"),
]


@pytest.mark.parametrize("decorator", [event, upcaster])
@pytest.mark.parametrize(("name", "version", "error", "why"), BAD)
def test_bad_names_and_versions_are_refused(
    decorator: Callable[..., Any], name: Any, version: Any, error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        decorator(name, version)


def test_a_built_in_types_name_is_refused() -> None:
    with pytest.raises(ValueError, match="'dict' is the name of a built-in type"):
        event("dict")


def test_only_classes_are_events_and_only_functions_are_upcasters() -> None:
    with pytest.raises(TypeError, match="decorates a class, not <function"):
        event("no-class")(lambda data: data)  # type: ignore[type-var]  # that is the point
    with pytest.raises(TypeError, match="immutable type"):
        event("no-class")(int)
    assert registry.class_of("no-class") is None
    with pytest.raises(TypeError, match="decorates a function, not <class 'dict'>"):
        upcaster("no-function", 1)(dict)
    with pytest.raises(TypeError, match="decorates a function, not 3"):
        upcaster("no-function", 1)(3)  # type: ignore[type-var]  # that is the point


def test_threads_that_claim_one_name_at_once_get_one_winner() -> None:
    start, results = threading.Barrier(8), list[str]()

    def claim(number: int) -> None:
        start.wait()
        try:
            make_class(f"Racer{number}", "m", fixed=("race", 1))
            results.append("won")
        except ValueError:
            results.append("refused")

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["refused"] * 7 + ["won"]


# -- upcasters are registered


def first(data: Any) -> Any:
    return data | {"by": "first"}


def second(data: Any) -> Any:
    return data | {"by": "second"}


def test_a_version_cant_have_two_upcasters() -> None:
    assert upcaster("one-way", 1)(first) is first
    with pytest.raises(ValueError, match=r"version 1 of event type 'one-way' has the upcaster .*first;.*second can't"):
        upcaster("one-way", 1)(second)
    assert led_on("one-way", {}) == [("one-way", 2, {"by": "first"})]


def test_functions_whose_names_say_nothing_are_not_taken_for_one_another() -> None:
    upcaster("nameless", 1)(lambda data: {"the": "first"})
    with pytest.raises(ValueError, match="has the upcaster"):
        upcaster("nameless", 1)(lambda data: data)


def test_an_upcaster_that_is_defined_again_replaces_the_old_one() -> None:
    def define(by: str) -> None:
        @upcaster("again", 1)
        def up(data: Any) -> Any:
            return by

    define("old")
    define("new")
    assert led_on("again", {}) == [("again", 2, "new")]


def test_an_upcaster_from_a_version_that_the_class_has_itself_is_refused_whichever_comes_first() -> None:
    make_class("Order", "m", fixed=("order-a", 2))
    with pytest.raises(ValueError, match=r"first leads on from version 2 .*m\.Order is at version 2: .*version=3"):
        upcaster("order-a", 2)(first)
    upcaster("order-b", 2)(first)
    with pytest.raises(ValueError, match=r"first leads on from version 2 .*m\.Order2 is at version 1"):
        make_class("Order2", "m", fixed=("order-b", 1))
    assert registry.class_of("order-b") is None


def test_a_class_without_a_fixed_version_that_has_an_upcaster_is_not_stored() -> None:
    upcaster("Unversioned", 1)(first)
    with pytest.raises(EncodeError, match=r'first leads on .*@hume\.event\("Unversioned", version=2\)'):
        JSONCodec().encode(make_class("Unversioned", "m")(1))


# -- what stored data become


def test_an_upcaster_gives_the_data_of_the_next_version() -> None:
    cls = placed("placed", 2)

    @upcaster("placed", 1)
    def add_currency(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"currency": "EUR"}

    assert decode("placed", 1, b'{"order_id":"a"}') == [cls("a", "EUR")]
    assert decode("placed", 2, b'{"order_id":"a"}') == [cls("a", "none")]


def test_upcasters_are_chained_from_the_stored_version_up_to_the_current_one() -> None:
    placed("chained", 4)
    for version in (1, 2, 3):
        upcaster("chained", version)(
            functools.partial(lambda n, data: data | {"currency": data["currency"] + n}, str(version))
        )
    read = [decode("chained", version, b'{"order_id":"a","currency":"+"}')[0].currency for version in (1, 2, 3, 4)]
    assert read == ["+123", "+23", "+3", "+"]


def test_an_event_may_be_split_into_several_in_order() -> None:
    cls = placed("part-a")
    other = make_class("PartB", "m", fixed=("part-b", 1))

    @upcaster("whole", 1)
    def split(data: dict[str, Any]) -> Iterator[Any]:
        yield "part-a", 1, {"order_id": data["id"]}
        for line in data["lines"]:
            yield "part-b", 1, {"value": line}

    assert decode("whole", 1, b'{"id":"x","lines":[1,2]}') == [cls("x"), other(1), other(2)]


def test_a_list_of_tuples_splits_too_and_a_list_of_anything_else_is_data() -> None:
    cls = placed("part")
    upcaster("listed", 1)(lambda data: [("part", 1, {"order_id": one}) for one in data])
    assert decode("listed", 1, b'["a","b"]') == [cls("a"), cls("b")]
    assert decode("listed", 1, b"[]") == []
    upcaster("wrapped", 1)(lambda data: ("list", 1, data["items"]))
    assert decode("wrapped", 1, b'{"items":[1,{"$tuple":[2]}]}') == [[1, (2,)]]
    upcaster("as-list", 1)(lambda data: [data])
    upcaster("as-list", 2)(lambda data: ("list", 1, data))
    assert decode("as-list", 1, b'{"a":1}') == [[{"a": 1}]]


@pytest.mark.parametrize("nothing", [None, [], iter(())])
def test_an_event_may_be_dropped(nothing: Any) -> None:
    upcaster("dropped", 1)(lambda data: nothing)
    assert decode("dropped", 1, b'{"a":1}') == []


def test_an_event_type_may_be_renamed_and_its_results_are_led_on_by_their_own_upcasters() -> None:
    cls = placed("new-name", 3)
    upcaster("old-name", 1)(lambda data: ("new-name", 2, data))
    upcaster("new-name", 2)(lambda data: data | {"currency": "USD"})
    assert decode("old-name", 1, b'{"order_id":"a"}') == [cls("a", "USD")]


def test_tuples_may_become_objects_later() -> None:
    cls = placed("item-added")
    encoded = JSONCodec().encode(("add", "foo"))

    @upcaster("tuple", 1)
    def to_class(data: list[Any]) -> Any:
        return ("item-added", 1, {"order_id": data[1]}) if data[0] == "add" else ("tuple", 2, data)

    assert decode(*encoded) == [cls("foo")]
    assert decode("tuple", 1, b'["remove",1]') == [("remove", 1)]


def test_an_upcaster_may_change_what_it_gets_and_give_values_as_they_are() -> None:
    cls = placed("values", 2)

    @upcaster("values", 1)
    def change(data: dict[str, Any]) -> dict[str, Any]:
        data["currency"] = {"now": (1, 2)}
        return data

    expected = [cls("a", {"now": (1, 2)})]
    assert decode("values", 1, b'{"order_id":"a"}') == expected
    assert decode("values", 1, b'{"order_id":"a"}') == expected


def test_values_inside_a_payload_are_upcast_too() -> None:
    cls = placed("inside", 2)
    upcaster("inside", 1)(lambda data: data | {"currency": "EUR"})
    upcaster("inside-renamed", 1)(lambda data: ("inside", 1, data))
    data = b'[{"$object":["inside",1,{"order_id":"a"}]},{"$object":["inside-renamed",1,{"order_id":"b"}]}]'
    assert decode("tuple", 1, data) == [(cls("a", "EUR"), cls("b", "EUR"))]


def test_a_value_inside_a_payload_cant_be_dropped() -> None:
    upcaster("inside-dropped", 1)(lambda data: None)
    with pytest.raises(DecodeError, match="make 0 of a 'inside-dropped' inside another value"):
        decode("list", 1, b'[{"$object":["inside-dropped",1,{}]}]')


def test_an_enum_is_upcast_by_its_value() -> None:
    class Hue(enum.Enum):
        CRIMSON = "crimson"

    event("hue", version=2)(Hue)
    upcaster("hue", 1)({"red": "crimson"}.__getitem__)
    assert decode("hue", 1, b'"red"') == [Hue.CRIMSON]


def test_an_upcaster_that_is_defined_after_a_read_counts_from_then_on() -> None:
    codec = JSONCodec()
    cls = make_class("Later", "m", fixed=("later", 1))
    encoded = codec.encode(cls(1))
    assert codec.decode(*encoded) == [cls(1)]
    newer = make_class("Later", "m", fixed=("later", 2))
    upcaster("later", 1)(lambda data: {"value": data["value"] + 1})
    assert codec.decode(*encoded) == [newer(2)]


# -- what goes wrong


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda data: 1 / 0, "failed: ZeroDivisionError: division by zero"),
        (lambda data: ("x", data), r"gives data or \(name, version, data\), not \('x', \{\}\)"),
        (lambda data: ("x", "1", data), "version of 'x' must be a whole number"),
        (lambda data: ("", 1, data), "must be text that can be read"),
        (lambda data: (step for step in [1 / 0]), "ZeroDivisionError"),
    ],
)
def test_an_upcaster_that_fails_is_named_with_its_type_and_version(function: Callable[[Any], Any], why: str) -> None:
    upcaster("failing", 3)(function)
    with pytest.raises(DecodeError, match=why) as caught:
        decode("failing", 3, b"{}")
    assert str(caught.value).startswith("event type 'failing', version 3: its upcaster tests.stores.test_event_types.")
    assert caught.value.__cause__ is not None


def test_upcasters_that_go_round_in_a_circle_are_an_error() -> None:
    upcaster("round", 1)(lambda data: ("about", 1, data))
    upcaster("about", 1)(lambda data: ("round", 1, data))
    with pytest.raises(DecodeError, match="in a circle: round 1 -> about 1 -> round 1"):
        decode("round", 1, b"{}")


def test_an_upcaster_that_leads_to_no_class_names_what_is_missing() -> None:
    upcaster("lost", 1)(lambda data: ("nowhere", 1, data))
    with pytest.raises(DecodeError, match="no class with the name 'nowhere' is known"):
        decode("lost", 1, b"{}")


def test_an_event_type_is_a_name_and_a_version() -> None:
    assert EventType("a", 1) == ("a", 1)
