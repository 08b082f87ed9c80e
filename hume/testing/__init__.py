"""What users test their own projections and stores with. The conformance classes need the extra ``test``."""

from hume.testing._event_store import BasicEventStoreConformance, EventStoreConformance
from hume.testing._snapshot_store import SnapshotStoreConformance

__all__ = ["BasicEventStoreConformance", "EventStoreConformance", "SnapshotStoreConformance"]
