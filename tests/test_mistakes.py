"""The mistakes that beginners most likely make, and what they are told: what was wrong, its value, and what is right.

They stand in ``mistakes.txt``: what somebody did, the code, and the error, with ``...`` for what differs between runs.
"""

from __future__ import annotations

import datetime as dt
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple

import pykka
import pytest

import hume
from hume.actors import Reply, application
from hume.stores import JSONCodec, SQLiteEventStore, SQLiteSnapshotStore
from tests.samples import PairStore

ROOT = Path(__file__).parent.parent


class Mistake(NamedTuple):
    """One entry of the file."""

    did: str
    code: str
    says: str


def entries(text: str) -> list[Mistake]:
    """Return what the file holds: blocks, of a title, lines of code, and an error that may be wrapped."""
    found: list[Mistake] = []
    for block in text.split("\n\n"):
        did, *lines = block.strip().splitlines()
        code = [line[4:] for line in lines if line.startswith((">>> ", "... "))]
        if code:
            found.append(Mistake(did, "\n".join(code), " ".join(line.strip() for line in lines[len(code) :])))
    return found


MISTAKES = entries((ROOT / "tests" / "mistakes.txt").read_text(encoding="utf-8"))


# -- what the code of the mistakes may use


class Deposited(NamedTuple):
    cents: int


@hume.event("mistakes-paid", version=2)
class Paid:
    pass


@hume.upcaster("mistakes-refunded", 1)
def refunded(data: Any) -> Any:
    return data


class Balance(hume.Projection[int], store=hume.EventStoreActor):
    def init_state(self, projection: object) -> int:
        return 0

    @hume.handles(Deposited)
    def deposited(self, event: Deposited, state: int) -> int:
        return state + event.cents

    def total(self) -> int:
        return self.state


class Counter(hume.GenServer):
    def init(self, count: int = 0) -> None:
        self.count = count

    def handle_call(self, message: Any, from_: Reply) -> Any:
        return message(self) if callable(message) else hume.actors.NO_REPLY

    def total(self) -> int:
        return self.count


class Plain(pykka.ThreadingActor):
    pass


def in_counter(fn: Any) -> Any:
    """Do something in a callback of the server that is named counter."""
    return hume.GenServer.call("counter", fn)


NAMES = {
    "Balance": Balance,
    "Counter": Counter,
    "Deposited": Deposited,
    "JSONCodec": JSONCodec,
    "Path": Path,
    "Plain": Plain,
    "PairStore": PairStore,
    "ROOT": ROOT,
    "SQLiteEventStore": SQLiteEventStore,
    "SQLiteSnapshotStore": SQLiteSnapshotStore,
    "__file__": __file__,
    "__name__": "shop",
    "application": application,
    "dt": dt,
    "hume": hume,
    "in_counter": in_counter,
}


@pytest.fixture
def shop() -> dict[str, Any]:
    """Start a store with an event, a projection, and a server; return what code finds there."""
    hume.EventStoreActor.start_link()
    hume.publish(hume.EventStoreActor, "s", Deposited(5))
    hume.start_link(Balance, stream="s", projection="p", name="balance")
    Counter.start_link(name="counter")
    return dict(NAMES)


def check(error: str, says: str) -> None:
    """Compare; ``...`` stands for anything."""
    assert re.fullmatch(".*".join(map(re.escape, says.split("..."))), error), error


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.did)
def test_a_mistake_is_told_what_was_wrong_and_what_is_right(mistake: Mistake, shop: dict[str, Any]) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - what it is, and says, stands in the file
        exec(mistake.code, shop)  # noqa: S102 - our own
    check(f"{raised.type.__name__}: {raised.value}", mistake.says)


def test_there_are_at_least_fifty_mistakes_each_with_a_title_of_its_own() -> None:
    assert len({mistake.did for mistake in MISTAKES}) == len(MISTAKES) >= 50
    assert all(mistake.says for mistake in MISTAKES)


# -- mistakes that take a whole program

PRELUDE = """
    import atexit

    last = []
    atexit.register(lambda: [fn() for fn in last])  # before Hume's own, so it runs after it

    import hume

    class Counter(hume.GenServer):
        def handle_call(self, message, from_):
            return 1

    def show(mistake):
        try:
            print(mistake())
        except Exception as error:
            print(f"{type(error).__name__}: {error}", flush=True)
"""

PROGRAMS = {
    "used an actor in a forked child": (
        """
        import os, warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of the fork itself
        ref = Counter.start_link(name="counter")
        if os.fork() == 0:
            show(lambda: hume.GenServer.call(ref, "next"))
            os._exit(0)
        os.wait()
        """,
        "ActorDead: Counter 'counter' (...) is not alive (exit reason: lost in a fork: ... which has to start its own)",
    ),
    "started an actor after the program's end": (
        """
        last.append(lambda: show(lambda: Counter.start_link()))
        """,
        "HumeError: the interpreter is exiting: nothing is started any more; do it before the main program ends",
    ),
    "used an actor after the program's end": (
        """
        ref = Counter.start_link(name="counter")
        last.append(lambda: show(lambda: hume.GenServer.call(ref, "next")))
        """,
        "ActorDead: Counter 'counter' (...) is not alive (exit reason: shutdown)",
    ),
    "opened a file without the extra": (
        """
        import sys
        sys.modules["msgspec"] = None
        from hume.stores import SQLiteEventStore
        show(lambda: SQLiteEventStore.start_link(":memory:"))
        """,
        "ImportError: JSONCodec needs msgspec, which comes with the extra: pip install 'hume-es[sqlite]'",
    ),
}


@pytest.mark.parametrize("did", PROGRAMS)
def test_a_program_is_told_what_was_wrong_and_what_is_right(did: str) -> None:
    program, says = PROGRAMS[did]
    command = [sys.executable, "-c", dedent(PRELUDE) + dedent(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)  # noqa: S603 - ours
    assert done.stderr == ""
    check(done.stdout.rstrip("\n"), says)
