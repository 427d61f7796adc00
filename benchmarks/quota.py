"""Rate limiters against a model of Intercom's server, on a virtual clock.

    python -m benchmarks quota --quick
    python -m benchmarks quota --json quota.json --svg quota.svg
    python -m benchmarks quota --only "limit 167" --seeds 5 --against quota.json

The limiter is the library's real one; its rivals are what people do without it. Everything is
seeded: the same code gives the same figures, whatever the machine (CPU figures excepted).
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import quota_chart, quota_cpu, quota_sockets, quota_workspaces
from benchmarks.quota_cells import cells
from benchmarks.quota_report import Table, print_cells, print_comparison, print_cpu
from benchmarks.quota_run import Cell, simulate


def _simulate(task: tuple[Cell, int]) -> dict[str, float]:
    return simulate(*task)


def simulate_all(chosen: list[Cell], seeds: int, *, processes: int | None = None) -> Table:
    """Run every cell with every seed, longest first, on all cores."""
    tasks = list(itertools.product(chosen, range(seeds)))
    order = sorted(tasks, key=lambda task: -task[0].world.cost * task[0].world.processes)
    with concurrent.futures.ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        done = {
            (cell.name, seed): figures
            for (cell, seed), figures in zip(order, pool.map(_simulate, order), strict=True)
        }
    return {cell.name: [done[cell.name, seed] for seed in range(seeds)] for cell in chosen}


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks quota",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer cells, windows and seeds")
    parser.add_argument("--seeds", type=int, help="runs of each cell (3; 2 with --quick)")
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--no-cpu", action="store_true", help="leave the CPU figures out")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--svg", type=Path, help="draw a chart into this file")
    parser.add_argument("--sockets", action="store_true", help="only: real client, real sockets")
    parser.add_argument(
        "--workspaces", action="store_true", help="only: 200 workspaces at once, in real time"
    )
    parser.add_argument("--against", type=Path, help="compare with a file that --json wrote")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; see the module's docstring."""
    options = _arguments(arguments)
    if options.sockets:
        quota_sockets.report()
        return 0
    if options.workspaces:
        quota_workspaces.report()
        return 0
    old: Any = json.loads(options.against.read_text()) if options.against else None
    chosen = cells(quick=options.quick, only=options.only)
    seeds = options.seeds or (2 if options.quick else 3)
    about = {"python": platform.python_version(), "seeds": seeds, "quick": options.quick}
    began = time.perf_counter()
    table = simulate_all(chosen, seeds)
    cpu = {} if options.no_cpu else quota_cpu.measure(quick=options.quick)
    print_cells(table)
    print_cpu(cpu)
    if old is not None:
        print_comparison(old, about, table, cpu)
    print(f"\n{len(chosen)} cells, {seeds} seeds, {time.perf_counter() - began:.1f} s")
    if options.svg:
        missing = [
            cell for cell in quota_chart.chart_cells(quick=options.quick) if cell.name not in table
        ]
        shown = table | simulate_all(missing, seeds)
        options.svg.write_text(quota_chart.draw(shown, quick=options.quick))
    if options.json:
        result = {"about": about, "cells": table, "cpu": cpu}
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
