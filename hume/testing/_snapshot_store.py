"""What every snapshot store must do, as a pytest class."""

from __future__ import annotations

from typing import Any

import pytest

from hume._snapshot import Snapshot

__all__ = ["SnapshotStoreConformance"]


def _snapshot(seq: int, state: Any = None, **about: Any) -> Snapshot[Any]:
    facts = {"projection": "p", "version": 1, "log_id": None, **about}
    return Snapshot(seq, {"at": seq} if state is None else state, **facts)


class SnapshotStoreConformance:
    """The contract that `SnapshotStore` states: ``last_snapshot``, ``persist_snapshot``.

    Example::

        class TestMySnapshots(SnapshotStoreConformance):
            @pytest.fixture
            def snapshots(self):
                return MySnapshots()
    """

    @pytest.fixture
    def snapshots(self) -> Any:
        """Return an empty snapshot store; to be overridden."""
        msg = f"{type(self).__name__} needs a fixture `snapshots` that returns an empty snapshot store"
        raise NotImplementedError(msg)

    def test_there_is_none_at_first(self, snapshots: Any) -> None:
        """`None`, for whichever projection."""
        assert snapshots.last_snapshot("p") is None

    @pytest.mark.parametrize("state", [0, "text", {"a": [1, {"b": None}]}, [], [[1], [2]], 1.5, True])
    def test_a_snapshot_comes_back_as_it_was(self, snapshots: Any, state: Any) -> None:
        """Number, state, and where it comes from."""
        kept = _snapshot(7, state)
        snapshots.persist_snapshot("p", kept)
        found = snapshots.last_snapshot("p")
        assert found == kept
        assert type(found.state) is type(state)
        assert (found.projection, found.version) == ("p", 1)

    def test_a_newer_snapshot_takes_the_place(self, snapshots: Any) -> None:
        """Only the newest is kept."""
        for seq in (1, 5, 9):
            snapshots.persist_snapshot("p", _snapshot(seq))
            assert snapshots.last_snapshot("p") == _snapshot(seq)

    @pytest.mark.parametrize("older", [0, 1, 4])
    def test_an_older_snapshot_does_not_replace_a_newer_one(self, snapshots: Any, older: int) -> None:
        """Of the same version and log."""
        snapshots.persist_snapshot("p", _snapshot(5))
        snapshots.persist_snapshot("p", _snapshot(older))
        assert snapshots.last_snapshot("p") == _snapshot(5)

    @pytest.mark.parametrize("change", [{"version": 2}, {"log_id": "another log"}])
    def test_a_snapshot_of_another_version_or_log_takes_the_place_at_any_number(
        self, snapshots: Any, change: dict[str, Any]
    ) -> None:
        """The one that is there is of no use any more."""
        snapshots.persist_snapshot("p", _snapshot(5))
        snapshots.persist_snapshot("p", _snapshot(2, **change))
        found = snapshots.last_snapshot("p")
        assert found == _snapshot(2)
        assert {name: str(getattr(found, name)) for name in change} == {
            name: str(value) for name, value in change.items()
        }

    def test_projections_have_snapshots_of_their_own(self, snapshots: Any) -> None:
        """Also those whose identities look alike."""
        identities = ["p", "P", "p ", ("p", "stream"), ("p", "other")]
        for seq, projection in enumerate(identities):
            snapshots.persist_snapshot(projection, _snapshot(seq, projection=projection))
        for seq, projection in enumerate(identities):
            assert snapshots.last_snapshot(projection) == _snapshot(seq)
