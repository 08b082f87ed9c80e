"""What is said to a projection, besides what any server is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["TICK", "Query", "TakeSnapshot", "Tick"]


@dataclass(frozen=True, slots=True)
class Query:
    """A call that is answered with a copy of ``fn(state)``, after everything published before."""

    fn: Callable[[Any], Any]


class TakeSnapshot:
    """A call that is answered with the snapshot that has been saved."""


class Tick:
    """The one timer's message: look at the log, and whether a snapshot is due."""


TICK: Final = Tick()
