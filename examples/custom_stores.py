"""An event store and a snapshot store of one's own: a directory of text files. Run it twice, and it goes on."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import hume

if TYPE_CHECKING:
    from collections.abc import Sequence


class TextStore:
    """A file of JSON lines for each stream; any object with these methods is a store for the threads of a process."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.lock = directory, threading.Lock()

    def append(self, stream: Any, payloads: Sequence[Any], expect_seq: int | None = None) -> int:
        batch = [json.dumps(payload) for payload in payloads]
        if "null" in batch:
            raise ValueError("a payload must not be None")
        with self.lock:
            last = self.last_seq(stream)
            if expect_seq not in {None, last}:
                raise hume.UnexpectedSequence(stream, expect_seq, last)
            replace(self.file(stream), "\n".join([*self.lines(stream), *batch]))  # whole or not at all
            return last + len(batch)

    def events(self, stream: Any, after: int = 0, limit: int | None = None) -> list[tuple[int, Any]]:
        page = self.lines(stream)[after:][:limit]
        return [(seq, json.loads(line)) for seq, line in enumerate(page, after + 1)]  # a pair is an event

    def last_seq(self, stream: Any) -> int:
        return len(self.lines(stream))

    def file(self, stream: Any) -> Path:
        return self.directory / f"{uuid5(NAMESPACE_URL, repr(stream))}.jsonl"

    def lines(self, stream: Any) -> list[str]:
        return self.file(stream).read_text("utf-8").splitlines() if self.file(stream).exists() else []


class TextSnapshots:
    """A JSON file for each projection."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def last_snapshot(self, projection: str) -> hume.Snapshot[Any] | None:
        try:
            return hume.Snapshot(**json.loads((self.directory / f"{projection}.json").read_text("utf-8")))
        except (OSError, ValueError, TypeError):  # none, or damaged: then all is replayed
            return None

    def persist_snapshot(self, projection: str, snapshot: hume.Snapshot[Any]) -> None:
        new = {name: getattr(snapshot, name) for name in ("seq", "state", "projection", "version")}
        new["log_id"] = str(snapshot.log_id)  # of where it comes from: snapshots of another log are of no use
        old = self.last_snapshot(projection)
        if old is None or (old.version, old.log_id) != (new["version"], new["log_id"]) or old.seq <= snapshot.seq:
            replace(self.directory / f"{projection}.json", json.dumps(new))


def replace(file: Path, text: str) -> None:
    file.with_suffix(".new").write_text(text, "utf-8")
    file.with_suffix(".new").replace(file)


class Visits(hume.Projection[dict[str, int]]):
    def init_state(self, projection: Any) -> dict[str, int]:
        return {}

    def handle_event(self, visitor: str, count: dict[str, int]) -> dict[str, int]:
        return {**count, visitor: count.get(visitor, 0) + 1}


def main() -> None:
    (directory := Path(*sys.argv[1:] or ["visits"])).mkdir(exist_ok=True)
    store, snapshots = TextStore(directory), TextSnapshots(directory)
    ref = hume.start_link(Visits, stream="visits", projection="visits", store=store, snapshots=snapshots)
    before = hume.snapshot(ref)
    print("visits so far:", before.seq)
    hume.publish_many(store, "visits", ["ann", "bob", "ann"])
    print("now:", hume.state(ref))
    assert hume.snapshot(ref).seq == before.seq + 3 == sum(hume.state(ref).values())

    hume.stop(ref)  # which saves a snapshot, as the end of the script would
    saved = snapshots.last_snapshot("visits") or before
    print("the snapshot holds event", saved.seq)
    assert saved.seq == before.seq + 3


if __name__ == "__main__":
    main()
