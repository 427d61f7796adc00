"""Rate limiters against a model of Intercom's server, on a virtual clock.

The limiter is the library's real one; its rivals are what people do without it. Everything is
seeded: the same code gives the same figures on every machine.
"""

import concurrent.futures
import itertools
import os
import statistics
from pathlib import Path
from typing import Any, Final

from benchmarks.frame import Options, Table
from benchmarks.quota_cells import PROCESSES, cells
from benchmarks.quota_rivals import OURS, STRATEGIES
from benchmarks.quota_run import Cell, simulate

Figures = dict[str, list[dict[str, float]]]
"""The figures of each seed, by the name of the cell."""

Columns = tuple[tuple[str, int, str, str], ...]
"""Heading, width, figure, and how its median over the seeds and the worst seed's are shown."""

_HIGHER_IS_BETTER: Final = frozenset({"used", "fairness"})
_DRAWN: Final = 167
"""The limit of the cells that the chart shows."""

_ENDLESS: Final[Columns] = (
    ("used %", 15, "used", "{:.1f} ({:.1f})"),
    ("refused %", 15, "refused", "{:.2f} ({:.2f})"),
    ("urgent p95 s", 15, "p95", "{:.2f} ({:.2f})"),
    ("fair", 12, "fairness", "{:.2f} ({:.2f})"),
    ("ours %", 7, "ours", "{:.0f}"),
    ("1st used", 8, "cold_used", "{:.0f}"),
    ("refused", 7, "cold_refused", "{:.1f}"),
)
_JOBS: Final[Columns] = (
    ("median s", 15, "job_p50", "{:.2f} ({:.2f})"),
    ("p95 s", 15, "job_p95", "{:.2f} ({:.2f})"),
    ("ideal s", 8, "ideal", "{:.2f}"),
    ("over ideal", 10, "over_ideal", "{:+.2f} s"),
    ("refused %", 15, "refused", "{:.2f} ({:.2f})"),
)


def measure(options: Options) -> list[Table]:
    """Print the endless runs, then the jobs, and draw them if that is wished."""
    table = _simulate_all(cells(quick=options.quick, only=options.only), options.seeds)
    print(f"{len(table)} cells, {options.seeds} seeds")
    print("\nmedian over the seeds (worst seed); first window apart")
    jobs = {name: runs for name, runs in table.items() if "job_p50" in runs[0]}
    _show("world", {name: runs for name, runs in table.items() if name not in jobs}, _ENDLESS)
    _show("jobs with an end", jobs, _JOBS)
    if options.svg:
        _draw(options.svg, table)
    return []


def _simulate_all(chosen: list[Cell], seeds: int) -> Figures:
    """Run every cell with every seed, largest first, on all cores."""
    tasks = list(itertools.product(chosen, range(seeds)))
    tasks.sort(key=lambda task: -task[0].world.limit * task[0].world.processes)
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        done = dict(zip(tasks, pool.map(simulate, *zip(*tasks, strict=True)), strict=True))
    return {cell.name: [done[cell, seed] for seed in range(seeds)] for cell in chosen}


def _show(title: str, table: Figures, columns: Columns) -> None:
    heads = " ".join(f"{head:>{width}}" for head, width, _, _ in columns)
    print(f"\n{title:52} {'strategy':15} {heads}")
    before = ""
    for name, runs in table.items():
        world, strategy = name.split(" | ")
        line = f"{world if world != before else '':52} {strategy:15}"
        for _, width, key, form in columns:
            values = [run[key] for run in runs if key in run]
            worst = min if key in _HIGHER_IS_BETTER else max
            text = form.format(statistics.median(values), worst(values)) if values else "-"
            line += f" {text:>{width}}"
        print(line)
        before = world


def _draw(path: Path, table: Figures) -> None:
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
    for name, colour in zip(STRATEGIES, ("#1a7f37", "#9a6700", "#8250df", "#0969da"), strict=True):
        worlds = [f"limit {_DRAWN}, 20-200 ms, {count:2} processes" for count in PROCESSES]
        runs = [table[f"{world} | {name}"] for world in worlds]
        refused = [statistics.median(run["refused"] for run in each) for each in runs]
        label = f"{name} (this library)" if name == OURS else name
        shown = [max(value, 0.01) for value in refused]  # the scale has no zero
        plane.plot(places, shown, marker="o", color=colour, label=label)
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
