"""The command itself: reads, writes, prints, and says in its exit status how it stands."""

import sys
from pathlib import Path
from typing import Annotated, Any

import attrs
import msgspec
import typer
from rich.console import Console

from intercom_async.cli.report import words
from intercom_async.cli.report.page import page
from intercom_async.cli.report.queries import Facts, gather
from intercom_async.cli.report.terminal import rendered
from intercom_async.cli.running import ExitStatus, say
from intercom_async.cli.targets import refuse_target, writing
from intercom_async.journal import reader


def report(
    journal: Annotated[Path, typer.Argument(help="The journal of a run, which may still go on.")],
    *,
    html: Annotated[
        Path | None, typer.Option(help="Also write the report as a page for a browser to this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON instead of text.")
    ] = False,
) -> None:
    """Show what became of a run: outcomes, causes of failure, and how fast it went.

    The exit status is 0 if every pair of the input is settled, and 1 if not.
    """
    with reader.open(journal) as opened:
        facts = gather(opened.connection)
    if html is not None:
        refuse_target("--html", html, journal, (one.source_name for one in facts.sessions))
        with writing(html) as file:
            file.write(page(facts, str(journal)).encode())
        say(Console(stderr=True), f"written to {html}", "dim")
    if as_json:
        sys.stdout.write(msgspec.json.encode(as_document(facts, str(journal))).decode() + "\n")
    else:
        sys.stdout.write(rendered(facts, str(journal)))
    sys.stdout.flush()
    raise typer.Exit(ExitStatus.SETTLED if facts.complete else ExitStatus.SOME_FAILED)


def as_document(facts: Facts, path: str) -> dict[str, Any]:
    """Return the facts as a JSON object; times are Unix seconds."""
    totals = ("requests", "retries", "refusals", "duplicates")
    document = attrs.asdict(facts, filter=lambda field, _: field.name not in {"slots", "base"})
    return {
        "journal": path,
        "complete": facts.complete,
        "pairs": facts.pairs,
        "settled": facts.pairs - facts.left,
        **{name: facts.total(name) for name in totals},
        "elapsed": round(facts.elapsed, 3),
        "quota": facts.quota,
        "go_on": words.go_on(facts, path),
        **document,
        "timeline": {
            "seconds": facts.base,
            "columns": [
                {"at": slot * facts.base, **attrs.asdict(column)}
                for slot, column in facts.slots.items()
            ],
        },
    }
