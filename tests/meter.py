"""How much work something is, over all its threads, in counts: the same on a busy machine as on an idle one."""

from __future__ import annotations

import gc
import sys
import threading
from _thread import allocate_lock
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

from tests.helpers import eventually, in_thread, mailbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from types import FrameType

    import pykka
    import pytest

    from hume.actors._mailbox import Mailbox

__all__ = ["Meter", "Work"]

_TESTS: Final = str(Path(__file__).parent)
_INLINED: Final = {"<listcomp>", "<dictcomp>", "<setcomp>"}  # calls in Python 3.11, none from 3.12 on
_LOCK: Final = type(allocate_lock())

T = TypeVar("T")


class Work(NamedTuple):
    """What something took."""

    calls: float = 0  # of functions in Python, but for those of the tests
    locks: float = 0  # acquired, in vain too
    messages: float = 0  # put into mailboxes

    def per(self, count: int) -> Work:
        """Return what each of *count* took."""
        return Work(*(figure / count for figure in self))

    def beyond(self, other: Work) -> Work:
        """Return what this took more than another."""
        return Work(*(mine - its for mine, its in zip(self, other, strict=True)))


class Meter:
    """Counts what Hume does in each thread that starts after it was made, and in this one while it measures.

    It puts locks and queues that count in place of Hume's; so it is to be made before any actor starts.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A list grows by one for each; appending is atomic, so no count of any thread is lost.
        self._calls: list[None] = []
        self._locks: list[None] = []
        self._messages: list[None] = []
        modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "hume"]
        for module in modules:
            for name, value in list(vars(module).items()):
                if value in (allocate_lock, threading.Lock):
                    monkeypatch.setattr(module, name, self._new_lock)
                elif isinstance(value, _LOCK):
                    monkeypatch.setattr(module, name, self._new_lock())
                elif value is SimpleQueue:
                    monkeypatch.setattr(module, name, self._new_queue)

    def __enter__(self) -> Self:
        threading.setprofile(self.profile)
        return self

    def __exit__(self, *_: object) -> None:
        threading.setprofile(None)

    def profile(self, frame: FrameType, event: str, _arg: Any) -> None:
        """Count a call; a profile function, as `sys.setprofile` takes it."""
        if event == "call":
            code = frame.f_code
            if code.co_name not in _INLINED and not code.co_filename.startswith(_TESTS):
                self._calls.append(None)

    def _new_lock(self) -> _Lock:
        return _Lock(self._locks)

    def _new_queue(self) -> _Queue:
        return _Queue(self._messages)

    def measure(self, work: Callable[[], object], *refs: pykka.ActorRef[Any]) -> Work:
        """Return what *work* takes, in this thread and others, and these actors on its account, until they are idle."""
        return self.around(lambda: self.counted(work), *refs)

    def around(self, work: Callable[[], object], *refs: pykka.ActorRef[Any]) -> Work:
        """Do what `measure` does, but of this thread's calls count only those in `counted`."""
        self._settle(refs)
        before = self._counts()
        was_enabled = gc.isenabled()
        gc.disable()  # whose callbacks are calls, too
        try:
            work()
        finally:
            if was_enabled:
                gc.enable()
        self._settle(refs)
        return self._counts().beyond(before)

    def counted(self, work: Callable[[], T]) -> T:
        """Run something in this thread, and count its calls."""
        before = sys.getprofile()
        sys.setprofile(self.profile)
        try:
            return work()
        finally:
            sys.setprofile(before)

    def counted_in_thread(self, work: Callable[[], T]) -> Future[T]:
        """Run something in a thread of its own, and count its calls, but not those that start and end a thread."""
        threading.setprofile(None)
        try:
            return in_thread(self.counted, work)
        finally:
            threading.setprofile(self.profile)

    def _counts(self) -> Work:
        return Work(len(self._calls), len(self._locks), len(self._messages))

    @staticmethod
    def _settle(refs: tuple[pykka.ActorRef[Any], ...]) -> None:
        for ref in refs:
            eventually(partial(_is_idle, mailbox(ref)))


def _is_idle(box: Mailbox) -> bool:
    queue: Any = box._queue
    return bool(queue.is_waited_at)


class _Lock:
    """A lock that counts how often somebody asks for it."""

    def __init__(self, count: list[None]) -> None:
        self._lock, self._count = allocate_lock(), count

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        self._count.append(None)
        return self._lock.acquire(blocking, timeout)

    def release(self) -> None:
        self._lock.release()

    def locked(self) -> bool:
        return self._lock.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()


class _Queue(SimpleQueue[Any]):
    """A queue that counts what is put into it, and knows whether its reader waits for more."""

    def __init__(self, count: list[None]) -> None:
        super().__init__()
        self._count = count
        self._puts: list[None] = []
        self._gets = 0  # begun, but for those in vain; the reader's only

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._count.append(None)
        self._puts.append(None)
        super().put(item)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        self._gets += 1
        try:
            return super().get(block, timeout)
        except Empty:
            self._gets -= 1
            raise

    def get_nowait(self) -> Any:
        return self.get(block=False)

    @property
    def is_waited_at(self) -> bool:
        """Whether the reader has dealt with all that was put, and waits."""
        return self._gets > len(self._puts)
