"""Every store of ours is put through the kit that we give to others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import hume
from hume.testing import EventStoreConformance

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestMemory(EventStoreConformance):
    """The in-memory store."""

    @pytest.fixture
    def store(self) -> Iterator[Any]:
        """Return an empty store."""
        yield hume.EventStoreActor.start(name=object())
