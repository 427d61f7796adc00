"""Whether a long run costs more per pair than a short one, in time or in memory.

Each run pulls its pairs from a generator, in a fresh process. Then one to four processes run at
once: throughput should grow with the machine's cores, of which the server needs one.
"""

import contextlib
import functools
import time
from typing import Final

from benchmarks.client_process import client_process
from benchmarks.frame import Bound, Comparison, Figure, Options, compare, measured
from benchmarks.load_server import LoadServer, load_server
from benchmarks.rivals import OUR_BULK

IN_FLIGHT: Final = 64


def measure(options: Options) -> list[Comparison]:
    """Measure the runs of growing length, then the growing number of processes."""
    lengths = (1_000, 10_000, 100_000, 1_000_000)
    lengths = lengths[: 2 if options.quick else 4 if options.million else 3]
    rounds = 1 if options.million else min(options.rounds, 2)
    calls = 1_000 if options.quick else 8_000
    with load_server() as server:
        runs = measured(
            {f"{pairs:,} pairs": functools.partial(_run, server, pairs) for pairs in lengths},
            rounds,
        )
        speeds = measured(
            {f"{n} at once": functools.partial(_speed, server, n, calls) for n in (1, 2, 3, 4)},
            rounds,
        )
    shortest, *longer = runs
    figures = [
        Figure("time per pair", "µs of CPU", Bound("ratio", 1.05)),
        Figure("peak memory", "MB", Bound("difference", 30.0)),
    ]
    throughput = [Figure("throughput of several processes", "calls per second")]
    return [
        *compare(figures, runs, shortest, longer),
        *compare(throughput, speeds, "1 at once", []),
    ]


def _run(server: LoadServer, pairs: int) -> tuple[float, float]:
    """Return microseconds of CPU per pair, and the first run's peak in megabytes."""
    # What a short run costs is measured as often as a long one lasts.
    repeats = max(1, min(10, 10_000 // pairs))
    with client_process(OUR_BULK, server.url) as client:
        costs = [client.burst(pairs, IN_FLIGHT) for _ in range(repeats)]
    return sum(cost.cpu for cost in costs) / repeats / pairs * 1e6, costs[0].peak


def _speed(server: LoadServer, count: int, calls: int) -> tuple[float]:
    """Return the calls per second of so many processes at once."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(client_process(OUR_BULK, server.url)) for _ in range(count)]
        for client in clients:
            client.burst(IN_FLIGHT, IN_FLIGHT)  # starting an interpreter takes a while
        with server.watched():
            began = time.perf_counter()
            for client in clients:
                client.start(calls, IN_FLIGHT)
            for client in clients:
                client.finish()
            return (count * calls / (time.perf_counter() - began),)
