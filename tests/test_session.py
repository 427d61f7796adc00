"""The application's own `aiohttp.ClientSession`: its habits, its proxies, whose it is."""

import traceback

import aiohttp
import pytest

from intercom_async import ClientStateError, ConnectionFailedError, IntercomClient, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import holds_nothing, nothing_left_behind
from tests.support.proxy import Proxy

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

TOKEN = "marked-token-value"


async def test_a_session_of_the_application_is_used_with_its_proxy_and_never_closed() -> None:
    headers = {"Authorization": "Bearer other"}
    async with (
        nothing_left_behind(),
        IntercomSimulator(token=TOKEN) as sim,
        Proxy() as proxy,
        aiohttp.ClientSession(proxy=proxy.url, headers=headers) as session,
    ):
        async with IntercomClient(TOKEN, base_url=sim.url, session=session) as client:
            await client.whoami()
        assert proxy.requested == [("GET", f"{sim.url}/me")]
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
            assert holds_nothing(client)


async def test_habits_of_the_session_change_no_outcome() -> None:
    short = aiohttp.ClientTimeout(total=1e-6)
    async with (
        IntercomSimulator(token=TOKEN) as sim,
        aiohttp.ClientSession(raise_for_status=True, timeout=short) as session,
        IntercomClient(TOKEN, base_url=sim.url, session=session) as client,
    ):
        (pair,) = sim.workspace.populate(conversations=1)
        sim.faults.add(Fault.SERVER_ERROR, times=1)
        await client.detach_contact(*pair, admin_id=sim.admin_id)
        assert sim.applied[pair] == 1


async def test_a_proxy_that_is_gone_or_refuses_is_a_connection_failure_without_secrets() -> None:
    async with Proxy(password="opening-word") as proxy:
        for url in (proxy.url, "http://[::1]:9"):
            async with (
                aiohttp.ClientSession(proxy=url.replace("//", "//user:hidden-word@")) as session,
                IntercomClient(TOKEN, session=session, retry=RetryPolicy(attempts=1)) as client,
            ):
                with pytest.raises(ConnectionFailedError) as caught:
                    await client.detach_contact("1", "2", admin_id="3")
            shown = "".join(traceback.format_exception(caught.value))
            assert "hidden-word" not in shown
            assert TOKEN not in shown
