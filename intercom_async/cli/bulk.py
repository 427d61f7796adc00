"""The commands `detach` and `attach`: one run from its input to its summary."""

from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Final

import attrs
from rich.console import Console
from rich.text import Text

from intercom_async.cli.display import Display
from intercom_async.cli.ending import Ending
from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.files import Results, journal_files, refuse_same_files
from intercom_async.cli.inputs import Input, find_input
from intercom_async.cli.options import ChangeOptions
from intercom_async.cli.printing import say
from intercom_async.cli.question import confirmed, question
from intercom_async.cli.running import CommandError, stopping
from intercom_async.cli.summary import LOOKED_AT, people_line, strangers
from intercom_async.client import IntercomClient
from intercom_async.detaching import Outcome
from intercom_async.errors import (
    AuthenticationError,
    ConnectionFailedError,
    IntercomError,
    InvalidArgumentError,
    PermissionDeniedError,
    readable,
)
from intercom_async.journal import Journal
from intercom_async.model import Identity
from intercom_async.transport.retrying import RetryPolicy

_STANDARD_OUTPUT: Final = 1  # the file descriptor


async def bulk(options: ChangeOptions) -> ExitStatus:
    """Check everything that can be checked first, then ask, run, and print the summary."""
    console = Console(stderr=True)
    given = find_input(options, console)
    journal = None if options.dry_run else options.journal or given.journal
    _keep_apart(options, given, journal)
    admin_id = options.admin()
    async with options.open_client(reserve=options.reserve) as client:
        _check_binding(options, given, client, None)
        total = await _count(options, given, console)
        identity = await _identify(client)
        _check_binding(options, given, client, identity)
        resumes = journal is not None and journal.is_file() and journal.stat().st_size > 0
        asked = question(options, given, client, identity, total=total, resumes=resumes)
        if total != 0 and not confirmed(options, asked, console):
            say(console, "not confirmed: nothing was done")
            return ExitStatus.INTERRUPTED
        feed = given.feed(console, strict=options.strict, limit=options.limit)
        search = None
        if given.by is not None:
            search = client.find_pairs(feed, by=given.by, one_per_address=given.one_per_address)
        start = client.attach_contacts if options.verb == "attach" else client.detach_contacts
        extra: Any = {"dry_run": True} if options.dry_run else {}
        with closing(Results(options.output, console, resumes=resumes)) as results:
            run = start(
                search or feed,
                admin_id=admin_id,
                concurrency=options.concurrency,
                journal=None if journal is None else Journal(journal, source=given.source),
                stop_after_missing=None if options.force else 100,
                outage_patience=options.patience * 60,
                **extra,
            )
            display = Display(
                console,
                run,
                total=None if search else total,
                also=None if search is None else lambda: people_line(search.summary),
                dry_run=options.dry_run,
            )
            absent: set[str] = set()
            failure: Exception | None = None
            with stopping(run, console) as interrupted:
                try:
                    async with run, nullcontext() if options.quiet else display:
                        async for result in run:
                            if result.outcome is Outcome.ALREADY_ABSENT and len(absent) < LOOKED_AT:
                                absent.add(result.detach.contact_id)
                            if results.lost is None and not results.write(result):
                                run.stop(drain=False)
                except Exception as error:  # noqa: BLE001  raised again below the summary
                    failure = error
                results.close()
                # Only the journal knows what the run did not read.
                ended = run.summary.input_ended or (feed is None and search is None)
                ended = ended and given.missing is None
                summary = attrs.evolve(run.summary, input_ended=ended)
                stopped = interrupted or summary.stopped_by is not None
                ending = Ending(
                    options=options,
                    summary=summary,
                    people=None if search is None else search.summary,
                    strangers=None if stopped else await strangers(client, summary, absent),
                    bad_lines=0 if feed is None else feed.bad,
                    journal=journal,
                    missing=given.missing,
                    lost=results.lost,
                    interrupted=bool(interrupted),
                )
                return ending.show(console, failure)


def _keep_apart(options: ChangeOptions, given: Input, journal: Path | None) -> None:
    """Refuse to write a file that is read."""
    if options.dry_run and options.journal is not None:
        raise InvalidArgumentError("--journal", str(options.journal), "left out in a dry run")
    if options.dry_run and given.entries is None:
        seen = "is the journal of a run that has read all its input"
        raise InvalidArgumentError("SOURCE", given.name, "an input in a dry run", seen=seen)
    read = ((given.name, given.file), ("--token-file", options.token_file))
    kept = () if journal is None else journal_files(journal)
    output = _STANDARD_OUTPUT if str(options.output) == "-" else options.output
    written = (*(("--journal", file) for file in kept), ("--output", output))
    refuse_same_files(
        [(name, file) for name, file in read if file is not None],
        [(name, file) for name, file in written if file is not None],
    )


def _check_binding(
    options: ChangeOptions, given: Input, client: IntercomClient, identity: Identity | None
) -> None:
    """Refuse the journal of another region or workspace, even as a mere input."""
    if given.binding is None:
        return
    app = None if identity is None else identity.app
    now = attrs.evolve(
        given.binding,
        base_url=client.base_url,
        app_id=None if app is None else app.id_code,
        app_name=None if app is None else app.name,
    )
    given.binding.check(now, journal=str(options.undo or options.source))


async def _count(options: ChangeOptions, given: Input, console: Console) -> int | None:
    """Return how many pairs there are; --strict stops here, before anything is sent."""
    total = given.total
    regular = isinstance(given.file, Path) and given.file.is_file()
    feed = given.feed(None, strict=options.strict, limit=options.limit) if regular else None
    if total is None and feed is not None:
        total = 0
        with console.status(Text(f"reading {readable(given.name)}")):
            async for _ in feed:
                total += 1
    return total


async def _identify(client: IntercomClient) -> Identity | None:
    """Ask whose token it is: a wrong one is one message here, and one per pair later."""
    try:
        return await client.with_options(retry=RetryPolicy(attempts=2)).whoami()
    except (AuthenticationError, PermissionDeniedError, ConnectionFailedError) as error:
        raise CommandError(f"nothing was sent: {error}") from error
    except IntercomError:
        return None  # the pairs may work all the same
