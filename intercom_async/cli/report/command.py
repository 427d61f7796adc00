"""The command itself: reads, writes, prints, and says in its exit status how it stands."""

import sys
from pathlib import Path
from typing import Annotated, Any

import attrs
import msgspec
import typer
from rich.console import Console

from intercom_async.cli.export import writing
from intercom_async.cli.report import words
from intercom_async.cli.report.queries import Facts, gather
from intercom_async.cli.report.terminal import rendered
from intercom_async.cli.running import ExitStatus, say
from intercom_async.journal import reader


def report(
    journal: Annotated[Path, typer.Argument(help="The journal of a run, which may still go on.")],
    *,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write it as a page for a browser to this file."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON instead of text.")
    ] = False,
) -> None:
    """Show what became of a run, why, and how fast it went.

    The exit status is 0 if every pair of the input is settled, and 1 if not.
    """
    with reader.open(journal) as opened:
        facts = gather(opened)
        if html is not None:
            from intercom_async.cli.report.page import page  # noqa: PLC0415  detach needs no Jinja2

            with writing("--html", html, opened) as file:
                file.write(page(facts).encode())
            say(Console(stderr=True), f"written to {html}", "dim")
    if as_json:
        sys.stdout.write(msgspec.json.encode(as_document(facts)).decode() + "\n")
    else:
        sys.stdout.write(rendered(facts))
    sys.stdout.flush()
    raise typer.Exit(ExitStatus.SETTLED if facts.complete else ExitStatus.SOME_FAILED)


def as_document(facts: Facts) -> dict[str, Any]:
    """Return the facts as a JSON object; times are Unix seconds."""
    document = attrs.asdict(facts, filter=lambda field, _: field.name not in {"slots", "base"})
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
