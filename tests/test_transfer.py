"""Exports and imports: what comes back is what was there, and whatever is wrong with a file is said with its line."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import pickle
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pykka
import pytest

import hume
from hume import telemetry
from hume.stores import Encoded, Event, JSONCodec, SQLiteEventStore
from hume.stores._event_store import resolve
from tests.helpers import drained, eventually, telemetry_of
from tests.samples import PairStore, Total
from tests.stores import files
from tests.stores.files import line_of, program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AT = datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


@hume.event("transfer-test-rated", version=2)
@dataclasses.dataclass(frozen=True)
class Rated:
    """An event with a past: what version 1 says is two ratings."""

    stars: int


@hume.upcaster("transfer-test-rated", 1)
def split(data: Any) -> Iterator[Any]:
    """Lead on from version 1."""
    yield from ({"stars": stars} for stars in data["each"])


class PickleCodec:
    """What makes no JSON."""

    def encode(self, payload: Any) -> Encoded:
        return Encoded("pickle", 1, pickle.dumps(payload))

    def decode(self, type_name: str, version: int, data: bytes) -> list[Any]:
        assert (type_name, version) == ("pickle", 1)
        return [pickle.loads(data)]


class Stores:
    """Makes empty stores, each with a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def __call__(self, kind: str, codec: Any = None) -> str:
        self.count += 1
        name = f"{kind} {self.count}"
        if kind == "memory":
            hume.EventStoreActor.start(name=name)
        else:
            SQLiteEventStore.start(self.folder / f"{name}.db", name=name, codec=codec, durability="normal")
        return name


@pytest.fixture
def new(tmp_path: Path) -> Stores:
    """Makes stores."""
    return Stores(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where an export may be."""
    return tmp_path / "events.jsonl"


def face(store: Any) -> Any:
    """Return the object that has a store's methods."""
    return resolve(store)


def facts(store: Any) -> list[Any]:
    """Return all that a store says of its events, in the global order."""
    return [
        (one.position, one.stream, one.seq, one.id, one.recorded_at, one.payload, type(one.payload), one.metadata)
        for one in face(store).all_events()
    ]


def fill(store: Any) -> None:
    """Append to several streams by turns, and restore what is old."""
    api = face(store)
    api.append("s", ["a", ("add", "foo", 42)], metadata={"user": "ünï", "at": AT})
    api.append('a stream, \n"quoted"', [{"deep": [None, 1.0, AT]}, b"bytes"])
    api.restore([Event(3, 2**70, "s", uuid.uuid4(), AT)])
    api.append("s", [Rated(5)], ids=[uuid.uuid4()])


@pytest.mark.parametrize("target", ["memory", "sqlite"])
@pytest.mark.parametrize("source", ["memory", "sqlite"])
def test_what_is_exported_and_imported_is_what_was_there(source: str, target: str, new: Stores, file: Path) -> None:
    there, here = new(source), new(target)
    fill(there)
    assert hume.export_events(there, file) == 6
    assert hume.import_events(file, here) == 6
    assert facts(here) == facts(there)
    again = file.with_name("again")
    hume.export_events(here, again)
    assert again.read_bytes() == file.read_bytes()
    assert face(here).append("s", ["next"], 4) == 5


def test_a_file_is_json_lines_with_a_header_and_an_end(new: Stores, file: Path) -> None:
    store = new("sqlite")
    fill(store)
    hume.export_events(store, file)
    header, *events, end = map(json.loads, file.read_text("utf-8").splitlines())
    assert header == {"format": "hume-events", "version": 1, "data": "json"}
    assert end == {"end": 6}
    first = face(store).events("s", 0, 1).__next__()
    assert events[1] == {
        "stream": "s", "seq": 2, "position": 2, "id": str(face(store).events("s", 1, 1).__next__().id),
        "recorded_at": first.recorded_at.isoformat().replace("+00:00", "Z"), "type": "tuple", "version": 1,
        "data": ["add", "foo", 42], "metadata": {"user": "ünï", "at": {"$datetime": AT.isoformat()}},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_importing_twice_changes_nothing(kind: str, new: Stores, file: Path) -> None:
    there, here = new("sqlite"), new(kind)
    fill(there)
    hume.export_events(there, file)
    hume.import_events(file, here)
    face(here).append("s", ["more"])
    before = facts(here)
    assert hume.import_events(file, here) == 0
    assert hume.import_events(file, there) == 0
    assert facts(here) == before


def test_an_import_goes_on_where_another_was_cut_short(new: Stores, file: Path) -> None:
    there, here = new("sqlite"), new("sqlite")
    face(there).append("s", list(range(2500)))
    hume.export_events(there, file)
    lines = file.read_bytes().splitlines(keepends=True)
    with pytest.raises(hume.TransferFailed) as caught:
        hume.import_events(io.BytesIO(b"".join(lines[:2001])), here)
    assert (caught.value.line, face(here).last_seq("s")) == (2002, 2000)
    assert hume.import_events(file, here) == 500
    assert facts(here) == facts(there)


KILLED = """
import sys, hume
from hume.stores import SQLiteEventStore

SQLiteEventStore.start(sys.argv[1])
telling = ("hume", "store", "import")
hume.telemetry.attach("progress", telling, lambda name, sizes, *_: print(sizes["events"], flush=True))
hume.import_events(sys.argv[2], SQLiteEventStore)
"""


def test_an_import_that_was_killed_is_made_whole_by_the_next(new: Stores, file: Path, tmp_path: Path) -> None:
    there = new("sqlite")
    for number in range(10):
        face(there).append(f"s{number % 3}", list(range(2000)))
    hume.export_events(there, file)
    with program(KILLED, tmp_path / "here.db", file) as process:
        assert [line_of(process) for _ in range(3)] == ["1000\n", "2000\n", "3000\n"]
        process.kill()
    here = SQLiteEventStore.start(tmp_path / "here.db")
    stored = face(here).last_position()
    assert stored in range(3000, 20_001, 1000)
    assert hume.import_events(file, here) == 20_000 - stored
    assert facts(here) == facts(there)


@pytest.mark.parametrize("opened", ["path", "str", "text", "bytes", "gzip", "StringIO", "BytesIO"])
def test_a_file_is_a_path_or_an_open_file_of_text_or_bytes(opened: str, new: Stores, file: Path) -> None:
    there, here = new("memory"), new("memory")
    fill(there)
    memory: Any = io.StringIO() if opened == "StringIO" else io.BytesIO()
    opens: dict[str, Callable[[str], Any]] = {
        "text": lambda mode: file.open(mode, encoding="utf-8"),
        "bytes": lambda mode: file.open(mode + "b"),
        "gzip": lambda mode: gzip.open(file, mode + "b"),  # noqa: SIM115 - closed where it is used
    }
    if opened in opens:
        with opens[opened]("w") as out:
            assert hume.export_events(there, out) == 6
        with opens[opened]("r") as back:
            assert hume.import_events(back, here) == 6
    else:
        place: Any = {"path": file, "str": str(file)}.get(opened, memory)
        hume.export_events(there, place)
        memory.seek(0)
        hume.import_events(place, here)
    assert facts(here) == facts(there)


def test_events_are_read_and_stored_as_the_file_goes_on(new: Stores, file: Path) -> None:
    there, here = new("memory"), new("memory")
    face(there).append("s", list(range(3000)))
    hume.export_events(there, file)
    stored: list[int] = []
    with file.open() as opened:

        class Watched:
            """A file that notes what the store has when a line is read; and that can do no more than that."""

            def readline(self, size: int = -1) -> str:
                stored.append(face(here).last_seq("s"))
                return opened.readline(size)

        hume.import_events(Watched(), here)
    assert stored[1500] == 1000
    assert stored[2500] == 2000
    assert face(here).last_seq("s") == 3000


def test_a_batch_of_large_events_is_stored_before_it_takes_much_memory(new: Stores, file: Path) -> None:
    there, here = new("memory"), new("memory")
    face(there).append("s", ["x" * 2**20 for _ in range(9)])
    hume.export_events(there, file)
    stored: list[int] = []
    with file.open() as opened:

        class Watched:
            def readline(self, size: int = -1) -> str:
                stored.append(face(here).last_seq("s"))
                return opened.readline(size)

        hume.import_events(Watched(), here)
    assert stored[-1] == 8
    assert stored[5] == 4


def test_of_a_foreign_file_little_is_read(new: Stores) -> None:
    sizes: list[int] = []

    class Endless:
        def readline(self, size: int = -1) -> bytes:
            sizes.append(size)
            return b"x" * size

    with pytest.raises(hume.TransferFailed, match="line 1"):
        hume.import_events(Endless(), new("memory"))
    assert sizes == [1000]


def test_events_are_written_as_they_are_read(file: Path) -> None:
    written: list[str] = []
    read_ahead: list[int] = []

    class Endless(PairStore):
        """A store of somebody's own that makes its events as they are asked for, and looks how many are not written."""

        def all_events(self, after: int = 0, limit: int | None = None) -> Iterator[Event]:
            for position in range(after + 1, after + 1 + (limit or 10_000)):
                read_ahead.append(position - len(written))
                yield Event(position, "x", "s", uuid.uuid4(), AT, None, position)

        def last_position(self) -> int:
            return 5000

    class Out:
        """A file that can do no more than be written to."""

        encoding = "utf-8"
        write = staticmethod(written.append)

    assert hume.export_events(Endless(), Out()) == 5000
    assert len(written) == 5002
    assert max(read_ahead) < 500


def test_what_is_appended_during_an_export_is_not_in_it(new: Stores) -> None:
    store = new("sqlite")
    face(store).append("s", [1, 2])

    class Out(io.BytesIO):
        def write(self, data: Any) -> int:
            face(store).append("s", ["later"])
            return super().write(data)

    assert hume.export_events(store, Out()) == 2


def test_telemetry_tells_how_far_it_is_each_thousand_events_and_at_the_end(new: Stores, file: Path) -> None:
    there, here = new("sqlite"), new("memory")
    face(there).append("s", list(range(2500)))
    names = [("hume", "store", "export"), ("hume", "store", "import")]
    with telemetry_of(*names) as seen:
        hume.export_events(there, file)
        hume.import_events(file, here)
        hume.import_events(file, here)
    told = drained(seen)
    assert [(name[2], sizes["events"], sizes.get("new"), about["done"]) for name, sizes, about in told] == [
        ("export", 1000, None, False), ("export", 2000, None, False), ("export", 2500, None, True),
        ("import", 1000, 1000, False), ("import", 2000, 2000, False), ("import", 2500, 2500, True),
        ("import", 1000, 0, False), ("import", 2000, 0, False), ("import", 2500, 0, True),
    ]  # fmt: skip
    assert {sizes["total"] for _, sizes, _ in told[:3]} == {2500}
    assert [(about["store"], about["file"]) for _, _, about in told[::3]] == [(there, file), (here, file), (here, file)]
    assert all(set(sizes) == set(telemetry.EVENTS[name].measurements) for name, sizes, _ in told)
    assert all(set(about) == set(telemetry.EVENTS[name].metadata) for name, _, about in told)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("stream", ["s", hume.ALL])
def test_projections_hear_of_imported_events(kind: str, stream: Any, new: Stores, file: Path) -> None:
    there, here = new("memory"), new(kind)
    face(there).append("s", [1, 2, 3])
    hume.export_events(there, file)
    ref = hume.start(Total, stream=stream, store=here, catch_up_after=3600)
    assert hume.state(ref) == 0
    hume.import_events(file, here)
    eventually(lambda: hume.state(ref, dirty=True) == 6)


# -- what may be wrong with a file


def replaced(number: int, old: str, new: str) -> Callable[[list[str]], None]:
    """Return what changes something in a line."""

    def change(lines: list[str]) -> None:
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new)

    return change


DAMAGED: dict[str, tuple[int, Callable[[list[str]], Any], list[str]]] = {
    "empty": (1, lambda lines: lines.clear(), ["expected", "hume-events", "found nothing"]),
    "foreign": (1, lambda lines: lines.__setitem__(0, '{"some": "json"}'), ["expected", "hume-events", "some"]),
    "no header": (1, lambda lines: lines.pop(0), ["expected", "hume-events", '"stream"']),
    "one long foreign line": (
        1,
        lambda lines: lines.__setitem__(0, "x" * 2**20),
        ["expected", "hume-events", "xxx..."],
    ),
    "newer": (1, replaced(1, '"version":1', '"version":2'), ["expected", '"version":1', '"version":2']),
    "other data": (1, replaced(1, '"json"', '"xml"'), ["expected", '"data":"json"', "xml"]),
    "no json": (3, lambda lines: lines.__setitem__(2, "garbage"), ["malformed", "expected an event", "garbage"]),
    "half a line": (3, lambda lines: lines.__setitem__(2, lines[2][:50]), ["malformed", "expected an event"]),
    "blank line": (3, lambda lines: lines.insert(2, ""), ["expected an event"]),
    "json in data": (3, replaced(3, '"add"', '"add'), ["malformed"]),
    "no field": (3, replaced(3, '"seq"', '"sequence"'), ["`seq`"]),
    "wrong kind": (3, replaced(3, '"seq":2', '"seq":"2"'), ["`int`", "`str`", "$.seq"]),
    "number 0": (3, replaced(3, '"seq":2', '"seq":0'), [">= 1", "$.seq"]),
    "no uuid": (3, replaced(3, '"id":"', '"id":"x'), ["UUID", "$.id"]),
    "naive time": (3, replaced(3, 'Z"', '"'), ["timezone", "recorded_at"]),
    "no stream": (3, replaced(3, '"stream":"s"', '"stream":""'), ["must have a name"]),
    "unknown type": (3, replaced(3, '"tuple"', '"gone"'), ["'gone'", "no class", "hume.event('gone')", "upcaster"]),
    "newer type": (7, replaced(7, '"version":2', '"version":3'), ["transfer-test-rated", "newer", "version 2"]),
    "other data for its type": (3, replaced(3, '"tuple"', '"uuid"'), ["'uuid'"]),
    "None": (3, replaced(3, '"tuple","version":1,"data":["add","foo",42]', '"none","version":1,"data":null'), ["None"]),
    "bad metadata": (2, replaced(2, '"metadata":{', '"metadata":[],"x":{'), ["metadata", "'dict'"]),
    "out of order": (4, replaced(4, '"position":3', '"position":1'), ["out of order", "position is 1, after 2"]),
    "cut off": (8, lambda lines: lines.pop(), ["cut off", "end"]),
    "one missing": (7, lambda lines: lines.pop(6), ["says 6 events", "5"]),
    "two files": (9, lambda lines: lines.append(lines[0]), ["nothing may follow", "hume-events"]),
    "no end": (8, replaced(8, '{"end":6}', '{"end":"six"}'), ["`int`", "end"]),
}


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize("fault", DAMAGED)
def test_a_bad_line_is_named_with_what_was_expected_and_nothing_is_stored(
    fault: str, kind: str, new: Stores, file: Path
) -> None:
    there, here = new("sqlite"), new(kind)
    fill(there)
    hume.export_events(there, file)
    lines = file.read_text("utf-8").splitlines()
    line, damage, says = DAMAGED[fault]
    damage(lines)
    with pytest.raises(hume.TransferFailed) as caught:
        hume.import_events(io.StringIO("\n".join(lines) + "\n" * bool(lines)), here)
    assert caught.value.line == line
    assert str(caught.value).startswith(f"line {line}: ")
    assert [word for word in says if word not in str(caught.value)] == []
    assert len(str(caught.value)) < 400
    assert facts(here) == []


def test_bytes_that_are_no_text_are_a_bad_line(new: Stores, file: Path) -> None:
    here = new("memory")
    face(here).append("s", ["x"])
    hume.export_events(here, file)
    file.write_bytes(file.read_bytes().replace(b'"x"', b'"\xff"'))
    with pytest.raises(hume.TransferFailed, match="line 2: it is not in UTF-8"):
        hume.import_events(file, here)
    with file.open(encoding="utf-8") as text, pytest.raises(hume.TransferFailed, match="line 1: this line or one"):
        hume.import_events(text, here)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_stream_with_other_events_is_refused_and_nothing_is_stored(kind: str, new: Stores, file: Path) -> None:
    there, here = new("sqlite"), new(kind)
    fill(there)
    hume.export_events(there, file)
    face(here).append("s", ["other"])
    before = facts(here)
    with pytest.raises(hume.UnexpectedSequence) as caught:
        hume.import_events(file, here)
    assert (caught.value.stream, caught.value.expected, caught.value.actual) == ("s", 0, 1)
    assert caught.value.__notes__ == ["of lines 2 to 7 nothing was stored"]
    assert facts(here) == before


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_known_id_with_another_payload_is_refused(kind: str, new: Stores, file: Path) -> None:
    here = new(kind)
    face(here).append("s", ["x", "y"])
    hume.export_events(here, file)
    file.write_text(file.read_text().replace('"y"', '"z"'))
    with pytest.raises(hume.IdConflict):
        hume.import_events(file, here)


def test_a_payload_that_is_too_large_for_the_store_is_refused(new: Stores, file: Path, tmp_path: Path) -> None:
    there = new("memory")
    face(there).append("s", ["short", "x" * 2000])
    hume.export_events(there, file)
    here = SQLiteEventStore.start(tmp_path / "small.db", max_payload=1000)
    with pytest.raises(hume.TransferFailed, match=r"line 2: of this line and those up to 3.*event 2 .*max_payload"):
        hume.import_events(file, here)
    assert facts(here) == []


# -- what can't be exported


def test_a_stream_whose_name_is_no_string_is_refused_by_name_and_the_old_file_is_kept(new: Stores, file: Path) -> None:
    store = new("memory")
    face(store).append("s", ["fine"])
    file.write_text("what was there")
    face(store).append(("a", 1), ["x"])
    with pytest.raises(hume.TransferFailed, match=r"event 1 of stream \('a', 1\) .*string"):
        hume.export_events(store, file)
    assert file.read_text() == "what was there"
    assert list(file.parent.iterdir()) == [file]


def test_a_payload_that_can_not_be_encoded_is_refused_by_its_place(new: Stores) -> None:
    store = new("memory")
    face(store).append("s", ["fine", open])
    with pytest.raises(hume.TransferFailed, match=r"event 2 of stream 's': .*can't be encoded") as caught:
        hume.export_events(store, io.BytesIO())
    assert isinstance(caught.value.__cause__, hume.EncodeError)
    assert caught.value.line is None


# -- stores, codecs, upcasters


def test_stores_without_what_it_takes_are_refused(new: Stores, file: Path) -> None:
    with pytest.raises(hume.InvalidStore, match="all_events, last_position") as lacks:
        hume.export_events(PairStore(), file)
    assert lacks.value.missing == ("all_events", "last_position")
    store = new("memory")
    hume.export_events(store, file)
    with pytest.raises(hume.InvalidStore, match="it lacks restore"):
        hume.import_events(file, PairStore())
    with pytest.raises(hume.ActorDead):
        hume.import_events(file, "nobody")


def test_a_store_may_be_given_by_name_ref_proxy_or_object(new: Stores, file: Path) -> None:
    name = new("sqlite")
    face(name).append("s", ["a"])
    ref = hume.whereis(name)
    assert ref is not None
    for store in (name, ref, ref.proxy(), face(name)):
        assert hume.export_events(store, file) == 1
        assert hume.import_events(file, store) == 0


def test_what_is_no_codec_is_refused(new: Stores) -> None:
    bad: Any = 3
    with pytest.raises(TypeError, match="codec must be an object with encode and decode"):
        hume.export_events(new("memory"), io.BytesIO(), codec=bad)


class Remote(pykka.ThreadingActor):
    """A store that is an actor of somebody's own, and lets nobody run its methods elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Event] = []

    def append(self, stream: str, payloads: Any, expect_seq: int | None = None) -> int:
        raise NotImplementedError

    def events(self, stream: str, after: int = 0, limit: int | None = None) -> list[Event]:
        return [event for event in self.log if event.stream == stream][after:][:limit]

    def last_seq(self, stream: str) -> int:
        return len(self.events(stream))

    def all_events(self, after: int = 0, limit: int | None = None) -> list[Event]:
        return self.log[after:][:limit]

    def last_position(self) -> int:
        return len(self.log)

    def restore(self, events: list[Event]) -> int:
        for one in events:
            position = len(self.log) + 1
            self.log.append(Event(one.seq, one.payload, one.stream, one.id, one.recorded_at, one.metadata, position))
        return len(events)


def test_a_store_may_be_an_actor_of_somebody_s_own(new: Stores, file: Path) -> None:
    there, here = new("memory"), Remote.start()
    fill(there)
    hume.export_events(there, file)
    assert hume.import_events(file, here) == 6
    again = io.BytesIO()
    assert hume.export_events(here.proxy(), again) == 6
    assert again.getvalue() == file.read_bytes()


@pytest.mark.parametrize("bad", [3, None, object()])
def test_what_is_no_file_is_refused(bad: Any, new: Stores) -> None:
    store = new("memory")
    with pytest.raises(TypeError, match="a path or an open file"):
        hume.export_events(store, bad)
    with pytest.raises(TypeError, match="a path or an open file"):
        hume.import_events(bad, store)


def test_bytes_of_another_codec_are_kept_in_base64(new: Stores, file: Path) -> None:
    codec = PickleCodec()
    there, here, other = new("sqlite", codec), new("sqlite", PickleCodec()), new("memory")
    face(there).append("s", [{1, 2}, "text"], metadata={"user": "me"})
    hume.export_events(there, file)
    assert json.loads(file.read_text().splitlines()[0])["data"] == "base64"
    assert hume.import_events(file, here) == 2
    assert hume.import_events(file, other, codec=codec) == 2
    assert facts(here) == facts(there) == facts(other)
    file.write_text(file.read_text().replace('"data":"g', '"data":"!'))
    with pytest.raises(hume.TransferFailed, match="line 2"):
        hume.import_events(file, here)


def test_with_another_codec_than_the_store_s_own_payloads_are_encoded_anew(new: Stores, file: Path) -> None:
    there, here = new("sqlite", PickleCodec()), new("sqlite")
    face(there).append("s", [("a", 1)], metadata={"user": "me"})
    hume.export_events(there, file, codec=JSONCodec())
    assert json.loads(file.read_text().splitlines()[1])["data"] == ["a", 1]
    assert hume.import_events(file, here) == 1
    assert hume.import_events(file, new("sqlite", PickleCodec()), codec=JSONCodec()) == 1
    assert facts(here) == facts(there)


def change(store: Any, sql: str) -> None:
    """Change what a SQLite store has in its file."""
    files.change(face(store)._committer._writer.database.path, sql)


def old_event(store: Any) -> None:
    """Put an event of the first version into a SQLite store."""
    face(store).append("s", [Rated(1), "after"])
    change(store, "UPDATE events SET version = 1, data = '{\"each\":[1,2]}' WHERE seq = 1")


def test_upcasters_change_nothing_in_what_a_file_keeps(new: Stores, file: Path) -> None:
    there, here = new("sqlite"), new("sqlite")
    old_event(there)
    hume.export_events(there, file)
    assert '"version":1,"data":{"each":[1,2]}' in file.read_text()
    assert hume.import_events(file, here) == 2
    assert [one.payload for one in face(here).events("s")] == [Rated(1), Rated(2), "after"]
    assert facts(here) == facts(there)


def test_where_an_upcaster_splits_an_event_a_store_of_payloads_can_not_keep_it(new: Stores, file: Path) -> None:
    there = new("sqlite")
    old_event(there)
    hume.export_events(there, file)
    with pytest.raises(hume.TransferFailed, match="line 2: its upcasters make 2 events of it"):
        hume.import_events(file, new("memory"))
    with pytest.raises(hume.TransferFailed, match=r"one event at position 2, found .*upcasters"):
        hume.export_events(there, file, codec=JSONCodec())


def test_an_export_needs_no_classes_and_an_import_does(new: Stores, file: Path) -> None:
    @dataclasses.dataclass(frozen=True)
    class Fleeting:
        text: str

    there = new("sqlite")
    face(there).append("s", [Fleeting("a")])
    change(there, "UPDATE events SET type = 'Vanished'")
    assert hume.export_events(there, file) == 1
    with pytest.raises(hume.TransferFailed, match="line 2: event type 'Vanished', version 1: no class"):
        hume.import_events(file, new("sqlite"))


def test_json_of_several_lines_is_one_line_of_a_file(new: Stores, file: Path) -> None:
    there, here = new("sqlite"), new("sqlite")
    face(there).append("s", [[1, 2]])
    change(there, "UPDATE events SET data = CAST('[1,' || char(10) || '2]' AS BLOB)")
    hume.export_events(there, file)
    assert hume.import_events(file, here) == 1
    assert facts(here) == facts(there)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_metadata_are_those_of_the_file_also_where_a_handler_imports(kind: str, new: Stores, file: Path) -> None:
    there, here, own = new("sqlite"), new(kind), new("memory")
    fill(there)
    hume.export_events(there, file)

    class Importer(Total, store=own):
        def handle_event(self, payload: Any, state: int) -> int:
            face(here).restore(list(face(there).all_events()))
            return state + hume.import_events(file, here)

    ref = hume.start(Importer, stream="s")
    hume.publish(own, "s", "now")
    assert hume.state(ref) == 0
    assert facts(here) == facts(there)


def test_bytes_that_are_damaged_in_the_store_are_not_exported(new: Stores, file: Path) -> None:
    store = new("sqlite")
    face(store).append("s", ["a", "b"])
    change(store, "UPDATE events SET data = '\"b' WHERE seq = 2")
    with pytest.raises(hume.TransferFailed, match="event 2 of stream 's' can't be exported"):
        hume.export_events(store, file)
    assert not file.exists()
