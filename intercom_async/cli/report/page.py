"""The report as one HTML file: no script, no request to anywhere, all foreign text escaped."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import jinja2

from intercom_async._version import __version__
from intercom_async.cli.report import words
from intercom_async.cli.report.causes import KEPT
from intercom_async.cli.report.queries import Facts
from intercom_async.cli.report.timeline import Column, lay_out
from intercom_async.errors import readable

_GAP: Final = 4
"""Columns that a cut takes."""

_CAUSES: Final = 15
_ROWS: Final = 300
"""Pairs listed under all causes together, which bounds the file."""


def page(facts: Facts) -> str:
    """Return the whole file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("intercom_async.cli", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cut"] = _cut
    causes = facts.causes[:_CAUSES]
    return environment.get_template("page.html").render(
        facts=facts,
        words=words,
        file=Path(facts.path).name,
        version=__version__,
        chart=Chart(facts),
        causes=causes,
        rest=facts.causes[_CAUSES:],
        listed=min(KEPT, _ROWS // max(1, len(causes))),
        listings=list(words.listings(facts, 40)),
    )


def _finalize(value: object) -> object:
    """Spell out the invisible characters of foreign text, which can turn a line around."""
    plain = isinstance(value, str) and not hasattr(value, "__html__")
    return readable(str(value), 10_000) if plain else value


def _cut(value: str, most: int = 60) -> str:
    return readable(readable(value, most), most)


class Chart:
    """A run as paths of SVG: x in columns, y in percent from above.

    The paths stretch to the page's width. All text is HTML at a place in percent, so that it
    keeps its size on any screen.
    """

    def __init__(self, facts: Facts) -> None:
        self.axis = lay_out(facts.slots, facts.base, most=150, gap=_GAP)
        self.placed: list[tuple[int, int, Column]] = []  # place, beginning in Unix seconds
        self.cuts: list[tuple[int, int]] = []  # place, seconds
        x = 0
        for stretch, pause in zip(self.axis.stretches, [0, *self.axis.pauses], strict=False):
            if pause:
                self.cuts.append((x, pause))
                x += _GAP
            for number, column in enumerate(stretch.columns):
                self.placed.append((x, stretch.start + number * self.axis.width, column))
                x += 1
        self.units = max(1, x)
        self.gap = 100 * _GAP / self.units
        self.quota, top = self.axis.scale(facts.quota)
        self.top = 1.06 * top or 1.0

    def path(self, member: str, top: float, *, above: str = "", least: float = 0.0) -> str:
        """Return a member's columns as one path, stacked on those of the member `above`."""
        parts: list[str] = []
        scale = 100 / top / self.axis.width
        for x, _, column in self.placed:
            height = column[member] * scale
            bottom = 100 - (column[above] * scale if above else 0.0)
            if height:
                parts.append(f"M{x} {bottom:.2f}h1v{-max(height, least):.2f}h-1z")
        return "".join(parts)

    def grid(self) -> Iterator[tuple[float, str]]:
        """Yield the height and the label of each grid line."""
        power = 10.0 ** math.floor(math.log10(self.top / 4))
        step = next(power * part for part in (1, 2, 2.5, 5, 10) if power * part >= self.top / 4.01)
        for number in range(math.ceil(self.top / step)):
            yield 100 - 100 * number * step / self.top, f"{number * step:,g}"

    def ticks(self) -> Iterator[tuple[float, str, str]]:
        """Yield a place in percent, a day where it changes, and a time."""
        last, day = -math.inf, ""
        for x, at, _ in self.placed:
            if x - last >= self.units / 5:
                today, time = words.moment(at).split(" ")
                yield 100 * x / self.units, today if today != day else "", time
                last, day = x, today

    def tips(self) -> Iterator[tuple[int, str]]:
        """Yield the place of each column that is not empty, and its numbers in words."""
        for (x, _, _), (at, *numbers) in zip(self._busy(), self.rows(), strict=True):
            settled, unsettled, retries, refused = numbers
            yield (
                x,
                (
                    f"{at}: {settled} settled, {unsettled} not settled, {retries} retries, "
                    f"{refused} refused"
                ),
            )

    def _busy(self) -> Iterator[tuple[int, int, Column]]:
        return (one for one in self.placed if one[2]["pairs"])

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the time and the exact numbers of each column that is not empty."""
        for _, at, one in self._busy():
            numbers = (one[name] for name in ("settled", "unsettled", "retries", "refusals"))
            yield words.moment(at), *map("{:,}".format, numbers)
