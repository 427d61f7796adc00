"""One client in a web application: real sockets, clients that hang up, cancelled calls, shutdown.

The README's FastAPI example under uvicorn, and an application of aiohttp.web that does the same.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from fastapi import FastAPI, Request

from intercom_async import IntercomClient
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import holds_nothing, nothing_left_behind
from tests.support.readme import block_with, run_block

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

TOKEN = "marked-token-value"
INTERCOM = web.AppKey("intercom", IntercomClient)
IMPATIENT = "/impatient"


class Site:
    """A running application; calling it stands for `IntercomClient` in an example."""

    port: int
    client: IntercomClient

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url

    def __call__(self) -> IntercomClient:
        assert not hasattr(self, "client"), "one client for the process"
        self.client = IntercomClient(TOKEN, base_url=self._base_url)
        return self.client

    async def ask(self, what: tuple[str, str] | str) -> int | None:
        """Send a DELETE and return the reply's status; None if the connection ends without one."""
        path = what if isinstance(what, str) else f"/conversations/{what[0]}/contacts/{what[1]}"
        async with aiohttp.ClientSession() as session:
            try:
                async with session.delete(f"http://127.0.0.1:{self.port}{path}") as reply:
                    return reply.status
            except aiohttp.ClientError:
                return None

    async def until_idle(self, sim: IntercomSimulator) -> None:
        async with asyncio.timeout(20):
            while sim.requests.in_flight or not holds_nothing(self.client):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def under_uvicorn(base_url: str) -> AsyncGenerator[Site]:
    """Serve the README's example within this very loop; leaving waits for the shutdown."""
    site = Site(base_url)
    namespace = run_block(block_with("FastAPI(lifespan"))
    namespace["IntercomClient"] = site
    app: Any = namespace["app"]
    assert isinstance(app, FastAPI)

    async def impatient(request: Request) -> bool:
        async with asyncio.timeout(0.5):
            await request.state.intercom.whoami()
        return True

    app.delete(IMPATIENT)(impatient)
    config = uvicorn.Config(
        app, port=0, lifespan="on", ws="none", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn tells by a flag only
        await asyncio.sleep(0.01)
    try:
        site.port = server.servers[0].sockets[0].getsockname()[1]
        yield site
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def under_aiohttp_web(base_url: str) -> AsyncGenerator[Site]:
    """Serve within this very loop, handlers cancelled when clients hang up."""
    site = Site(base_url)

    async def intercom(app: web.Application) -> AsyncGenerator[None]:
        async with site() as client:
            app[INTERCOM] = client
            yield

    async def detach(request: web.Request) -> web.Response:
        ids = request.match_info
        client = request.app[INTERCOM]
        await client.detach_contact(ids["conversation"], ids["contact"], admin_id="5017690")
        return web.Response(status=204)

    app = web.Application()
    app.cleanup_ctx.append(intercom)
    app.router.add_delete("/conversations/{conversation}/contacts/{contact}", detach)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        listening = web.TCPSite(runner, "127.0.0.1", 0)
        await listening.start()
        site.port = listening.port
        yield site
    finally:
        await runner.cleanup()


Running = Callable[[str], AbstractAsyncContextManager[Site]]
everywhere = pytest.mark.parametrize("running", [under_uvicorn, under_aiohttp_web])


def hold_up(sim: IntercomSimulator, waiting_for: str) -> None:
    """Let all further calls wait for replies, or for the quota."""
    if waiting_for == "replies":
        sim.faults.add(Fault.HANG, probability=1.0)
    else:
        # For longer than a shutdown takes on any machine, and shorter than callers wait at most.
        sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=25.0, probability=1.0)


@everywhere
async def test_starting_and_stopping_needs_no_network(running: Running) -> None:
    async with nothing_left_behind(), running("http://127.0.0.1:9") as site:
        assert site.client.stats().requests == 0
    assert "closed" in repr(site.client)


@everywhere
@pytest.mark.parametrize("waiting_for", ["replies", "quota"])
async def test_one_client_serves_all_and_shutdown_under_load_leaves_no_task_socket_or_permit(
    running: Running, waiting_for: str
) -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, latency=0.05) as sim:
        pairs = sim.workspace.populate(conversations=80)
        async with running(sim.url) as site:
            found = await asyncio.gather(*(site.ask(pair) for pair in pairs[:30]))
            assert found == [204] * 30
            hold_up(sim, waiting_for)
            asked = [asyncio.create_task(site.ask(pair)) for pair in pairs[30:]]
            await asyncio.sleep(0.5)
            assert not holds_nothing(site.client)
        found = await asyncio.gather(*asked)
        assert set(found) <= {None, 500, 503}
        assert holds_nothing(site.client)
        assert "closed" in repr(site.client)
        sim.release()


async def test_an_absent_contact_is_no_failure_and_a_quota_used_up_is_service_unavailable() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=30) as sim:
        first, *pairs = sim.workspace.populate(conversations=5)
        async with under_uvicorn(sim.url) as site:
            await asyncio.sleep(10.5 - sim.now() % 10.0)  # until a window begins
            assert [await site.ask(first) for _ in range(2)] == [204, 204]
            sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=100.0)
            assert {await site.ask(pair) for pair in pairs} == {503}
        assert holds_nothing(site.client)


async def test_clients_that_hang_up_leave_nothing_on_its_way() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, latency=0.2) as sim:
        pairs = sim.workspace.populate(conversations=60)
        async with under_uvicorn(sim.url) as site:
            asked = [asyncio.create_task(site.ask(pair)) for pair in pairs]
            for each in asked:
                await asyncio.sleep(0.005)
                each.cancel()
            await site.until_idle(sim)
            assert await site.ask(pairs[0]) == 204
        assert set(sim.applied.values()) == {1}


async def test_a_request_that_runs_out_of_time_takes_its_call_with_it() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim:
        sim.faults.add(Fault.HANG, probability=1.0)
        async with under_uvicorn(sim.url) as site:
            found = await asyncio.gather(*(site.ask(IMPATIENT) for _ in range(20)))
            assert set(found) == {500}
            assert holds_nothing(site.client)
            sim.faults.clear()
            sim.release()
            assert await site.ask(IMPATIENT) == 200


@pytest.mark.parametrize("waiting_for", ["replies", "quota"])
async def test_a_client_that_hangs_up_cancels_its_call_and_gives_the_permit_back(
    waiting_for: str,
) -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=40) as sim:
        first, *pairs = sim.workspace.populate(conversations=25)
        async with under_aiohttp_web(sim.url) as site:
            await asyncio.sleep(10.5 - sim.now() % 10.0)  # until a window begins
            assert await site.ask(first) == 204
            hold_up(sim, waiting_for)
            asked = [asyncio.create_task(site.ask(pair)) for pair in pairs]
            await asyncio.sleep(0.5)
            assert not holds_nothing(site.client)
            for each in asked:
                each.cancel()
            await asyncio.sleep(0.5)
            assert holds_nothing(site.client)
            sim.faults.clear()
            sim.release()
            await site.until_idle(sim)
            (fresh,) = sim.workspace.populate(conversations=1)
            assert await site.ask(fresh) == 204
