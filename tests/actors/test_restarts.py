"""Whether, whom and when to restart, as plain functions: no thread, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume.actors import ChildSpec, Crash
from hume.actors._restarts import History, group, is_restarted, shuts_down

if TYPE_CHECKING:
    from hume.actors._restarts import AutoShutdown, Strategy

ORDERLY = ["normal", "shutdown", ("shutdown", "moved"), ("shutdown",)]
ABNORMAL = [Crash(ValueError("x")), "killed", "noproc", "anything", ("normal", 1), None, 17]


def spec(restart: Any) -> ChildSpec:
    return ChildSpec(id="x", start=lambda: None, restart=restart)


# -- whether


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=str)
def test_a_permanent_child_is_restarted_whatever_the_reason(reason: Any) -> None:
    """V4: permanent is always restarted, after "normal" too."""
    assert is_restarted(spec("permanent"), reason)


@pytest.mark.parametrize("reason", ORDERLY, ids=str)
def test_a_transient_child_is_not_restarted_after_an_orderly_end(reason: Any) -> None:
    """V4: normal, shutdown and (shutdown, x) are ends as planned."""
    assert not is_restarted(spec("transient"), reason)


@pytest.mark.parametrize("reason", ABNORMAL, ids=str)
def test_a_transient_child_is_restarted_after_any_other_end(reason: Any) -> None:
    """V4: transient is restarted after an abnormal exit."""
    assert is_restarted(spec("transient"), reason)


@pytest.mark.parametrize("reason", ORDERLY + ABNORMAL, ids=str)
def test_a_temporary_child_is_never_restarted(reason: Any) -> None:
    """V4: temporary, never."""
    assert not is_restarted(spec("temporary"), reason)


# -- whom


@pytest.mark.parametrize(
    ("strategy", "expected"), [("one_for_one", "c"), ("one_for_all", "abcde"), ("rest_for_one", "cde")]
)
def test_the_strategy_says_who_is_restarted_with_a_child(strategy: Strategy, expected: str) -> None:
    """V5: only it, all of them, or it and those after it; in start order."""
    assert group(strategy, list("abcde"), "c") == list(expected)


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
def test_a_group_is_a_new_list(strategy: Strategy) -> None:
    """V5: whoever walks over the group may change the children meanwhile."""
    children = ["a"]
    assert group(strategy, children, "a") == children
    assert group(strategy, children, "a") is not children


# -- when


def test_as_many_restarts_as_allowed_pass_and_the_next_does_not() -> None:
    """V6: exactly max_restarts within the period; naive port 5: the one after ends the supervisor."""
    history = History(3, 5.0)
    assert [history.add(now) for now in (0.0, 1.0, 2.0, 3.0)] == [True, True, True, False]


def test_no_restart_is_allowed_with_max_restarts_of_zero() -> None:
    """V6: max_restarts=0 gives up at the first crash."""
    assert not History(0, 5.0).add(0.0)


def test_restarts_older_than_the_period_are_forgotten() -> None:
    """V6: the window slides; it does not start afresh."""
    history = History(2, 5.0)
    assert [history.add(now) for now in (0.0, 4.0, 5.1, 9.2)] == [True, True, True, True]
    assert not history.add(10.1)  # 5.1 and 9.2 still count


def test_a_restart_as_old_as_the_period_still_counts() -> None:
    """V6: forgotten is what is older than max_seconds, as in OTP."""
    history = History(1, 5.0)
    assert history.add(0.0)
    assert not history.add(5.0)


@given(
    st.integers(0, 4),
    st.floats(0.1, 10.0),
    st.lists(st.floats(0.0, 5.0), max_size=30),
)
def test_the_history_allows_what_counting_allows(max_restarts: int, max_seconds: float, pauses: list[float]) -> None:
    """V6: against a count over all the times; and no more is kept than lies within the period."""
    history, times, now = History(max_restarts, max_seconds), [], 0.0
    for pause in pauses:
        now += pause
        times.append(now)
        within = [time for time in times if now - time <= max_seconds]
        assert history.add(now) == (len(within) <= max_restarts)
        assert len(history) == len(within)


# -- the end of the supervisor


@pytest.mark.parametrize(
    ("auto_shutdown", "significant", "others_left", "expected"),
    [
        ("never", True, False, False),
        ("never", False, False, False),
        ("any_significant", True, True, True),
        ("any_significant", True, False, True),
        ("any_significant", False, False, False),
        ("all_significant", True, True, False),
        ("all_significant", True, False, True),
        ("all_significant", False, False, False),
    ],
)
def test_auto_shutdown_follows_the_significant_children(
    auto_shutdown: AutoShutdown, significant: bool, others_left: bool, expected: bool
) -> None:
    """V15: at once, or with the last of them; never for another."""
    assert shuts_down(auto_shutdown, significant=significant, others_left=others_left) is expected
