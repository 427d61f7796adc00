"""Starting, stopping, coming back; nothing is left behind."""

import asyncio
import contextlib
import gc
import logging
import socket

import aiohttp
import pytest

from intercom_async.errors import ClientStateError
from intercom_async.simulator import Fault, IntercomSimulator
from tests.simulator.asking import Ask, until


def tasks() -> set[asyncio.Task[object]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_it_has_neither_address_nor_clock_before_it_is_started() -> None:
    sim = IntercomSimulator()
    with pytest.raises(ClientStateError, match="address"):
        _ = sim.url
    with pytest.raises(ClientStateError, match="clock"):
        sim.now()
    await sim.aclose()


async def test_it_cannot_be_started_twice_at_once(sim: IntercomSimulator) -> None:
    with pytest.raises(ClientStateError, match="running"):
        await sim.start()


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_comes_as_it_closes_is_dropped_as_any_other(turns: int) -> None:
    sim = IntercomSimulator()
    await sim.start()
    with socket.create_connection(("127.0.0.1", int(sim.url.rpartition(":")[2]))) as connection:
        for _ in range(turns):
            await asyncio.sleep(0)
        await sim.aclose()
        connection.settimeout(5.0)
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(1) == b""
    gc.collect()  # what was left open would warn here


async def test_it_comes_back_at_its_address_with_everything_it_knew(
    session: aiohttp.ClientSession,
) -> None:
    sim = IntercomSimulator()
    ask = Ask(sim, session)
    (pair,) = sim.workspace.populate(conversations=1)
    async with sim:
        url = sim.url
        assert (await ask.detach(*pair)).status == 200
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask("GET", "/me")
    async with sim:
        assert sim.url == url
        assert (await ask.detach(*pair)).status == 404
        assert sim.requests.total == 2


async def test_closing_it_drops_what_hangs_and_leaves_no_task(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    before = tasks()
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
    assert tasks() == before
    assert sim.requests.in_flight == 0
    assert sim.requests.unanswered == 2
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


async def test_a_client_that_leaves_is_no_error_of_the_server(
    ask: Ask, caplog: pytest.LogCaptureFixture
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
