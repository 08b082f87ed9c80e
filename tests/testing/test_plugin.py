"""The pytest plugin: what its fixtures give, what they find, and that others' tests do not notice it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hume
from hume.actors import Application, HeirActor, whereis
from hume.stores import SQLiteEventStore
from hume.testing import plugin

if TYPE_CHECKING:
    import pykka
    import pytest

    from hume.testing import ManualClock

ROOT = Path(hume.__file__).parents[1]

HEADER = """
import threading
import pykka, pytest
import hume
from hume import telemetry
from hume.actors import GenServer, Table, application
from hume.testing import Gate

class Plain(pykka.ThreadingActor):
    use_daemon_thread = True

class Sum(hume.Projection[int], store=hume.EventStoreActor):
    def init_state(self, projection):
        return 0

    def handle_event(self, payload, state):
        return state + payload
"""


def run(pytester: pytest.Pytester, tests: str, *options: str, ini: str = "") -> pytest.RunResult:
    """Run tests in this process with the plugin, and with the settings of a strict user."""
    settings = "[pytest]\naddopts = --strict-markers --strict-config\nfilterwarnings = error\n"
    pytester.makeini(settings + ini)
    pytester.makepyfile(HEADER + tests)
    return pytester.runpytest_inprocess(
        "--disable-plugin-autoload", "-p", "hume.testing.plugin", "-p", "no:cacheprovider", *options
    )


def complaints(result: pytest.RunResult) -> list[str]:
    """Return what was said of each test that left something behind."""
    head = "the test leaves behind: "
    return [line.partition(head)[2].partition("; stop it in")[0] for line in result.outlines if line.startswith(head)]


# -- the fixtures, used here as a user's test would


def test_an_application_is_fresh(hume_app: pykka.ActorRef[Any]) -> None:
    assert hume_app is whereis(Application)
    assert [child.id for child in hume.Supervisor.which_children(hume_app)] == [HeirActor]


def test_a_store_in_memory_is_fresh_and_has_its_classes_name(event_store: pykka.ActorRef[Any]) -> None:
    assert event_store is whereis(hume.EventStoreActor)
    assert hume.publish(event_store, "s", "payload") == 1


def test_a_store_in_a_file_is_fresh_and_has_its_classes_name(sqlite_store: pykka.ActorRef[Any], tmp_path: Path) -> None:
    assert sqlite_store is whereis(SQLiteEventStore)
    assert hume.publish(sqlite_store, "s", "payload") == 1
    assert (tmp_path / "events.db").exists()


def test_the_clock_is_that_of_the_store_whatever_comes_first(
    event_store: pykka.ActorRef[Any], hume_app: pykka.ActorRef[Any], manual_clock: ManualClock
) -> None:
    assert {event_store.actor_inbox.clock, hume_app.actor_inbox.clock} == {manual_clock}  # type: ignore[attr-defined]


# -- what is left behind


def test_what_is_left_behind_is_named_and_removed(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
gate = Gate()

def test_actor(hume_leaks):
    GenServer.start(name="the cache")

def test_plain_actor(hume_leaks):
    Plain.start()

def test_two(event_store):
    GenServer.start(name="one")
    GenServer.start(name="two")

def test_thread(monkeypatch, hume_leaks):
    monkeypatch.setattr("hume.testing._leaks._PATIENCE", 0.01)
    threading.Thread(target=gate.hold, name="the thread", daemon=True).start()

def test_telemetry(hume_leaks):
    gate.open()
    telemetry.attach("the handler", ("hume", "store", "append"), print)

def test_nothing(event_store):
    assert [ref.actor_class.__name__ for ref in pykka.ActorRegistry.get_all()] == [
        "Application", "HeirActor", "EventStoreActor"
    ]
""",
    )
    result.assert_outcomes(passed=6, errors=5)
    cache, plain, two, thread, handler = complaints(result)
    assert cache.startswith("actor GenServer 'the cache' (urn:uuid:")
    assert "," not in cache  # its thread and its name went with it
    assert plain.startswith("actor Plain (urn:uuid:")
    assert [part.partition(" (")[0] for part in two.split(", ")] == ["actor GenServer 'one'", "actor GenServer 'two'"]
    assert (thread, handler) == ("thread the thread", "telemetry handler 'the handler'")


def test_a_table_beside_an_application_that_others_use_is_left_behind(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
@pytest.fixture(scope="module")
def shared():
    store = hume.EventStoreActor.start_link()
    yield store
    hume.stop(store)
    from hume.actors import stop_application
    stop_application()

def test_first(shared, hume_leaks):
    hume.publish(shared, "s", 1)
    Table("the table")

def test_second(shared, hume_leaks):
    assert hume.publish(shared, "s", 2) == 2
    GenServer.start_link(name="linked")

def test_third(shared, hume_leaks):
    Table.whereis("the table").drop()
    assert shared.is_alive()
    assert hume.whereis("linked") is None
""",
    )
    result.assert_outcomes(passed=3, errors=2)
    table, linked = complaints(result)
    assert table == "table 'the table'"
    assert linked.startswith("actor GenServer 'linked'")


def test_a_test_that_tidies_up_or_has_linked_all_to_its_application_leaves_nothing(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_linked(event_store):
    Table("of the application")
    ref = hume.start_link(Sum, stream="s")
    hume.publish(event_store, "s", 5)
    assert hume.state(ref) == 5

def test_stopped(hume_leaks):
    hume.stop(GenServer.start())
    hume.kill(GenServer.start())

def test_crashed(event_store):
    hume.testing.crash(hume.start(Sum, stream="s"))

def test_stop_all(hume_leaks):
    Plain.start()
    hume.EventStoreActor.start()
    hume.start(Sum, stream="s")
    hume_leaks.stop_all()
    assert pykka.ActorRegistry.get_all() == []
""".replace("hume.testing.crash", "__import__('hume.testing', fromlist=['crash']).crash"),
    )
    result.assert_outcomes(passed=4)


def test_each_test_has_an_application_of_its_own(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
roots = set()

def test_before():
    roots.add(application())
    store = hume.EventStoreActor.start_link()
    hume.publish(store, "s", "what its heir has for the next one")
    hume.stop(store)

@pytest.mark.parametrize("number", range(3))
def test_fresh(hume_app, event_store, number):
    roots.add(hume_app)
    assert hume.publish(event_store, "s", 1) == 1
    assert len(roots) == number + 2

def test_of_none(hume_leaks):
    assert not any(root.is_alive() for root in roots)
""",
    )
    result.assert_outcomes(passed=5)


def test_a_clock_by_hand_goes_with_its_test(pytester: pytest.Pytester) -> None:
    result = run(
        pytester,
        """
def test_clock(event_store, manual_clock):
    class Slow(Sum, snapshot_after=30.0, snapshot_every=None):
        pass

    ref = hume.start_link(Slow, stream="s")
    hume.publish(event_store, "s", 5)
    manual_clock.advance(30.0)
    assert hume.status(ref).snapshot_seq == 1
    assert GenServer.clock is manual_clock

def test_none():
    from hume.actors import SystemClock
    assert isinstance(GenServer.clock, SystemClock)
""",
    )
    result.assert_outcomes(passed=2)


# -- for whom it works

LEAKING = """
def test_one():
    GenServer.start(name="one")

def test_two():
    pass

def test_three():
    assert hume.whereis("one") is None
"""


def test_every_test_is_checked_when_that_is_configured(pytester: pytest.Pytester) -> None:
    result = run(pytester, LEAKING, ini="hume_leaks = true\n")
    result.assert_outcomes(passed=3, errors=1)
    assert len(complaints(result)) == 1


def test_a_test_that_uses_none_of_its_fixtures_is_left_alone(pytester: pytest.Pytester) -> None:
    result = run(pytester, LEAKING)
    result.assert_outcomes(passed=2, failed=1)
    assert complaints(result) == []


def test_its_fixtures_are_listed_with_what_they_are_for(pytester: pytest.Pytester) -> None:
    result = run(pytester, "", "--fixtures")
    for name in ("hume_leaks", "hume_app", "event_store", "sqlite_store", "manual_clock"):
        assert any(line.startswith(f"{name} -- ") for line in result.outlines), name
        assert f"``{name}``" in (plugin.__doc__ or "")


def test_pytest_finds_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"hume": plugin.__name__}


def test_it_loads_neither_the_conformance_classes_nor_what_they_need() -> None:
    program = (
        "import pytest, sys, threading; before = set(sys.modules); import hume.testing.plugin, json\n"
        "new = set(sys.modules) - before\n"
        "mine = [name for name in new if name.startswith('hume.testing.')]\n"
        "print(json.dumps([sorted({name.partition('.')[0] for name in new}), sorted(mine), threading.active_count()]))"
    )
    done = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    tops, mine, threads = json.loads(done.stdout)
    strangers = {name for name in tops if not name.startswith("_")} - sys.stdlib_module_names
    assert strangers == {"hume", "pykka", "sortedcontainers"}
    assert "hume.testing.plugin" in mine
    assert "hume.testing._event_store" not in mine
    assert threads == 1
