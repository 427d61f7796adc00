"""The command itself: reads, writes, prints, and says in its exit status how it stands."""

import sys
from pathlib import Path
from typing import Any

import attrs
import msgspec
from rich.console import Console

from intercom_async.cli.files import writing
from intercom_async.cli.options import argument, option
from intercom_async.cli.report import words
from intercom_async.cli.report.queries import Facts, gather
from intercom_async.cli.report.terminal import rendered
from intercom_async.cli.running import ExitStatus, print_out, say
from intercom_async.journal import reader


@attrs.frozen(kw_only=True)
class ReportOptions:
    """What `report` is given."""

    journal: str = argument(
        attrs.NOTHING, "The journal of a run, which may still go on: a file, or postgresql://..."
    )
    run: str | None = option(None, "The run's name in PostgreSQL.")
    html: Path | None = option(None, "Also write it as a page for a browser to this file.")
    as_json: bool = option(False, "Print the report as JSON instead of text.", "--json")


def report(options: ReportOptions) -> ExitStatus:
    """Show what became of a run, why, and how fast it went.

    The exit status is 0 if every pair of the input is settled, and 1 if not.
    """
    with reader.open(options.journal, run=options.run) as journal:
        facts = gather(journal)
        if options.html is not None:
            from intercom_async.cli.report.page import page  # noqa: PLC0415  detach needs no Jinja2

            with writing("--html", options.html, journal) as file:
                file.write(page(facts).encode())
            say(Console(stderr=True), f"written to {options.html}", "dim")
    if options.as_json:
        print_out(msgspec.json.encode(as_document(facts)).decode())
    else:
        sys.stdout.write(rendered(facts))
        sys.stdout.flush()
    return ExitStatus.SETTLED if facts.complete else ExitStatus.SOME_FAILED


def as_document(facts: Facts) -> dict[str, Any]:
    """Return the facts as a JSON object; times are Unix seconds."""
    document = attrs.asdict(
        facts, filter=lambda field, _: field.name not in {"slots", "base", "unread"}
    )
    columns = facts.slots.items()
    return {
        "complete": facts.complete,
        "pairs": facts.pairs,
        "settled": facts.pairs - facts.left,
        **{
            name: int(facts.total(name))
            for name in ("requests", "retries", "refusals", "duplicates")
        },
        "elapsed": round(facts.total("elapsed"), 3),
        "quota": facts.quota,
        "go_on": words.go_on(facts),
        **document,
        "timeline": [{"at": at * facts.base, **column} for at, column in columns],
    }
