"""What a store must do that takes events back as they were: part of the contract's conformance class."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from hume.errors import IdConflict, UnexpectedSequence
from hume.stores._event import Event

__all__ = ["RestoringConformance"]

AT = datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def _event(stream: Any, seq: int, payload: Any, **other: Any) -> Event:
    one = uuid.uuid5(uuid.NAMESPACE_OID, f"{stream} {seq}")
    fields: dict[str, Any] = {"seq": seq, "payload": payload, "stream": stream, "id": one, "recorded_at": AT}
    return Event(**{**fields, **other})


def _facts(event: Event) -> tuple[Any, ...]:
    return event.stream, event.seq, event.payload, event.id, event.recorded_at, event.metadata


class RestoringConformance:
    """The cases for ``restore``, of which `FullEventStore` tells; passed over where a store has none."""

    @pytest.fixture
    def restoring(self, api: Any) -> Any:
        """Return the object that has the store's methods, if `restore` is among them."""
        if not callable(getattr(api, "restore", None)):
            pytest.skip("it has no restore")
        return api

    def test_restored_events_are_as_they_were(self, restoring: Any) -> None:
        """Numbers, ids, times and metadata; in the order given; and the streams go on from there."""
        events = [
            _event("s", 1, "a", metadata={"user": "me"}),
            _event("t", 1, {"b": [1]}),
            _event("s", 2, "c", recorded_at=AT + timedelta(microseconds=1)),
        ]
        assert restoring.restore(events) == 3
        assert [_facts(event) for event in restoring.all_events()] == list(map(_facts, events))
        assert [event.position for event in restoring.all_events()] == [1, 2, 3]
        assert restoring.append("s", ["d"], 2) == 3

    def test_restoring_again_changes_nothing(self, restoring: Any) -> None:
        """Also when the stream has moved on; what is new among them is stored."""
        events = [_event("s", seq, seq) for seq in (1, 2, 3)]
        assert restoring.restore(events[:2]) == 2
        assert restoring.restore([*events, *events]) == 1
        restoring.append("s", ["more"])
        assert restoring.restore(iter(events)) == 0
        assert [event.payload for event in restoring.events("s")] == [1, 2, 3, "more"]

    def test_what_a_store_has_recorded_itself_is_not_stored_twice(self, restoring: Any) -> None:
        """It knows the ids that it gave."""
        restoring.append("s", ["a", {"b": 1}])
        assert restoring.restore(list(restoring.all_events())) == 0
        assert restoring.last_position() == 2

    @pytest.mark.parametrize(
        ("there", "given", "expected", "actual"),
        [(["x"], [1], 0, 1), ([], [2], 1, 0), ([], [1, 3], 2, 1), (["x", "y"], [2], 1, 2)],
    )
    def test_where_another_number_is_next_nothing_is_restored(
        self, restoring: Any, there: list[str], given: list[int], expected: int, actual: int
    ) -> None:
        """Neither in that stream nor in another."""
        restoring.append("s", there)
        with pytest.raises(UnexpectedSequence) as caught:
            restoring.restore([_event("new", 1, "a"), *(_event("s", seq, seq) for seq in given)])
        assert (caught.value.stream, caught.value.expected, caught.value.actual) == ("s", expected, actual)
        assert (restoring.last_position(), restoring.last_seq("new")) == (len(there), 0)
        assert restoring.append("new", ["b"], 0) == 1

    @pytest.mark.parametrize(("seq", "payload"), [(1, "other"), (2, "a")])
    @pytest.mark.parametrize("at_once", [True, False])
    def test_a_known_id_with_another_payload_or_number_is_an_error(
        self, restoring: Any, seq: int, payload: str, *, at_once: bool
    ) -> None:
        """Whether it was known before or comes twice; nothing is restored."""
        first = _event("s", 1, "a")
        second = _event("s", seq, payload, id=first.id)
        there = 0 if at_once else restoring.restore([first])
        with pytest.raises(IdConflict):
            restoring.restore([_event("new", 1, "b"), *([first] if at_once else []), second])
        assert restoring.last_position() == there

    @pytest.mark.parametrize(
        "bad",
        [
            {"payload": None},
            {"id": None},
            {"id": "no uuid"},
            {"recorded_at": None},
            {"recorded_at": datetime(2001, 1, 1)},  # noqa: DTZ001 - refused
            {"metadata": {1: 2}},
            {"stream": None},
        ],
    )
    def test_what_no_store_recorded_is_refused(self, restoring: Any, bad: dict[str, Any]) -> None:
        """An event without all its fields, or with wrong ones; nothing is restored."""
        with pytest.raises((TypeError, ValueError)):
            restoring.restore([_event("s", 1, "a"), _event("s", 2, "b", **bad)])
        assert restoring.last_position() == 0

    def test_a_pair_is_refused(self, restoring: Any) -> None:
        """It has no id, and no time."""
        with pytest.raises(TypeError):
            restoring.restore([(1, "a")])

    def test_times_of_other_zones_are_the_same_times(self, restoring: Any) -> None:
        """They come back in UTC."""
        restoring.restore([_event("s", 1, "a", recorded_at=AT.astimezone(timezone(timedelta(hours=2))))])
        (event,) = restoring.events("s")
        assert (event.recorded_at, event.recorded_at.utcoffset()) == (AT, timedelta(0))

    def test_a_restored_payload_is_not_shared(self, restoring: Any) -> None:
        """Neither with who gave it nor between readers."""
        event = _event("s", 1, {"items": [1]})
        restoring.restore([event])
        event.payload["items"].append(2)
        next(iter(restoring.events("s"))).payload["items"].append(3)
        assert [event.payload for event in restoring.events("s")] == [{"items": [1]}]
