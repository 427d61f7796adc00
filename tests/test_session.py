"""The application's own `aiohttp.ClientSession`: its habits, its proxies, whose it is."""

import asyncio
import traceback

import aiohttp
import pytest

from intercom_async import (
    ClientStateError,
    ConnectionFailedError,
    IntercomClient,
    RetryPolicy,
)
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import nothing_left_behind
from tests.support.proxy import Proxy

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

TOKEN = "marked-token-value"
ONCE = RetryPolicy(attempts=1)


async def test_a_session_of_the_application_is_used_and_never_closed() -> None:
    async with (
        nothing_left_behind(),
        IntercomSimulator(token=TOKEN) as sim,
        aiohttp.ClientSession(headers={"Authorization": "Bearer other"}) as session,
    ):
        async with IntercomClient(TOKEN, base_url=sim.url, session=session) as client:
            await client.whoami()
        assert not session.closed
        async with session.get(sim.url + "/me") as reply:
            assert reply.status == 401  # its own header, and not ours


async def test_a_session_that_the_application_closed_is_named_in_the_error() -> None:
    async with IntercomSimulator(token=TOKEN) as sim:
        session = aiohttp.ClientSession()
        await session.close()
        async with IntercomClient(TOKEN, base_url=sim.url, session=session) as client:
            with pytest.raises(ClientStateError, match="session"):
                await client.whoami()
            status = client.rate_limit
            assert status is None or status.in_flight == 0


async def test_habits_of_the_session_change_no_outcome() -> None:
    async with IntercomSimulator(token=TOKEN) as sim:
        (pair,) = sim.workspace.populate(conversations=1)
        sim.faults.add(Fault.SERVER_ERROR, times=1)
        async with (
            aiohttp.ClientSession(
                raise_for_status=True, timeout=aiohttp.ClientTimeout(total=1e-6)
            ) as session,
            IntercomClient(TOKEN, base_url=sim.url, session=session) as client,
        ):
            await client.detach_contact(*pair, admin_id=sim.admin_id)
        assert sim.applied[pair] == 1


async def test_plain_http_to_loopback_goes_through_the_session_s_proxy() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim, Proxy() as proxy:
        async with (
            aiohttp.ClientSession(proxy=proxy.url) as session,
            IntercomClient(TOKEN, base_url=sim.url, session=session) as client,
        ):
            await client.whoami()
        assert proxy.requested == [("GET", f"{sim.url}/me")]


async def test_a_proxy_that_is_gone_or_refuses_is_a_connection_failure_without_secrets() -> None:
    async with Proxy(password="opening-word") as proxy:
        for url in (
            proxy.url.replace("//", "//user:hidden-word@"),
            "http://user:hidden-word@[::1]:9",
        ):
            async with (
                aiohttp.ClientSession(proxy=url) as session,
                IntercomClient(TOKEN, session=session, retry=ONCE) as client,
            ):
                with pytest.raises(ConnectionFailedError) as caught:
                    await client.detach_contact("1", "2", admin_id="3")
            shown = "".join(traceback.format_exception(caught.value))
            assert "hidden-word" not in shown
            assert TOKEN not in shown


async def test_cancelling_a_call_in_a_shared_session_leaves_the_session_usable() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim:
        sim.faults.add(Fault.HANG, times=1)
        async with (
            aiohttp.ClientSession() as session,
            IntercomClient(TOKEN, base_url=sim.url, session=session) as client,
        ):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.03):
                    await client.whoami()
            assert (await client.whoami()).id == sim.admin_id
        sim.release()
