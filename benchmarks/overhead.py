"""The cost of a detach beside the same request made by other clients.

It measures the CPU time of the client's process for each call, at several numbers of requests in
flight; then the same on uvloop. The limiter and retries never wait.
"""

import contextlib
from typing import Final

from benchmarks.client_process import Client, client_process
from benchmarks.frame import Bound, Comparison, Options, in_turn, is_installed
from benchmarks.load_server import load_server
from benchmarks.rivals import BARE, JOURNAL, OUR_BULK, OURS, RIVALS, SKIPPING

SLOW: Final = 5.0
"""Rivals of this weight or more leave out the highest level, where they take whole seconds."""

CALLS: Final = 600
"""Calls of one burst of bare aiohttp; slower clients make fewer."""

COST: Final = {1: 1.0, 16: 1.0, 64: 1.05, 256: 1.12}
"""How many times the CPU of bare aiohttp a call may cost, by the number in flight."""

COST_ON_UVLOOP: Final = 1.15
COST_OF_BULK: Final = {OUR_BULK: 1.25, JOURNAL: 1.4}
"""The same of a run's pair."""

BULK_LEVELS: Final = (16, 64)
"""Where that is bounded: with one request in flight, each pays alone for its writes to the disk."""

Costs = dict[int, dict[str, list[float]]]
"""By level and rival, for each round: microseconds of CPU a call."""


def measure(options: Options) -> list[Comparison]:
    """Measure on asyncio's own loop, then on uvloop."""
    everybody = [n for n, rival in RIVALS.items() if n != SKIPPING and is_installed(rival.needs)]
    with load_server() as url:
        comparisons = _measure(url, everybody, options, uvloop=False)
        if is_installed("uvloop"):
            comparisons += _measure(url, [BARE, OURS, OUR_BULK, JOURNAL], options, uvloop=True)
        return comparisons


def _measure(url: str, rivals: list[str], options: Options, *, uvloop: bool) -> list[Comparison]:
    costs: Costs = {
        level: {name: [] for name in rivals if level <= 64 or RIVALS[name].weight < SLOW}
        for level in ([16, 64] if options.quick else COST)
    }
    for number in range(options.rounds):
        with contextlib.ExitStack() as stack:
            # New processes in each round: where things lie in its memory makes one process a
            # tenth faster or slower than the next, for as long as it lives.
            clients = {
                name: stack.enter_context(client_process(name, url, uvloop=uvloop))
                for name in rivals
            }
            _round(clients, costs, number)
    return [
        Comparison(
            name=f"call, {level} in flight{' on uvloop' * uvloop}",
            unit="µs of CPU",
            baseline=BARE,
            rounds=measured,
            bounds={
                name: Bound("ratio", limit)
                for name, limit in {
                    OURS: COST_ON_UVLOOP if uvloop else COST[level],
                    **(COST_OF_BULK if level in BULK_LEVELS else {}),
                }.items()
            },
        )
        for level, measured in costs.items()
    ]


def _round(clients: dict[str, Client], costs: Costs, number: int) -> None:
    for client in clients.values():
        client.burst(50, 16)  # to warm up
    for level, measured in costs.items():
        for name in in_turn(list(measured), number):
            calls = max(20, int(CALLS / RIVALS[name].weight))
            measured[name].append(clients[name].burst(calls, level).cpu / calls * 1e6)
