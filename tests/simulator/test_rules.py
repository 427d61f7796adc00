"""What holds for every request: token, quota, version, headers, time."""

import asyncio

import aiohttp
import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator import IntercomSimulator
from tests.simulator.asking import Ask

driven = pytest.mark.asyncio(loop_factories=["driven"])


class TestToken:
    @pytest.mark.parametrize("authorization", ["Bearer wrong", "token", "Basic token", "", None])
    async def test_a_wrong_token_is_refused_without_touching_the_quota(
        self, authorization: str | None, ask: Ask
    ) -> None:
        headers = {"Authorization": authorization or ""}
        without = "Authorization" if authorization is None else None
        answer = await ask("GET", "/me", headers=headers, without=without)
        assert answer.error == (401, "unauthorized", "Access Token Invalid")
        assert not [name for name in answer.headers if name.startswith("X-RateLimit")]
        assert ask.sim.quota.windows == []


class TestVersion:
    @pytest.mark.parametrize("version", ["1.0", "2.14", "2.17", "Preview", "Unstable"])
    async def test_the_version_asked_for_is_echoed(self, version: str, ask: Ask) -> None:
        answer = await ask("GET", "/me", headers={"Intercom-Version": version})
        assert answer.headers["Intercom-Version"] == version

    async def test_an_unknown_version_is_refused(self, ask: Ask) -> None:
        answer = await ask("GET", "/me", headers={"Intercom-Version": "9.9"})
        assert answer.error == (
            400,
            "intercom_version_invalid",
            "The requested version could not be found",
        )


class TestHeaders:
    async def test_every_reply_has_a_request_id_of_its_own(self, ask: Ask) -> None:
        ids = {(await ask("GET", path)).headers["X-Request-Id"] for path in ["/me", "/", "/me"]}
        assert len(ids) == 3

    async def test_a_missing_accept_header_is_not_found(self, ask: Ask) -> None:
        assert (await ask("GET", "/me", without="Accept")).error[:2] == (404, "not_found")

    @pytest.mark.parametrize(
        ("accept", "status"),
        [("*/*", 200), ("text/html, application/json;q=0.5", 200), ("text/html", 406)],
    )
    async def test_json_must_be_acceptable(self, accept: str, status: int, ask: Ask) -> None:
        assert (await ask("GET", "/me", headers={"Accept": accept})).status == status

    async def test_connections_are_kept_unless_the_client_asks_otherwise(self, ask: Ask) -> None:
        kept = await ask("GET", "/me")
        closed = await ask("GET", "/me", headers={"Connection": "close"})
        assert "Connection" not in kept.headers
        assert closed.headers["Connection"] == "close"


class TestQuota:
    @pytest.mark.intercom_simulator(limit=2, clock=lambda: 1_700_000_003.5)
    async def test_requests_beyond_the_limit_are_refused_in_intercoms_words(self, ask: Ask) -> None:
        quotas = [(await ask("GET", "/me")).quota for _ in range(2)]
        assert quotas == [(2, 2, 1_700_000_010), (2, 1, 1_700_000_010)]
        refused = await ask("GET", "/me")
        assert refused.quota == (2, 0, 1_700_000_010)
        assert refused.error == (
            429,
            "rate_limit_exceeded",
            "Exceeded rate limit of 2 in 10_seconds",
        )
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


class TestTime:
    @pytest.mark.intercom_simulator(clock=lambda: 1_700_000_003.5)
    async def test_headers_tell_the_time_of_the_server(self, ask: Ask) -> None:
        answer = await ask("GET", "/me")
        assert answer.headers["Date"] == "Tue, 14 Nov 2023 22:13:23 GMT"

    @pytest.mark.parametrize("latency", [4.0, (3.9, 4.1)])
    @driven
    async def test_a_reply_takes_as_long_as_told(
        self, latency: float, session: aiohttp.ClientSession
    ) -> None:
        loop = asyncio.get_running_loop()
        async with IntercomSimulator(latency=latency) as sim:
            began = loop.time()
            await Ask(sim, session)("GET", "/me")
            assert loop.time() - began == pytest.approx(4.0, abs=0.2)

    @pytest.mark.parametrize("latency", [-1.0, (2.0, 1.0), (-1.0, 1.0)])
    def test_a_latency_that_makes_no_sense_is_refused(self, latency: float) -> None:
        with pytest.raises(InvalidArgumentError, match="latency"):
            IntercomSimulator(latency=latency)

    @driven
    @pytest.mark.intercom_simulator(latency=8.0)
    async def test_a_request_is_applied_half_of_the_latency_after_it_was_sent(
        self, ask: Ask
    ) -> None:
        (pair,) = ask.sim.workspace.populate(conversations=1)
        detaching = asyncio.create_task(ask.detach(*pair))
        await asyncio.sleep(3.5)
        assert ask.sim.workspace.attached(*pair)
        await asyncio.sleep(1)
        assert not ask.sim.workspace.attached(*pair)
        assert not detaching.done()
        await detaching
