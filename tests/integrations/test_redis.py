"""One quota for many processes through a real redis-server: killed, frozen, brought back."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.asyncio import Redis

from intercom_async import IntercomClient, InvalidArgumentError, Outcome, RateLimitPolicy
from intercom_async.errors import RateLimitWaitError
from intercom_async.integrations import redis as redis_integration
from intercom_async.integrations.redis import RedisBudget
from intercom_async.pacing.window import Lane, RateLimitHeaders
from intercom_async.simulator import IntercomSimulator
from tests.support.driven_loop import DrivenEventLoop
from tests.support.leftovers import nothing_left_behind
from tests.support.redis_server import RedisServer

GENEROUS = 5.0
"""Seconds of a deadline where a loaded machine must not open the circuit."""

on_a_driven_loop = pytest.mark.asyncio(loop_factories=["driven"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that no test harms."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(running: RedisServer) -> RedisServer:
    """The same server, empty."""
    with peek(running) as redis:
        redis.flushall()
    return running


def peek(server: RedisServer) -> redis.Redis:
    """A client that blocks, and so is independent of the loop's clock."""
    return redis.Redis.from_url(server.url)  # pyright: ignore[reportUnknownMemberType]  # untyped options


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of this test's own, to be harmed."""
    with RedisServer(tmp_path) as server:
        yield server


class Still(RedisBudget):
    """On a driven loop, time stands still while Redis is asked."""

    async def lease(self, key: str, **options: int) -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, DrivenEventLoop)
        with loop.standing():
            return await super().lease(key, **options)


async def eventually(holds: Callable[[], bool], act: Callable[[], Awaitable[Any]]) -> None:
    """Act until something holds, for a few seconds at most."""
    deadline = time.monotonic() + 5.0
    while not holds():
        assert time.monotonic() < deadline
        await act()
        await asyncio.sleep(0.01)


async def test_processes_that_lease_at_once_get_exactly_what_there_is(server: RedisServer) -> None:
    budgets = [RedisBudget(server.url, deadline=GENEROUS) for _ in range(8)]

    async def lease_all(budget: RedisBudget) -> int:
        total = 0
        while granted := await budget.lease("one window", usable=164, want=5, reported=-1):
            total += granted
        await budget.aclose()
        return total

    found = await asyncio.gather(*map(lease_all, budgets))
    assert sum(found) == 164
    assert min(found) > 0


async def test_what_a_reply_reported_and_what_went_out_without_a_lease_counts_for_all(
    server: RedisServer,
) -> None:
    async with RedisBudget(server.url, deadline=GENEROUS) as budget:
        assert await budget.lease("window", usable=100, want=10, reported=-1) == 10
        assert await budget.lease("window", usable=100, want=10, reported=80) == 10
        assert await budget.lease("window", usable=100, want=3, reported=3, unleased=5) == 3
        assert await budget.lease("window", usable=100, want=10, reported=-1) == 2
        assert await budget.lease("next", usable=100, want=10, reported=-1) == 10
    with peek(server) as spy:
        left: Any = spy.pttl("window")
    assert 0 < left <= 30_000


@pytest.mark.parametrize(
    ("without_redis", "charged"), [((), 1), ((1002.0, 1011.0, 1012.0, 1021.0, 1022.0, 1023.0), 3)]
)
async def test_a_window_is_charged_for_requests_without_a_lease_if_they_may_be_its_own(
    server: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    without_redis: tuple[float, ...],
    charged: int,
) -> None:
    found: list[int] = []

    class Watched(RedisBudget):
        async def lease(self, key: str, **options: int) -> int:
            found.append(options["unleased"])
            return await super().lease(key, **options)

    async with Watched(server.url, deadline=GENEROUS) as budget:
        quota = budget.window("name", RateLimitPolicy(), lambda: 0.5, lambda: None)
        for now in (1001.0, *without_redis):  # the first one leaves when no window is known
            assert quota.least_wait(0, now) == quota.wait(Lane.INTERACTIVE, now, backlog=0) == 0.0
            reset = now // 10.0 * 10.0 + 10.0
            headers = RateLimitHeaders(limit=100, remaining=100, reset=reset, date=now)
            permit = quota.take(Lane.INTERACTIVE, now)
            quota.answered(permit, headers, status=200, code=None, now=now)
            monkeypatch.setattr(Watched, "working", False)
        monkeypatch.setattr(Watched, "working", True)
        quota.wait(Lane.INTERACTIVE, 1024.0 if without_redis else 1002.0, backlog=0)
        await asyncio.sleep(0.0)
    assert found == [charged]


@pytest.mark.parametrize(("limit", "usable"), [(1, 1), (10, 9), (167, 163)])
def test_a_margin_is_never_leased(limit: int, usable: int) -> None:
    assert redis_integration.usable(limit) == usable


@pytest.mark.parametrize("name", ["deadline", "probe_every"])
async def test_wrong_values_are_refused_by_name(name: str) -> None:
    arguments: dict[str, Any] = {name: -1.0}
    with pytest.raises(InvalidArgumentError, match=name):
        RedisBudget("redis://127.0.0.1:9", **arguments)


@on_a_driven_loop
async def test_many_processes_on_a_tiny_quota_are_not_refused(server: RedisServer) -> None:
    async with nothing_left_behind(), IntercomSimulator(limit=20) as sim:

        async def work() -> None:
            pairs = sim.workspace.populate(conversations=10)
            # Each has a budget object, so a limiter and a view of the quota, of its own.
            async with (
                Still(server.url, deadline=GENEROUS) as budget,
                IntercomClient(sim.token, base_url=sim.url, shared_budget=budget) as client,
            ):
                summary = await client.detach_contacts(pairs, admin_id=sim.admin_id)
                assert budget.working
            assert summary.outcomes[Outcome.DETACHED] == 10

        await asyncio.gather(*(work() for _ in range(6)))
    assert sim.requests.refused == 0
    assert len(sim.quota.windows) <= 6


@on_a_driven_loop
async def test_a_call_that_finds_the_shared_quota_used_up_waits_or_says_how_long(
    sim: IntercomSimulator, server: RedisServer
) -> None:
    sim.token, sim.quota.limit = "marked-token-value", 167
    options: dict[str, Any] = {"rate_limit": RateLimitPolicy(max_wait=1.0)}
    async with (
        Still(server.url, deadline=GENEROUS) as budget,
        IntercomClient(sim.token, base_url=sim.url, shared_budget=budget, **options) as client,
    ):
        await asyncio.sleep(10.5 - sim.now() % 10.0)
        await client.whoami()
        await client.whoami()
        with peek(server) as spy:
            found: Any = spy.keys()
            (key,) = (one.decode() for one in found)
            assert key.startswith("intercom_async:")
            assert sim.token not in key
            spy.set(key, 167, px=30_000)
        with pytest.raises(RateLimitWaitError) as caught:
            for _ in range(10):
                await client.whoami()
        assert caught.value.wait > 1.0
        began = sim.now()
        await client.with_options(max_wait=30.0).whoami()
        assert began // 10 < sim.now() // 10


async def test_a_redis_client_of_the_application_is_used_and_not_closed(
    sim: IntercomSimulator, server: RedisServer
) -> None:
    async with Redis.from_url(server.url) as own:
        async with (
            RedisBudget(own, prefix="mine", deadline=GENEROUS) as budget,
            IntercomClient(sim.token, base_url=sim.url, shared_budget=budget) as client,
        ):
            await client.whoami()
            await client.whoami()
            await budget.aclose()  # the headers pace a client that is still open
            assert not budget.working
            await client.whoami()
        assert await own.keys("mine:*")


def harm(server: RedisServer, way: str) -> None:
    if way == "kill":
        server.close()
    else:
        server.send(signal.SIGSTOP)


@pytest.mark.parametrize("way", ["kill", "freeze"])
async def test_a_redis_that_fails_is_left_at_once_and_used_again_when_it_is_back(
    sim: IntercomSimulator, fragile: RedisServer, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    slowest = 0.0
    async with (
        nothing_left_behind(),
        RedisBudget(fragile.url, probe_every=0.05) as budget,
        IntercomClient(sim.token, base_url=sim.url, shared_budget=budget) as client,
    ):

        async def call() -> None:
            nonlocal slowest
            began = time.monotonic()
            await client.whoami()
            slowest = max(slowest, time.monotonic() - began)

        await client.whoami()
        await eventually(lambda: budget.working, client.whoami)
        caplog.clear()
        harm(fragile, way)
        await eventually(lambda: not budget.working, call)
        for _ in range(10):
            await call()
        assert not budget.working
        assert [one.levelname for one in caplog.records] == ["WARNING"]
        if way == "kill":
            fragile.start()
        else:
            fragile.send(signal.SIGCONT)
        await eventually(lambda: budget.working, call)
    assert slowest < 0.5


@on_a_driven_loop
@pytest.mark.parametrize("way", ["kill", "freeze"])
async def test_without_redis_a_run_goes_on_within_the_quota(fragile: RedisServer, way: str) -> None:
    async with (
        nothing_left_behind(),
        IntercomSimulator(limit=40, latency=0.02) as sim,
        RedisBudget(fragile.url) as budget,
        IntercomClient(sim.token, base_url=sim.url, shared_budget=budget) as client,
    ):
        pairs = sim.workspace.populate(conversations=120)
        async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
            async for _ in run:
                if run.summary.total == 20:
                    harm(fragile, way)
            summary = run.summary
        assert summary.outcomes[Outcome.DETACHED] == 120
        assert sim.requests.refused <= 2
        assert max(usage.accepted for usage in sim.quota.windows) <= 40
        assert summary.elapsed < 45.0
