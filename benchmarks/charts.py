"""The README's chart of the quota benchmark as an SVG file, drawn by matplotlib (extra `bench`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.quota_cells import grid_cell
from benchmarks.quota_rivals import OURS
from benchmarks.quota_run import Trace, simulate
from benchmarks.quota_world import WINDOW

LIMIT: Final = 167
_FIRST, _LAST = 3, 6
"""Windows whose course is shown: from the beginning of one to the beginning of the other."""

_STEP: Final = 0.25
_GREEN: Final = "#1a7f37"
_OTHERS: Final = ("#9a6700", "#8250df", "#0969da")
_ACCEPTED, _REFUSED = "#8c959f", "#cf222e"


def draw_quota(
    path: Path, processes: Sequence[int], refused: Mapping[str, Sequence[float]]
) -> None:
    """Draw how much each strategy has refused, and the course of three windows.

    Args:
        path: of the file.
        processes: that share one quota, along the first chart.
        refused: percent of the requests, by strategy, for each number of processes.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot as plt

    figure: Any
    figure, axes = plt.subplot_mosaic([["all", "ours"], ["all", "reset"]], figsize=(10, 4.2))
    plane: Any = axes["all"]
    colours = iter(_OTHERS)
    for name, values in refused.items():
        plane.plot(
            range(len(processes)),
            [max(value, 0.01) for value in values],  # the scale has no zero
            marker="o",
            color=_GREEN if name == OURS else next(colours),
            label=f"{name} (this library)" if name == OURS else name,
        )
    plane.set_yscale("log")
    plane.set_ylim(0.008, 130)
    plane.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01 % or less", "0.1 %", "1 %", "10 %", "100 %"])
    plane.set_xticks(range(len(processes)), [str(count) for count in processes])
    plane.set_xlabel("processes that share one quota")
    plane.set_title(f"Requests refused, of all sent\n{LIMIT} per 10 s, more to send than fits")
    plane.grid(axis="y", alpha=0.3)
    plane.legend(frameon=False, loc="center right")
    _course(axes["ours"], OURS)
    _course(axes["reset"], "sleep to Reset")
    figure.tight_layout()
    # A white page of its own: it reads the same on a light and on a dark one.
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def _course(plane: Any, strategy: str) -> None:
    """Draw what arrives at the server over three windows; what it refuses is red."""
    trace: Trace = []
    simulate(grid_cell(strategy, LIMIT, 4, quick=True), 0, trace)
    begin, end = _FIRST * WINDOW, _LAST * WINDOW
    shown = [(at - begin, accepted) for at, accepted in trace if begin <= at < end]
    accepted = [at for at, taken in shown if taken]
    refused = [at for at, taken in shown if not taken]
    edges = [number * _STEP for number in range(round((end - begin) / _STEP) + 1)]
    per_second = [[1 / _STEP] * len(accepted), [1 / _STEP] * len(refused)]
    colours = [_ACCEPTED, _REFUSED]
    plane.hist([accepted, refused], edges, weights=per_second, stacked=True, color=colours)
    for number in range(_LAST - _FIRST + 1):
        plane.axvline(number * WINDOW, color=_ACCEPTED, linestyle=":")
    plane.set_ylabel("requests / s")
    plane.set_xlabel("seconds; dotted: a window ends")
    plane.set_title(f"{strategy}, 4 processes: {len(refused)} of {len(shown)} refused (red)")
