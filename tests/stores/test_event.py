"""Event: one line of a log, never changed."""

from __future__ import annotations

import copy
import pickle
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

import hume
from hume.stores import Event
from hume.stores._event import as_event
from tests.samples import STORE

FIELDS = ("seq", "payload", "stream", "id", "recorded_at", "metadata", "position")


def recorded() -> Event:
    """Return an event as the in-memory store records it."""
    ref = STORE.start_link()
    hume.publish(STORE, "s", ["a"], metadata={"who": ["me"]})
    event: Event = ref.proxy().events("s").get()[0]
    return event


def test_a_pair_is_enough_and_the_rest_has_defaults() -> None:
    event = Event(1, "x")
    assert [getattr(event, name) for name in FIELDS] == [1, "x", None, None, None, {}, None]


def test_a_store_records_everything() -> None:
    before = datetime.now(UTC)
    event = recorded()
    assert (event.seq, event.payload, event.stream, event.metadata, event.position) == (
        1,
        ["a"],
        "s",
        {"who": ["me"]},
        1,
    )
    assert isinstance(event.id, uuid.UUID)
    assert event.recorded_at is not None
    assert before <= event.recorded_at <= datetime.now(UTC)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_cant_be_set_nor_deleted_nor_added(name: str) -> None:
    event = Event(1, "x")
    with pytest.raises(AttributeError):
        setattr(event, name, 5)
    with pytest.raises(AttributeError):
        delattr(event, name)
    with pytest.raises(AttributeError):
        event.comment = "x"  # type: ignore[attr-defined]  # the point


def test_its_metadata_can_be_changed_by_nobody() -> None:
    given = {"who": ["me"]}
    event = Event(1, "x", metadata=given)
    given["more"] = []
    event.metadata["more"] = 1
    event.metadata["who"].append("you")
    assert event.metadata == {"who": ["me"]}
    ours = recorded()
    ours.metadata["who"].append("you")
    again: Any = hume.whereis(STORE)
    assert again.proxy().events("s").get()[0].metadata == {"who": ["me"]}


@pytest.mark.parametrize("seq", [0, -1, 1.0, True, "1", None])
def test_its_number_is_a_whole_number_of_at_least_1(seq: Any) -> None:
    with pytest.raises(ValueError, match="an event's seq must be a whole number of at least 1, not"):
        Event(seq, "x")


def test_its_id_is_the_same_at_every_look_and_another_for_every_event() -> None:
    STORE.start_link()
    hume.publish_many(STORE, "s", range(1, 101))
    hume.publish_many(STORE, "t", range(1, 101))
    ref: Any = hume.whereis(STORE)
    both = [event for stream in "st" for event in ref.proxy().events(stream).get()]
    ids = [event.id for event in both]
    assert len(set(ids)) == 200
    assert ids == [event.id for event in both]
    assert ids[:100] == [event.id for event in ref.proxy().events("s").get()]


@pytest.mark.parametrize("through", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_a_copy_is_the_same_event(through: Any) -> None:
    event = recorded()
    again = through(event)
    assert again == event
    assert [getattr(again, name) for name in FIELDS] == [getattr(event, name) for name in FIELDS]
    assert type(again) is Event


def test_events_of_one_stream_sort_by_number() -> None:
    events = [Event(seq, "x") for seq in (3, 1, 2)]
    assert [event.seq for event in sorted(events)] == [1, 2, 3]


def test_it_says_what_it_is() -> None:
    assert repr(Event(1, "x", "s")) == "Event(seq=1, payload='x', stream='s')"


def test_a_pair_is_accepted_as_an_event_and_nothing_else_is() -> None:
    event = Event(1, "x")
    assert as_event(event) is event
    assert as_event((1, "x")) == event
    for item in ([1, "x"], (1,), (1, "x", "s"), None, "ab", 5):
        with pytest.raises(TypeError, match=r"must be Event or \(seq, payload\), not"):
            as_event(item)
    with pytest.raises(ValueError, match="at least 1"):
        as_event((0, "x"))
