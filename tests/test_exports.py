"""Each public name, in one place."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import hume

PUBLIC = {
    "hume": """
        ALL EXISTS ActorDead AlreadyPresent AlreadyStarted Backoff CallingSelf ChildNotFound ChildRestarting
        ChildRunning ChildSpec CodecError DecodeError DynamicSupervisor EncodeError Event EventStore
        EventStoreActor GenServer HeirActor HumeError IdConflict InvalidStore MaxChildren NotFound NotOwner
        Projection Snapshot SnapshotStore StaleEvent StartFailed Status StorageFailed Supervisor SupervisorError
        Table TableDeleted TableError TelemetryError Timeout TransferFailed UnexpectedSequence UnknownEvent catch_up
        catch_up_sync event evolve export_events handles import_events kill prefix publish publish_many query ref
        replay snapshot start start_link state status stop take_snapshot telemetry tree upcaster validate_store whereis
    """,
    "hume.actors": """
        NO_REPLY Application Backoff ChildCounts ChildInfo ChildSpec Clock Crash Down DynamicSupervisor Exit
        GenServer HeirActor Ignore NamedRef Node Reply Server Stop Supervisor SystemClock Table Timer Transfer
        application kill ref stop stop_application tree whereis
    """,
    "hume.stores": """
        ALL EXISTS Codec Encoded Event EventStore EventStoreActor FullEventStore JSONCodec SQLiteEventStore
        SQLiteSnapshotStore Selector event prefix upcaster validate_store
    """,
    "hume.telemetry": "EVENTS EventName EventType attach attached detach execute poll",
    "hume.telemetry.otel": "instrument uninstrument",
    "hume.cli": "main",
    "hume.errors": """
        ActorDead AlreadyPresent AlreadyStarted CallingSelf ChildNotFound ChildRestarting ChildRunning CodecError
        DecodeError EncodeError HumeError IdConflict InvalidStore MaxChildren NotFound NotOwner StaleEvent
        StartFailed StorageFailed SupervisorError TableDeleted TableError TelemetryError Timeout TransferFailed
        UnexpectedSequence UnknownEvent
    """,
    "hume.testing": """
        BasicEventStoreConformance Deadlock EventStoreConformance FaultySnapshotStore FaultyStore Gate Given ManualClock
        Scheduler SnapshotStoreConformance crash given kill wait_until
    """,
}

PLAIN = {"EVENTS", "EventName", "NO_REPLY", "Server"}  # type aliases and constants, which can't carry a docstring

each_module = pytest.mark.parametrize("module", [importlib.import_module(name) for name in PUBLIC], ids=list(PUBLIC))


def everything_in(module: ModuleType) -> set[str]:
    """Return the names of Hume that a user sees in a module: of a package all, of a module those that it defines."""
    own = "hume" if hasattr(module, "__path__") else module.__name__
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and getattr(value, "__module__", "").startswith(own)
    }


@each_module
def test_a_public_module_holds_the_listed_names_and_no_others(module: ModuleType) -> None:
    listed = PUBLIC[module.__name__].split()
    assert module.__all__ == listed
    assert [name for name in listed if not hasattr(module, name)] == []
    assert everything_in(module) - set(listed) == set()


@each_module
def test_all_is_sorted_constants_then_classes_then_functions(module: ModuleType) -> None:
    def rank(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2), name

    assert module.__all__ == sorted(set(module.__all__), key=rank)


def public_members(value: Any) -> dict[str, Any]:
    """Return what a class of ours defines for its users."""
    members = vars(value) if inspect.isclass(value) and value.__module__.startswith("hume") else {}
    return {name: one for name, one in members.items() if not name.startswith("_")}


@each_module
def test_each_public_name_has_a_docstring(module: ModuleType) -> None:
    assert module.__doc__
    without = [name for name in module.__all__ if name not in PLAIN and not getattr(module, name).__doc__]
    for name in module.__all__:
        for member, value in public_members(getattr(module, name)).items():
            is_code = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
            if is_code and not inspect.getdoc(value):
                without.append(f"{name}.{member}")
    assert without == []


def test_an_error_is_the_same_class_wherever_it_is_imported_from() -> None:
    places = [importlib.import_module(name) for name in PUBLIC]
    for name in PUBLIC["hume"].split():
        found = {id(getattr(place, name)) for place in places if name in place.__all__}
        assert len(found) == 1, name


def run(program: str) -> Any:
    where = str(Path(hume.__file__).parents[1])
    out = subprocess.run(  # noqa: S603 - a program of our own
        [sys.executable, "-W", "error", "-c", program],
        env={"PYTHONPATH": where},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return json.loads(out.stdout)


def test_importing_hume_loads_nothing_but_its_two_dependencies_and_starts_nothing() -> None:
    loaded, threads, actors = run(
        "import hume, hume.actors, hume.stores, hume.telemetry, hume.errors, json, sys, threading, pykka\n"
        "tops = sorted({name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names))\n"
        "print(json.dumps([tops, threading.active_count(), len(pykka.ActorRegistry.get_all())]))"
    )
    strangers = {name for name in loaded if not name.startswith("_")} - {"hume", "pykka", "sortedcontainers"}
    assert (strangers, threads, actors) == (
        set(),
        1,
        0,
    )  # (a name with an underscore: the environment's own .pth files)


@pytest.mark.parametrize("first", sorted(PUBLIC))
def test_a_public_module_can_be_the_first_to_be_imported(first: str) -> None:
    assert run(f"import {first}, json; print(json.dumps({first}.__name__))") == first


def test_nothing_in_hume_imports_from_hume_itself() -> None:
    """So that no cycle can arise; ``telemetry`` and the private modules are modules, which is another thing."""
    root = Path(hume.__file__).parent
    for path in root.rglob("*.py"):
        if path == root / "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "hume":
                for alias in node.names:
                    is_module = (root / f"{alias.name}.py").exists() or (root / alias.name).is_dir()
                    assert is_module, f"{path}: from hume import {alias.name}"
