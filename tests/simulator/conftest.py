"""Fixtures: a connection pool, and a way to ask the simulator of the test."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from intercom_async.simulator import IntercomSimulator
from tests.simulator.asking import Ask


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        # aiohttp would repeat a DELETE whose connection broke, and hide it.
        session._retry_connection = False
        yield session


@pytest.fixture
def sim(intercom_simulator: IntercomSimulator) -> IntercomSimulator:
    return intercom_simulator


@pytest.fixture
def ask(sim: IntercomSimulator, session: aiohttp.ClientSession) -> Ask:
    return Ask(sim, session)
