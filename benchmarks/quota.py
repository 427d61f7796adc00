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
from pathlib import Path
from typing import Final

from benchmarks import charts
from benchmarks.quota_cells import PROCESSES, cells, grid_cell
from benchmarks.quota_rivals import STRATEGIES
from benchmarks.quota_run import Cell, simulate

Table = dict[str, list[dict[str, float]]]
"""The figures of each seed, by the name of the cell."""

_HIGHER_IS_BETTER: Final = frozenset({"used", "fairness"})
_WIDTH: Final = 52


def _simulate(task: tuple[Cell, int]) -> dict[str, float]:
    return simulate(*task)


def simulate_all(chosen: list[Cell], seeds: int) -> Table:
    """Run every cell with every seed, longest first, on all cores."""
    tasks = list(itertools.product(chosen, range(seeds)))
    order = sorted(tasks, key=lambda task: -task[0].world.cost * task[0].world.processes)
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        done = {
            (cell.name, seed): figures
            for (cell, seed), figures in zip(order, pool.map(_simulate, order), strict=True)
        }
    return {cell.name: [done[cell.name, seed] for seed in range(seeds)] for cell in chosen}


def _figure(runs: list[dict[str, float]], key: str, digits: int, *, both: bool = True) -> str:
    """The median over the seeds, and the worst seed's figure if `both`."""
    values = [run[key] for run in runs if key in run]
    if not values:
        return "-"
    median = f"{statistics.median(values):.{digits}f}"
    worst = min(values) if key in _HIGHER_IS_BETTER else max(values)
    return f"{median} ({worst:.{digits}f})" if both else median


def show(table: Table) -> None:
    """Print the endless runs, then the jobs."""
    endless = {name: runs for name, runs in table.items() if "job_p50" not in runs[0]}
    jobs = {name: runs for name, runs in table.items() if "job_p50" in runs[0]}
    if endless:
        print("\nmedian over the seeds (worst seed); first window apart\n")
        print(
            f"{'world':{_WIDTH}} {'strategy':15} {'used %':>15} {'refused %':>15} "
            f"{'urgent p95 s':>15} {'fair':>12} {'ours %':>7} {'1st used':>8} {'refused':>7}"
        )
    before = ""
    for name, runs in endless.items():
        world, strategy = name.split(" | ")
        print(
            f"{world if world != before else '':{_WIDTH}} {strategy:15} "
            f"{_figure(runs, 'used', 1):>15} {_figure(runs, 'refused', 2):>15} "
            f"{_figure(runs, 'p95', 2):>15} {_figure(runs, 'fairness', 2):>12} "
            f"{_figure(runs, 'ours', 0, both=False):>7} "
            f"{_figure(runs, 'cold_used', 0, both=False):>8} "
            f"{_figure(runs, 'cold_refused', 1, both=False):>7}"
        )
        before = world
    if jobs:
        print(
            f"\n{'jobs with an end':{_WIDTH}} {'strategy':15} {'median s':>15} {'p95 s':>15} "
            f"{'ideal s':>8} {'over ideal':>10} {'refused %':>15}"
        )
    for name, runs in jobs.items():
        world, strategy = name.split(" | ")
        late = [run["job_p50"] - run["ideal"] for run in runs if "ideal" in run]
        over = f"{statistics.median(late):+.2f} s" if late else "-"
        print(
            f"{world if world != before else '':{_WIDTH}} {strategy:15} "
            f"{_figure(runs, 'job_p50', 2):>15} {_figure(runs, 'job_p95', 2):>15} "
            f"{_figure(runs, 'ideal', 2, both=False):>8} {over:>10} "
            f"{_figure(runs, 'refused', 2):>15}"
        )
        before = world


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
    seeds = options.seeds or (2 if options.quick else 3)
    began = time.perf_counter()
    table = simulate_all(chosen, seeds)
    show(table)
    print(f"\n{len(chosen)} cells, {seeds} seeds, {time.perf_counter() - began:.1f} s")
    if options.json:
        about = {"python": platform.python_version(), "seeds": seeds, "quick": options.quick}
        options.json.write_text(json.dumps({"about": about, "cells": table}, indent=1) + "\n")
    if options.svg:
        shown = {
            (name, count): grid_cell(name, charts.LIMIT, count, quick=options.quick)
            for name in STRATEGIES
            for count in PROCESSES
        }
        missing = [cell for cell in shown.values() if cell.name not in table]
        table |= simulate_all(missing, seeds)
        refused = {
            name: [
                statistics.median(run["refused"] for run in table[shown[name, count].name])
                for count in PROCESSES
            ]
            for name in STRATEGIES
        }
        charts.draw_quota(options.svg, PROCESSES, refused)
    return 0
