"""Every exception of the library: its place in the tree, its facts, its message, and its way through a pickle."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pykka
import pytest

from hume import errors
from hume.actors import Crash
from hume.errors import HumeError
from tests.helpers import Probe

CAUSE = ValueError("no disk")

# class -> (an error of it, its facts, what its message names: the thing, what was found, the way out)
CASES: dict[str, tuple[HumeError, dict[str, Any], list[str]]] = {
    "HumeError": (HumeError("in general"), {}, ["in general"]),
    "ActorDead": (
        errors.ActorDead("server 'svc'", "killed"),
        {"server": "server 'svc'", "reason": "killed"},
        ["server 'svc'", "is not alive", "killed"],
    ),
    "Timeout": (errors.Timeout("svc did not answer within 5 seconds"), {}, ["svc", "5 seconds"]),
    "CallingSelf": (errors.CallingSelf("svc would wait for itself"), {}, ["svc", "itself"]),
    "SupervisorError": (errors.SupervisorError("a"), {"child_id": "a"}, ["child 'a'", "refused"]),
    "AlreadyPresent": (
        errors.AlreadyPresent("a"),
        {"child_id": "a"},
        ["child 'a'", "not running", "restart_child", "delete_child", "terminate_child"],
    ),
    "ChildNotFound": (
        errors.ChildNotFound("a", range(1, 12)),
        {"child_id": "a", "known": tuple(range(1, 12))},
        ["child 'a'", "not found", "there are 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..."],
    ),
    "ChildRunning": (errors.ChildRunning("a"), {"child_id": "a"}, ["child 'a'", "is running", "terminate_child"]),
    "ChildRestarting": (errors.ChildRestarting("a"), {"child_id": "a"}, ["child 'a'", "waits", "terminate_child"]),
    "MaxChildren": (errors.MaxChildren(3), {"child_id": None, "limit": 3}, ["3 children", "max_children"]),
    "StartFailed": (errors.StartFailed("a", CAUSE), {"child_id": "a"}, ["child 'a'", "failed to start", "no disk"]),
    "TableError": (errors.TableError("in general"), {}, ["in general"]),
    "NotOwner": (
        errors.NotOwner("rows", "insert", "actor 1"),
        {"table": "rows", "owner": "actor 1"},
        ["table 'rows'", "insert", "only its owner, actor 1"],
    ),
    "NotFound": (errors.NotFound("rows"), {"table": "rows"}, ["no table 'rows'"]),
    "TableDeleted": (
        errors.TableDeleted("rows"),
        {"table": "rows"},
        ["table 'rows'", "deleted", "give a table an heir"],
    ),
    "TelemetryError": (errors.TelemetryError("handler 'a' is not attached"), {}, ["'a'", "not attached"]),
    "CodecError": (errors.CodecError("in general"), {}, ["in general"]),
    "EncodeError": (
        errors.EncodeError(
            "order-placed", "payload.lines[0]", "is of type Custom, which can't be stored: use built-in types"
        ),
        {
            "type_name": "order-placed",
            "path": "payload.lines[0]",
            "why": "is of type Custom, which can't be stored: use built-in types",
        },
        ["type order-placed", "payload.lines[0]", "Custom", "use built-in types"],
    ),
    "DecodeError": (
        errors.DecodeError("order-placed", 2, "no class is known: register it", stream="orders", seq=7),
        {
            "type_name": "order-placed",
            "version": 2,
            "why": "no class is known: register it",
            "stream": "orders",
            "seq": 7,
        },
        ["event 7 of stream 'orders'", "'order-placed', version 2", "register it"],
    ),
    "InvalidStore": (
        errors.InvalidStore("my store", ("events", "last_seq")),
        {"missing": ("events", "last_seq")},
        ["'my store'", "lacks events, last_seq", "append, events and last_seq"],
    ),
    "UnexpectedSequence": (
        errors.UnexpectedSequence("account-1", expected=3, actual=5),
        {"stream": "account-1", "expected": 3, "actual": 5},
        ["stream 'account-1'", "is at 5", "expected 3", "read it again and retry"],
    ),
    "IdConflict": (
        errors.IdConflict("account-1", "id-7", known=True),
        {"stream": "account-1", "id": "id-7"},
        ["stream 'account-1'", "id id-7", "another payload", "nothing was appended"],
    ),
    "TransferFailed": (
        errors.TransferFailed("expected an event, found 'garbage'", line=7),
        {"why": "expected an event, found 'garbage'", "line": 7},
        ["line 7", "expected an event", "garbage"],
    ),
    "StorageFailed": (
        errors.StorageFailed("/tmp/log.db", "append", "the disk is full"),  # noqa: S108 - a name, not a file
        {"path": "/tmp/log.db"},  # noqa: S108 - as above
        ["/tmp/log.db", "can't append", "the disk is full"],  # noqa: S108 - as above
    ),
    "UnknownEvent": (
        errors.UnknownEvent("Inventory", ("add", 1), ": forgot the return?"),
        {"projection": "Inventory", "payload": ("add", 1)},
        ["Inventory", "does not handle ('add', 1)", "forgot the return?"],
    ),
    "StaleEvent": (errors.StaleEvent(3, at=5), {"seq": 3, "at": 5}, ["event 3", "applied already", "at 5"]),
}


def classes() -> dict[str, type[Exception]]:
    return {name: getattr(errors, name) for name in errors.__all__}


def test_every_class_has_its_case() -> None:
    """Style, Errors: none is forgotten here; AlreadyStarted, which needs a live actor, has its own tests below."""
    assert set(CASES) | {"AlreadyStarted"} == set(errors.__all__)
    assert errors.__all__ == sorted(errors.__all__)
    assert {name for name, (error, _, _) in CASES.items() if type(error).__name__ != name} == set()


def test_the_tree_is_as_drawn_at_the_top_of_the_module() -> None:
    """Design, errors.py: one tree under HumeError, drawn at the top: the drawing and the classes say the same."""
    drawn: list[tuple[str, str]] = []
    parents: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip(" │├└─").split(" ")[0]
        if name not in errors.__all__ or (parents and "──" not in line):
            continue
        depth = line.index(name)
        parents = [(d, parent) for d, parent in parents if d < depth]
        drawn.append((name, parents[-1][1] if parents else "Exception"))
        parents.append((depth, name))
    assert dict(drawn) == {name: cls.__bases__[0].__name__ for name, cls in classes().items()}
    assert len(drawn) == len(classes())


def test_pykkas_own_are_among_the_bases() -> None:
    """Design, errors.py: code that catches pykka.ActorDeadError or pykka.Timeout catches ours, and no others."""
    assert {name for name, cls in classes().items() if issubclass(cls, pykka.ActorDeadError)} == {"ActorDead"}
    assert {name for name, cls in classes().items() if issubclass(cls, pykka.Timeout)} == {"Timeout"}


@pytest.mark.parametrize("name", CASES)
def test_facts_are_attributes_and_the_message_names_thing_found_and_way_out(name: str) -> None:
    """Style, Errors: facts are attributes; the message says thing, wanted, found, way out."""
    error, facts, words = CASES[name]
    assert isinstance(error, HumeError)
    assert vars(error) == facts
    for word in words:
        assert word in str(error)
    assert classes()[name].__doc__


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("name", CASES)
def test_it_pickles(name: str, protocol: int) -> None:
    """Style, Errors: they pickle, in each protocol: the same class, message and facts on the other side."""
    error, facts, _ = CASES[name]
    other = pickle.loads(pickle.dumps(error, protocol))
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.args == error.args
    assert vars(other) == facts


@pytest.mark.parametrize("name", CASES)
def test_it_can_be_copied(name: str) -> None:
    """Style, Errors: an error in a state or a message is copied with it."""
    error, facts, _ = CASES[name]
    for other in (copy.copy(error), copy.deepcopy(error)):
        assert (type(other), str(other), vars(other)) == (type(error), str(error), facts)


def test_already_started_has_the_ref_which_does_not_travel() -> None:
    """Errors: the running actor's ref is a fact; a ref can't be pickled, and is None on the other side."""
    ref = Probe.start()
    error = errors.AlreadyStarted("name 'svc'", ref)
    assert error.ref is ref
    assert str(error) == f"name 'svc' is already started, as {ref}; use that one, or stop it first"
    other = pickle.loads(pickle.dumps(error))
    assert (type(other), str(other), other.ref) == (errors.AlreadyStarted, str(error), None)


def test_start_failed_keeps_its_cause() -> None:
    """Style, Errors: the cause is kept."""
    assert CASES["StartFailed"][0].__cause__ is CAUSE


def test_actor_dead_says_when_nobody_has_the_name() -> None:
    """S9: noproc in words; its reason may be anything."""
    assert str(errors.ActorDead("server 'svc'")) == "server 'svc' is not alive (no actor has that name)"
    assert errors.ActorDead("server 'svc'").reason == "noproc"
    crash = errors.ActorDead("server 'svc'", Crash(CAUSE))
    assert "crashed with ValueError('no disk')" in str(crash)
    assert str(pickle.loads(pickle.dumps(crash))) == str(crash)
    assert repr(pickle.loads(pickle.dumps(crash)).reason.exception) == repr(CAUSE)


def test_child_not_found_says_where_to_look_when_it_knows_no_ids() -> None:
    """V17: the children of a dynamic supervisor have none."""
    assert str(errors.ChildNotFound("a")) == "child 'a' was not found: which_children lists those there are"


def test_a_child_id_that_is_no_text_is_shown_as_it_is() -> None:
    """Style, Errors: any hashable is an id."""
    assert "child ('a', 1)" in str(errors.ChildNotFound(("a", 1)))
