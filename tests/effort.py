"""How much work a call is, counted instead of timed."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


class Effort(NamedTuple):
    """What a call of a function made the interpreter do, in this thread."""

    calls: int  # of functions, in Python and in C
    steps: int  # bytecode instructions


def effort(fn: Callable[[], object]) -> Effort:
    """Run a function once without being counted, then again, and count."""
    fn()
    gc.disable()  # what it calls when it comes by is no work of this function's
    try:
        return Effort(_calls(fn), _steps(fn))
    finally:
        gc.enable()


def _calls(fn: Callable[[], object]) -> int:
    count = 0

    def profile(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        fn()
    finally:
        sys.setprofile(before)
    return count


def _steps(fn: Callable[[], object]) -> int:
    count = 0

    def trace(frame: FrameType, event: str, _arg: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    # CPython 3.12 looks only when tracing begins whether any frame so far wants to be told of its instructions
    sys._getframe().f_trace_opcodes = True
    sys.settrace(trace)
    try:
        fn()
    finally:
        sys.settrace(before)
    assert count, "nothing was counted"
    return count
