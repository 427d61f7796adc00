"""The commands `detach` and `attach`: one run from its input to its summary."""

import json
import math
import os
import shlex
import subprocess
import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
import typer
from rich.console import Console
from rich.text import Text

from intercom_async.bulk import DetachRun, DetachSummary
from intercom_async.cli.display import Display, show_summary
from intercom_async.cli.feed import Feed
from intercom_async.cli.files import Results, journal_files, refuse_same_files
from intercom_async.cli.inputs import Input, find_input
from intercom_async.cli.options import BulkOptions
from intercom_async.cli.people import (
    LOOKED_AT,
    WARNING,
    people_line,
    show_limits,
    show_people,
    show_strangers,
    strangers,
)
from intercom_async.cli.running import CannotWriteError, ExitStatus, amount, print_out, say, span
from intercom_async.cli.signals import asking, interrupts
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
from intercom_async.journal import Journal, JournalMismatchError, JournalWriteError
from intercom_async.journal.people import PersonState
from intercom_async.model import Identity
from intercom_async.pacing.server_clock import WINDOW
from intercom_async.people import PeopleSummary
from intercom_async.transport.retrying import RetryPolicy

_STANDARD_OUTPUT: Final = 1  # the file descriptor


async def bulk(options: BulkOptions) -> ExitStatus:
    """Check everything that can be checked first, then ask, run, and print the summary."""
    console = Console(stderr=True)
    admin_id = options.admin()
    given = find_input(options, console)
    journal = None if options.dry_run else options.journal or given.journal
    _keep_apart(options, given, journal)
    async with options.open_client(reserve=options.reserve) as client:
        _check_binding(given, client, None)
        total = await _count(options, given, console)
        identity = await _identify(client, console)
        _check_binding(given, client, identity)
        resumes = journal is not None and journal.is_file() and journal.stat().st_size > 0
        question = _question(
            options, client, identity, admin_id, given=given, total=total, resumes=resumes
        )
        if total != 0 and not _confirmed(options, question, console):
            say(console, "nothing was done")
            return ExitStatus.INTERRUPTED
        if given.name == "standard input" and sys.stdin.isatty():
            end = "Ctrl-Z and Enter" if sys.platform == "win32" else "Ctrl-D"
            say(console, f"reading pairs from the terminal; end with {end}", "dim")
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
            interrupter = Interrupter(run, console)
            failure: Exception | None = None
            also = None if search is None else lambda: people_line(search.summary)
            display = Display(
                console,
                run,
                total=None if search else total,
                also=also,
                dry_run=options.dry_run,
            )
            absent: set[str] = set()
            with interrupts(interrupter):
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
                summary = run.summary
                if given.lines is None:  # it read nothing; the journal knows whether all was read
                    ended = given.missing is None and (search is None or summary.input_ended)
                    summary = attrs.evolve(summary, input_ended=ended)
                people = None if search is None else search.summary
                asked = await strangers(client, summary, absent)
                bad = 0 if feed is None else feed.bad
                ending = _Ending(options, console, summary, people, asked, bad, journal, given)
                return ending.show(failure, results.lost, interrupted=interrupter.presses > 0)


def _keep_apart(options: BulkOptions, given: Input, journal: Path | None) -> None:
    """Refuse to write a file that is read."""
    read = [*given.files.items()]
    if options.token_file is not None:
        read.append(("--token-file", options.token_file))
    written: list[tuple[str, Path | int]] = []
    if journal is not None:
        written += [("--journal", file) for file in journal_files(journal)]
    if options.output is not None:
        standard = str(options.output) == "-"
        written.append(("--output", _STANDARD_OUTPUT if standard else options.output))
    if options.dry_run and options.journal is not None:
        raise InvalidArgumentError("--journal", str(options.journal), "left out in a dry run")
    refuse_same_files(read, written)


def _check_binding(given: Input, client: IntercomClient, identity: Identity | None) -> None:
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
    if (found := given.binding.mismatch(now)) is not None:
        what, expected, got = found
        raise JournalMismatchError(given.name, what=what, expected=expected, found=got)


async def _count(options: BulkOptions, given: Input, console: Console) -> int | None:
    """Return how many pairs there are; --strict stops here, before anything is sent."""
    total = given.total
    if given.countable and given.lines is not None:
        with console.status(Text(f"reading {readable(given.name)}")):
            total = await Feed(given.lines(), given.name, strict=options.strict).count()
    return total if total is None or options.limit is None else min(total, options.limit)


async def _identify(client: IntercomClient, console: Console) -> Identity | None:
    """Ask whose token it is: a wrong one is one message here, and one per pair later."""
    try:
        return await client.with_options(retry=RetryPolicy(attempts=2)).whoami()
    except (AuthenticationError, PermissionDeniedError, ConnectionFailedError) as error:
        say(console, f"error: nothing was sent: {error}", "red")
        raise typer.Exit(ExitStatus.STOPPED) from None
    except IntercomError:
        return None  # the pairs may work all the same


def _question(
    options: BulkOptions,
    client: IntercomClient,
    identity: Identity | None,
    admin_id: str | None,
    *,
    given: Input,
    total: int | None,
    resumes: bool,
) -> str:
    """Return the question that names what is about to happen."""
    how_many = "contacts" if total is None else amount(total, "contact")
    text = f"{options.verb.capitalize()} {'the rest of ' if resumes else ''}{how_many}"
    if given.by is not None:
        text += " from every group conversation"
    app = None if identity is None else identity.app
    if app is not None:
        region = f" ({readable(app.region, 20)})" if app.region else ""
        text += f" in {readable(app.name or app.id_code or 'this workspace', 80)}{region}"
    if identity is not None and admin_id in {None, identity.id}:
        text += f" as {readable(identity.name or 'admin', 80)} ({identity.id})"
    elif admin_id is not None:
        text += f" as admin {readable(admin_id, 80)}"
    limit = None if client.rate_limit is None else client.rate_limit.limit
    if total and limit and given.by is None:
        rate = limit * 60 / WINDOW
        minutes = math.ceil(total / rate)
        time = "less than a minute" if minutes <= 1 else f"about {span(minutes * 60)}"
        text += f", {time} at {float(f'{rate:.2g}'):,.0f} a minute"
    return f"{text}?"


def _confirmed(options: BulkOptions, question: str, console: Console) -> bool:
    """Ask before anything is changed, unless nobody is at the terminal."""
    if options.yes or options.dry_run or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    try:
        with asking():
            if options.verb == "detach":
                say(console, WARNING, "dim")
            console.print(Text(f"{question} [y/N] "), end="", soft_wrap=True)
            answer = sys.stdin.readline()
    except KeyboardInterrupt:
        answer = ""
    if not answer.endswith("\n"):
        console.print()
    return answer.strip().lower() in {"y", "yes"}


@attrs.frozen
class _Ending:
    """A run that has ended: its summary on the screen and its exit status."""

    options: BulkOptions
    console: Console
    summary: DetachSummary
    people: PeopleSummary | None
    strangers: tuple[int, int] | None
    bad_lines: int
    journal: Path | None
    given: Input

    def show(
        self, failure: Exception | None, lost: OSError | None, *, interrupted: bool
    ) -> ExitStatus:
        """Print the summary; raise what made the run fail or kept results from the output."""
        if failure is not None and not self.summary.total:
            if isinstance(failure, JournalWriteError):  # the journal could not even be created
                say(self.console, f"error: {failure}", "red")
                return ExitStatus.USAGE
            raise failure
        status = self._status(interrupted=interrupted)
        self._show_summary()
        if self.given.missing is not None:
            say(self.console, self.given.missing, "bold yellow")
        if status is not ExitStatus.SETTLED or lost is not None or failure is not None:
            self._show_how_to_go_on()
        if failure is not None:
            raise failure
        if isinstance(lost, BrokenPipeError):
            return ExitStatus.INTERRUPTED
        if lost is not None:
            raise CannotWriteError(
                f"{self.options.output}: {lost.strerror or lost}; results are missing in it"
            )
        return status

    def _status(self, *, interrupted: bool) -> ExitStatus:
        if self.summary.stopped_by is not None:
            return ExitStatus.STOPPED
        if interrupted:
            return ExitStatus.INTERRUPTED
        all_settled = self.summary.settled == self.summary.total
        done = all_settled and self.summary.input_ended and not self.bad_lines
        if self.people is not None:
            done = done and self.people.states.get(PersonState.DONE, 0) == self.people.total
        return ExitStatus.SETTLED if done else ExitStatus.SOME_FAILED

    def _show_summary(self) -> None:
        if not self.options.as_json:
            self._show_text()
            return
        facts = {"bad_lines": self.bad_lines, "dry_run": self.options.dry_run}
        document = {**self.summary.to_dict(), **facts}
        if self.people is not None:
            document["people"] = msgspec.to_builtins(self.people)
        if self.strangers is not None:
            asked, unknown = self.strangers
            document["absent_contacts"] = {"asked": asked, "unknown": unknown}
        try:
            print_out(json.dumps(document))
        except OSError:  # the summary must not be lost with standard output
            self._show_text()
            raise

    def _show_text(self) -> None:
        dry_run = self.options.dry_run
        show_summary(self.console, self.summary, bad_lines=self.bad_lines, dry_run=dry_run)
        if self.people is not None:
            show_people(self.console, self.people)
        if self.strangers is not None:
            show_strangers(self.console, *self.strangers)
        if self.options.verb == "detach" and not dry_run:
            show_limits(self.console, self.summary)

    def _show_how_to_go_on(self) -> None:
        summary = self.summary
        left = summary.settled < summary.total
        if self.options.dry_run or not (left or not (summary.input_ended or self.given.missing)):
            return
        arguments = ["intercom-async", *sys.argv[1:]]
        hint = "to go on" if summary.stopped_by is None else "once that is mended, to go on"
        if self.journal is None:
            hint += " (settled pairs are sent again, which is safe; --journal FILE avoids it)"
        elif self.options.source == "-" and summary.input_ended:
            at = len(arguments) - 1 - arguments[::-1].index("-")
            arguments[at] = str(self.journal)
        elif self.options.source == "-":
            hint += ", with the same input"
        joined = subprocess.list2cmdline(arguments) if os.name == "nt" else shlex.join(arguments)
        say(self.console, f"{hint}:")
        say(self.console, f"  {joined}", "bold")


class Interrupter:
    """Stops a run at a signal: the first lets requests in flight finish, the second does not."""

    def __init__(self, run: DetachRun, console: Console) -> None:
        self._run = run
        self._console = console
        self.presses = 0

    def __call__(self) -> None:
        """Handle one signal."""
        self.presses += 1
        if self.presses == 1:
            say(
                self._console,
                "stopping: requests in flight finish; press Ctrl-C again to stop at once",
                "yellow",
            )
        self._run.stop(immediately=self.presses > 1, drain=False)
