"""Given these events, then this state: a projection as the pure fold that it is, without a thread or a store."""

from __future__ import annotations

import datetime as dt
import difflib
import pprint
import re
import uuid
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from hume._api import _projection_class
from hume._behaviour import Clauses, bare
from hume._replay import Fold, apply
from hume.actors._isolate import isolated
from hume.stores._event import POSITION, Event, Origin, new_event, unshared
from hume.stores._page import EventPage

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from hume._projection import Projection

__all__ = ["Given", "given"]

S = TypeVar("S")
E = TypeVar("E", bound=BaseException)

_ORIGIN: Final = Origin(uuid.UUID(int=0))
_START: Final = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def given(
    cls: type[Projection[S]], events: Iterable[Any] = (), *, stream: Hashable = "stream", projection: Hashable = None
) -> Given[S]:
    """Begin a test of a projection's handlers with the events that there are.

    Args:
        cls: the projection class; no actor is started, and its handlers see no attributes of one.
        events: payloads, which get the next numbers, ids, and times a second apart, the same in each run; or `Event`s,
            which have their own (events of several streams, for a projection that follows several).
        stream: of the payloads.
        projection: the identity that ``init_state`` gets.

    Example::

        given(Balances, [Deposited("ann", 5)]).when(Deposited("ann", 7)).then({"ann": 12}, times=2)
        given(Balances).when("nonsense").raises(hume.UnknownEvent)
        assert given(Balances, [Deposited("bob", 1)]).state()["bob"] == 1
    """
    _projection_class(cls)
    if isinstance(events, str | bytes | dict) or not hasattr(events, "__iter__"):
        msg = f"events must be several events, such as a list of them, not {events!r}"
        raise TypeError(msg)
    return Given(cls, stream, projection, _numbered(events, stream, ()), ())


def _numbered(items: Iterable[Any], stream: Hashable, before: Sequence[Event]) -> tuple[Event, ...]:
    """Return payloads and events as events; a payload gets the numbers that follow."""
    seq: int = before[-1].seq if before else 0
    position: int = before[-1][POSITION] if before else 0
    events: list[Event] = []
    for item in items:
        if item is None:
            msg = "a payload must not be None"
            raise ValueError(msg)
        position += 1
        if isinstance(item, Event):
            event = new_event(Event, (*item[:POSITION], item.position or position))
        else:
            recorded_at = _START + dt.timedelta(seconds=position)
            event = new_event(Event, (seq + 1, item, stream, _ORIGIN, recorded_at, None, position))
        events.append(event)
        seq, position = event.seq, event[POSITION]
    return tuple(events)


class Given(Generic[S]):
    """A projection class and the events that its state is folded from; made by `given`."""

    def __init__(
        self,
        cls: type[Projection[S]],
        stream: Hashable,
        projection: Hashable,
        before: tuple[Event, ...],
        events: tuple[Event, ...],
    ) -> None:
        self._cls, self._stream, self._projection = cls, stream, projection
        self._before, self._events = before, events  # what was given; what the test is about

    def when(self, *events: Any) -> Given[S]:
        """Go on with the events that the test is about; this one stays as it is."""
        before = self._before + self._events
        return Given(self._cls, self._stream, self._projection, before, _numbered(events, self._stream, before))

    def state(self) -> S:
        """Return the state after all events.

        Raises:
            UnknownEvent: no clause handles an event, and the projection is strict.
            Exception: what a handler raised; a note says at which event.
        """
        return self._fold(self._before + self._events, self._first_state())

    def then(self, expected: S, *, times: int = 1) -> Given[S]:
        """Check that the state after all events equals *expected*; return this, to go on with `when`.

        Args:
            expected: the state.
            times: how often to fold: once in one go, and then as if the projection were started again before each
                event. So ``times=2`` finds a handler that keeps something elsewhere than in the state (on ``self``, in
                the class, in a global), changes what ``init_state`` returned the last time, or asks the time or chance:
                a projection that does so has another state after a restart.

        Raises:
            AssertionError: it is another one; the message shows both, and the difference.
            Exception: as `state`.
        """
        __tracebackhide__ = True
        if isinstance(times, bool) or not isinstance(times, int) or times < 1:
            msg = f"times must be a whole number of at least 1, not {times!r}"
            raise ValueError(msg)
        events = self._before + self._events
        for time in range(times):
            actual = self._fold(events, self._first_state(), restarting=time > 0)
            if not actual == expected:  # not: !=, which a class may define otherwise
                raise AssertionError(self._message(expected, actual, again=time > 0))
        return self

    def raises(self, error: type[E], match: str | None = None) -> E:
        """Check that an event of the last `when` (without one, any event) raises *error*, and return that.

        Args:
            error: its class.
            match: a regular expression that is to be found in its message.

        Raises:
            AssertionError: nothing was raised, or the message is another one.
            Exception: what was raised instead.
        """
        __tracebackhide__ = True
        has_when = bool(self._events)
        state = self._fold(self._before if has_when else (), self._first_state())
        try:
            state = self._fold(self._events if has_when else self._before, state)
        except error as caught:
            if match is not None and not re.search(match, str(caught)):
                msg = f"{self._cls.__name__} raised {error.__name__}, but {match!r} is not found in {str(caught)!r}"
                raise AssertionError(msg) from caught
            return caught
        msg = f"{self._cls.__name__} did not raise {error.__name__}; its state is {state!r}"
        raise AssertionError(msg)

    def _first_state(self) -> S:
        return isolated(bare(self._cls).init_state(self._projection), self._cls.__hume_options__.copy_state)

    def _fold(self, events: Iterable[Event], state: S, *, restarting: bool = False) -> S:
        clauses = self._clauses()
        for event in events:
            if restarting:
                state, clauses = isolated(state, self._cls.__hume_options__.copy_state), self._clauses()
            fold = Fold(0, state, POSITION)
            try:
                apply(fold, clauses, EventPage([unshared(event)]))  # the test's own payload stays as it is
            except Exception as error:
                error.add_note(f"{self._cls.__name__} was handling {event!r}")
                raise
            state = fold.state
        return state

    def _clauses(self) -> Clauses:
        return Clauses(bare(self._cls), self._cls.__hume_handlers__, strict=self._cls.__hume_options__.strict)

    def _message(self, expected: object, actual: object, *, again: bool) -> str:
        events = self._before + self._events
        name, count = self._cls.__name__, f"{len(events)} event{'' if len(events) == 1 else 's'}"
        headline = f"{name} has another state after {count} than expected"
        if again:
            headline = (
                f"{name} has another state when its {count} are folded again, started again before each: its handlers "
                "keep something elsewhere than in the state, change what init_state returned, or ask time or chance"
            )
        return "\n".join([headline, *_difference(expected, actual)])


def _difference(expected: object, actual: object) -> list[str]:
    wanted, found = pprint.pformat(expected).splitlines(), pprint.pformat(actual).splitlines()
    if wanted == found:  # as it is written; so it is another type
        return [f"  expected: {wanted[0]} ({type(expected)})", f"  actual:   {found[0]} ({type(actual)})"]
    if len(wanted) == len(found) == 1:
        return [f"  expected: {wanted[0]}", f"  actual:   {found[0]}"]
    return ["  - expected", "  + actual", *(f"  {line.rstrip()}" for line in difflib.ndiff(wanted, found))]
