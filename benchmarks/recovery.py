"""An outage in the middle of a run, in real time, over sockets.

A simulated Intercom answers with its quota for a window, is away (503), and comes back. The result
is how many requests a second it got before, during and after, and how long after its return a
window began of which at least 95 % was used.
"""

import asyncio
import itertools
from typing import Final

from benchmarks.client_process import client_process
from benchmarks.frame import Bound, Figure, Options, Table
from benchmarks.rivals import CONTACT, OUR_BULK, TENACITY, TOKEN
from intercom_async.simulator import IntercomSimulator

WINDOW: Final = 10.0
LIMIT: Final = 300
"""Requests per window."""

WINDOWS_AFTER: Final = 4
CONTESTANTS: Final = (TENACITY, OUR_BULK)


def measure(options: Options) -> list[Table]:
    """Measure both at the same time, each with a simulator of its own."""
    away = 8.0 if options.quick else 38.0  # it comes back two seconds before a window's end

    async def both() -> list[tuple[float, ...]]:
        return await asyncio.gather(*(_course_of(name, away) for name in CONTESTANTS))

    rounds = [asyncio.run(both()) for _ in range(1 if options.quick else 2)]
    # What was in flight when it began is most of a short one.
    during = {} if options.quick else {OUR_BULK: Bound("value", 1.0)}
    figures = [
        Figure(f"requests sent before an outage of {away:.0f} s", "per second"),
        Figure("sent during it", "per second", during),
        Figure("sent in the two windows after it", "per second"),
        Figure("until a whole window is used again", "s", {OUR_BULK: Bound("value", 1.2 * WINDOW)}),
    ]
    return [Table(figures, dict(zip(CONTESTANTS, zip(*rounds, strict=True), strict=True)))]


async def _course_of(name: str, away: float) -> tuple[float, ...]:
    async with IntercomSimulator(token=TOKEN, limit=LIMIT, latency=(0.02, 0.1)) as simulator:
        workspace = simulator.workspace
        workspace.add_contact(contact_id=CONTACT)
        other = workspace.add_contact()
        for number in range(10_000_000, 10_000_000 + (WINDOWS_AFTER + 4) * 4 * LIMIT):
            workspace.add_conversation([CONTACT, other], conversation_id=str(number))

        async def arrived_until(moment: float) -> int:
            await asyncio.sleep(moment - simulator.now())
            return simulator.requests.total

        with client_process(name, simulator.url) as client:
            client.send((1_000_000, 64))  # more than it can do
            begin = (simulator.now() // WINDOW + 2) * WINDOW  # after a whole window of their own
            back = begin + away
            counts = [await arrived_until(begin - WINDOW), await arrived_until(begin)]
            outage = asyncio.create_task(simulator.outage(away))
            counts += [await arrived_until(back), await arrived_until(back + 2 * WINDOW)]
            await outage
            await arrived_until(back + WINDOWS_AFTER * WINDOW)
    before, during, after = (later - earlier for earlier, later in itertools.pairwise(counts))
    until_full = next(
        (
            window.start - back
            for window in simulator.quota.windows
            if window.start >= back and window.accepted >= 0.95 * LIMIT
        ),
        WINDOWS_AFTER * WINDOW,
    )
    return before / WINDOW, during / away, after / (2 * WINDOW), until_full
