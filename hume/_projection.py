"""Projection: an actor that folds a stream's events into a state, and survives its crashes."""

from __future__ import annotations

import functools
import inspect
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Never, Self, TypeVar, Unpack

from hume._behaviour import bare, handlers_of, merge
from hume._feed import feed_of
from hume._projection_core import ProjectionCore, Settings
from hume.actors._child_spec import Backoff, ChildSpec
from hume.actors._gen_server import refuse_lazy
from hume.actors._mailbox import current
from hume.actors._registry import acting, claim
from hume.actors._signals import NORMAL
from hume.stores._event_store import resolve

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pykka

    from hume._behaviour import ClassOptions, Options, StartOptions

__all__ = ["Projection"]

State = TypeVar("State")

_START_ONLY: Final = ("stream", "projection", "name", "timeout")
_CALLBACKS: Final = (
    "init_state",
    "handle_event",
    "handle_recorded",
    "on_init",
    "on_caught_up",
    "last_snapshot",
    "persist_snapshot",
)


@dataclass(frozen=True, slots=True)
class _Identity:
    """A projection's identity as a name: nobody else's name equals it."""

    projection: Hashable


class Projection(ProjectionCore[State]):
    """A state machine that is driven by a stream's events: subclass it, say how it begins and how events change it.

    Options, in the ``class`` line or at the start (which wins)::

        store             the event store: an actor by ref, proxy or name, or any object that is an EventStore
        snapshots         a SnapshotStore; default: the store's own, else a table with the application's heir
        snapshot_every    a snapshot is due after so many events (100; None: their number does not matter) ...
        snapshot_after    ... or so many seconds with at least one (30.0; None: time does not matter)
        catch_up_after    seconds between two looks at the log when nobody gives a hint (30.0)
        strict            whether an unknown event is an error (True), or is logged, counted and skipped
        copy_state        how a state is copied (copy.deepcopy); None: states are never changed in place
        version           of the handlers; a snapshot of another version is not used (1)

    Snapshots never take more than about a twentieth of the projection's time. An orderly stop saves one; a crash does
    not.

    Example::

        class Inventory(hume.Projection, store=hume.EventStoreActor):
            def init_state(self, projection):
                return {}

            def handle_event(self, event, state):
                match event:
                    case ("add", key, value):
                        return {**state, key: value}

        ref = hume.start_link(Inventory, stream="warehouse")

    Methods of your own run in the actor when they are called through ``ref.proxy()``, after everything published
    before; they read ``self.state``, and what they return is copied.
    """

    __hume_options__: ClassVar[Options]  # declared by ProjectionCore, and again here, where they are assigned
    __hume_handlers__: ClassVar[Mapping[type, str]]
    __hume_recorded__: ClassVar[bool]

    def __init_subclass__(cls, **options: Unpack[ClassOptions]) -> None:
        """Take the class's options, and find its `handles` methods.

        Raises:
            TypeError, ValueError: an unknown option, or a value that is not allowed.
        """
        super().__init_subclass__()
        cls.__hume_options__ = merge(cls.__hume_options__, options)
        cls.__hume_handlers__ = handlers_of(cls)
        cls.__hume_recorded__ = cls.handle_recorded is not Projection.handle_recorded
        ways = cls._ways()
        if len(ways) > 1:
            msg = (
                f"{cls.__name__} must have one of handle_event, handle_recorded and @handles methods; "
                f"it has, or inherits, {' and '.join(ways)}"
            )
            raise TypeError(msg)
        refuse_lazy(cls, (*_CALLBACKS, *cls.__hume_handlers__.values()))
        cls._refuse_setup()

    @classmethod
    def _ways(cls) -> list[str]:
        """Return in which of the three ways it handles events."""
        ways = {
            "handle_event": cls.handle_event is not Projection.handle_event,
            "handle_recorded": cls.handle_recorded is not Projection.handle_recorded,
            "@handles methods": bool(cls.__hume_handlers__),
        }
        return [way for way, is_used in ways.items() if is_used]

    @classmethod
    def _refuse_setup(cls) -> None:
        """Refuse what takes the place of a server's own set-up, which restores a projection."""
        name = "init" if cls.init is not Projection.init else "__init__"
        if name == "__init__":
            with suppress(TypeError):
                inspect.signature(cls.__init__).bind(None, None)  # itself, and the settings
                return
        msg = f"{cls.__name__}.{name} can't set a projection up: do that in on_init(self, projection)"
        raise TypeError(msg)

    @classmethod
    def _check_complete(cls) -> None:
        if cls.init_state is Projection.init_state:
            cls.init_state(bare(cls), None)  # which says what it must be
        if not cls._ways():
            msg = f"{cls.__name__} handles no event: it must have handle_event, handle_recorded or @handles methods"
            raise TypeError(msg)

    # -- starting

    @classmethod
    def start(cls, *args: Never, **options: Unpack[StartOptions]) -> pykka.ActorRef[Self]:
        """Start a projection and return its ref; catching up goes on after that.

        Args:
            *args: none: all options go by name.
            **options: ``stream``, the stream that it follows: one; or, in global order, a list of several,
                ``prefix(...)`` or `ALL`. All others may be left out: ``projection``, its identity, by which its
                snapshots are kept (default: class and stream); ``name``, by which it can be addressed; ``timeout``,
                seconds that restoring its state may take (`None`: no limit); and the class options, which win over
                the class's own.

        Raises:
            AlreadyStarted: a live projection has that identity, or that name.
            TypeError, ValueError: a bad option or stream.
            InvalidStore: the store is none.
            ActorDead: the store is dead, or nobody has its name.
        """
        settings = cls._settings(options, args)
        settings.feed.check(resolve(settings.options.store))
        return cls._spawn((settings,), {}, options.get("name"), options.get("timeout"), None)

    @classmethod
    def start_link(cls, *args: Never, **options: Unpack[StartOptions]) -> pykka.ActorRef[Self]:
        """Start a projection as `start` does, linked to the calling actor, or else to the application."""
        settings = cls._settings(options, args)
        settings.feed.check(resolve(settings.options.store))
        return cls._spawn((settings,), {}, options.get("name"), options.get("timeout"), acting(current()))

    @classmethod
    def child_spec(cls, **start_options: Unpack[StartOptions]) -> ChildSpec:
        """Return how a supervisor starts this projection: permanent, with a `Backoff` between restarts.

        The id is the name, or else class and identity.

        So one that crashes at every try is retried at a bounded pace, and does not take the tree down.
        """
        settings = cls._settings(start_options)
        name = start_options.get("name")
        child_id = (cls, settings.projection) if name is None else name
        start = functools.partial(cls.start_link, **start_options)
        return ChildSpec(id=child_id, start=start, backoff=Backoff(), actor_class=cls)

    @classmethod
    def _settings(cls, options: StartOptions, args: tuple[Never, ...] = ()) -> Settings:
        if args:
            msg = f"{cls.__name__} is started with options by name, such as stream=, not with {args[0]!r}"
            raise TypeError(msg)
        class_options = {name: value for name, value in options.items() if name not in _START_ONLY}
        merged = merge(cls.__hume_options__, class_options, _START_ONLY)
        if "stream" not in options:
            msg = f"{cls.__name__} needs stream=, the stream that it follows"
            raise TypeError(msg)
        feed = feed_of(options["stream"])
        projection = options.get("projection")
        if projection is None:
            projection = (f"{cls.__module__}.{cls.__qualname__}", feed.stream)
        if merged.store is None:
            msg = f"{cls.__name__} needs a store: give store= in its class line or at the start"
            raise TypeError(msg)
        cls._check_complete()
        return Settings(feed, projection, merged)

    def _claim_names(self, name: Hashable) -> None:
        settings: Settings = self._init_arguments[0][0]
        claim(_Identity(settings.projection), self.actor_inbox, f"projection {settings.projection!r}", "projection")
        try:
            super()._claim_names(name)
        except BaseException:
            self.actor_inbox.die(NORMAL)
            raise
