"""The quota's arithmetic rule by rule, with numbers worked out by hand.

The server's clock is exactly 1000 s ahead of ours, replies take no time and chance throws the same
number each time, unless a test says otherwise.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.errors import InvalidArgumentError
from intercom_async.observing import RateLimitStatus
from intercom_async.pacing.window import (
    RATE_LIMIT_EXCEEDED,
    Lane,
    Permit,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)

AHEAD = 1000.0
"""Seconds by which the server's clock is ahead."""

BULK, INTERACTIVE = Lane.BULK, Lane.INTERACTIVE


def unknown(policy: RateLimitPolicy | None = None, *, chance: float = 0.0) -> QuotaWindow:
    """Return a quota of which nothing is known."""
    return QuotaWindow(policy or RateLimitPolicy(), lambda: chance)


def reply(
    quota: QuotaWindow,
    permit: Permit,
    remaining: int | None,
    *,
    at: float,
    limit: int | None = 100,
    reset: float | None = 1010.0,
    retry_after: float | None = None,
    status: int = 200,
    code: str | None = None,
) -> None:
    """Let a request be answered."""
    headers = RateLimitHeaders(
        limit=limit, remaining=remaining, reset=reset, retry_after=retry_after
    )
    quota.answered(permit, headers, status=status, code=code, now=at)
    if quota.limit is not None:
        quota.clock.low = quota.clock.high = AHEAD


def answer(
    quota: QuotaWindow,
    remaining: int | None,
    *,
    at: float,
    limit: int | None = 100,
    reset: float | None = 1010.0,
) -> None:
    """Send a request at `at` (seconds) and let it be answered at once."""
    reply(quota, quota.take(BULK, at), remaining, at=at, limit=limit, reset=reset)


def refuse(
    quota: QuotaWindow,
    remaining: int = 0,
    *,
    at: float,
    code: str | None = RATE_LIMIT_EXCEEDED,
    retry_after: float | None = None,
) -> None:
    permit = quota.take(BULK, at)
    reply(quota, permit, remaining, at=at, status=429, code=code, retry_after=retry_after)


def bare_refusal(quota: QuotaWindow, at: float, retry_after: float | None = None) -> float:
    """Be refused without quota headers; return the pause."""
    headers = RateLimitHeaders(retry_after=retry_after)
    quota.answered(quota.take(BULK, at), headers, status=429, code=None, now=at)
    return wait(quota, BULK, at)


def known(
    *,
    mine: int = 1,
    remaining: int = 99,
    limit: int = 100,
    at: float = 0.0,
    policy: RateLimitPolicy | None = None,
    chance: float = 0.0,
) -> QuotaWindow:
    """Return a quota of which `mine` requests were answered at `at`, the last with `remaining`."""
    quota = unknown(policy, chance=chance)
    for number in range(mine):
        answer(quota, remaining + mine - 1 - number, at=at, limit=limit)
    return quota


def wait(quota: QuotaWindow, lane: Lane, now: float) -> float:
    """Return the seconds until one of endless requests may leave."""
    return quota.wait(lane, now, backlog=None)


def send_all(quota: QuotaWindow, lane: Lane, now: float) -> list[Permit]:
    """Send until a request has to wait."""
    permits: list[Permit] = []
    while wait(quota, lane, now) == 0.0:
        permits.append(quota.take(lane, now))
    return permits


def at_once(quota: QuotaWindow, now: float) -> int:
    """Return the largest job that may go without being paced."""
    jobs = range(1, 200)
    for job in jobs:
        quota._credit, quota._credit_at, quota._fresh_until = 0.0, now, 0.0
        if quota.wait(BULK, now, backlog=job) > 0.0:
            return job - 1
    return jobs.stop


def snapshot(quota: QuotaWindow, now: float) -> RateLimitStatus:
    status = quota.status(now, waiting_interactive=5, waiting_bulk=6)
    assert status is not None
    return status


# --- what a policy may say ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected", "values"),
    [
        ("reserve", "a number from 0 to 1", [-0.1, True, "much"]),
        ("quota_fraction", "a number from 0 to 1, not 0", [1.1, None, 0, True]),
        ("max_wait", "a number of seconds, 0 or more, or None", [-1, float("nan"), True, "long"]),
        ("fallback_limit", "a whole number of requests, 1 or more", [0, 1.5, True, None]),
        ("key", "a hashable value or None", [[]]),
    ],
)
def test_a_refused_value_is_named_with_what_would_do(
    name: str, expected: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(InvalidArgumentError, match=f"must be {expected}") as caught:
            RateLimitPolicy(**{name: value})
        assert caught.value.name == f"RateLimitPolicy.{name}"
        assert caught.value.value is value


def test_the_key_of_a_policy_is_never_shown() -> None:
    assert "team" not in repr(RateLimitPolicy(key="team"))  # it may be a secret


# --- the slow start ----------------------------------------------------------------------------


def test_each_two_seconds_without_any_answer_allow_another_request() -> None:
    quota = unknown()
    for second in range(60):  # those that were never sent bring no others with them
        quota.give_back(quota.take(INTERACTIVE, float(second)))
    for at in (60.0, 62.0):
        assert len(send_all(quota, BULK, at)) == 1
        assert wait(quota, BULK, at + 1.7) == 0.25


def test_two_more_requests_than_were_answered_may_be_out() -> None:
    quota = known(mine=3, remaining=97)
    permits = send_all(quota, INTERACTIVE, 0.0)
    assert len(permits) == 5
    quota.lost(permits.pop(), 0.0)  # makes room for itself and one more, as an answer does
    assert len(send_all(quota, INTERACTIVE, 0.0)) == 2
    refuse(quota, at=9.0)  # a refusal makes none
    assert wait(quota, INTERACTIVE, 10.0) == 0.25


@pytest.mark.parametrize("quota", [unknown(), known(mine=3, remaining=97)])
def test_interactive_calls_pass_the_slow_start_each_quarter_of_a_second_unless_refused(
    quota: QuotaWindow,
) -> None:
    while quota.wait(BULK, 0.0, backlog=1) == 0.0:
        quota.take(BULK, 0.0)
    (permit,) = send_all(quota, INTERACTIVE, 1.0)
    assert wait(quota, INTERACTIVE, 1.2) == pytest.approx(0.05)
    assert len(send_all(quota, INTERACTIVE, 1.25)) == 1
    reply(quota, permit, 0, at=2.0, status=429)
    quota.take(BULK, 12.0)
    assert wait(quota, INTERACTIVE, 13.7) == 0.25


# --- without headers ---------------------------------------------------------------------------


def bucket(policy: RateLimitPolicy) -> QuotaWindow:
    """Return a quota of a server without headers, with its bucket's one request untouched."""
    quota = unknown(policy)
    for _ in range(20):
        quota.answered(quota.take(BULK, 0.0), None, status=200, code=None, now=0.0)
    quota._credit, quota._credit_at = 1.0, 0.0
    return quota


def test_the_bucket_gives_a_client_its_fraction_and_lends_interactive_calls_the_reserve() -> None:
    quota = bucket(RateLimitPolicy(fallback_limit=200, quota_fraction=0.5, reserve=0.015))
    assert len(send_all(quota, BULK, 0.0)) == 1
    assert wait(quota, BULK, 0.0) == pytest.approx(0.1)
    assert wait(quota, BULK, 0.06) == pytest.approx(0.04)
    assert len(send_all(quota, INTERACTIVE, 0.1)) == 4
    assert wait(quota, INTERACTIVE, 0.1) == pytest.approx(0.1)
    assert wait(quota, BULK, 0.1) == pytest.approx(0.4)


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("tried", [False, True])
def test_a_request_costs_the_bucket_nothing_unless_it_was_sent_or_tried_to_connect(
    lane: Lane, *, tried: bool
) -> None:
    quota = bucket(RateLimitPolicy(fallback_limit=100, reserve=0.0))
    quota.give_back(quota.take(lane, 0.0), tried=tried)
    assert quota.in_flight == 0
    assert len(send_all(quota, BULK, 0.0)) == (0 if tried else 1)


def test_a_status_leaves_open_what_nobody_can_tell() -> None:
    assert unknown().status(0.0, waiting_interactive=0, waiting_bulk=0) is None
    quota = bucket(RateLimitPolicy())
    assert snapshot(quota, 1.0) == RateLimitStatus(
        limit=None, remaining=None, resets_in=0.0, waiting_interactive=5, waiting_bulk=6
    )
    assert quota.least_wait(100, 1.0) == 0.0


# --- a window's budget -------------------------------------------------------------------------


def test_interactive_calls_go_as_long_as_anything_remains_and_bulk_asks_again() -> None:
    quota = known(remaining=2)
    assert len(send_all(quota, INTERACTIVE, 1.0)) == 2
    assert wait(quota, INTERACTIVE, 1.0) == 9.0
    assert wait(quota, BULK, 3.0) == 0.25
    assert wait(quota, BULK, 9.9) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("remaining", "fraction", "waits"),
    [
        (3, 1.0, {0: 0.0, 2: 0.0, 3: 6.0, 12: 6.0, 13: 16.0, 22: 16.0, 23: 26.0}),
        # Three requests a window are ours, one of this window's was sent.
        (9, 0.35, {1: 0.0, 2: 6.0, 4: 6.0, 5: 16.0, 7: 16.0, 8: 26.0}),
    ],
)
def test_the_wait_that_is_certain_counts_whole_windows_for_those_ahead(
    remaining: int, fraction: float, waits: dict[int, float]
) -> None:
    policy = RateLimitPolicy(quota_fraction=fraction)
    quota = known(limit=10, remaining=remaining, policy=policy)
    assert {ahead: quota.least_wait(ahead, 4.0) for ahead in waits} == waits


def test_a_window_ends_when_the_server_s_clock_has_certainly_passed_its_end() -> None:
    quota = known(remaining=1)
    quota.clock.low = AHEAD - 5.0
    assert quota.least_wait(0, 0.0) == 0.0  # nobody waits for an edge while enough remains
    assert quota.least_wait(1, 0.0) == 15.0
    assert len(send_all(quota, INTERACTIVE, 14.9)) == 1
    assert len(send_all(quota, INTERACTIVE, 15.0)) > 0


def test_a_fraction_of_a_tiny_limit_is_one_request_rather_than_none() -> None:
    quota = known(limit=1, remaining=0, policy=RateLimitPolicy(quota_fraction=0.5))
    assert wait(quota, INTERACTIVE, 0.1) > 0.0
    assert len(send_all(quota, INTERACTIVE, 30.0)) == 1


def test_a_status_says_what_is_left_after_what_is_in_flight() -> None:
    quota = known(mine=20, remaining=40)
    for _ in range(3):
        quota.take(BULK, 1.0)
    assert snapshot(quota, 4.0) == RateLimitStatus(
        limit=100,
        remaining=37,
        resets_in=6.0,
        share=30 / 70,  # 20 of 60, and 10 of 10 that stand for the window before
        in_flight=3,
        waiting_interactive=5,
        waiting_bulk=6,
    )


@given(st.lists(st.tuples(st.integers(-5, 120), st.sampled_from([1010.0, 1020.0])), max_size=30))
def test_a_stale_reply_never_raises_the_budget(replies: list[tuple[int, float]]) -> None:
    quota = known()
    overtaken = [quota.take(INTERACTIVE, 9.0) for _ in replies]
    answer(quota, 60, at=10.2, reset=1020.0)
    before = quota.remaining
    for permit, (remaining, reset) in zip(overtaken, replies, strict=True):
        reply(quota, permit, remaining, at=10.4, reset=reset)
        assert 0 <= quota.remaining <= before
        before = quota.remaining


def test_requests_in_flight_are_charged_also_across_the_edge() -> None:
    quota = known(limit=3, remaining=2)
    first, _ = [quota.take(INTERACTIVE, 9.0) for _ in range(2)]
    reply(quota, first, 3, at=10.2, limit=3, reset=1020.0)
    assert len(send_all(quota, INTERACTIVE, 10.3)) == 1


# --- the share of others -----------------------------------------------------------------------


def test_a_limit_that_falls_below_what_was_sent_leaves_the_share_a_share() -> None:
    quota = known(mine=20, remaining=80)
    answer(quota, 0, at=0.0, limit=10)
    status = snapshot(quota, 0.0)
    assert (status.limit, status.share) == (10, 1.0)


@pytest.mark.parametrize(
    ("at", "reset", "share"),
    [(10.0, 1020.0, 30 / 70), (19.9, 1020.0, 30 / 70), (20.0, 1030.0, 1.0), (45.0, 1050.0, 1.0)],
)
def test_a_window_begins_when_the_clock_says_so_and_idling_forgets_the_others(
    at: float, reset: float, share: float
) -> None:
    quota = known(mine=20, remaining=40)
    assert snapshot(quota, at).share == pytest.approx(share)
    assert (quota.reset, quota.remaining) == (reset, 100)


def test_a_server_clock_that_jumps_is_believed() -> None:
    quota = known(remaining=50)
    answer(quota, 40, at=0.2, reset=10.0)
    assert (quota.reset, quota.remaining) == (10.0, 40)


# --- the pace ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("chance", "waits"), [(0.0, True), (1.0, False)])
def test_chance_decides_when_a_process_leaves_an_edge_that_others_wait_for(
    chance: float, *, waits: bool
) -> None:
    quota = known(limit=1000, mine=200, remaining=800, chance=chance)
    assert wait(quota, BULK, 9.999) == 0.0  # it has saved up one request
    assert (wait(quota, BULK, 10.0) > 0.0) is waits


def test_after_a_refusal_nothing_leaves_on_the_pace_of_a_moment_ago() -> None:
    quota = known(limit=1000, mine=200, remaining=800, at=1.0)
    quota._credit = 5.0
    assert wait(quota, BULK, 1.0) == 0.0
    refuse(quota, at=1.001)
    assert wait(quota, BULK, 1.002) > 0.0


# --- jobs that go at once ----------------------------------------------------------------------


def lonely(*, remaining: int = 99, fraction: float = 1.0, before: int = 50) -> QuotaWindow:
    """Return a quota in the second window of a process that sent 50 requests in the first one.

    The server had `before` left then; 50 if no other process sent any.
    """
    policy = RateLimitPolicy(quota_fraction=fraction)
    quota = known(mine=50, remaining=before, at=1.0, policy=policy)
    answer(quota, remaining, at=11.0, reset=1020.0)
    return quota


@pytest.mark.parametrize(
    ("quota", "in_flight", "at", "job"),
    [
        (known(mine=20, remaining=80, at=1.0), 0, 1.0, 73),  # of 0.95 * 77.45
        (known(mine=20, remaining=80, at=1.0), 5, 1.0, 63),  # of 0.95 * 72.45, less what is out
        # Beside others, half of what may be used.
        (known(limit=1000, mine=200, remaining=400, at=1.0), 0, 2.0, 75),
        # All that is left if nobody else was there for a window.
        (lonely(), 0, 11.0, 99),
        (lonely(), 10, 11.0, 89),
        (lonely(fraction=0.5), 0, 11.0, 49),  # the quota's other part is left to others
        (lonely(remaining=98), 0, 11.0, 98),  # one request in a hundred is nobody
        (lonely(remaining=97), 0, 11.0, 64),
        (lonely(before=48), 0, 11.0, 86),  # 0.971 * 0.924 of 96.4
    ],
)
def test_a_job_that_fits_into_what_may_be_used_goes_at_once(
    quota: QuotaWindow, in_flight: int, at: float, job: int
) -> None:
    for _ in range(in_flight):
        quota.take(BULK, at)
    assert at_once(quota, at) == job


def test_the_reserve_is_kept_for_a_window_after_an_interactive_call() -> None:
    quota = lonely()
    quota.give_back(quota.take(INTERACTIVE, 9.0))
    assert at_once(quota, 11.0) == 96  # of 99 - 2.55
    assert at_once(quota, 19.01) == 99


# --- counters that lag behind ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("replies", "left"),
    [
        ([100], 99),  # the first reply that does not count itself shows a lag of one
        ([100, 98], 97),
        ([99, 99, 99, 99, 50], 47),  # what was answered before another left must be in its count
        ([100] * 21, 100 - 21),  # what we sent is spent, whatever the server says
        ([*[100] * 21, 50], 50 - 11),  # no lag is believed beyond a tenth of the limit and one
    ],
)
def test_a_lag_of_the_server_s_counter_is_taken_off(replies: list[int], left: int) -> None:
    quota = unknown()
    for remaining in replies:
        answer(quota, remaining, at=0.0)
    assert quota.remaining == left


def test_a_request_of_the_window_before_says_nothing_about_this_one_s_lag() -> None:
    quota = known(mine=5, remaining=95)
    reply(quota, quota.take(BULK, 9.9), 99, at=10.1, reset=1020.0)
    answer(quota, 50, at=10.1, reset=1020.0)
    assert quota.remaining == 50


def test_a_lag_is_forgotten_after_thirty_windows_in_which_it_was_not_seen() -> None:
    quota = unknown()
    seen: list[int] = []
    for window in range(52):
        remaining = 100 if window in {0, 20} else 50
        answer(quota, remaining, at=10.0 * window, reset=1010.0 + 10.0 * window)
        seen.append(quota.remaining)
    assert seen == [99] + [49] * 19 + [99] + [49] * 30 + [50]


# --- replies that say little -------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["limit", "remaining", "reset"])
def test_a_reply_without_one_of_the_three_headers_costs_one_request(missing: str) -> None:
    quota = known()
    said = {"limit": 100, "remaining": 5, "reset": 1010.0} | {missing: None}
    reply(quota, quota.take(BULK, 0.0), at=0.0, **said)  # type: ignore[arg-type]  # by name
    assert quota.remaining == 98
    assert quota._own == 2


@pytest.mark.parametrize(
    ("left_at", "lost_at", "remaining"),
    [
        (0.0, 2.0, 98),
        (9.0, 11.0, 99),  # charged to the new window
        (1.0, 31.0, 100),  # windows ago: not charged to the present one
    ],
)
def test_a_lost_request_is_spent_and_frees_its_place(
    left_at: float, lost_at: float, remaining: int
) -> None:
    quota = known()
    quota.lost(quota.take(BULK, left_at), lost_at)
    assert quota.remaining == remaining
    assert quota.in_flight == 0


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [None, RATE_LIMIT_EXCEEDED])
def test_a_refusal_for_the_window_waits_for_its_edge_and_goes_on_as_before(
    code: str | None,
) -> None:
    quota = known(mine=20, remaining=80)
    refuse(quota, at=2.0, code=code)
    assert quota.remaining == 0
    assert wait(quota, INTERACTIVE, 2.0) == 8.0
    assert wait(quota, BULK, 2.0) == 0.25
    assert len(send_all(quota, INTERACTIVE, 10.0)) == 22
    assert quota._penalty == 1.0


@pytest.mark.parametrize(("remaining", "pause"), [(1, 0.25), (2, 8.0)])
def test_a_refusal_with_no_more_left_than_the_counter_lags_is_for_the_window(
    remaining: int, pause: float
) -> None:
    quota = known(remaining=100)  # a lag of one
    refuse(quota, remaining, at=2.0)
    assert wait(quota, BULK, 2.0) == pause


def test_a_refusal_for_another_budget_pauses_until_the_reset_and_halves_the_pace() -> None:
    quota = known(mine=20, remaining=80)
    assert at_once(quota, 2.0) == 73
    refuse(quota, at=2.0, code="other")
    assert wait(quota, INTERACTIVE, 2.0) == quota.least_wait(0, 2.0) == 8.0
    quota._paused_until = 0.0
    assert at_once(quota, 2.0) == 36


def test_after_a_pause_one_request_looks_and_the_pace_comes_back_by_half_with_each_window() -> None:
    quota = known(mine=20, remaining=80)
    for _ in range(2):
        refuse(quota, 50, at=0.0)
    quota.take(INTERACTIVE, 10.0)
    assert wait(quota, INTERACTIVE, 11.7) == 0.25
    assert wait(quota, INTERACTIVE, 12.0) == 0.0
    penalties: list[float] = []
    for window in range(1, 6):
        snapshot(quota, 10.0 * window)
        penalties.append(quota._penalty)
    assert penalties == [0.375, 0.5625, 0.84375, 1.0, 1.0]


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 0.5), (0.5, 0.75)])
def test_a_refusal_without_headers_pauses_for_half_a_second_to_one(
    chance: float, pause: float
) -> None:
    quota = unknown(chance=chance)
    assert bare_refusal(quota, 0.0) == pause
    assert quota.least_wait(5, 0.25) == pause - 0.25
    assert quota.least_wait(5, 2.0) == 0.0


@pytest.mark.parametrize(
    ("quota", "reset", "date", "pause"),
    [
        (unknown(), 1010.0, 1004.0, 6.0),
        (unknown(), 1010.0, None, 10.0),  # the window may just have begun
        (unknown(), 1e11, 1004.0, 10.0),
        (known(), 1010.0, None, 6.0),  # our clock shows 1004
        (known(), 900.0, None, 0.5),
    ],
)
def test_a_refusal_that_says_its_reset_alone_pauses_until_then_and_no_longer_than_a_window(
    quota: QuotaWindow, reset: float, date: float | None, pause: float
) -> None:
    headers = RateLimitHeaders(reset=reset, date=date)
    quota.answered(quota.take(BULK, 4.0), headers, status=429, code=None, now=4.0)
    assert wait(quota, INTERACTIVE, 4.0) == pause


def test_refusals_without_headers_double_the_pause_up_to_a_minute_each_burst_once() -> None:
    quota = unknown()
    assert [bare_refusal(quota, at) for at in (0.0, 0.25, 0.5)] == [0.5, 1.0, 1.0]
    now, pauses = 1.5, [bare_refusal(quota, 1.5)]
    for _ in range(9):
        now += pauses[-1]
        pauses.append(bare_refusal(quota, now))
    assert pauses == [1, 2, 4, 8, 16] + [30.0] * 5  # and twice that, if chance says so


@pytest.mark.parametrize("said", [True, False])
def test_any_success_lets_the_pauses_begin_anew(*, said: bool) -> None:
    quota = unknown()
    bare_refusal(quota, 0.0)
    bare_refusal(quota, 0.5)
    answer(quota, 99 if said else None, at=2.0)
    assert bare_refusal(quota, 2.0) == 0.5


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 0.5), (7.0, 7.0), (120.5, 120.0), (1e9, 120.0)])
def test_a_retry_after_is_obeyed_up_to_two_minutes(asked: float, pause: float) -> None:
    assert bare_refusal(unknown(), 0.0, asked) == pause
    quota = known()  # a refusal for the window may ask for more, too
    refuse(quota, at=9.5, retry_after=asked)
    assert wait(quota, INTERACTIVE, 9.5) == pytest.approx(max(0.5, pause))


@pytest.mark.parametrize(
    ("left_at", "pause"),
    [
        (9.9, 0.0),  # overtaken by the edge, it says nothing about the new window
        (10.0, 0.5),  # the window that it names was certainly over
    ],
)
def test_a_refusal_that_names_a_window_that_is_over_pauses_if_it_was_over_when_the_request_left(
    left_at: float, pause: float
) -> None:
    quota = known()
    assert snapshot(quota, left_at).limit == 100
    late = quota.take(BULK, left_at)
    assert snapshot(quota, 10.1).remaining == 99
    reply(quota, late, 0, at=10.1, status=429, code=RATE_LIMIT_EXCEEDED)
    assert quota.remaining == 100
    assert wait(quota, INTERACTIVE, 10.1) == pause
