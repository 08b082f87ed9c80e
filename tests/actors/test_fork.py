"""`os.fork`, for real: the child gets clear errors instead of hangs, and a fresh start; the parent notices nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIMIT = 90.0  # seconds for a script; only a failing test takes so long

PRELUDE = """
import faulthandler, itertools, json, logging, os, signal, sys, threading, traceback, warnings
faulthandler.register(signal.SIGALRM, chain=True)
warnings.filterwarnings("ignore", category=DeprecationWarning)  # Python's own, of any fork beside threads
from hume import telemetry
from hume.actors import *
from hume.errors import *

class Echo(GenServer):
    def handle_call(self, message, from_):
        return message() if callable(message) else message
    def handle_cast(self, message):
        message()
    def name(self):
        return "echo"

def outcome(fn):
    try:
        return repr(fn())
    except Exception as error:
        return f"{type(error).__name__}: {error}"

def in_child(fn):
    "Fork, run fn in the child, and return what it returned there, as text."
    reading, writing = os.pipe()
    pid = os.fork()
    signal.alarm(30)  # in each process for itself: a hang shows where, and ends
    if pid == 0:
        try:
            answer = fn()
        except BaseException:
            answer = traceback.format_exc()
        with open(writing, "w") as out:
            json.dump(answer, out)
        os._exit(0)
    os.close(writing)
    with open(reading) as got:
        answer = got.read()
    assert os.waitpid(pid, 0)[1] == 0, "the child failed, or hung"
    signal.alarm(0)
    return json.loads(answer)

def held_in_a_thread(lock):
    "Take a lock in another thread, for ever."
    taken = threading.Event()
    def hold():
        with lock:
            taken.set()
            threading.Event().wait()
    threading.Thread(target=hold, daemon=True).start()
    taken.wait()

def assert_lost(answers):
    for answer in answers:
        assert answer.startswith("ActorDead: ") and "lost in a fork" in answer, answer

TABLE_OPERATIONS = [
    lambda table: table["key"], lambda table: "key" in table, list, len, lambda table: table.items(),
    lambda table: table.insert("key", 2), lambda table: table.insert_new("key", 2), lambda table: table.delete("key"),
    lambda table: table.clear(), lambda table: table.drop(), lambda table: table.set_heir(None),
]
"""


def run(script: str) -> list[str]:
    """Run a script in an interpreter of its own; return what it printed. It must end well, and complain of nothing."""
    done = subprocess.run(  # noqa: S603 - a script of this file
        [sys.executable, "-c", PRELUDE + script],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_in_the_child_the_parents_actors_are_dead_by_ref_by_name_and_by_proxy() -> None:
    """S9, defect 15: at once, with an error that says why; the parent's live on."""
    run("""
echo = Echo.start(name="echo")
linked = Echo.start_link()
proxy = echo.proxy()
asked = [
    lambda: GenServer.call(echo, 1), lambda: GenServer.call(linked, 1), lambda: GenServer.call(proxy, 1),
    lambda: stop(echo), lambda: GenServer.call(application_before, 1),
]
application_before = application()
def child():
    return [outcome(fn) for fn in asked], [
        outcome(lambda: GenServer.call("echo", 1)), outcome(lambda: echo.ask(1)), outcome(lambda: proxy.name().get()),
        outcome(lambda: echo.is_alive()), outcome(lambda: whereis("echo")), outcome(lambda: kill(echo)),
        outcome(lambda: GenServer.cast(echo, 1)), outcome(lambda: echo.stop()),
    ]
lost, others = in_child(child)
assert_lost(lost)
assert others[0].startswith("ActorDead: ")
assert others[1].startswith("ActorDeadError: ")
assert others[2].startswith("ActorDead")
assert others[3:] == ["False", "None", "False", "None", "False"]
assert [GenServer.call(server, 1) for server in (echo, "echo", linked, proxy)] == [1] * 4
assert application() is application_before
""")


def test_an_answer_that_was_asked_for_before_the_fork_is_an_error_in_the_child() -> None:
    """Defect 15: and comes in the parent."""
    run("""
gate = threading.Event()
echo = Echo.start()
future = echo.ask(lambda: gate.wait() and "answer", block=False)
assert_lost([in_child(lambda: outcome(lambda: future.get()))])
gate.set()
assert future.get() == "answer"
""")


def test_a_watch_that_was_set_or_is_set_in_the_child_ends_at_once() -> None:
    """M2, defect 15: also with the actor's own lock held at the fork."""
    run("""
echo = Echo.start()
held_in_a_thread(echo.actor_inbox._lock)
def child():
    watcher = Echo.start()
    downs = []
    echo.actor_inbox.monitor(downs.append)
    waited = echo.actor_inbox.wait(None)
    return [outcome(lambda: GenServer.call(echo, 1)), outcome(lambda: stop(echo)), waited, len(downs)]
*lost, waited, downs = in_child(child)
assert_lost(lost)
assert (waited, downs) == (True, 1)
os._exit(0)
""")


def test_in_the_child_the_parents_tables_give_an_error_at_once() -> None:
    """T8, defect 15: by whoever, whatever the access, and also with the table's lock held at the fork."""
    run("""
actor = Echo.start()
public, private = Table("public", access="public"), Table("private", access="private", heir=HeirActor)
free = GenServer.call(actor, lambda: Table("free"))
waiting = GenServer.call(actor, lambda: Table("waiting", heir=HeirActor))
tables = [public, private, free, waiting]
for table in (public, private):
    table.insert("key", 1)
held_in_a_thread(public.lock)
answers, gone = in_child(lambda: (
    [outcome(lambda: operation(table)) for table in tables for operation in TABLE_OPERATIONS],
    [outcome(lambda: Table.whereis("free")), outcome(lambda: HeirActor.take("waiting"))],
))
assert_lost(answers)
assert gone == ["None", "NotFound: the heir has no table 'waiting'"], gone
assert private["key"] == 1
private.insert("key", 2)
assert free.owner is actor and GenServer.call(actor, lambda: free.insert("key", 1)) is None
os._exit(0)  # not in order: the lock is held for ever
""")


def test_the_child_can_begin_anew_under_the_same_names() -> None:
    """S1, T1, N1: actors, links, supervisors, tables, the heir; the parent's are not touched."""
    run("""
echo = Echo.start_link(name="echo")
root, table = application(), Table("table", heir=HeirActor)
def child():
    new = Echo.start_link(name="echo")
    assert GenServer.call("echo", 2) == 2
    assert application() is not root
    mine = Table("table", heir=HeirActor)
    mine.insert("key", "child")
    owner = Echo.start()
    given = GenServer.call(owner, lambda: Table("given", heir=HeirActor))
    kill(owner)
    assert HeirActor.take("given") is given
    supervisor = Supervisor.start_link([ChildSpec(id=1, start=Echo.start_link)])
    logging.disable()  # the restart is news, as it should be
    first = Supervisor.which_children(supervisor)[0].ref
    kill(first)
    while (second := Supervisor.which_children(supervisor)[0].ref) in (first, "restarting"):
        pass
    assert GenServer.call(second, 3) == 3
    telemetry.attach("child", ("event",), print)
    stop_application()
    return [mine.owner is None, new.is_alive(), whereis("echo") is None]
table.insert("key", "parent")
assert in_child(child) == [True, False, True]
assert GenServer.call("echo", 1) == 1 and whereis("echo") is echo and application() is root
assert table["key"] == "parent" and Table.whereis("table") is table and not telemetry.attached(("event",))
""")


def test_an_actor_that_forks_lives_on_in_the_parent_and_is_a_plain_thread_in_the_child() -> None:
    """S1, S9: the child can start actors of its own there."""
    run("""
forker = Echo.start(name="forker")
table = GenServer.call(forker, lambda: Table("mine"))
def child():
    new = Echo.start()
    linked = Echo.start_link()
    Table("mine").insert("key", "child")
    return [
        GenServer.call(new, 1), GenServer.call(linked, 2), outcome(lambda: table.insert("key", 1)),
        outcome(lambda: GenServer.call(forker, 3)),
    ]
one, two, *lost = GenServer.call(forker, lambda: in_child(child), timeout=60)
assert (one, two) == (1, 2)
assert_lost(lost)
GenServer.call(forker, lambda: table.insert("key", "parent"))
assert table["key"] == "parent"
""")


def test_a_child_that_ends_as_a_program_does_ends_its_own_actors_in_order() -> None:
    """M8, S15: and none of the parent's, which end with the parent."""
    lines = run("""
class Saying(GenServer):
    def init(self, name):
        self.name = name
    def terminate(self, reason):
        os.write(1, f"{self.name} {reason}\\n".encode())
Saying.start_link("parent's linked")
Saying.start("parent's")
pid = os.fork()
if pid == 0:
    Saying.start_link("child's linked")
    Saying.start("child's")
    sys.exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
""")
    assert lines == ["child's shutdown", "child's linked shutdown", "parent's shutdown", "parent's linked shutdown"]


def test_a_fork_of_a_fork_is_as_good_as_the_first() -> None:
    """S9, T8: what was the child's own is lost to the grandchild."""
    run("""
def child():
    echo, table = Echo.start(), Table("t")
    def grandchild():
        return [outcome(lambda: GenServer.call(echo, 1)), outcome(lambda: len(table)), outcome(lambda: len(first))]
    answers = in_child(grandchild)
    assert GenServer.call(echo, 1) == 1 and len(table) == 0
    return answers
first = Table("first")
assert_lost(in_child(child))
""")


def test_forks_while_other_threads_are_busy_with_everything_never_hang() -> None:
    """S9, T8, defect 15: in the middle of calls, starts, names, tables, deaths and telemetry."""
    run("""
sys.setswitchinterval(1e-5)
over = threading.Event()
failures = []
echo, shared = Echo.start(name="echo"), Table("shared", access="public")
application()

def hammer(work):
    def run():
        try:
            for number in itertools.count():
                if over.is_set():
                    return
                work(number)
        except BaseException:
            failures.append(traceback.format_exc())
    thread = threading.Thread(target=run)
    thread.start()
    return thread

def call(number):
    assert GenServer.call("echo", number, timeout=60) == number

def names(number):
    ref = Echo.start(name=("name", number % 3, threading.get_ident()))
    assert whereis(("name", number % 3, threading.get_ident())) is ref
    kill(ref) if number % 2 else stop(ref, timeout=60)

def tables(number):
    shared.insert_many({"a": number, "b": number})
    owner = Echo.start()
    name = ("table", threading.get_ident())
    table = GenServer.call(owner, lambda: Table(name, heir=HeirActor), timeout=60)
    kill(owner)
    assert HeirActor.take(name) is table
    table.drop()

def listen(number):
    telemetry.attach(("id", number), ("event",), print)
    telemetry.detach(("id", number))

def child():
    new = Echo.start(name="echo")
    table = Table("shared", heir=HeirActor)
    table.insert("key", 1)
    telemetry.attach("child", ("event", "child"), print)
    return [
        outcome(lambda: GenServer.call(echo, 1)), outcome(lambda: echo.actor_inbox.wait(None)),
        *[outcome(lambda: operation(shared)) for operation in TABLE_OPERATIONS],
        outcome(lambda: GenServer.call("echo", 4)), outcome(lambda: table["key"]), outcome(lambda: kill(new)),
    ]

threads = [hammer(work) for work in (call, names, names, tables, tables, listen)]
for _ in range(60):
    call_lost, waited, *operations, answer, row, killed = in_child(child)
    assert_lost([call_lost, *operations])
    assert [waited, answer, row, killed] == ["True", "4", "1", "True"]
over.set()
for thread in threads:
    thread.join()
assert not failures, failures[0]
assert GenServer.call(echo, 1) == 1 and shared["a"] == shared["b"]
""")
