"""What a supervisor knows of a child, and the delays between its restarts: plain data, checked when it is made."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable

__all__ = ["BRUTAL_KILL", "Backoff", "ChildSpec", "check_known", "one_of"]

BRUTAL_KILL: Final = "brutal_kill"

Restart: TypeAlias = Literal["permanent", "transient", "temporary"]
ChildType: TypeAlias = Literal["worker", "supervisor"]
ActorClass: TypeAlias = type[Any]  # inside the classes that have a field named type, the builtin is out of reach


class _Default:
    def __repr__(self) -> str:
        return "5.0, or None for a supervisor"


_DEFAULT: Final[Any] = _Default()


def one_of(name: str, value: object, allowed: Collection[str]) -> None:
    """Refuse a value that is not one of the allowed words, naming them."""
    if not isinstance(value, str) or value not in allowed:
        msg = f"{name} must be one of {', '.join(repr(word) for word in allowed)}, not {value!r}"
        raise ValueError(msg)


def check_known(given: Iterable[str], allowed: Collection[str]) -> None:
    """Refuse an option that there is not, naming those there are, and which of them may have been meant."""
    unknown = next((name for name in given if name not in allowed), None)
    if unknown is not None:
        import difflib  # noqa: PLC0415 - needed for this message only

        near = difflib.get_close_matches(unknown, allowed, 1)
        guess = f"; did you mean {near[0]}?" if near else ""
        msg = f"unknown option {unknown!r}; allowed are {', '.join(allowed)}{guess}"
        raise TypeError(msg)


def is_seconds(value: object, *, minimum: float = 0.0) -> bool:
    """Tell whether a value is a number of seconds, and no more of them than a thread can wait."""
    return isinstance(value, int | float) and not isinstance(value, bool) and minimum <= value <= threading.TIMEOUT_MAX


def is_count(value: object) -> bool:
    """Tell whether a value is a whole number of at least 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a supervisor waits before it restarts a child that keeps crashing.

    The first restart waits ``first`` seconds, the following ``base``, ``base * factor``, ``base * factor**2``, ... up
    to ``maximum``, each times a random number within ``1 ± jitter``. A child that has lived for longer than ``maximum``
    starts from the beginning. Restarts at this pace can't run away, so they do not count towards the supervisor's
    ``max_restarts``.
    """

    first: float = 0.0
    base: float = 1.0
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        for name, good, wanted in (
            ("first", is_seconds(self.first), "a number of seconds"),
            ("base", is_seconds(self.base) and self.base > 0, "a number of seconds, more than 0"),
            ("factor", is_seconds(self.factor, minimum=1.0), "a number of at least 1"),
            ("maximum", is_seconds(self.maximum) and self.maximum > 0, "a number of seconds, more than 0"),
            ("jitter", is_seconds(self.jitter) and self.jitter <= 1, "a number from 0 to 1"),
        ):
            if not good:
                msg = f"Backoff {name} must be {wanted}, not {getattr(self, name)!r}"
                raise ValueError(msg)

    def delay(self, attempt: int, random: Callable[[], float]) -> float:
        """Return the seconds to wait before restart number *attempt* (0, 1, 2, ...) of a row; random() is in [0, 1)."""
        try:
            plain = self.first if attempt == 0 else self.base * float(self.factor) ** (attempt - 1)
        except OverflowError:
            plain = self.maximum  # long reached
        return min(plain, self.maximum) * (1 + self.jitter * (2 * random() - 1))


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How a supervisor starts, restarts and stops one child.

    Args:
        id: unique within its supervisor.
        start: starts the child and returns its ref (`None`: it chose not to start). It runs in the supervisor, so a
            ``start_link`` in it links the child to the supervisor.
        restart: ``"permanent"`` always, ``"transient"`` after an abnormal end only, ``"temporary"`` never.
        shutdown: seconds that an orderly stop may take before the child is killed; ``None``: no limit;
            ``"brutal_kill"``: killed at once. Default: 5.0, for a supervisor ``None``.
        type: ``"worker"`` or ``"supervisor"``.
        significant: whether its end by itself may end the supervisor (see ``auto_shutdown`` there).
        backoff: the delays between restarts; ``None``: at once, counted in the supervisor's intensity.
        actor_class: for those who look; no influence.

    Raises:
        TypeError, ValueError: naming the field and what it may be.
    """

    id: Hashable
    start: Callable[..., Any]
    restart: Restart = "permanent"
    shutdown: float | Literal["brutal_kill"] | None = _DEFAULT
    type: ChildType = "worker"
    significant: bool = False
    backoff: Backoff | None = None
    actor_class: ActorClass | None = None

    def __post_init__(self) -> None:
        if not callable(self.start):
            msg = f"ChildSpec start must be a callable that returns a ref, not {self.start!r}"
            raise TypeError(msg)
        if self.id is None:
            msg = "ChildSpec id must not be None"
            raise ValueError(msg)
        try:
            hash(self.id)
        except TypeError:
            msg = f"ChildSpec id must be hashable, not {self.id!r}"
            raise TypeError(msg) from None
        one_of("ChildSpec restart", self.restart, ("permanent", "transient", "temporary"))
        one_of("ChildSpec type", self.type, ("worker", "supervisor"))
        self._check_shutdown()
        if not isinstance(self.significant, bool):
            msg = f"ChildSpec significant must be a bool, not {self.significant!r}"
            raise TypeError(msg)
        if not isinstance(self.backoff, Backoff | None):
            msg = f"ChildSpec backoff must be a Backoff or None, not {self.backoff!r}"
            raise TypeError(msg)
        if self.significant and self.restart == "permanent":
            msg = f"child {self.id!r}: a permanent child can't be significant: it never ends by itself for good"
            raise ValueError(msg)

    def _check_shutdown(self) -> None:
        if self.shutdown is _DEFAULT:
            object.__setattr__(self, "shutdown", None if self.type == "supervisor" else 5.0)
        elif not (self.shutdown is None or self.shutdown == BRUTAL_KILL or is_seconds(self.shutdown)):
            msg = f"ChildSpec shutdown must be seconds, None (no limit) or 'brutal_kill', not {self.shutdown!r}"
            raise ValueError(msg)
