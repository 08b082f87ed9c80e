"""The design's program: a promise that is kept whatever the threads do."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pykka

import hume

if TYPE_CHECKING:
    import pytest

PROGRAM = """\
import hume

class Inventory(hume.Projection, store=hume.EventStoreActor, snapshot_every=100):
    def init_state(self, projection):
        return {}

    def handle_event(self, event, state):
        match event:
            case ("add", key, value):
                return {**state, key: value}
            case ("remove", key):
                return {k: v for k, v in state.items() if k != key}

hume.EventStoreActor.start_link()
ref = hume.start_link(Inventory, stream="warehouse", projection="inventory")

hume.publish(hume.EventStoreActor, "warehouse", ("add", "foo", 42))     # -> 1
assert hume.state(ref) == {"foo": 42}
hume.publish(hume.EventStoreActor, "warehouse", ("remove", "foo"))      # -> 2
assert hume.state(ref) == {}
"""

NAMES = """
    Projection handles Snapshot Status EventStore EventStoreActor Event validate_store start start_link stop kill
    publish publish_many state snapshot query status catch_up catch_up_sync take_snapshot evolve replay whereis
    GenServer Supervisor ChildSpec Table HeirActor telemetry
"""
ERRORS = "HumeError AlreadyStarted UnexpectedSequence UnknownEvent StaleEvent NotOwner InvalidStore Timeout"


def test_every_name_that_the_issue_promises_comes_from_hume() -> None:
    assert [name for name in (NAMES + ERRORS).split() if not hasattr(hume, name)] == []
    assert issubclass(hume.Timeout, pykka.Timeout)
    assert issubclass(hume.ActorDead, pykka.ActorDeadError)
    assert all(issubclass(getattr(hume, name), hume.HumeError) for name in ERRORS.split())


def test_the_docstring_shows_the_program_of_the_design() -> None:
    assert hume.__doc__ is not None
    shown = textwrap.dedent(inspect.cleandoc(hume.__doc__).split("::\n\n", 1)[1])
    assert shown.rstrip() == PROGRAM.rstrip()


def test_the_program_runs_as_a_script_and_ends_by_itself(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    where = str(Path(hume.__file__).parents[1])
    done = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-W", "error", str(script)],
        env={"PYTHONPATH": where},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_programs_asserts_hold_500_times_in_a_row_while_threads_switch_at_any_instruction(
    fast_switching: None, caplog: pytest.LogCaptureFixture
) -> None:
    program: dict[str, Any] = {}
    exec(PROGRAM, program)  # noqa: S102 - the text above
    ref, store = program["ref"], hume.EventStoreActor
    for number in range(3, 1003, 2):
        assert hume.publish(store, "warehouse", ("add", "foo", number)) == number
        assert hume.state(ref) == {"foo": number}
        assert hume.publish(store, "warehouse", ("remove", "foo")) == number + 1
        assert hume.state(ref) == {}
    assert caplog.records == []
