"""Charts as SVG files, drawn by hand: no dependency, legible on a light and on a dark page."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

COLOURS: Final = ("own", "a", "b", "c")
"""Classes of the series, the first for this library."""

_STYLE: Final = """
  text { font: 12px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #57606a }
  .title { font-size: 14px; font-weight: 600; fill: #24292f }
  .strong { font-weight: 600 }
  .axis { stroke: #8c959f; stroke-width: 1 }
  .grid { stroke: #8c959f; stroke-opacity: .25; stroke-width: 1 }
  .edge { stroke: #8c959f; stroke-dasharray: 3 3 }
  .line { fill: none; stroke-width: 2; stroke-linejoin: round }
  .own { stroke: #1a7f37 } .a { stroke: #9a6700 } .b { stroke: #8250df } .c { stroke: #0969da }
  .dot.own, text.own { fill: #1a7f37 } .dot.a, text.a { fill: #9a6700 }
  .dot.b, text.b { fill: #8250df } .dot.c, text.c { fill: #0969da }
  text.own, text.a, text.b, text.c { stroke: none }
  .bar.own { fill: #1a7f37; stroke: none }
  .accepted { fill: #8c959f } .refused { fill: #cf222e }
  text.refused { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    text { fill: #9198a1 } .title { fill: #f0f6fc }
    .own { stroke: #3fb950 } .a { stroke: #d29922 } .b { stroke: #ab7df8 } .c { stroke: #4493f8 }
    .dot.own, text.own { fill: #3fb950 } .dot.a, text.a { fill: #d29922 }
    .dot.b, text.b { fill: #ab7df8 } .dot.c, text.c { fill: #4493f8 }
    .bar.own { fill: #3fb950 }
    .accepted { fill: #656c76 } .refused, text.refused { fill: #f85149 }
  }
"""


class Drawing:
    """An SVG file in the making.

    Args:
        width: of the whole, in pixels.
        height: of the whole, in pixels.
        title: what a screen reader says.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
            f' width="{width}" height="{height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{_STYLE}</style>",
        ]

    def text(self, x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> None:
        """Write text; `kind` is its class."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
            f"{escape(text)}</text>"
        )

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self._parts.append(f'<polyline points="{path}" class="{kind}" fill="none"/>')

    def dot(self, x: float, y: float, kind: str) -> None:
        """Draw a point."""
        self._parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="dot {kind}"/>')

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """Draw a bar whose upper left corner is given."""
        if height > 0:
            self._parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" '
                f'class="{kind}"/>'
            )

    def finish(self) -> str:
        """Return the file's text."""
        return "\n".join([*self._parts, "</svg>", ""])


Box = tuple[float, float, float, float]
"""Left, top, width and height of a chart's plane."""


def log_lines(
    drawing: Drawing,
    box: Box,
    categories: Sequence[int],
    series: Mapping[str, Sequence[float]],
    *,
    floor: float = 0.01,
) -> None:
    """Draw percentages by category on a logarithmic scale; names stand at the lines' ends.

    Args:
        drawing: where to draw.
        box: the chart's plane.
        categories: what the columns are.
        series: percentages by name.
        floor: the scale's lower end; what is smaller is drawn there.
    """
    left, top, width, height = box
    decades = math.log10(100.0 / floor)

    def y(value: float) -> float:
        return top + height * (1.0 - math.log10(max(value, floor) / floor) / decades)

    def x(index: int) -> float:
        return left + width * index / max(1, len(categories) - 1)

    for exponent in range(round(decades) + 1):
        value = floor * 10.0**exponent
        drawing.line([(left, y(value)), (left + width, y(value))], "grid")
        label = f"≤ {value:g} %" if not exponent else f"{value:g} %"
        drawing.text(left - 8, y(value) + 4, label, anchor="end")
    for index, category in enumerate(categories):
        drawing.text(x(index), top + height + 18, str(category), anchor="middle")
    placed: list[float] = []
    ends = sorted(enumerate(series.items()), key=lambda item: y(item[1][1][-1]))
    for number, (name, values) in ends:
        kind = COLOURS[number % len(COLOURS)]
        drawing.line([(x(i), y(value)) for i, value in enumerate(values)], f"line {kind}")
        for i, value in enumerate(values):
            drawing.dot(x(i), y(value), kind)
        at = max(y(values[-1]), placed[-1] + 15 if placed else 0.0)
        placed.append(at)
        drawing.text(left + width + 10, at + 4, name, kind=f"strong {kind}")


def stacked_bars(
    drawing: Drawing,
    box: Box,
    bars: Sequence[tuple[int, int]],
    *,
    highest: int,
    edges: Sequence[int],
) -> None:
    """Draw accepted requests, and refused ones in red above them.

    Args:
        drawing: where to draw.
        box: the chart's plane.
        bars: accepted and refused requests of each step of time.
        highest: value at the plane's upper end.
        edges: steps at which a window begins.
    """
    left, top, width, height = box
    step = width / len(bars)
    for index, (accepted, refused) in enumerate(bars):
        low = height * min(accepted, highest) / highest
        high = height * min(accepted + refused, highest) / highest
        x, bottom = left + index * step + 0.5, top + height
        drawing.bar(x, bottom - low, step - 1, low, "accepted")
        drawing.bar(x, bottom - high, step - 1, high - low, "refused")
    for edge in edges:
        x = left + edge * step
        drawing.line([(x, top - 4), (x, top + height)], "edge")
    drawing.line([(left, top + height), (left + width, top + height)], "axis")
