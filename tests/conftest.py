"""Every test leaves the house as it found it: no actor, no thread, no named table, no telemetry handler."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hume.testing._leaks import Leaks

# Here and not by its entry point, by which it would be loaded, and Hume with it, before coverage is measured.
pytest_plugins = ["hume.testing.plugin", "pytester"]

# What takes long on a busy machine is no failure.
settings.register_profile("hume", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hume")


@pytest.fixture(autouse=True)
def nothing_is_left_behind(hume_leaks: Leaks) -> Iterator[None]:
    """Stop after each test whatever runs, and fail the test if something stays all the same."""
    yield
    hume_leaks.stop_all()


@pytest.fixture
def fast_switching() -> Iterator[None]:
    """Make threads take turns as often as they can, so that what can interleave does."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
