"""The report as one HTML file: no script, no request to anywhere, all foreign text escaped."""

from pathlib import Path
from typing import Final

import jinja2

from intercom_async._version import __version__
from intercom_async.cli import states
from intercom_async.cli.report import words
from intercom_async.cli.report.chart import lay_out
from intercom_async.cli.report.queries import EXAMPLES, Report
from intercom_async.errors import readable

_CAUSES: Final = 15
_ROWS: Final = 300  # pairs listed under all causes together, which bounds the file


def page(facts: Report) -> str:
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
    chart = lay_out(facts.slots, facts.base, most=150)
    quota, top = chart.scale(facts.quota)
    return environment.get_template("page.html").render(
        facts=facts,
        states=states,
        words=words,
        file=Path(facts.path).name,
        version=__version__,
        chart=chart,
        quota=quota,
        top=top,
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
