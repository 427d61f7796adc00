"""The report as one HTML file: no script, no request to anywhere, nothing foreign unescaped."""

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

GAP: Final = 4
"""Columns that a cut takes."""

CAUSES: Final = 15
ROWS: Final = 300
"""Pairs that are listed, all causes together: it bounds the file."""


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
    causes = facts.causes[:CAUSES]
    return environment.get_template("page.html").render(
        facts=facts,
        words=words,
        file=Path(facts.path).name,
        version=__version__,
        chart=Chart(facts),
        causes=causes,
        rest=facts.causes[CAUSES:],
        listed=min(KEPT, ROWS // max(1, len(causes))),
        listings=list(words.listings(facts, 40)),
    )


def _finalize(value: object) -> object:
    """Spell out what would not be seen in foreign text: it might turn a line around."""
    plain = isinstance(value, str) and not hasattr(value, "__html__")
    return readable(str(value), 10_000) if plain else value


def _cut(value: str, most: int = 60) -> str:
    return readable(readable(value, most), most)


class Chart:
    """A run as shapes: x in columns, y in percent from above, as paths of SVG.

    They are stretched to whatever room there is, and all text is HTML at a place given in
    percent: so it is as legible on a phone as on a wall.
    """

    def __init__(self, facts: Facts) -> None:
        self.axis = lay_out(facts.slots, facts.base, most=150, gap=GAP)
        self.placed: list[tuple[int, int, Column]] = []
        """Each column with its place and its beginning in Unix seconds."""
        self.cuts: list[tuple[int, int]] = []
        """Place and seconds."""
        x = 0
        for stretch, pause in zip(self.axis.stretches, [0, *self.axis.pauses], strict=False):
            if pause:
                self.cuts.append((x, pause))
                x += GAP
            for number, column in enumerate(stretch.columns):
                self.placed.append((x, stretch.start + number * self.axis.width, column))
                x += 1
        self.units = max(1, x)
        self.gap = 100 * GAP / self.units
        peak, quota = self.axis.highest("pairs"), (facts.quota or 0) / 10
        self.quota = quota if quota <= 4 * peak else 0.0
        self.top = 1.06 * max(peak, self.quota) or 1.0

    def path(self, member: str, top: float, *, above: str = "", least: float = 0.0) -> str:
        """Return a member's columns as one shape, each upon another member's."""
        parts: list[str] = []
        scale = 100 / top / self.axis.width
        for x, _, column in self.placed:
            height = column[member] * scale
            bottom = 100 - (column[above] * scale if above else 0.0)
            if height:
                parts.append(f"M{x} {bottom:.2f}h1v{-max(height, least):.2f}h-1z")
        return "".join(parts)

    def grid(self) -> Iterator[tuple[float, str]]:
        """Yield the height and the label of each line of the scale."""
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

    def rows(self) -> Iterator[tuple[str, ...]]:
        """Yield the exact numbers of each column in which something happened."""
        for _, at, one in self.placed:
            if one["pairs"]:
                numbers = (one[name] for name in ("settled", "unsettled", "retries", "refusals"))
                yield words.moment(at), *map("{:,}".format, numbers)
