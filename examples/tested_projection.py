"""A projection and its tests, with the testing kit: its handlers without a thread, then the actor when things fail.

Run as a script it runs its tests; `pytest examples/tested_projection.py` finds them, too.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import hume
from hume.testing import FaultyStore, crash, given, wait_until


@dataclass(frozen=True)
class Scored:
    player: str
    points: int


@dataclass(frozen=True)
class Disqualified:
    player: str


class Leaderboard(hume.Projection[dict[str, int]], store=hume.EventStoreActor):
    def init_state(self, projection: Any) -> dict[str, int]:
        return {}

    @hume.handles(Scored)
    def scored(self, event: Scored, points: dict[str, int]) -> dict[str, int]:
        return {**points, event.player: points.get(event.player, 0) + event.points}

    @hume.handles(Disqualified)
    def disqualified(self, event: Disqualified, points: dict[str, int]) -> dict[str, int]:
        return {player: some for player, some in points.items() if player != event.player}


# -- what it does: no actor, no store, no thread


def test_points_add_up() -> None:
    given(Leaderboard, [Scored("ann", 3)]).when(Scored("ann", 4), Scored("bob", 5)).then({"ann": 7, "bob": 5}, times=2)


def test_who_is_disqualified_has_never_played() -> None:
    given(Leaderboard, [Scored("ann", 3), Scored("bob", 5)]).when(Disqualified("ann")).then({"bob": 5}, times=2)


def test_nonsense_is_refused() -> None:
    given(Leaderboard).when("nonsense").raises(hume.UnknownEvent)


# -- the actor, when things fail


def test_a_crash_loses_nothing() -> None:
    children = [(hume.EventStoreActor, {}), (Leaderboard, {"stream": "match", "name": "leaderboard"})]
    tree = hume.Supervisor.start_link(children)
    hume.publish(hume.EventStoreActor, "match", Scored("ann", 3))
    crash("leaderboard", RuntimeError("cosmic ray"))
    hume.publish(hume.EventStoreActor, "match", Scored("ann", 4))
    wait_until(lambda: hume.whereis("leaderboard"))  # its supervisor has started it again
    assert hume.state("leaderboard") == {"ann": 7}
    hume.stop(tree)


def test_a_store_that_fails_once_is_read_again() -> None:
    hume.EventStoreActor.start_link()
    store = FaultyStore(hume.EventStoreActor)
    ref = hume.start_link(Leaderboard, stream="match", store=store, projection="faulty")
    store.fail_next("append", OSError("disk full"))
    try:
        hume.publish(store, "match", Scored("bob", 1))
    except OSError as error:
        print("the publisher hears of it:", error)
    hume.publish(store, "match", Scored("bob", 2))
    assert hume.state(ref)["bob"] == 2
    hume.stop(hume.EventStoreActor)


def main() -> None:
    logging.getLogger("hume").setLevel(logging.CRITICAL)  # the crash is meant
    tests = [test for name, test in globals().items() if name.startswith("test_")]
    for test in tests:
        test()
        print("passed:", test.__name__.removeprefix("test_").replace("_", " "))
    assert len(tests) == 5


if __name__ == "__main__":
    main()
