"""The report as one HTML file: no script, no request to anywhere, all foreign text escaped."""

import jinja2

from intercom_async._version import __version__
from intercom_async.cli.report.content import conclusion, origin, sections
from intercom_async.cli.report.queries import Report
from intercom_async.errors import readable


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
    return environment.get_template("page.html").render(
        complete=facts.complete,
        conclusion=conclusion(facts),
        origin=origin(facts),
        sections=sections(facts),
        version=__version__,
    )


def _finalize(value: object) -> object:
    """Bound foreign text and spell out its invisible characters, which can reverse a line."""
    plain = isinstance(value, str) and not hasattr(value, "__html__")
    return readable(str(value), 600) if plain else value
