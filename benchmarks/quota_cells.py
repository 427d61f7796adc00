"""Which strategies meet which worlds in the quota benchmark."""

import math
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.quota_rivals import OURS, STRATEGIES
from benchmarks.quota_run import Cell
from benchmarks.quota_world import FAST, SLOW, World

PROCESSES: Final = (1, 2, 4, 8, 16)
ROUND_TRIPS: Final = {FAST: "20-200 ms", SLOW: "0.2-2 s"}


def _windows(limit: int, *, quick: bool) -> int:
    if limit > 1000:
        return 4 if quick else 10
    return 8 if quick else 30


def grid_cell(
    strategy: str,
    limit: int,
    processes: int,
    *,
    quick: bool,
    round_trip: tuple[float, float] = FAST,
) -> Cell:
    world = World(
        name=f"limit {limit}, {ROUND_TRIPS[round_trip]}, {processes:2} processes",
        processes=processes,
        limit=limit,
        round_trip=round_trip,
        windows=_windows(limit, quick=quick),
        # So many that the quota is the bottleneck, not their number.
        workers=max(50, math.ceil(1.5 * limit / 10.0 * sum(round_trip) / 2.0)),
    )
    return Cell(strategy, world)


def _grid(*, quick: bool) -> Iterator[Cell]:
    for limit in (30, 167, 1667):
        for times in ROUND_TRIPS:
            for processes in PROCESSES:
                rivals = limit == 167 and processes == 4 if quick else limit > 30
                strategies = STRATEGIES if rivals and times == FAST else (OURS,)
                for name in strategies:
                    yield grid_cell(name, limit, processes, quick=quick, round_trip=times)


def _extra(*, quick: bool) -> Iterator[Cell]:
    """Yield worlds in which something is wrong."""
    windows = _windows(167, quick=quick)
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
    worlds = [World(name=f"odd: {name}", windows=windows, **facts) for name, facts in odd.items()]
    for world in worlds:
        yield Cell(OURS, world)
        if not quick:
            yield Cell("sleep to Reset", world)


def _jobs(*, quick: bool) -> Iterator[Cell]:
    """Yield runs with an end."""
    strategies = (OURS,) if quick else tuple(STRATEGIES)
    for processes in (1, 4, 16):
        world = World(
            name=f"jobs of 50, {processes:2} processes",
            processes=processes,
            limit=1667,
            job=50,
            jobs=10 if quick else 40,
        )
        yield from (Cell(name, world) for name in strategies)
    for limit, sizes in ((167, (150, 500, 2_000)), (1667, (500, 5_000, 50_000))):
        for size in sizes[:2] if quick else sizes:
            world = World(
                name=f"one job of {size:6,}, limit {limit}",
                limit=limit,
                job=size,
                interactive_rate=0.0,
            )
            yield from (Cell(name, world) for name in strategies)


def cells(*, quick: bool, only: str) -> list[Cell]:
    everything = [*_grid(quick=quick), *_extra(quick=quick), *_jobs(quick=quick)]
    return [cell for cell in everything if only.lower() in cell.name.lower()]
