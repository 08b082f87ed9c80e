"""Reading a SQLite file: what is selected, what it costs, and what the codec makes of it."""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume import Snapshot
from hume.errors import DecodeError
from hume.stores import SQLiteEventStore
from hume.stores._codec import Encoded, JSONCodec
from hume.stores._sqlite_write import LogOrigin
from tests.samples import Collected
from tests.stores.files import change, face, payloads

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


# -- ids


@pytest.mark.parametrize("position", [1, 2, 1000, 2**40])
def test_an_id_says_its_position_to_the_log_that_made_it(position: int) -> None:
    origin = LogOrigin()
    one = origin.event_id(position)
    assert (one.version, one.variant) == (8, uuid.RFC_4122)
    assert origin.position_of(one) == position
    assert LogOrigin(origin.uuid).event_id(position) == one
    assert LogOrigin().position_of(one) is None
    assert origin.position_of(uuid.uuid4()) is None


def test_a_retry_is_known_by_its_payload_and_not_by_its_bytes(api: Any) -> None:
    one = uuid.uuid4()
    api.append("s", [{"a": 1, "b": 2}], ids=[one])
    assert api.append("s", [{"b": 2, "a": 1}], ids=[one]) == 1


# -- reading


def test_selected_reads_agree_with_a_plain_filter(path: Path) -> None:
    api = face(SQLiteEventStore.start(path, durability="normal"))
    chance = random.Random(4)  # noqa: S311 - the same test every time
    names = [f"{'ab'[number % 2]}-{number}" for number in range(60)]
    log: list[tuple[str, int]] = []
    while len(log) < 6000:
        batches = [(chance.choice(names[:40] if len(log) < 3000 else names), range(chance.randint(1, 40)), None)]
        api.append_many(batches)
        log += [(stream, payload) for stream, numbers, _ in batches for payload in numbers]
    for chosen in ([], names[:1], names[:3], [*names[50:], "unknown"], names[:40], names):
        for after in (0, 1, 2500, 5990, 7000):
            expected = [line for line in log[after:] if line[0] in chosen]
            found = [(event.stream, event.payload) for event in api.all_events(after, streams=chosen)]
            assert found == expected
            found = [(event.stream, event.payload) for event in api.all_events(after, 77, streams=chosen)]
            assert found == expected[:77]
    for prefix in ("a-1", "a", "b-59", ""):
        expected = [line for line in log if line[0].startswith(prefix)]
        assert [(event.stream, event.payload) for event in api.all_events(prefix=prefix)] == expected


def steps_of(api: Any, monkeypatch: pytest.MonkeyPatch, use: Any) -> int:
    """Return how many hundred steps SQLite takes for something."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    connection = sqlite3.connect(f"file:{api._readers.database.path}?mode=ro", uri=True, check_same_thread=False)
    connection.set_progress_handler(step, 100)
    with closing(connection), monkeypatch.context() as patch:
        patch.setattr(api._readers, "idle", [connection])
        use()
    return count


def test_the_last_events_and_few_streams_cost_the_same_in_a_log_of_any_length(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = face(SQLiteEventStore.start(path, durability="normal"))

    def costs() -> list[int]:
        api.append("few", list(range(10)))
        uses = [
            lambda: list(api.events("many", api.last_seq("many") - 10)),
            lambda: list(api.events("many", 0, 10, backward=True)),
            lambda: list(api.all_events(api.last_position() - 10)),
            lambda: list(api.all_events(streams=["few", "fewer"]))[-10:],
            lambda: list(api.all_events(prefix="few"))[-10:],
            lambda: (api.last_seq("many"), api.last_position(), api.streams()),
        ]
        return [steps_of(api, monkeypatch, use) for use in uses]

    api.append("many", list(range(3000)))
    before = costs()
    for _ in range(20):
        api.append("many", list(range(3000)))
    assert all(after <= 2 * first + 5 for first, after in zip(before, costs(), strict=True))


class Splitting(JSONCodec):
    """A codec that makes nothing of 0, and several events of any other number."""

    def decode(self, type_name: str, version: int, data: bytes) -> list[Any]:
        (payload,) = super().decode(type_name, version, data)
        return [payload] * payload if isinstance(payload, int) else [payload]


def test_an_event_that_is_split_comes_whole_and_one_that_is_dropped_is_passed_over(path: Path) -> None:
    ref = SQLiteEventStore.start(path, codec=Splitting())
    api = face(ref)
    api.append("s", [0, 2, 0, 0, 3, "x", 0])
    assert payloads(api.events("s")) == [2, 2, 3, 3, 3, "x"]
    assert [(event.seq, event.position) for event in api.events("s")] == [(2, 2)] * 2 + [(5, 5)] * 3 + [(6, 6)]
    assert len({event.id for event in api.events("s")}) == 3
    assert payloads(api.events("s", 0, 1)) == payloads(api.all_events(0, 1)) == [2, 2]
    assert payloads(api.events("s", 2, 2)) == payloads(api.all_events(2, 2, prefix="s")) == [3, 3, 3, "x"]
    assert payloads(api.events("s", 0, 2, backward=True)) == ["x", 3, 3, 3]
    for page, *ends in (api.page("s", 2, 2), api.page_of(hume.ALL, 2, 2)):
        assert (page.events(), page.payloads, ends) == ([], [], [4, 7])
    assert api.last_seq("s") == 7
    for stream in ("s", hume.prefix("s")):
        follower = hume.start(Collected, stream=stream, store=ref)
        assert hume.snapshot(follower) == Snapshot(7, [2, 2, 3, 3, 3, "x"])


def test_what_cannot_be_decoded_is_named_with_its_place(path: Path, api: Any) -> None:
    api.append("s", ["a", "b"])
    change(path, "UPDATE events SET type = 'gone', version = 3 WHERE seq = 2")
    for read in (partial(api.events, "s"), api.all_events):
        with pytest.raises(DecodeError, match=r"event 2 of stream 's': .*'gone', version 3") as caught:
            list(read())
        assert (caught.value.stream, caught.value.seq, caught.value.type_name) == ("s", 2, "gone")


class Reversing:
    """A codec of somebody's own."""

    def encode(self, payload: Any) -> Encoded:
        return Encoded("json", 1, json.dumps(payload).encode()[::-1])

    def decode(self, type_name: str, version: int, data: bytes) -> Sequence[Any]:
        return (json.loads(data[::-1]),)


def test_a_codec_of_somebodys_own_stores_payloads_metadata_and_states(path: Path) -> None:
    ref = SQLiteEventStore.start(path, codec=Reversing())
    api = face(ref)
    api.append("s", [{"a": "secret"}], metadata={"by": "secret"})
    (event,) = api.events("s")
    assert (event.payload, event.metadata) == ({"a": "secret"}, {"by": "secret"})
    api.snapshots.persist_snapshot("p", Snapshot(1, "secret"))
    assert api.snapshots.last_snapshot("p") == Snapshot(1, "secret")
    hume.stop(ref)
    assert b"secret" not in path.read_bytes()
    change(path, "UPDATE events SET data = x'00'")
    with pytest.raises(DecodeError, match="event 1 of stream 's': event type 'json', version 1: JSONDecodeError"):
        list(face(SQLiteEventStore.start(path, codec=Reversing())).events("s"))


@pytest.mark.parametrize("given", [None, b"x", ("x", 1, b"y"), ["x", 2**70, b"y"], ["x", 1, "y"], [None, 1, b"y"]])
def test_what_no_store_can_keep_is_refused_from_a_codec_of_somebodys_own(path: Path, given: Any) -> None:
    class Wrong(Reversing):
        def encode(self, payload: Any) -> Encoded:
            wrong: Any = Encoded(*given) if isinstance(given, list) else given
            return wrong if payload == "wrong" else super().encode(payload)

    api = face(SQLiteEventStore.start(path, codec=Wrong()))
    with pytest.raises(TypeError, match="must encode a payload as Encoded"):
        api.append("s", ["right", "wrong"])
    with pytest.raises(TypeError, match="must encode a payload as Encoded"):
        api.snapshots.persist_snapshot("p", Snapshot(1, "wrong"))
    assert api.append("s", ["right"]) == 1
