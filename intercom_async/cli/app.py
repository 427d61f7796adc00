"""The commands, their own options and their examples."""

import json
from pathlib import Path
from typing import Annotated, ClassVar, Final

import attrs
import typer
from rich.console import Console

from intercom_async._version import __version__
from intercom_async.cli import demo as demonstration
from intercom_async.cli import finding, jobs, simulating
from intercom_async.cli.bulk import bulk
from intercom_async.cli.export import export
from intercom_async.cli.options import BulkOptions, Connection, Plain, command, guarded
from intercom_async.cli.report.command import report
from intercom_async.cli.running import EXIT_STATUS, ExitStatus, print_out
from intercom_async.errors import readable
from intercom_async.simulator import IntercomSimulator

app: Final = typer.Typer(
    name="intercom-async",
    help="Detach contacts from Intercom conversations, one or millions, within the rate limit.",
    epilog=EXIT_STATUS,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # whose tables cut words on 80 columns
    context_settings={"help_option_names": ["-h", "--help"]},
)
run: Final = app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"intercom_async {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@attrs.frozen(kw_only=True)
class DetachOptions(BulkOptions):
    """What `detach` is given."""

    verb: ClassVar = "detach"
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Change nothing; look at each pair and say what would be."),
    ] = False


@command(
    app,
    DetachOptions,
    "intercom-async detach pairs.csv --journal run.db",
    "intercom-async find --email a@b.example | intercom-async detach -",
)
async def detach(options: DetachOptions) -> ExitStatus:
    """Remove contacts from conversations.

    Each pair is settled once: removed, already gone, conversation missing, or refused because
    it is the last contact. Lines that cannot be understood are reported and skipped.

    With --journal a run can be killed at any moment: the same command goes on where it was, and
    so does `detach JOURNAL`.

    The first Ctrl-C or SIGTERM lets requests in flight finish, the second does not.
    """
    return await bulk(options)


@attrs.frozen(kw_only=True)
class AttachOptions(BulkOptions):
    """What `attach` is given."""

    verb: ClassVar = "attach"
    undo: Annotated[
        Path | None, typer.Option(help="Put back what the run of this journal removed.")
    ] = None
    with_inferred: Annotated[
        bool,
        typer.Option(
            "--with-inferred",
            help="Put back pairs, too, of which only a check said that they were removed.",
        ),
    ] = False


@command(
    app,
    AttachOptions,
    "intercom-async attach --undo run.db",
    "intercom-async attach pairs.csv --journal back.db",
)
async def attach(options: AttachOptions) -> ExitStatus:
    """Add contacts to conversations, or undo a detach.

    With --undo the admin of that run acts, unless --admin-id names another one, and the undo
    keeps a journal of its own: run.undo.db beside run.db, unless --journal names another.
    """
    return await bulk(options)


@attrs.frozen(kw_only=True)
class FindOptions(Connection):
    """What `find` is given."""

    contact: Annotated[str | None, typer.Option(help="Intercom's id of the contact.")] = None
    email: Annotated[str | None, typer.Option(help="The contact's address.")] = None
    external_id: Annotated[str | None, typer.Option(help="Your own id of the contact.")] = None
    every: Annotated[
        bool,
        typer.Option("--all", help="Conversations, too, in which the contact is the only one."),
    ] = False


@command(
    app,
    FindOptions,
    "intercom-async find --email a@b.example > pairs.csv",
    "intercom-async find --external-id 70 --json | intercom-async detach -",
)
async def find(options: FindOptions) -> ExitStatus:
    """Print the pairs of a contact's conversations.

    Group conversations only, unless --all is given: the last contact cannot be removed. The
    output, CSV or with --json JSON lines, is what detach reads.
    """
    return await finding.find(
        options.open_client(),
        Console(stderr=True),
        contact_id=options.contact,
        email=options.email,
        external_id=options.external_id,
        every=options.every,
        as_json=options.as_json,
    )


@command(
    app,
    Connection,
    "intercom-async whoami",
    "intercom-async whoami --region eu --token-file token.txt",
)
async def whoami(options: Connection) -> ExitStatus:
    """Show whose token it is, and of which workspace."""
    async with options.open_client() as client:
        me = await client.whoami()
    shown = {
        "admin": {"id": me.id, "name": me.name, "email": me.email},
        "workspace": None if me.app is None else {"id": me.app.id_code, "name": me.app.name},
        "region": None if me.app is None else me.app.region,
    }
    if options.as_json:
        print_out(json.dumps(shown))
        return ExitStatus.SETTLED
    for name, value in shown.items():
        texts = value.values() if isinstance(value, dict) else [value or "unknown"]
        line = "  ".join(text for text in texts if text)
        print_out(readable(f"{name:<9}  {line}"))
    return ExitStatus.SETTLED


@attrs.frozen(kw_only=True)
class SimulateOptions(Plain):
    """What `simulate` is given."""

    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for a free one.")] = 8000
    token: Annotated[str, typer.Option(help="The access token it accepts.")] = "token"
    limit: Annotated[int, typer.Option(min=1, help="Requests per 10-second window.")] = 167
    conversations: Annotated[int, typer.Option(min=0, help="Conversations to hold.")] = 1000
    latency: Annotated[float, typer.Option(min=0, help="Seconds a reply takes.")] = 0.05
    pairs: Annotated[
        Path | None, typer.Option(help="Write pairs that can be detached to this CSV file.")
    ] = None


@command(
    app,
    SimulateOptions,
    "intercom-async simulate --pairs pairs.csv",
    "intercom-async simulate --port 0 --limit 1667 --conversations 20000",
)
async def simulate(options: SimulateOptions) -> ExitStatus:
    """Serve a loopback Intercom to try things on."""
    simulator = IntercomSimulator(
        token=options.token, limit=options.limit, latency=options.latency, port=options.port
    )
    return await simulating.serve(
        simulator, conversations=options.conversations, pairs=options.pairs, console=Console()
    )


@attrs.frozen(kw_only=True)
class DemoOptions(Plain):
    """What `demo` is given."""

    pairs: Annotated[int, typer.Option(min=1, help="Contacts to detach.")] = 4000
    limit: Annotated[int, typer.Option(min=1, help="Requests per 10-second window.")] = 1667
    seed: Annotated[int, typer.Option(help="Of the faults.")] = 1


@command(
    app,
    DemoOptions,
    "intercom-async demo",
    "intercom-async demo --pairs 500 --limit 167",
)
async def demo(options: DemoOptions) -> ExitStatus:
    """Show a bulk detach on a simulator with faults.

    What each result says is compared with what the simulator did.
    """
    return await demonstration.show(
        pairs=options.pairs, limit=options.limit, seed=options.seed, console=Console()
    )


guarded(
    app,
    report,
    "intercom-async report run.db",
    "intercom-async report run.db --html run.html",
)
guarded(
    app,
    export,
    "intercom-async export run.db --csv --state failed,unknown --output left.csv",
    "intercom-async export run.db --jsonl | jq .state",
)

jobs.add_to(app)
