"""The command line: what each command prints, its exit codes, and that it leaves alone what it only reads."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

import hume
from hume.cli._file import FileReader
from hume.cli._main import commands
from hume.stores import JSONCodec, SQLiteEventStore
from hume.stores._event_store import resolve
from tests.helpers import LIMIT
from tests.stores.files import change

if TYPE_CHECKING:
    from collections.abc import Iterator

MAIN = "from hume.cli import main; main()"
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {
    "PYTHONPATH": str(Path(hume.__file__).parents[1]),
    "PYTHONDONTWRITEBYTECODE": "1",
}

MODULE = """
import dataclasses
import hume

@hume.event("cli-test-sold", version=2)
@dataclasses.dataclass(frozen=True)
class Sold:
    cents: int

@dataclasses.dataclass
class Counted:  # its name is not fixed
    pieces: int

class Sales(hume.Projection):
    def init_state(self, projection):
        return {}

    def handle_recorded(self, event, state):
        return {**state, event.stream: state.get(event.stream, 0) + event.payload.cents}

class Fragile(Sales):
    def handle_recorded(self, event, state):
        raise ValueError("two\\nlines")

class Picky(hume.Projection):
    def init_state(self, projection):
        return 0

    def handle_event(self, event, state):
        return None
"""


def hume_cli(*arguments: object, stdin: bytes | str | None = None) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(commands, list(map(str, arguments)), input=stdin)


def lines_of(result: Result) -> list[str]:
    """Return what a command that succeeded has printed."""
    assert (result.exit_code, result.exception) == (0, None), result.stderr
    return result.stdout.splitlines()


def refused(result: Result, code: int = 1) -> str:
    """Return the one line that a command said that failed."""
    assert result.exit_code == code
    said = result.stderr.splitlines()
    if code == 2:
        assert said[0].startswith("Usage: ")
        return said[-1]
    assert len(said) == 1
    assert said[0].startswith("Error: ")
    return said[0]


def filled(path: Path) -> Path:
    """Make a file with events of all kinds and a snapshot, and leave it in order."""
    store = SQLiteEventStore.start(path, name=object())
    hume.publish_many(store, "order-1", ["a", ("add", "foo", 42)], metadata={"user": "ünï"})
    hume.publish(store, "order-2", {"b": 1.5})
    hume.publish_many(store, "sales", [1, 2, 3])
    api: Any = resolve(store)
    api.snapshots.persist_snapshot(("tests.Sales", "sales"), hume.Snapshot(3, {"sum": 6}, None, 1, api.log_id))
    hume.stop(store)
    change(
        path,
        "UPDATE events SET type = 'cli-test-sold', version = 2, data = CAST('{\"cents\":3}' AS BLOB) WHERE seq = 3",
    )
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with events."""
    return filled(tmp_path / "shop.db")


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with classes and projections, where the command runs."""
    (tmp_path / "cli_test_shop.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield "cli_test_shop"
    sys.modules.pop("cli_test_shop", None)


@pytest.fixture
def sold(path: Path) -> Path:
    """The file without what is no sale."""
    change(
        path,
        "DELETE FROM events WHERE type <> 'cli-test-sold'",
        "UPDATE events SET seq = 1, position = 1",
        "UPDATE snapshots SET seq = 1",
    )
    return path


# -- looking


def test_streams_are_listed_with_their_last_events(path: Path) -> None:
    head, *rows = [line.split() for line in lines_of(hume_cli("streams", path))]
    assert head == ["stream", "events", "last", "event"]
    assert [row[:2] for row in rows] == [["order-1", "2"], ["order-2", "1"], ["sales", "3"]]
    found = [json.loads(line) for line in lines_of(hume_cli("streams", path, "--prefix", "order-", "--json"))]
    assert [(one["stream"], one["events"]) for one in found] == [("order-1", 2), ("order-2", 1)]
    assert all(one["last_recorded_at"].endswith("+00:00") for one in found)


@pytest.mark.parametrize(
    ("arguments", "positions"),
    [
        (["order-1"], [1, 2]),
        (["sales", "--after", "1"], [5, 6]),
        (["sales", "--after", "1", "--limit", "1"], [5]),
        (["sales", "--limit", "0"], []),
        (["nobody"], []),
        ([], [1, 2, 3, 4, 5, 6]),
        (["--after", "2", "--limit", "2"], [3, 4]),
        (["sales", "--follow", "--limit", "3"], [4, 5, 6]),
    ],
)
def test_events_are_those_of_a_stream_or_of_all(arguments: list[str], positions: list[int], path: Path) -> None:
    found = [json.loads(line) for line in lines_of(hume_cli("events", path, *arguments, "--json"))]
    assert [one["position"] for one in found] == positions
    assert len(lines_of(hume_cli("events", path, *arguments))) == len(positions)


def test_events_are_shown_as_they_are_stored_without_their_classes(path: Path) -> None:
    assert [line.split(maxsplit=3)[0::3] for line in lines_of(hume_cli("events", path, "order-1"))] == [
        ["1", 'str  "a"  {"user":"ünï"}'],
        ["2", 'tuple  ["add","foo",42]  {"user":"ünï"}'],
    ]
    assert lines_of(hume_cli("events", path))[-1].split()[1:3] == ["sales", "3"]
    assert lines_of(hume_cli("events", path))[-1].endswith('cli-test-sold@2  {"cents":3}')
    (found,) = lines_of(hume_cli("events", path, "sales", "--after", 2, "--json"))
    fields = json.loads(found)
    assert (fields["type"], fields["version"], fields["data"]) == ("cli-test-sold", 2, {"cents": 3})
    assert set(fields) == {"stream", "seq", "position", "id", "recorded_at", "type", "version", "data", "metadata"}


def test_what_a_terminal_would_obey_is_shown_as_text(path: Path) -> None:
    change(path, "UPDATE streams SET name = 'a' || char(27) || '[2J' WHERE id = 1")
    change(path, "UPDATE events SET data = CAST('\"' || char(155) || '\"' AS BLOB) WHERE position = 1")
    printed = hume_cli("streams", path).stdout + hume_cli("events", path).stdout
    assert "a\\u001b[2J" in printed
    assert '"\\u009b"' in printed
    assert not {"\x1b", "\x9b"} & set(printed)


def test_snapshots_are_listed(path: Path) -> None:
    head, row = lines_of(hume_cli("snapshots", path))
    assert head.split() == ["projection", "seq", "version", "bytes", "state"]
    assert row.split()[-4:] == ["3", "1", "9", "ok"]
    (found,) = map(json.loads, lines_of(hume_cli("snapshots", path, "--json")))
    assert found["projection"] == "('tests.Sales', 'sales', )"
    assert (found["seq"], found["of_this_log"], found["damaged"]) == (3, True, False)
    change(path, "UPDATE snapshots SET data = 'x'")
    assert lines_of(hume_cli("snapshots", path))[1].endswith("damaged")


LOOKS = {
    "streams": [], "events": [], "snapshots": [], "check": [], "export": [], "replay": ["cli_test_shop:Sales", "--all"],
}  # fmt: skip


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return what is in a folder."""
    return {one.name: (one.stat().st_mtime_ns, one.read_bytes()) for one in folder.iterdir() if one.is_file()}


@pytest.mark.parametrize("command", LOOKS)
def test_a_command_that_reads_makes_no_file_and_changes_none(command: str, sold: Path, module: str) -> None:
    before = state_of(sold.parent)
    lines_of(hume_cli(command, sold, *LOOKS[command]))
    assert state_of(sold.parent) == before
    missing = sold.with_name("missing.db")
    assert "missing.db: can't read it: there is no such file" in refused(hume_cli(command, missing, *LOOKS[command]))
    assert state_of(sold.parent) == before


@pytest.mark.parametrize("command", LOOKS)
def test_a_command_that_reads_does_so_while_a_store_writes(command: str, sold: Path, module: str) -> None:
    store = SQLiteEventStore.start(sold)
    hume.publish(store, "others", 1)
    before = state_of(sold.parent)
    hume_cli(command, sold, *LOOKS[command])
    after = state_of(sold.parent)
    assert {name: found[1] for name, found in after.items() if not name.endswith("-shm")} == {
        name: found[1] for name, found in before.items() if not name.endswith("-shm")
    }
    hume.publish(store, "others", 2)
    assert json.loads(lines_of(hume_cli("streams", sold, "--prefix", "others", "--json"))[0])["events"] == 2


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_in_a_folder_that_may_not_be_written_can_be_read() -> None:
    program = f"import os, urllib.parse, hume.cli._main; os.setuid(65534); {MAIN}"  # before its rights are dropped
    with tempfile.TemporaryDirectory() as folder:  # where somebody else may look, too
        path = filled(Path(folder) / "shop.db")
        path.parent.chmod(0o755)
        done = python(program, "streams", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize("content", [b"", b"no database at all" * 100, None])
def test_a_foreign_file_is_refused_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign.db"
    if content is None:
        change(foreign, "CREATE TABLE mine (x)")
    else:
        foreign.write_bytes(content)
    before = foreign.read_bytes()
    assert "foreign.db" in refused(hume_cli("events", foreign, "s"))
    assert foreign.read_bytes() == before


def test_a_file_that_is_read_can_not_be_written(path: Path) -> None:
    reader = FileReader(path, JSONCodec())
    with closing(reader), pytest.raises(hume.StorageFailed, match="readonly"):
        list(reader.rows("DELETE FROM events"))
    with pytest.raises(hume.StorageFailed, match="for reading alone"):
        hume.publish(reader, "s", 1)


# -- appending


def test_append_takes_json_and_prints_the_last_number(path: Path) -> None:
    assert lines_of(hume_cli("append", path, "new", '{"a": 1}', "[1, null]", "3.5", '"x"')) == ["4"]
    assert lines_of(hume_cli("append", path, "new", "-", "--json", stdin='1\n\n{"$odd": 2}\n')) == [
        '{"stream":"new","seq":6}'
    ]
    store = SQLiteEventStore.start(path)
    assert [event.payload for event in resolve(store).events("new")] == [
        {"a": 1}, [1, None], 3.5, "x", 1, {"$odd": 2},
    ]  # fmt: skip


def test_append_takes_data_of_a_type_as_they_are_stored(path: Path, module: str) -> None:
    metadata = ["--metadata", '{"by": "hand"}']
    assert lines_of(hume_cli("append", path, "new", "--type", "tuple", '["add", 1]', *metadata)) == ["1"]
    sold = ["--type", "cli-test-sold", "--version", "2"]
    assert lines_of(hume_cli("append", path, "new", *sold, '{"cents": 7}', "--expect-seq", "1")) == ["2"]
    assert lines_of(hume_cli("append", path, "new", *sold, '{"cents": 8}', "--import", module)) == ["3"]
    counted = ["--type", "Counted", '{"pieces": 8}', "--import", module]
    assert lines_of(hume_cli("append", path, "new", *counted)) == ["4"]
    first, *others = map(json.loads, lines_of(hume_cli("events", path, "new", "--json")))
    assert (first["type"], first["data"], first["metadata"]) == ("tuple", ["add", 1], {"by": "hand"})
    assert [one["type"] for one in others] == ["cli-test-sold", "cli-test-sold", "Counted"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["sales", "{"], 2, "is no JSON"),
        (["sales", "NaN"], 2, "is no JSON"),
        (["sales", "1", "--metadata", "[1]"], 2, "must be a JSON object"),
        (["sales", "1", "--expect-seq", "-1"], 2, "--expect-seq"),
        (["sales"], 2, "Missing argument 'JSON...'"),
        (["sales", "1", "--import", "no_such_module"], 2, "can't import 'no_such_module'"),
        (["sales", "null"], 1, "None"),
        (["sales", "1", "--expect-seq", "1"], 1, "stream 'sales' is at 3, expected 1"),
        (["", "1"], 1, "must have a name"),
        (["sales", "1", "--type", "uuid"], 1, "'uuid'"),
        (
            ["sales", '{"euros": 1}', "--type", "cli-test-sold", "--version", "2", "--import", "cli_test_shop"],
            1,
            "cents",
        ),
        (["sales", "{}", "--type", "unknown", "--import", "cli_test_shop"], 1, "no class with the name 'unknown'"),
    ],
)
def test_append_refuses_in_one_line(arguments: list[str], code: int, says: str, path: Path, module: str) -> None:
    assert says in refused(hume_cli("append", path, *arguments), code)
    assert len(lines_of(hume_cli("events", path))) == 6


def test_append_makes_a_file_only_if_told_to(tmp_path: Path) -> None:
    assert "--create" in refused(hume_cli("append", tmp_path / "new.db", "s", "1"))
    assert list(tmp_path.iterdir()) == []
    assert lines_of(hume_cli("append", tmp_path / "new.db", "s", "1", "--create")) == ["1"]


# -- replaying


def test_replay_folds_and_prints_the_state(sold: Path, module: str) -> None:
    done = hume_cli("replay", sold, f"{module}:Sales", "--stream", "sales")
    assert lines_of(done) == ["{'sales': 3}"]
    assert done.stderr == "1 events, up to number 1\n"
    for selection in (["--all"], ["--prefix", "sa"], ["--stream", "sales", "--stream", "nobody"]):
        (line,) = lines_of(hume_cli("replay", sold, f"{module}:Sales", *selection, "--json"))
        assert json.loads(line) == {"seq": 1, "events": 1, "type": "dict", "state": {"sales": 3}}


def test_replay_says_where_a_handler_failed(sold: Path, module: str) -> None:
    said = refused(hume_cli("replay", sold, f"{module}:Fragile", "--all"))
    assert "event 1: ValueError: two; lines (" in said
    assert "cli_test_shop.py, line 23, in handle_recorded)" in said
    assert "at event 1" in refused(hume_cli("replay", sold, f"{module}:Picky", "--all"))


def test_replay_needs_the_classes(path: Path, module: str) -> None:
    change(path, "UPDATE events SET type = 'unheard-of' WHERE seq = 3")
    said = refused(hume_cli("replay", path, f"{module}:Sales", "--stream", "sales", "--import", "json"))
    assert "event 3 of stream 'sales'" in said
    assert "no class with the name 'unheard-of'" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["cli_test_shop:Sales"], "--stream, --prefix or --all"),
        (["cli_test_shop:Sales", "--all", "--stream", "s"], "--stream, --prefix or --all"),
        (["cli_test_shop:Sold", "--all"], "cli_test_shop:Sold is no projection; there is cli_test_shop:Sales,"),
        (["cli_test_shop", "--all"], "is no projection"),
        (["no_such_module:Sales", "--all"], "can't import 'no_such_module': ModuleNotFoundError"),
        ([":Sales", "--all"], "can't import ''"),
    ],
)
def test_replay_refuses_what_it_can_not_fold(arguments: list[str], says: str, path: Path, module: str) -> None:
    assert says in refused(hume_cli("replay", path, *arguments), 2)


# -- moving


def test_an_export_is_imported_by_way_of_a_file_or_a_pipe(path: Path, tmp_path: Path) -> None:
    exported = hume_cli("export", path)
    assert (exported.exit_code, exported.stderr) == (0, "6 events exported\n")
    lines_of(hume_cli("export", path, tmp_path / "shop.jsonl"))
    assert (tmp_path / "shop.jsonl").read_bytes() == exported.stdout_bytes
    copy = tmp_path / "copy.db"
    assert lines_of(hume_cli("import", copy, stdin=exported.stdout_bytes)) == ["6 events imported"]
    assert lines_of(hume_cli("import", copy, tmp_path / "shop.jsonl", "--json")) == ['{"new":0}']
    assert hume_cli("export", copy).stdout_bytes == exported.stdout_bytes


def test_an_import_that_is_told_of_classes_wants_to_know_each(path: Path, tmp_path: Path, module: str) -> None:
    exported = hume_cli("export", path).stdout_bytes
    assert lines_of(hume_cli("import", tmp_path / "a.db", "--import", module, stdin=exported)) == ["6 events imported"]
    unknown = exported.replace(b"cli-test-sold", b"cli-test-gone")
    said = refused(hume_cli("import", tmp_path / "b.db", "--import", module, stdin=unknown))
    assert "line 7: event type 'cli-test-gone', version 2: no class" in said
    assert list(tmp_path.glob("b.db*")) == []
    assert lines_of(hume_cli("import", tmp_path / "b.db", stdin=unknown)) == ["6 events imported"]


@pytest.mark.parametrize("old", [b'"tuple"', b'{"cents":3}', b'"seq":2'])
def test_an_import_refuses_a_bad_line_and_leaves_no_new_file(old: bytes, path: Path, tmp_path: Path) -> None:
    damaged = hume_cli("export", path).stdout_bytes.replace(old, b'{"bad"}')
    assert "Error: line " in refused(hume_cli("import", tmp_path / "copy.db", stdin=damaged))
    assert list(tmp_path.glob("copy.db*")) == []
    store = SQLiteEventStore.start(tmp_path / "there.db")
    hume.stop(store)
    refused(hume_cli("import", tmp_path / "there.db", stdin=damaged))
    assert (tmp_path / "there.db").exists()


def test_what_is_refused_says_what_was_noted_too(path: Path, tmp_path: Path) -> None:
    exported = hume_cli("export", path).stdout_bytes
    hume_cli("append", tmp_path / "other.db", "sales", "1", "--create")
    said = refused(hume_cli("import", tmp_path / "other.db", stdin=exported))
    assert "stream 'sales' is at 1, expected 0" in said
    assert "of lines 2 to 7 nothing was stored" in said


# -- checking

FAULTS = {
    "DELETE FROM events WHERE position = 2": ("(position 3)", "2 is missing"),
    "DELETE FROM events WHERE position IN (2, 3)": ("(position 4)", "2 to 3 are missing"),
    "DELETE FROM events WHERE position = 5": ("event 3 of stream 'sales'", "follows 1: 2 is missing"),
    "UPDATE events SET seq = 9 WHERE position = 6": ("event 9 of stream 'sales'", "3 to 8 are missing"),
    "UPDATE events SET seq = 0 WHERE position = 4": ("event 0 of stream 'sales'", "twice, or out of order"),
    "UPDATE events SET data = '[1' WHERE position = 2": ("event 2 of stream 'order-1'", "no bytes"),
    "UPDATE events SET data = CAST('[1' AS BLOB) WHERE position = 2": ("event 2 of stream 'order-1'", "'tuple'"),
    "UPDATE events SET data = CAST('{' AS BLOB) WHERE position = 6": ("event 3 of stream 'sales'", "'cli-test-sold'"),
    "UPDATE events SET metadata = CAST('{' AS BLOB) WHERE position = 1": ("event 1 of stream 'order-1'", "metadata"),
    "UPDATE events SET recorded_at = -1 WHERE position = 1": ("event 1 of stream 'order-1'", "its time"),
    "UPDATE events SET id = x'01' WHERE position = 1": ("event 1 of stream 'order-1'", "no UUID"),
    "DELETE FROM streams WHERE id = 2": ("event 1 of stream None (position 3)", "no name"),
    "UPDATE snapshots SET data = CAST('{}' AS BLOB)": ("snapshot of ('tests.Sales', 'sales', )", "damaged"),
    "UPDATE snapshots SET type = 'uuid'": ("snapshot of ('tests.Sales', 'sales', )", "'uuid'"),
    "UPDATE snapshots SET seq = 4": ("snapshot of ('tests.Sales', 'sales', )", "ahead of its log"),
    "UPDATE snapshots SET seq = 7, projection = '''sales'''": ("snapshot of 'sales'", "last one is 6"),
    "UPDATE snapshots SET seq = 7, projection = '(''c'', ALL, )'": ("snapshot of ('c', ALL, )", "last one is 6"),
}


def test_check_finds_nothing_in_a_file_in_order(path: Path, module: str) -> None:
    assert lines_of(hume_cli("check", path)) == ["no problem found (events: 6, streams: 3)"]
    assert lines_of(hume_cli("check", path, "--import", module)) == ["no problem found (events: 6, streams: 3)"]
    assert lines_of(hume_cli("check", path, "--json")) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_check_lists_what_is_wrong_and_exits_with_1(fault: str, path: Path) -> None:
    change(path, "PRAGMA foreign_keys = OFF", fault)
    done = hume_cli("check", path)
    where, what = FAULTS[fault]
    assert done.exit_code == 1
    assert [line for line in done.stdout.splitlines() if where in line and what in line]
    assert done.stderr.endswith("found\n")
    found = [json.loads(line) for line in hume_cli("check", path, "--json").stdout.splitlines()]
    assert [f"{one['where']}: {one['what']}" for one in found] == done.stdout.splitlines()


def test_check_with_classes_finds_payloads_that_do_not_fit(path: Path, module: str) -> None:
    change(path, "UPDATE events SET data = CAST('{\"euros\":1}' AS BLOB) WHERE position = 6")
    assert python(MAIN, "check", str(path)).returncode == 0  # in a process of its own, which knows no classes
    done = python(MAIN, "check", str(path), "--import", module)
    assert (done.returncode, done.stderr) == (1, "1 problem found\n")
    assert "lack the field 'cents'" in done.stdout


def test_check_says_that_a_file_is_torn(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 2 : 4096 * 5] = b"\xff" * 4096 * 3
    path.write_bytes(content)
    done = hume_cli("check", path)
    assert done.exit_code == 1
    assert done.stdout.startswith("the file: ") or "shop.db" in done.stderr
    assert "Traceback" not in done.output


# -- what is the same for all


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_the_help_of_each_command_has_examples(command: str) -> None:
    printed = hume_cli(command, "--help").stdout
    assert f"\n  Examples:\n    hume {command} " in printed
    assert max(map(len, printed.splitlines())) <= 90
    assert f"hume {command}" in printed.split("Examples:")[0]
    assert f"\n  {command} " in hume_cli("--help").stdout


@pytest.mark.parametrize("arguments", [["nonsense"], ["events"], ["events", "x.db", "--after", "one"], ["--nonsense"]])
def test_what_is_not_understood_exits_with_2(arguments: list[str]) -> None:
    assert refused(hume_cli(*arguments), 2).startswith("Error: ")


def python(program: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(  # noqa: S603 - our own program
        command, env=ENVIRONMENT, text=True, timeout=LIMIT, check=False, **{"capture_output": True, **options}
    )


@pytest.fixture
def follower(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that follows a stream; its first lines are read."""
    # what was started in the background ignores Ctrl-C, and hands that down: not what is tested
    main = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {MAIN}"
    command = [sys.executable, "-W", "error", "-c", main, "events", str(path), "sales", "--follow"]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            for number in (1, 2, 3):
                assert process.stdout.readline().split()[0] == str(number)
            yield process
        finally:
            process.kill()


def test_follow_prints_what_others_append_until_ctrl_c_which_is_quiet(
    follower: subprocess.Popen[str], path: Path
) -> None:
    store = SQLiteEventStore.start(path)
    hume.publish(store, "sales", "new")
    assert follower.stdout is not None
    assert follower.stdout.readline().endswith('str  "new"\n')
    follower.send_signal(signal.SIGINT)
    assert follower.communicate(timeout=LIMIT) == ("", "")
    assert follower.returncode == 130


def test_follow_ends_quietly_when_nobody_reads(follower: subprocess.Popen[str], path: Path) -> None:
    assert follower.stdout is not None
    assert follower.stderr is not None
    follower.stdout.close()
    hume.publish(SQLiteEventStore.start(path), "sales", "new")
    assert follower.wait(LIMIT) == 141
    assert follower.stderr.read() == ""


@pytest.mark.skipif(shutil.which("bash") is None, reason="the test is a shell's pipeline")
@pytest.mark.parametrize("command", ["events", "export", "check"])
def test_a_broken_pipe_is_quiet(command: str, path: Path) -> None:
    with_many = (
        f"import hume; from hume.stores import SQLiteEventStore as S; S.start({str(path)!r}); "
        "hume.publish_many(S, 'many', ['x' * 50] * 5000)"
    )
    assert python(with_many).returncode == 0
    change(path, "UPDATE events SET type = 'uuid' WHERE seq > 10")  # so that `check` has much to say
    script = f'"{sys.executable}" -W error -c "{MAIN}" {command} "{path}" | head -n 2; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(  # noqa: S603 - our own program
        ["bash", "-c", script],  # noqa: S607 - whichever there is
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 3
    assert done.stdout.splitlines()[-1] == "141"


@pytest.mark.parametrize("command", ["streams", "events", "export", "check"])
def test_output_that_nobody_can_read_is_quiet(command: str, path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = python(MAIN, command, str(path), capture_output=False, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk at hand")
@pytest.mark.parametrize("command", ["streams", "events", "export", "check"])
def test_output_that_fails_is_an_error_of_one_line(command: str, path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = python(MAIN, command, str(path), capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, "Error: [Errno 28] No space left on device\n")


def test_exit_codes_and_streams_of_a_real_process(path: Path) -> None:
    assert python(MAIN, "check", str(path)).returncode == 0
    change(path, "DELETE FROM events WHERE position = 2")
    assert python(MAIN, "check", str(path)).returncode == 1
    assert python(MAIN, "nonsense").returncode == 2
    missing = python(MAIN, "events", str(path.with_name("missing.db")), "s")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert missing.stderr.count("\n") == 1
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize("missing", ["click", "msgspec"])
def test_without_the_extra_the_command_says_what_to_install(missing: str) -> None:
    done = python(f"import sys; sys.modules[{missing!r}] = None; {MAIN}", "--help")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"Error: the command needs {missing}, which comes with the extra: pip install 'hume-es[cli]'\n"
    )


def test_progress_is_shown_on_a_terminal_alone(sold: Path, module: str) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as seen:
        arguments = ["replay", str(sold), f"{module}:Sales", "--all", "--json"]
        done = python(MAIN, *arguments, capture_output=False, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        shown = seen.read(10_000).decode()
    assert json.loads(done.stdout)["events"] == 1
    assert "1/1" in shown
    assert "events/s" in shown or "0:00:00" in shown
    assert python(MAIN, *arguments).stderr == ""
