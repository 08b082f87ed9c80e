"""What a projection class says of itself: options, clauses, unknown events."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume._behaviour import Clauses, Options, handlers_of, merge
from hume.errors import UnknownEvent
from tests.samples import Collected, Shelf, Total

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

OPTIONS = "store, snapshots, snapshot_every, snapshot_after, catch_up_after, strict, copy_state, version"


class Animal:
    pass


class Dog(Animal):
    pass


class Puppy(Dog):
    pass


class Robot:
    pass


class RobotDog(Robot, Dog):
    pass


class Sounds(hume.Projection[tuple[str, ...]]):
    """Says which clause an event went to."""

    def init_state(self, projection: Hashable) -> tuple[str, ...]:
        return ()

    @hume.handles(Animal, int)
    def some_sound(self, event: object, state: tuple[str, ...]) -> tuple[str, ...]:
        return (*state, "some sound")

    @hume.handles(Dog)
    def bark(self, event: Dog, state: tuple[str, ...]) -> tuple[str, ...]:
        return (*state, "bark")

    @hume.handles(Robot)
    def beep(self, event: Robot, state: tuple[str, ...]) -> tuple[str, ...]:
        return (*state, "beep")


def said(cls: type[hume.Projection[tuple[str, ...]]], event: object) -> str:
    return hume.evolve(cls, (1, event), None).state[-1]


# -- options


def test_without_options_a_class_has_the_documented_defaults() -> None:
    class Plain(hume.Projection[Any]):
        pass

    assert Plain.__hume_options__ == Options(None, None, 100, 30.0, 30.0, True, copy.deepcopy, 1)


def test_options_of_the_class_line_are_inherited_and_win_over_the_bases() -> None:
    class Base(Total, snapshot_every=7, version="a"):
        pass

    class Derived(Base, version="b", strict=False):
        pass

    derived = Derived.__hume_options__
    assert (derived.store, derived.snapshot_every, derived.version, derived.strict) == (
        hume.EventStoreActor,
        7,
        "b",
        False,
    )
    assert (Base.__hume_options__.version, Base.__hume_options__.strict) == ("a", True)
    assert Total.__hume_options__.snapshot_every == 100


def test_options_of_the_start_win_over_the_class_line_for_that_one_projection() -> None:
    hume.EventStoreActor.start_link()
    shelf = Shelf()
    one = hume.start(Total, stream="s", projection="one", snapshots=shelf, version=2)
    other = hume.start(Total, stream="s", projection="other")
    hume.publish(hume.EventStoreActor, "s", 1)
    hume.take_snapshot(one)
    hume.take_snapshot(other)
    assert [(snapshot.projection, snapshot.version) for snapshot in shelf.saved] == [("one", 2)]
    assert (Total.__hume_options__.snapshots, Total.__hume_options__.version) == (None, 1)


def test_an_unknown_option_is_refused_in_the_class_line_naming_those_there_are() -> None:
    with pytest.raises(TypeError, match=rf"unknown option 'snapshots_every'; allowed are {OPTIONS}"):
        type("Bad", (hume.Projection,), {}, snapshots_every=5)


def test_an_unknown_option_is_refused_at_the_start_naming_those_there_are() -> None:
    hume.EventStoreActor.start_link()
    wanted = rf"unknown option 'snapshots_every'; allowed are stream, projection, name, timeout, {OPTIONS}"
    with pytest.raises(TypeError, match=wanted):
        hume.start(Total, stream="s", snapshots_every=5)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=wanted):
        Total.child_spec(stream="s", snapshots_every=5)  # type: ignore[call-arg]
    hume.start(Total, stream="s")  # nothing was left of the first


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("snapshot_every", 0, ValueError),
        ("snapshot_every", -1, ValueError),
        ("snapshot_every", 1.5, ValueError),
        ("snapshot_every", True, ValueError),
        ("snapshot_after", 0, ValueError),
        ("snapshot_after", -1.0, ValueError),
        ("snapshot_after", "soon", ValueError),
        ("snapshot_after", float("nan"), ValueError),
        ("catch_up_after", 0, ValueError),
        ("catch_up_after", None, ValueError),
        ("strict", 1, TypeError),
        ("copy_state", "deep", TypeError),
        ("version", None, TypeError),
        ("version", [1], TypeError),
        ("snapshots", 5, TypeError),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_naming_the_option_and_what_it_may_be(
    option: str, value: object, error: type[Exception]
) -> None:
    with pytest.raises(error, match=f"{option} must be .*{re.escape(repr(value))}"):
        merge(Options(), {option: value})
    with pytest.raises(error, match=option):
        type("Bad", (hume.Projection,), {}, **{option: value})


def test_both_ways_to_be_due_for_a_snapshot_can_be_switched_off() -> None:
    merged = merge(Options(), {"snapshot_every": None, "snapshot_after": None, "copy_state": None})
    assert (merged.snapshot_every, merged.snapshot_after, merged.copy_state) == (None, None, None)


# -- @handles


def test_an_event_goes_to_the_clause_of_its_own_type() -> None:
    assert [said(Sounds, event) for event in (Animal(), Dog(), Robot(), 5)] == [
        "some sound",
        "bark",
        "beep",
        "some sound",
    ]


def test_an_event_of_a_subclass_goes_to_the_clause_of_the_nearest_base_in_its_method_resolution_order() -> None:
    assert said(Sounds, Puppy()) == "bark"
    assert said(Sounds, RobotDog()) == "beep"
    assert said(Sounds, True) == "some sound"  # a bool is an int


def test_clauses_are_inherited_and_a_subclass_may_override_a_method_or_take_a_type_over() -> None:
    class Louder(Sounds):
        def bark(self, event: Dog, state: tuple[str, ...]) -> tuple[str, ...]:
            return (*state, "BARK")

        @hume.handles(Puppy)
        def yap(self, event: Puppy, state: tuple[str, ...]) -> tuple[str, ...]:
            return (*state, "yap")

    assert [said(Louder, event) for event in (Dog(), Puppy(), Animal())] == ["BARK", "yap", "some sound"]
    assert [said(Sounds, event) for event in (Dog(), Puppy())] == ["bark", "bark"]


def test_a_method_that_a_subclass_marks_again_handles_the_new_types_only() -> None:
    class Retrained(Sounds):
        @hume.handles(str)
        def bark(self, event: str, state: tuple[str, ...]) -> tuple[str, ...]:  # type: ignore[override]  # on purpose
            return (*state, f"bark at {event}")

    assert [said(Retrained, event) for event in ("moon", Dog())] == ["bark at moon", "some sound"]
    assert said(Sounds, Dog()) == "bark"


def test_an_event_that_no_clause_fits_is_unknown_and_the_message_names_the_clauses() -> None:
    with pytest.raises(
        UnknownEvent, match=r"Sounds does not handle 'moo': there are clauses for Animal, int, Dog"
    ) as bad:
        said(Sounds, "moo")
    assert (bad.value.projection, bad.value.payload) == ("Sounds", "moo")


def test_a_class_that_names_two_methods_for_one_type_is_refused_naming_both() -> None:
    class Twice:
        @hume.handles(Dog)
        def one(self) -> None: ...

        @hume.handles(Animal, Dog)
        def other(self) -> None: ...

    with pytest.raises(TypeError, match="Twice handles Dog twice: in one and in other"):
        handlers_of(Twice)
    with pytest.raises(TypeError, match="twice"):
        type("Bad", (hume.Projection,), dict(vars(Twice)))


def test_handle_event_beside_clauses_is_refused_also_when_one_of_them_is_inherited() -> None:
    def handle_event(self: object, payload: Any, state: Any) -> Any: ...

    @hume.handles(Dog)
    def bark(self: object, event: Dog, state: Any) -> Any: ...

    for base, members in (
        (hume.Projection, {"handle_event": handle_event, "bark": bark}),
        (Sounds, {"handle_event": handle_event}),
        (Total, {"bark": bark}),
    ):
        with pytest.raises(TypeError, match=r"Bad must have one of handle_event, .*@handles methods"):
            type("Bad", (base,), members)


def test_a_projection_may_have_an_init_that_hands_on_what_it_gets() -> None:
    class Labelled(Total):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.label = "new"

    hume.EventStoreActor.start_link()
    assert hume.start_link(Labelled, stream="s").proxy().label.get() == "new"


LAZY = ("init_state", "handle_event", "on_init", "on_caught_up", "last_snapshot", "persist_snapshot")


@pytest.mark.parametrize("name", LAZY)
def test_a_callback_that_would_not_run_is_refused_in_the_class(name: str) -> None:
    async def later(self: object, *_: object) -> None: ...

    async def stream(self: object, *_: object) -> Any:
        yield

    def some(self: object, *_: object) -> Any:
        yield

    for method, says in ((later, "not async"), (stream, "not async"), (some, "not a generator")):
        with pytest.raises(TypeError, match=rf"Bad.{name} must be a plain method.*{says}"):
            type("Bad", (hume.Projection,), {name: method})
        with pytest.raises(TypeError, match=rf"Bad.bark must be a plain method.*{says}"):
            type("Bad", (hume.Projection,), {"bark": hume.handles(Dog)(method)})


@pytest.mark.parametrize("types", [(), ("Dog",), (Dog, None), (Dog | Animal,)])
def test_handles_takes_one_or_more_types_only(types: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match=r"handles needs one or more event types, as @handles\(Deposited\)"):
        hume.handles(*types)


# -- unknown events


def mute(payload: Any, state: Any) -> None:
    """Change the state in place, and forget to return it."""
    state.append(payload)


def picky(payload: Any, state: Any) -> Any:
    raise UnknownEvent("picky", payload)


class Forgetful(hume.Projection[list[Any]]):
    def init_state(self, projection: Hashable) -> list[Any]:
        return []

    def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
        match payload:
            case "good":
                return [*state, payload]
            case "in place":
                state.append(payload)
        return None


class ForgetfulClause(hume.Projection[list[Any]]):
    def init_state(self, projection: Hashable) -> list[Any]:
        return []

    @hume.handles(str)
    def text(self, event: str, state: list[Any]) -> list[Any] | None:
        return [*state, event] if event == "good" else None


@pytest.mark.parametrize("cls", [Forgetful, ForgetfulClause])
@pytest.mark.parametrize("payload", ["in place", "fell through"])
def test_a_handler_that_returns_none_raises_unknown_event_and_the_message_says_what_to_return(
    cls: type[hume.Projection[Any]], payload: str
) -> None:
    wanted = f"{payload}.*: (handle_event|text) returned None; return the new state, also when it was changed in place"
    with pytest.raises(UnknownEvent, match=wanted):
        hume.evolve(cls, (1, payload), None)


@pytest.mark.parametrize("cls", [Forgetful, ForgetfulClause])
def test_not_strict_an_unknown_event_is_skipped_logged_and_numbered(
    cls: type[hume.Projection[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    snapshot, count = hume.replay(cls, None, [(1, "good"), (2, "what?"), (3, "good")], strict=False)
    assert (snapshot.seq, snapshot.state, count) == (3, ["good", "good"], 3)
    assert [record.getMessage() for record in caplog.records] == [
        f"{cls.__name__} skips event 2: no clause handles 'what?'"
    ]


@pytest.mark.parametrize(("strict", "handler"), [(True, picky), (False, picky), (False, mute)])
def test_a_handler_may_raise_unknown_event_itself_with_the_same_effect(
    strict: bool, handler: Callable[[Any, Any], Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Own(Forgetful):
        def handle_event(self, payload: Any, state: list[Any]) -> list[Any] | None:
            result: list[Any] | None = handler(payload, state)
            return result

    if strict:
        with pytest.raises(UnknownEvent, match="picky does not handle 'x'"):
            hume.evolve(Own, (1, "x"), None)
    else:
        assert hume.evolve(Own, (1, "x"), None, strict=False).seq == 1
        assert "skips event 1" in caplog.text


def test_falsy_states_are_states() -> None:
    class Falsy(hume.Projection[Any]):
        def init_state(self, projection: Hashable) -> Any:
            return False

        def handle_event(self, payload: Any, state: Any) -> Any:
            return payload

    falsy: list[Any] = [0, False, "", (), {}]
    for state in falsy:
        assert hume.evolve(Falsy, (1, state), None).state == state


def test_clauses_look_a_type_up_once() -> None:
    asked = []

    class Nosy(type):
        @property
        def __mro__(cls) -> tuple[type, ...]:
            asked.append(cls)
            return type.__dict__["__mro__"].__get__(cls)  # type: ignore[no-any-return]

    class Cat(Animal, metaclass=Nosy):
        pass

    clauses = Clauses(object.__new__(Sounds), Sounds.__hume_handlers__, strict=True)
    before = len(asked)
    for _ in range(5):
        assert clauses.step(Cat(), ()) == ("some sound",)
    assert len(asked) - before <= 1
    assert Collected.__hume_handlers__ == {}
