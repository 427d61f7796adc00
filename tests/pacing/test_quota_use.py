"""Whole runs of one client against a model of the server: all is used, and nothing refused."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intercom_async.pacing.server_clock import WINDOW
from intercom_async.pacing.window import Lane, RateLimitPolicy
from tests.pacing.model_server import ModelServer, Traffic

SEEDS = st.integers(0, 2**32 - 1)


@given(
    seed=SEEDS,
    limit=st.sampled_from([1, 3, 30, 83, 167]),
    one_way=st.sampled_from([(0.0, 0.001), (0.01, 0.1), (0.1, 0.9)]),
    lag=st.integers(0, 2),
    dated=st.booleans(),
    offset=st.floats(-1e6, 2e9, allow_nan=False),
    losing=st.sampled_from([0.0, 0.0, 0.02]),
)
def test_alone_on_its_quota_a_client_is_never_refused(
    seed: int,
    limit: int,
    one_way: tuple[float, float],
    lag: int,
    dated: bool,
    offset: float,
    losing: float,
) -> None:
    dice = random.Random(seed)
    server = ModelServer(limit=limit, offset=offset, lag=lag if limit > 10 else 0, dated=dated)
    # Before the first answer nothing is known: on a quota of one a second request is refused.
    calls = [dice.uniform(2, 45) for _ in range(20)]
    Traffic(server, seed=seed, one_way=one_way, until=45.0, interactive=calls, losing=losing)
    assert server.refused.total() == 0


@given(seed=SEEDS, limit=st.sampled_from([30, 83, 167]), taken=st.integers(1, 60))
@settings(max_examples=30)
def test_no_more_requests_are_refused_than_the_server_withdrew(
    seed: int, limit: int, taken: int
) -> None:
    dice = random.Random(seed)
    server = ModelServer(limit=limit)
    for second in range(60):
        server.withdrawn[server.window(float(second))] += dice.randint(0, taken) // 10
    Traffic(server, seed=seed)
    assert all(count <= server.withdrawn[number] for number, count in server.refused.items())


@pytest.mark.parametrize("limit", [30, 167, 1667])
@pytest.mark.parametrize("fraction", [1.0, 0.4])
def test_whole_windows_are_used_up_and_no_more_than_the_client_s_fraction(
    limit: int, fraction: float
) -> None:
    server = ModelServer(limit=limit)
    Traffic(server, until=62.0, policy=RateLimitPolicy(quota_fraction=fraction))
    assert server.used_of_whole_windows() >= 0.95 * fraction
    assert max(server.accepted.values()) <= fraction * limit


@given(seed=SEEDS)
@settings(max_examples=15)
def test_a_trickle_of_interactive_calls_within_the_reserve_leaves_bulk_its_part(seed: int) -> None:
    dice = random.Random(seed)
    server = ModelServer(limit=167)
    trickle = [10.0 * window + dice.uniform(0, 10) for window in range(6) for _ in range(5)]
    traffic = Traffic(server, seed=seed, interactive=trickle)
    assert traffic.sent[Lane.INTERACTIVE] == len(trickle)
    assert sorted(traffic.interactive_waits)[len(trickle) // 2] < 0.1
    assert server.used_of_whole_windows() >= 0.9


def test_a_small_job_goes_at_once_and_a_large_one_is_paced() -> None:
    def finished(bulk: int) -> int:
        server = ModelServer(limit=167, offset=1_000_000.5)
        return Traffic(server, one_way=(0.01, 0.05), until=1.5, bulk=bulk).sent[Lane.BULK]

    assert finished(50) == 50
    assert finished(160) < 60


THIRD_EDGE = 2 * WINDOW - 3.7


@pytest.mark.parametrize(
    ("job", "by_others", "calls", "at_once"),
    [
        (500, 0, [], True),
        (2 * 127 + 120, 40, [], False),  # others use the quota
        (498, 0, [THIRD_EDGE - 2.0], False),  # the reserve is kept for who called lately
    ],
)
def test_the_rest_of_a_job_that_fits_into_a_window_goes_at_once_if_nobody_else_is_there(
    job: int, by_others: int, calls: list[float], at_once: bool
) -> None:
    server = ModelServer(limit=167)
    for number in range(3):
        server.withdrawn[server.window(WINDOW * number)] = by_others
    traffic = Traffic(
        server, one_way=(0.02, 0.1), until=THIRD_EDGE + 2.0, bulk=job, interactive=calls
    )
    assert server.refused.total() == 0
    assert (traffic.sent[Lane.BULK] == job) is at_once
