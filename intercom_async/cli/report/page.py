"""The report as one HTML file: no script, no request to anywhere, all foreign text escaped."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import jinja2

from intercom_async._version import __version__
from intercom_async.cli import states
from intercom_async.cli.report import words
from intercom_async.cli.report.chart import Axis, lay_out
from intercom_async.cli.report.queries import EXAMPLES, Facts
from intercom_async.errors import readable

_GAP: Final = 4
"""Places of the chart that a cut takes."""

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
    axis = lay_out(facts.slots, facts.base, most=150, gap=_GAP)
    quota, top = axis.scale(facts.quota)
    return environment.get_template("page.html").render(
        facts=facts,
        states=states,
        words=words,
        file=Path(facts.path).name,
        version=__version__,
        axis=axis,
        bars=_bars,
        grid=_grid,
        gap=_GAP,
        quota=quota,
        top=1.06 * top,
        causes=causes,
        listed=min(EXAMPLES, _ROWS // max(1, len(causes))),
        rest=facts.with_cause - sum(cause.pairs for cause in causes),
        listings=list(words.listings(facts, 40)),
    )


def _finalize(value: object) -> object:
    """Spell out the invisible characters of foreign text, which can reverse a line."""
    plain = isinstance(value, str) and not hasattr(value, "__html__")
    return readable(str(value), 10_000) if plain else value


def _cut(value: str, most: int = 60) -> str:
    return readable(readable(value, most), most)


def _bars(axis: Axis, member: str, top: float, above: str = "") -> str:
    """Return a member's columns as one SVG path, stacked on those of the member `above`.

    x is a place, y is percent from above. The chart stretches to the page's width; its texts are
    HTML at places in percent, so that they keep their size on any screen.
    """
    scale = 100 / top / axis.width
    parts = (
        f"M{place} {100 - column[above] * scale:.2f}h1v{-column[member] * scale:.2f}h-1z"
        for place, _, column in axis.columns
        if column[member]
    )
    return "".join(parts)


def _grid(top: float) -> Iterator[tuple[float, str]]:
    """Yield the height in percent and the label of each grid line."""
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = next(power * part for part in (1, 2, 2.5, 5, 10) if power * part >= top / 4.01)
    for number in range(math.ceil(top / step)):
        yield 100 - 100 * number * step / top, f"{number * step:,g}"
