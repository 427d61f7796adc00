"""The commands `detach` and `attach`: pairs from somewhere, one run, an account of it."""

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final, Literal

import attrs
import msgspec
import typer
from rich.console import Console

from intercom_async.bulk.run import DetachRun
from intercom_async.cli.options import open_client, parse_columns
from intercom_async.cli.running import (
    ExitStatus,
    GoodLines,
    as_document,
    carry_out,
    say,
    show_summary,
)
from intercom_async.cli.sources import BadLine, read_pairs
from intercom_async.cli.undoing import Undo
from intercom_async.client import IntercomClient
from intercom_async.detaching import Detach
from intercom_async.errors import (
    AuthenticationError,
    ConnectionFailedError,
    IntercomError,
    InvalidArgumentError,
    PermissionDeniedError,
)
from intercom_async.journal import Header, Journal, JournalWriteError, scan, unsettled
from intercom_async.private_files import rewrite
from intercom_async.transport.verdict import RetryPolicy

_JOURNAL_BEGINS: Final = b'{"journal":'


@attrs.frozen(kw_only=True)
class BulkOptions:
    """What a bulk command was given; see its options."""

    verb: Literal["detach", "attach"]
    source: str | None
    undo: Path | None = None
    with_inferred: bool = False
    dry_run: bool = False
    admin_id: str | None
    region: str
    base_url: str | None
    token_file: Path | None
    version: str
    columns: str | None
    journal: Path | None
    output: Path | None
    concurrency: int | None
    reserve: float
    limit: int | None
    strict: bool
    yes: bool
    as_json: bool
    quiet: bool


@attrs.frozen(kw_only=True)
class _Input:
    """Where the pairs come from.

    Attributes:
        lines: pairs, and lines that gave none.
        name: for messages.
        kind: "file", "standard input" or "journal".
        total: pairs there are about, None when unknown.
        admin_id: who acted in the journal they come from.
    """

    lines: Iterable[Detach | BadLine]
    name: str
    kind: str
    total: int | None = None
    admin_id: str | None = None


async def carry_out_command(options: BulkOptions, console: Console) -> ExitStatus:
    """Do what the command asks for.

    Args:
        options: what it was given.
        console: where people look.

    Raises:
        InvalidArgumentError: something given cannot be used.
        SourceError: the input cannot be read.
        JournalError: a journal cannot be used, or no longer be written.
        OSError: a file cannot be opened or written.
    """
    with ExitStack() as stack:
        client = open_client(
            region=options.region,
            base_url=options.base_url,
            token_file=options.token_file,
            version=options.version,
            reserve=options.reserve,
        )
        given = _open(options, client, stack, console)
        total = given.total
        if total is not None and options.limit is not None:
            total = min(total, options.limit)
        pairs = GoodLines(
            given.lines,
            name=given.name,
            console=console,
            strict=options.strict,
            limit=options.limit,
            total=total,
        )
        first = pairs.look_ahead()
        admin_id = options.admin_id if options.admin_id is not None else given.admin_id
        if admin_id is None and first is not None and first.admin_id is None:
            raise InvalidArgumentError(
                "--admin-id", None, "given unless each pair has an admin_id of its own"
            )
        run = _prepare(options, client, pairs, admin_id, given)
        if not _confirmed(options, total):
            return ExitStatus.INTERRUPTED
        sink = None
        if options.output is not None:
            sink = stack.enter_context(rewrite(options.output))
        async with client:
            if not await _reachable(client, console):
                return ExitStatus.STOPPED
            try:
                status = await carry_out(
                    run,
                    pairs,
                    total=total,
                    sink=sink,
                    console=console,
                    quiet=options.quiet,
                    journal=None if options.journal is None else str(options.journal),
                )
            except JournalWriteError:
                show_summary(console, run.summary, bad_lines=pairs.bad)
                raise
    if options.as_json:
        document = as_document(run.summary, bad_lines=pairs.bad, dry_run=options.dry_run)
        typer.echo(msgspec.json.encode(document).decode())
    else:
        show_summary(console, run.summary, bad_lines=pairs.bad, dry_run=options.dry_run)
    return status


def _prepare(
    options: BulkOptions,
    client: IntercomClient,
    pairs: GoodLines,
    admin_id: str | None,
    given: _Input,
) -> DetachRun:
    journal = None
    if options.journal is not None:
        journal = Journal(options.journal, source={"kind": given.kind, "name": given.name})
    if options.verb == "attach":
        return client.attach_contacts(
            pairs, admin_id=admin_id, concurrency=options.concurrency, journal=journal
        )
    return client.detach_contacts(
        pairs,
        admin_id=admin_id,
        concurrency=options.concurrency,
        journal=journal,
        dry_run=options.dry_run,
    )


def _open(
    options: BulkOptions, client: IntercomClient, stack: ExitStack, console: Console
) -> _Input:
    if options.undo is not None:
        return _open_undo(options.undo, client, console, with_inferred=options.with_inferred)
    source = options.source
    if source is None:
        raise InvalidArgumentError(
            "SOURCE", None, "a file, - for standard input, or --undo JOURNAL"
        )
    columns = parse_columns(options.columns)
    if source == "-":
        lines = read_pairs(sys.stdin.buffer, source, columns=columns)
        return _Input(lines=lines, name=source, kind="standard input")
    path = Path(source)
    stream = stack.enter_context(path.open("rb"))
    if not path.is_file():  # a pipe cannot be looked at beforehand
        return _Input(lines=read_pairs(stream, source, columns=columns), name=source, kind="pipe")
    if _begins(path, _JOURNAL_BEGINS):
        header = _header(path, client)
        admin_id = header.parameters.get("admin_id")
        return _Input(lines=unsettled(path), name=source, kind="journal", admin_id=admin_id)
    return _Input(
        lines=read_pairs(stream, source, columns=columns),
        name=source,
        kind="file",
        total=_count(stream, path),
    )


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def _count(stream: BinaryIO, path: Path) -> int:
    """Return how many pairs a file may hold."""
    lines = sum(1 for line in stream if line.strip())
    stream.seek(0)
    with path.open("rb") as peeked:
        has_header = peeked.read(64).lstrip()[:1] not in {b"{", b"["}
    return max(0, lines - has_header)


def _header(path: Path, client: IntercomClient) -> Header:
    """Return a journal's header; its pairs must belong to the workspace's own address."""
    header = next(iter(scan(path)))
    assert isinstance(header, Header)  # noqa: S101  `scan` yields it first
    told = header.parameters.get("base_url")
    if told is not None and told != client.base_url:
        raise InvalidArgumentError(
            "--base-url or --region",
            client.base_url,
            f"the address that the journal {path} belongs to, {told}",
        )
    return header


def _open_undo(
    path: Path, client: IntercomClient, console: Console, *, with_inferred: bool
) -> _Input:
    header = _header(path, client)
    if header.parameters.get("operation", "detach") != "detach":
        raise InvalidArgumentError("--undo", str(path), "the journal of a detach")
    undo = Undo(path, with_inferred=with_inferred)
    undo.show_left_out(console)
    admin_id = header.parameters.get("admin_id")
    return _Input(lines=undo, name=str(path), kind="journal", total=len(undo), admin_id=admin_id)


def _confirmed(options: BulkOptions, total: int | None) -> bool:
    """Ask before changing anything, if there is somebody to ask."""
    if options.yes or options.dry_run or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    how_many = "contacts" if total is None else f"{total:,} contacts"
    return typer.confirm(f"{options.verb.capitalize()} {how_many}?", err=True)


async def _reachable(client: IntercomClient, console: Console) -> bool:
    """Ask who the token belongs to, so that a wrong one is one message and not one per pair."""
    try:
        await client.with_options(retry=RetryPolicy(attempts=2)).whoami()
    except (AuthenticationError, PermissionDeniedError, ConnectionFailedError) as error:
        say(console, f"error: nothing was sent: {error}", "red")
        return False
    except IntercomError:
        return True  # an odd answer to this question says nothing about the pairs
    return True
