"""The quota benchmark's chart: how much is refused, and what that looks like over time."""

from collections.abc import Sequence
from typing import Final

from benchmarks.charts import Drawing, log_lines, stacked_bars
from benchmarks.quota_cells import PROCESSES, grid_cell
from benchmarks.quota_report import Table, median
from benchmarks.quota_rivals import OURS, STRATEGIES
from benchmarks.quota_run import Cell, Trace, simulate
from benchmarks.quota_world import WINDOW

LIMIT: Final = 167
STEP: Final = 0.25
FIRST, LAST = 3, 6
"""Windows shown: from the beginning of one to the beginning of the other."""


def chart_cells(*, quick: bool) -> list[Cell]:
    """Return the cells that the chart shows."""
    return [
        grid_cell(name, LIMIT, processes, quick=quick)
        for name in STRATEGIES
        for processes in PROCESSES
    ]


def _per_step(strategy: str) -> list[tuple[int, int]]:
    trace: Trace = []
    simulate(grid_cell(strategy, LIMIT, 4, quick=True), 0, trace)
    steps = round((LAST - FIRST) * WINDOW / STEP)
    accepted, refused = [0] * steps, [0] * steps
    for at, was_accepted in trace:
        step = int((at - FIRST * WINDOW) / STEP)
        if 0 <= step < steps:
            (accepted if was_accepted else refused)[step] += 1
    return list(zip(accepted, refused, strict=True))


def _over_time(
    drawing: Drawing, top: float, strategy: str, bars: Sequence[tuple[int, int]]
) -> None:
    height, left, width = 108.0, 560.0, 420.0
    highest = max(12, *(sum(bar) for bar in bars))
    sent, refused = sum(sum(bar) for bar in bars), sum(bar[1] for bar in bars)
    drawing.text(left, top - 10, strategy, kind="strong")
    drawing.text(left + width, top - 10, f"{refused} of {sent} refused",
                 kind="refused" if refused * 100 > sent else "", anchor="end")  # fmt: skip
    edges = [round(number * WINDOW / STEP) for number in range(LAST - FIRST + 1)]
    stacked_bars(drawing, (left, top, width, height), bars, highest=highest, edges=edges)
    drawing.text(left - 8, top + 8, f"{highest / STEP:.0f}/s", anchor="end")
    drawing.text(left - 8, top + height, "0", anchor="end")


def draw(table: Table, *, quick: bool) -> str:
    """Return the chart as SVG.

    Args:
        table: figures that contain `chart_cells`.
        quick: whether they come from a quick run.
    """
    drawing = Drawing(1000, 390, "Refused requests by strategy and number of processes")
    drawing.text(20, 26, "Requests refused, by processes sharing one budget", kind="title")
    drawing.text(20, 44, f"{LIMIT} requests per 10 s, everybody has more to send than fits")
    series = {
        f"{name} (ours)" if name == OURS else name: [
            median(table[grid_cell(name, LIMIT, count, quick=quick).name], "refused") or 0.0
            for count in PROCESSES
        ]
        for name in STRATEGIES
    }
    log_lines(drawing, (72, 70, 290, 262), PROCESSES, series)
    drawing.text(217, 372, "processes", anchor="middle")
    drawing.text(560, 26, "Four processes over three windows", kind="title")
    drawing.text(560, 44, "arrivals at the server; what it refused is red")
    _over_time(drawing, 84, OURS, _per_step(OURS))
    _over_time(drawing, 232, "sleep to Reset", _per_step("sleep to Reset"))
    for number in range(LAST - FIRST + 1):
        x = 560 + 420 * number / (LAST - FIRST)
        drawing.text(x, 358, f"{number * WINDOW:.0f} s", anchor="middle")
    return drawing.finish()
