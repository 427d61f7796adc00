"""The cost of a detach beside the same request made by other clients.

It measures the CPU time of the client's process for each call, at several numbers of requests in
flight; then the same on uvloop. The limiter and retries never wait.
"""

import functools
from typing import Final

from benchmarks.client_process import burst, client_process
from benchmarks.frame import Bound, Figure, Options, Table, measured
from benchmarks.load_server import load_server
from benchmarks.rivals import BARE, JOURNAL, OUR_BULK, OURS, RIVALS

CALLS: Final = {"httpx": 120, "python-intercom (official)": 20, OUR_BULK: 2000, JOURNAL: 2000}
"""Calls of one burst, 600 of most: slow clients make fewer, a run has to begin and end as well."""

LIMITS: Final = {
    1: {OURS: 1.0},  # alone in flight, each pair of a run pays for its own write to the disk
    16: {OURS: 1.0, OUR_BULK: 1.25, JOURNAL: 1.4},
    64: {OURS: 1.05, OUR_BULK: 1.25, JOURNAL: 1.4},
    256: {OURS: 1.12},
}
"""How many times the CPU of bare aiohttp a call may cost, by the number in flight."""
ON_UVLOOP: Final = {OURS: 1.15}


def measure(options: Options) -> list[Table]:
    """Measure on asyncio's own loop, then on uvloop."""
    with load_server() as url:
        return [
            _table(url, [*RIVALS], options, uvloop=False),
            _table(url, [BARE, OURS, OUR_BULK, JOURNAL], options, uvloop=True),
        ]


def _table(url: str, rivals: list[str], options: Options, *, uvloop: bool) -> Table:
    levels = [16, 64] if options.quick else [*LIMITS]
    figures: list[Figure] = []
    for level in levels:
        limits = LIMITS[level] | (ON_UVLOOP if uvloop else {})
        bounds = {name: Bound("ratio", limit) for name, limit in limits.items()}
        name = f"call, {level} in flight{' on uvloop' * uvloop}"
        figures.append(Figure(name, "µs of CPU", bounds))
    contestants = {
        name: functools.partial(_costs, name, url, levels, uvloop=uvloop) for name in rivals
    }
    return Table(figures, measured(contestants, options.rounds))


def _costs(name: str, url: str, levels: list[int], *, uvloop: bool) -> list[float]:
    """Return the microseconds of CPU that a call takes, by the number in flight."""
    costs: list[float] = []
    # A new process in each round: where things lie in its memory makes one process a tenth
    # faster or slower than the next, for as long as it lives.
    with client_process(name, url, uvloop=uvloop) as client:
        burst(client, 50, 16)  # to warm up
        for level in levels:
            calls = max(level, CALLS.get(name, 600))
            costs.append(burst(client, calls, level)[0] / calls * 1e6)
    return costs
