"""The quota's arithmetic: against a model of the server, and rule by rule."""

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from intercom_async.pacing.server_clock import WINDOW, ServerClock
from intercom_async.pacing.window import (
    RATE_LIMIT_EXCEEDED,
    Lane,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)
from tests.pacing.model_server import ModelServer, Traffic

SEEDS = st.integers(0, 2**32 - 1)
LIMITS = st.sampled_from([1, 3, 30, 83, 167])
SPEEDS = st.sampled_from([(0.0, 0.001), (0.01, 0.1), (0.1, 0.9)])
"""Seconds one way; round trips stay below the patience with the first probe."""


def _quota(seed: int = 1, policy: RateLimitPolicy | None = None) -> QuotaWindow:
    return QuotaWindow(policy or RateLimitPolicy(), random.Random(seed).random)


def _round_trips(seed: int, bounds: tuple[float, float]) -> Iterator[tuple[float, float]]:
    dice = random.Random(seed)
    return ((dice.uniform(*bounds), dice.uniform(*bounds)) for _ in itertools.count())


def _headers(remaining: int, reset: float, limit: int = 100) -> RateLimitHeaders:
    return RateLimitHeaders(limit=limit, remaining=remaining, reset=reset)


def _answer(
    quota: QuotaWindow,
    headers: RateLimitHeaders | None,
    *,
    at: float,
    status: int = 200,
    code: str | None = None,
    lane: Lane = Lane.INTERACTIVE,
) -> None:
    """Send one request at `at` and get its answer a tenth of a second later."""
    permit = quota.take(lane, at)
    quota.answered(permit, headers, status=status, code=code, now=at + 0.1)


# --- whole runs -------------------------------------------------------------------------------


@given(
    seed=SEEDS,
    limit=LIMITS,
    speed=SPEEDS,
    lag=st.integers(0, 2),
    dated=st.booleans(),
    offset=st.floats(-1e6, 2e9, allow_nan=False),
    losing=st.sampled_from([0.0, 0.0, 0.02]),
)
def test_alone_on_its_quota_a_client_is_never_refused(
    seed: int,
    limit: int,
    speed: tuple[float, float],
    lag: int,
    dated: bool,
    offset: float,
    losing: float,
) -> None:
    dice = random.Random(seed)
    server = ModelServer(limit=limit, offset=offset, lag=lag if limit > 10 else 0, dated=dated)
    # Before the first answer nothing is known: on a quota of one a second request is refused.
    arrivals = [dice.uniform(2, 45) for _ in range(20)]
    Traffic(
        server,
        _quota(seed),
        _round_trips(seed, speed),
        until=45.0,
        interactive=arrivals,
        lost=lambda number: number > 0 and dice.random() < losing,
    ).run()
    assert server.refused.total() == 0


@given(seed=SEEDS, limit=st.sampled_from([30, 83, 167]), taken=st.integers(1, 60))
def test_no_more_requests_are_refused_than_the_server_withdrew(
    seed: int, limit: int, taken: int
) -> None:
    dice = random.Random(seed)
    server = ModelServer(limit=limit)
    for second in range(60):
        server.withdrawn[server.window(float(second))] += dice.randint(0, taken) // 10
    Traffic(server, _quota(seed), _round_trips(seed, (0.01, 0.1)), until=60.0).run()
    for number, refused in server.refused.items():
        assert refused <= server.withdrawn[number]


@pytest.mark.parametrize("limit", [30, 167, 1667])
def test_whole_windows_are_used_up(limit: int) -> None:
    server = ModelServer(limit=limit)
    Traffic(server, _quota(), _round_trips(7, (0.01, 0.1)), until=62.0).run()
    whole = sorted(server.accepted)[1:-1]
    assert sum(server.accepted[number] for number in whole) >= 0.98 * limit * len(whole)


@given(seed=SEEDS)
def test_a_trickle_of_interactive_calls_within_the_reserve_leaves_bulk_its_part(seed: int) -> None:
    dice = random.Random(seed)
    server = ModelServer(limit=167)
    trickle = [10.0 * window + dice.uniform(0, 10) for window in range(6) for _ in range(5)]
    traffic = Traffic(
        server, _quota(seed), _round_trips(seed, (0.01, 0.1)), until=60.0, interactive=trickle
    )
    traffic.run()
    assert traffic.sent[Lane.INTERACTIVE] == len(trickle)
    whole = sorted(server.accepted)[1:-1]
    per_window = sum(server.accepted[number] for number in whole) / len(whole)
    assert per_window - 5 >= 0.9 * (167 - 5)
    assert sorted(traffic.interactive_waits)[len(trickle) // 2] < 0.1


def test_a_small_job_goes_at_once_and_a_large_one_is_paced() -> None:
    def finished(bulk: int) -> float:
        server = ModelServer(limit=167, offset=1_000_000.5)
        quota = _quota()
        traffic = Traffic(server, quota, _round_trips(3, (0.01, 0.05)), until=1.5, bulk=bulk)
        traffic.run()
        return traffic.sent[Lane.BULK]

    assert finished(50) == 50
    assert finished(160) < 60


def _sent_soon_after_the_third_edge(
    *, bulk: int, by_others: int = 0, interactive: tuple[float, ...] = ()
) -> int:
    """How much of a job is sent two seconds into the window that its rest fits into."""
    server = ModelServer(limit=167)
    first = server.window(0.0)
    for number in range(first, first + 3):
        server.withdrawn[number] = by_others
    third_edge = WINDOW * (first + 2) - server.offset
    traffic = Traffic(
        server,
        _quota(),
        _round_trips(5, (0.02, 0.1)),
        until=third_edge + 2.0,
        bulk=bulk,
        interactive=list(interactive),
    )
    traffic.run()
    assert sum(server.refused.values()) == 0
    return traffic.sent[Lane.BULK]


def test_alone_the_rest_of_a_job_goes_at_once_though_it_fills_a_window() -> None:
    assert _sent_soon_after_the_third_edge(bulk=500) == 500


def test_beside_others_the_rest_of_a_job_is_paced() -> None:
    assert _sent_soon_after_the_third_edge(bulk=2 * 127 + 120, by_others=40) < 2 * 127 + 80


def test_the_rest_of_a_job_leaves_the_reserve_to_those_who_called_lately() -> None:
    third_edge = 16.3
    assert _sent_soon_after_the_third_edge(bulk=498, interactive=(third_edge - 2.0,)) < 498


def test_a_fraction_of_a_tiny_limit_is_one_request_rather_than_none() -> None:
    quota = QuotaWindow(RateLimitPolicy(quota_fraction=0.5), random.Random(0).random)
    permit = quota.take(Lane.INTERACTIVE, 0.0)
    told = RateLimitHeaders(limit=1, remaining=0, reset=1000.0)
    quota.answered(permit, told, status=200, code=None, now=0.1)
    assert 0.0 < quota.wait(Lane.INTERACTIVE, 0.1, backlog=None) <= WINDOW + 0.1
    for lane in Lane:
        assert quota.wait(lane, 30.0, backlog=None) == 0.0


def test_the_quota_fraction_is_never_exceeded() -> None:
    server = ModelServer(limit=167)
    policy = RateLimitPolicy(quota_fraction=0.4)
    Traffic(server, _quota(1, policy), _round_trips(5, (0.01, 0.2)), until=60.0).run()
    whole = sorted(server.accepted)[1:-1]
    assert max(server.accepted.values()) <= 0.4 * 167
    assert sum(server.accepted[n] for n in whole) >= 0.95 * 0.4 * 167 * len(whole)


# --- single rules -----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(-5, 120), st.sampled_from([1010.0, 1020.0])), max_size=30))
def test_a_stale_reply_never_raises_the_budget(replies: list[tuple[int, float]]) -> None:
    quota = _quota()
    _answer(quota, _headers(100, 1010.0), at=0.0)
    overtaken = [quota.take(Lane.INTERACTIVE, 9.0) for _ in replies]
    _answer(quota, _headers(60, 1020.0), at=10.2)
    before = quota.remaining
    for permit, (remaining, reset) in zip(overtaken, replies, strict=True):
        quota.answered(permit, _headers(remaining, reset), status=200, code=None, now=10.4)
        assert 0 <= quota.remaining <= before
        before = quota.remaining


def test_requests_in_flight_are_charged_also_across_the_edge() -> None:
    quota = _quota()
    _answer(quota, _headers(100, 1010.0, limit=3), at=0.0)
    late = [quota.take(Lane.INTERACTIVE, 1.0) for _ in range(2)]
    quota.answered(late.pop(), _headers(3, 1020.0, limit=3), status=200, code=None, now=1.2)
    assert quota.wait(Lane.INTERACTIVE, 1.3, backlog=None) == 0.0
    quota.take(Lane.INTERACTIVE, 1.3)
    assert quota.wait(Lane.INTERACTIVE, 1.3, backlog=None) > 0.0


def test_a_full_window_blocks_until_the_servers_clock_has_certainly_passed_its_end() -> None:
    quota = _quota()
    headers = RateLimitHeaders(limit=100, remaining=1, reset=1010.0, date=1004.0)
    _answer(quota, headers, at=0.0)
    permit = quota.take(Lane.INTERACTIVE, 0.1)
    refusal = RateLimitHeaders(limit=100, remaining=0, reset=1010.0, date=1004.0)
    quota.answered(permit, refusal, status=429, code=RATE_LIMIT_EXCEEDED, now=0.2)
    # The server's clock said 1004 to 1005 between 0.0 and 0.1.
    assert quota.wait(Lane.INTERACTIVE, 4.9, backlog=None) > 0.0
    assert quota.least_wait(0, 0.2) == pytest.approx(5.9, abs=0.2)
    assert quota.wait(Lane.INTERACTIVE, 6.3, backlog=None) == 0.0


def test_a_server_clock_that_jumps_is_believed() -> None:
    quota = _quota()
    _answer(quota, _headers(50, 1_000_010.0), at=0.0)
    _answer(quota, _headers(40, 10.0), at=0.2)
    assert quota.reset == 10.0
    assert quota.remaining in {39, 40}  # a lag may have been learned


@given(
    st.floats(-1e9, 1e9),
    st.lists(st.tuples(st.floats(0, 300), st.floats(0, 5), st.floats(0, 1)), min_size=1),
)
@example(offset=-1e-38, replies=[(0.0, 1.0, 0.0), (0.5, 0.0, 0.0)])  # told out of order
def test_the_server_clock_always_contains_the_truth(
    offset: float, replies: list[tuple[float, float, float]]
) -> None:
    clock = ServerClock()
    for sent, took, part in sorted(replies):
        handled = sent + took * part + offset
        number = handled // WINDOW
        agreed = clock.observe(
            reset=(number + 1) * WINDOW,
            date=float(handled // 1),
            sent=sent,
            received=sent + took,
        )
        assert agreed
        assert clock.low - 1e-6 <= offset <= clock.high + 1e-6
