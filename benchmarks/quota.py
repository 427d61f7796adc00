"""Rate limiters against a model of Intercom's server, on a virtual clock.

    python -m benchmarks quota --quick
    python -m benchmarks quota --json quota.json --svg quota.svg
    python -m benchmarks quota --only "limit 167" --seeds 5

The limiter is the library's real one; its rivals are what people do without it. Everything is
seeded: the same code gives the same figures on every machine.
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.charts import draw_quota
from benchmarks.quota_cells import PROCESSES, cells, grid_cell
from benchmarks.quota_rivals import STRATEGIES
from benchmarks.quota_run import Cell, simulate

Runs = list[dict[str, float]]
"""The figures of each seed."""

Table = dict[str, Runs]
"""The figures of each seed, by the name of the cell."""

Columns = tuple[tuple[str, int, Callable[[Runs], str]], ...]
"""Heading, width and text."""

_HIGHER_IS_BETTER: Final = frozenset({"used", "fairness"})
_DRAWN: Final = 167
"""The limit of the cells that the chart shows."""


def simulate_all(chosen: list[Cell], seeds: int) -> Table:
    """Run every cell with every seed, longest first, on all cores."""
    tasks = list(itertools.product(chosen, range(seeds)))
    tasks.sort(key=lambda task: -task[0].world.cost * task[0].world.processes)
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        done = dict(zip(tasks, pool.map(simulate, *zip(*tasks, strict=True)), strict=True))
    return {cell.name: [done[cell, seed] for seed in range(seeds)] for cell in chosen}


def _figure(key: str, digits: int, *, both: bool = True) -> Callable[[Runs], str]:
    """Return the median over the seeds as text, and the worst seed's figure if `both`."""

    def text(runs: Runs) -> str:
        values = [run[key] for run in runs if key in run]
        if not values:
            return "-"
        median = f"{statistics.median(values):.{digits}f}"
        worst = min(values) if key in _HIGHER_IS_BETTER else max(values)
        return f"{median} ({worst:.{digits}f})" if both else median

    return text


def _over_ideal(runs: Runs) -> str:
    late = [run["job_p50"] - run["ideal"] for run in runs if "ideal" in run]
    return f"{statistics.median(late):+.2f} s" if late else "-"


_ENDLESS: Final[Columns] = (
    ("used %", 15, _figure("used", 1)),
    ("refused %", 15, _figure("refused", 2)),
    ("urgent p95 s", 15, _figure("p95", 2)),
    ("fair", 12, _figure("fairness", 2)),
    ("ours %", 7, _figure("ours", 0, both=False)),
    ("1st used", 8, _figure("cold_used", 0, both=False)),
    ("refused", 7, _figure("cold_refused", 1, both=False)),
)
_JOBS: Final[Columns] = (
    ("median s", 15, _figure("job_p50", 2)),
    ("p95 s", 15, _figure("job_p95", 2)),
    ("ideal s", 8, _figure("ideal", 2, both=False)),
    ("over ideal", 10, _over_ideal),
    ("refused %", 15, _figure("refused", 2)),
)


def show(table: Table) -> None:
    """Print the endless runs, then the jobs."""
    jobs = {name: runs for name, runs in table.items() if "job_p50" in runs[0]}
    endless = {name: runs for name, runs in table.items() if name not in jobs}
    if endless:
        print("\nmedian over the seeds (worst seed); first window apart")
    for title, rows, columns in (("world", endless, _ENDLESS), ("jobs with an end", jobs, _JOBS)):
        if rows:
            heads = " ".join(f"{head:>{width}}" for head, width, _ in columns)
            print(f"\n{title:52} {'strategy':15} {heads}")
        before = ""
        for name, runs in rows.items():
            world, strategy = name.split(" | ")
            shown = " ".join(f"{text(runs):>{width}}" for _, width, text in columns)
            print(f"{world if world != before else '':52} {strategy:15} {shown}")
            before = world


def draw(path: Path, table: Table, *, quick: bool) -> None:
    """Draw the README's chart; what the table lacks is simulated."""
    grid = {
        (name, count): grid_cell(name, _DRAWN, count, quick=quick)
        for name in STRATEGIES
        for count in PROCESSES
    }
    seeds = len(next(iter(table.values())))
    missing = [cell for cell in grid.values() if cell.name not in table]
    runs = table | (simulate_all(missing, seeds) if missing else {})
    refused = {
        name: [
            statistics.median(run["refused"] for run in runs[grid[name, count].name])
            for count in PROCESSES
        ]
        for name in STRATEGIES
    }
    draw_quota(path, PROCESSES, refused, _DRAWN)


def main(arguments: list[str]) -> int:
    """Run the benchmark; see the module's docstring."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks quota",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer cells, windows and seeds")
    parser.add_argument("--seeds", type=int, help="runs of each cell (3; 2 with --quick)")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--svg", type=Path, help="draw the README's chart into this file")
    options = parser.parse_args(arguments)
    chosen = cells(quick=options.quick, only=options.only)
    if not chosen:
        parser.error(f"no cell has {options.only!r} in its name")
    seeds = options.seeds or (2 if options.quick else 3)
    began = time.perf_counter()
    table = simulate_all(chosen, seeds)
    show(table)
    print(f"\n{len(chosen)} cells, {seeds} seeds, {time.perf_counter() - began:.1f} s")
    if options.json:
        about = {"python": platform.python_version(), "seeds": seeds, "quick": options.quick}
        options.json.write_text(json.dumps({"about": about, "cells": table}, indent=1) + "\n")
    if options.svg:
        draw(options.svg, table, quick=options.quick)
    return 0
