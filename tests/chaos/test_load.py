"""Thousands of calls at once, one in twenty struck, leave nothing behind."""

import asyncio
import collections
import contextlib
import gc
import multiprocessing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from intercom_async import IntercomClient, ResponseDecodeError, RetryPolicy
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import nothing_left_behind

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CALLS = 2000
IN_FLIGHT = 256
FAULTS = (
    Fault.SERVER_ERROR,
    Fault.SERVER_ERROR_AFTER_APPLYING,
    Fault.HTML_ERROR,
    Fault.TRUNCATED_BODY,
    Fault.RESET_BEFORE_APPLYING,
    Fault.RESET_AFTER_APPLYING,
    Fault.CLOSE_BEFORE_APPLYING,
    Fault.CLOSE_AFTER_APPLYING,
)


def serve(pipe: "Connection[Any, Any]") -> None:
    """Run the simulator in a process of its own: what it holds is not the client's."""

    async def run() -> None:
        async with IntercomSimulator(limit=10 * CALLS, latency=(0.0, 0.02)) as simulator:
            for fault in FAULTS:
                simulator.faults.add(fault, probability=0.05 / len(FAULTS))
            pairs = simulator.workspace.populate(conversations=CALLS)
            pipe.send((simulator.url, simulator.admin_id, pairs))
            await asyncio.to_thread(pipe.recv)
            applied = collections.Counter(simulator.applied[pair] for pair in pairs)
            pipe.send((applied, simulator.faults.struck.total()))

    asyncio.run(run())


async def test_calls_by_the_thousand_leave_no_task_no_descriptor_and_no_objects_behind() -> None:
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    theirs.close()
    url, admin_id, pairs = await asyncio.to_thread(pipe.recv)
    objects: list[int] = []
    made = 0

    async def work(client: IntercomClient, pending: Iterator[Any]) -> None:
        nonlocal made
        for pair in pending:
            with contextlib.suppress(ResponseDecodeError):  # applied, and its reply was cut off
                await client.detach_contact(*pair, admin_id=admin_id)
            made += 1
            if made in {CALLS // 5, CALLS - IN_FLIGHT}:  # with all of them in flight
                gc.collect()
                objects.append(len(gc.get_objects()))

    patient = RetryPolicy(budget=10.0 * CALLS)  # one in twenty may be more in a bad moment
    async with (
        nothing_left_behind(),
        IntercomClient("token", base_url=url, retry=patient) as client,
    ):
        pending = iter(pairs)
        await asyncio.gather(*(work(client, pending) for _ in range(IN_FLIGHT)))
    assert objects[1] - objects[0] < 20 * IN_FLIGHT
    pipe.send("enough")
    applied, struck = await asyncio.to_thread(pipe.recv)
    server.join()
    assert applied == {1: CALLS}
    assert struck > 100
