"""The cost of a detach beside the same request made by other clients.

It measures the CPU time of the client's process for each call, and calls per second, at several
numbers of requests in flight; then the same on uvloop. The limiter and retries never wait.
"""

import contextlib
from typing import Final

from benchmarks.client_process import client_process
from benchmarks.figures import Bound, Comparison, Options, in_turn, installed
from benchmarks.load_server import LoadServer, load_server
from benchmarks.rivals import BARE, JOURNAL, OUR_BULK, OURS, RIVALS, SKIPPING

IN_FLIGHT: Final = (1, 16, 64, 256)
SLOW: Final = 5.0
"""Rivals of this weight or more leave out the highest level, where they take whole seconds."""

WARM_UP: Final = 50
CALLS: Final = 600
"""Calls of one burst of bare aiohttp; slower clients make fewer."""

COST: Final = {1: 1.0, 16: 1.0, 64: 1.05, 256: 1.12}
"""How many times the CPU of bare aiohttp a call may cost, by the number in flight."""

COST_ON_UVLOOP: Final = 1.15
COST_OF_BULK: Final = {OUR_BULK: 1.25, JOURNAL: 1.4}


def measure(options: Options) -> list[Comparison]:
    """Measure on asyncio's own loop, then on uvloop."""
    everybody = [name for name in RIVALS if name != SKIPPING]
    with load_server() as server:
        return [
            *_measure(server, everybody, options, uvloop=False),
            *_measure(server, [BARE, OURS, OUR_BULK, JOURNAL], options, uvloop=True),
        ]


def _measure(
    server: LoadServer, rivals: list[str], options: Options, *, uvloop: bool
) -> list[Comparison]:
    also = ["uvloop"] if uvloop else []
    present, notes = installed({name: [*RIVALS[name].needs, *also] for name in rivals})
    if not present:
        print(f"\noverhead on uvloop: {notes[0]}")
        return []
    levels = IN_FLIGHT[1:3] if options.quick else IN_FLIGHT
    costs: dict[int, dict[str, list[tuple[float, float]]]] = {
        level: {name: [] for name in present if level <= 64 or RIVALS[name].weight < SLOW}
        for level in levels
    }
    for number in range(options.rounds):
        with contextlib.ExitStack() as stack:
            # New processes in each round: where things lie in its memory makes one process a
            # tenth faster or slower than the next, for as long as it lives.
            clients = {
                name: stack.enter_context(client_process(name, server.url, uvloop=uvloop))
                for name in present
            }
            for client in clients.values():
                client.burst(WARM_UP, IN_FLIGHT[1])
            for level in levels:
                for name in in_turn(list(costs[level]), number):
                    calls = max(20, int(CALLS / RIVALS[name].weight))
                    with server.watched():
                        cost = clients[name].burst(calls, level)
                    costs[level][name].append((cost.cpu / calls * 1e6, calls / cost.wall))
    comparisons: list[Comparison] = []
    for level, measured in costs.items():
        where = f"{level} in flight{' on uvloop' if uvloop else ''}"
        limits = {OURS: COST_ON_UVLOOP if uvloop else COST[level], **COST_OF_BULK}
        comparisons += [
            Comparison(
                name=f"call, {where}",
                unit="µs of CPU",
                baseline=BARE,
                rounds={name: [cpu for cpu, _ in each] for name, each in measured.items()},
                bounds={name: Bound("ratio", limit) for name, limit in limits.items()},
                notes=[*notes, *server.notes],
            ),
            Comparison(
                name=f"throughput, {where}",
                unit="calls per second",
                baseline=BARE,
                rounds={name: [speed for _, speed in each] for name, each in measured.items()},
            ),
        ]
    return comparisons
