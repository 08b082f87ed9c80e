"""What is to be appended to one stream: checked and copied, so that nothing can fail or change while it is stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from hume.actors._isolate import ATOMS, is_immutable, isolated
from hume.actors._mailbox import current

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from hume.actors._mailbox import Mailbox

__all__ = [
    "EXISTS",
    "Batch",
    "SeveralStreams",
    "check_count",
    "check_expect_seq",
    "check_payload",
    "check_stream",
    "several",
]


class Exists:
    """The type of `EXISTS`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "EXISTS"

    def __reduce__(self) -> str:
        return "EXISTS"


EXISTS: Final = Exists()
"""For ``expect_seq``: the stream has events, however many."""


class SeveralStreams:
    """What stands for several streams, and so is the name of none."""

    __slots__ = ()


_PLAIN: Final = ATOMS - {type(None)}  # the types of what can be an event, and never be changed


def check_stream(stream: Hashable) -> None:
    """Refuse what can't name a stream."""
    if stream is None:
        msg = "a stream must have a name, not None"
        raise TypeError(msg)
    if type(stream) is str:
        return
    if isinstance(stream, SeveralStreams) or hasattr(stream, "__next__"):
        msg = f"a stream is one hashable name, not {stream!r}"
        raise TypeError(msg)
    try:
        hash(stream)
    except TypeError:
        msg = f"a stream is one hashable name, not {stream!r}"
        raise TypeError(msg) from None


def check_expect_seq(expect_seq: object) -> None:
    """Refuse what can't be a stream's last number."""
    if expect_seq is None or expect_seq is EXISTS:
        return
    if isinstance(expect_seq, bool) or not isinstance(expect_seq, int):
        msg = f"expect_seq must be a whole number (0: the stream is empty), EXISTS or None, not {expect_seq!r}"
        raise TypeError(msg)
    if expect_seq < 0:
        msg = f"expect_seq must be at least 0 (0: the stream is empty), not {expect_seq!r}"
        raise ValueError(msg)


def check_count(name: str, value: object) -> None:
    """Refuse what is no number of events."""
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be a whole number, not {value!r}"
        raise TypeError(msg)
    if value < 0:
        msg = f"{name} must be at least 0, not {value!r}"
        raise ValueError(msg)


def check_payload(payload: object) -> None:
    """Refuse what can't be an event."""
    if payload is None:
        msg = "a payload must not be None; give the event, such as a tuple or a dataclass"
        raise ValueError(msg)


class Batch:
    """The payloads for one stream, with what an append says of them. Making one checks all that can be checked.

    Raises:
        TypeError, ValueError: naming what was wrong: a stream, a payload, an id, the metadata.
    """

    __slots__ = ("expect_seq", "ids", "metadata", "payloads", "shareable", "stream")

    def __init__(
        self,
        stream: Hashable,
        payloads: Iterable[Any],
        expect_seq: object = None,
        ids: Iterable[UUID] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if type(stream) is not str:
            check_stream(stream)
        if expect_seq is not None:
            check_expect_seq(expect_seq)
        self.stream: Hashable = stream
        self.expect_seq: object = expect_seq
        self.shareable: bool = True  # threads may get the very objects
        kind = type(payloads)
        items: Any = payloads if kind is tuple or kind is list else list(several(payloads))
        self.payloads: list[Any] = self._kept(items)
        self.ids: list[UUID] | None = None if ids is None else _checked_ids(ids, len(self.payloads))
        self.metadata: dict[str, Any] | None = None if metadata is None else _checked_metadata(metadata) or None
        me = current()
        if me is not None:
            if not me.alive:
                raise me.dead_error()  # a killed actor's thread writes nowhere
            self.metadata = _inherited(me, self.metadata)

    def _kept(self, payloads: Sequence[Any]) -> list[Any]:
        """Return the payloads as the log keeps them: themselves if they can't be changed, or copies."""
        if len(payloads) == 1:  # a list of it, as below, without the price of a comprehension
            (payload,) = payloads
            return [payload if payload is not None and is_immutable(payload) else self._copy(payload)]
        if _PLAIN.issuperset(map(type, payloads)):
            return list(payloads)
        return [
            payload if payload is not None and is_immutable(payload) else self._copy(payload) for payload in payloads
        ]

    def _copy(self, payload: Any) -> Any:
        check_payload(payload)
        self.shareable = False
        try:
            return isolated(payload)
        except Exception as error:
            why = error.__cause__ or error
            msg = f"payload {payload!r} can't be copied ({why}): give data, as a log must not share what can be changed"
            raise TypeError(msg) from error


def several(payloads: object) -> Iterable[Any]:
    """Return payloads, refusing what is one: text, a mapping, a namedtuple, and what holds no others."""
    is_one = isinstance(payloads, str | bytes | Mapping) or hasattr(payloads, "_fields")
    if is_one or not isinstance(payloads, Iterable):
        msg = f"payloads must be several payloads, such as a list of them, not {payloads!r}; publish takes one"
        raise TypeError(msg)
    return payloads


def _checked_ids(ids: Iterable[UUID], count: int) -> list[UUID]:
    checked = list(ids)
    for one in checked:
        if not isinstance(one, UUID):
            msg = f"an event's id must be a uuid.UUID, not {one!r}"
            raise TypeError(msg)
    if len(checked) != count:
        msg = f"there must be an id for each payload: {count} payloads, {len(checked)} ids"
        raise ValueError(msg)
    if len(set(checked)) != count:
        msg = "the ids of a batch must differ from each other"
        raise ValueError(msg)
    return checked


def _checked_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(metadata, Mapping) or not all(isinstance(key, str) for key in metadata):
        msg = f"metadata must be a mapping with strings as keys, or None, not {metadata!r}"
        raise TypeError(msg)
    for key, value in metadata.items():
        if isinstance(value, dt.datetime) and value.tzinfo is None:
            msg = f"metadata {key!r} is a datetime without a time zone: {value!r}; give it one, such as datetime.UTC"
            raise ValueError(msg)
    return isolated(dict(metadata))


def _inherited(me: Mailbox, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
    """Add where the event comes from, when it is appended by a projection that is handling another."""
    cause = getattr(me.face, "event", None)
    if cause is None:
        return metadata
    about = {"correlation_id": cause.metadata.get("correlation_id", cause.id), "causation_id": cause.id}
    return {**about, **(metadata or {})}
