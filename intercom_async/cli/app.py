"""The commands, their options and their help."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from intercom_async._version import __version__
from intercom_async.cli import demo as demonstration
from intercom_async.cli import finding, simulating
from intercom_async.cli.bulk import BulkOptions, carry_out_command
from intercom_async.cli.export import export
from intercom_async.cli.options import (
    AdminId,
    AsJSON,
    BaseURL,
    Columns,
    Concurrency,
    JournalFile,
    Limit,
    Output,
    Quiet,
    Region,
    Reserve,
    Strict,
    TokenFile,
    Version,
    Yes,
    open_client,
)
from intercom_async.cli.report.command import report
from intercom_async.cli.running import ExitStatus, say
from intercom_async.cli.sources import SourceError
from intercom_async.errors import IntercomError, InvalidArgumentError
from intercom_async.journal import JournalError, JournalWriteError

EXIT_STATUS: Final = (
    "Exit status: 0 every pair is settled, 1 some failed or lines were wrong, 2 something "
    "given cannot be used, 3 stopped (token, plan, unreachable, disk), 4 interrupted."
)

app = typer.Typer(
    name="intercom-async",
    help="Detach contacts from Intercom conversations, one or millions, within the rate limit.",
    epilog=EXIT_STATUS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

errors = Console(stderr=True)


def run() -> None:
    """Run the command line; every error ends in one message and its exit status."""
    try:
        app()
    except (InvalidArgumentError, SourceError) as error:
        _fail(str(error), ExitStatus.USAGE)
    except JournalError as error:
        stopped = isinstance(error, JournalWriteError)
        _fail(str(error), ExitStatus.STOPPED if stopped else ExitStatus.USAGE)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitStatus.INTERRUPTED)
    except OSError as error:
        if isinstance(error, IntercomError):
            _fail(str(error), ExitStatus.STOPPED)
        _fail(f"{error.filename or 'input or output'}: {error.strerror}", ExitStatus.USAGE)
    except IntercomError as error:
        _fail(str(error), ExitStatus.STOPPED)
    except KeyboardInterrupt:
        _fail("interrupted", ExitStatus.INTERRUPTED)


def _fail(message: str, status: ExitStatus) -> None:
    say(errors, f"error: {message}", "red")
    sys.exit(status)


def _finish(work: Coroutine[Any, Any, ExitStatus]) -> None:
    raise typer.Exit(asyncio.run(work))


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"intercom_async {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    pass


@app.command(epilog=EXIT_STATUS)
def detach(
    source: Annotated[
        str,
        typer.Argument(
            help="CSV with a header, JSON lines, or a journal (what it left unsettled); "
            "- for standard input."
        ),
    ],
    admin_id: AdminId = None,
    region: Region = "us",
    base_url: BaseURL = None,
    token_file: TokenFile = None,
    intercom_version: Version = "Preview",
    columns: Columns = None,
    journal: JournalFile = None,
    output: Output = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Change nothing; look at each pair and say what would be."),
    ] = False,
    concurrency: Concurrency = None,
    reserve: Reserve = 3.0,
    limit: Limit = None,
    strict: Strict = False,
    yes: Yes = False,
    as_json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Remove contacts from conversations, as listed in SOURCE.

    Each pair is settled once: removed, already gone, conversation missing, or refused because
    it is the last contact. Lines that cannot be understood are reported and skipped.

    With --journal a run can be killed at any moment: the same command goes on where it was.

    The first Ctrl-C lets requests in flight finish, the second does not.
    """
    options = BulkOptions(
        verb="detach",
        source=source,
        dry_run=dry_run,
        admin_id=admin_id,
        region=region,
        base_url=base_url,
        token_file=token_file,
        version=intercom_version,
        columns=columns,
        journal=journal,
        output=output,
        concurrency=concurrency,
        reserve=reserve,
        limit=limit,
        strict=strict,
        yes=yes,
        as_json=as_json,
        quiet=quiet,
    )
    _finish(carry_out_command(options, errors))


@app.command(epilog=EXIT_STATUS)
def attach(
    source: Annotated[
        str | None, typer.Argument(help="As for detach; none with --undo.", show_default=False)
    ] = None,
    undo: Annotated[
        Path | None, typer.Option("--undo", help="Put back what the run of this journal removed.")
    ] = None,
    with_inferred: Annotated[
        bool,
        typer.Option(
            "--with-inferred",
            help="Put back pairs, too, of which only a check said that they were removed.",
        ),
    ] = False,
    admin_id: AdminId = None,
    region: Region = "us",
    base_url: BaseURL = None,
    token_file: TokenFile = None,
    intercom_version: Version = "Preview",
    columns: Columns = None,
    journal: JournalFile = None,
    output: Output = None,
    concurrency: Concurrency = None,
    reserve: Reserve = 3.0,
    limit: Limit = None,
    strict: Strict = False,
    yes: Yes = False,
    as_json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Add contacts to conversations, as listed in SOURCE, or undo a detach.

    With --undo the admin of that run acts, unless --admin-id names another one.
    """
    if source is not None and undo is not None:
        raise InvalidArgumentError("SOURCE", source, "left out with --undo")
    options = BulkOptions(
        verb="attach",
        source=source,
        undo=undo,
        with_inferred=with_inferred,
        admin_id=admin_id,
        region=region,
        base_url=base_url,
        token_file=token_file,
        version=intercom_version,
        columns=columns,
        journal=journal,
        output=output,
        concurrency=concurrency,
        reserve=reserve,
        limit=limit,
        strict=strict,
        yes=yes,
        as_json=as_json,
        quiet=quiet,
    )
    _finish(carry_out_command(options, errors))


@app.command()
def find(
    contact: Annotated[
        str | None, typer.Option("--contact", help="Intercom's id of the contact.")
    ] = None,
    email: Annotated[str | None, typer.Option("--email", help="The contact's address.")] = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", help="Your own id of the contact.")
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Conversations, too, in which the contact is the only one."),
    ] = False,
    region: Region = "us",
    base_url: BaseURL = None,
    token_file: TokenFile = None,
    intercom_version: Version = "Preview",
) -> None:
    """Print the pairs of every group conversation a contact takes part in.

    The output is CSV for detach: intercom-async find --email a@b.example | intercom-async detach -
    """
    client = open_client(
        region=region, base_url=base_url, token_file=token_file, version=intercom_version
    )
    work = finding.find(
        client, errors, contact_id=contact, email=email, external_id=external_id, every=every
    )
    _finish(work)


@app.command()
def whoami(
    region: Region = "us",
    base_url: BaseURL = None,
    token_file: TokenFile = None,
    intercom_version: Version = "Preview",
) -> None:
    """Show the admin and the workspace the token belongs to."""

    async def work() -> ExitStatus:
        async with open_client(
            region=region, base_url=base_url, token_file=token_file, version=intercom_version
        ) as client:
            identity = await client.whoami()
        typer.echo(
            f"admin      {identity.id}  {identity.name or ''} {identity.email or ''}".rstrip()
        )
        app_ = identity.app
        if app_ is not None:
            typer.echo(f"workspace  {app_.id_code or ''}  {app_.name or ''}".rstrip())
            typer.echo(f"region     {app_.region or 'unknown'}")
        return ExitStatus.SETTLED

    _finish(work())


@app.command()
def simulate(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8000,
    token: Annotated[str, typer.Option(help="The access token it accepts.")] = "token",
    limit: Annotated[int, typer.Option(min=1, help="Requests per 10-second window.")] = 167,
    conversations: Annotated[int, typer.Option(min=0, help="Conversations to hold.")] = 1000,
    latency: Annotated[float, typer.Option(min=0, help="Seconds a reply takes.")] = 0.05,
    pairs: Annotated[
        Path | None, typer.Option(help="Write pairs that can be detached to this CSV file.")
    ] = None,
) -> None:
    """Serve a loopback Intercom to try things on, until Ctrl-C."""
    _finish(
        simulating.serve(
            port=port,
            token=token,
            limit=limit,
            conversations=conversations,
            latency=latency,
            pairs=pairs,
            console=Console(),
        )
    )


@app.command()
def demo(
    pairs: Annotated[int, typer.Option(min=1, help="Contacts to detach.")] = 4000,
    limit: Annotated[int, typer.Option(min=1, help="Requests per 10-second window.")] = 1667,
    seed: Annotated[int, typer.Option(help="Of the faults.")] = 1,
) -> None:
    """Detach contacts in bulk on an embedded simulator, with faults, and check the result."""
    _finish(demonstration.show(pairs=pairs, limit=limit, seed=seed, console=Console()))


app.command()(report)
app.command()(export)
