"""The window counter: pure arithmetic."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.simulator import Quota

EPOCH = 1_700_000_000.0


@given(
    limit=st.integers(1, 5),
    window=st.sampled_from([0.5, 10.0, 60.0]),
    lag=st.integers(0, 3),
    steps=st.lists(st.tuples(st.floats(0, 60), st.integers(0, 2)), max_size=60),
)
def test_no_window_ever_admits_more_than_its_limit(
    limit: int, window: float, lag: int, steps: list[tuple[float, int]]
) -> None:
    quota = Quota(limit=limit, window=window, counter_lag=lag)
    now, accepted = EPOCH, 0
    for step, elsewhere in steps:
        now += step
        quota.spend(elsewhere, now)
        standing = quota.charge(now)
        accepted += standing.accepted
        assert now < standing.reset < now + window + 1
        assert 0 <= standing.remaining <= limit == standing.limit
    assert all(usage.used <= limit for usage in quota.windows)
    assert all(usage.used == limit for usage in quota.windows if usage.refused)
    assert sum(usage.accepted for usage in quota.windows) == accepted
    assert sum(usage.refused for usage in quota.windows) == len(steps) - accepted
    starts = [usage.start for usage in quota.windows]
    assert starts == sorted(set(starts))
    assert all(start / window == math.floor(start / window) for start in starts)


@pytest.mark.parametrize(("lag", "remaining"), [(1, [3, 2, 1, 0]), (0, [2, 1, 0, 0])])
def test_with_a_lag_the_first_reply_says_that_nothing_was_used(
    lag: int, remaining: list[int]
) -> None:
    quota = Quota(limit=3, counter_lag=lag)
    assert [quota.charge(EPOCH).remaining for _ in range(4)] == remaining
    assert quota.charge(EPOCH + 10.0).accepted
    quota.spend(1, EPOCH + 10.0)
    assert quota.charge(EPOCH + 10.0).remaining == remaining[2]
