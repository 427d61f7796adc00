"""What holds for every request: token, quota, headers, time."""

import asyncio

import aiohttp
import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import IntercomSimulator
from tests.simulator.asking import Ask

driven = pytest.mark.asyncio(loop_factories=["driven"])


@pytest.mark.parametrize("authorization", ["Bearer wrong", "token", None])
async def test_a_wrong_token_is_refused_without_touching_the_quota(
    authorization: str | None, ask: Ask
) -> None:
    headers = {"Authorization": authorization or ""}
    without = "Authorization" if authorization is None else None
    answer = await ask("GET", "/me", headers=headers, without=without)
    assert answer.error == (401, "unauthorized", "Access Token Invalid")
    assert not [name for name in answer.headers if name.startswith("X-RateLimit")]
    assert ask.sim.quota.windows == []


@pytest.mark.intercom_simulator(clock=lambda: 1_700_000_003.5)
async def test_every_reply_has_a_request_id_of_its_own_the_server_s_time_and_the_version_asked_for(
    ask: Ask,
) -> None:
    first = await ask("GET", "/me", headers={"Intercom-Version": "2.14"})
    second = await ask("GET", "/nothing")
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert first.headers["Date"] == "Tue, 14 Nov 2023 22:13:23 GMT"
    assert first.headers["Intercom-Version"] == "2.14"
    assert "Connection" not in first.headers  # it is kept


class TestQuota:
    @pytest.mark.intercom_simulator(limit=2, clock=lambda: 1_700_000_003.5)
    async def test_requests_beyond_the_limit_are_refused_in_intercoms_words(self, ask: Ask) -> None:
        quotas = [(await ask("GET", "/me")).quota for _ in range(2)]
        assert quotas == [(2, 2, 1_700_000_010), (2, 1, 1_700_000_010)]
        refused = await ask("GET", "/me")
        assert refused.quota == (2, 0, 1_700_000_010)
        message = "Exceeded rate limit of 2 in 10_seconds"
        assert refused.error == (429, "rate_limit_exceeded", message)
        (usage,) = ask.sim.quota.windows
        assert (usage.start, usage.accepted, usage.refused) == (1_700_000_000, 2, 1)
        assert ask.sim.requests.refused == 1

    @driven
    @pytest.mark.intercom_simulator(limit=3)
    async def test_the_window_rolls_over_with_the_clock_of_the_loop(self, ask: Ask) -> None:
        ask.sim.spend(3)
        refused = await ask("GET", "/me")
        assert refused.status == 429
        await asyncio.sleep(refused.quota[2] - ask.sim.now())
        accepted = await ask("GET", "/me")
        assert (accepted.status, accepted.quota[1]) == (200, 3)
        assert accepted.quota[2] == refused.quota[2] + 10


class TestLatency:
    @pytest.mark.parametrize("latency", [8.0, (7.9, 8.1)])
    @driven
    async def test_a_request_is_applied_after_half_of_it_and_answered_after_the_rest(
        self, latency: float, session: aiohttp.ClientSession
    ) -> None:
        loop = asyncio.get_running_loop()
        async with IntercomSimulator(latency=latency) as sim:
            (pair,) = sim.workspace.populate(conversations=1)
            began = loop.time()
            detaching = asyncio.create_task(Ask(sim, session).detach(*pair))
            await asyncio.sleep(3.5)
            assert sim.workspace.attached(*pair)
            await asyncio.sleep(1)
            assert not sim.workspace.attached(*pair)
            await detaching
            assert loop.time() - began == pytest.approx(8.0, abs=0.3)

    @pytest.mark.parametrize("latency", [-1.0, (2.0, 1.0)])
    def test_one_that_makes_no_sense_is_refused(self, latency: float) -> None:
        with pytest.raises(InvalidArgumentError, match="latency"):
            IntercomSimulator(latency=latency)
