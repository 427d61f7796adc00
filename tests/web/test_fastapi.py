"""The README's FastAPI example under uvicorn: real sockets, clients that hang up, shutdown."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import nothing_left_behind
from tests.support.readme import block_with, run_block
from tests.web.serving import TOKEN, Opened, hang_up, path_of, status_of, until_idle

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


@asynccontextmanager
async def running(app: FastAPI) -> AsyncGenerator[tuple[uvicorn.Server, int]]:
    """Serve an app within this very loop; leaving shuts it down and waits for that."""
    config = uvicorn.Config(
        app, port=0, lifespan="on", ws="none", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn tells by a flag only
        await asyncio.sleep(0.01)
    try:
        yield server, server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


def example(opened: Opened) -> FastAPI:
    namespace = run_block(block_with("FastAPI(lifespan"))
    namespace["IntercomClient"] = opened
    app: Any = namespace["app"]
    assert isinstance(app, FastAPI)
    return app


async def test_starting_and_stopping_needs_no_network() -> None:
    opened = Opened("http://127.0.0.1:9")
    async with nothing_left_behind(), running(example(opened)):
        assert opened.client.stats().requests == 0
    assert "closed" in repr(opened.client)


async def test_one_client_serves_all_requests() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, latency=0.05) as sim:
        pairs = sim.workspace.populate(conversations=30)
        opened = Opened(sim.url)
        async with running(example(opened)) as (_, port):
            found = await asyncio.gather(*(status_of(port, path_of(pair)) for pair in pairs))
            again = await status_of(port, path_of(pairs[0]))
        assert found == [204] * len(pairs)
        assert again == 204
        assert opened.client.stats().calls == len(pairs) + 1


async def test_a_quota_used_up_is_told_as_service_unavailable() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=30) as sim:
        first, *pairs = sim.workspace.populate(conversations=5)
        opened = Opened(sim.url)
        async with running(example(opened)) as (_, port):
            await asyncio.sleep(10.5 - sim.now() % 10.0)
            await status_of(port, path_of(first))
            sim.faults.add(Fault.TOO_MANY_REQUESTS, seconds=100.0)
            found = [await status_of(port, path_of(pair)) for pair in pairs]
        assert set(found) == {503}
        assert opened.holds_nothing()


async def test_clients_that_hang_up_leave_nothing_on_its_way() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, latency=0.2) as sim:
        pairs = sim.workspace.populate(conversations=60)
        opened = Opened(sim.url)
        async with running(example(opened)) as (_, port):
            async with asyncio.TaskGroup() as clients:
                for n, pair in enumerate(pairs):
                    clients.create_task(hang_up(port, path_of(pair), after=0.005 * n))
            await until_idle(sim, opened)
            assert await status_of(port, path_of(pairs[0])) == 204
        assert set(sim.applied.values()) == {1}


async def test_a_request_that_runs_out_of_time_takes_its_call_with_it() -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim:
        opened = Opened(sim.url)
        app = example(opened)

        async def impatient(request: Request) -> bool:
            async with asyncio.timeout(0.5):
                await request.state.intercom.whoami()
            return True

        app.delete("/impatient")(impatient)
        sim.faults.add(Fault.HANG, probability=1.0)
        async with running(app) as (_, port):
            found = await asyncio.gather(*(status_of(port, "/impatient") for _ in range(20)))
            assert set(found) == {500}
            assert opened.holds_nothing()
            sim.faults.clear()
            sim.release()
            assert await status_of(port, "/impatient") == 200


@pytest.mark.parametrize("waiting_for", ["replies", "quota"])
async def test_shutdown_under_load_leaves_no_task_socket_or_permit(waiting_for: str) -> None:
    async with nothing_left_behind(), IntercomSimulator(token=TOKEN, limit=40) as sim:
        pairs = sim.workspace.populate(conversations=80)
        opened = Opened(sim.url)
        async with running(example(opened)) as (_, port):
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
        assert set(found) <= {None, 500, 503}
        assert opened.holds_nothing()
        assert opened.client._http._session is None
        sim.release()
