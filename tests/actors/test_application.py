"""The application: the root that every program gets when it needs one."""

from __future__ import annotations

from queue import SimpleQueue
from typing import Any

import pykka
import pytest

from hume.actors import (
    Application,
    ChildSpec,
    GenServer,
    HeirActor,
    Supervisor,
    Table,
    application,
    kill,
    stop,
    stop_application,
    whereis,
)
from hume.errors import TableDeleted
from tests.helpers import (
    LIMIT,
    Gate,
    Probe,
    all_at_once,
    do,
    drained,
    eventually,
    exit_reason,
    gone,
    in_thread,
    mailbox,
    next_of,
)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Begin without an application."""
    stop_application()


class Named(GenServer):
    """Says its name when it ends."""

    def init(self, name: str, ended: SimpleQueue[Any]) -> None:
        self.own_name, self.ended = name, ended

    def terminate(self, reason: Any) -> None:
        self.ended.put((self.own_name, reason))


class Stuck(GenServer):
    """Sits in a handler until the gate opens."""

    def init(self, gate: Gate) -> None:
        self.continue_with(gate)

    def handle_continue(self, argument: Gate) -> None:
        argument.hold()


def test_there_is_no_application_until_it_is_needed() -> None:
    """M8: an unlinked actor needs none; a linked one, or a table, from a thread that is no actor does."""
    Probe.start()
    assert whereis(Application) is None
    linked = Probe.start_link()
    root = whereis(Application)
    assert root is not None
    assert root is application()
    assert linked.actor_inbox in root.actor_inbox.links  # type: ignore[attr-defined]  # the inbox is a Mailbox
    stop_application()
    assert whereis(Application) is None
    table = Table()
    assert table.owner is whereis(Application) is not root


def test_many_threads_that_need_it_at_once_get_one_application(fast_switching: None) -> None:
    """N2: and it has one heir."""
    for _ in range(10):
        roots = all_at_once(*[application] * 6)
        assert len(set(roots)) == 1
        assert len(pykka.ActorRegistry.get_by_class(HeirActor)) == 1
        stop_application()


def test_what_plain_threads_linked_is_stopped_in_the_reverse_of_the_order_started() -> None:
    """M8, V3: one after the other, as a shutdown; the heir goes last."""
    ended: SimpleQueue[Any] = SimpleQueue()
    for name in ("first", "second", "third"):
        Named.start_link(name, ended)
    heir = whereis(HeirActor)
    assert heir is not None
    heir.actor_inbox.monitor(lambda down: ended.put(("heir", down.reason)))  # type: ignore[attr-defined]
    stop_application()
    assert drained(ended) == [(name, "shutdown") for name in ("third", "second", "first", "heir")]
    assert pykka.ActorRegistry.get_all() == []


def test_a_restarted_heir_still_goes_last() -> None:
    """V3, defect 12: what ends before it can leave its tables there."""
    ended: SimpleQueue[Any] = SimpleQueue()

    class Leaving(GenServer):
        def init(self, *_: Any, **__: Any) -> None:
            self.heir = whereis(HeirActor)

        def terminate(self, reason: Any) -> None:
            ended.put(whereis(HeirActor))

    Leaving.start_link()
    first = whereis(HeirActor)
    kill(first)
    eventually(lambda: whereis(HeirActor) not in (None, first))
    second = whereis(HeirActor)
    stop_application()
    assert next_of(ended) is second is not None


def test_actors_that_are_not_linked_outlive_it() -> None:
    """M8: started by `start`, they are stopped by those who started them."""
    alone = Probe.start()
    application()
    stop_application()
    assert do(alone, lambda _: "alive") == "alive"


def test_an_actor_that_links_itself_to_it_hears_of_its_end() -> None:
    """M4: as with any other actor."""
    seen: SimpleQueue[Any] = SimpleQueue()
    actor = Probe.start(seen, trap_exit=True)
    root = application()
    do(actor, lambda probe: probe.link(root))
    stop_application()
    message = next_of(seen)
    assert (message.ref, message.reason) == (root, "shutdown")
    assert actor.is_alive()


def test_the_end_deletes_the_tables_of_threads_that_are_no_actors() -> None:
    """T1: with those that wait for the heir, which will not come back; their names are free."""
    mine, inherited = Table("mine"), Table("inherited", heir=HeirActor)
    owner = Probe.start()
    waiting = do(owner, lambda _: Table("waiting", heir=HeirActor))
    kill(owner)
    stop_application()
    for table in (mine, inherited, waiting):
        with pytest.raises(TableDeleted):
            len(table)
        table._check()
    assert Table.whereis("mine") is Table.whereis("inherited") is Table.whereis("waiting") is None


def test_stopping_what_does_not_run_does_nothing() -> None:
    """M8: any number of times, and no application is started for it."""
    stop_application()
    stop_application(0)
    assert whereis(Application) is None


@pytest.mark.parametrize("timeout", ["soon", True, -1, float("nan")])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(timeout: Any) -> None:
    """S8: and nothing is stopped."""
    root = application()
    with pytest.raises((TypeError, ValueError), match="timeout"):
        stop_application(timeout)
    assert root.is_alive()


def test_a_killed_root_takes_what_is_linked_with_it_and_a_new_one_has_the_tables() -> None:
    """T2, V9, defect 12: its own tables that have the heir, and those that the heir had."""
    owner = Probe.start_link()
    kept = do(owner, lambda _: Table("kept", heir=HeirActor))
    mine, lost = Table("mine", heir=HeirActor), Table("lost")
    mine.insert("key", 1)
    first = application()
    kill(first)
    assert exit_reason(owner) == "killed"
    second = application()
    assert second is not first
    assert whereis(Application) is second
    assert {mine.owner, kept.owner} == {whereis(HeirActor)}
    assert HeirActor.take("mine")["key"] == 1
    assert HeirActor.take("kept") is kept
    with pytest.raises(TableDeleted):
        len(lost)


def test_a_root_that_is_killed_again_and_again_comes_back_each_time(fast_switching: None) -> None:
    """N1, T2: at once, whoever asks, without a moment in which its name or its heir's is in the way."""
    Table("t", heir=HeirActor)
    for _ in range(30):
        root = application()
        killing = in_thread(kill, root)
        eventually(lambda root=root: not root.is_alive())  # type: ignore[misc]
        assert application() is not root
        assert killing.result(LIMIT)
    assert HeirActor.take("t") is Table.whereis("t")


def test_an_heir_that_is_stuck_does_not_keep_a_new_root_from_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """V18: it is killed, and its tables go to the new heir."""
    monkeypatch.setattr("hume.actors._application._WORKER_TIMEOUT", 0.05)
    Table("t", heir=HeirActor)
    with Gate() as gate:
        heir = whereis(HeirActor)
        assert heir is not None
        monkeypatch.setattr(HeirActor, "handle_info", lambda *_: gate.hold())
        GenServer.send(heir, "anything")
        gate.wait()
        kill(application())
        second = application()
        assert second.is_alive()
        assert HeirActor.take("t").owner is second
    gone(heir)


def test_an_heir_killed_many_times_never_brings_the_root_down() -> None:
    """V6, defect 12: more often than a supervisor's intensity allows, and the tables are there each time."""
    root = application()
    table = Table("t", heir=HeirActor)
    kill(root)
    root = application()
    for _ in range(6):
        eventually(lambda: table.owner is not None)
        heir = table.owner
        assert heir is not None
        kill(heir)
        eventually(lambda heir=heir: whereis(HeirActor) not in (None, heir))  # type: ignore[misc]
    assert application() is root
    assert HeirActor.take("t") is table


def test_a_stuck_actor_does_not_hold_up_the_end_and_the_others_end_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3, V18: it is killed when its time is over; what was started before it still ends as planned."""
    monkeypatch.setattr("hume.actors._application._WORKER_TIMEOUT", 0.5)
    ended: SimpleQueue[Any] = SimpleQueue()
    with Gate() as gate:
        Named.start_link("before", ended)
        stuck = [Stuck.start_link(gate), Stuck.start_link(gate)]
        Named.start_link("after", ended)
        gate.wait()
        stop_application(timeout=10.0)
        assert drained(ended) == [("after", "shutdown"), ("before", "shutdown")]
        assert [mailbox(actor).reason for actor in stuck] == ["killed", "killed"]
        assert whereis(Application) is whereis(HeirActor) is None
    for actor in stuck:
        gone(actor)


def test_a_stuck_actor_deep_in_a_tree_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3, V18: the supervisor is killed when its time is over; its other children hear of that, and end."""
    monkeypatch.setattr("hume.actors._application._SHARE", 0.3)
    ended: SimpleQueue[Any] = SimpleQueue()
    inside = ChildSpec(id="inside", start=lambda: Named.start_link("inside", ended))
    with Gate() as gate:
        Named.start_link("before", ended)
        tree = Supervisor.start_link([inside, Stuck.child_spec(gate)])
        stuck = Supervisor.which_children(tree)[1].ref
        gate.wait()
        stop_application(timeout=10.0)
        assert whereis(Application) is None
    assert sorted([next_of(ended), next_of(ended)]) == [("before", "shutdown"), ("inside", "killed")]
    for actor in (stuck, tree):
        gone(actor)  # type: ignore[arg-type]  # the child ran


def test_without_any_time_everything_is_killed() -> None:
    """V3: nothing of the application is left when it returns."""
    table = Table("t", heir=HeirActor)
    stop_application(timeout=0)
    assert whereis(Application) is whereis(HeirActor) is None
    with pytest.raises(TableDeleted):
        len(table)


def test_without_a_limit_it_waits_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """V3: a supervisor as long as it takes, a worker as long as under a supervisor."""
    monkeypatch.setattr("hume.actors._application._WORKER_TIMEOUT", 0.05)
    with Gate() as gate:
        stuck = Stuck.start_link(gate)
        gate.wait()
        stop_application(timeout=None)
        assert mailbox(stuck).reason == "killed"
    gone(stuck)


def test_it_starts_again_after_it_was_stopped() -> None:
    """V9: as often as it is needed, under its name, with a new heir."""
    roots = []
    for _ in range(3):
        Probe.start_link()
        roots.append(whereis(Application))
        stop(application())
    assert len(set(roots)) == 3
    assert None not in roots
