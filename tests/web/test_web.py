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


class Opened:
    """Stands for `IntercomClient` in an example, and remembers the client it made."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self.clients: list[IntercomClient] = []

    def __call__(self) -> IntercomClient:
        self.clients.append(IntercomClient(TOKEN, base_url=self._base_url))
        return self.client

    @property
    def client(self) -> IntercomClient:
        """The one client of the process."""
        (client,) = self.clients
        return client

    def holds_nothing(self) -> bool:
        return holds_nothing(self.client)


def path_of(pair: tuple[str, str]) -> str:
    return f"/conversations/{pair[0]}/contacts/{pair[1]}"


async def status_of(port: int, path: str) -> int | None:
    """Send a DELETE and return the reply's status; None when the connection ends without one."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.delete(f"http://127.0.0.1:{port}{path}") as reply:
                return reply.status
        except aiohttp.ClientError:
            return None


async def hang_up(port: int, path: str, *, after: float) -> None:
    """Send a DELETE and close the connection before the reply is there."""
    asked = asyncio.create_task(status_of(port, path))
    await asyncio.sleep(after)
    asked.cancel()
    await asyncio.wait({asked})


async def until_idle(sim: IntercomSimulator, opened: Opened) -> None:
    """Wait until no request is on its way."""
    for _ in range(2000):
        if sim.requests.in_flight == 0 and opened.holds_nothing():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("requests stay on their way")


def fastapi_example(opened: Opened) -> FastAPI:
    namespace = run_block(block_with("FastAPI(lifespan"))
    namespace["IntercomClient"] = opened
    app: Any = namespace["app"]
    assert isinstance(app, FastAPI)
    return app


def aiohttp_web_example(opened: Opened) -> web.Application:
    async def intercom(app: web.Application) -> AsyncGenerator[None]:
        async with opened() as client:
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
    return app


@asynccontextmanager
async def under_uvicorn(app: FastAPI) -> AsyncGenerator[int]:
    """Serve an app within this very loop; leaving shuts it down and waits for that."""
    config = uvicorn.Config(
        app, port=0, lifespan="on", ws="none", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn tells by a flag only
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


@asynccontextmanager
async def under_aiohttp_web(opened: Opened) -> AsyncGenerator[int]:
    """Serve within this very loop, handlers cancelled when clients hang up."""
    app = aiohttp_web_example(opened)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield site.port
    finally:
        await runner.cleanup()


Running = Callable[[Opened], AbstractAsyncContextManager[int]]


@pytest.fixture(params=["fastapi", "aiohttp_web"])
def running(request: pytest.FixtureRequest) -> Running:
    """Serve the example of a framework; the context is the port."""
    if request.param == "aiohttp_web":
        return under_aiohttp_web
    return lambda opened: under_uvicorn(fastapi_example(opened))


async def until_a_window_begins(sim: IntercomSimulator) -> None:
    await asyncio.sleep(10.5 - sim.now() % 10.0)


def hold_up(sim: IntercomSimulator, waiting_for: str) -> None:
    """Let all further calls wait for replies, or for the quota."""
    if waiting_for == "replies":
        sim.faults.add(Fault.HANG, probability=1.0)
    else:
        # For longer than a shutdown takes on any machine, and shorter than callers wait at most.
        sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=25.0, probability=1.0)


async def test_starting_and_stopping_needs_no_network(running: Running) -> None:
    opened = Opened("http://127.0.0.1:9")
    async with nothing_left_behind(), running(opened):
        assert opened.client.stats().requests == 0
    assert "closed" in repr(opened.client)


async def test_one_client_serves_all_requests(running: Running) -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, latency=0.05) as sim:
        pairs = sim.workspace.populate(conversations=30)
        opened = Opened(sim.url)
        async with running(opened) as port:
            found = await asyncio.gather(*(status_of(port, path_of(pair)) for pair in pairs))
        assert found == [204] * len(pairs)
        assert opened.client.stats().calls == len(pairs)


@pytest.mark.parametrize("waiting_for", ["replies", "quota"])
async def test_shutdown_under_load_leaves_no_task_socket_or_permit(
    running: Running, waiting_for: str
) -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim:
        pairs = sim.workspace.populate(conversations=80)
        opened = Opened(sim.url)
        async with running(opened) as port:
            assert await status_of(port, path_of(pairs[0])) == 204
            hold_up(sim, waiting_for)
            asked = [asyncio.create_task(status_of(port, path_of(pair))) for pair in pairs[1:]]
            await asyncio.sleep(0.5)
            assert not opened.holds_nothing()
        found = await asyncio.gather(*asked)
        assert set(found) <= {None, 500, 503}
        assert opened.holds_nothing()
        assert "closed" in repr(opened.client)
        sim.release()


async def test_an_absent_contact_is_no_failure_in_the_readme_s_example() -> None:
    async with IntercomSimulator(token=TOKEN) as sim:
        (pair,) = sim.workspace.populate(conversations=1)
        async with under_uvicorn(fastapi_example(Opened(sim.url))) as port:
            assert [await status_of(port, path_of(pair)) for _ in range(2)] == [204, 204]


async def test_a_quota_used_up_is_told_as_service_unavailable() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=30) as sim:
        first, *pairs = sim.workspace.populate(conversations=5)
        opened = Opened(sim.url)
        async with under_uvicorn(fastapi_example(opened)) as port:
            await until_a_window_begins(sim)
            await status_of(port, path_of(first))
            sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=100.0)
            found = [await status_of(port, path_of(pair)) for pair in pairs]
        assert set(found) == {503}
        assert opened.holds_nothing()


async def test_clients_that_hang_up_leave_nothing_on_its_way() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, latency=0.2) as sim:
        pairs = sim.workspace.populate(conversations=60)
        opened = Opened(sim.url)
        async with under_uvicorn(fastapi_example(opened)) as port:
            async with asyncio.TaskGroup() as clients:
                for n, pair in enumerate(pairs):
                    clients.create_task(hang_up(port, path_of(pair), after=0.005 * n))
            await until_idle(sim, opened)
            assert await status_of(port, path_of(pairs[0])) == 204
        assert set(sim.applied.values()) == {1}


async def test_a_request_that_runs_out_of_time_takes_its_call_with_it() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim:
        opened = Opened(sim.url)
        app = fastapi_example(opened)

        async def impatient(request: Request) -> bool:
            async with asyncio.timeout(0.5):
                await request.state.intercom.whoami()
            return True

        app.delete("/impatient")(impatient)
        sim.faults.add(Fault.HANG, probability=1.0)
        async with under_uvicorn(app) as port:
            found = await asyncio.gather(*(status_of(port, "/impatient") for _ in range(20)))
            assert set(found) == {500}
            assert opened.holds_nothing()
            sim.faults.clear()
            sim.release()
            assert await status_of(port, "/impatient") == 200


@pytest.mark.parametrize("waiting_for", ["replies", "quota"])
async def test_a_client_that_hangs_up_cancels_its_call_and_gives_the_permit_back(
    waiting_for: str,
) -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=40) as sim:
        first, *pairs = sim.workspace.populate(conversations=25)
        opened = Opened(sim.url)
        async with under_aiohttp_web(opened) as port:
            await until_a_window_begins(sim)
            assert await status_of(port, path_of(first)) == 204
            hold_up(sim, waiting_for)
            asked = [asyncio.create_task(status_of(port, path_of(pair))) for pair in pairs]
            await asyncio.sleep(0.5)
            assert not opened.holds_nothing()
            for each in asked:
                each.cancel()
            await asyncio.sleep(0.5)
            assert opened.holds_nothing()
            sim.faults.clear()
            sim.release()
            await until_idle(sim, opened)
            (fresh,) = sim.workspace.populate(conversations=1)
            assert await status_of(port, path_of(fresh)) == 204
