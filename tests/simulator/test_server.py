"""What holds for every request, how the server counts, and how it starts, stops and comes back."""

import asyncio
import contextlib
import gc
import logging
import socket

import aiohttp
import pytest

from intercom_async.errors import ClientStateError, InvalidArgumentError
from intercom_async.simulator import Fault, IntercomSimulator
from tests.simulator.asking import Ask, until

driven = pytest.mark.asyncio(loop_factories=["driven"])


class TestRequests:
    @pytest.mark.parametrize("authorization", ["Bearer wrong", "token", ""])
    async def test_a_wrong_token_is_refused_without_touching_the_quota(
        self, authorization: str, ask: Ask
    ) -> None:
        answer = await ask("GET", "/me", headers={"Authorization": authorization})
        assert answer.error == (401, "unauthorized", "Access Token Invalid")
        assert "X-RateLimit-Limit" not in answer.headers
        assert ask.sim.quota.windows == []

    @pytest.mark.intercom_simulator(limit=2, clock=lambda: 1_700_000_003.5)
    async def test_each_reply_has_its_id_the_server_s_time_the_version_and_what_is_left(
        self, ask: Ask
    ) -> None:
        first = await ask("GET", "/me", headers={"Intercom-Version": "2.14"})
        second = await ask("GET", "/nothing")
        assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
        assert first.headers["Date"] == "Tue, 14 Nov 2023 22:13:23 GMT"
        assert first.headers["Intercom-Version"] == "2.14"
        refused = await ask("GET", "/me")
        left = [answer.quota for answer in (first, second, refused)]
        assert left == [(2, remaining, 1_700_000_010) for remaining in (2, 1, 0)]
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

    @driven
    @pytest.mark.intercom_simulator(latency=(7.9, 8.1))
    async def test_a_request_is_applied_after_half_of_the_latency(self, ask: Ask) -> None:
        loop = asyncio.get_running_loop()
        (pair,) = ask.sim.workspace.populate(conversations=1)
        began = loop.time()
        detaching = asyncio.create_task(ask.detach(*pair))
        await asyncio.sleep(3.5)
        assert ask.sim.workspace.attached(*pair)
        await asyncio.sleep(1)
        assert not ask.sim.workspace.attached(*pair)
        await detaching
        assert loop.time() - began == pytest.approx(8.0, abs=0.3)

    @pytest.mark.parametrize("latency", [-1.0, (2.0, 1.0)])
    def test_a_latency_that_makes_no_sense_is_refused(
        self, latency: float | tuple[float, float]
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="latency"):
            IntercomSimulator(latency=latency)


class TestCounts:
    @pytest.mark.intercom_simulator(keep_log=True)
    async def test_requests_are_counted_and_logged_in_order_of_arrival(self, ask: Ask) -> None:
        (pair,) = ask.sim.workspace.populate(conversations=1)
        await ask("GET", "/me?per_page=1")
        await ask.detach(*pair)
        await ask("POST", "/conversations/search", b"{")
        requests = ask.sim.requests
        assert requests.by_method == {"GET": 1, "DELETE": 1, "POST": 1}
        assert requests.by_status == {200: 2, 400: 1}
        assert (requests.total, requests.in_flight, requests.unanswered) == (3, 0, 0)
        listed, detached, searched = requests.log or []
        assert (listed.path, listed.conversation_id, listed.status) == ("/me", None, 200)
        assert (detached.conversation_id, detached.body) == (pair[0], b'{"admin_id":"5017690"}')
        assert (searched.conversation_id, searched.status) == (None, 400)
        assert ask.sim.token not in repr(requests.log)

    @driven
    @pytest.mark.intercom_simulator(latency=1.0)
    async def test_simultaneous_requests_and_changes_of_one_conversation_are_noticed(
        self, ask: Ask
    ) -> None:
        pairs = ask.sim.workspace.populate(conversations=2, contacts_per_conversation=4)
        one, two, three, other, *_ = pairs
        await asyncio.gather(*(ask.detach(*pair) for pair in (one, other)))
        assert (ask.sim.requests.peak_in_flight, ask.sim.requests.overlaps) == (2, 0)
        retrieval = ask("GET", f"/conversations/{two[0]}")
        await asyncio.gather(retrieval, ask.detach(*two), ask.detach(*three))
        assert (ask.sim.requests.peak_in_flight, ask.sim.requests.overlaps) == (3, 1)


class TestLife:
    @pytest.mark.parametrize("turns", range(5))
    async def test_a_connection_that_comes_as_it_closes_is_dropped_as_any_other(
        self, turns: int
    ) -> None:
        sim = IntercomSimulator()
        await sim.start()
        port = int(sim.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for _ in range(turns):
                await asyncio.sleep(0)
            await sim.aclose()
            connection.settimeout(5.0)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""
        gc.collect()  # what was left open would warn here

    async def test_it_starts_once_and_comes_back_at_its_address_with_everything_it_knew(
        self, session: aiohttp.ClientSession
    ) -> None:
        sim = IntercomSimulator()
        ask = Ask(sim, session)
        (pair,) = sim.workspace.populate(conversations=1)
        with pytest.raises(ClientStateError, match="address"):
            _ = sim.url
        with pytest.raises(ClientStateError, match="clock"):
            sim.now()
        await sim.aclose()
        async with sim:
            url = sim.url
            assert (await ask.detach(*pair)).status == 200
            with pytest.raises(ClientStateError, match="running"):
                await sim.start()
        with pytest.raises(aiohttp.ClientConnectionError):
            await ask("GET", "/me")
        async with sim:
            assert sim.url == url
            assert (await ask.detach(*pair)).status == 404

    async def test_closing_it_drops_what_hangs_and_leaves_no_task(
        self, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        before = asyncio.all_tasks()
        async with IntercomSimulator() as sim:
            ask = Ask(sim, session)
            await ask("GET", "/me")  # leaves an idle connection
            sim.faults.add(Fault.HANG)
            sim.faults.add(Fault.LATENCY, seconds=60)
            waiting = [asyncio.create_task(ask("GET", "/me")) for _ in range(2)]
            await until(lambda: sim.requests.total == 3)
        for task in waiting:
            with pytest.raises(aiohttp.ClientError):
                await task
        assert asyncio.all_tasks() == before
        assert (sim.requests.in_flight, sim.requests.unanswered) == (0, 2)
        assert not [record for record in caplog.records if record.name.startswith("aiohttp")]

    async def test_a_client_that_leaves_is_no_error_of_the_server(
        self, ask: Ask, caplog: pytest.LogCaptureFixture
    ) -> None:
        ask.sim.faults.add(Fault.HANG)
        leaving = asyncio.create_task(ask("GET", "/me"))
        await until(lambda: ask.sim.requests.total == 1)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await asyncio.sleep(0.005)
        ask.sim.release()
        await until(lambda: not ask.sim.requests.in_flight)
        assert ask.sim.requests.unanswered == 1
        assert (await ask("GET", "/me")).status == 200
        assert not caplog.records
