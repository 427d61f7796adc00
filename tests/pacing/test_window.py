"""The quota's arithmetic rule by rule, with numbers worked out by hand.

The server's clock is exactly 1000 s ahead of ours, replies take no time and chance throws the same
number each time, unless a test says otherwise.
"""

from typing import Any, Self

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


class Quota(QuotaWindow):
    """A quota of which nothing is known, and what happens to it: each step returns it."""

    def __init__(self, *, chance: float = 0.0, **policy: Any) -> None:
        super().__init__(RateLimitPolicy(**policy), lambda: chance)

    def reply(
        self,
        permit: Permit,
        remaining: int | None,
        *,
        at: float,
        limit: int | None = 100,
        reset: float | None = 1010.0,
        status: int = 200,
        code: str | None = None,
        **said: float | None,
    ) -> Self:
        headers = RateLimitHeaders(limit=limit, remaining=remaining, reset=reset, **said)
        self.answered(permit, headers, status=status, code=code, now=at)
        if self.limit is not None:
            self.clock.low = self.clock.high = AHEAD
        return self

    def ask(self, remaining: int | None, *, at: float = 0.0, **said: Any) -> Self:
        """Send a request that is answered at once."""
        return self.reply(self.take(BULK, at), remaining, at=at, **said)

    def refuse(
        self, remaining: int = 0, *, code: str | None = RATE_LIMIT_EXCEEDED, **said: Any
    ) -> Self:
        return self.ask(remaining, status=429, code=code, **said)

    def refuse_without_quota(self, at: float, reset: float | None = None, **said: Any) -> Self:
        return self.ask(None, at=at, status=429, limit=None, reset=reset, **said)

    def lose(self, sent: float, lost: float) -> Self:
        self.lost(self.take(BULK, sent), lost)
        return self

    def keep_out(self, requests: int, at: float) -> Self:
        """Send requests that are not answered."""
        for _ in range(requests):
            self.take(BULK, at)
        return self

    def pause(self, lane: Lane, at: float) -> float:
        """Return the seconds until one of endless requests may leave."""
        return self.wait(lane, at, backlog=None)

    def send_all(self, lane: Lane, at: float) -> list[Permit]:
        """Send until a request has to wait."""
        permits: list[Permit] = []
        while self.pause(lane, at) == 0.0:
            permits.append(self.take(lane, at))
        return permits

    def at_once(self, at: float) -> int:
        """Return the largest job that may go without being paced."""
        jobs = range(1, 200)
        for job in jobs:
            self._credit, self._credit_at, self._fresh_until = 0.0, at, 0.0
            if self.wait(BULK, at, backlog=job) > 0.0:
                return job - 1
        return jobs.stop

    def snapshot(self, at: float) -> RateLimitStatus:
        status = self.status(at, waiting_interactive=5, waiting_bulk=6)
        assert status is not None
        return status


def known(
    mine: int = 1, remaining: int = 99, *, limit: int = 100, at: float = 0.0, **options: Any
) -> Quota:
    """Return a quota of which `mine` requests were answered at `at`, the last with `remaining`."""
    quota = Quota(**options)
    for later in reversed(range(mine)):
        quota.ask(remaining + later, at=at, limit=limit)
    return quota


# --- what a policy may say ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected", "values"),
    [
        ("reserve", "a number from 0 to 1", [-0.1, True, "much"]),
        ("quota_fraction", "a number from 0 to 1, not 0", [1.1, None, 0, True]),
        ("max_wait", "a number of seconds, 0 or more, or None", [-1, float("nan"), True, "long"]),
        ("fallback_limit", "a whole number of requests, 1 or more", [0, 1.5, True, None]),
        ("key", "a hashable value or None", [bytearray()]),
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
    quota = Quota()
    for second in range(60):  # those that were never sent bring no others with them
        quota.give_back(quota.take(INTERACTIVE, float(second)))
    for at in (60.0, 62.0):
        assert len(quota.send_all(BULK, at)) == 1
        assert quota.pause(BULK, at + 1.7) == 0.25


def test_two_more_requests_than_were_answered_may_be_out() -> None:
    quota = known(3, 97)
    permits = quota.send_all(INTERACTIVE, 0.0)
    assert len(permits) == 5
    quota.lost(permits.pop(), 0.0)  # makes room for itself and one more, as an answer does
    assert len(quota.send_all(INTERACTIVE, 0.0)) == 2
    quota.refuse(at=9.0)  # a refusal makes none
    assert quota.pause(INTERACTIVE, 10.0) == 0.25


@pytest.mark.parametrize("quota", [Quota(), known(3, 97)])
def test_interactive_calls_pass_the_slow_start_each_quarter_of_a_second_unless_refused(
    quota: Quota,
) -> None:
    while quota.wait(BULK, 0.0, backlog=1) == 0.0:
        quota.take(BULK, 0.0)
    (permit,) = quota.send_all(INTERACTIVE, 1.0)
    assert quota.pause(INTERACTIVE, 1.2) == pytest.approx(0.05)
    assert len(quota.send_all(INTERACTIVE, 1.25)) == 1
    quota.reply(permit, 0, at=2.0, status=429)
    quota.take(BULK, 12.0)
    assert quota.pause(INTERACTIVE, 13.7) == 0.25


# --- without headers ---------------------------------------------------------------------------


def bucket(**policy: Any) -> Quota:
    """Return a quota of a server without headers, with its bucket's one request untouched."""
    quota = Quota(**policy)
    for _ in range(20):
        quota.answered(quota.take(BULK, 0.0), None, status=200, code=None, now=0.0)
    quota._credit, quota._credit_at = 1.0, 0.0
    return quota


def test_the_bucket_gives_a_client_its_fraction_and_lends_interactive_calls_the_reserve() -> None:
    quota = bucket(fallback_limit=200, quota_fraction=0.5, reserve=0.015)
    assert len(quota.send_all(BULK, 0.0)) == 1
    assert quota.pause(BULK, 0.0) == pytest.approx(0.1)
    assert quota.pause(BULK, 0.06) == pytest.approx(0.04)
    assert len(quota.send_all(INTERACTIVE, 0.1)) == 4
    assert quota.pause(INTERACTIVE, 0.1) == pytest.approx(0.1)
    assert quota.pause(BULK, 0.1) == pytest.approx(0.4)


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize("tried", [False, True])
def test_a_request_costs_the_bucket_nothing_unless_it_was_sent_or_tried_to_connect(
    lane: Lane, *, tried: bool
) -> None:
    quota = bucket(fallback_limit=100, reserve=0.0)
    quota.give_back(quota.take(lane, 0.0), tried=tried)
    assert quota.in_flight == 0
    assert len(quota.send_all(BULK, 0.0)) == (0 if tried else 1)


# --- a window's budget -------------------------------------------------------------------------


def test_interactive_calls_go_as_long_as_anything_remains_and_bulk_asks_again() -> None:
    quota = known(remaining=2)
    assert len(quota.send_all(INTERACTIVE, 1.0)) == 2
    assert quota.pause(INTERACTIVE, 1.0) == 9.0
    assert quota.pause(BULK, 3.0) == 0.25
    assert quota.pause(BULK, 9.9) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("remaining", "fraction", "waits"),
    [
        (3, 1.0, {0: 0.0, 2: 0.0, 3: 6.0, 12: 6.0, 13: 16.0, 22: 16.0, 23: 26.0}),
        # Three requests a window are ours, one of this window's was sent.
        (9, 0.35, {1: 0.0, 2: 6.0, 4: 6.0, 5: 16.0, 7: 16.0, 8: 26.0}),
        (9, 0.05, {0: 6.0, 1: 16.0}),  # one at least is
    ],
)
def test_the_wait_that_is_certain_counts_whole_windows_for_those_ahead(
    remaining: int, fraction: float, waits: dict[int, float]
) -> None:
    quota = known(limit=10, remaining=remaining, quota_fraction=fraction)
    assert {ahead: quota.least_wait(ahead, 4.0) for ahead in waits} == waits


def test_a_window_ends_when_the_server_s_clock_has_certainly_passed_its_end() -> None:
    quota = known(remaining=1)
    quota.clock.low = AHEAD - 5.0
    assert quota.least_wait(0, 0.0) == 0.0  # nobody waits for an edge while enough remains
    assert quota.least_wait(1, 0.0) == 15.0
    assert len(quota.send_all(INTERACTIVE, 14.9)) == 1
    assert len(quota.send_all(INTERACTIVE, 15.0)) > 0


def test_a_status_says_what_is_left_after_what_is_in_flight_and_leaves_open_what_is_unknown() -> (
    None
):
    assert Quota().status(0.0, waiting_interactive=0, waiting_bulk=0) is None
    waiting: dict[str, Any] = {"waiting_interactive": 5, "waiting_bulk": 6}
    assert bucket().snapshot(1.0) == RateLimitStatus(
        limit=None, remaining=None, resets_in=0.0, **waiting
    )
    assert known(20, 80).keep_out(3, at=1.0).snapshot(4.0) == RateLimitStatus(
        limit=100, remaining=77, resets_in=6.0, share=1.0, in_flight=3, **waiting
    )


@pytest.mark.parametrize(
    ("quota", "at", "share", "reset"),
    [
        # 20 of 60, and 10 of 10 that stand for the window before.
        (known(20, 40), 4.0, 30 / 70, 1010.0),
        (known(20, 40).lose(0.0, 0.0), 4.0, 31 / 71, 1010.0),
        (known(20, 80).ask(0, limit=10), 4.0, 1.0, 1010.0),  # more was sent than the limit now is
        # The next window begins when the clock says so; idling forgets the others.
        (known(20, 40), 10.0, 30 / 70, 1020.0),
        (known(20, 40), 19.9, 30 / 70, 1020.0),
        (known(20, 40), 20.0, 1.0, 1030.0),
        (known(20, 40), 45.0, 1.0, 1050.0),
    ],
)
def test_the_share_is_our_part_of_what_this_window_lost_and_of_the_last_one(
    quota: Quota, at: float, share: float, reset: float
) -> None:
    assert quota.snapshot(at).share == pytest.approx(share)
    assert quota.reset == reset


# --- what replies leave of the budget ----------------------------------------------------------


@pytest.mark.parametrize(
    ("quota", "left"),
    [
        # The first reply that does not count itself shows that the server's counter lags by one.
        (known(1, 100), 99),
        (known(1, 100).ask(98), 97),
        # What was answered before another left must be in its count.
        (known(4, 99).ask(99).ask(50), 46),
        # No lag is believed beyond a tenth of the limit and one; what we sent is spent in any case.
        (known(21, 100), 100 - 21),
        (known(21, 100).ask(50), 50 - 11),
        # A window that jumps is believed, and a new one full.
        (known(remaining=50).ask(40, at=0.2, reset=10.0), 40),
        (known(remaining=50).ask(99, at=10.2, reset=1020.0), 99),
        # A reply without one of the three headers costs one request.
        (known().ask(5, limit=None), 98),
        (known().ask(None), 98),
        (known().ask(5, reset=None), 98),
        # So does a lost one: of the window it ended in, unless it left windows ago.
        (known().lose(0.0, 2.0), 98),
        (known().lose(9.0, 11.0), 99),
        (known().lose(1.0, 31.0), 100),
        (known().refuse(50, at=2.0), 99),  # another budget is used up
        (known().refuse(at=2.0), 0),
    ],
)
def test_a_reply_takes_off_what_the_server_says_or_cannot_know_yet(quota: Quota, left: int) -> None:
    assert quota.remaining == left
    assert quota.in_flight == 0


def test_a_request_of_the_window_before_says_nothing_about_this_one_s_lag() -> None:
    quota = known(5, 95)
    quota.reply(quota.take(BULK, 9.9), 99, at=10.1, reset=1020.0)
    assert quota.ask(50, at=10.1, reset=1020.0).remaining == 50


def test_a_lag_is_forgotten_after_thirty_windows_in_which_it_was_not_seen() -> None:
    quota = Quota()
    seen: list[int] = []
    for window in range(52):
        remaining = 100 if window in {0, 20} else 50
        quota.ask(remaining, at=10.0 * window, reset=1010.0 + 10.0 * window)
        seen.append(quota.remaining)
    assert seen == [99] + [49] * 19 + [99] + [49] * 30 + [50]


@given(st.lists(st.tuples(st.integers(-5, 120), st.sampled_from([1010.0, 1020.0])), max_size=30))
def test_a_stale_reply_never_raises_the_budget(replies: list[tuple[int, float]]) -> None:
    quota = known()
    overtaken = [quota.take(INTERACTIVE, 9.0) for _ in replies]
    quota.ask(60, at=10.2, reset=1020.0)
    before = quota.remaining
    for permit, (remaining, reset) in zip(overtaken, replies, strict=True):
        quota.reply(permit, remaining, at=10.4, reset=reset)
        assert 0 <= quota.remaining <= before
        before = quota.remaining


# --- the pace of bulk; whole runs are in test_quota_use ----------------------------------------


@pytest.mark.parametrize(("chance", "waits"), [(0.0, True), (1.0, False)])
def test_chance_decides_when_a_process_leaves_an_edge_that_others_wait_for(
    chance: float, *, waits: bool
) -> None:
    quota = known(200, 800, limit=1000, chance=chance)
    assert quota.pause(BULK, 9.999) == 0.0  # it has saved up one request
    assert (quota.pause(BULK, 10.0) > 0.0) is waits


def test_after_a_refusal_nothing_leaves_on_the_pace_of_a_moment_ago() -> None:
    quota = known(200, 800, limit=1000, at=1.0)
    quota._credit = 5.0
    assert quota.pause(BULK, 1.0) == 0.0
    assert quota.refuse(at=1.001).pause(BULK, 1.002) > 0.0


def lonely(*, remaining: int = 99, fraction: float = 1.0, before: int = 50) -> Quota:
    """Return a quota in the second window of a process that sent 50 requests in the first one.

    The server had `before` left then; 50 if no other process sent any.
    """
    quota = known(50, before, at=1.0, quota_fraction=fraction)
    return quota.ask(remaining, at=11.0, reset=1020.0)


def after_an_interactive_call() -> Quota:
    quota = lonely()
    quota.give_back(quota.take(INTERACTIVE, 9.0))
    return quota


@pytest.mark.parametrize(
    ("quota", "at", "job"),
    [
        (known(20, 80, at=1.0), 1.0, 73),  # of 0.95 * 77.45
        (known(20, 80, at=1.0).keep_out(5, 1.0), 1.0, 63),  # of 0.95 * 72.45, less what is out
        # Beside others, half of what may be used.
        (known(200, 400, limit=1000, at=1.0), 2.0, 75),
        # All that is left if nobody else was there for a window.
        (lonely(), 11.0, 99),
        (lonely().keep_out(10, 11.0), 11.0, 89),
        (lonely(fraction=0.5), 11.0, 49),  # the quota's other part is left to others
        (lonely(remaining=98), 11.0, 98),  # one request in a hundred is nobody
        (lonely(remaining=97), 11.0, 64),
        (lonely(before=48), 11.0, 86),  # 0.971 * 0.924 of 96.4
        # The reserve is kept for a window after an interactive call.
        (after_an_interactive_call(), 11.0, 96),  # of 99 - 2.55
        (after_an_interactive_call(), 19.01, 99),
        # Slower after a refusal for another budget.
        (known(20, 80).refuse(at=2.0, code="other"), 10.0, 69),  # of 0.75 * 0.95 * 97.15
    ],
)
def test_a_job_that_fits_into_what_may_be_used_goes_at_once(
    quota: Quota, at: float, job: int
) -> None:
    assert quota.at_once(at) == job


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quota", "at", "interactive", "bulk"),
    [
        # Without a word of the quota: half a second to one, as chance has it.
        (Quota().refuse_without_quota(0.0), 0.25, 0.25, 0.25),
        (Quota(chance=0.5).refuse_without_quota(0.0), 0.0, 0.75, 0.75),
        # A Reset alone is obeyed for a window at most.
        (Quota().refuse_without_quota(4.0, 1010.0, date=1004.0), 4.0, 6.0, 6.0),
        (Quota().refuse_without_quota(4.0, 1010.0), 4.0, 10.0, 10.0),  # it may just have begun
        (Quota().refuse_without_quota(4.0, 1e11, date=1004.0), 4.0, 10.0, 10.0),
        (known().refuse_without_quota(4.0, 1010.0), 4.0, 6.0, 6.0),  # our clock shows 1004
        (known().refuse_without_quota(4.0, 900.0), 4.0, 0.5, 0.5),
        # A Retry-After is for two minutes at most, also if the window is used up.
        (Quota().refuse_without_quota(0.0, retry_after=0.0), 0.0, 0.5, 0.5),
        (Quota().refuse_without_quota(0.0, retry_after=7.0), 0.0, 7.0, 7.0),
        (Quota().refuse_without_quota(0.0, retry_after=120.5), 0.0, 120.0, 120.0),
        (known().refuse(at=9.5, retry_after=7.0), 9.5, 7.0, 7.0),
        # The window is used up: calls wait for its edge, and bulk looks again.
        (known().refuse(at=2.0), 2.0, 8.0, 0.25),
        (known().refuse(at=2.0, code=None), 2.0, 8.0, 0.25),
        (known(remaining=100).refuse(1, at=2.0), 2.0, 8.0, 0.25),  # the counter lags by one
        # Another budget is: nothing leaves until the reset.
        (known(remaining=100).refuse(2, at=2.0), 2.0, 8.0, 8.0),
        (known().refuse(at=2.0, code="other"), 2.0, 8.0, 8.0),
    ],
)
def test_a_refusal_says_how_long_nothing_leaves(
    quota: Quota, at: float, interactive: float, bulk: float
) -> None:
    assert quota.pause(INTERACTIVE, at) == quota.least_wait(0, at) == interactive
    assert quota.pause(BULK, at) == bulk


@pytest.mark.parametrize(("code", "pace", "calls"), [(None, 1.0, 22), ("other", 0.5, 1)])
def test_only_a_refusal_for_another_budget_slows_what_comes_after(
    code: str | None, pace: float, calls: int
) -> None:
    quota = known(20, 80).refuse(at=2.0, code=code)
    assert quota._penalty == pace
    assert len(quota.send_all(INTERACTIVE, 10.0)) == calls


def test_a_pace_that_was_halved_comes_back_by_half_with_each_window() -> None:
    quota = known(20, 80).refuse(50).refuse(50)
    penalties: list[float] = []
    for window in range(1, 6):
        quota.snapshot(10.0 * window)
        penalties.append(quota._penalty)
    assert penalties == [0.375, 0.5625, 0.84375, 1.0, 1.0]


@pytest.mark.parametrize("remaining", [99, None])
def test_refusals_without_quota_double_the_pause_up_to_a_minute_each_burst_once(
    remaining: int | None,
) -> None:
    quota = Quota()

    def pause(at: float) -> float:
        return quota.refuse_without_quota(at).pause(BULK, at)

    assert [pause(at) for at in (0.0, 0.25, 0.5)] == [0.5, 1.0, 1.0]
    now, pauses = 1.5, [pause(1.5)]
    for _ in range(9):
        now += pauses[-1]
        pauses.append(pause(now))
    assert pauses == [1, 2, 4, 8, 16] + [30.0] * 5  # and twice that, if chance says so
    now += pauses[-1]
    quota.ask(remaining, at=now)  # any success lets them begin anew
    assert pause(now) == 0.5


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
    quota.snapshot(left_at)
    late = quota.take(BULK, left_at)
    quota.snapshot(10.1)
    quota.reply(late, 0, at=10.1, status=429, code=RATE_LIMIT_EXCEEDED)
    assert quota.remaining == 100
    assert quota.pause(INTERACTIVE, 10.1) == pause
