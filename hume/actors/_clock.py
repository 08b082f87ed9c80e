"""Time as a parameter, so that tests decide it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import Final, Protocol

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """Where a part of the library gets its time from."""

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary start."""
        ...

    def utcnow(self) -> datetime:
        """Return the date and time, in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    # each a call in C: they are in every hot path
    monotonic: staticmethod[[], float] = staticmethod(time.monotonic)
    utcnow: staticmethod[[], datetime] = staticmethod(partial(datetime.now, UTC))


SYSTEM_CLOCK: Final = SystemClock()
