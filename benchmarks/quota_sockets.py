"""The real client against the real simulator, over loopback sockets and in real time.

A check on the simulation, not a replacement: thirty seconds buy three windows. The simulator and
each client live in a process of their own; the simulator's counters are the result.
"""

import asyncio
import multiprocessing
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.quota_world import WINDOW
from intercom_async import IntercomClient
from intercom_async.simulator import IntercomSimulator

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WINDOWS: Final = 3
LATENCY: Final = (0.02, 0.2)

Pairs = list[tuple[str, str]]
Usage = list[tuple[float, int, int]]
"""Begin, accepted and refused requests of each window."""


def _serve(pipe: "Connection[Any, Any]", limit: int, clients: int) -> None:
    async def serve() -> None:
        async with IntercomSimulator(limit=limit, latency=LATENCY) as simulator:
            enough = (WINDOWS + 3) * limit
            jobs = [simulator.workspace.populate(conversations=enough) for _ in range(clients)]
            pipe.send((simulator.token, simulator.url, simulator.admin_id, jobs))
            await asyncio.to_thread(pipe.recv)
            usage: Usage = [
                (window.start, window.accepted, window.refused)
                for window in simulator.quota.windows
            ]
            pipe.send(usage)

    asyncio.run(serve())


def _detach(token: str, url: str, admin_id: str, pairs: Pairs) -> None:
    async def detach() -> None:
        async with IntercomClient(token, base_url=url) as client:
            async for _ in client.detach_contacts(pairs, admin_id=admin_id):
                pass

    asyncio.run(detach())


def measure(limit: int, clients: int) -> tuple[float, float]:
    """Return used and refused percent of three whole windows.

    Args:
        limit: requests per window.
        clients: processes that share it.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, limit, clients), daemon=True)
    server.start()
    token, url, admin_id, jobs = ours.recv()
    processes = [
        context.Process(target=_detach, args=(token, url, admin_id, pairs), daemon=True)
        for pairs in jobs
    ]
    for process in processes:
        process.start()
    # The first window is shared with the start of the interpreters.
    first = ((time.time() + 2.0) // WINDOW + 1.0) * WINDOW
    time.sleep(first + WINDOWS * WINDOW + 0.2 - time.time())
    ours.send("enough")
    usage: Usage = ours.recv()
    for process in (*processes, server):
        process.terminate()
        process.join()
    measured = [window for window in usage if first <= window[0] < first + WINDOWS * WINDOW]
    accepted = sum(window[1] for window in measured)
    refused = sum(window[2] for window in measured)
    assert accepted, "no client got anything through"
    return 100.0 * accepted / (limit * WINDOWS), 100.0 * refused / (accepted + refused)


def report() -> None:
    """Measure and print."""
    print(f"real client and simulator over loopback, {WINDOWS} windows, {LATENCY} s latency\n")
    print(f"{'limit':>6} {'processes':>10} {'used %':>8} {'refused %':>10}")
    for limit in (167, 1667):
        for clients in (1, 4):
            used, refused = measure(limit, clients)
            print(f"{limit:6} {clients:10} {used:8.1f} {refused:10.2f}", flush=True)
