"""A simulator and a client for runs."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from intercom_async import IntercomClient
from intercom_async.simulator import IntercomSimulator
from tests.support.leftovers import holds_nothing


@pytest.fixture
async def sim() -> AsyncIterator[IntercomSimulator]:
    async with IntercomSimulator(limit=1000, latency=0.05, keep_log=True) as simulator:
        yield simulator


@pytest.fixture
async def client(sim: IntercomSimulator) -> AsyncIterator[IntercomClient]:
    """A client whose runs leave nothing behind."""
    async with IntercomClient("token", base_url=sim.url, admin_id=sim.admin_id) as opened:
        yield opened
        assert holds_nothing(opened)
        code = [str(getattr(task.get_coro(), "cr_code", "")) for task in asyncio.all_tasks()]
        assert [each for each in code if "intercom_async/bulk" in each] == []
