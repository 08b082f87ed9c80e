"""Which streams a projection follows: one, several, those with a prefix, or all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hume.stores._batch import SeveralStreams, check_stream

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["ALL", "Selector", "prefix", "select"]


@dataclass(frozen=True, slots=True)
class Selector(SeveralStreams):
    """Several streams: these, or those whose names begin with a prefix, or all; made by `prefix`, `ALL` or a list.

    What follows several streams folds them in the store's global order, and counts positions.
    """

    streams: tuple[Hashable, ...] | None = None
    prefix: str | None = None

    def __contains__(self, stream: Hashable) -> bool:
        if self.streams is not None:
            return stream in self.streams
        return self.prefix is None or (isinstance(stream, str) and stream.startswith(self.prefix))

    def __repr__(self) -> str:
        if self.streams is not None:
            return repr(list(self.streams))
        return "ALL" if self.prefix is None else f"prefix({self.prefix!r})"


ALL: Final = Selector()
"""All streams of a store."""


def select(streams: Iterable[Hashable] | None, prefix: str | None) -> Selector:
    """Return the selector for a read of several streams.

    Raises:
        TypeError, ValueError: both are given; or *streams* is one name, and no collection of names.
    """
    if streams is not None and prefix is not None:
        msg = f"give streams or prefix, not both: {streams!r}, {prefix!r}"
        raise ValueError(msg)
    if prefix is not None:
        return _with_prefix(prefix)
    if streams is None:
        return ALL
    if isinstance(streams, str | bytes):
        msg = f"streams must be several names, such as a list of them, not {streams!r}"
        raise TypeError(msg)
    names = tuple(streams)
    for name in names:
        check_stream(name)
    return Selector(streams=names)


def prefix(start: str) -> Selector:
    """Return what selects the streams whose names begin with *start*, those too that appear later.

    Raises:
        TypeError: *start* is no string.
    """
    return _with_prefix(start)


def _with_prefix(start: object) -> Selector:
    if not isinstance(start, str):
        msg = f"a prefix must be a string, not {start!r}"
        raise TypeError(msg)
    return Selector(prefix=start)
