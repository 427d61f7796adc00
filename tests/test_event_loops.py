"""The same promises on uvloop, and with tasks that run at once (Python 3.12 and later)."""

import asyncio

import pytest

from intercom_async import IntercomClient, Outcome, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import holds_nothing, nothing_left_behind

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop", "eager"])


async def test_a_run_through_faults_settles_every_pair() -> None:
    policy = RetryPolicy(backoff=0.01, budget=10_000)
    async with nothing_left_behind(), IntercomSimulator(limit=100_000) as sim:
        pairs = sim.workspace.populate(conversations=300)
        for fault in (
            Fault.RESET_AFTER_APPLYING,
            Fault.CLOSE_BEFORE_APPLYING,
            Fault.SERVER_ERROR,
        ):
            sim.faults.add(fault, probability=0.05)
        async with IntercomClient(sim.token, base_url=sim.url, retry=policy) as client:
            summary = await client.detach_contacts(pairs, admin_id=sim.admin_id)
        assert summary.outcomes[Outcome.DETACHED] == len(pairs)
        assert set(sim.applied.values()) == {1}


async def test_cancelled_and_closed_calls_leave_nothing() -> None:
    async with nothing_left_behind(), IntercomSimulator() as sim:
        client = IntercomClient(sim.token, base_url=sim.url)
        await client.whoami()
        sim.faults.add(Fault.HANG, probability=1.0)
        calls = [asyncio.create_task(client.whoami()) for _ in range(10)]
        await asyncio.sleep(0.03)
        for call in calls[:5]:
            call.cancel()
        await client.aclose()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(error, BaseException) for error in found)
        assert holds_nothing(client)
        sim.release()
