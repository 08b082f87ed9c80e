"""The end of the interpreter, in real child processes: it comes when the main thread ends, and in good order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 60.0  # seconds for a script; only a failing test takes so long

PRELUDE = """
import sys, threading
from hume.actors import *
from hume.errors import *

forever = threading.Event()
write_lock = threading.Lock()

def say(*words):
    with write_lock:
        sys.stdout.write(" ".join(map(str, words)) + chr(10))
        sys.stdout.flush()

class Actor(GenServer):
    def init(self, name, stuck=False, fails=False, trap_exit=False):
        self.name, self.fails, self.trap_exit = name, fails, trap_exit
        if stuck:
            self.continue_with(None)

    def handle_continue(self, argument):
        reached.set()
        forever.wait()

    def terminate(self, reason):
        say(self.name, reason)
        if self.fails:
            raise ZeroDivisionError("in terminate")

reached = threading.Event()

def hurry():
    import hume.actors._application as application
    application._EXIT_TIMEOUT = 4.0

def child(name, **options):
    return ChildSpec(id=name, start=lambda: Actor.start_link(name, **options))
"""


def run(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a script in an interpreter of its own, to its end."""
    return subprocess.run(  # noqa: S603 - a script of this file
        [sys.executable, *options, "-c", PRELUDE + script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


KILLED = re.compile(r"Actor \(.*\) did not stop in time, and was killed\n")


def ended(script: str, *, code: int = 0, stderr: str = "", killed: int = 0) -> list[str]:
    """Run a script, check its exit code, what it said on stderr, and how many actors it killed; return its lines."""
    done = run(script)
    assert done.returncode == code, done.stderr
    assert KILLED.subn("", done.stderr) == (stderr, killed)
    return done.stdout.splitlines()


def test_the_interpreter_ends_with_the_main_thread_and_every_actor_ends_in_order() -> None:
    """M8, S15, V3: unlinked, then linked, the latest first; a supervisor's children in reverse; trapping or not."""
    lines = ended("""
Actor.start("unlinked 1")
Actor.start_link("linked 1")
Supervisor.start_link([child("child 1"), child("child 2", trap_exit=True)])
Actor.start("unlinked 2", trap_exit=True)
Actor.start_link("linked 2", trap_exit=True)
Supervisor.start([child("child 3")])
say("main ends")
""")
    assert lines == [
        "main ends",
        "child 3 shutdown",
        "unlinked 2 shutdown",
        "unlinked 1 shutdown",
        "linked 2 shutdown",
        "child 2 shutdown",
        "child 1 shutdown",
        "linked 1 shutdown",
    ]


def test_what_was_sent_before_the_end_is_handled() -> None:
    """S14: an orderly stop comes after it."""
    lines = ended("""
class Busy(Actor):
    def handle_cast(self, message):
        say("got", message)

ref = Busy.start("busy")
for number in range(3):
    GenServer.cast(ref, number)
""")
    assert lines == ["got 0", "got 1", "got 2", "busy shutdown"]


@pytest.mark.parametrize("start", ["start", "start_link"])
def test_an_actor_stuck_for_ever_holds_up_nobody(start: str) -> None:
    """V3, V18: the others, started before it or after, linked or not, still end in order."""
    lines = ended(
        f"""
hurry()
Actor.start("unlinked 1")
Actor.start_link("linked 1")
Actor.{start}("stuck", stuck=True)
Actor.start_link("linked 2")
Actor.start("unlinked 2")
reached.wait()
""",
        killed=1,
    )
    assert lines == ["unlinked 2 shutdown", "unlinked 1 shutdown", "linked 2 shutdown", "linked 1 shutdown"]


def test_a_supervised_actor_stuck_for_ever_holds_up_nobody() -> None:
    """V3, V18: its supervisor kills it when its time is over, and goes on with those before it."""
    lines = ended(
        """
Actor.start_link("linked")
Supervisor.start_link([child("child 1"), child("stuck", stuck=True), child("child 2")])
reached.wait()
""",
        killed=1,
    )
    assert lines == ["child 2 shutdown", "child 1 shutdown", "linked shutdown"]


def test_several_actors_stuck_for_ever_leave_time_for_each_of_the_others() -> None:
    """V3, V18: bounded in all, and nobody's terminate is forgotten."""
    lines = ended(
        """
Actor.start("unlinked")
Actor.start_link("linked")
Actor.start("stuck", stuck=True)
Actor.start_link("stuck", stuck=True)
reached.wait()
""",
        killed=2,
    )
    assert lines == ["unlinked shutdown", "linked shutdown"]


def test_what_was_linked_to_an_actor_that_nobody_is_linked_to_ends_too() -> None:
    """S15, M5: also when its parent ended normally, long ago."""
    lines = ended("""
class Parent(Actor):
    def init(self, name):
        super().init(name)
        Actor.start_link("child of " + name)

Parent.start("one")
other = Parent.start("other")
stop(other)
""")
    assert lines[0] == "other normal"
    assert sorted(lines[1:]) == ["child of one shutdown", "child of other shutdown", "one shutdown"]


def test_a_terminate_that_raises_is_reported_and_spoils_nothing() -> None:
    """S15, S16: the others end in order, and the exit code stays."""
    done = run("""
Actor.start_link("before")
Actor.start_link("failing", fails=True)
Actor.start("unlinked", fails=True)
Actor.start_link("after")
sys.exit(3)
""")
    assert done.returncode == 3
    said = ["unlinked shutdown", "after shutdown", "failing shutdown", "before shutdown"]
    assert done.stdout.splitlines() == said
    assert done.stderr.count("failed in terminate") == 2
    assert done.stderr.count("ZeroDivisionError: in terminate") == 2
    assert "Fatal" not in done.stderr


def test_the_exit_code_of_a_script_that_fails_is_its_own() -> None:
    """S15: actors end in order all the same."""
    done = run("""
Actor.start_link("linked")
raise LookupError("the script's own error")
""")
    assert done.returncode == 1
    assert done.stdout.splitlines() == ["linked shutdown"]
    assert done.stderr.strip().endswith("LookupError: the script's own error")
    assert done.stderr.count("Traceback") == 1


def test_sys_exit_in_an_actor_is_that_actors_end_alone() -> None:
    """S16: not the program's, whose exit code it does not change."""
    done = run("""
class Leaving(Actor):
    def handle_cast(self, message):
        sys.exit(7)

Actor.start_link("other")
leaving = Leaving.start("leaving")
GenServer.cast(leaving, "go")
leaving.actor_inbox.wait(None)
say("main goes on")
""")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].startswith("leaving crashed")
    assert done.stdout.splitlines()[1:] == ["main goes on", "other shutdown"]


def test_a_program_that_stopped_everything_itself_says_nothing_more() -> None:
    """M8: nothing is done twice, and nothing is started for the end."""
    lines = ended("""
ref = Actor.start("unlinked")
Actor.start_link("linked")
stop(ref)
stop_application()
say("done")
""")
    assert lines == ["unlinked normal", "linked shutdown", "done"]


def test_nothing_is_started_any_more_at_the_end() -> None:
    """M8: what needs the application gets an error that says so; it is not brought back."""
    lines = ended("""
import atexit, hume.actors._application as a

def late():
    try:
        Table("late")
    except HumeError as error:
        say(error)
    say(whereis(Application))

atexit.unregister(a._stop_everything)
atexit.register(late)
atexit.register(a._stop_everything)
Actor.start_link("linked")
""")
    exiting = "the interpreter is exiting: nothing is started any more; do it before the main program ends"
    assert lines == ["linked shutdown", exiting, "None"]


def test_plain_pykka_actors_under_a_supervisor_end_too() -> None:
    """V3: as Pykka's actors do, by on_stop."""
    lines = ended("""
import pykka

class Plain(pykka.ThreadingActor):
    def on_stop(self):
        say("plain stopped")

Supervisor.start_link([child("child 1"), Plain])
""")
    assert lines == ["plain stopped", "child 1 shutdown"]


def test_tables_and_their_heir_are_there_for_whoever_ends() -> None:
    """T2, defect 12: at the end, too, a terminate can read and write its own table."""
    lines = ended("""
class Keeper(Actor):
    def init(self, name):
        super().init(name)
        self.table = Table(name, heir=HeirActor)

    def terminate(self, reason):
        self.table.insert("end", str(reason))
        say(self.name, self.table["end"], self.table.owner is self.actor_ref, whereis(HeirActor) is not None)

Keeper.start("unlinked")
Keeper.start_link("linked")
application()
""")
    assert lines == ["unlinked shutdown True True", "linked shutdown True True"]


def test_warnings_and_development_mode_find_nothing() -> None:
    """S15: no resource warning, no error in a thread, nothing on stderr."""
    done = run(
        """
Actor.start("unlinked")
Actor.start_link("linked")
Supervisor.start_link([child("child")])
Table("t", heir=HeirActor).insert("key", [1])
""",
        "-X",
        "dev",
        "-W",
        "error",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3
