"""The functions: start, publish, state, ... They check what they are given, in the caller's thread, and hand it on."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_origin, overload

from hume import _bus, _watch
from hume._projection import Projection
from hume._requests import Query, TakeSnapshot
from hume._snapshot import Snapshot
from hume._view import Status, View, departed
from hume.actors._calls import await_start, call_mailbox
from hume.actors._gen_server import GenServer
from hume.actors._mailbox import Mailbox, current
from hume.actors._named_ref import NamedRef
from hume.actors._registry import Server, any_mailbox_of, check_timeout, mailbox_of
from hume.actors._signals import NOPROC, Crash
from hume.errors import ActorDead, CallingSelf, Timeout
from hume.stores._batch import check_expect_seq, check_payload, check_stream, several
from hume.stores._event_store import DirectStore, EventStore, metadata_argument, resolve
from hume.telemetry import _handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Never, TypeAlias, Unpack

    import pykka

    from hume._behaviour import StartOptions
    from hume.stores._batch import Exists

__all__ = [
    "catch_up",
    "catch_up_sync",
    "publish",
    "publish_many",
    "query",
    "snapshot",
    "start",
    "start_link",
    "state",
    "status",
    "take_snapshot",
]

P = TypeVar("P", bound=Projection[Any])
S = TypeVar("S")
T = TypeVar("T")
C_co = TypeVar("C_co", covariant=True)


# Pykka's refs and proxies are invariant: an ActorRef[Inventory] is no ActorRef[Projection[dict]]. What is needed of
# them to tell the type of the state is covariant, though.


class _RefOf(Hashable, Protocol[C_co]):
    @property
    def actor_class(self) -> type[C_co]: ...


class _ProxyOf(Hashable, Protocol[C_co]):
    @property
    def actor_ref(self) -> _RefOf[C_co]: ...


if TYPE_CHECKING:
    _Of: TypeAlias = _RefOf[Projection[S]] | _ProxyOf[Projection[S]]


def start(cls: type[P], *args: Never, **options: Unpack[StartOptions]) -> pykka.ActorRef[P]:
    """Start a projection and return its ref; see `Projection.start` for the options and errors.

    Raises:
        TypeError: *cls* is no projection class.
    """
    return _projection_class(cls).start(*args, **options)


def start_link(cls: type[P], *args: Never, **options: Unpack[StartOptions]) -> pykka.ActorRef[P]:
    """Start a projection linked to the calling actor, or else to the application; see `Projection.start`.

    Raises:
        TypeError: *cls* is no projection class.
    """
    return _projection_class(cls).start_link(*args, **options)


def _projection_class(cls: type[P]) -> type[P]:
    cls = get_origin(cls) or cls  # of a generic one, such as Latest[int]
    if not (isinstance(cls, type) and issubclass(cls, Projection)):
        way_out = ""
        if isinstance(cls, Projection):
            way_out = "; give the class itself, and the actor will be made"
        elif isinstance(cls, type) and issubclass(cls, GenServer):
            way_out = f"; a server is started with {cls.__name__}.start_link"
        msg = f"expected a subclass of hume.Projection, not {cls!r}{way_out}"
        raise TypeError(msg)
    return cls


def publish(
    store: Any,
    stream: Hashable,
    payload: Any,
    *,
    expect_seq: int | Exists | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> int:
    """Append one event to a stream, tell the projections that follow it, and return the event's number.

    Args:
        store: an event store: an actor by ref, proxy or name, or any object that is an `EventStore`.
        stream: the stream.
        payload: the event; anything but `None`. It is copied unless it can't be changed.
        expect_seq: append only if this is the stream's last number (0: it is empty), or `EXISTS`: it has events.
        metadata: what is to be said about the event; the store must take it.

    Raises:
        UnexpectedSequence: the stream has another last number; nothing was appended.
        ValueError: the payload is `None`.
        ActorDead: the store is dead, or nobody has its name.
        InvalidStore: it is no store.
    """
    if payload is None:
        check_payload(payload)
    target = resolve(store)
    if expect_seq is None and metadata is None and not _handlers and isinstance(target, DirectStore):  # mostly
        seq = target.append_one(stream, payload)
        if stream in _bus.subscribers or _bus.selectors:
            _bus.tell(stream)
        return seq
    return _append(target, stream, (payload,), expect_seq, metadata)


def publish_many(
    store: Any,
    stream: Hashable,
    payloads: Iterable[Any],
    *,
    expect_seq: int | Exists | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> int:
    """Append several events to a stream, all or none, and return the last one's number; else as `publish`."""
    return _append(resolve(store), stream, list(several(payloads)), expect_seq, metadata)


def _append(
    target: EventStore, stream: Hashable, batch: Any, expect_seq: Any, metadata: Mapping[str, Any] | None
) -> int:
    if not isinstance(target, DirectStore):  # which checks for itself
        check_stream(stream)
        check_expect_seq(expect_seq)
        for payload in batch:
            check_payload(payload)
        if (me := current()) is not None and not me.alive:
            raise me.dead_error()  # a killed actor's thread publishes nothing any more
    if _handlers and _watch.is_publishing_watched():
        seq = _watch.append(target, stream, batch, expect_seq, metadata)
    elif metadata is None:  # which every store takes
        seq = target.append(stream, batch, expect_seq)
    else:
        seq = target.append(stream, batch, expect_seq, **metadata_argument(metadata))
    _bus.tell(stream)
    return seq


@overload
def state(server: _Of[S], *, timeout: float | None = 5.0, dirty: bool = False, at_least: int | None = None) -> S: ...
@overload
def state(server: Server, *, timeout: float | None = 5.0, dirty: bool = False, at_least: int | None = None) -> Any: ...
def state(server: Server, *, timeout: float | None = 5.0, dirty: bool = False, at_least: int | None = None) -> Any:
    """Return a copy of a projection's state.

    By default it has in it all that any thread of this process published before this call. Where the projection has
    applied that already, no message goes to it.

    Args:
        server: the projection: a ref, a proxy or a name.
        timeout: seconds to wait; `None`: no limit.
        dirty: what has been applied so far, even in the middle of a rebuild; waits for the event in hand at most.
        at_least: wait until the projection has reached this number, whoever writes it.

    Raises:
        Timeout: not in time.
        ActorDead: the projection, or its store, is dead or unknown.
        Exception: the error that a handler raised while this waited, and that ended the projection.
    """
    return _read(server, timeout, dirty, at_least)[1]


@overload
def snapshot(
    server: _Of[S], *, timeout: float | None = 5.0, dirty: bool = False, at_least: int | None = None
) -> Snapshot[S]: ...
@overload
def snapshot(
    server: Server, *, timeout: float | None = 5.0, dirty: bool = False, at_least: int | None = None
) -> Snapshot[Any]: ...
def snapshot(
    server: Server, *, timeout: float | None = 5.0, dirty: bool = False, at_least: int | None = None
) -> Snapshot[Any]:
    """Return what `state` does, with the number of the last event in it."""
    return Snapshot(*_read(server, timeout, dirty, at_least))


def catch_up(server: Server) -> None:
    """Have a projection look at its log soon; does not wait."""
    mailbox, _ = _projection(server)
    mailbox.face.hint.give()


@overload
def catch_up_sync(server: _Of[S], timeout: float | None = 5.0) -> Snapshot[S]: ...
@overload
def catch_up_sync(server: Server, timeout: float | None = 5.0) -> Snapshot[Any]: ...
def catch_up_sync(server: Server, timeout: float | None = 5.0) -> Snapshot[Any]:
    """Have a projection apply all that its log holds now, and return the snapshot that it has reached.

    Raises:
        Timeout, ActorDead, Exception: as `state`.
    """
    return snapshot(server, timeout=timeout)


@overload
def query(server: _Of[S], fn: Callable[[S], T], *, timeout: float | None = 5.0) -> T: ...
@overload
def query(server: Server, fn: Callable[[Any], T], *, timeout: float | None = 5.0) -> T: ...
def query(server: Server, fn: Callable[[Any], T], *, timeout: float | None = 5.0) -> T:
    """Return ``fn(state)``: it runs in the projection, after all that was published before; the answer is copied.

    Use it to read a little of a large state. *fn* must not change the state.

    Raises:
        Timeout, ActorDead: as `state`.
        Exception: what *fn* raised; the projection lives on.
    """
    if not callable(fn):
        msg = f"fn must be a function of the state, not {fn!r}"
        raise TypeError(msg)
    return _call(server, Query(fn), timeout)  # type: ignore[no-any-return]  # what fn returns


@overload
def take_snapshot(server: _Of[S], timeout: float | None = 5.0) -> Snapshot[S]: ...
@overload
def take_snapshot(server: Server, timeout: float | None = 5.0) -> Snapshot[Any]: ...
def take_snapshot(server: Server, timeout: float | None = 5.0) -> Snapshot[Any]:
    """Have a projection save a snapshot of what was published before, now, and return it.

    Raises:
        Timeout, ActorDead: as `state`.
        Exception: what `persist_snapshot` raised; the projection lives on.
    """
    return _call(server, TakeSnapshot(), timeout)  # type: ignore[no-any-return]  # a Snapshot


def status(server: Server) -> Status:
    """Return what a projection is doing, without a message to it: also while it is rebuilding, and after its death.

    Raises:
        ActorDead: nobody has that name, nor did a projection have it.
    """
    try:
        mailbox = any_mailbox_of(server)
    except ActorDead:
        last = _departed(server)
        if last is None:
            raise
        return last
    return _view(mailbox).status()


def _view(mailbox: Mailbox, timeout: float | None = 5.0) -> View:
    if mailbox.face is None:
        await_start(mailbox, timeout)
    view = mailbox.face
    if not isinstance(view, View):
        msg = f"{mailbox} is no projection, and has no state to be read"
        raise TypeError(msg)
    return view


def _projection(server: Server, timeout: float | None = 5.0) -> tuple[Mailbox, View]:
    try:
        mailbox = mailbox_of(server)
    except ActorDead as error:
        last = _departed(server) if error.reason == NOPROC else None
        if last is None or last.last_error is None:
            raise
        raise ActorDead(error.server, Crash(last.last_error)) from last.last_error  # it may wait for its restart
    return mailbox, _view(mailbox, timeout)


def _departed(server: Server) -> Status | None:
    return departed(server.name if isinstance(server, NamedRef) else server)


def _call(server: Server, message: object, timeout: float | None) -> Any:
    check_timeout(timeout)
    return call_mailbox(_projection(server, timeout)[0], message, timeout)


def _read(server: Server, timeout: float | None, dirty: bool, at_least: int | None) -> tuple[int, Any]:  # noqa: FBT001 - private
    check_timeout(timeout)
    if at_least is not None:
        _check_at_least(at_least, dirty)
    mailbox, view = _projection(server, timeout)
    if mailbox is current():
        msg = f"{mailbox} would wait for itself; in its own callbacks use self.state"
        raise CallingSelf(msg)
    if dirty:
        return view.copy(timeout)
    if at_least is None:
        store = resolve(view.store)
        target = view.feed.last(store)
        if view.seq == target and view.phase == "live" and view.is_of(store):
            return view.copy(timeout)
    else:
        target = at_least
        if view.seq >= target:
            return view.copy(timeout)
    return _reach(mailbox, view, target, timeout)


def _reach(mailbox: Mailbox, view: View, target: int, timeout: float | None) -> tuple[int, Any]:
    try:
        answer: tuple[int, Any] = call_mailbox(mailbox, target, timeout, view.expect)
    except Timeout as late:
        if view.torn:
            raise  # a handler's own
        msg = f"{mailbox} is at {view.seq} and did not reach {target} within {timeout} seconds"
        raise Timeout(msg) from late
    return answer


def _check_at_least(at_least: object, dirty: bool) -> None:  # noqa: FBT001 - private
    if isinstance(at_least, bool) or not isinstance(at_least, int):
        msg = f"at_least must be a whole number, an event's, not {at_least!r}"
        raise TypeError(msg)
    if at_least < 0:
        msg = f"at_least must be at least 0, not {at_least!r}"
        raise ValueError(msg)
    if dirty:
        msg = "dirty=True does not wait, at_least does: give one of them"
        raise ValueError(msg)
