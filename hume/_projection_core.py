"""What a projection does between its start and its end, in its own thread: restore, catch up, save, answer."""

from __future__ import annotations

import heapq
import itertools
import logging
import time
import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Never, TypeVar, cast

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr

from hume import telemetry
from hume._behaviour import Clauses, Options
from hume._bus import Look
from hume._replay import apply
from hume._requests import TICK, Query, TakeSnapshot, Tick
from hume._snapshot import Snapshot, SnapshotPolicy, SnapshotStore, SnapshotTable
from hume._view import Interrupted, View
from hume._watch import is_handling_watched, watched
from hume.actors._gen_server import GenServer, Stop
from hume.actors._isolate import isolated
from hume.actors._signals import NORMAL, is_orderly
from hume.errors import ActorDead, Timeout
from hume.stores._event_store import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from hume._feed import Feed
    from hume.actors._mailbox import Reply
    from hume.actors._signals import ExitSignal
    from hume.stores._event import Event
    from hume.stores._event_store import EventStore
    from hume.stores._page import Page

__all__ = ["ProjectionCore", "Settings"]

State = TypeVar("State")

_log = logging.getLogger("hume.projection")

_PAGE: Final = 1000  # events that are applied between two looks at the mailbox
_STORE_RETRY: Final = 0.25  # seconds until the next look at a store that is down
_MISSING: Final = object()

_INIT = ("hume", "projection", "init")
_CATCH_UP = ("hume", "projection", "catch_up")
_CAUGHT_UP = ("hume", "projection", "caught_up")
_SNAPSHOT = ("hume", "projection", "snapshot")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a projection is started with."""

    feed: Feed
    projection: Hashable
    options: Options


class _StoreDown(Exception):
    """The store is dead, nobody has its name, or it does not answer, for the time being."""

    def __init__(self, error: ActorDead | Timeout) -> None:
        super().__init__(error)
        self.error = error


class ProjectionCore(GenServer, Generic[State]):
    """The callbacks of a projection, and the life that calls them."""

    __hume_options__: ClassVar[Options] = Options()
    __hume_handlers__: ClassVar[Mapping[type, str]] = {}
    __hume_recorded__: ClassVar[bool] = False

    # -- callbacks; what is of the user's own choosing is Any, so that an override may say what it is

    def init_state(self, projection: Any, /) -> State:
        """Return the state before the first event."""
        msg = f"{type(self).__name__} must have init_state(self, projection), the state before the first event"
        raise NotImplementedError(msg)

    def handle_event(self, payload: Any, state: State, /) -> State | None:
        """Return the state after the event; `None` (a ``match`` that fell through) says that no clause handles it."""

    def handle_recorded(self, event: Event, state: State, /) -> State | None:
        """Return the state after the event; override this instead of `handle_event` to get the event as recorded."""
        return self.handle_event(event.payload, state)

    def on_init(self, projection: Any, /) -> None:
        """Do what is to be done when the state has been restored from its snapshot, before catching up."""

    def on_caught_up(self, snapshot: Snapshot[State], /) -> None:
        """Do what is to be done whenever the end of the log is reached. An error is logged and counted."""

    def last_snapshot(self, projection: Any, /) -> Snapshot[State] | None:
        """Return the snapshot to start from, `None` for none; by default, what the snapshot store has."""
        return self._snapshots.last_snapshot(projection)

    def persist_snapshot(self, projection: Any, snapshot: Snapshot[State], /) -> None:
        """Keep a snapshot; by default, in the snapshot store. An error is logged and counted."""
        self._snapshots.persist_snapshot(projection, snapshot)

    @property
    def state(self) -> State:
        """The state, for methods of your own in the actor; in a handler it is the argument that counts."""
        state: State = self._view.state
        return state

    @state.setter
    def state(self, state: Never) -> None:
        msg = "a projection's state can't be assigned: handlers return the new one, and anybody else publishes an event"
        raise AttributeError(msg)

    # -- its life; all that follows runs in the actor's thread

    def init(self, settings: Settings) -> None:
        """Restore the state from the last snapshot, or begin with `init_state`."""
        began = time.perf_counter()
        mailbox, options = self.actor_inbox, settings.options
        self._options = options
        self._view = View(mailbox, settings.projection, settings.feed, options.store, options.copy_state)
        self._clauses = Clauses(self, self.__hume_handlers__, strict=options.strict)
        self._policy = SnapshotPolicy(options.snapshot_every, options.snapshot_after, self.clock.monotonic())
        self._is_cut_off = False  # its store is down
        self._waiters: list[tuple[int, int, Reply]] = []  # a heap: the nearest number first
        self._tickets = itertools.count()
        if mailbox.name is not None:
            self._view.leave_a_note(mailbox.name)
        settings.feed.subscribe(self._view.hint, mailbox)  # before the log is read, so that no hint is missed
        store = resolve(options.store)
        self._snapshots: SnapshotStore = self._snapshot_store(store)
        self._restore(store)
        mailbox.face = self._view
        self.on_init(settings.projection)
        self._timer = mailbox.set_timer(self._tick_delay(), TICK)
        self._view.hint.give()
        self._execute(_INIT, {"duration": time.perf_counter() - began, "seq": self._view.seq})

    def _snapshot_store(self, store: EventStore) -> SnapshotStore:
        given = self._options.snapshots
        if given is None:
            given = getattr(store, "snapshots", None)
        return SnapshotTable(self._view.projection) if given is None else given

    def _restore(self, store: EventStore) -> None:
        view = self._view
        view.log_id = getattr(store, "log_id", None)
        snapshot = self._usable_snapshot(store)
        if snapshot is None:
            view.state = self.init_state(view.projection)
        else:
            view.seq, view.snapshot_seq = snapshot.seq, snapshot.seq
            view.state = isolated(snapshot.state, view.copier)
            view.log_id = snapshot.log_id if view.log_id is None else view.log_id
        if view.log_id is None:
            view.log_id = uuid.uuid4()  # the store can't say, so its log gets a name here, which the snapshots keep

    def _usable_snapshot(self, store: EventStore) -> Snapshot[State] | None:
        view = self._view
        try:
            snapshot = self.last_snapshot(view.projection)
            if snapshot is not None and not isinstance(snapshot, Snapshot):
                msg = f"last_snapshot must return a Snapshot or None, not {snapshot!r}"
                raise TypeError(msg)  # noqa: TRY301 - dealt with just as an error of the callback's own
        except Exception as error:  # noqa: BLE001 - as in _announce: a user's callback
            self._note(error, "last_snapshot failed; starting from the first event")
            return None
        if snapshot is None:
            return None
        expected = {"projection": view.projection, "version": self._options.version, "log_id": view.log_id}
        for field, wanted in expected.items():
            found = getattr(snapshot, field)
            if found is not None and wanted is not None and found != wanted:
                words = "%s ignores a snapshot of another %s: %r, not %r"
                _log.warning(words, self, field, found, wanted, extra=self._log_fields())
                return None
        last = view.feed.last(store)
        if snapshot.seq > last:
            words = "%s ignores a snapshot at %d, ahead of its log at %d"
            _log.warning(words, self, snapshot.seq, last, extra=self._log_fields())
            return None
        return snapshot

    # -- catching up

    def _catch_up(self) -> None:
        """Apply what the log holds at this moment.

        What is published while this goes on comes with a hint of its own, so others get their turn in between.

        Raises:
            Interrupted: it is to end, which was noticed between two pages, or has been killed.
            _StoreDown: the store is dead, or does not answer, for the time being.
        """
        view = self._view
        self._admit()  # before the log is read
        try:
            store = resolve(view.store)
            page, end, last = view.feed.page(store, view.seq, _PAGE)
            if last < view.seq or not view.is_of(store):
                self._start_over(store)
                page, end, last = view.feed.page(store, 0, _PAGE)
            if end > view.seq:
                self._follow(store, page, end, last)
        except (ActorDead, Timeout) as error:
            if view.torn:
                raise  # a handler's own error
            raise _StoreDown(error) from error
        if not self.actor_inbox.alive:
            raise Interrupted  # killed meanwhile: its successor says that the end was reached, not this thread
        if view.phase != "live":
            view.phase = "live"
            self._announce()
        self._answer_waiters()  # who came with a number that had been reached

    def _follow(self, store: EventStore, page: Page, end: int, last: int) -> None:
        view, began, first = self._view, time.perf_counter(), self._view.seq
        view.phase = "catching_up"
        try:
            while end > view.seq:  # a store of somebody's own may have less than it says
                self._apply(page, end)
                self._admit()
                self._answer_waiters()
                self._save_if_due(more=end < last)
                if end >= last:
                    break
                if self._is_to_end():
                    raise Interrupted
                page, end, _ = view.feed.page(store, view.seq, min(_PAGE, last - end))
        finally:
            measurements = {"duration": time.perf_counter() - began, "events": view.seq - first}
            self._execute(_CATCH_UP, measurements, seq=view.seq)

    def _apply(self, page: Page, end: int) -> None:
        view = self._view
        with view.busy:
            try:
                apply(view, self._clauses_now(), page)
                view.seq = end  # beyond the last event, where what follows is not selected
            except Interrupted:
                raise
            except BaseException as error:
                view.torn = True
                view.failed(error)
                error.add_note(f"{self} was handling event {view.seq + 1} of stream {view.feed.stream!r}")
                raise
        view.applied += len(page.payloads)
        self._policy.events += len(page.payloads)

    def _clauses_now(self) -> Clauses:
        """Return the clauses; while somebody listens, those that tell of each event."""
        return watched(self._clauses, self._view) if telemetry._handlers and is_handling_watched() else self._clauses

    def _start_over(self, store: EventStore) -> None:
        """Begin again with the first event: the log is not the one that the state was folded from."""
        view = self._view
        _log.warning("%s starts over: its log was replaced by another one", self, extra=self._log_fields())
        with view.busy:
            view.seq, view.state = 0, self.init_state(view.projection)
            # where the store can't say which log it is, another name: so the new snapshots replace the old log's
            view.log_id = getattr(store, "log_id", None) or uuid.uuid4()
        view.snapshot_seq, view.phase = None, "catching_up"

    def _is_to_end(self) -> bool:
        """Tell whether a death is certain to follow, which will answer those who wait."""
        mailbox = self.actor_inbox
        return mailbox.stopping or not mailbox.alive or any(map(self._is_ended_by, mailbox.signals.copy()))

    def _is_ended_by(self, signal: ExitSignal) -> bool:
        return signal.source is self.actor_inbox.parent if self.trap_exit else signal.reason != NORMAL

    def _announce(self) -> None:
        view = self._view
        self._execute(_CAUGHT_UP, {"seq": view.seq})
        if type(self).on_caught_up is not ProjectionCore.on_caught_up:
            try:
                self.on_caught_up(self._snapshot())
            except Stop:
                raise
            except Exception as error:  # noqa: BLE001 - a user's callback; it is noted, and ends nothing
                self._note(error, "on_caught_up failed")

    def _try_to_catch_up(self, reply: Reply | None = None) -> bool:
        """Catch up; return `False` when that can't be done now, which *reply*, if any, then says."""
        try:
            self._catch_up()
        except Interrupted:
            return False  # whoever waits is answered by the death that comes
        except _StoreDown as down:
            if not self._is_cut_off:  # said once, and not at each try
                self._is_cut_off = True
                self._view.failed(down.error)
                about = self._log_fields(reason=down.error)
                _log.warning("%s can't read its store, and tries again: %s", self, down.error, extra=about)
            self.actor_inbox.move_timer(self._timer, min(_STORE_RETRY, self._options.catch_up_after))
            if reply is not None:
                reply.fail(down.error)
            return False
        self._is_cut_off = False
        return True

    # -- snapshots

    def _snapshot(self) -> Snapshot[State]:
        view = self._view
        state = isolated(view.state, view.copier)
        return Snapshot(view.seq, state, view.projection, self._options.version, view.log_id)

    def _save_if_due(self, *, more: bool = False) -> None:
        """Save a snapshot if one is due; else see to it that the timer fires when it is, if no *more* is to come."""
        now = self.clock.monotonic()
        wait = self._policy.wait(now, more=more)
        if wait == 0.0:
            self._save()
        elif wait is not None and not more and now + wait < self._timer.due:
            self.actor_inbox.move_timer(self._timer, wait)

    def _save(self) -> Snapshot[State] | Exception:
        """Save a snapshot; return it, or the error, which has been noted."""
        view, began = self._view, self.clock.monotonic()
        failure: Exception | None = None
        snapshot: Snapshot[State] | None = None
        try:
            snapshot = self._snapshot()
            if not self.actor_inbox.alive:
                raise Interrupted  # noqa: TRY301 - killed: what this thread still knows is nobody's business
            self.persist_snapshot(view.projection, snapshot)
            view.snapshot_seq = snapshot.seq
        except (Interrupted, Stop):
            raise
        except Exception as error:
            if self.actor_inbox.reason is not None:
                raise Interrupted from error  # killed in the middle of it: it was refused, and who waits is told why
            failure = error  # a user's callback; it is logged and counted, and ends nothing
            self._note(error, "persist_snapshot failed")
        now = self.clock.monotonic()
        self._policy.saved(began, now)
        self._execute(_SNAPSHOT, {"duration": now - began, "seq": view.seq}, error=failure)
        return failure or cast("Snapshot[State]", snapshot)  # there is one unless something failed

    def _finish(self, end: Stop) -> None:
        view = self._view
        if is_orderly(end.reason) and not view.torn and view.seq > (view.snapshot_seq or 0):
            try:
                self._save()
            except Interrupted:
                return
        super()._finish(end)

    # -- messages

    def _on_look(self, _look: Look, _reply: Reply | None) -> None:
        self._view.hint.taken()  # before the log is read
        self._try_to_catch_up()

    def _on_tick(self, _tick: Tick, _reply: Reply | None) -> None:
        self._timer = self.actor_inbox.set_timer(self._options.catch_up_after, TICK)
        if self._try_to_catch_up():
            self._save_if_due()
            self.actor_inbox.move_timer(self._timer, self._tick_delay())

    def _tick_delay(self) -> float:
        wait = self._policy.wait(self.clock.monotonic())
        soon = self._options.snapshot_after if wait is None else wait
        return self._options.catch_up_after if soon is None else min(self._options.catch_up_after, soon)

    def _admit(self) -> None:
        """Take note of those who have come to wait for a number."""
        arrivals = self._view.arrivals
        while arrivals:
            seq, reply = arrivals.popleft()
            ticket = next(self._tickets)
            if ticket % 100 == 0:  # now and then, drop those who have given up
                self._waiters = sorted(waiter for waiter in self._waiters if not waiter[2].done())
            heapq.heappush(self._waiters, (seq, ticket, reply))

    def _answer_waiters(self) -> None:
        view, waiters = self._view, self._waiters
        while waiters and waiters[0][0] <= view.seq:
            _, _, reply = heapq.heappop(waiters)
            if not reply.done():
                self._reply_with(reply, lambda: (view.seq, isolated(view.state, view.copier)))

    def _on_query(self, query: Query, reply: Reply) -> None:
        view = self._view
        if self._try_to_catch_up(reply):
            self._reply_with(reply, lambda: isolated(query.fn(view.state), view.copier))

    def _on_take_snapshot(self, _message: TakeSnapshot, reply: Reply) -> None:
        if self._try_to_catch_up(reply):
            saved = self._save()
            if isinstance(saved, Exception):
                reply.fail(saved)
            else:
                self._reply_with(reply, lambda: replace(saved, state=isolated(saved.state, self._view.copier)))

    def _on_proxied(self, message: ProxyCall | ProxyGetAttr | ProxySetAttr, reply: Reply | None) -> None:
        if self._try_to_catch_up(reply):
            self._on_proxy(message, reply)
        elif reply is None:
            self.actor_inbox.set_timer(_STORE_RETRY, message)  # .defer(): nobody to be told, so it waits for the store

    def _outgoing(self, answer: Any) -> Any:
        return isolated(answer, self._view.copier)

    @staticmethod
    def _reply_with(reply: Reply, answer: Callable[[], Any]) -> None:
        try:
            reply.set(answer())
        except Exception as error:  # noqa: BLE001 - a caller's function, or a copy of what can't be copied: his error
            reply.fail(error)

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any, Any], None]]] = {
        **GenServer._handlers,
        Look: _on_look,
        Tick: _on_tick,
        Query: _on_query,
        TakeSnapshot: _on_take_snapshot,
        ProxyCall: _on_proxied,
        ProxyGetAttr: _on_proxied,
        ProxySetAttr: _on_proxied,
    }

    # -- notes

    def _note(self, error: Exception, what: str) -> None:
        self._view.failed(error)
        _log.warning("%s: %s: %r", self, what, error, exc_info=error, extra=self._log_fields(reason=error))

    def _log_fields(self, **facts: object) -> dict[str, object]:
        """Return the fields of a log record: of the event at issue, or else of the last one applied."""
        view = self._view
        about = {"projection": view.projection, "stream": view.feed.stream, "seq": view.seq + view.torn}
        return super()._log_fields(**{**about, **facts})

    def _execute(self, event: telemetry.EventName, measurements: Mapping[str, Any], **more: Any) -> None:
        if telemetry.attached(event):
            telemetry.execute(event, measurements, {**self._view.about(), **more})
