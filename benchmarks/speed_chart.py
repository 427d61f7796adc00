"""The speed benchmarks' charts: bars, one for each contestant, the baseline among them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.charts import Drawing
from benchmarks.decode_rivals import OURS as OUR_DECODER
from benchmarks.figures import Comparison, spread
from benchmarks.report import about
from benchmarks.rivals import OUR_BULK, OURS

CHARTS: Final = {
    "overhead.svg": ("call, 16 in flight", "CPU per detach, 16 in flight"),
    "decode.svg": ("decode, 20 parts", "CPU to decode a conversation of 20 parts"),
}
"""File, beginning of the comparison's name, and title."""

_OWN: Final = {OURS, OUR_BULK, OUR_DECODER}
_ROW: Final = 26
_LEFT: Final = 230
_WIDTH: Final = 760


def draw(comparison: Comparison, title: str) -> str:
    """Return a chart of one comparison as SVG."""
    bars = [(name, spread(values)) for name, values in comparison.rounds.items()]
    height = 84 + _ROW * len(bars)
    drawing = Drawing(_WIDTH, height, title)
    drawing.text(20, 26, title, kind="title")
    made = about()
    drawing.text(20, 44, f"{comparison.unit}, median; {made['python']}, aiohttp {made['aiohttp']}")
    longest = max(found.median for _, found in bars)
    for number, (name, found) in enumerate(bars):
        top = 58 + _ROW * number
        own = name in _OWN
        drawing.text(_LEFT - 10, top + 15, name, kind="strong own" if own else "", anchor="end")
        length = (_WIDTH - _LEFT - 130) * found.median / longest
        drawing.bar(_LEFT, top + 3, max(length, 1.0), _ROW - 9, "bar own" if own else "accepted")
        ratio = spread(comparison.figures(name, "ratio")).median
        text = f"{found.median:,.3g}  ({ratio:.3g} x)"
        drawing.text(_LEFT + max(length, 1.0) + 8, top + 15, text)
    drawing.text(20, height - 10, f"{made['date']}, {made['machine']}")
    return drawing.finish()


def draw_all(folder: Path, comparisons: Sequence[Comparison]) -> None:
    """Draw every chart whose figures were measured."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, (begins, title) in CHARTS.items():
        for comparison in comparisons:
            if comparison.name.startswith(begins) and "uvloop" not in comparison.name:
                (folder / file).write_text(draw(comparison, title), encoding="utf-8")
                break
