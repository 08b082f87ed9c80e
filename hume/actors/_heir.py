"""HeirActor: the application's heir, behind every projection's snapshots and the in-memory store's logs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

from hume import telemetry
from hume.actors import _table
from hume.actors._gen_server import GenServer
from hume.actors._table import Table, Transfer
from hume.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pykka

__all__ = ["HeirActor"]

_log = logging.getLogger("hume.actors.heir")


class HeirActor(GenServer):
    """The heir that the application starts, registered under its class: tables survive their owners' crashes with it.

    Name it as a table's heir (``Table(name, heir=HeirActor)``); whoever takes the dead owner's place then asks for the
    table with `take`. If the heir itself dies, its tables wait until it is restarted, and can be taken meanwhile.
    """

    @classmethod
    def start_link(cls, *, name: Hashable = None, timeout: float | None = None) -> pykka.ActorRef[Self]:
        """Start it under its class's name; the application does this."""
        return super().start_link(name=cls if name is None else name, timeout=timeout)

    @staticmethod
    def take(name: Hashable) -> Table:
        """Make the caller the owner of a table that the heir has, and return it.

        Raises:
            NotFound: the heir has no table of that name; a live owner keeps its own.
        """
        try:
            table, owner = _table.take(name)
        except NotFound:
            telemetry.execute(("hume", "heir", "not_found"), {}, {"table": name})
            raise
        telemetry.execute(("hume", "heir", "sent"), {"epoch": table.epoch}, {"table": name, "to_ref": owner.ref})
        return table

    def init(self) -> None:
        """Become the owner of the tables that waited."""
        for table in _table.adopt_waiting(self.actor_inbox):
            self._received(table, None)

    def handle_info(self, message: Any, /) -> None:
        """Note what was inherited."""
        if isinstance(message, Transfer):
            self._received(message.table, message.from_ref)
        else:
            super().handle_info(message)

    def _received(self, table: Table, from_ref: pykka.ActorRef[Any] | None) -> None:
        noted = self._log_fields(table=table.name)
        _log.debug("%s inherited table %r from %s", self, table.name, from_ref, extra=noted)
        about = {"table": table.name, "from_ref": from_ref}
        telemetry.execute(("hume", "heir", "received"), {"epoch": table.epoch}, about)


_table.set_patient_heir(HeirActor)
