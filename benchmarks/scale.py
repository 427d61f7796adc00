"""Whether a long run costs more per pair than a short one, in time or in memory.

Each run pulls its pairs from a generator, in a fresh process.
"""

import functools
from typing import Final

from benchmarks.client_process import burst, client_process
from benchmarks.frame import Bound, Figure, Options, Table, measured
from benchmarks.load_server import load_server
from benchmarks.rivals import OUR_BULK

IN_FLIGHT: Final = 64


def measure(options: Options) -> list[Table]:
    lengths = [1_000, 10_000, 100_000, 1_000_000]
    lengths = lengths[: 2 if options.quick else 4 if options.million else 3]
    with load_server() as url:
        runs = measured(
            {f"{pairs:,} pairs": functools.partial(_run, url, pairs) for pairs in lengths},
            1 if options.million else min(options.rounds, 2),
        )
    longer = list(runs)[1:]
    figures = [
        Figure("time per pair", "µs of CPU", dict.fromkeys(longer, Bound("ratio", 1.05))),
        Figure("peak memory", "MB", dict.fromkeys(longer, Bound("difference", 30.0))),
    ]
    return [Table(figures, runs)]


def _run(url: str, pairs: int) -> tuple[float, float]:
    """Return microseconds of CPU per pair, and the first run's peak in megabytes."""
    # What a short run costs is measured as often as a long one lasts.
    repeats = max(1, min(10, 10_000 // pairs))
    with client_process(OUR_BULK, url) as client:
        costs = [burst(client, pairs, IN_FLIGHT) for _ in range(repeats)]
    return sum(cpu for cpu, _ in costs) / repeats / pairs * 1e6, costs[0][1]
