"""The quota's arithmetic rule by rule, with numbers worked out by hand.

The server's clock is exactly 1000 s ahead of ours and known to be, replies take no time and
chance throws the same number each time, unless a test says otherwise.
"""

import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.observing import RateLimitStatus
from intercom_async.pacing.window import (
    Lane,
    Permit,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)

AHEAD = 1000.0
"""Seconds by which the server's clock is ahead."""

USED_UP = "rate_limit_exceeded"
"""The code of a 429 as Intercom writes it."""


def unknown(policy: RateLimitPolicy | None = None, *, chance: float = 0.0) -> QuotaWindow:
    """Return a quota of which nothing is known."""
    return QuotaWindow(policy or RateLimitPolicy(), lambda: chance)


def answer(
    quota: QuotaWindow,
    remaining: int | None,
    *,
    at: float,
    took: float = 0.0,
    limit: int | None = 100,
    reset: float | None = 1010.0,
    retry_after: float | None = None,
    status: int = 200,
    code: str | None = None,
    lane: Lane = Lane.BULK,
) -> None:
    """Send a request at `at` (seconds) and get its answer `took` seconds later."""
    permit = quota.take(lane, at)
    headers = RateLimitHeaders(
        limit=limit, remaining=remaining, reset=reset, retry_after=retry_after
    )
    quota.answered(permit, headers, status=status, code=code, now=at + took)
    if quota.clock.known:
        quota.clock.low = quota.clock.high = AHEAD


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


def pace(quota: QuotaWindow, now: float) -> float:
    """Return the requests per second that endless bulk may send from now on."""
    quota._credit, quota._credit_at, quota._fresh_until = 0.0, now, 0.0
    return 1.0 / quota.wait(Lane.BULK, now, backlog=None)


def at_once(quota: QuotaWindow, now: float) -> int:
    """Return the largest job that may go without being paced."""
    jobs = range(1, 200)
    for job in jobs:
        quota._credit, quota._credit_at, quota._fresh_until = 0.0, now, 0.0
        if quota.wait(Lane.BULK, now, backlog=job) > 0.0:
            return job - 1
    return jobs.stop


def snapshot(quota: QuotaWindow, now: float) -> RateLimitStatus:
    status = quota.status(now, waiting_interactive=0, waiting_bulk=0)
    assert status is not None
    return status


# --- what a policy may say ---------------------------------------------------------------------


def test_the_defaults_of_a_policy_are_the_documented_ones() -> None:
    policy = RateLimitPolicy()
    assert (policy.reserve, policy.quota_fraction, policy.max_wait) == (0.03, 1.0, 30.0)
    assert (policy.fallback_limit, policy.key) == (160, None)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("reserve", -0.1, "a number from 0 to 1"),
        ("reserve", True, "a number from 0 to 1"),
        ("quota_fraction", 1.1, "a number from 0 to 1, not 0"),
        ("quota_fraction", None, "a number from 0 to 1"),
        ("reserve", "much", "a number from 0 to 1"),
        ("quota_fraction", 0, "a number from 0 to 1, not 0"),
        ("quota_fraction", True, "a number from 0 to 1"),
        ("max_wait", -1, "a number of seconds, 0 or more, or None"),
        ("max_wait", float("nan"), "a number of seconds, 0 or more, or None"),
        ("fallback_limit", 0, "a whole number of requests, 1 or more"),
        ("fallback_limit", 1.5, "a whole number of requests, 1 or more"),
        ("key", [], "a hashable value or None"),
        ("max_wait", True, "a number of seconds, 0 or more, or None"),
        ("max_wait", "long", "a number of seconds, 0 or more, or None"),
        ("fallback_limit", True, "a whole number of requests, 1 or more"),
        ("fallback_limit", None, "a whole number of requests, 1 or more"),
    ],
)
def test_a_refused_value_is_told_with_what_would_do(
    name: str, value: object, expected: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        RateLimitPolicy(**{name: value})  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.name == f"RateLimitPolicy.{name}"
    assert caught.value.value is value
    assert f"must be {expected}" in str(caught.value)


def test_a_key_is_never_shown_because_it_may_be_a_secret() -> None:
    assert "team" not in repr(RateLimitPolicy(key="team"))


# --- before and without headers ----------------------------------------------------------------


def test_each_two_seconds_without_any_answer_allow_another_probe() -> None:
    quota = unknown()
    quota.take(Lane.BULK, 1.0)
    assert quota.wait(Lane.BULK, 2.7, backlog=None) == 0.25
    assert quota.wait(Lane.BULK, 3.0, backlog=None) == 0.0
    quota.take(Lane.BULK, 3.0)
    assert quota.wait(Lane.BULK, 4.7, backlog=None) == 0.25
    assert quota.wait(Lane.BULK, 5.0, backlog=None) == 0.0


def test_interactive_calls_pass_the_slow_start_each_quarter_of_a_second_unless_refused() -> None:
    for quota in (unknown(), known(mine=3, remaining=97)):
        while quota.wait(Lane.BULK, 0.0, backlog=1) == 0.0:
            quota.take(Lane.BULK, 0.0)
        assert quota.wait(Lane.INTERACTIVE, 1.0, backlog=None) == 0.0
        permit = quota.take(Lane.INTERACTIVE, 1.0)
        assert quota.wait(Lane.INTERACTIVE, 1.2, backlog=None) == pytest.approx(0.05)
        assert quota.wait(Lane.INTERACTIVE, 1.25, backlog=None) == 0.0
        headers = RateLimitHeaders(limit=100, remaining=0, reset=1010.0)
        quota.answered(permit, headers, status=429, code=USED_UP, now=2.0)
        quota.take(Lane.BULK, 12.0)
        assert quota.wait(Lane.INTERACTIVE, 12.0, backlog=None) == 0.25


def test_probes_that_were_never_sent_do_not_bring_others_with_them() -> None:
    quota = unknown()
    for second in range(60):
        quota.give_back(quota.take(Lane.INTERACTIVE, float(second)))
    quota.take(Lane.INTERACTIVE, 60.0)
    assert quota.wait(Lane.INTERACTIVE, 60.0, backlog=None) == 0.25


def test_two_more_requests_than_were_answered_may_be_out() -> None:
    quota = known(mine=3, remaining=97)
    permits = [quota.take(Lane.INTERACTIVE, 0.0)]
    while quota.wait(Lane.INTERACTIVE, 0.0, backlog=None) == 0.0:
        permits.append(quota.take(Lane.INTERACTIVE, 0.0))
    assert len(permits) == 5
    quota.lost(permits.pop(), 0.0)  # makes room for itself and one more, as an answer does
    while quota.wait(Lane.INTERACTIVE, 0.0, backlog=None) == 0.0:
        permits.append(quota.take(Lane.INTERACTIVE, 0.0))
    assert len(permits) == 6
    refuse(quota, at=9.0)  # a refusal makes none
    assert quota.wait(Lane.INTERACTIVE, 10.0, backlog=None) == 0.25


def bucket(policy: RateLimitPolicy, *, at: float = 0.0) -> QuotaWindow:
    """Return a quota of a server without headers, with its bucket's one request untouched."""
    quota = unknown(policy)
    quota.take(Lane.BULK, at)
    quota.answered(Permit(Lane.BULK, at, None, 0), None, status=200, code=None, now=at)
    quota._credit, quota._credit_at = 1.0, at
    return quota


def drain(quota: QuotaWindow, lane: Lane, now: float) -> int:
    """Send until a request has to wait; return how many went."""
    sent = 0
    while quota.wait(lane, now, backlog=None) == 0.0:
        permit = quota.take(lane, now)
        quota.answered(permit, None, status=200, code=None, now=now)
        sent += 1
    return sent


def test_the_bucket_gives_a_tenth_of_its_limit_each_second() -> None:
    quota = bucket(RateLimitPolicy(fallback_limit=100))
    assert drain(quota, Lane.BULK, 0.0) == 1
    assert quota.wait(Lane.BULK, 0.0, backlog=None) == pytest.approx(0.1)
    assert quota.wait(Lane.BULK, 0.06, backlog=None) == pytest.approx(0.04)
    assert drain(quota, Lane.BULK, 0.1) == 1


def test_the_bucket_gives_a_client_its_fraction_only() -> None:
    quota = bucket(RateLimitPolicy(fallback_limit=100, quota_fraction=0.5))
    drain(quota, Lane.BULK, 0.0)
    assert quota.wait(Lane.BULK, 0.0, backlog=None) == pytest.approx(0.2)


def test_interactive_calls_borrow_the_reserve_from_the_bucket_and_bulk_pays() -> None:
    quota = bucket(RateLimitPolicy(fallback_limit=100, reserve=0.03))
    assert drain(quota, Lane.INTERACTIVE, 0.0) == 4
    assert quota.wait(Lane.INTERACTIVE, 0.0, backlog=None) == pytest.approx(0.1)
    assert quota.wait(Lane.BULK, 0.0, backlog=None) == pytest.approx(0.4)


@pytest.mark.parametrize("lane", Lane)
def test_a_request_that_was_never_sent_costs_the_bucket_nothing(lane: Lane) -> None:
    quota = bucket(RateLimitPolicy(fallback_limit=100, reserve=0.0))
    quota.give_back(quota.take(lane, 0.0))
    assert quota.in_flight == 0
    assert drain(quota, Lane.BULK, 0.0) == 1


def test_before_any_answer_nobody_can_tell_the_quota() -> None:
    assert unknown().status(0.0, waiting_interactive=0, waiting_bulk=0) is None


def test_a_server_without_headers_leaves_limit_and_remaining_open() -> None:
    quota = bucket(RateLimitPolicy())
    quota.take(Lane.BULK, 0.0)
    assert quota.status(1.0, waiting_interactive=2, waiting_bulk=3) == RateLimitStatus(
        limit=None,
        remaining=None,
        resets_in=0.0,
        share=1.0,
        in_flight=1,
        waiting_interactive=2,
        waiting_bulk=3,
    )
    assert quota.least_wait(100, 1.0) == 0.0


# --- a window's budget -------------------------------------------------------------------------


def test_interactive_calls_go_as_long_as_anything_remains() -> None:
    quota = known(remaining=2)
    for _ in range(2):
        assert quota.wait(Lane.INTERACTIVE, 1.0, backlog=None) == 0.0
        quota.take(Lane.INTERACTIVE, 1.0)
    assert quota.wait(Lane.INTERACTIVE, 1.0, backlog=None) == 9.0


def test_bulk_asks_again_each_quarter_of_a_second_while_nothing_remains() -> None:
    quota = known(remaining=0)
    assert quota.wait(Lane.BULK, 1.0, backlog=None) == 0.25
    assert quota.wait(Lane.BULK, 9.9, backlog=None) == pytest.approx(0.1)


def test_the_wait_that_is_known_counts_whole_windows_for_those_ahead() -> None:
    quota = known(limit=10, remaining=3)
    waits = {ahead: quota.least_wait(ahead, 4.0) for ahead in (0, 2, 3, 12, 13, 22, 23)}
    assert waits == {0: 0.0, 2: 0.0, 3: 6.0, 12: 6.0, 13: 16.0, 22: 16.0, 23: 26.0}


def test_the_wait_that_is_known_counts_a_fraction_s_windows_too() -> None:
    quota = known(limit=10, remaining=9, policy=RateLimitPolicy(quota_fraction=0.35))
    # Three requests a window are ours, one of this window's was sent.
    waits = {ahead: quota.least_wait(ahead, 4.0) for ahead in (1, 2, 4, 5, 7, 8)}
    assert waits == {1: 0.0, 2: 6.0, 4: 6.0, 5: 16.0, 7: 16.0, 8: 26.0}


def test_nobody_waits_for_an_edge_while_enough_remains_however_unsure_the_clock_is() -> None:
    quota = known(remaining=50)
    quota.clock.low = AHEAD - 5.0
    assert quota.least_wait(0, 0.0) == 0.0
    assert quota.least_wait(49, 0.0) == 0.0
    assert quota.least_wait(50, 0.0) == 15.0


def test_a_status_tells_what_is_left_after_what_is_in_flight() -> None:
    quota = known(mine=20, remaining=40)
    for _ in range(3):
        quota.take(Lane.BULK, 1.0)
    assert quota.status(4.0, waiting_interactive=5, waiting_bulk=6) == RateLimitStatus(
        limit=100,
        remaining=37,
        resets_in=6.0,
        share=30 / 70,  # 20 of 60, and 10 of 10 that stand for the window before
        in_flight=3,
        waiting_interactive=5,
        waiting_bulk=6,
    )


# --- the share of others -----------------------------------------------------------------------


def test_a_window_s_share_counts_a_tenth_of_the_limit_in_the_next_one() -> None:
    quota = known(mine=20, remaining=40)
    answer(quota, 90, at=10.0, reset=1020.0)
    assert snapshot(quota, 10.0).share == pytest.approx((1 + 10 * 30 / 70) / (10 + 10))


def test_a_limit_that_falls_below_what_was_sent_leaves_the_share_a_share() -> None:
    quota = known(mine=20, remaining=80)
    answer(quota, 0, at=0.0, limit=10)
    assert snapshot(quota, 0.0).share == 1.0
    assert snapshot(quota, 0.0).limit == 10


@pytest.mark.parametrize(
    ("at", "reset", "share"),
    [(10.0, 1020.0, 30 / 70), (19.9, 1020.0, 30 / 70), (20.0, 1030.0, 1.0), (45.0, 1050.0, 1.0)],
)
def test_a_window_begins_when_the_clock_says_so_and_idling_forgets_the_others(
    at: float, reset: float, share: float
) -> None:
    quota = known(mine=20, remaining=40)
    assert snapshot(quota, at).share == pytest.approx(share)
    assert quota.reset == reset
    assert quota.remaining == 100


# --- the pace ----------------------------------------------------------------------------------


def test_alone_bulk_sends_what_is_left_until_half_a_second_before_the_edge() -> None:
    quota = known(limit=1000, mine=200, remaining=800, at=1.0)
    # 8.5 s; 800 less 0.85 of a reserve of 30; 0.95 of that rate
    assert pace(quota, 1.0) == pytest.approx(0.95 * 774.5 / 8.5)


def test_what_is_in_flight_is_spent() -> None:
    quota = known(limit=1000, mine=200, remaining=800, at=1.0)
    for _ in range(50):
        quota.take(Lane.BULK, 1.0)
    assert pace(quota, 1.0) == pytest.approx(0.95 * 724.5 / 8.5)


def test_beside_others_bulk_takes_its_share_of_what_they_probably_leave() -> None:
    quota = known(limit=1000, mine=200, remaining=400, at=1.0)
    # Ours are 300 of 700. Within a second, 400 melt by exp(-(4 / 7) / 7.5) to 370.66.
    assert pace(quota, 2.0) == pytest.approx((0.9 * 3 / 7 + 0.05) * 348.157 / 7.5, rel=1e-5)


# --- jobs that go at once ----------------------------------------------------------------------


def test_alone_a_job_goes_at_once_that_fits_into_what_may_be_used() -> None:
    quota = known(mine=20, remaining=80, at=1.0)
    assert at_once(quota, 1.0) == 73  # of 0.95 * 77.45
    for _ in range(5):
        quota.take(Lane.BULK, 1.0)
    assert at_once(quota, 1.0) == 63  # of 0.95 * 72.45, less what is out


def test_beside_others_a_job_goes_at_once_up_to_half_of_what_may_be_used() -> None:
    quota = known(limit=1000, mine=200, remaining=400, at=1.0)
    assert at_once(quota, 2.0) == 75  # half of 0.4357 * 348.16
    quota._penalty = 0.5
    assert at_once(quota, 2.0) == 37


def lonely(
    *, remaining: int = 99, at: float = 11.0, policy: RateLimitPolicy | None = None
) -> QuotaWindow:
    """Return a quota in the second window of a process that had the first one for itself."""
    quota = known(mine=50, remaining=50, at=1.0, policy=policy)
    answer(quota, remaining, at=at, reset=1020.0)
    return quota


def test_a_job_may_take_all_that_is_left_if_nobody_else_was_there_for_a_window() -> None:
    quota = lonely()
    assert at_once(quota, 11.0) == 99
    for _ in range(10):
        quota.take(Lane.BULK, 11.0)
    assert at_once(quota, 11.0) == 89


def test_even_then_a_job_leaves_to_others_the_quota_s_other_part() -> None:
    assert at_once(lonely(policy=RateLimitPolicy(quota_fraction=0.5)), 11.0) == 49


@pytest.mark.parametrize(("remaining", "job"), [(98, 98), (97, 64)])
def test_one_request_in_a_hundred_is_nobody(remaining: int, job: int) -> None:
    assert at_once(lonely(remaining=remaining), 11.0) == job


def test_the_reserve_is_kept_for_a_window_after_an_interactive_call() -> None:
    quota = lonely()
    quota.give_back(quota.take(Lane.INTERACTIVE, 9.0))
    assert at_once(quota, 11.0) == 96  # of 99 - 2.55
    assert at_once(quota, 19.0) == 98  # of 99 - 0.15
    assert at_once(quota, 19.01) == 99


def test_whoever_had_company_in_the_last_window_is_not_alone() -> None:
    quota = known(mine=50, remaining=48, at=1.0)
    answer(quota, 99, at=11.0, reset=1020.0)
    assert at_once(quota, 11.0) < 99


# --- counters that lag behind ------------------------------------------------------------------


def test_a_first_reply_that_counts_itself_not_shows_a_lag_of_one() -> None:
    quota = known(remaining=100)
    assert quota.remaining == 99
    answer(quota, 98, at=0.0)
    assert quota.remaining == 97


def test_requests_answered_before_another_left_must_be_in_its_count() -> None:
    quota = known(remaining=99)
    for _ in range(3):
        answer(quota, 99, at=0.0)  # the fourth one finds three missing
    answer(quota, 50, at=0.0)
    assert quota.remaining == 47


def test_no_lag_is_believed_beyond_a_tenth_of_the_limit_and_one() -> None:
    quota = known(remaining=100)
    for _ in range(20):
        answer(quota, 100, at=0.0)
    assert quota.remaining == 100 - 21  # what we sent is spent, whatever the server says
    answer(quota, 50, at=0.0)
    assert quota.remaining == 50 - 11


def test_a_request_of_the_window_before_says_nothing_about_this_one_s_lag() -> None:
    quota = known(mine=5, remaining=95)
    late = quota.take(Lane.BULK, 9.9)
    headers = RateLimitHeaders(limit=100, remaining=99, reset=1020.0)
    quota.answered(late, headers, status=200, code=None, now=10.1)
    answer(quota, 50, at=10.1, reset=1020.0)
    assert quota.remaining == 50


def test_a_lag_is_forgotten_after_thirty_windows_in_which_it_was_not_seen() -> None:
    quota = known(remaining=100)
    seen: list[int] = []
    for window in range(1, 33):
        answer(quota, 50, at=10.0 * window, reset=1010.0 + 10.0 * window)
        seen.append(quota.remaining)
    assert seen == [49] * 30 + [50] * 2


def test_a_lag_that_is_seen_again_is_remembered_anew() -> None:
    quota = known(remaining=100)
    for window in range(1, 42):
        remaining = 100 if window == 20 else 50
        answer(quota, remaining, at=10.0 * window, reset=1010.0 + 10.0 * window)
    assert quota.remaining == 49


# --- replies that tell little ------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["limit", "remaining", "reset"])
def test_a_reply_without_one_of_the_three_headers_costs_one_request(missing: str) -> None:
    quota = known()
    told = {"limit": 100, "remaining": 5, "reset": 1010.0} | {missing: None}
    quota.answered(
        quota.take(Lane.BULK, 0.0),
        RateLimitHeaders(**told),  # type: ignore[arg-type]  # by name
        status=200,
        code=None,
        now=0.0,
    )
    assert quota.remaining == 98
    assert quota._own == 2


def test_a_lost_request_is_spent_and_frees_its_place() -> None:
    quota = known()
    quota.lost(quota.take(Lane.BULK, 0.0), 2.0)
    assert quota.remaining == 98
    assert quota.in_flight == 0


def test_a_request_lost_after_the_edge_is_charged_to_the_new_window() -> None:
    quota = known(remaining=0)
    quota.lost(quota.take(Lane.BULK, 9.0), 11.0)
    assert quota.remaining == 99
    for _ in range(101):
        quota.lost(quota.take(Lane.BULK, 11.0), 11.0)
    assert quota.remaining == 0


def test_a_request_lost_windows_after_it_left_is_not_charged_to_the_present_one() -> None:
    quota = known()
    quota.lost(quota.take(Lane.BULK, 1.0), 31.0)
    assert quota.remaining == 100
    assert quota.in_flight == 0


# --- refusals ----------------------------------------------------------------------------------


def refuse(
    quota: QuotaWindow,
    remaining: int = 0,
    *,
    at: float,
    code: str | None = USED_UP,
    retry_after: float | None = None,
) -> None:
    answer(quota, remaining, at=at, status=429, code=code, retry_after=retry_after)


@pytest.mark.parametrize("code", [None, USED_UP])
def test_a_refusal_for_the_window_waits_for_its_edge_and_goes_on_as_before(
    code: str | None,
) -> None:
    quota = known(mine=20, remaining=80)
    refuse(quota, at=2.0, code=code)
    assert quota.remaining == 0
    assert quota.wait(Lane.INTERACTIVE, 2.0, backlog=None) == 8.0
    assert quota.wait(Lane.BULK, 2.0, backlog=None) == 0.25
    for _ in range(22):
        assert quota.wait(Lane.INTERACTIVE, 10.0, backlog=None) == 0.0
        quota.take(Lane.INTERACTIVE, 10.0)
    assert quota._penalty == 1.0


def test_a_refusal_with_no_more_left_than_the_counter_lags_is_for_the_window() -> None:
    quota = known(remaining=100)  # a lag of one
    refuse(quota, 1, at=2.0)
    assert quota.wait(Lane.BULK, 2.0, backlog=None) == 0.25
    quota = known(remaining=100)
    refuse(quota, 2, at=2.0)
    assert quota.wait(Lane.BULK, 2.0, backlog=None) == 8.0


def test_a_refusal_for_another_budget_pauses_until_the_reset_and_halves_the_pace() -> None:
    quota = known(limit=1000, mine=200, remaining=800, at=1.0)
    answer(quota, 0, at=2.0, limit=1000, status=429, code="other")
    assert quota.wait(Lane.INTERACTIVE, 2.0, backlog=None) == 8.0
    assert quota.least_wait(0, 2.0) == 8.0
    quota._paused_until = 0.0
    assert pace(quota, 2.0) == pytest.approx(0.95 * (800 - 22.5) / 7.5 / 2)


def test_the_pace_comes_back_by_half_with_each_window() -> None:
    quota = known()
    for _ in range(2):
        refuse(quota, 50, at=0.0)
    penalties: list[float] = []
    for window in range(1, 6):
        snapshot(quota, 10.0 * window)
        penalties.append(quota._penalty)
    assert penalties == [0.375, 0.5625, 0.84375, 1.0, 1.0]


def test_a_refusal_without_headers_pauses_for_half_a_second_to_one() -> None:
    for chance, pause in ((0.0, 0.5), (0.5, 0.75)):
        quota = unknown(chance=chance)
        answer(quota, None, at=0.0, limit=None, reset=None, status=429)
        assert quota.wait(Lane.BULK, 0.0, backlog=None) == pause
        assert quota.least_wait(5, 0.25) == pause - 0.25
        assert quota.least_wait(5, 2.0) == 0.0


def test_after_a_pause_one_request_probes() -> None:
    quota = known(mine=20, remaining=80)
    refuse(quota, 50, at=0.0)
    quota.take(Lane.INTERACTIVE, 10.0)
    assert quota.wait(Lane.INTERACTIVE, 11.7, backlog=None) == 0.25
    assert quota.wait(Lane.INTERACTIVE, 12.0, backlog=None) == 0.0


def bare_refusal(quota: QuotaWindow, at: float, retry_after: float | None = None) -> float:
    """Be refused without quota headers; return the pause."""
    answer(quota, None, at=at, limit=None, reset=None, status=429, retry_after=retry_after)
    return quota.wait(Lane.BULK, at, backlog=None)


def test_refusals_of_one_burst_count_once() -> None:
    quota = unknown()
    assert bare_refusal(quota, 0.0) == 0.5
    assert bare_refusal(quota, 0.25) == 1.0
    assert bare_refusal(quota, 0.5) == 1.0
    assert bare_refusal(quota, 1.5) == 1.0  # the second burst
    assert bare_refusal(quota, 2.5) == 2.0


def test_refusals_without_headers_pause_for_a_minute_at_most() -> None:
    quota = unknown()
    now = 0.0
    pauses: list[float] = []
    for _ in range(12):
        pauses.append(bare_refusal(quota, now))
        now += pauses[-1]
    assert pauses == [0.5, 1, 2, 4, 8, 16] + [30.0] * 6


@pytest.mark.parametrize("told", [True, False])
def test_any_success_lets_the_pauses_begin_anew(told: bool) -> None:
    quota = unknown()
    bare_refusal(quota, 0.0)
    bare_refusal(quota, 0.5)
    if told:
        answer(quota, 99, at=2.0)
    else:
        answer(quota, None, at=2.0, limit=None, reset=None)
    assert bare_refusal(quota, 2.0) == 0.5


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 0.5), (7.0, 7.0), (120.5, 120.0), (1e9, 120.0)])
def test_a_retry_after_is_obeyed_up_to_two_minutes(asked: float, pause: float) -> None:
    assert bare_refusal(unknown(), 0.0, asked) == pause


@pytest.mark.parametrize(("asked", "pause"), [(0.0, 0.25), (7.0, 7.0), (1e9, 120.0)])
def test_a_refusal_for_the_window_may_ask_for_more(asked: float, pause: float) -> None:
    quota = known()
    refuse(quota, at=1.0, retry_after=asked)
    assert quota.wait(Lane.BULK, 1.0, backlog=None) == pause


def test_no_refusal_shortens_a_pause() -> None:
    quota = known()
    refuse(quota, at=1.0, retry_after=100.0)
    refuse(quota, at=1.0, retry_after=2.0)
    refuse(quota, 50, at=1.0, retry_after=2.0)
    assert quota.wait(Lane.BULK, 1.0, backlog=None) == 100.0


def test_a_refusal_that_was_overtaken_by_the_edge_says_nothing_about_the_new_window() -> None:
    quota = known()
    late = quota.take(Lane.BULK, 9.9)
    assert snapshot(quota, 10.1).limit == 100
    headers = RateLimitHeaders(limit=100, remaining=0, reset=1010.0)
    quota.answered(late, headers, status=429, code=USED_UP, now=10.1)
    assert quota.remaining == 100
    assert quota.wait(Lane.INTERACTIVE, 10.1, backlog=None) == 0.0


def test_a_refusal_in_a_window_that_was_certainly_over_pauses() -> None:
    quota = known()
    assert snapshot(quota, 10.0).limit == 100
    late = quota.take(Lane.BULK, 10.0)
    headers = RateLimitHeaders(limit=100, remaining=0, reset=1010.0)
    quota.answered(late, headers, status=429, code=USED_UP, now=10.0)
    assert quota.remaining == 100
    assert quota.wait(Lane.INTERACTIVE, 10.0, backlog=None) == 0.5
