"""Whole runs of one client in the benchmark's world: all is used, and nothing refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.quota_rivals import OURS
from benchmarks.quota_run import Cell, simulate
from benchmarks.quota_world import World
from intercom_async import IntercomClient, RateLimitPolicy
from intercom_async.simulator import IntercomSimulator

SEEDS = st.integers(0, 2**32 - 1)


def figures(seed: int = 1, **conditions: Any) -> dict[str, float]:
    return simulate(Cell(OURS, World(name="a test", **conditions)), seed)


@given(
    seed=SEEDS,
    limit=st.sampled_from([3, 30, 83, 167]),
    round_trip=st.sampled_from([(0.0001, 0.001), (0.02, 0.2), (0.2, 1.8)]),
    lag=st.integers(0, 2),
    date=st.booleans(),
    lost=st.sampled_from([0.0, 0.0, 0.02]),
)
def test_alone_on_its_quota_a_client_is_never_refused(
    seed: int, limit: int, round_trip: tuple[float, float], lag: int, date: bool, lost: float
) -> None:
    found = figures(
        seed,
        windows=4,
        limit=limit,
        round_trip=round_trip,
        counter_lag=lag if limit > 10 else 0,
        date=date,
        lost=lost,
        interactive_rate=0.1 if limit < 10 else 0.5,
    )
    assert found["refused"] == 0.0
    if not lost:  # a reply that is lost before the first one says nothing of the quota
        assert found["cold_refused"] == 0.0


@given(SEEDS)
@settings(max_examples=8)
def test_windows_are_used_up_and_interactive_calls_hardly_wait(seed: int) -> None:
    found = figures(seed, windows=8, limit=167)
    assert found["used"] >= 95.0
    assert found["p95"] < 1.5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "conditions",
    [
        {"processes": 2},
        {"processes": 4},
        {"processes": 8},
        {"processes": 4, "lost": 0.02},
        {"processes": 4, "round_trip": (0.2, 2.0)},
        {"processes": 1, "headers": False},
    ],
    ids=str,
)
def test_processes_that_know_of_each_other_by_headers_alone_use_all_and_are_hardly_refused(
    conditions: dict[str, Any], seed: int
) -> None:
    found = figures(seed, windows=12, limit=167, **conditions)
    assert found["used"] > 95.0
    assert found["refused"] < 0.5
    assert found["fairness"] > 0.4


@pytest.mark.asyncio(loop_factories=["driven"])
async def test_no_window_has_more_requests_than_the_client_s_fraction() -> None:
    policy = RateLimitPolicy(quota_fraction=0.4)
    async with (
        IntercomSimulator(limit=50, latency=0.05) as sim,
        IntercomClient(sim.token, base_url=sim.url, rate_limit=policy) as client,
    ):
        pairs = sim.workspace.populate(conversations=100)
        await client.detach_contacts(pairs, admin_id=sim.admin_id)
    used = [window.accepted for window in sim.quota.windows]
    assert max(used) <= 20
    assert min(used[1:-1]) >= 19


@pytest.mark.parametrize("seed", range(2, 6))
@pytest.mark.parametrize("job", [120, 500])
def test_a_job_that_nobody_disturbs_takes_hardly_longer_than_the_quota_allows(
    job: int, seed: int
) -> None:
    found = figures(seed, job=job, interactive_rate=0.0)
    assert found["job_p50"] < found["ideal"] + 0.6
    assert found["refused"] == 0.0
