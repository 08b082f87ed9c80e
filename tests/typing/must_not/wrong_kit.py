# pyright: strict
"""Mistakes with the testing kit that are found before anything runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hume
from hume.testing import FaultySnapshotStore, FaultyStore, ManualClock, crash, given, wait_until

if TYPE_CHECKING:
    from collections.abc import Hashable


class Total(hume.Projection[int], store=hume.EventStoreActor):
    def init_state(self, projection: Hashable) -> int:
        return 0

    def handle_event(self, payload: int, state: int) -> int:
        return state + payload


given(int, [1])  # error: arg-type, reportArgumentType
given(Total, 1)  # error: arg-type, reportArgumentType
given(Total, [1]).then("1")  # error: arg-type, reportArgumentType
given(Total, [1]).raises("an error")  # error: arg-type, reportArgumentType
crash("a name", "an error")  # error: arg-type, reportArgumentType
wait_until(True)  # error: arg-type, reportArgumentType
ManualClock(2024)  # error: arg-type, reportArgumentType
ManualClock().advance("1")  # error: arg-type, reportArgumentType
FaultyStore("a store").fail_next("append", "an error")  # error: arg-type, reportArgumentType
FaultySnapshotStore(hume.EventStoreActor)  # error: arg-type, reportArgumentType
