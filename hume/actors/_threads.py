"""What actors run on: their threads, the locks on which they wait for each other, the time by which they give up.

Whatever waits looks these up here, and when it begins to wait. So the testing kit's scheduler can put its own in their
place, while no actor runs; nobody else does.
"""

from __future__ import annotations

import _thread
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka._envelope import Envelope

    from hume.actors._mailbox import Mailbox

__all__ = ["allocate_lock", "monotonic", "receiver", "sleep", "start"]

allocate_lock: Callable[[], Any] = _thread.allocate_lock  # for locks that are held longer than a few instructions
monotonic: Callable[[], float] = time.monotonic  # for timeouts; an actor's own time is its clock's
sleep: Callable[[float], None] = time.sleep


def start(mailbox: Mailbox, run: Callable[[], None], name: str, *, daemon: bool) -> None:
    """Start an actor's thread."""
    mailbox.thread = threading.Thread(target=run, name=name, daemon=daemon)
    mailbox.thread.start()


def receiver(_mailbox: Mailbox, get: Callable[[], Envelope[Any]]) -> Callable[[], Envelope[Any]]:
    """Return what the actor is to get its messages with: *get*, its mailbox's own."""
    return get
