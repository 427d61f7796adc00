"""Whether a long run costs more per pair than a short one, in time or in memory.

Each run pulls its pairs from a generator, in a fresh process. Then one to four processes run at
once: throughput should grow with the machine's cores, of which the server needs one.
"""

import contextlib
import os
import time
from typing import Final

from benchmarks.client_process import ClientProcess
from benchmarks.figures import Bound, Comparison, Options
from benchmarks.load_server import SATURATED, LoadServer
from benchmarks.rivals import OUR_BULK

PAIRS: Final = (1_000, 10_000, 100_000)
MILLION: Final = 1_000_000
IN_FLIGHT: Final = 64
PROCESSES: Final = (1, 2, 3, 4)
PER_PROCESS: Final = 8_000
MEGABYTE: Final = 1024 * 1024


def measure(options: Options) -> list[Comparison]:
    """Measure the runs of growing length, then the growing number of processes."""
    lengths = PAIRS[:2] if options.quick else (*PAIRS, MILLION) if options.million else PAIRS
    rounds = 1 if options.million else min(options.rounds, 2)
    names = [f"{pairs:,} pairs" for pairs in lengths]
    time_each: dict[str, list[float]] = {name: [] for name in names}
    memory: dict[str, list[float]] = {name: [] for name in names}
    with LoadServer() as server:
        for _ in range(rounds):
            for name, pairs in zip(names, lengths, strict=True):
                # What a short run costs is measured as often as a long one lasts.
                repeats = max(1, min(10, 10_000 // pairs))
                with ClientProcess(OUR_BULK, server.url) as client:
                    costs = [client.burst(pairs, IN_FLIGHT) for _ in range(repeats)]
                time_each[name].append(sum(cost.cpu for cost in costs) / repeats / pairs * 1e6)
                memory[name].append(costs[0].peak / MEGABYTE)
        wide = _wide(server, rounds)
    return [
        Comparison(
            name="time per pair",
            unit="µs of CPU",
            baseline=names[0],
            rounds=time_each,
            bounds={name: Bound("ratio", 1.05) for name in names[1:]},
        ),
        Comparison(
            name="peak memory",
            unit="MB",
            baseline=names[0],
            rounds=memory,
            bounds={name: Bound("difference", 30.0) for name in names[1:]},
        ),
        wide,
    ]


def _wide(server: LoadServer, rounds: int) -> Comparison:
    """Measure the throughput of several processes at once."""
    names = ["1 process", *(f"{count} processes" for count in PROCESSES[1:])]
    speed: dict[str, list[float]] = {name: [] for name in names}
    busiest = 0.0
    for _ in range(rounds):
        for name, count in zip(names, PROCESSES, strict=True):
            with contextlib.ExitStack() as stack:
                clients = [
                    stack.enter_context(ClientProcess(OUR_BULK, server.url)) for _ in range(count)
                ]
                for client in clients:
                    client.burst(IN_FLIGHT, IN_FLIGHT)  # starting an interpreter takes a while
                began, used = time.perf_counter(), server.cpu()
                for client in clients:
                    client.start(PER_PROCESS, IN_FLIGHT)
                for client in clients:
                    client.finish()
                elapsed = time.perf_counter() - began
                busiest = max(busiest, (server.cpu() - used) / elapsed)
                speed[name].append(count * PER_PROCESS / elapsed)
    notes = [f"{os.cpu_count()} cores, of which the server used at most {busiest:.0%} of one"]
    if busiest > SATURATED:
        notes.append("BEWARE: the server held the clients back")
    return Comparison(
        name="throughput of several processes",
        unit="calls per second",
        baseline=names[0],
        rounds=speed,
        notes=notes,
    )
