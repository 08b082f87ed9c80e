"""What every event store must do, as a pytest class; a store's own test file is six lines."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from hume.errors import HumeError, IdConflict, UnexpectedSequence
from hume.stores._batch import EXISTS
from hume.stores._event import Event, as_event
from hume.stores._event_store import resolve, validate_store
from hume.testing._model import check_against_a_list
from hume.testing._restoring import RestoringConformance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hume.stores._event_store import FullEventStore

__all__ = ["BasicEventStoreConformance", "EventStoreConformance"]

PAYLOADS: tuple[Any, ...] = (
    "text",
    "",
    "ünïcode ☃ \U0001f600",
    0,
    -1,
    2**70,
    1.5,
    True,
    False,
    ["a", "list"],
    {"a": "dict", "of": {"several": [1, 2, None]}},
    [],
    {},
)
BAD_NUMBERS = (-1, 1.0, "1", True, None)
STREAMS = ("s", "S", "a stream", "ünïcode ☃", "with/slash", "with'quote", 'with"quote', "percent%_", "x" * 200)


def numbers(events: Sequence[Any]) -> list[int]:
    """Return the numbers of some events."""
    return [as_event(event).seq for event in events]


def payloads(events: Sequence[Any]) -> list[Any]:
    """Return the payloads of some events."""
    return [as_event(event).payload for event in events]


class BasicEventStoreConformance:
    """The contract that `EventStore` states: ``append``, ``events``, ``last_seq``.

    Example::

        class TestMyStore(BasicEventStoreConformance):
            @pytest.fixture
            def store(self):
                return MyStore()
    """

    payloads: ClassVar[tuple[Any, ...]] = PAYLOADS  # each must come back equal and of the same type
    threads: ClassVar[int] = 8
    _names: ClassVar[Iterator[int]] = count(1)

    @pytest.fixture
    def store(self) -> Any:
        """Return an empty store, as anything that a `store` argument may be; to be overridden."""
        msg = f"{type(self).__name__} needs a fixture `store` that returns an empty event store"
        raise NotImplementedError(msg)

    @pytest.fixture
    def api(self, store: Any) -> Any:
        """Return the object that has the store's methods."""
        return resolve(store)

    # -- appending

    def test_it_is_a_store(self, store: Any) -> None:
        """It has the methods of the contract."""
        validate_store(store)

    @pytest.mark.parametrize("stream", STREAMS)
    def test_numbers_begin_with_one_in_every_stream(self, api: Any, stream: str) -> None:
        """A stream's first event is number 1, whatever other streams hold."""
        api.append("another", ["x", "y"])
        assert api.append(stream, ["a"]) == 1
        assert api.append(stream, ["b", "c"]) == 3
        assert numbers(list(api.events(stream))) == [1, 2, 3]
        assert payloads(list(api.events(stream))) == ["a", "b", "c"]

    @pytest.mark.parametrize("number", range(len(PAYLOADS)))
    def test_a_payload_comes_back_equal_and_of_the_same_type(self, api: Any, number: int) -> None:
        """What is read is what was appended."""
        payload = self.payloads[number % len(self.payloads)]
        api.append("s", [payload])
        (found,) = payloads(list(api.events("s")))
        assert found == payload
        assert type(found) is type(payload)

    def test_an_unknown_stream_is_empty(self, api: Any) -> None:
        """No events, and 0 as its last number."""
        assert list(api.events("nobody")) == []
        assert api.last_seq("nobody") == 0

    def test_an_empty_batch_changes_nothing(self, api: Any) -> None:
        """It returns the stream's last number."""
        assert api.append("s", []) == 0
        api.append("s", ["a"])
        assert api.append("s", []) == 1
        assert api.last_seq("s") == 1

    def test_the_last_number_grows_with_the_stream(self, api: Any) -> None:
        """`last_seq` is what the last append returned."""
        for expected in range(1, 6):
            assert api.append("s", [expected]) == expected == api.last_seq("s")

    @pytest.mark.parametrize("there", [0, 1, 3])
    def test_an_append_where_expected_succeeds(self, api: Any, there: int) -> None:
        """With the stream's last number as *expect_seq*; 0 for an empty one."""
        api.append("s", list(range(1, there + 1)))
        assert api.append("s", ["new"], there) == there + 1

    @pytest.mark.parametrize(("there", "expected"), [(0, 1), (1, 0), (1, 2), (3, 2), (3, 4), (3, 100)])
    def test_an_append_elsewhere_is_refused_and_changes_nothing(self, api: Any, there: int, expected: int) -> None:
        """It says where the stream is, and the next number is still free."""
        api.append("s", list(range(1, there + 1)))
        with pytest.raises(UnexpectedSequence) as caught:
            api.append("s", ["new", "newer"], expected)
        assert (caught.value.stream, caught.value.expected, caught.value.actual) == ("s", expected, there)
        assert api.last_seq("s") == there == len(list(api.events("s")))
        assert api.append("s", ["next"], there) == there + 1

    def test_a_payload_of_none_is_refused_with_its_whole_batch(self, api: Any) -> None:
        """Nothing of the batch is appended."""
        with pytest.raises(ValueError, match="None"):
            api.append("s", ["a", None, "b"])
        assert api.last_seq("s") == 0

    def test_what_was_appended_is_not_changed_through_the_object(self, api: Any) -> None:
        """The log keeps what it was given, not what becomes of it."""
        payload = {"items": [1]}
        api.append("s", [payload])
        payload["items"].append(2)
        assert payloads(list(api.events("s"))) == [{"items": [1]}]

    def test_what_was_read_is_not_shared_between_readers(self, api: Any) -> None:
        """A reader that changes what it got changes nothing for the next."""
        api.append("s", [{"items": [1]}])
        payloads(list(api.events("s")))[0]["items"].append(2)
        assert payloads(list(api.events("s"))) == [{"items": [1]}]

    # -- reading

    @pytest.mark.parametrize("after", [0, 1, 4, 5, 6])
    @pytest.mark.parametrize("limit", [None, 0, 1, 3, 100])
    def test_a_read_begins_after_a_number_and_ends_at_a_limit(self, api: Any, after: int, limit: int | None) -> None:
        """Strictly ascending, none left out."""
        api.append("s", ["a", "b", "c", "d", "e"])
        api.append("other", ["x"])
        expected = list(range(after + 1, 6))[:limit]
        assert numbers(list(api.events("s", after, limit))) == expected

    def test_a_long_stream_is_read_whole_from_anywhere(self, api: Any) -> None:
        """Also across the pages that a store reads in."""
        for start in range(0, 3000, 500):
            api.append("s", list(range(start + 1, start + 501)))
        for after in (0, 1, 499, 500, 1023, 1024, 1025, 2047, 2999, 3000):
            assert payloads(list(api.events("s", after))) == list(range(after + 1, 3001))

    def test_streams_do_not_see_each_other(self, api: Any) -> None:
        """Each has its own events and numbers."""
        for number in range(30):
            api.append(f"s{number % 3}", [number])
        for stream in range(3):
            assert payloads(list(api.events(f"s{stream}"))) == list(range(stream, 30, 3))

    # -- several threads

    def test_of_many_writers_each_gets_numbers_of_its_own_without_gaps(self, api: Any) -> None:
        """What they got is exactly 1, 2, 3, ..., and the log has each payload once."""

        def write(thread: int) -> list[tuple[int, str]]:
            return [(api.append("s", [f"{thread}.{number}"]), f"{thread}.{number}") for number in range(50)]

        written = [pair for pairs in self.in_threads(write) for pair in pairs]
        assert sorted(seq for seq, _ in written) == list(range(1, self.threads * 50 + 1))
        found = {as_event(event).seq: as_event(event).payload for event in api.events("s")}
        assert found == dict(written)

    def test_of_writers_who_expect_the_same_number_one_wins(self, api: Any) -> None:
        """The others are refused, with nothing changed."""

        def write(thread: int) -> int:
            won = 0
            for expected in range(30):
                try:
                    api.append("s", [thread], expected)
                    won += 1
                except UnexpectedSequence:
                    continue
            return won

        assert sum(self.in_threads(write)) == api.last_seq("s") == len(list(api.events("s")))

    def test_a_reader_sees_batches_whole_and_passes_over_nothing(self, api: Any) -> None:
        """While others write; and what it has seen stays as it was."""
        done = threading.Event()

        def read(_: int) -> list[int]:
            seen: list[int] = []
            last = False
            while not last:
                last = done.is_set()
                seen += numbers(list(api.events("s", len(seen))))
                assert seen == list(range(1, len(seen) + 1))
                assert len(seen) % 5 == 0
            return seen

        with ThreadPoolExecutor(self.threads) as pool:
            readers = [pool.submit(read, number) for number in range(2)]
            writers = [pool.submit(self._batches, api) for _ in range(self.threads - 2)]
            for writer in writers:
                writer.result(60)
            done.set()
            assert all(len(reader.result(60)) == 5 * 20 * len(writers) for reader in readers)

    @staticmethod
    def _batches(api: Any) -> None:
        for _ in range(20):
            api.append("s", [1, 2, 3, 4, 5])

    def in_threads(self, work: Callable[[int], Any]) -> list[Any]:
        """Return what *work* returns in each of several threads that begin together."""
        barrier = threading.Barrier(self.threads, timeout=60)

        def run(number: int) -> Any:
            barrier.wait()
            return work(number)

        with ThreadPoolExecutor(self.threads) as pool:
            return [future.result(120) for future in [pool.submit(run, number) for number in range(self.threads)]]


class EventStoreConformance(BasicEventStoreConformance, RestoringConformance):
    """The whole contract, which `FullEventStore` states: ids, several streams at once, the global order.

    Events that are restored as they were, too, if the store has ``restore``.

    Example::

        class TestMyStore(EventStoreConformance):
            @pytest.fixture
            def store(self, tmp_path):
                ref = MyStore.start(tmp_path / "events.db")
                yield ref
                hume.stop(ref)
    """

    # -- events

    def test_an_event_says_what_it_is(self, api: FullEventStore) -> None:
        """Stream, number, position, payload, id, time and metadata."""
        before = datetime.now(UTC)
        api.append("s", ["a"], metadata={"user": "me"})
        (event,) = api.events("s")
        assert isinstance(event, Event)
        assert (event.stream, event.seq, event.position, event.payload) == ("s", 1, 1, "a")
        assert isinstance(event.id, uuid.UUID)
        assert event.recorded_at is not None
        assert event.recorded_at.utcoffset() is not None
        assert abs((event.recorded_at - before).total_seconds()) < 3600
        assert event.metadata == {"user": "me"}

    def test_an_event_has_the_same_id_at_every_look_and_no_other_event_has_it(self, api: FullEventStore) -> None:
        """Whoever reads it, and however."""
        api.append("s", ["a", "b"])
        api.append("t", ["a", "b"])
        ids = [event.id for event in api.all_events()]
        assert len(set(ids)) == len(ids)
        assert [event.id for stream in "st" for event in api.events(stream)] == ids

    @pytest.mark.parametrize(
        "metadata", [None, {}, {"a": 1}, {"at": datetime(2024, 2, 29, tzinfo=UTC)}, {"deep": {"er": [1]}}]
    )
    def test_metadata_comes_back_with_every_event_of_a_batch(self, api: FullEventStore, metadata: Any) -> None:
        """Nothing is an empty dict."""
        api.append("s", ["a", "b"], metadata=metadata)
        assert [event.metadata for event in api.events("s")] == [metadata or {}] * 2

    @pytest.mark.parametrize("metadata", [3, "text", {1: 2}, {"at": datetime(2024, 1, 1)}])  # noqa: DTZ001 - refused
    def test_bad_metadata_is_refused(self, api: FullEventStore, metadata: Any) -> None:
        """No mapping with strings as keys, or a datetime without a time zone."""
        with pytest.raises((TypeError, ValueError)):
            api.append("s", ["a"], metadata=metadata)
        assert api.last_position() == 0

    # -- ids

    def test_an_append_with_known_ids_succeeds_and_stores_nothing_twice(self, api: FullEventStore) -> None:
        """A retry gets the number that the first try had, also where the stream has moved on."""
        ids = [uuid.uuid4(), uuid.uuid4()]
        assert api.append("s", ["a", "b"], 0, ids=ids) == 2
        api.append("s", ["c"])
        assert api.append("s", ["a", "b"], 0, ids=ids) == 2
        assert payloads(list(api.events("s"))) == ["a", "b", "c"]
        assert [event.id for event in api.events("s")][:2] == ids

    def test_an_id_that_the_store_gave_is_known_too(self, api: FullEventStore) -> None:
        """So what was read can be appended again without harm."""
        api.append("s", ["a", "b"])
        given = [event.id for event in api.events("s") if event.id is not None]
        assert api.append("s", ["a", "b"], ids=given) == 2
        assert api.last_seq("s") == 2

    @pytest.mark.parametrize("again", [["a", "x"], ["a", "b", "c"], ["b", "a"]])
    def test_a_known_id_with_another_payload_or_in_another_batch_is_an_error(
        self, api: FullEventStore, again: list[str]
    ) -> None:
        """Nothing is appended."""
        ids = [uuid.uuid4() for _ in range(3)]
        api.append("s", ["a", "b"], ids=ids[:2])
        with pytest.raises(IdConflict):
            api.append("s", again, ids=ids[: len(again)])
        assert payloads(list(api.events("s"))) == ["a", "b"]

    def test_another_stream_may_have_the_same_id(self, api: FullEventStore) -> None:
        """Ids are unique in their stream."""
        one = uuid.uuid4()
        assert api.append("s", ["a"], ids=[one]) == api.append("t", ["b"], ids=[one]) == 1

    @pytest.mark.parametrize("ids", [["no uuid"], [], [uuid.UUID(int=1)] * 2, [uuid.UUID(int=1), uuid.UUID(int=2)]])
    def test_bad_ids_are_refused(self, api: FullEventStore, ids: Any) -> None:
        """No UUIDs, not one for each payload, or one twice."""
        with pytest.raises((TypeError, ValueError)):
            api.append("s", ["a"], ids=ids)
        assert api.last_position() == 0

    # -- expectations

    def test_an_append_to_a_stream_that_must_exist(self, api: FullEventStore) -> None:
        """``EXISTS``: it has events, however many."""
        with pytest.raises(UnexpectedSequence):
            api.append("s", ["a"], EXISTS)
        api.append("s", ["a"])
        assert api.append("s", ["b"], EXISTS) == 2

    @pytest.mark.parametrize("expected", [-1, 1.5, "1", True, object()])
    def test_a_bad_expectation_is_refused(self, api: FullEventStore, expected: Any) -> None:
        """No whole number that a stream can be at."""
        with pytest.raises((TypeError, ValueError)):
            api.append("s", ["a"], expected)
        assert api.last_position() == 0

    @pytest.mark.parametrize("batch", [None, 3, "text", b"bytes"])
    def test_what_is_no_batch_is_refused(self, api: FullEventStore, batch: Any) -> None:
        """Also one text, which is a batch of letters only by accident."""
        with pytest.raises(TypeError):
            api.append("s", batch)
        assert api.last_position() == 0

    @pytest.mark.parametrize("stream", [None, ["a", "list"], {}])
    def test_what_is_no_stream_is_refused(self, api: FullEventStore, stream: Any) -> None:
        """For writing and for reading."""
        with pytest.raises((TypeError, ValueError)):
            api.append(stream, ["a"])
        with pytest.raises((TypeError, ValueError)):
            list(api.events(stream))

    @pytest.mark.parametrize("bad", BAD_NUMBERS[:4])
    def test_bad_numbers_are_refused_by_reads(self, api: FullEventStore, bad: Any) -> None:
        """At the call, not at the first event."""
        reads: list[Callable[[], Any]] = [
            lambda: api.events("s", bad),
            lambda: api.events("s", 0, bad),
            lambda: api.all_events(bad),
            lambda: api.all_events(0, bad),
        ]
        for read in reads:
            with pytest.raises((TypeError, ValueError)):
                read()

    # -- several streams at once

    def test_several_streams_are_appended_to_at_once(self, api: FullEventStore) -> None:
        """In the order given; a stream that is there twice is appended to twice."""
        api.append("s", ["a"])
        assert api.append_many([("s", ["b"], 1), ("t", ["x", "y"], 0), ("s", ["c"], 2)]) == [2, 2, 3]
        assert payloads(list(api.events("s"))) == ["a", "b", "c"]
        assert payloads(list(api.all_events())) == ["a", "b", "x", "y", "c"]

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_when_one_of_several_is_refused_none_is_appended(self, api: FullEventStore, place: int) -> None:
        """Whichever it is."""
        batches: list[tuple[str, list[Any], Any]] = [("s", ["a"], 0), ("t", ["b"], None), ("u", ["c"], 0)]
        batches[place] = (batches[place][0], batches[place][1], 7)
        with pytest.raises(UnexpectedSequence):
            api.append_many(batches)
        assert api.last_position() == 0
        assert list(api.streams()) == []

    def test_a_bad_batch_among_several_is_refused_with_all(self, api: FullEventStore) -> None:
        """Nothing is appended."""
        with pytest.raises((TypeError, ValueError)):
            api.append_many([("s", ["a"], None), ("t", [None], None)])
        assert api.last_position() == 0

    def test_metadata_is_said_of_several_streams_at_once(self, api: FullEventStore) -> None:
        """It comes back with each event."""
        api.append_many([("s", ["a"], None), ("t", ["b"], None)], metadata={"user": "me"})
        assert [event.metadata for event in api.all_events()] == [{"user": "me"}] * 2

    # -- backward

    @pytest.mark.parametrize("after", [0, 2, 5])
    @pytest.mark.parametrize("limit", [None, 0, 1, 2, 3, 4, 5, 100])
    def test_a_stream_is_read_backward(self, api: FullEventStore, after: int, limit: int | None) -> None:
        """From its end down to *after*, at most *limit* events."""
        api.append("s", ["a", "b", "c", "d", "e"])
        expected = list(range(5, after, -1))[:limit]
        assert numbers(list(api.events("s", after, limit, backward=True))) == expected

    def test_a_long_stream_is_read_backward(self, api: FullEventStore) -> None:
        """Also across pages."""
        api.append("s", list(range(1, 2501)))
        assert payloads(list(api.events("s", backward=True))) == list(range(2500, 0, -1))
        assert payloads(list(api.events("s", 1020, 1030, backward=True))) == list(range(2500, 1470, -1))

    # -- the global order

    def test_positions_number_all_events_in_the_order_appended(self, api: FullEventStore) -> None:
        """1, 2, 3, ... over all streams."""
        for number in range(20):
            api.append(f"s{number % 3}", [number])
        events = list(api.all_events())
        assert [event.position for event in events] == list(range(1, 21))
        assert payloads(events) == list(range(20))
        assert api.last_position() == 20

    @pytest.mark.parametrize("after", [0, 3, 19, 20, 25])
    @pytest.mark.parametrize("limit", [None, 0, 1, 7])
    @pytest.mark.parametrize("which", ["all", "streams", "prefix", "nobody"])
    def test_a_global_read_selects(self, api: FullEventStore, after: int, limit: int | None, which: str) -> None:
        """By position, limit, streams and prefix."""
        for number in range(20):
            api.append(("a-1", "b-1", "a-2", "a")[number % 4], [number])
        chosen: dict[str, dict[str, Any]] = {
            "all": {},
            "streams": {"streams": ["a-2", "b-1", "unknown"]},
            "prefix": {"prefix": "a-"},
            "nobody": {"prefix": "zz"},
        }
        accepted = {"all": {0, 1, 2, 3}, "streams": {1, 2}, "prefix": {0, 2}, "nobody": set()}[which]
        expected = [number for number in range(after, 20) if number % 4 in accepted][:limit]
        assert payloads(list(api.all_events(after, limit, **chosen[which]))) == expected

    def test_a_prefix_is_text_and_no_pattern(self, api: FullEventStore) -> None:
        """Neither % nor _ nor * nor the letter's case mean anything else."""
        for stream in ("a%b", "axb", "a_b", "A%b", "a*b"):
            api.append(stream, [stream])
        assert payloads(list(api.all_events(prefix="a%"))) == ["a%b"]
        assert payloads(list(api.all_events(prefix="a_"))) == ["a_b"]
        assert payloads(list(api.all_events(prefix="a*"))) == ["a*b"]
        assert payloads(list(api.all_events(prefix=""))) == ["a%b", "axb", "a_b", "A%b", "a*b"]

    @pytest.mark.parametrize("bad", [{"streams": "text"}, {"prefix": 3}, {"streams": ["s"], "prefix": "s"}])
    def test_a_bad_selection_is_refused(self, api: FullEventStore, bad: dict[str, Any]) -> None:
        """At the call."""
        with pytest.raises((TypeError, ValueError)):
            api.all_events(**bad)

    def test_streams_are_listed_in_alphabetical_order(self, api: FullEventStore) -> None:
        """Those that have events; with a prefix, those that begin with it."""
        for stream in ("b", "a-2", "a-10", "ä", "B"):
            api.append(stream, [1])
        api.append("empty", [])
        assert list(api.streams()) == sorted(["b", "a-2", "a-10", "ä", "B"])
        assert list(api.streams("a-")) == ["a-10", "a-2"]
        assert list(api.streams("nobody")) == []

    def test_a_reader_of_all_passes_over_nothing_while_others_write(self, api: FullEventStore) -> None:
        """Having seen a position, it has seen everything below."""
        done = threading.Event()

        def read() -> int:
            position, last = 0, False
            while not last:
                last = done.is_set()
                for event in api.all_events(position):
                    position += 1
                    assert event.position == position
            return position

        with ThreadPoolExecutor(self.threads) as pool:
            reader = pool.submit(read)
            writers = [pool.submit(self._to_streams, api, number) for number in range(self.threads - 1)]
            for writer in writers:
                writer.result(60)
            done.set()
            assert reader.result(60) == api.last_position() == 40 * len(writers)

    @staticmethod
    def _to_streams(api: FullEventStore, number: int) -> None:
        for step in range(20):
            api.append_many([(f"s{number}", [step], None), (f"t{step % 3}", [number], None)])

    # -- against a model

    def test_it_behaves_as_a_list_does(self, api: FullEventStore) -> None:
        """Random appends, refused ones, retries and reads agree with a plain list of all events."""
        check_against_a_list(api, HumeError)
