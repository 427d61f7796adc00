"""What replies prove about the server's clock, with numbers worked out by hand."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intercom_async.pacing.server_clock import WINDOW, ServerClock

Reply = tuple[float, float | None, float, float]
"""Reset, Date, when it was sent and when received."""

FIRST: Reply = (1010.0, 1001.0, 5.0, 7.0)
"""Handled at 1001 to 1002 between 5 and 7: the server is 994 to 997 s ahead."""


def clock_after(*replies: Reply) -> tuple[ServerClock, list[bool]]:
    """Return a clock after these replies, and whether each agreed with those before."""
    clock = ServerClock()
    agreed = [
        clock.observe(reset=reset, date=date, sent=sent, received=received)
        for reset, date, sent, received in replies
    ]
    return clock, agreed


@pytest.mark.parametrize(
    ("date", "low", "high"),
    [
        (None, 993.0, 1005.0),  # the window and the round trip
        (1001.0, 994.0, 997.0),
        (1009.0, 1002.0, 1005.0),
        (1012.0, 1005.0, 1005.0),  # received in the last moment that the window allows
        (1013.0, 993.0, 1005.0),  # in none
        (997.0, 993.0, 993.0),  # sent in the first one
        (996.0, 993.0, 1005.0),
    ],
)
def test_a_date_bounds_it_to_a_second_unless_it_contradicts_the_reset(
    date: float | None, low: float, high: float
) -> None:
    clock, agreed = clock_after((1010.0, date, 5.0, 7.0))
    assert agreed == [True]
    assert (clock.low, clock.high) == (low, high)


@pytest.mark.parametrize(
    ("reset", "sent", "received", "low", "high"),
    [
        (1100.0, 100.0, 100.0, 994.0, 997.0),  # proves less
        (11_011.0, 10_000.0, 10_007.0, 994.0, 997.0),
        (10_997.0, 10_000.0, 10_007.0, 994.0, 997.0),
        (1002.0, 7.0, 7.0, 994.0, 995.0),  # proves more on one side
        (1013.0, 7.0, 7.0, 996.0, 997.0),
        (1014.0, 7.0, 7.0, 997.0, 997.0),  # bounds that touch agree
        # What was proved widens by a ten-thousandth of the time between.
        (11_002.0, 10_007.0, 10_007.0, 993.0, 995.0),
        (-8_998.0, -9_993.0, -9_993.0, 993.0, 995.0),
        (11_013.0, 10_007.0, 10_007.0, 996.0, 998.0),
    ],
)
def test_a_later_reply_tightens_what_was_proved(
    reset: float, sent: float, received: float, low: float, high: float
) -> None:
    clock, agreed = clock_after(FIRST, (reset, None, sent, received))
    assert agreed == [True, True]
    assert (clock.low, clock.high) == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("reset", [900.0, 1000.9, 1014.1, 2000.0])
def test_after_a_jump_only_the_last_reply_counts(reset: float) -> None:
    clock, agreed = clock_after(FIRST, (reset, None, 7.0, 7.0))
    assert agreed == [True, False]
    assert (clock.low, clock.high) == (reset - 17.0, reset - 7.0)
    assert clock.observe(reset=reset + 1.0, date=None, sent=7.0, received=7.0)


def test_a_moment_has_passed_when_the_slowest_possible_clock_shows_it() -> None:
    clock, _ = clock_after(FIRST)
    assert clock.now(8.0) == 1003.5  # the likeliest time is in the middle
    passed = [clock.has_passed(1010.0, at) for at in (15.9, 16.0, 17.0)]
    assert passed == [False, True, True]
    assert [clock.until(1010.0, at) for at in (12.5, 15.5, 17.0)] == [3.5, 0.5, 0.0]


@given(
    st.floats(-1e9, 1e9),
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 5), st.floats(0, 1)), min_size=1),
)
@example(offset=-1e-38, replies=[(0.0, 1.0, 0.0), (0.5, 0.0, 0.0)])  # received out of order
def test_the_truth_is_never_excluded(
    offset: float, replies: list[tuple[float, float, float]]
) -> None:
    clock = ServerClock()
    for sent, took, part in sorted(replies):
        handled = sent + took * part + offset
        assert clock.observe(
            reset=(handled // WINDOW + 1) * WINDOW,
            date=handled // 1,
            sent=sent,
            received=sent + took,
        )
        assert clock.low - 1e-6 <= offset <= clock.high + 1e-6
