"""One client in an aiohttp.web application: real sockets, cancelled handlers, shutdown."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import nothing_left_behind
from tests.support.readme import run_block
from tests.web.serving import TOKEN, Opened, begin, hang_up, path_of, status_of, until_idle

EXAMPLE = Path(__file__).with_name("aiohttp_web_app.py")

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


@asynccontextmanager
async def running(opened: Opened) -> AsyncGenerator[int]:
    """Serve the example within this very loop, its handlers cancelled when clients hang up."""
    namespace = run_block(EXAMPLE.read_text(encoding="utf-8"))
    namespace["IntercomClient"] = opened
    app: Any = namespace["app"]
    assert isinstance(app, web.Application)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield site.port
    finally:
        await runner.cleanup()


async def test_starting_and_stopping_needs_no_network() -> None:
    opened = Opened("http://127.0.0.1:9")
    async with nothing_left_behind(), running(opened):
        assert opened.client.stats().requests == 0
    assert "closed" in repr(opened.client)


async def test_one_client_serves_all_requests() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, latency=0.05) as sim:
        pairs = sim.workspace.populate(conversations=30)
        opened = Opened(sim.url)
        async with running(opened) as port:
            found = await asyncio.gather(*(status_of(port, path_of(pair)) for pair in pairs))
        assert found == [204] * len(pairs)
        assert opened.client.stats().calls == len(pairs)


async def test_a_client_that_hangs_up_cancels_its_call_and_gives_the_permit_back() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim:
        first, *pairs = sim.workspace.populate(conversations=25)
        opened = Opened(sim.url)
        async with running(opened) as port:
            assert await status_of(port, path_of(first)) == 204
            sim.faults.add(Fault.HANG, probability=1.0)
            async with asyncio.TaskGroup() as clients:
                for pair in pairs:
                    clients.create_task(hang_up(port, path_of(pair), after=0.5))
            await asyncio.sleep(0.5)
            assert opened.holds_nothing()
            sim.faults.clear()
            sim.release()
            await until_idle(sim, opened)
            (fresh,) = sim.workspace.populate(conversations=1)
            assert await status_of(port, path_of(fresh)) == 204


async def test_calls_waiting_for_the_quota_leave_the_queue_when_their_clients_hang_up() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=20) as sim:
        first, *pairs = sim.workspace.populate(conversations=25)
        opened = Opened(sim.url)
        async with running(opened) as port:
            await asyncio.sleep(10.5 - sim.now() % 10.0)
            assert await status_of(port, path_of(first)) == 204
            sim.spend(20)
            started = [await begin(port, path_of(pair)) for pair in pairs]
            await asyncio.sleep(1.0)
            status = opened.client.rate_limit
            assert status is not None
            assert status.waiting_interactive > 0
            for _, writer in started:
                writer.transport.abort()
            await asyncio.sleep(0.5)
            assert opened.holds_nothing()


@pytest.mark.parametrize("waiting_for", ["replies", "quota"])
async def test_shutdown_under_load_leaves_no_task_socket_or_permit(waiting_for: str) -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=40) as sim:
        pairs = sim.workspace.populate(conversations=80)
        opened = Opened(sim.url)
        async with running(opened) as port:
            await asyncio.sleep(10.5 - sim.now() % 10.0)
            assert await status_of(port, path_of(pairs[0])) == 204
            if waiting_for == "replies":
                sim.faults.add(Fault.HANG, probability=1.0)
            else:
                sim.spend(40)
            asked = [asyncio.create_task(status_of(port, path_of(pair))) for pair in pairs[1:]]
            await asyncio.sleep(0.5)
            assert not opened.holds_nothing()
        found = await asyncio.gather(*asked)
        assert set(found) <= {None, 500}
        assert opened.holds_nothing()
        assert opened.client._http._session is None
        sim.release()
