"""What the tests of the stores in SQLite files share."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hume
from hume.stores._event_store import resolve
from tests.helpers import LIMIT, eventually, in_thread

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    import pykka


def face(store: Any) -> Any:
    """Return the object that has all methods of a store."""
    return resolve(store)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Let nobody else write."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@contextmanager
def held(path: Path, api: Any) -> Iterator[Future[int]]:
    """Have a thread stand still in the middle of an append, so that what others append waits in the mailbox."""
    with locked(path):
        first = in_thread(api.append, "held", ["x"])
        eventually(api._committer._turn.locked)
        yield first


def has_pending(ref: pykka.ActorRef[Any], number: int) -> bool:
    """Tell whether so many callers wait for an actor's answer."""
    inbox: Any = ref.actor_inbox
    return len(inbox.pending) == number


def rows(path: Path, sql: str) -> list[Any]:
    """Return what a connection of nobody's sees."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def change(path: Path, *statements: str) -> None:
    """Change the file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def payloads(events: Any) -> list[Any]:
    """Return what the events say."""
    return [event.payload for event in events]


def program(source: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another process that runs *source*; its input and output are pipes."""
    return subprocess.Popen(  # noqa: S603 - a program of our own
        [sys.executable, "-c", source, *map(str, arguments)],
        env={"PYTHONPATH": str(Path(hume.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    """Wait for a program to print a line."""
    assert process.stdout is not None
    return process.stdout.readline()


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Give a program a line to read."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def result(process: subprocess.Popen[str]) -> Any:
    """Wait for a program's end, and return the JSON that it has printed."""
    try:
        out, _ = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0
    return json.loads(out)
