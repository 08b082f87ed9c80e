"""Every store of ours is put through the kit that we give to others."""

from __future__ import annotations

from typing import Any

import pytest

import hume
from hume.testing import EventStoreConformance


class TestMemory(EventStoreConformance):
    """The in-memory store."""

    @pytest.fixture
    def store(self) -> Any:
        """Return an empty store."""
        return hume.EventStoreActor.start(name=object())
