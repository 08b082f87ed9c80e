"""The in-memory store: its logs, what it shares with nobody, and who owns it."""

from __future__ import annotations

import functools
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import hume
from hume.actors import Table, application, stop_application
from hume.stores._event_store import resolve
from tests.helpers import LIMIT, Gate, all_at_once, eventually, gone, in_thread, mailbox
from tests.samples import STORE, Collected, doing, logs_of, payloads

if TYPE_CHECKING:
    from collections.abc import Callable


class Direct:
    """Calls the store's methods in the caller's thread, as Hume does."""

    def __getattr__(self, name: str) -> Any:
        return getattr(resolve(STORE), name)


class Proxied:
    """Calls the store's methods through a proxy, so that they run in the actor."""

    def __getattr__(self, name: str) -> Any:
        method = getattr(hume.whereis(STORE).proxy(), name)  # type: ignore[union-attr]  # it runs

        def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs).get(timeout=LIMIT)

        return call


@pytest.fixture(params=[Direct, Proxied])
def log(request: pytest.FixtureRequest) -> Any:
    """Return the store's methods, to be run in this thread or in the actor, with the same result."""
    STORE.start_link()
    return request.param()


def contents(log: Any, stream: Any, *limits: Any) -> list[Any]:
    return [(event.seq, event.payload) for event in log.events(stream, *limits)]


# -- append, events, last_seq


def test_events_are_numbered_from_1_in_each_stream_without_gaps(log: Any) -> None:
    assert [log.append("s", ["a"]), log.append("s", ["b", "c"]), log.append("t", ["d"])] == [1, 3, 1]
    assert contents(log, "s") == [(1, "a"), (2, "b"), (3, "c")]
    assert contents(log, "t") == [(1, "d")]
    assert [log.last_seq(stream) for stream in "stu"] == [3, 1, 0]
    assert contents(log, "u") == []


def test_any_hashable_is_a_stream(log: Any) -> None:
    streams: list[Any] = ["", 0, ("order", 5), frozenset({1}), 1.5, b"x", STORE, ("order", ("deep", None)), False]
    for number, stream in enumerate(streams[:-1]):
        assert log.append(stream, [number + 100]) == 1
    assert [contents(log, stream) for stream in streams[:-1]] == [[(1, number + 100)] for number in range(8)]
    assert log.append(False, ["x"]) == 2  # it equals 0, so it is the same name


def test_an_empty_batch_changes_nothing_and_says_where_the_stream_is(log: Any) -> None:
    assert log.append("s", []) == 0
    assert logs_of().streams == {}
    log.append("s", ["a"])
    assert log.append("s", []) == 1
    with pytest.raises(hume.UnexpectedSequence):
        log.append("s", [], 5)


def test_expect_seq_lets_an_append_pass_only_from_that_number_on(log: Any) -> None:
    assert log.append("s", ["a"], 0) == 1
    assert log.append("s", ["b", "c"], expect_seq=1) == 3
    for wrong in (0, 1, 2, 4):
        with pytest.raises(hume.UnexpectedSequence, match=f"stream 's' is at 3, expected {wrong}; read it again") as at:
            log.append("s", ["x", "y"], wrong)
        assert (at.value.stream, at.value.expected, at.value.actual) == ("s", wrong, 3)
    with pytest.raises(hume.UnexpectedSequence):
        log.append("new", ["x"], 1)
    assert log.append("s", ["d"], 3) == 4
    assert contents(log, "s") == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]
    assert log.last_seq("new") == 0
    assert sorted(logs_of().streams) == ["s"]


@pytest.mark.parametrize("batch", [["a", None], [None], ["a", threading.Lock()], "text", b"bytes", 5, None])
def test_a_batch_that_is_refused_changes_nothing(log: Any, batch: Any) -> None:
    log.append("s", ["first"])
    with pytest.raises((TypeError, ValueError), match="payload"):
        log.append("s", batch)
    assert contents(log, "s") == [(1, "first")]
    assert log.append("s", ["second"]) == 2


@pytest.mark.parametrize(
    ("after", "limit"), [(0, None), (2, None), (5, None), (9, None), (0, 2), (3, 1), (1, 99), (0, 0)]
)
def test_events_reads_what_follows_a_number_up_to_a_limit(log: Any, after: int, limit: int | None) -> None:
    log.append("s", list("abcde"))
    everything = list(enumerate("abcde", 1))
    assert contents(log, "s", after, limit) == [pair for pair in everything if pair[0] > after][:limit]


@pytest.mark.parametrize("limits", [(-1,), (1.0,), (True,), ("1",), (None,), (0, -1), (0, 1.5), (0, True)])
def test_numbers_that_make_no_sense_are_refused_at_the_call_not_at_the_first_event(log: Any, limits: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"after|limit"):
        log.events("s", *limits)


# -- pages: at most 1024 events


@pytest.mark.parametrize("count", [1023, 1024, 1025, 2048, 3000])
def test_reads_of_several_pages_miss_nothing(log: Any, count: int) -> None:
    log.append("s", list(range(1, count // 2)))
    for number in range(count // 2, count + 1):
        log.append("s", [number])
    everything = list(enumerate(range(1, count + 1), 1))
    assert contents(log, "s") == everything
    for after in (0, 1, 1022, 1023, 1024, 1025, 2047, 2048, count - 1, count, count + 1):
        for limit in (None, 1, 2, 1024, 1025):
            assert contents(log, "s", after, limit) == everything[after:][:limit]
    logs_of()._check()


def test_a_read_is_lazy_and_shows_the_log_as_it_was_at_the_call() -> None:
    STORE.start_link()
    direct = resolve(STORE)
    direct.append("s", list(range(1, 2001)))
    events = iter(direct.events("s"))
    assert next(events).seq == 1
    direct.append("s", [2001])
    assert [event.seq for event in events] == list(range(2, 2001))


def test_a_lazy_read_fails_clearly_when_the_store_has_died_meanwhile() -> None:
    ref = STORE.start_link()
    direct = resolve(STORE)
    direct.append("s", list(range(1, 3001)))
    events = iter(direct.events("s"))
    next(events)
    hume.kill(ref)
    with pytest.raises(hume.ActorDead):
        list(events)


def test_readers_see_whole_batches_in_order_while_writers_write(fast_switching: None) -> None:
    STORE.start_link()
    done = threading.Event()

    def write(name: str) -> int:
        for number in range(300):
            hume.publish_many(STORE, "s", [(name, number, part) for part in range(5)])
        return 0

    def writers() -> int:
        try:
            assert all_at_once(lambda: write("x"), lambda: write("y"), lambda: write("z")) == [0, 0, 0]
        finally:
            done.set()
        return 0

    def read() -> int:
        seen: list[Any] = []
        while not done.is_set() or len(seen) < 4500:
            seen += [(event.seq, event.payload) for event in resolve(STORE).events("s", len(seen))]
            assert len(seen) % 5 == 0
        assert [seq for seq, _ in seen] == list(range(1, 4501))
        for begin in range(0, 4500, 5):
            batch = [payload for _, payload in seen[begin : begin + 5]]
            assert batch == [(*batch[0][:2], part) for part in range(5)]
        return len(seen)

    assert all_at_once(writers, read, read) == [0, 4500, 4500]
    logs_of()._check()


def test_of_writers_that_expect_the_same_number_one_wins(fast_switching: None) -> None:
    STORE.start_link()
    for number in range(100):
        results = all_at_once(*[functools.partial(hume.publish, STORE, "s", "x", expect_seq=number)] * 3)
        assert sum(result == number + 1 for result in results) == 1
        assert sum(isinstance(result, hume.UnexpectedSequence) for result in results) == 2


# -- isolation


def test_a_payload_cant_be_changed_through_what_was_appended_nor_through_what_was_read(log: Any) -> None:
    payload = {"list": [1]}
    log.append("s", [payload, (payload,)])
    payload["list"].append(2)
    for _ in range(2):
        (first, second) = [event.payload for event in log.events("s")]
        assert (first, second) == ({"list": [1]}, ({"list": [1]},))
        first["list"].append(3)
        second[0]["list"].append(3)


def test_payloads_of_one_batch_share_nothing(log: Any) -> None:
    shared = ["x"]
    log.append("s", [shared, shared])
    first, second = [event.payload for event in log.events("s")]
    first.append("y")
    assert second == ["x"]


def test_two_projections_never_share_a_payload() -> None:
    STORE.start_link()
    refs = [hume.start_link(Collected, stream="s", projection=number) for number in range(2)]
    hume.publish(STORE, "s", ["letter"])

    def scribble(state: list[Any]) -> None:
        state[0].append("scribbled")

    hume.publish(STORE, "s", scribble)
    assert [hume.state(ref) for ref in refs] == [[["letter", "scribbled"]]] * 2
    assert payloads(STORE, "s")[0] == ["letter"]


def test_metadata_is_kept_apart_too() -> None:
    STORE.start_link()
    metadata = {"who": ["me"]}
    hume.publish_many(STORE, "s", ["a", "b"], metadata=metadata)
    metadata["who"].append("you")
    first, second = resolve(STORE).events("s")
    first.metadata["who"].append("she")
    assert first.metadata == second.metadata == {"who": ["me"]}


# -- owners


def test_while_nobody_owns_the_logs_every_use_is_a_clear_error() -> None:
    ref = STORE.start_link()
    hume.publish(STORE, "s", "a")
    projection = hume.start_link(Collected, stream="s")
    hume.state(projection)
    direct = resolve(STORE)
    hume.kill(ref)
    uses: list[Callable[[], object]] = [
        lambda: direct.append("s", ["b"]),
        lambda: direct.last_seq("s"),
        lambda: direct.events("s"),
        lambda: hume.publish(STORE, "s", "b"),
        lambda: hume.publish(ref, "s", "b"),
        lambda: hume.state(projection),
        lambda: hume.start_link(Collected, stream="t"),
        lambda: hume.validate_store(STORE),
    ]
    for use in uses:
        with pytest.raises(hume.ActorDead):
            use()
    assert hume.state(projection, dirty=True) == ["a"]


@pytest.mark.parametrize("end", [hume.kill, hume.stop])
def test_a_store_that_is_started_again_under_its_name_has_lost_nothing(end: Callable[[Any], Any]) -> None:
    first = STORE.start_link()
    other = STORE.start_link(name="other")
    hume.publish_many(STORE, "s", ["a", "b"])
    hume.publish("other", "s", "c")
    projection = hume.start_link(Collected, stream="s", catch_up_after=0.01)
    hume.state(projection)
    before = resolve(STORE).events("s")
    ids, log_id = [event.id for event in before], resolve(STORE).log_id  # type: ignore[attr-defined]
    for ref in (first, other):
        end(ref)
        gone(ref)
    STORE.start_link(name="other")
    STORE.start_link()
    assert (payloads(STORE, "s"), payloads("other", "s")) == (["a", "b"], ["c"])
    assert [event.id for event in resolve(STORE).events("s")] == ids
    assert resolve(STORE).log_id == log_id  # type: ignore[attr-defined]
    assert hume.publish(STORE, "s", "d", expect_seq=2) == 3
    assert hume.state(projection) == ["a", "b", "d"]
    assert hume.status(projection).events_applied == 3
    logs_of()._check()


def test_a_store_that_its_supervisor_starts_again_has_lost_nothing() -> None:
    supervisor = hume.Supervisor.start_link([STORE.child_spec()], max_restarts=10)
    for number in range(1, 6):
        assert hume.publish(STORE, "s", number) == number
        ref = hume.whereis(STORE)
        assert ref is not None
        hume.kill(ref)
        eventually(lambda: hume.whereis(STORE))
    assert payloads(STORE, "s") == [1, 2, 3, 4, 5]
    hume.stop(supervisor)


def test_a_store_of_another_name_and_one_after_the_application_has_stopped_begin_with_nothing() -> None:
    STORE.start_link()
    hume.publish(STORE, "s", "a")
    log_id = resolve(STORE).log_id  # type: ignore[attr-defined]
    STORE.start_link(name="other")
    assert payloads("other", "s") == []
    stop_application()
    STORE.start_link()
    assert payloads(STORE, "s") == []
    assert resolve(STORE).log_id != log_id  # type: ignore[attr-defined]


def test_a_killed_stores_thread_can_append_nothing_any_more() -> None:
    with Gate() as gate:

        class Slow(STORE):
            def append(self, *args: Any, **kwargs: Any) -> int:
                gate.hold()
                return super().append(*args, **kwargs)

        first = Slow.start_link()
        writing = in_thread(lambda: first.proxy().append("s", ["zombie"]).get(timeout=LIMIT))
        gate.wait()
        hume.kill(first)
        assert isinstance(writing.exception(LIMIT), hume.ActorDead)
        Slow.start_link()
    gone(first)
    assert payloads(Slow, "s") == []


def test_an_append_in_the_middle_of_which_the_store_dies_is_there_whole_or_refused(fast_switching: None) -> None:
    application()
    stored = 0
    for number in range(60):
        ref = STORE.start_link()
        batch = [(number, 1), (number, 2)]
        appended, _ = all_at_once(
            functools.partial(hume.publish_many, STORE, "s", batch), functools.partial(hume.kill, ref)
        )
        STORE.start_link()
        stored += 0 if isinstance(appended, hume.ActorDead) else 2
        kept = payloads(STORE, "s")
        assert len(kept) == stored
        logs_of()._check()
        hume.kill(STORE)
    assert Table.whereis(("hume", "logs", STORE)) is not None


def test_publish_tells_nobody_of_an_append_that_was_refused() -> None:
    STORE.start_link()
    ref = hume.start_link(Collected, stream="s", catch_up_after=1000.0)
    hume.state(ref)
    with Gate() as gate:
        hume.publish(STORE, "s", doing(gate.hold))
        gate.wait()
        with pytest.raises(hume.UnexpectedSequence):
            hume.publish(STORE, "s", "x", expect_seq=7)
        assert len(mailbox(ref)) == 0


def test_the_logs_check_finds_a_gap() -> None:
    """The invariants that the other tests rely on can fail."""
    STORE.start_link()
    hume.publish_many(STORE, "s", ["a", "b"])
    logs = logs_of()
    logs._check()
    del logs.streams["s"].payloads[0]
    with pytest.raises(AssertionError):
        logs._check()


class Interrupting:
    """A column that takes what it is given, and then comes the Ctrl-C."""

    def __init__(self, column: Any) -> None:
        self.column = column

    def __getattr__(self, name: str) -> Any:
        def interrupted(*args: Any) -> None:
            getattr(self.column, name)(*args)
            raise KeyboardInterrupt

        return interrupted if name in {"append", "extend", "update"} else getattr(self.column, name)

    def __len__(self) -> int:
        return len(self.column)

    def __iter__(self) -> Any:
        return iter(self.column)

    def __getitem__(self, index: Any) -> Any:
        return self.column[index]

    def __setitem__(self, key: Any, value: Any) -> None:
        self.column[key] = value
        raise KeyboardInterrupt

    def __delitem__(self, index: Any) -> None:
        del self.column[index]


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("whose", "column"),
    [("log's", column) for column in ("starts", "firsts", "payloads", "recorded_at", "metadata", "given_ids")]
    + [("logs'", column) for column in ("firsts", "logs", "seqs", "streams")],
)
def test_an_append_that_is_interrupted_in_the_middle_leaves_nothing(
    whose: str, column: str, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C may come between any two steps of it."""
    STORE.start_link()
    store: Any = resolve(STORE)
    store.append("old", ["a"], ids=[uuid.uuid4()], metadata={"by": "me"})
    store.append("between", ["x"])
    logs = logs_of()
    owner = logs.streams["old"] if whose == "log's" else logs
    append = functools.partial(store.append, "new" if column == "streams" else "old", ["b"], ids=[uuid.uuid4()])
    if many and column != "given_ids":
        append = functools.partial(store.append_many, [("new", ["x", "y"], 0), ("old", ["b", "c"], 1)])
    monkeypatch.setattr(owner, column, Interrupting(getattr(owner, column)))
    with pytest.raises(KeyboardInterrupt):
        append(metadata={"by": "me"})
    monkeypatch.undo()
    logs._check()
    assert (contents(store, "old"), logs.matching(None), logs.count) == ([(1, "a")], ["between", "old"], 2)
    assert store.append("old", ["d"]) == 2
    logs._check()


# -- all of it, against a model


class Machine(RuleBasedStateMachine):
    """A store actor that is used, killed and started again, beside a dict of lists."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[Any, list[Any]] = {}
        STORE.start_link()

    streams = st.sampled_from(["a", ("b", 1), 0])
    batches = st.lists(st.integers() | st.lists(st.integers(), max_size=2), max_size=4) | st.integers(900, 1200).map(
        lambda count: list(range(count))
    )

    @rule(stream=streams, batch=batches, expect=st.none() | st.integers(0, 3), right=st.booleans())
    def append(self, stream: Any, batch: list[Any], expect: int | None, right: bool) -> None:
        known = self.model.get(stream, [])
        expect = len(known) if right else expect
        if expect is not None and expect != len(known):
            with pytest.raises(hume.UnexpectedSequence) as refused:
                hume.publish_many(STORE, stream, batch, expect_seq=expect)
            assert (refused.value.expected, refused.value.actual) == (expect, len(known))
            return
        self.model[stream] = known + batch
        assert hume.publish_many(STORE, stream, batch, expect_seq=expect) == len(self.model[stream])

    @rule(stream=streams, after=st.integers(0, 2500), limit=st.none() | st.integers(0, 1100))
    def read(self, stream: Any, after: int, limit: int | None) -> None:
        expected = list(enumerate(self.model.get(stream, []), 1))[after:][:limit]
        assert [(event.seq, event.payload) for event in resolve(STORE).events(stream, after, limit)] == expected

    @rule(stop=st.booleans())
    def start_again(self, stop: bool) -> None:
        hume.stop(STORE) if stop else hume.kill(STORE)
        STORE.start_link()

    @invariant()
    def all_records_agree(self) -> None:
        logs = logs_of()
        logs._check()
        assert {stream: log.last for stream, log in logs.streams.items()} == {
            stream: len(known) for stream, known in self.model.items() if known
        }

    def teardown(self) -> None:
        stop_application()


def test_the_store_is_a_dict_of_lists_that_survives_its_actors() -> None:
    run_state_machine_as_test(Machine, settings=settings(max_examples=40, stateful_step_count=25, deadline=None))
