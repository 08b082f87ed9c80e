"""SQLiteEventStore: a log in a file, written by one actor, many appends to a transaction, and read by any thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from hume import telemetry
from hume.actors._calls import call_mailbox
from hume.actors._clock import SYSTEM_CLOCK
from hume.actors._mailbox import Mailbox, Reply, current
from hume.errors import ActorDead
from hume.stores._codec import Codec, JSONCodec, check_codec
from hume.stores._sqlite_commit import Committer, new_answer
from hume.stores._sqlite_pool import Pool
from hume.stores._sqlite_read import Reader
from hume.stores._sqlite_restore import Restore, as_records, read_records
from hume.stores._sqlite_schema import Database, Durability
from hume.stores._sqlite_snapshots import SaveSnapshot, SQLiteSnapshotStore
from hume.stores._sqlite_write import MAX_PAYLOAD, Append, AppendMany, EncodedBatch, EncodedEvent, Work
from hume.stores._store_server import StoreServer
from hume.telemetry import _handlers

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    import pykka

    from hume.actors._child_spec import ChildSpec
    from hume.stores._event import Event
    from hume.stores._record import Record

__all__ = ["SQLiteEventStore", "SQLiteSnapshotStore"]

_APPEND: Final = ("hume", "store", "append")
_POLL_AFTER: Final = 0.025  # seconds between two looks for what other processes wrote
_ANSWER_WITHIN: Final = 120.0  # seconds; the wait for another process's lock and a slow disk are well below
_MAX_PAYLOAD: Final = 16 * 2**20  # bytes, unless a store is started with another limit


class _Poll:
    """The timer's message: look whether another process has written."""


_POLL: Final = _Poll()


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a store is started with; checked in the starter's thread."""

    database: Database
    codec: Codec
    max_payload: int


class Journal(Reader):
    """The store's methods, for any thread: reads run where they are called, and appends where nobody has to wait."""

    __slots__ = ("_committer", "_mailbox", "_max_payload", "snapshots")

    def __init__(self, mailbox: Mailbox, committer: Committer, readers: Pool, settings: _Settings) -> None:
        super().__init__(readers, committer.origin, settings.codec)
        self._mailbox, self._committer, self._max_payload = mailbox, committer, settings.max_payload
        self.snapshots = SQLiteSnapshotStore.of(settings.database, settings.codec, self._send)

    def append(
        self,
        stream: Hashable,
        payloads: Iterable[Any],
        expect_seq: Any = None,
        *,
        ids: Iterable[UUID] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> int:
        """Append all payloads or none; see `FullEventStore.append`.

        When this returns they are on the disk. Who gets `ActorDead` or `Timeout` instead does not know whether they
        are, for the store may have died, or been slow, just after it wrote them: then the same append again, with ids,
        stores nothing twice.

        Raises:
            StorageFailed: the file could not be written; nothing was stored.
            EncodeError: a payload that the codec can't encode.
        """
        batch = EncodedBatch(self._codec, self._max_payload, stream, payloads, expect_seq, ids, metadata)
        return self._tell(batch, self._store(batch))

    def append_one(self, stream: Hashable, payload: Any) -> int:
        """Append one payload, of which nothing else is said; see `DirectStore.append_one`, and `append`."""
        if current() is not None:
            return self.append(stream, (payload,))  # an actor's events say more: what they follow from
        event = EncodedEvent(self._codec, self._max_payload, stream, payload)
        return self._tell(event, self._store(event))

    def append_many(
        self, batches: Iterable[tuple[Hashable, Iterable[Any], Any]], *, metadata: Mapping[str, Any] | None = None
    ) -> list[int]:
        """Append to several streams, all or nothing; see `FullEventStore.append_many`, and `append`."""
        encoded = [EncodedBatch(self._codec, self._max_payload, *batch, metadata=metadata) for batch in batches]
        answers = self._store(AppendMany(encoded)) if encoded else []
        return [self._tell(batch, answer) for batch, answer in zip(encoded, answers, strict=True)]

    def restore(self, events: Iterable[Event]) -> int:
        """Store events with the ids, numbers and times that they have; see `FullEventStore`, and `append`."""
        return self.restore_records(as_records(events, self._codec, self._max_payload))

    @property
    def codec(self) -> Codec:
        """What makes bytes of payloads and metadata."""
        return self._codec

    def records(self, after: int, limit: int) -> list[Record]:
        """Return events as they are stored; see `RecordStore.records`."""
        return read_records(self._readers, self._origin, after, limit)

    def restore_records(self, records: Sequence[Record]) -> int:
        """Store events as they were stored before; see `RecordStore.restore_records`."""
        new: int = self._store(Restore(records, self._max_payload))
        return new

    def _tell(self, batch: Append, answer: tuple[int, bool]) -> int:
        """Tell who listens that a batch was appended; return its last number."""
        seq, is_new = answer
        if _handlers and is_new and telemetry.attached(_APPEND):
            about = {"store": self._mailbox.ref, "stream": batch.stream}
            telemetry.execute(_APPEND, {"events": len(batch.payloads), "seq": seq}, about)
        return seq

    def _store(self, work: Work) -> Any:
        me = current()
        if me is not None and not me.alive:
            raise me.dead_error()  # a killed actor's thread writes nowhere
        if me is self._mailbox:  # through a proxy; a message to itself it would never see
            reply: Reply | None = Reply()
            self._committer.do(work, reply)
        else:
            reply = self._committer.do_here(work)
        if reply is None:
            return call_mailbox(self._mailbox, work, _ANSWER_WITHIN, self._committer.send, new_answer)
        return reply.get()

    def _send(self, work: SaveSnapshot) -> bool:
        """Have the actor save a snapshot, in turn with its appends; return `False` when it is dead."""
        me = current()
        try:
            self._store(work)
        except ActorDead:
            if me is not None and not me.alive:
                raise  # a killed actor's thread saves nothing
            return False
        return True


class SQLiteEventStore(StoreServer):
    """An event store in a SQLite file, registered under its class unless it is given another name.

    What an append has returned for survives a crash of the process, and with ``durability="full"`` one of the machine.
    Appends that wait together share one transaction, and so one wait for the disk; each has its own answer. Reads run
    in the caller's thread and never wait for a writer (in memory, for the transaction in hand). Several processes may
    have the same file open; a projection hears of what another process wrote within about 50 ms. Projections keep
    their snapshots in the same file, unless they are told otherwise.

    Example::

        SQLiteEventStore.start_link("warehouse.db")
        hume.publish(SQLiteEventStore, "warehouse", ("add", "foo", 42))
    """

    # -- starting: the starter's thread

    @classmethod
    def start(
        cls,
        path: str | Path,
        *,
        name: Hashable = None,
        durability: Durability = "full",
        codec: Codec | None = None,
        max_payload: int = _MAX_PAYLOAD,
        timeout: float | None = None,
    ) -> pykka.ActorRef[Self]:
        """Start a store, named by its class unless *name* is given; the file is made if there is none.

        Args:
            path: the file; ``":memory:"`` for a log that ends with the store.
            name: by which it can be addressed.
            durability: ``"full"``: an append returns when its events are on the disk; ``"normal"``: when the system
                has them, so that they survive a crash of the process, but the last may not survive a loss of power.
            codec: encodes payloads and metadata; default: `JSONCodec`.
            max_payload: bytes that an encoded payload may take.
            timeout: seconds that opening it may take; `None`: no limit.

        Raises:
            StorageFailed: the file is another program's, or made by a newer version, or can't be used; it is unchanged.
            AlreadyStarted: the name is taken.
            TypeError, ValueError: an argument is not allowed.
        """
        settings = _checked(path, durability, codec, max_payload)
        return super().start(settings, name=cls if name is None else name, timeout=timeout)

    @classmethod
    def start_link(
        cls,
        path: str | Path,
        *,
        name: Hashable = None,
        durability: Durability = "full",
        codec: Codec | None = None,
        max_payload: int = _MAX_PAYLOAD,
        timeout: float | None = None,
    ) -> pykka.ActorRef[Self]:
        """Start a store as `start` does, linked to the calling actor, or else to the application."""
        settings = _checked(path, durability, codec, max_payload)
        return super().start_link(settings, name=cls if name is None else name, timeout=timeout)

    @classmethod
    def child_spec(cls, path: str | Path, **options: Any) -> ChildSpec:
        """Return how a supervisor starts this store; the options are those of `start`, and are checked here."""
        _checked(path, **{name: value for name, value in options.items() if name not in {"name", "timeout"}})
        return super().child_spec(path, **options)

    # -- its life; all that follows runs in the actor's thread

    def init(self, settings: _Settings) -> None:
        """Open the file."""
        mailbox, database = self.actor_inbox, settings.database
        readers = writer = Pool(database, database.connect, lambda: _check_alive(mailbox), single=True)
        if not database.in_memory:
            readers = Pool(database, database.connect_to_read, lambda: _check_alive(mailbox))
        _at_death(mailbox, readers.close)
        _at_death(mailbox, writer.close)  # last, when it can put the file in order
        self._committer = Committer(writer, settings.codec, mailbox, self.clock)
        self._journal = Journal(mailbox, self._committer, readers, settings)
        _at_death(mailbox, self._journal.snapshots.release)
        mailbox.face = self._journal
        if not database.in_memory:
            mailbox.clock = SYSTEM_CLOCK  # of its timers: other processes go by no other clock
            self.send_after(_POLL_AFTER, _POLL)

    def _on_work(self, work: Work, reply: Reply | None) -> None:
        self._committer.do(work, reply)

    def _on_poll(self, _poll: _Poll, _reply: Reply | None) -> None:
        self.send_after(_POLL_AFTER, _POLL)
        self._committer.look()

    _handlers: ClassVar[Mapping[type, Callable[[Any, Any, Any], None]]] = {
        **StoreServer._handlers,
        EncodedBatch: _on_work,
        EncodedEvent: _on_work,
        AppendMany: _on_work,
        Restore: _on_work,
        SaveSnapshot: _on_work,
        _Poll: _on_poll,
    }


def _checked(
    path: str | Path, durability: Durability = "full", codec: Codec | None = None, max_payload: int = _MAX_PAYLOAD
) -> _Settings:
    if isinstance(max_payload, bool) or not isinstance(max_payload, int):
        msg = f"max_payload must be a whole number of bytes, not {max_payload!r}"
        raise TypeError(msg)
    if not 1 <= max_payload <= MAX_PAYLOAD:
        msg = f"max_payload must be from 1 to {MAX_PAYLOAD} bytes, not {max_payload}"
        raise ValueError(msg)
    if codec is not None:
        check_codec(codec)
    return _Settings(Database(path, durability), JSONCodec() if codec is None else codec, max_payload)


def _check_alive(mailbox: Mailbox) -> None:
    if not mailbox.alive:
        raise mailbox.dead_error()


def _at_death(mailbox: Mailbox, release: Callable[[], object]) -> None:
    if not mailbox.at_death(release):
        release()
