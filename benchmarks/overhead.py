"""The cost of a detach beside the same request made by other clients.

It measures the CPU time of the client's process for each call, and calls per second, at several
numbers of requests in flight; then the same on uvloop. The limiter and retries never wait.
"""

import contextlib
from typing import Final

from benchmarks.client_process import Client, client_process
from benchmarks.frame import Bound, Comparison, Options, in_turn, is_installed
from benchmarks.load_server import LoadServer, load_server
from benchmarks.rivals import BARE, JOURNAL, OUR_BULK, OURS, RIVALS, SKIPPING

SLOW: Final = 5.0
"""Rivals of this weight or more leave out the highest level, where they take whole seconds."""

CALLS: Final = 600
"""Calls of one burst of bare aiohttp; slower clients make fewer."""

COST: Final = {1: 1.0, 16: 1.0, 64: 1.05, 256: 1.12}
"""How many times the CPU of bare aiohttp a call may cost, by the number in flight."""

COST_ON_UVLOOP: Final = 1.15
COST_OF_BULK: Final = {OUR_BULK: 1.25, JOURNAL: 1.4}

Costs = dict[int, dict[str, list[tuple[float, float]]]]
"""By level and rival, for each round: microseconds of CPU a call, and calls per second."""


def measure(options: Options) -> list[Comparison]:
    """Measure on asyncio's own loop, then on uvloop."""
    everybody = [n for n, rival in RIVALS.items() if n != SKIPPING and is_installed(rival.needs)]
    with load_server() as server:
        comparisons = _measure(server, everybody, options, uvloop=False)
        if is_installed("uvloop"):
            comparisons += _measure(server, [BARE, OURS, OUR_BULK, JOURNAL], options, uvloop=True)
        return comparisons


def _measure(
    server: LoadServer, rivals: list[str], options: Options, *, uvloop: bool
) -> list[Comparison]:
    levels = [16, 64] if options.quick else [*COST]
    costs: Costs = {
        level: {name: [] for name in rivals if level <= 64 or RIVALS[name].weight < SLOW}
        for level in levels
    }
    for number in range(options.rounds):
        with contextlib.ExitStack() as stack:
            # New processes in each round: where things lie in its memory makes one process a
            # tenth faster or slower than the next, for as long as it lives.
            clients = {
                name: stack.enter_context(client_process(name, server.url, uvloop=uvloop))
                for name in rivals
            }
            _round(server, clients, costs, number)
    comparisons: list[Comparison] = []
    for level, measured in costs.items():
        where = f"{level} in flight{' on uvloop' * uvloop}"
        limits = {OURS: COST_ON_UVLOOP if uvloop else COST[level], **COST_OF_BULK}
        comparisons += [
            Comparison(
                name=f"call, {where}",
                unit="µs of CPU",
                baseline=BARE,
                rounds={name: [cpu for cpu, _ in each] for name, each in measured.items()},
                bounds={name: Bound("ratio", limit) for name, limit in limits.items()},
            ),
            Comparison(
                name=f"throughput, {where}",
                unit="calls per second",
                baseline=BARE,
                rounds={name: [speed for _, speed in each] for name, each in measured.items()},
            ),
        ]
    return comparisons


def _round(server: LoadServer, clients: dict[str, Client], costs: Costs, number: int) -> None:
    for client in clients.values():
        client.burst(50, 16)  # to warm up
    for level, measured in costs.items():
        for name in in_turn(list(measured), number):
            calls = max(20, int(CALLS / RIVALS[name].weight))
            with server.watched():
                cost = clients[name].burst(calls, level)
            measured[name].append((cost.cpu / calls * 1e6, calls / cost.wall))
