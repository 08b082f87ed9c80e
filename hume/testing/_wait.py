"""Waiting for a thing, never for time: a condition that comes true, a thread that is held still at a gate."""

from __future__ import annotations

import linecache
from typing import TYPE_CHECKING, Final, Self, TypeVar

import pykka

from hume.actors import _threads
from hume.actors._mailbox import Reply
from hume.actors._registry import check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Gate", "wait_until"]

T = TypeVar("T")

_PATIENCE: Final = 30.0  # seconds that a gate waits for a test; only a failing one takes so long
_FIRST_PAUSE: Final = 0.0005  # seconds
_LONGEST_PAUSE: Final = 0.02


def wait_until(predicate: Callable[[], T | None], timeout: float | None = 5.0) -> T:
    """Wait until *predicate* returns something true, and return that; for what tells nobody that it has happened.

    It is called again and again, after pauses that grow to 20 ms. While it raises an `Exception` it counts as not true.

    Args:
        predicate: a function without arguments.
        timeout: seconds; `None`: no limit. It is called once at least.

    Raises:
        AssertionError: it did not come true in time; the message has its source, and what it returned or raised last.

    Example::

        wait_until(lambda: hume.status("balances").phase == "live")
    """
    __tracebackhide__ = True  # pytest shows the test's line
    if not callable(predicate):
        msg = f"predicate must be a function without arguments, not {predicate!r}"
        raise TypeError(msg)
    check_timeout(timeout)
    deadline = None if timeout is None else _threads.monotonic() + timeout
    pause, error = _FIRST_PAUSE, None
    while True:
        value: T | None = None
        try:
            value = predicate()
        except Exception as caught:  # noqa: BLE001 - what it needs is not there yet, perhaps
            error = caught
        else:
            if value:
                return value
            error = None
        left = pause if deadline is None else deadline - _threads.monotonic()
        if left <= 0:
            last = f"it returned {value!r} last" if error is None else f"it raised {error!r} last"
            msg = f"{_source_of(predicate)} did not come true within {timeout} seconds: {last}"
            raise AssertionError(msg) from error
        _threads.sleep(min(pause, left))
        pause = min(pause * 1.5, _LONGEST_PAUSE)


def _source_of(function: Callable[[], object]) -> str:
    """Return the expression of a lambda as it was written; of any other function, its name."""
    code = getattr(function, "__code__", None)
    if code is None or code.co_name != "<lambda>":
        return getattr(function, "__qualname__", repr(function))
    # where its instructions come from (PEP 657): columns are bytes; those of none, and of the start, are 0 or None
    places = [place for place in code.co_positions() if place[3]]
    if not places:
        return repr(function)
    (first, begin), (last, end) = min((p[0], p[2]) for p in places), max((p[1], p[3]) for p in places)
    lines = [linecache.getline(code.co_filename, number).encode() for number in range(first, last + 1)]
    lines[-1] = lines[-1][:end]  # before the first is cut, which may be the same
    lines[0] = lines[0][begin:]
    return " ".join(line.decode(errors="replace").strip() for line in lines) or repr(function)


class Gate:
    """Holds a thread still where it calls `hold`, until the test, which may `wait` for that, calls `open`.

    As a context manager it opens at the end, so that a failing test leaves no thread behind::

        with Gate() as gate:
            GenServer.cast(ref, gate.hold)    # an actor that calls what it gets
            gate.wait()                       # its thread is in there now
    """

    def __init__(self) -> None:
        self._reached, self._opened = Reply(), Reply()  # not events: a scheduler can't see who waits for these

    def hold(self) -> None:
        """Say that the thread is here, and wait until the gate is open.

        Raises:
            TimeoutError: nobody has opened it within 30 seconds.
        """
        self._reached.set()
        _wait(self._opened, f"nobody opened the gate within {_PATIENCE} seconds")

    def wait(self) -> None:
        """Wait until a thread is held here (or has been).

        Raises:
            TimeoutError: none has come within 30 seconds.
        """
        _wait(self._reached, f"nobody came to the gate within {_PATIENCE} seconds")

    def open(self) -> None:
        """Let through whoever is held, now and later."""
        self._opened.set()

    @property
    def reached(self) -> bool:
        """Whether a thread has come here."""
        return self._reached.done()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()


def _wait(happened: Reply, otherwise: str) -> None:
    try:
        happened.get(timeout=_PATIENCE)
    except pykka.Timeout:
        raise TimeoutError(otherwise) from None
