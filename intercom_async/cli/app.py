"""The commands, their options and their help."""

import asyncio
import getpass
import os
import sys
from collections.abc import Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
import typer
from rich.console import Console

from intercom_async._version import __version__
from intercom_async.cli import demo as demonstration
from intercom_async.cli import simulating
from intercom_async.cli.detaching import (
    ExitStatus,
    GoodLines,
    as_document,
    carry_out,
    show_summary,
)
from intercom_async.cli.report import report
from intercom_async.cli.sources import SourceError, read_pairs
from intercom_async.client import TOKEN_VARIABLE, IntercomClient
from intercom_async.errors import (
    AuthenticationError,
    ConnectionFailedError,
    IntercomError,
    InvalidArgumentError,
    PermissionDeniedError,
)
from intercom_async.transport.verdict import RetryPolicy

app = typer.Typer(
    name="intercom-async",
    help="Detach contacts from Intercom conversations, one or millions, within the rate limit.",
    epilog=(
        "Exit status: 0 every pair is settled, 1 some failed or lines were wrong, 2 something "
        "given cannot be used, 3 stopped (token, plan, unreachable), 4 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

errors = Console(stderr=True)

Region = Annotated[str, typer.Option(help="Where the workspace is hosted: us, eu or au.")]
BaseURL = Annotated[
    str | None, typer.Option("--base-url", help="Another address, e.g. a simulator's.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        help=f"File with the access token; default: ${TOKEN_VARIABLE}, else a hidden prompt.",
    ),
]
Version = Annotated[
    str, typer.Option("--intercom-version", help="Value of the Intercom-Version header.")
]


def run() -> None:
    """Run the command line; every error ends in one message and its exit status."""
    try:
        app()
    except InvalidArgumentError as error:
        _fail(str(error), ExitStatus.USAGE)
    except SourceError as error:
        _fail(str(error), ExitStatus.USAGE)
    except OSError as error:
        if isinstance(error, IntercomError):
            _fail(str(error), ExitStatus.STOPPED)
        _fail(f"{error.filename or 'input or output'}: {error.strerror}", ExitStatus.USAGE)
    except IntercomError as error:
        _fail(str(error), ExitStatus.STOPPED)
    except KeyboardInterrupt:
        _fail("interrupted", ExitStatus.INTERRUPTED)


def _fail(message: str, status: ExitStatus) -> None:
    errors.print(f"error: {message}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(status)


def _finish(work: Coroutine[Any, Any, ExitStatus]) -> None:
    raise typer.Exit(asyncio.run(work))


def _token(file: Path | None) -> str | None:
    if file is not None:
        return file.read_text(encoding="utf-8").strip()
    if TOKEN_VARIABLE not in os.environ and sys.stdin.isatty():
        return getpass.getpass("Intercom access token: ").strip()
    return None


def _columns(text: str | None) -> dict[str, str]:
    columns: dict[str, str] = {}
    for part in (text or "").split(","):
        if not part.strip():
            continue
        name, equals, header = part.partition("=")
        if not equals or not header.strip():
            raise InvalidArgumentError(
                "--columns", text, "like conversation_id=Conversation,contact_id=Contact"
            )
        columns[name.strip()] = header.strip()
    return columns


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


@app.command()
def detach(
    source: Annotated[
        str, typer.Argument(help="CSV with a header, or JSON lines; - for standard input.")
    ],
    admin_id: Annotated[
        str | None, typer.Option("--admin-id", help="Admin in whose name it happens.")
    ] = None,
    region: Region = "us",
    base_url: BaseURL = None,
    token_file: TokenFile = None,
    intercom_version: Version = "Preview",
    columns: Annotated[
        str | None,
        typer.Option(help="Header names: conversation_id=...,contact_id=...[,admin_id=...]."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(help="Requests in flight at most; default: computed.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only so many pairs.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Write each result as a JSON line to this file.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first line that gives no pair.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON on standard output.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Remove contacts from conversations, as listed in SOURCE.

    Each pair is settled once: removed, already gone, conversation missing, or refused because
    it is the last contact. Lines that cannot be understood are reported and skipped.

    The first Ctrl-C lets requests in flight finish, the second does not.
    """

    async def work() -> ExitStatus:
        with ExitStack() as stack:
            stream, total = _open(source, stack)
            client = IntercomClient(
                _token(token_file), region=region, base_url=base_url, version=intercom_version
            )
            if total is not None and limit is not None:
                total = min(total, limit)
            lines = read_pairs(stream, source, columns=_columns(columns))
            pairs = GoodLines(
                lines, name=source, console=errors, strict=strict, limit=limit, total=total
            )
            first = pairs.look_ahead()
            if admin_id is None and first is not None and first.admin_id is None:
                raise InvalidArgumentError(
                    "--admin-id", None, "given unless each pair has an admin_id of its own"
                )
            run = client.detach_contacts(pairs, admin_id=admin_id, concurrency=concurrency)
            sink = None if output is None else stack.enter_context(output.open("wb"))
            async with client:
                if not await _reachable(client):
                    return ExitStatus.STOPPED
                status = await carry_out(
                    run, pairs, total=total, sink=sink, console=errors, quiet=quiet
                )
        summary = run.summary
        if as_json:
            document = as_document(summary, bad_lines=pairs.bad)
            typer.echo(msgspec.json.encode(document).decode())
        else:
            show_summary(errors, summary, bad_lines=pairs.bad)
        return status

    _finish(work())


def _open(source: str, stack: ExitStack) -> tuple[BinaryIO, int | None]:
    """Open the source; also return how many pairs it may hold, None when unknown."""
    if source == "-":
        return sys.stdin.buffer, None
    path = Path(source)
    stream = stack.enter_context(path.open("rb"))
    if not path.is_file():
        return stream, None
    with path.open("rb") as counted:
        lines = sum(1 for line in counted if line.strip())
    with path.open("rb") as peeked:
        has_header = peeked.read(64).lstrip()[:1] not in {b"{", b"["}
    return stream, max(0, lines - has_header)


async def _reachable(client: IntercomClient) -> bool:
    """Ask who the token belongs to, so that a wrong one is one message and not one per pair."""
    try:
        await client.with_options(retry=RetryPolicy(attempts=2)).whoami()
    except (AuthenticationError, PermissionDeniedError, ConnectionFailedError) as error:
        errors.print(
            f"error: nothing was sent: {error}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        return False
    except IntercomError:
        return True  # an odd answer to this question says nothing about detaching
    return True


@app.command()
def whoami(
    region: Region = "us",
    base_url: BaseURL = None,
    token_file: TokenFile = None,
    intercom_version: Version = "Preview",
) -> None:
    """Show the admin and the workspace the token belongs to."""

    async def work() -> ExitStatus:
        async with IntercomClient(
            _token(token_file), region=region, base_url=base_url, version=intercom_version
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
