"""The report as one HTML file: no script, no request to anywhere, nothing foreign unescaped."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs
import jinja2
import markupsafe

from intercom_async._version import __version__
from intercom_async.cli.report import words
from intercom_async.cli.report.queries import Facts
from intercom_async.cli.report.timeline import Axis, Column, lay_out
from intercom_async.errors import readable

COLUMNS: Final = 150
GAP: Final = 4
"""Columns that a cut takes."""

CAUSES: Final = 15
ROWS: Final = 300
"""Pairs that are listed, all causes together: it bounds the file."""

TABLE: Final = 40
"""Sessions and workspaces that are listed."""

LABELS: Final = 5


def page(facts: Facts, path: str) -> str:
    """Return the whole file."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("intercom_async.cli", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    causes = facts.causes[:CAUSES]
    return environment.get_template("page.html").render(
        facts=facts,
        path=path,
        file=Path(path).name,
        words=words,
        version=__version__,
        chart=Chart.of(facts),
        causes=causes,
        rest=facts.causes[CAUSES:],
        listed=ROWS // max(1, len(causes)),
        apps={one.workspace: one.app_id for one in facts.workspaces},
        workspaces=sorted(facts.workspaces, key=lambda one: (-one.left, -one.pairs))[:TABLE],
        sessions=facts.sessions[-TABLE:],
        cut=_cut,
    )


def _finalize(value: object) -> object:
    """Spell out what would not be seen in foreign text: it might turn a line around."""
    plain = isinstance(value, str) and not isinstance(value, markupsafe.Markup)
    return readable(str(value), 10_000) if plain else value


def _cut(value: str, most: int = 60) -> str:
    return readable(readable(value, most), most)


@attrs.frozen
class Placed:
    """A column with its place and its beginning in Unix seconds."""

    x: int
    at: int
    column: Column


@attrs.frozen
class Chart:
    """The run as shapes: x in columns, y in percent from above, shapes as paths of SVG.

    The shapes are stretched to whatever room there is, and all text is HTML at a place given in
    percent: so it is as legible on a phone as on a wall.
    """

    axis: Axis
    units: int
    placed: tuple[Placed, ...]
    cuts: tuple[tuple[int, int], ...]
    """Place and seconds of each."""

    top: float
    quota: float

    @classmethod
    def of(cls, facts: Facts) -> "Chart":
        """Lay a run out."""
        axis = lay_out(facts.slots, facts.base, most=COLUMNS, gap=GAP)
        placed: list[Placed] = []
        cuts: list[tuple[int, int]] = []
        x = 0
        for stretch, pause in zip(axis.stretches, [0, *axis.pauses], strict=True):
            if pause:
                cuts.append((x, pause))
                x += GAP
            for number, column in enumerate(stretch.columns):
                placed.append(Placed(x, stretch.start + number * axis.width, column))
                x += 1
        peak = max((one.column.pairs for one in placed), default=0) / axis.width
        quota = (facts.quota or 0) / 10
        quota = quota if quota <= 4 * peak else 0.0
        top = 1.06 * max(peak, quota) or 1.0
        return cls(axis, max(1, x), tuple(placed), tuple(cuts), top, quota)

    def path(self, member: str, top: float, *, above: str = "", least: float = 0.0) -> str:
        """Return a member's columns as one shape, each upon another member's."""
        parts: list[str] = []
        scale = 100 / top / self.axis.width
        for one in self.placed:
            height = getattr(one.column, member) * scale
            bottom = 100 - (getattr(one.column, above) * scale if above else 0.0)
            if height:
                parts.append(f"M{one.x} {bottom:.2f}h1v{-max(height, least):.2f}h-1z")
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
        for one in self.placed:
            if one.x - last >= self.units / LABELS:
                today, time = words.moment(one.at).split(" ")
                yield 100 * one.x / self.units, today if today != day else "", time
                last, day = one.x, today


