"""Snapshots in a SQLite file: in the same one as the log, or in one of their own."""

from __future__ import annotations

import ast
import weakref
import zlib
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from hume._snapshot import Snapshot
from hume.errors import DecodeError
from hume.stores._codec import JSONCodec, check_codec, encoded_by
from hume.stores._selector import Selector
from hume.stores._sqlite_pool import Pool
from hume.stores._sqlite_schema import Database
from hume.stores._sqlite_write import MAX_PAYLOAD, Transaction, Work

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Hashable
    from pathlib import Path

    from hume.stores._codec import Codec

__all__ = ["SQLiteSnapshotStore", "SaveSnapshot", "key_of"]

_SAVE: Final = """
    INSERT INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (projection) DO UPDATE SET
        seq = excluded.seq, version = excluded.version, log_id = excluded.log_id, type = excluded.type,
        type_version = excluded.type_version, data = excluded.data, checksum = excluded.checksum
    WHERE excluded.version <> version OR excluded.log_id <> log_id OR excluded.seq >= seq"""
_LOAD: Final = "SELECT seq, version, log_id, type, type_version, data, checksum FROM snapshots WHERE projection = ?"


def key_of(value: Hashable) -> str:
    """Return the text by which a projection's identity, a version or a log's identity is stored.

    The same in every process and for ever: what ``repr`` gives for `None`, bool, int, float, str and bytes, for UUIDs
    and for tuples of all these; for the selection of several streams ``['a', 'b']``, ``prefix('order-')`` or ``ALL``.

    Raises:
        TypeError: it is made of something else, of which no such text is known.
    """
    if type(value) in {type(None), bool, int, float, str, bytes, UUID}:
        return repr(value)
    if type(value) is tuple:
        return f"({''.join(f'{key_of(part)}, ' for part in value)})"
    if isinstance(value, Selector):
        if value.streams is not None:
            return f"[{', '.join(map(key_of, value.streams))}]"
        return repr(value)
    msg = f"a snapshot in a file goes by text, numbers, UUIDs, and tuples of them, not by {value!r}; give projection="
    raise TypeError(msg)


def _value_of(key: str) -> Hashable:
    """Return what `key_of` made a text of, unless a selection is in it."""
    return _built(ast.parse(key, mode="eval").body)


def _built(node: ast.expr) -> Hashable:
    if isinstance(node, ast.Call):
        return UUID(ast.literal_eval(node.args[0]))
    if isinstance(node, ast.Tuple):
        return tuple(map(_built, node.elts))
    value: Hashable = ast.literal_eval(node)
    return value


class SaveSnapshot(Work):
    """A snapshot that takes the place of the projection's last, unless it is older; encoded in the caller's thread."""

    __slots__ = ("_row",)

    def __init__(self, codec: Codec, projection: Hashable, snapshot: Snapshot[Any]) -> None:
        kind, version, data = encoded_by(codec, snapshot.state)
        if len(data) > MAX_PAYLOAD:
            msg = f"the state of {projection!r} takes {len(data)} bytes, and a snapshot may take {MAX_PAYLOAD}"
            raise ValueError(msg)
        about = snapshot.seq, key_of(snapshot.version), key_of(snapshot.log_id)
        self._row = key_of(projection), *about, kind, version, data, zlib.crc32(data)

    def run(self, transaction: Transaction) -> None:
        """Save it."""
        self.save(transaction.connection)

    def save(self, connection: sqlite3.Connection) -> None:
        """Save it: one statement, which looks and writes at once."""
        connection.execute(_SAVE, self._row)


class SQLiteSnapshotStore:
    """A `SnapshotStore` in a SQLite file, for any number of projections, threads and processes.

    A `SQLiteEventStore` has one, in its own file, which its projections use by default; use this for another store's
    projections. States are stored by the codec, as payloads are. An older snapshot never replaces a newer one of the
    same version and log.

    Args:
        path: the file, which is made if there is none; ``":memory:"`` for one that ends with this object.
        codec: encodes the states; default: `JSONCodec`.

    Raises:
        TypeError, ValueError: the path or the codec is not allowed.
        StorageFailed: the file is not ours, or can't be used.
    """

    def __init__(self, path: str | Path, codec: Codec | None = None) -> None:
        if codec is not None:
            check_codec(codec)
        self._use(Database(path), JSONCodec() if codec is None else codec, lambda _work: False)
        with self._pool.turn(), self._pool.lend("open it"):
            pass  # so that a file that is not ours is refused here and now

    def _use(self, database: Database, codec: Codec, send: Callable[[SaveSnapshot], bool]) -> None:
        self._codec, self._send = codec, send
        self._pool = pool = Pool(database, database.connect, lambda: _check_open(pool), single=True)
        # Not for good: at interpreter exit it comes before the projections stop, and they are yet to save theirs.
        weakref.finalize(self, pool.drain)

    @classmethod
    def of(cls, database: Database, codec: Codec, send: Callable[[SaveSnapshot], bool]) -> SQLiteSnapshotStore:
        """Return the snapshot store of an event store that writes for it: *send* returns whether it could."""
        if database.in_memory:
            return cls(database.path, codec)
        store = cls.__new__(cls)
        store._use(database, codec, send)
        return store

    def last_snapshot(self, projection: Hashable) -> Snapshot[Any] | None:
        """Return the newest snapshot of a projection; `None` if there is none.

        Raises:
            StorageFailed: the file can't be read.
            DecodeError: the snapshot is damaged, or its type is unknown. (A projection then folds its whole log.)
        """
        with self._pool.turn(), self._pool.lend("read a snapshot") as connection:
            row = connection.execute(_LOAD, (key_of(projection),)).fetchone()
        if row is None:
            return None
        seq, version, log_id, *stored = row
        state = self._state(projection, *stored)
        return Snapshot(seq, state, projection, _value_of(version), _value_of(log_id))

    def persist_snapshot(self, projection: Hashable, snapshot: Snapshot[Any]) -> None:
        """Keep a snapshot in place of the one there is, unless that one is newer, of the same version and log.

        Raises:
            StorageFailed: the file can't be written.
            TypeError: an identity that has no text, see `key_of`; EncodeError: a state that the codec can't encode.
        """
        work = SaveSnapshot(self._codec, projection, snapshot)
        if not self._send(work):
            with self._pool.turn(), self._pool.lend("save a snapshot") as connection:
                work.save(connection)

    def close(self) -> None:
        """Close the file for good."""
        self._pool.close()

    def release(self) -> None:
        """Close the file until it is needed again."""
        if not self._pool.database.in_memory:
            self._pool.drain()

    def _state(self, projection: Hashable, kind: str, version: int, data: bytes, checksum: int) -> Any:
        if zlib.crc32(data) != checksum:
            raise DecodeError(kind, version, f"the snapshot of {projection!r} is truncated or damaged")
        states = self._codec.decode(kind, version, data)
        if len(states) != 1:
            raise DecodeError(kind, version, f"the snapshot of {projection!r} is one state, and not {len(states)}")
        return states[0]


def _check_open(pool: Pool) -> None:
    if pool.closed:
        msg = f"the snapshot store {pool.database.path} is closed"
        raise ValueError(msg)
