"""What a store in a file does when its disk or its file fails. Real disks and files."""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume.errors import StorageFailed
from hume.stores import SQLiteEventStore, _sqlite_schema
from hume.stores._event_store import resolve
from tests.helpers import LIMIT, in_thread
from tests.stores.files import line_of, program, result

if TYPE_CHECKING:
    from collections.abc import Iterator

# -- a disk that is full


@contextmanager
def small_disk() -> Iterator[tuple[Path, Any]]:
    """Yield a folder, and what fills its disk for a while: that of a tmpfs, or up to a limit if none may be made."""
    with tempfile.TemporaryDirectory() as folder:
        mounted = os.geteuid() == 0 and _run("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder) == 0
        try:
            yield Path(folder), (_filled if mounted else _limited)
        finally:
            if mounted:
                _run("umount", "-l", folder)


def _run(*command: str) -> int:
    return subprocess.run(command, capture_output=True, check=False, timeout=LIMIT).returncode  # noqa: S603 - ours


@contextmanager
def _filled(folder: Path) -> Iterator[None]:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    yield
    filler.unlink()


@contextmanager
def _limited(folder: Path) -> Iterator[None]:
    largest = max(file.stat().st_size for file in folder.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def fails_and_then_succeeds(api: Any, full: Any, reason: str) -> None:
    """Check that appends fail while the disk is full, that nothing is lost, and that they succeed when it is not."""
    large = ["x" * 100_000] * 3
    api.append("s", ["before"])
    with full:
        for _ in range(3):
            with pytest.raises(StorageFailed, match=reason) as caught:
                api.append("s", large)
            assert isinstance(caught.value.__cause__, sqlite3.Error)
        group = [in_thread(api.append, f"s{number}", large) for number in range(8)]
        assert {type(one.exception(LIMIT)) for one in group} == {StorageFailed}
        assert (api.last_seq("s"), api.last_position()) == (1, 1)
        assert [event.payload for event in api.events("s")] == ["before"]
    assert api.append("s", large, 1) == 4
    assert [event.position for event in api.all_events()] == [1, 2, 3, 4]
    assert api.streams() == ["s"]


def test_a_full_disk_is_a_clear_error_and_the_store_is_usable_when_there_is_room() -> None:
    with small_disk() as (folder, full):
        ref = SQLiteEventStore.start(folder / "events.db")
        fails_and_then_succeeds(resolve(ref), full(folder), "is full|disk I/O error")
        hume.stop(ref)


def test_a_full_quota_is_a_clear_error_and_the_store_is_usable_when_it_is_raised(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = 1_000_000
    made: list[sqlite3.Connection] = []

    def connect(database: Any) -> sqlite3.Connection:
        connection = plain(database)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        made.append(connection)
        return connection

    def limit(number: int) -> None:
        nonlocal pages
        pages = number
        for connection in made:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                connection.execute(f"PRAGMA max_page_count = {pages}")

    @contextmanager
    def full() -> Iterator[None]:
        limit(20)
        yield
        limit(1_000_000)

    plain = _sqlite_schema.Database.connect
    monkeypatch.setattr(_sqlite_schema.Database, "connect", connect)
    api: Any = resolve(SQLiteEventStore.start(path))
    fails_and_then_succeeds(api, full(), "disk is full.*make room and try again")


# -- a file that may not be written

READ_ONLY = """
import json, os, sys
import hume
from hume.errors import StorageFailed
from hume.stores import SQLiteEventStore
from hume.stores._event_store import resolve
import encodings.idna

path, said = sys.argv[1], []
if os.geteuid() == 0:  # root may write everything
    first = SQLiteEventStore.start(path + ".before")  # imports all there is to import, which may be root's alone
    resolve(first).append("s", [0])
    hume.stop(first)
    os.setegid(65534)
    os.seteuid(65534)
for mode in (0o644, 0o444, 0o644):
    if os.path.exists(path):
        os.chmod(path, mode)
    try:
        ref = SQLiteEventStore.start(path)
    except StorageFailed as error:
        said.append(str(error))
    else:
        said.append(resolve(ref).append("s", [mode]))
        hume.stop(ref)
print(json.dumps(said))
"""


def test_a_file_that_may_not_be_written_is_a_clear_error_and_usable_when_it_may_again() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        path = f"{folder}/events.db"
        said = result(program(READ_ONLY, path))
    assert said == [1, f"{path}: can't open it: it may not be written: look at its permissions", 2]


# -- a file that is damaged


def test_a_truncated_file_is_a_clear_error_and_its_copy_is_usable(path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    resolve(ref).append("s", ["x" * 1000] * 100)
    hume.stop(ref)
    whole = path.read_bytes()
    for size in (len(whole) // 2, 4096, 1000, 50):
        path.write_bytes(whole[:size])
        with pytest.raises(StorageFailed, match=f"{path}: can't open it: ") as caught:
            SQLiteEventStore.start(path)
        assert isinstance(caught.value.__cause__, sqlite3.Error)
        assert path.read_bytes() == whole[:size]
    path.write_bytes(whole)
    assert resolve(SQLiteEventStore.start(path)).append("s", ["y"]) == 101


def test_a_file_truncated_in_use_is_a_clear_error_and_the_store_is_usable_when_it_is_whole(path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    resolve(ref).append("s", ["x" * 1000] * 5000)
    hume.stop(ref)  # so that all stands in the file itself
    api: Any = resolve(SQLiteEventStore.start(path))
    whole = path.read_bytes()
    os.truncate(path, len(whole) // 2)
    for read in (partial(api.events, "s"), api.all_events):
        with pytest.raises(StorageFailed, match="can't read events"):
            list(read())
    with path.open("r+b") as file:
        file.write(whole)
    assert len(list(api.events("s"))) == len(list(api.all_events())) == 5000
    assert api.append("s", ["y"]) == 5001


def test_a_file_that_is_gone_is_a_clear_error_and_no_new_one_is_made(path: Path) -> None:
    ref = SQLiteEventStore.start(path)
    database = _sqlite_schema.Database(path)
    database.connect().close()
    hume.stop(ref)
    path.unlink()
    with pytest.raises(StorageFailed, match="the file is gone; bring it back"):
        database.connect()
    assert not path.exists()
    resolve(SQLiteEventStore.start(path)).append("s", ["a"])
    with pytest.raises(StorageFailed, match="another log has taken its place"):
        database.connect()


# -- a file that another process has locked

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
"""


@pytest.mark.usefixtures("impatient")
def test_a_file_that_another_process_has_locked_is_a_clear_error_and_usable_when_it_is_free(path: Path) -> None:
    api: Any = resolve(SQLiteEventStore.start(path))
    api.append("s", ["before"])
    with program(LOCK, path) as locker:
        assert line_of(locker) == "locked\n"
        with pytest.raises(StorageFailed, match=r"nothing was stored.*another process keeps it locked; try again"):
            api.append("s", ["refused"])
        assert [event.payload for event in api.events("s")] == ["before"]
        locker.kill()  # the lock goes with its process
        locker.wait(LIMIT)
    assert api.append("s", ["after"]) == 2
