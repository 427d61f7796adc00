"""The README's chart of the quota benchmark as an SVG file, drawn by matplotlib (extra `bench`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.quota_rivals import OURS

_GREEN: Final = "#1a7f37"
_OTHERS: Final = ("#9a6700", "#8250df", "#0969da")


def draw_quota(
    path: Path, processes: Sequence[int], refused: Mapping[str, Sequence[float]], limit: int
) -> None:
    """Draw how much each strategy has refused.

    Args:
        path: of the file.
        processes: that share one quota, along the chart.
        refused: percent of the requests, by strategy, for each number of processes.
        limit: requests per window.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none", "font.size": 9})
    mpl.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
    from matplotlib import pyplot as plt

    figure: Any
    plane: Any
    figure, plane = plt.subplots(figsize=(7, 4))
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
    plane.set_title(f"Requests refused, of all sent\n{limit} per 10 s, more to send than fits")
    plane.grid(axis="y", alpha=0.3)
    plane.legend(frameon=False, loc="center right")
    figure.tight_layout()
    # A white page of its own: it reads the same on a light and on a dark one.
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
