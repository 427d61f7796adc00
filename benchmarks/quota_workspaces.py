"""Many workspaces at once over one pool, each with a quota of its own, in real time.

The simulators live in a process of their own, one for each workspace; a pool in this process
detaches pairs of all of them, mixed. The simulators' counters give the result: how much of each
quota was used in two whole windows, and how much was refused.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.quota_world import WINDOW
from intercom_async import IntercomPool, WorkspaceAccess
from intercom_async.simulator import IntercomSimulator

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WORKSPACES: Final = 200
LIMIT: Final = 20
WINDOWS: Final = 2
LATENCY: Final = (0.02, 0.2)

Place = tuple[str, str, list[tuple[str, str]]]
"""URL, admin and pairs of one workspace."""

Usage = list[tuple[float, int, int]]
"""Begin, accepted and refused requests of each window."""


def serve(pipe: "Connection[Any, Any]", workspaces: int = WORKSPACES, limit: int = LIMIT) -> None:
    """Send the places through a pipe, and when it asks, the simulators' counts."""

    async def serving() -> None:
        async with contextlib.AsyncExitStack() as stack:
            simulators = [
                IntercomSimulator(limit=limit, latency=LATENCY) for _ in range(workspaces)
            ]
            for simulator in simulators:
                await stack.enter_async_context(simulator)
            enough = (WINDOWS + 4) * limit
            places: list[Place] = [
                (one.url, one.admin_id, one.workspace.populate(conversations=enough))
                for one in simulators
            ]
            pipe.send(places)
            await asyncio.to_thread(pipe.recv)
            usages: list[Usage] = [
                [(window.start, window.accepted, window.refused) for window in one.quota.windows]
                for one in simulators
            ]
            pipe.send((usages, max(max(one.applied.values(), default=0) for one in simulators)))

    asyncio.run(serving())


async def _detach(places: list[Place], until: float) -> None:
    access = {
        str(number): WorkspaceAccess("token", base_url=url, admin_id=admin_id)
        for number, (url, admin_id, _) in enumerate(places)
    }
    mixed = itertools.chain.from_iterable(
        zip(*([(str(n), *pair) for pair in pairs] for n, (_, _, pairs) in enumerate(places)),
            strict=True)
    )  # fmt: skip
    async with IntercomPool(access) as pool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(until - time.time()):
                await pool.detach_contacts(mixed)


def measure() -> list[tuple[float, float]]:
    """Return used and refused percent of each workspace, over two whole windows."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    places: list[Place] = ours.recv()
    first = ((time.time() + 1.0) // WINDOW + 1.0) * WINDOW
    end = first + WINDOWS * WINDOW
    asyncio.run(_detach(places, end + 0.2))
    ours.send("enough")
    usages: list[Usage] = ours.recv()[0]
    server.terminate()
    server.join()
    return shares(usages, first, end)


def shares(
    usages: list[Usage], first: float, end: float, limit: int = LIMIT
) -> list[tuple[float, float]]:
    """Return used and refused percent of each workspace, over the windows between two moments."""
    figures: list[tuple[float, float]] = []
    for usage in usages:
        measured = [window for window in usage if first <= window[0] < end]
        accepted = sum(window[1] for window in measured)
        refused = sum(window[2] for window in measured)
        sent = max(1, accepted + refused)
        figures.append(
            (100.0 * accepted * WINDOW / (limit * (end - first)), 100.0 * refused / sent)
        )
    return figures


def report() -> None:
    """Measure and print."""
    print(f"{WORKSPACES} workspaces at once, {LIMIT} requests per window each, {WINDOWS} windows\n")
    show(measure())


def show(figures: list[tuple[float, float]]) -> None:
    """Print what `shares` found."""
    used, refused = zip(*figures, strict=True)
    print(f"{'':10} {'median':>8} {'least':>8} {'most':>8}")
    for name, values in (("used %", used), ("refused %", refused)):
        median = statistics.median(values)
        print(f"{name:10} {median:8.1f} {min(values):8.1f} {max(values):8.1f}")
