"""The command itself: reads, writes, prints, and says in its exit status how it stands."""

import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from intercom_async.cli.report.document import as_document
from intercom_async.cli.report.gathering import gather
from intercom_async.cli.report.page import page
from intercom_async.cli.report.saving import check_target, save
from intercom_async.cli.report.text import show
from intercom_async.cli.running import ExitStatus
from intercom_async.journal import JournalError


def report(
    journal: Annotated[
        Path, typer.Argument(help="The journal of a run; the run may still be going on.")
    ],
    *,
    html: Annotated[
        Path | None,
        typer.Option(help="Also write the report to this file, to be looked at in a browser."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on standard output instead of text.")
    ] = False,
) -> None:
    """Show what became of a run: outcomes, causes of failure, and how fast it went.

    The exit status is 0 if every pair of the input is settled, and 1 if not.
    """
    if html is not None:
        problem = check_target(html, journal)
        if problem is not None:
            _refuse(f"the report cannot be written to {html}: {problem}")
    try:
        with Console(stderr=True).status(Text(f"reading {journal}")):
            facts = gather(journal)
    except JournalError as error:
        _refuse(str(error))
    if html is not None:
        try:
            save(html, page(facts))
        except OSError as error:
            _refuse(f"the report cannot be written to {html}: {error.strerror or error}")
    if as_json:
        typer.echo(json.dumps(as_document(facts)))
    else:
        show(Console(), facts)
    if html is not None:
        Console(stderr=True).print(
            f"written to {html}", style="dim", markup=False, highlight=False, soft_wrap=True
        )
    raise typer.Exit(ExitStatus.SETTLED if facts.complete else ExitStatus.SOME_FAILED)


def _refuse(message: str) -> NoReturn:
    Console(stderr=True).print(
        f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True
    )
    raise typer.Exit(ExitStatus.USAGE)
