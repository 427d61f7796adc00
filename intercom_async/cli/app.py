"""The commands and their examples."""

import json
from typing import Annotated, Final

import attrs
import typer

from intercom_async._version import __version__
from intercom_async.cli.bulk import bulk
from intercom_async.cli.demo import DemoOptions, demo
from intercom_async.cli.exit_status import EXIT_STATUS, ExitStatus
from intercom_async.cli.export import ExportOptions, export
from intercom_async.cli.finding import FindOptions, find
from intercom_async.cli.jobs import JobOptions, SubmitOptions, WorkOptions, status, submit, work
from intercom_async.cli.options import ChangeOptions, Connection, command
from intercom_async.cli.printing import print_out
from intercom_async.cli.report.command import ReportOptions, report
from intercom_async.cli.simulating import SimulateOptions, simulate
from intercom_async.errors import readable
from intercom_async.observing import log_to_stderr

app: Final = typer.Typer(
    name="intercom-async",
    help="Detach contacts from Intercom conversations, one or millions, within the rate limit.",
    epilog=EXIT_STATUS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # its tables cut words on 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"intercom_async {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    verbose: Annotated[
        int,
        typer.Option(
            "-v",
            "--verbose",
            count=True,
            show_default=False,
            help="Log retries, refusals and outages to stderr; -vv for every request.",
        ),
    ] = 0,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if verbose:
        log_to_stderr("info" if verbose == 1 else "debug")


async def detach(options: ChangeOptions) -> ExitStatus:
    """Remove contacts from conversations.

    Each pair gets an outcome: the contact was removed, was gone already, or stays because it is the
    last one, or there is no such conversation. Lines that give no pair are reported and skipped.

    With --people the file lists people to remove from all of their group conversations.

    With --journal a run may be killed at any moment. To go on, repeat the command, or give the
    journal alone: `detach JOURNAL`.

    The first Ctrl-C or SIGTERM lets requests in flight finish, the second does not.
    """
    return await bulk(options)


async def attach(options: ChangeOptions) -> ExitStatus:
    """Add contacts to conversations, or undo a detach.

    An undo acts as the admin of the run that it undoes, unless --admin-id names another one. It
    keeps a journal of its own: run.undo.db beside run.db, unless --journal names another.
    """
    return await bulk(attrs.evolve(options, verb="attach"))


async def whoami(options: Connection) -> ExitStatus:
    """Show the admin and the workspace that the token belongs to."""
    async with options.open_client() as client:
        me = await client.whoami()
    app = me.app
    shown = {
        "admin": {"id": me.id, "name": me.name, "email": me.email},
        "workspace": None if app is None else {"id": app.id_code, "name": app.name},
        "region": None if app is None or app.region is None else app.region.lower(),
    }
    if options.as_json:
        print_out(json.dumps(shown))
        return ExitStatus.SETTLED
    for name, value in shown.items():
        texts = value.values() if isinstance(value, dict) else [value or "unknown"]
        print_out(readable(f"{name:<9}  {'  '.join(filter(None, texts))}"))
    return ExitStatus.SETTLED


command(
    app,
    ChangeOptions,
    detach,
    "detach pairs.csv --journal run.db",
    "detach --people people.csv --by email --journal run.db",
    without=("undo", "with_inferred"),
)
command(
    app,
    ChangeOptions,
    attach,
    "attach --undo run.db",
    "attach pairs.csv --journal back.db",
    without=("people", "by", "one_per_address", "dry_run"),
)
command(
    app,
    FindOptions,
    find,
    "find --email a@b.example > pairs.csv",
    "find --external-id 70 --json | intercom-async detach -",
    "find --from people.csv > pairs.csv",
)
command(app, Connection, whoami, "whoami", "whoami --region eu --token-file token.txt")
command(
    app,
    SimulateOptions,
    simulate,
    "simulate --pairs pairs.csv",
    "simulate --port 0 --limit 1667 --conversations 20000",
)
command(app, DemoOptions, demo, "demo", "demo --pairs 500 --limit 167")
command(app, ReportOptions, report, "report run.db", "report run.db --html run.html")
command(
    app,
    ExportOptions,
    export,
    "export run.db --csv --state failed,unknown --output left.csv",
    "export run.db --jsonl | jq .state",
)
command(app, SubmitOptions, submit, "submit triples.csv --run cleanup-7", "submit -")
command(app, WorkOptions, work, "work workspaces.json", "work --until-empty")
command(app, JobOptions, status, "status", "status --run cleanup-7")
