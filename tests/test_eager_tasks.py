"""The same promises with tasks that run at once (Python 3.12 and later)."""

import asyncio

from intercom_async import IntercomClient, Outcome, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator


async def test_a_run_through_faults_settles_every_pair() -> None:
    factory = getattr(asyncio, "eager_task_factory", None)
    asyncio.get_running_loop().set_task_factory(factory)
    async with IntercomSimulator(limit=100_000) as sim:
        pairs = sim.workspace.populate(conversations=100)
        sim.faults.add(Fault.RESET_AFTER_APPLYING, probability=0.1)
        policy = RetryPolicy(backoff=0.01, budget=10_000)
        async with IntercomClient(sim.token, base_url=sim.url, retry=policy) as client:
            summary = await client.detach_contacts(pairs, admin_id=sim.admin_id)
    assert summary.outcomes[Outcome.DETACHED] == len(pairs)
    assert set(sim.applied.values()) == {1}
