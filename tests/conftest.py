"""Every test leaves the house as it found it: no actor, no thread, no named table, no telemetry handler."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pykka
import pytest

from hume import telemetry
from hume.actors import _registry, _table, kill, stop, stop_application
from hume.actors._mailbox import Mailbox
from hume.errors import ActorDead, Timeout
from tests.helpers import LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Stop after each test whatever runs, and fail the test if something stays all the same."""
    before = set(threading.enumerate())
    yield
    stop_application()
    _stop_the_rest()
    stop_application()  # once more: it drops the tables that wait for its heir, which the rest may have left
    left = [f"actor {ref}" for ref in pykka.ActorRegistry.get_all()]
    left += [f"name {name!r}" for name in _registry._holders]
    left += [f"table {name!r}" for name in _table._named]
    left += [f"telemetry handler {handler.id!r}" for group in telemetry._handlers.values() for handler in group]
    telemetry._handlers.clear()  # one test's fault is not to be the next one's
    left += [f"thread {thread.name}" for thread in _living(set(threading.enumerate()) - before)]
    assert not left, "the test leaves behind: " + ", ".join(left)


def _stop_the_rest() -> None:
    # From the roots down, since a supervisor would start again what is stopped below it; a few rounds, for an actor may
    # be on its way up while its starter is stopped.
    for _ in range(10):
        refs = pykka.ActorRegistry.get_all()[::-1]  # of one depth the youngest first
        if not refs:
            return
        for ref in sorted(refs, key=_depth):
            _stop_one(ref)


def _depth(ref: pykka.ActorRef[Any]) -> int:
    mailbox, depth = ref.actor_inbox, 0
    while isinstance(mailbox, Mailbox) and mailbox.parent is not None:
        mailbox, depth = mailbox.parent, depth + 1
    return depth


def _stop_one(ref: pykka.ActorRef[Any]) -> None:
    if not isinstance(ref.actor_inbox, Mailbox):
        ref.stop(timeout=LIMIT)  # a plain Pykka actor
        return
    try:
        stop(ref, "shutdown", timeout=5.0)
    except ActorDead:
        pass
    except Timeout:
        kill(ref)


def _living(threads: set[threading.Thread]) -> list[threading.Thread]:
    deadline = time.monotonic() + LIMIT
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread for thread in threads if thread.is_alive()]


@pytest.fixture
def fast_switching() -> Iterator[None]:
    """Make threads take turns as often as they can, so that what can interleave does."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
