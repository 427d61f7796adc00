"""The quota benchmark's figures as tables."""

import statistics
from typing import Any, Final

Figures = dict[str, float]
Table = dict[str, list[Figures]]
"""Figures of every run, by the name of its cell."""

HIGHER_IS_BETTER: Final = frozenset({"used", "fairness", "ours", "cold_used"})
_WIDTH: Final = 52


def median(runs: list[Figures], key: str) -> float | None:
    """Return the median over the seeds; None if it was not measured."""
    values = [run[key] for run in runs if key in run]
    return statistics.median(values) if values else None


def worst(runs: list[Figures], key: str) -> float | None:
    """Return the worst seed's figure; None if it was not measured."""
    values = [run[key] for run in runs if key in run]
    if not values:
        return None
    return min(values) if key in HIGHER_IS_BETTER else max(values)


def _pair(runs: list[Figures], key: str, digits: int) -> str:
    middle, bad = median(runs, key), worst(runs, key)
    if middle is None or bad is None:
        return "-"
    return f"{middle:.{digits}f} ({bad:.{digits}f})"


def _one(runs: list[Figures], key: str, digits: int) -> str:
    middle = median(runs, key)
    return "-" if middle is None else f"{middle:.{digits}f}"


def print_cells(table: Table) -> None:
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
            f"{_pair(runs, 'used', 1):>15} {_pair(runs, 'refused', 2):>15} "
            f"{_pair(runs, 'p95', 2):>15} {_pair(runs, 'fairness', 2):>12} "
            f"{_one(runs, 'ours', 0):>7} {_one(runs, 'cold_used', 0):>8} "
            f"{_one(runs, 'cold_refused', 1):>7}"
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
            f"{_pair(runs, 'job_p50', 2):>15} {_pair(runs, 'job_p95', 2):>15} "
            f"{_one(runs, 'ideal', 2):>8} {over:>10} {_pair(runs, 'refused', 2):>15}"
        )
        before = world


def print_cpu(cpu: Figures) -> None:
    """Print what the limiter itself costs."""
    if cpu:
        print("\nCPU of the limiter, on a real event loop\n")
    for name, microseconds in cpu.items():
        print(f"{name:{_WIDTH}} {microseconds:8.2f} µs")


def print_comparison(old: Any, about: dict[str, Any], table: Table, cpu: Figures) -> None:
    """Print what changed since a saved run.

    Args:
        old: what `--json` wrote.
        about: how this run was made.
        table: this run's cells.
        cpu: this run's CPU figures.
    """
    before: Table = old["cells"]
    if old["about"] != about:
        print(f"\nbeware: the saved run was made with {old['about']}, this one with {about}")
    keys = {"used": 1, "refused": 2, "p95": 2, "fairness": 2, "job_p50": 2, "job_p95": 2}
    print(f"\n{'changed since the saved run: old -> new (of medians)':{_WIDTH}}\n")
    same = 0
    for name, runs in table.items():
        changes: list[str] = []
        for key, digits in keys.items():
            new, was = median(runs, key), median(before.get(name, []), key)
            if new is not None and was is not None and round(new - was, digits):
                better = (new > was) == (key in HIGHER_IS_BETTER)
                mark = "better" if better else "WORSE"
                changes.append(f"{key} {was:.{digits}f} -> {new:.{digits}f} {mark}")
        if changes:
            print(f"{name:{_WIDTH + 16}} {'; '.join(changes)}")
        same += not changes and name in before
    print(f"{same} cells as before")
    for name, new in cpu.items():
        if name in old["cpu"]:
            print(f"{name:{_WIDTH}} {old['cpu'][name]:.2f} -> {new:.2f} µs")
