"""Which strategies meet which worlds in the quota benchmark."""

import itertools
import math
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.quota_rivals import OURS, STRATEGIES
from benchmarks.quota_run import Cell
from benchmarks.quota_world import FAST, SLOW, World

PROCESSES: Final = (1, 2, 4, 8, 16)
ROUND_TRIPS: Final = {FAST: "20-200 ms", SLOW: "0.2-2 s"}


def cells(*, quick: bool, only: str) -> list[Cell]:
    everything = [*_grid(quick=quick), *_odd(quick=quick), *_jobs(quick=quick)]
    return [cell for cell in everything if only.lower() in cell.name.lower()]


def _grid(*, quick: bool) -> Iterator[Cell]:
    for limit, times, processes in itertools.product((30, 167, 1667), ROUND_TRIPS, PROCESSES):
        windows = (4 if quick else 10) if limit > 1000 else (8 if quick else 30)
        world = World(
            name=f"limit {limit}, {ROUND_TRIPS[times]}, {processes:2} processes",
            processes=processes,
            limit=limit,
            round_trip=times,
            windows=windows,
            # So many that the quota is the bottleneck, not their number.
            workers=max(50, math.ceil(1.5 * limit / 10.0 * sum(times) / 2.0)),
        )
        rivals = limit == 167 and processes == 4 if quick else limit > 30
        for name in STRATEGIES if rivals and times == FAST else (OURS,):
            yield Cell(name, world)


def _odd(*, quick: bool) -> Iterator[Cell]:
    """Yield worlds in which something is wrong."""
    odd: dict[str, dict[str, Any]] = {
        "clocks 30 s apart, 4 processes": {"processes": 4, "skew": 30.0},
        "no Date, 4 processes": {"processes": 4, "date": False},
        "counter without lag, 4 processes": {"processes": 4, "counter_lag": 0},
        "1 % of replies lost, 1 process": {"lost": 0.01},
        "1 % of replies lost, 4 processes": {"processes": 4, "lost": 0.01},
        "429s of another budget, 4 processes": {"processes": 4, "withdrawals": 0.5},
        "no headers, 1 process": {"headers": False},
        "no headers, 4 processes": {"processes": 4, "headers": False},
    }
    for count in (1, 3, 7):
        peers = {"processes": count, "blind_peers": 1}
        odd[f"beside a header-blind peer, {count} processes"] = peers
    for name, facts in odd.items():
        world = World(name=f"odd: {name}", windows=8 if quick else 30, **facts)
        for strategy in (OURS,) if quick else (OURS, "sleep to Reset"):
            yield Cell(strategy, world)


def _jobs(*, quick: bool) -> Iterator[Cell]:
    """Yield runs with an end."""
    worlds = [
        World(
            name=f"jobs of 50, {processes:2} processes",
            processes=processes,
            limit=1667,
            job=50,
            jobs=10 if quick else 40,
        )
        for processes in (1, 4, 16)
    ]
    for limit, sizes in ((167, (150, 500, 2_000)), (1667, (500, 5_000, 50_000))):
        for size in sizes[:2] if quick else sizes:
            name = f"one job of {size:6,}, limit {limit}"
            worlds.append(World(name=name, limit=limit, job=size, interactive_rate=0.0))
    for world, strategy in itertools.product(worlds, (OURS,) if quick else STRATEGIES):
        yield Cell(strategy, world)
