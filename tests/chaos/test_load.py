"""Thousands of calls at once, one in twenty struck, leave nothing behind."""

import asyncio
import contextlib
import gc

from intercom_async import IntercomClient, ResponseDecodeError, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import nothing_left_behind

CALLS = 1500
IN_FLIGHT = 256
FAULTS = (
    Fault.SERVER_ERROR_AFTER_APPLYING,
    Fault.HTML_ERROR,
    Fault.TRUNCATED_BODY,
    Fault.RESET_BEFORE_APPLYING,
    Fault.CLOSE_AFTER_APPLYING,
)


async def test_calls_by_the_thousand_leave_no_task_no_descriptor_and_no_objects_behind() -> None:
    objects: list[int] = []
    made = 0
    patient = RetryPolicy(budget=10.0 * CALLS)  # one in twenty may be more in a bad moment
    async with (
        nothing_left_behind(),
        IntercomSimulator(limit=10 * CALLS, latency=(0.0, 0.02)) as sim,
        IntercomClient("token", base_url=sim.url, retry=patient) as client,
    ):
        for fault in FAULTS:
            sim.faults.add(fault, probability=0.05 / len(FAULTS))
        pairs = sim.workspace.populate(conversations=CALLS)
        pending = iter(pairs)

        async def work() -> None:
            nonlocal made
            for pair in pending:
                with contextlib.suppress(ResponseDecodeError):  # applied, its reply was cut off
                    await client.detach_contact(*pair, admin_id=sim.admin_id)
                made += 1
                if made in {CALLS // 5, CALLS - IN_FLIGHT}:  # with all of them in flight
                    gc.collect()
                    objects.append(len(gc.get_objects()))

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))
        assert {sim.applied[pair] for pair in pairs} == {1}
        assert sim.faults.struck.total() > 30
    assert objects[1] - objects[0] < 20 * IN_FLIGHT
