"""Table: ETS semantics. One owner, an optional heir, an access mode, and an epoch that counts the owners."""

from __future__ import annotations

import copy
from _thread import LockType, allocate_lock
from collections.abc import Callable, Generator, Hashable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pykka._envelope import Envelope

from hume.actors._child_spec import one_of
from hume.actors._isolate import isolated
from hume.actors._mailbox import Mailbox, current
from hume.actors._registry import Server, acting, check_name, find, mailbox_of
from hume.actors._signals import FORKED
from hume.errors import ActorDead, AlreadyStarted, NotFound, NotOwner, TableDeleted

if TYPE_CHECKING:
    import pykka

__all__ = ["Table", "Transfer", "adopt_waiting", "drop_waiting", "set_patient_heir", "take"]

Access: TypeAlias = Literal["public", "protected", "private"]

# Tables by name, and the tables that wait for the application's heir to be started again. Under one lock, which is held
# for a few instructions; a table's own lock may be held when it is asked for, never the other way round.
_named: dict[Hashable, Table] = {}
_waiting: dict[Table, None] = {}
_lock: Final = allocate_lock()

_patient_heir: Hashable = object()  # the name of the one heir whose tables wait for it while it is down
_forks = 0  # how many forks lie between the first process and this one


@dataclass(frozen=True, slots=True)
class Transfer:
    """What the new owner of a table gets: the table, its previous owner, and the data that came with it."""

    table: Table
    from_ref: pykka.ActorRef[Any] | None
    data: Any


class Table(Mapping[Hashable, Any]):
    """An in-memory key-value table that belongs to one actor, with ETS's rules.

    Read it as any mapping (``items()`` and ``values()`` show one moment); write with `insert`, `insert_many`,
    `insert_new`, `delete`, `clear`. What goes in and what comes out is a copy. Every operation is atomic, `insert_many`
    too. Created by an actor it is that actor's; created in a thread that is no actor it is the application's, and all
    such threads may use it as their own.

    When its owner dies, whatever the reason, the heir becomes the owner and gets a `Transfer`; without a heir, or with
    a dead one, the table is deleted. (The tables of the application's own heir wait for it while it is restarted.)

    Args:
        name: any hashable; unique among live tables, and found by `Table.whereis`. `None`: no name.
        access: ``"public"`` (any thread reads and writes), ``"protected"`` (the owner writes, all read) or
            ``"private"`` (the owner only).
        heir: a ref, a proxy or a name, which is resolved when the owner dies.
        heir_data: comes with the `Transfer` to the heir.
        copier: how rows are copied; `None` when the rows are never changed in place.

    Raises:
        AlreadyStarted: a live table has that name.
        TypeError: the heir is none of these.
    """

    def __init__(
        self,
        name: Hashable = None,
        *,
        access: Access = "protected",
        heir: Server | None = None,
        heir_data: Any = None,
        copier: Callable[[Any], Any] | None = copy.deepcopy,
    ) -> None:
        one_of("Table access", access, ("public", "protected", "private"))
        check_name(name, "a table's name")  # here, where nothing of the table is in anybody's hands
        self.name = name
        self.access = access
        self.epoch: int = 1
        self._heir, self._heir_data, self._copier = _checked_heir(heir), heir_data, copier
        self._rows: dict[Hashable, Any] = {}
        self._latch, self._fork = allocate_lock(), _forks
        owner = acting(current())
        self._owner: Mailbox | None = owner
        self._deleted = False
        with self.lock:  # whoever finds the name, or its owner's death, waits until the table is whole
            if not owner.add_table(self):  # first, so that a dead actor's thread does not hold the name for a moment
                self._drop_locked()
                raise owner.dead_error()
            if name is not None:
                with _lock:
                    holder = _named.setdefault(name, self)
                if holder is not self:
                    self._drop_locked()
                    # it has no owner while it waits for the application's heir
                    raise AlreadyStarted(
                        f"table {name!r}",
                        holder.owner,  # type: ignore[arg-type]
                        already="there, and belongs to",
                        way_out="use that one, which Table.whereis returns, or choose another name",
                    )

    # A table is an identity, as a ref is; not its rows, by which a mapping is compared.

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<Table {self.name!r} of {self._owner}, epoch {self.epoch}>"

    @staticmethod
    def whereis(name: Hashable) -> Table | None:
        """Return the live table of that name, or `None`."""
        return _named.get(name)

    @property
    def owner(self) -> pykka.ActorRef[Any] | None:
        """The owner's ref; `None` when the table is deleted, or waits for the application's heir to come back."""
        owner = self._owner
        return None if owner is None else owner.ref

    @property
    def lock(self) -> LockType:
        """What is held for each operation; not to be kept beyond a ``with``."""
        if self._fork != _forks:
            # another thread may have held it at the fork, and would never let go of it here
            what = f"table {self.name!r} of {self._owner}"
            raise ActorDead(what, FORKED)
        return self._latch

    # -- reading

    def __getitem__(self, key: Hashable) -> Any:
        with self._reading():
            value = self._rows[key]
        return isolated(value, self._copier)  # outside the lock: a row is replaced, never changed in place

    def __contains__(self, key: object) -> bool:
        with self._reading():
            return key in self._rows

    def __iter__(self) -> Iterator[Hashable]:
        with self._reading():
            return iter(list(self._rows))

    def __len__(self) -> int:
        with self._reading():
            return len(self._rows)

    def items(self) -> ItemsView[Hashable, Any]:
        """Return copies of all rows, as they are at one moment."""
        with self._reading():
            rows = self._rows.copy()
        return {key: isolated(value, self._copier) for key, value in rows.items()}.items()

    def values(self) -> ValuesView[Any]:
        """Return copies of all rows' values, as they are at one moment."""
        return dict(self.items()).values()

    # -- writing

    if not TYPE_CHECKING:  # to type checkers there is none of these

        def __setitem__(self, key: Hashable, value: Any) -> None:
            msg = "a table is written with insert(key, value), insert_many or insert_new"
            raise TypeError(msg)

        def __delitem__(self, key: Hashable) -> None:
            msg = "a row is taken out of a table with delete(key)"
            raise TypeError(msg)

    def insert(self, key: Hashable, value: Any) -> None:
        """Put a row in, in place of the one that has the key, if any."""
        self.insert_many([(key, value)])

    def insert_many(self, rows: Mapping[Any, Any] | Iterable[tuple[Hashable, Any]]) -> None:
        """Put several rows in, all or none, and no reader sees a part of them."""
        try:
            given = dict(rows)
        except (TypeError, ValueError):
            msg = f"rows must be a mapping, or pairs of a hashable key and a value, not {rows!r}"
            raise TypeError(msg) from None
        copied = {key: isolated(value, self._copier) for key, value in given.items()}
        with self._writing("insert"):
            self._rows.update(copied)

    def insert_new(self, key: Hashable, value: Any) -> bool:
        """Put a row in unless the key is there; return whether it was put in."""
        copied = isolated(value, self._copier)
        with self._writing("insert"):
            if key in self._rows:
                return False
            self._rows[key] = copied
            return True

    def delete(self, key: Hashable) -> None:
        """Take a row out, if it is there."""
        with self._writing("delete"):
            self._rows.pop(key, None)

    def clear(self) -> None:
        """Take all rows out."""
        with self._writing("clear"):
            self._rows.clear()

    def drop(self) -> None:
        """Delete the table itself; the owner may do that."""
        with self._owning("drop the table"):
            self._drop_locked()

    # -- owning

    def set_heir(self, heir: Server | None, heir_data: Any = None) -> None:
        """Set the heir, or `None` for no heir; the owner may do that."""
        heir = _checked_heir(heir)
        with self._owning("set the heir"):
            self._heir, self._heir_data = heir, heir_data

    def give_away(self, new_owner: Server, data: Any = None) -> None:
        """Make another actor the owner; it gets a `Transfer` with *data*. The heir stays.

        Raises:
            NotOwner: the caller is not the owner.
            ValueError: the new owner is the owner.
            ActorDead: the new owner is dead or unknown; the table stays.
        """
        target = mailbox_of(new_owner)
        with self._owning("give it away") as owner:
            if target is owner:
                msg = f"table {self.name!r} belongs to {target} already; give it to another actor"
                raise ValueError(msg)
            if not self._move_locked(target):
                raise target.dead_error()
        target.put(Envelope(Transfer(self, owner.ref, data)))

    def owner_died(self, owner: Mailbox) -> None:
        """Hand the table to its heir, or delete it; called once by the dying owner's mailbox."""
        with self.lock:
            if self._owner is not owner or self._deleted:
                return  # it was given away at the last moment
            heir = self._inherit_locked()
            data = self._heir_data
        if heir is not None:
            heir.put(Envelope(Transfer(self, owner.ref, data)))

    def _inherit_locked(self) -> Mailbox | None:
        """Move the table to its heir and return it; `None` when the table now waits, or is gone."""
        if self._heir is _patient_heir:
            # Under the lock that adopt_waiting holds: either the heir is found here, or it finds the table waiting.
            with _lock:
                heir = find(self._heir)
                if heir is not None and self._move_locked(heir):
                    return heir
                _waiting[self] = None
            self._owner = None
            self.epoch += 1
            return None
        with suppress(ActorDead):
            if self._heir is not None and self._move_locked(heir := mailbox_of(self._heir)):
                return heir
        self._drop_locked()
        return None

    def _move_locked(self, target: Mailbox) -> bool:
        if not target.add_table(self):
            return False
        before, self._owner = self._owner, target
        self.epoch += 1
        # last, so that whoever ends the owner before comes here for the table, and waits until it has moved
        if before is not None and before is not target:
            before.drop_table(self)
        return True

    def _drop_locked(self) -> None:
        before, self._owner, self._deleted = self._owner, None, True
        self._rows = {}
        with _lock:
            _waiting.pop(self, None)
            if self.name is not None and _named.get(self.name) is self:
                del _named[self.name]
        if before is not None:
            before.drop_table(self)  # last, as above

    # -- who may do what: the lock is held, so that no owner changes between the check and the deed

    @contextmanager
    def _owning(self, action: str) -> Generator[Mailbox, None, None]:
        lock = self.lock
        me = acting(current())  # before the lock is held: it may start the application, whose heir asks for tables
        with lock:
            self._check_deleted()
            if self._owner is not me:
                raise NotOwner(self.name, action, self._owner or "the application's heir, when it is back")
            yield me

    @contextmanager
    def _reading(self) -> Generator[None, None, None]:
        if self.access == "private":
            with self._owning("read it"):
                yield
        else:
            with self.lock:
                self._check_deleted()
                yield

    @contextmanager
    def _writing(self, action: str) -> Generator[None, None, None]:
        if self.access != "public":
            with self._owning(action):
                yield
            return
        me = current()
        with self.lock:
            self._check_deleted()
            if me is not None and not me.alive:
                raise NotOwner(self.name, action, self._owner)  # a killed actor's thread writes nowhere
            yield

    def check_owner(self, owner: Mailbox) -> None:
        """Refuse unless *owner* owns the table; to be called with ``lock`` held."""
        if self._owner is not owner:
            raise owner.dead_error()

    def _check_deleted(self) -> None:
        if self._deleted:
            raise TableDeleted(self.name)

    def _check(self) -> None:
        """Assert that all records of the table agree; to be called when no owner is about to die."""
        with self.lock, _lock:
            owner = self._owner
            named = self.name is not None and _named.get(self.name) is self
            assert named == (self.name is not None and not self._deleted)
            assert (self in _waiting) == (owner is None and not self._deleted)
            assert owner is None or (owner.alive and self in owner._tables)
            assert not (self._deleted and (owner or self._rows))


def _checked_heir(heir: Server | None) -> Server | None:
    """Return what stands for a heir, refusing what can't be one; the patient heir is known by its name from here on."""
    if heir is None or heir is _patient_heir:
        return heir
    try:
        mailbox = mailbox_of(heir)
    except ActorDead:
        return heir  # it is looked up again when it is to inherit
    return _patient_heir if mailbox is find(_patient_heir) else heir


def set_patient_heir(name: Hashable) -> None:
    """Say which heir's tables wait for it while it is down; called once, by that heir's module."""
    global _patient_heir  # noqa: PLW0603 - the hook by which a table knows of the application's heir
    _patient_heir = name


def take(name: Hashable) -> tuple[Table, Mailbox]:
    """Move a table from the heir (or from those that wait for it) to the caller; return it, and the caller.

    Runs in the caller's thread: the move is one step under the table's lock, so it needs no heir that answers.

    Raises:
        NotFound: the heir has no such table.
    """
    me = acting(current())
    table = _named.get(name)
    if table is None:
        raise NotFound(name)
    with table.lock:
        owner = table._owner
        with _lock:
            waits = table in _waiting
        if not waits and (owner is None or owner is not find(_patient_heir)):
            raise NotFound(name, owner)
        if not table._move_locked(me):
            raise me.dead_error()
        with _lock:
            _waiting.pop(table, None)
    return table, me


def adopt_waiting(heir: Mailbox) -> list[Table]:
    """Make the heir, which has come back, the owner of the tables that wait for it; return them."""
    if heir is not find(_patient_heir):
        return []  # an heir under another name: no table waits for it
    with _lock:
        waiting = list(_waiting)
    adopted = []
    for table in waiting:
        with table.lock, _lock:
            if table in _waiting and table._move_locked(heir):
                del _waiting[table]
                adopted.append(table)
    return adopted


def drop_waiting() -> None:
    """Delete the tables that wait for a heir that will not come back: the application has stopped."""
    with _lock:
        waiting = list(_waiting)
    for table in waiting:
        with table.lock:
            if table._owner is None:
                table._drop_locked()


def forget_all() -> None:
    """Forget every table, in a child of `os.fork`, where none has an owner; whoever has one at hand gets an error."""
    global _forks  # noqa: PLW0603 - counted here only
    _forks += 1
    _named.clear()
    _waiting.clear()
