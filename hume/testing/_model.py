"""A plain list of events as the model of a store, and a Hypothesis state machine that compares the two."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from hume.stores._batch import EXISTS

if TYPE_CHECKING:
    from hume.stores._event_store import FullEventStore

__all__ = ["check_against_a_list"]

_runs = itertools.count(1)

_streams = st.sampled_from(["a", "b", "ab", "c"])
_payloads = st.lists(st.integers(0, 9) | st.text(max_size=3), max_size=4)


class _Line(NamedTuple):
    stream: str
    seq: int
    payload: Any
    id: uuid.UUID | None


def check_against_a_list(api: FullEventStore, refusal: type[Exception]) -> None:  # noqa: C901 - a class in it
    """Drive a store with random operations, each compared with a list. It may hold events already."""

    class Machine(RuleBasedStateMachine):
        """One run uses streams of its own, with a prefix, so that runs can share a store."""

        def __init__(self) -> None:
            super().__init__()
            self.prefix = f"run-{next(_runs)}-"
            self.first = api.last_position()
            self.lines: list[_Line] = []

        def of(self, stream: str) -> list[_Line]:
            return [line for line in self.lines if line.stream == stream]

        def append(self, stream: str, payloads: list[Any], expected: Any, ids: list[uuid.UUID] | None) -> None:
            there = self.of(stream)
            allowed = expected is None or (bool(there) if expected is EXISTS else expected == len(there))
            try:
                last = api.append(self.prefix + stream, payloads, expected, ids=ids)
            except refusal:
                assert not allowed
                return
            assert allowed
            assert last == len(there) + len(payloads)
            for number, payload in enumerate(payloads):
                one = None if ids is None else ids[number]
                self.lines.append(_Line(stream, len(there) + number + 1, payload, one))

        @rule(stream=_streams, payloads=_payloads, offset=st.sampled_from([None, None, 0, 0, 1, -1, "exists"]))
        def appends(self, stream: str, payloads: list[Any], offset: Any) -> None:
            expected = EXISTS if offset == "exists" else offset
            if isinstance(offset, int):
                expected = max(0, len(self.of(stream)) + offset)
            self.append(stream, payloads, expected, None)

        @rule(stream=_streams, payloads=_payloads)
        def appends_with_ids(self, stream: str, payloads: list[Any]) -> None:
            self.append(stream, payloads, None, [uuid.uuid4() for _ in payloads])

        @rule(data=st.data())
        def appends_again(self, data: st.DataObject) -> None:
            known = [line for line in self.lines if line.id is not None]
            if known:
                line = data.draw(st.sampled_from(known))
                assert (
                    api.append(self.prefix + line.stream, [line.payload], 0, ids=[line.id or uuid.uuid4()]) == line.seq
                )

        @rule(one=_streams, other=_streams, payloads=_payloads, offset=st.sampled_from([None, 0, 1]))
        def appends_to_two(self, one: str, other: str, payloads: list[Any], offset: int | None) -> None:
            at = len(self.of(other)) + (len(payloads) if one == other else 0)
            expected = None if offset is None else at + offset
            batches = [(self.prefix + one, payloads, None), (self.prefix + other, payloads, expected)]
            try:
                api.append_many(batches)
            except refusal:
                assert offset == 1
                return
            assert offset != 1
            for stream in (one, other):
                for payload in payloads:
                    self.lines.append(_Line(stream, len(self.of(stream)) + 1, payload, None))

        @rule(stream=_streams, after=st.integers(0, 12), limit=st.none() | st.integers(0, 6), backward=st.booleans())
        def reads(self, stream: str, after: int, limit: int | None, backward: bool) -> None:  # noqa: FBT001 - drawn
            expected = [(line.seq, line.payload) for line in self.of(stream) if line.seq > after]
            if backward:
                expected.reverse()
            found = api.events(self.prefix + stream, after, limit, backward)
            assert [(event.seq, event.payload) for event in found] == expected[:limit]

        @rule(
            prefix=st.sampled_from(["", "a", "b", "zz"]),
            skipped=st.integers(0, 12),
            limit=st.none() | st.integers(0, 6),
        )
        def reads_all(self, prefix: str, skipped: int, limit: int | None) -> None:
            expected = [line.payload for line in self.lines[skipped:] if line.stream.startswith(prefix)]
            found = api.all_events(self.first + skipped, limit, prefix=self.prefix + prefix)
            assert [event.payload for event in found] == expected[:limit]

        @invariant()
        def agrees(self) -> None:
            assert api.last_position() == self.first + len(self.lines)
            for stream in ("a", "b", "ab", "c"):
                assert api.last_seq(self.prefix + stream) == len(self.of(stream))
            assert list(api.streams(self.prefix)) == sorted({self.prefix + line.stream for line in self.lines})

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            database=None,
        ),
    )
