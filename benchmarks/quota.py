"""Rate limiters against a model of Intercom's server, on a virtual clock.

    python -m benchmarks quota --quick
    python -m benchmarks quota --svg quota.svg
    python -m benchmarks quota --only "limit 167" --seeds 5

The limiter is the library's real one; its rivals are what people do without it. Everything is
seeded: the same code gives the same figures on every machine.
"""

import argparse
import concurrent.futures
import itertools
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.quota_cells import PROCESSES, cells, grid_cell
from benchmarks.quota_rivals import OURS, STRATEGIES
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


def draw(path: Path, table: Table) -> None:
    """Draw the README's chart with matplotlib: how much each strategy has refused."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot as plt

    figure: Any
    plane: Any
    figure, plane = plt.subplots(figsize=(7, 4))
    places = range(len(PROCESSES))
    colours = dict(zip(STRATEGIES, ("#1a7f37", "#9a6700", "#8250df", "#0969da"), strict=True))
    for name, colour in colours.items():
        runs = [table[grid_cell(name, _DRAWN, count, quick=False).name] for count in PROCESSES]
        refused = [statistics.median(run["refused"] for run in each) for each in runs]
        plane.plot(
            places,
            [max(value, 0.01) for value in refused],  # the scale has no zero
            marker="o",
            color=colour,
            label=f"{name} (this library)" if name == OURS else name,
        )
    plane.set_yscale("log")
    plane.set_ylim(0.008, 130)
    plane.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01 % or less", "0.1 %", "1 %", "10 %", "100 %"])
    plane.set_xticks(places, [str(count) for count in PROCESSES])
    plane.set_xlabel("processes that share one quota")
    plane.set_title(f"Requests refused, of all sent\n{_DRAWN} per 10 s, more to send than fits")
    plane.grid(axis="y", alpha=0.3)
    plane.legend(frameon=False, loc="center right")
    figure.tight_layout()
    # A white page of its own: it reads the same on a light and on a dark one.
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


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
    parser.add_argument("--svg", type=Path, help="draw the README's chart of all cells")
    options = parser.parse_args(arguments)
    chosen = cells(quick=options.quick, only=options.only)
    if not chosen or (options.svg and (options.quick or options.only)):
        parser.error("no cell has such a name, or the chart needs all cells")
    seeds = options.seeds or (2 if options.quick else 3)
    began = time.perf_counter()
    table = simulate_all(chosen, seeds)
    show(table)
    print(f"\n{len(chosen)} cells, {seeds} seeds, {time.perf_counter() - began:.1f} s")
    if options.svg:
        draw(options.svg, table)
    return 0
