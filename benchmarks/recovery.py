"""An outage in the middle of a run, in real time, over sockets.

A simulated Intercom answers with its quota for a window, is away (503), and comes back. The result
is how many requests a second it got before, during and after, and how long after its return a
window began of which at least 95 % was used.
"""

import asyncio
import concurrent.futures
import itertools
from typing import TYPE_CHECKING, Any, Final

from benchmarks.client_process import client_process
from benchmarks.frame import Bound, Comparison, Figure, Options, compare
from benchmarks.process import process
from benchmarks.rivals import CONTACT, OUR_BULK, SKIPPING, TOKEN
from intercom_async.simulator import IntercomSimulator, Outage

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WINDOW: Final = 10.0
LIMIT: Final = 300
"""Requests per window."""

WINDOWS_AFTER: Final = 4
CONTESTANTS: Final = (SKIPPING, OUR_BULK)


def measure(options: Options) -> list[Comparison]:
    """Measure both at the same time, each with a simulator of its own."""
    away = 8.0 if options.quick else 38.0  # it comes back two seconds before a window's end
    with concurrent.futures.ThreadPoolExecutor(len(CONTESTANTS)) as pool:
        rounds = [
            list(pool.map(_course_of, CONTESTANTS, itertools.repeat(away)))
            for _ in range(1 if options.quick else 2)
        ]
    figures = [
        Figure(f"requests sent before an outage of {away:.0f} s", "per second"),
        # What was in flight when it began is most of a short one.
        Figure("sent during it", "per second", None if options.quick else Bound("value", 1.0)),
        Figure("sent in the two windows after it", "per second"),
        Figure("until a whole window is used again", "s", Bound("value", 1.2 * WINDOW)),
    ]
    courses: dict[str, tuple[tuple[float, ...], ...]] = dict(
        zip(CONTESTANTS, zip(*rounds, strict=True), strict=True)
    )
    return compare(figures, courses, SKIPPING, [OUR_BULK])


def _course_of(name: str, away: float) -> tuple[float, ...]:
    with process(_serve, away) as server, client_process(name, server.recv()) as client:
        client.start(1_000_000, 64)  # more than it can send
        figures: tuple[float, ...] = server.recv()
        return figures


def _serve(pipe: "Connection[Any, Any]", away: float) -> None:
    async def serve() -> tuple[float, ...]:
        async with IntercomSimulator(token=TOKEN, limit=LIMIT, latency=(0.02, 0.1)) as simulator:
            workspace = simulator.workspace
            workspace.add_contact(contact_id=CONTACT)
            other = workspace.add_contact()
            for number in range(10_000_000, 10_000_000 + (WINDOWS_AFTER + 4) * 4 * LIMIT):
                workspace.add_conversation([CONTACT, other], conversation_id=str(number))
            pipe.send(simulator.url)

            async def arrived_until(moment: float) -> int:
                await asyncio.sleep(moment - simulator.now())
                return simulator.requests.total

            begin = (simulator.now() // WINDOW + 2) * WINDOW  # after a whole window of their own
            back = begin + away
            counts = [await arrived_until(begin - WINDOW), await arrived_until(begin)]
            outage = asyncio.create_task(simulator.outage(Outage.UNAVAILABLE, away))
            counts += [await arrived_until(back), await arrived_until(back + 2 * WINDOW)]
            await outage
            await arrived_until(back + WINDOWS_AFTER * WINDOW)
            full = [
                window.start - back
                for window in simulator.quota.windows
                if window.start >= back and window.accepted >= 0.95 * LIMIT
            ]
        before, during, after = (later - earlier for earlier, later in itertools.pairwise(counts))
        until_full = full[0] if full else WINDOWS_AFTER * WINDOW
        return before / WINDOW, during / away, after / (2 * WINDOW), until_full

    pipe.send(asyncio.run(serve()))
