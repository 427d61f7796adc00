"""Fixtures: a connection pool, and a way to ask the simulator of the test."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from intercom_async.simulator import IntercomSimulator
from tests.simulator.asking import Ask


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": "Bearer token", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        # aiohttp would repeat a DELETE whose connection broke, and hide it.
        session._retry_connection = False
        yield session


@pytest.fixture
async def sim(request: pytest.FixtureRequest) -> AsyncIterator[IntercomSimulator]:
    """On the test's own loop, so that one that is driven drives the simulator as well."""
    item: pytest.Item = request.node
    marker = item.get_closest_marker("intercom_simulator")
    options: dict[str, Any] = {} if marker is None else dict(marker.kwargs)
    async with IntercomSimulator(**options) as simulator:
        yield simulator


@pytest.fixture
def ask(sim: IntercomSimulator, session: aiohttp.ClientSession) -> Ask:
    return Ask(sim, session)
