"""What a store in a file is for: a process that writes is killed with -9, and whatever it was told is stored, is."""

from __future__ import annotations

import json
import random
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

import hume
from hume.stores import SQLiteEventStore
from tests.helpers import LIMIT
from tests.stores.files import line_of, program, tell

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

KILLS = 50  # each way: a hundred in all

# A process that has loaded everything forks a writer for each line that it gets, and kills it: when it has had as many
# acknowledgements as the line says, and then a share of the time that the next one takes, whatever it is doing then.
NURSERY = """
import os, signal, sys, threading, time

import hume
from hume.stores import SQLiteEventStore
from hume.stores._event_store import resolve

path, threads = sys.argv[1], int(sys.argv[2])


class Totals(hume.Projection, snapshot_every=1):
    def init_state(self, projection):
        return {}

    def handle_recorded(self, event, state):
        return {**state, event.stream: state.get(event.stream, 0) + event.payload["number"]}


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # whole, whoever else writes


def write(api, thread):
    stream = f"s{thread}"
    number = api.last_seq(stream)
    while True:
        size = number % 4 + 1
        batch = [{"number": number, "left": left, "pad": "x" * (number % 3000)} for left in reversed(range(size))]
        if number % 3:
            seq = hume.publish_many(ref, stream, batch)
            os.write(telling, b".")
            say("ack", stream, seq, number)
        else:
            seqs = api.append_many([(stream, batch, None), ("shared", batch, None)])
            os.write(telling, b".")
            say("ack", stream, seqs[0], number)
            say("ack", "shared", seqs[1], number)
        number += 1


first, step = 0.01, 0.001  # seconds to the first acknowledgement, and from one to the next, as last seen
for line in sys.stdin:
    count, share = line.split()
    told, telling = os.pipe()
    at = time.monotonic()
    pid = os.fork()
    if pid == 0:
        ref = SQLiteEventStore.start(path)
        hume.start(Totals, stream=hume.prefix("s"), projection="totals", store=ref)
        for thread in range(threads):
            threading.Thread(target=write, args=(resolve(ref), thread), daemon=True).start()
        threading.Event().wait(60)
        os._exit(1)
    for number in range(int(count)):
        os.read(told, 1)
        now = time.monotonic()
        first, step, at = (first, now - at, now) if number else (now - at, step, now)
    time.sleep(float(share) * (step if int(count) else first))
    os.kill(pid, signal.SIGKILL)
    os.close(told)
    os.close(telling)
    say("dead", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Totals(hume.Projection[dict[str, int]]):
    """As the writers'."""

    def init_state(self, projection: Any) -> dict[str, int]:
        return {}

    def handle_recorded(self, event: hume.Event, state: dict[str, int]) -> dict[str, int]:
        stream = str(event.stream)
        return {**state, stream: state.get(stream, 0) + int(event.payload["number"])}


class Ack(NamedTuple):
    """What a writer has been told is stored."""

    stream: str
    seq: int
    number: int


def killed_after(nursery: subprocess.Popen[str], acks: int, share: float) -> list[Ack]:
    """Have a writer killed after so many acknowledgements, and a share of the next one's time; return all it had."""
    tell(nursery, f"{acks} {share}")
    seen: list[Ack] = []
    while line := line_of(nursery):
        what, *rest = line.split()
        if what == "dead":
            assert rest == ["-9"]
            return seen
        seen.append(Ack(rest[0], int(rest[1]), int(rest[2])))
    msg = "the nursery is gone"
    raise AssertionError(msg)


class Check:
    """Looks at what killed writers left, with nothing of ours between it and the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: Counter[str] = Counter()  # each stream's last number
        self.open: dict[str, int] = {}  # how many events of a stream's last batch are still to come
        self.log: list[tuple[str, int]] = []  # in the order of positions
        self.stored: dict[tuple[str, int], int] = {}
        self.snapshots: set[int] = set()  # up to where they went

    def __call__(self, acks: list[Ack]) -> None:
        """Read on from where the last look ended: no gap, no half batch, everything acknowledged."""
        with closing(sqlite3.connect(self.path)) as connection:
            sql = "SELECT position, name, seq, data FROM events JOIN streams ON streams.id = stream WHERE position > ?"
            for position, stream, seq, data in connection.execute(f"{sql} ORDER BY position", (len(self.log),)):
                self._event(position, stream, seq, json.loads(data))
            snapshots = connection.execute("SELECT seq, data FROM snapshots").fetchall()
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert set(self.open.values()) <= {0}
        for ack in acks:
            assert self.stored[ack.stream, ack.seq] == ack.number
        for seq, data in snapshots:
            assert json.loads(data) == self.totals(seq)
            self.snapshots.add(seq)

    def _event(self, position: int, stream: str, seq: int, payload: dict[str, Any]) -> None:
        assert (position, seq) == (len(self.log) + 1, self.last[stream] + 1)
        assert payload["left"] == (self.open.get(stream) or payload["number"] % 4 + 1) - 1
        self.last[stream], self.open[stream] = seq, payload["left"]
        self.log.append((stream, payload["number"]))
        self.stored[stream, seq] = payload["number"]

    def totals(self, position: int) -> Counter[str]:
        """Fold the log up to a position."""
        assert position <= len(self.log)
        totals: Counter[str] = Counter()
        for stream, number in self.log[:position]:
            totals[stream] += number
        return totals

    def projection(self) -> None:
        """Compare a projection, which goes on from the snapshot that there is, with the plain fold."""
        ref = SQLiteEventStore.start(self.path)
        follower = hume.start(Totals, stream=hume.prefix("s"), projection="totals", store=ref)
        assert hume.state(follower, timeout=LIMIT) == self.totals(len(self.log))
        hume.kill(follower)  # which saves nothing: the snapshots are to be the writers'
        hume.stop(ref)


@pytest.mark.parametrize("threads", [1, 8], ids=["single commits", "group commits"])
def test_a_writer_killed_at_random_moments_loses_nothing_that_was_acknowledged(path: Path, threads: int) -> None:
    check, chance = Check(path), random.Random(threads)  # noqa: S311 - the same moments every time, as near as can be
    with program(NURSERY, path, threads) as nursery:
        try:
            for _ in range(KILLS // 5):
                acks = []
                for _ in range(5):  # of which four leave to the next what a crash leaves: the check would mend it
                    acks += killed_after(nursery, chance.randrange(6 * threads), chance.uniform(0.0, 2.0))
                check(acks)
                check.projection()
        finally:
            nursery.kill()
    assert len(check.log) > KILLS
    assert len(check.snapshots) > 1
