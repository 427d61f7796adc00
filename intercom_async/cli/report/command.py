"""The command `report`."""

import io
from pathlib import Path
from typing import Any

import attrs
import msgspec
from rich.console import Console

from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.files import writing
from intercom_async.cli.options import JournalOptions, option
from intercom_async.cli.picture import save_picture
from intercom_async.cli.printing import print_out, say
from intercom_async.cli.report.queries import gather
from intercom_async.cli.report.terminal import show
from intercom_async.journal import reader


@attrs.frozen(kw_only=True)
class ReportOptions(JournalOptions):
    """The options of `report`."""

    html: Path | None = option(None, "Also write it to this file as a page for a browser.")
    svg: Path | None = option(None, "Also save the text as a picture.")
    as_json: bool = option(False, "Print the report as JSON instead of text.", "--json")


def report(options: ReportOptions) -> ExitStatus:
    """Show what became of a run, why, and how fast it went.

    The exit status is 0 if every pair of the input is settled, and 1 if not.
    """
    console = Console(record=True, highlight=False, file=io.StringIO() if options.as_json else None)
    with reader.open(options.journal, run=options.run) as journal:
        facts = gather(journal)
        if options.html is not None:
            from intercom_async.cli.report.page import page  # noqa: PLC0415  detach needs no Jinja2

            with writing("--html", options.html, journal) as file:
                file.write(page(facts).encode())
            say(Console(stderr=True), f"written to {options.html}", "dim")
        show(console, facts)
        if options.svg is not None:
            with writing("--svg", options.svg, journal) as file:
                save_picture(console, f"intercom-async report {Path(facts.path).name}", file)
    if options.as_json:
        document = attrs.asdict(facts, value_serializer=_named)
        print_out(msgspec.json.encode(document).decode())
    return ExitStatus.SETTLED if facts.complete else ExitStatus.SOME_FAILED


def _named(_owner: object, _field: object, value: Any) -> Any:
    return msgspec.structs.asdict(value) if isinstance(value, msgspec.Struct) else value
