"""Whether, whom and when to restart: OTP's rules as plain functions and data, without a thread or a clock."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypeVar

from hume.actors._signals import is_orderly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hume.actors._child_spec import ChildSpec

__all__ = ["AUTO_SHUTDOWNS", "STRATEGIES", "History", "group", "is_restarted", "shuts_down"]

T = TypeVar("T")

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]

STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one")
AUTO_SHUTDOWNS: Final = ("never", "any_significant", "all_significant")


class History:
    """The restarts of the last ``max_seconds``, of which ``max_restarts`` are allowed."""

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        self.max_restarts, self.max_seconds = max_restarts, max_seconds
        self._times: deque[float] = deque()

    def __len__(self) -> int:
        return len(self._times)

    def add(self, now: float) -> bool:
        """Note a restart; return whether it is still allowed."""
        self._times.append(now)
        while now - self._times[0] > self.max_seconds:
            self._times.popleft()
        return len(self._times) <= self.max_restarts


def is_restarted(spec: ChildSpec, reason: object) -> bool:
    """Tell whether a child that ended by itself is restarted."""
    return spec.restart == "permanent" or (spec.restart == "transient" and not is_orderly(reason))


def group(strategy: Strategy, children: Sequence[T], child: T) -> list[T]:
    """Return the children that are restarted together with *child*, itself included, in start order."""
    if strategy == "one_for_one":
        return [child]
    first = 0 if strategy == "one_for_all" else children.index(child)
    return list(children[first:])


def shuts_down(auto_shutdown: AutoShutdown, *, significant: bool, others_left: bool) -> bool:
    """Tell whether a child that ended for good by itself ends its supervisor.

    Args:
        significant: whether that child is.
        others_left: whether another significant child is still there.
    """
    if not significant or auto_shutdown == "never":
        return False
    return auto_shutdown == "any_significant" or not others_left
