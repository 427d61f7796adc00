"""What replies prove about the server's clock, with numbers worked out by hand."""

import pytest

from intercom_async.pacing.server_clock import ServerClock


def told(*replies: tuple[float, float | None, float, float]) -> tuple[ServerClock, list[bool]]:
    """Return a clock after replies of (reset, date, sent, received), and whether each agreed."""
    clock = ServerClock()
    agreed = [
        clock.observe(reset=reset, date=date, sent=sent, received=received)
        for reset, date, sent, received in replies
    ]
    return clock, agreed


FIRST = (1010.0, 1001.0, 5.0, 7.0)
"""Handled at 1001 to 1002 between 5 and 7: the server is 994 to 997 s ahead."""


def test_a_clock_is_unknown_until_it_has_seen_a_reply() -> None:
    assert not ServerClock().known
    clock, agreed = told(FIRST)
    assert clock.known
    assert agreed == [True]


def test_a_reset_bounds_the_clock_to_the_window_and_the_round_trip() -> None:
    clock, _ = told((1010.0, None, 5.0, 7.0))
    assert (clock.low, clock.high) == (993.0, 1005.0)


@pytest.mark.parametrize(
    ("date", "low", "high"),
    [
        (1001.0, 994.0, 997.0),
        (1009.0, 1002.0, 1005.0),
        (1012.0, 1005.0, 1005.0),  # received in the last moment that the window allows
        (1013.0, 993.0, 1005.0),  # in none
        (997.0, 993.0, 993.0),  # sent in the first one
        (996.0, 993.0, 1005.0),
    ],
)
def test_a_date_bounds_it_to_a_second_unless_it_contradicts_the_reset(
    date: float, low: float, high: float
) -> None:
    clock, _ = told((1010.0, date, 5.0, 7.0))
    assert (clock.low, clock.high) == (low, high)


@pytest.mark.parametrize(
    ("reset", "sent", "received"),
    [(1100.0, 100.0, 100.0), (11_011.0, 10_000.0, 10_007.0), (10_997.0, 10_000.0, 10_007.0)],
)
def test_a_reply_that_proves_less_changes_nothing(
    reset: float, sent: float, received: float
) -> None:
    clock, agreed = told(FIRST, (reset, None, sent, received))
    assert agreed == [True, True]
    assert (clock.low, clock.high) == (994.0, 997.0)


@pytest.mark.parametrize(("reset", "low", "high"), [(1002.0, 994.0, 995.0), (1013.0, 996.0, 997.0)])
def test_a_reply_that_proves_more_on_one_side_tightens_that_side(
    reset: float, low: float, high: float
) -> None:
    clock, agreed = told(FIRST, (reset, None, 7.0, 7.0))
    assert agreed == [True, True]
    assert (clock.low, clock.high) == (low, high)


@pytest.mark.parametrize("later", [10_000.0, -10_000.0])
@pytest.mark.parametrize(("ahead", "low", "high"), [(995.0, 993.0, 995.0), (1006.0, 996.0, 998.0)])
def test_what_was_proved_widens_by_a_ten_thousandth_of_the_time_between(
    later: float, ahead: float, low: float, high: float
) -> None:
    at = 7.0 + later
    clock, agreed = told(FIRST, (at + ahead, None, at, at))
    assert agreed == [True, True]
    assert (clock.low, clock.high) == pytest.approx((low, high), abs=1e-6)
    assert clock.observe(reset=at + 994.5, date=None, sent=at, received=at) is (high == 995.0)


def test_bounds_that_touch_agree() -> None:
    clock, agreed = told(FIRST, (1014.0, None, 7.0, 7.0))
    assert agreed == [True, True]
    assert (clock.low, clock.high) == (997.0, 997.0)


@pytest.mark.parametrize("reset", [900.0, 1000.9, 1014.1, 2000.0])
def test_a_clock_that_jumped_is_known_by_the_last_reply_alone(reset: float) -> None:
    clock, agreed = told(FIRST, (reset, None, 7.0, 7.0))
    assert agreed == [True, False]
    assert (clock.low, clock.high) == (reset - 17.0, reset - 7.0)
    assert clock.observe(reset=reset + 1.0, date=None, sent=7.0, received=7.0)


def test_drift_counts_from_the_jump() -> None:
    at = 10_007.0
    clock, _ = told(FIRST, (at + 100.0, None, at, at), (at + 101.0, None, at, at))
    assert (clock.low, clock.high) == (91.0, 100.0)


def test_the_likeliest_time_is_in_the_middle_of_what_is_possible() -> None:
    clock, _ = told(FIRST)
    assert clock.now(0.0) == 995.5
    assert clock.now(8.0) == 1003.5


def test_a_moment_has_passed_when_the_slowest_possible_clock_shows_it() -> None:
    clock, _ = told(FIRST)
    assert not clock.has_passed(1010.0, 15.9)
    assert clock.has_passed(1010.0, 16.0)
    assert clock.has_passed(1010.0, 17.0)
    assert clock.until(1010.0, 12.5) == 3.5
    assert clock.until(1010.0, 15.5) == 0.5
    assert clock.until(1010.0, 17.0) == 0.0
