"""The benchmarks' charts as SVG files, drawn by matplotlib (extra `bench`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.decode_rivals import OURS as DECODER
from benchmarks.figures import Comparison, spread
from benchmarks.quota_cells import grid_cell
from benchmarks.quota_rivals import OURS as SHARE_PACED
from benchmarks.quota_run import Trace, simulate
from benchmarks.quota_world import WINDOW
from benchmarks.report import about
from benchmarks.rivals import JOURNAL, OUR_BULK, OURS

LIMIT: Final = 167
_FIRST, _LAST = 3, 6
"""Windows whose course is shown: from the beginning of one to the beginning of the other."""

_STEP: Final = 0.25
_GREEN: Final = "#1a7f37"
_OTHERS: Final = ("#9a6700", "#8250df", "#0969da")
_OWN: Final = {DECODER, OURS, OUR_BULK, JOURNAL}
_ACCEPTED, _REFUSED = "#8c959f", "#cf222e"
_BARS: Final = {
    "overhead.svg": ("call, 16 in flight", "CPU time of the client for one detach"),
    "decode.svg": ("decode, 20 parts", "CPU time to decode a conversation of 20 parts"),
}
"""File, beginning of the comparison's name, and title."""


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot as plt

    return plt


def _save(figure: Any, path: Path) -> None:
    # A white page of its own: it reads the same on a light and on a dark one.
    figure.savefig(path, metadata={"Date": None}, facecolor="white")


def draw_quota(
    path: Path, processes: Sequence[int], refused: Mapping[str, Sequence[float]]
) -> None:
    """Draw how much each strategy has refused, and the course of three windows.

    Args:
        path: of the file.
        processes: that share one quota, along the first chart.
        refused: percent of the requests, by strategy, for each number of processes.
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplot_mosaic([["all", "ours"], ["all", "reset"]], figsize=(10, 4.2))
    plane = axes["all"]
    colours = iter(_OTHERS)
    for name, values in refused.items():
        ours = name == SHARE_PACED
        plane.plot(
            range(len(processes)),
            [max(value, 0.01) for value in values],  # the scale has no zero
            marker="o",
            color=_GREEN if ours else next(colours),
            label=f"{name} (this library)" if ours else name,
        )
    plane.set_yscale("log")
    plane.set_ylim(0.008, 130)
    plane.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01 % or less", "0.1 %", "1 %", "10 %", "100 %"])
    plane.set_xticks(range(len(processes)), [str(count) for count in processes])
    plane.set_xlabel("processes that share one quota")
    plane.set_title(f"Requests refused, of all sent\n{LIMIT} per 10 s, more to send than fits")
    plane.grid(axis="y", alpha=0.3)
    plane.legend(frameon=False, loc="center right")
    for place, strategy in (("ours", SHARE_PACED), ("reset", "sleep to Reset")):
        _course(axes[place], strategy)
    figure.tight_layout()
    _save(figure, path)


def _course(plane: Any, strategy: str) -> None:
    """Draw what arrives at the server over three windows; what it refuses is red."""
    trace: Trace = []
    simulate(grid_cell(strategy, LIMIT, 4, quick=True), 0, trace)
    begin, end = _FIRST * WINDOW, _LAST * WINDOW
    shown = [(at - begin, accepted) for at, accepted in trace if begin <= at < end]
    steps = round((end - begin) / _STEP)
    sent, taken = [0.0] * steps, [0.0] * steps
    for at, accepted in shown:
        sent[int(at / _STEP)] += 1 / _STEP
        taken[int(at / _STEP)] += accepted / _STEP
    edges = [number * _STEP for number in range(steps + 1)]
    plane.stairs(sent, edges, fill=True, color=_REFUSED)
    plane.stairs(taken, edges, fill=True, color=_ACCEPTED)
    refused = sum(not accepted for _, accepted in shown)
    for number in range(_LAST - _FIRST + 1):
        plane.axvline(number * WINDOW, color=_ACCEPTED, linestyle=":")
    plane.set_ylabel("requests / s")
    plane.set_xlabel("seconds; dotted: a window ends")
    plane.set_title(f"{strategy}, 4 processes: {refused} of {len(shown)} refused (red)")


def draw_bars(folder: Path, comparisons: Sequence[Comparison]) -> None:
    """Draw the charts whose figures were measured: medians, and the spread of the rounds."""
    pyplot = _pyplot()
    folder.mkdir(parents=True, exist_ok=True)
    made = about()
    for file, (begins, title) in _BARS.items():
        found = (one for one in comparisons if one.name.startswith(begins))
        comparison = next((one for one in found if "uvloop" not in one.name), None)
        if comparison is None:
            continue
        rows = {name: spread(values) for name, values in comparison.rounds.items()}
        figure, plane = pyplot.subplots(figsize=(8, 1.4 + 0.32 * len(rows)))
        medians = [row.median for row in rows.values()]
        reach = [
            [row.median - row.low for row in rows.values()],
            [row.high - row.median for row in rows.values()],
        ]
        colours = [_GREEN if name in _OWN else _ACCEPTED for name in rows]
        bars = plane.barh(list(rows), medians, xerr=reach, color=colours, ecolor="#24292f")
        labels = [f"  {row.median:,.0f} µs{_times(comparison, name)}" for name, row in rows.items()]
        plane.bar_label(bars, labels)
        plane.set_xscale("log")
        plane.set_xlim(min(medians) / 2, max(row.high for row in rows.values()) * 40)
        plane.invert_yaxis()
        rounds = len(comparison.rounds[comparison.baseline])
        plane.set_title(f"{title}\nmedian, and least to most, of {rounds} rounds")
        plane.set_xlabel(
            f"µs, logarithmic; {made['python']}, aiohttp {made['aiohttp']}, {made['date']}"
        )
        figure.tight_layout()
        _save(figure, folder / file)


def _times(comparison: Comparison, name: str) -> str:
    """A contestant's cost as a multiple of the baseline's, formed within each round."""
    if name == comparison.baseline:
        return ""
    ratio = spread(comparison.figures(name, "ratio")).median
    return f", {ratio:.{0 if ratio >= 10 else 2}f} times {comparison.baseline}"
