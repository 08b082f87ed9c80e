"""Stores in files and the processes around them: a fork, and an interpreter's exit with everything at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hume import Snapshot
from hume.stores import SQLiteEventStore, SQLiteSnapshotStore
from tests.stores.files import face, payloads, program, result

if TYPE_CHECKING:
    from pathlib import Path

PRELUDE = """
import json, os, sys, threading, warnings
warnings.filterwarnings("ignore", category=DeprecationWarning)  # Python's own, of any fork beside threads
import hume
from hume.errors import ActorDead
from hume.stores import SQLiteEventStore, SQLiteSnapshotStore
from hume.stores._event_store import resolve

path = sys.argv[1]


class Total(hume.Projection, snapshot_every=None, snapshot_after=1000.0):
    def init_state(self, projection):
        return 0

    def handle_event(self, event, state):
        return state + event


def at_work(fn):
    def run():
        while True:
            try:
                fn()
            except ActorDead:
                return
    threading.Thread(target=run, daemon=True).start()
"""

FORKS = """
def child(number):
    api = resolve(SQLiteEventStore.start(path))
    reading.close()
    api.append("child", [number, "before"])
    writing.write("x")
    writing.flush()
    going.read(1)
    api.append("child", [number, "after"])
    os._exit(0)

ref = SQLiteEventStore.start(path)
api = resolve(ref)
for _ in range(2):
    at_work(lambda: api.append("parent", ["x"]))
    at_work(lambda: list(api.events("parent", max(0, api.last_seq("parent") - 100))))
for number in range(10):
    (r1, w1), (r2, w2) = os.pipe(), os.pipe()
    reading, writing, going, go = os.fdopen(r1), os.fdopen(w1, "w"), os.fdopen(r2), os.fdopen(w2, "w")
    pid = os.fork()
    if pid == 0:
        go.close()
        child(number)
    reading.read(1)
    if number == 9:
        hume.stop(ref)  # closes the file, and brings it in order, as if nobody else had it
    go.write("x")
    go.close()
    assert os.waitpid(pid, 0)[1] == 0
print(json.dumps(None))
"""


def test_a_fork_in_the_middle_of_work_leaves_parent_and_child_a_file_that_both_can_write(path: Path) -> None:
    result(program(PRELUDE + FORKS, path))
    api = face(SQLiteEventStore.start(path))
    assert payloads(api.events("child")) == [line for n in range(10) for line in (n, "before", n, "after")]
    assert [event.position for event in api.all_events()] == list(range(1, api.last_position() + 1))


FORKS_IN_SOMEBODYS_TURN = """
snapshots = SQLiteSnapshotStore(path)
snapshots._pool.turn().acquire()  # as a thread has, at the end of its loan, that is not there in the child
pid = os.fork()
if pid == 0:
    snapshots.persist_snapshot("p", hume.Snapshot(1, "child"))
    os._exit(0)
print(json.dumps(os.waitpid(pid, 0)[1]))
"""


def test_in_a_child_of_fork_it_is_nobodys_turn(path: Path) -> None:
    assert result(program(PRELUDE + FORKS_IN_SOMEBODYS_TURN, path)) == 0
    assert SQLiteSnapshotStore(path).last_snapshot("p") == Snapshot(1, "child")


EXIT = """
SQLiteEventStore.start_link(path)
follower = hume.start_link(Total, stream="s", projection="total", store=SQLiteEventStore)
began = hume.state(follower)
for _ in range(3):
    at_work(lambda: hume.publish(SQLiteEventStore, "s", 1))
    at_work(lambda: list(resolve(SQLiteEventStore).events("s")))
while hume.state(follower) < began + 50:
    pass
print(json.dumps(None))
"""

EXIT_WITH_SNAPSHOTS_ELSEWHERE = """
hume.EventStoreActor.start_link()
snapshots = SQLiteSnapshotStore(path)
follower = hume.start_link(Total, stream="s", projection="total", store=hume.EventStoreActor, snapshots=snapshots)
for _ in range(50):
    hume.publish(hume.EventStoreActor, "s", 1)
assert hume.state(follower) == 50
print(json.dumps(None))
"""


@pytest.mark.parametrize("source", [EXIT, EXIT_WITH_SNAPSHOTS_ELSEWHERE])
def test_an_interpreter_that_exits_saves_its_snapshots(path: Path, source: str) -> None:
    result(program(PRELUDE + source, path))
    found = SQLiteSnapshotStore(path).last_snapshot("total")
    assert found is not None
    assert found == Snapshot(found.seq, found.seq)
    assert found.seq >= 50


def test_an_exit_leaves_what_was_appended_to_the_next_process(path: Path) -> None:
    for runs in (1, 2):
        result(program(PRELUDE + EXIT, path))
        api = face(SQLiteEventStore.start(path, name=runs))
        assert api.last_position() == api.last_seq("s") == len(list(api.events("s"))) >= 50 * runs
