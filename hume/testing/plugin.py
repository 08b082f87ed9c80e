"""The pytest plugin: fixtures for a fresh application and stores, which fail a test that leaves something behind.

It is there wherever the package is installed, and does nothing for a test that uses none of its fixtures:

================  ====================================================================================================
``hume_leaks``    fails the test if it leaves behind an actor, a thread, a table, a name or a telemetry handler, naming
                  each, and removes it. The application that the test has started, with all that is linked to it, is
                  stopped first. ``stop_all()`` of its value stops all that the test has started.
``hume_app``      a fresh application: the ref of its root supervisor
``event_store``   a fresh `EventStoreActor` under its class's name: its ref
``sqlite_store``  a fresh `SQLiteEventStore` under its class's name, in a file below ``tmp_path``: its ref
``manual_clock``  a `ManualClock` that all actors started within the test go by
================  ====================================================================================================

Each of them has ``hume_leaks`` with it. With ``hume_leaks = true`` in pytest's configuration every test has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

# Nothing of Hume is imported here, but in what a test uses: pytest loads this module at every start.

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pykka

    from hume.testing._clock import ManualClock
    from hume.testing._leaks import Leaks


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option."""
    parser.addini(
        "hume_leaks", "whether every test that leaves an actor, thread or table behind fails", "bool", default=False
    )


def pytest_configure(config: pytest.Config) -> None:
    """Have every test checked, if that is asked for."""
    if config.getini("hume_leaks"):
        config.pluginmanager.register(_EveryTest(), "hume-leaks")


class _EveryTest:
    @pytest.fixture(autouse=True)
    def _every_test(self, hume_leaks: Leaks) -> None:
        """Check each test."""


@pytest.fixture
def hume_leaks() -> Iterator[Leaks]:
    """Fail the test if it leaves an actor, a thread, a table, a name or a telemetry handler behind."""
    from hume.testing._leaks import Leaks  # noqa: PLC0415 - see above

    leaks = Leaks()
    yield leaks
    left = leaks.close()
    if left:
        way_out = "stop it in the test, or start it with start_link, and the application stops it"
        pytest.fail(f"the test leaves behind: {', '.join(left)}; {way_out}", pytrace=False)


@pytest.fixture
def manual_clock(hume_leaks: Leaks) -> Iterator[ManualClock]:
    """Return the clock of all actors that are started within the test: it stands still until it is advanced."""
    from hume.testing._clock import ManualClock  # noqa: PLC0415 - see above

    with ManualClock() as clock:
        yield clock


@pytest.fixture
def hume_app(request: pytest.FixtureRequest, hume_leaks: Leaks) -> pykka.ActorRef[Any]:
    """Return the root supervisor of a fresh application, which is stopped after the test with all that is linked."""
    from hume.actors import application  # noqa: PLC0415 - see above

    if "manual_clock" in request.fixturenames:
        request.getfixturevalue("manual_clock")  # first, in whatever order the test names them
    return application()


@pytest.fixture
def event_store(hume_app: pykka.ActorRef[Any]) -> pykka.ActorRef[Any]:
    """Return a fresh event store in memory, which has the name `EventStoreActor`."""
    from hume.stores import EventStoreActor  # noqa: PLC0415 - see above

    ref: pykka.ActorRef[Any] = EventStoreActor.start_link()
    return ref


@pytest.fixture
def sqlite_store(hume_app: pykka.ActorRef[Any], tmp_path: Path) -> pykka.ActorRef[Any]:
    """Return a fresh event store in a file below ``tmp_path``, which has the name `SQLiteEventStore`.

    It does not wait for the disk (``durability="normal"``).
    """
    from hume.stores import SQLiteEventStore  # noqa: PLC0415 - see above

    ref: pykka.ActorRef[Any] = SQLiteEventStore.start_link(tmp_path / "events.db", durability="normal")
    return ref
