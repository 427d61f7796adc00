"""The end of a run: its summary, its exit status, and the command that goes on."""

import json
import shlex
import sys
from pathlib import Path

import attrs
import msgspec
from rich.console import Console

from intercom_async.bulk import DetachSummary
from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.options import ChangeOptions
from intercom_async.cli.printing import print_out, say
from intercom_async.cli.running import CommandError
from intercom_async.cli.summary import WARNING, show_people, show_strangers, show_summary
from intercom_async.detaching import Outcome
from intercom_async.journal import JournalWriteError
from intercom_async.journal.people import PersonState
from intercom_async.people import PeopleSummary


@attrs.frozen(kw_only=True)
class Ending:
    """A run that has ended.

    Attributes:
        people: None in a run of pairs.
        strangers: how many absent contacts were looked up, and how many are unknown.
        missing: which part of the run's input was not read, and what to do.
        lost: the error that kept results from the output.
    """

    options: ChangeOptions
    summary: DetachSummary
    people: PeopleSummary | None
    strangers: dict[str, int] | None
    bad_lines: int
    journal: Path | None
    missing: str | None
    lost: OSError | None
    interrupted: bool

    def show(self, console: Console, failure: Exception | None) -> ExitStatus:
        """Print the summary; raise what made the run fail or kept results from the output."""
        if failure is not None and not self.summary.total:
            if isinstance(failure, JournalWriteError):  # the journal could not be created
                raise CommandError(str(failure), ExitStatus.USAGE) from failure
            raise failure
        status = self._status()
        if self.options.as_json:
            self._print_json(console)
        else:
            self._show_text(console)
        if self.missing is not None:
            say(console, self.missing, "bold yellow")
        if status is not ExitStatus.SETTLED or self.lost or failure:
            self._show_how_to_go_on(console)
        if failure is not None:
            raise failure
        if isinstance(self.lost, BrokenPipeError):
            return ExitStatus.INTERRUPTED
        if self.lost is not None:
            reason = self.lost.strerror or self.lost
            raise CommandError(f"{self.options.output}: {reason}; results are missing in it")
        return status

    def _status(self) -> ExitStatus:
        if self.summary.stopped_by is not None:
            return ExitStatus.STOPPED
        if self.interrupted:
            return ExitStatus.INTERRUPTED
        all_settled = self.summary.settled == self.summary.total
        done = all_settled and self.summary.input_ended and not self.bad_lines
        if self.people is not None:
            done = done and self.people.states.get(PersonState.DONE, 0) == self.people.total
        return ExitStatus.SETTLED if done else ExitStatus.SOME_FAILED

    def _print_json(self, console: Console) -> None:
        facts = {"bad_lines": self.bad_lines, "dry_run": self.options.dry_run}
        document = {**self.summary.to_dict(), **facts}
        if self.people is not None:
            document["people"] = msgspec.to_builtins(self.people)
        if self.strangers is not None:
            document["absent_contacts"] = self.strangers
        try:
            print_out(json.dumps(document))
        except OSError:  # the summary must not be lost with standard output
            self._show_text(console)
            raise

    def _show_text(self, console: Console) -> None:
        dry_run = self.options.dry_run
        show_summary(console, self.summary, bad_lines=self.bad_lines, dry_run=dry_run)
        if self.people is not None:
            show_people(console, self.people)
        if self.strangers is not None:
            show_strangers(console, **self.strangers)
        if self.summary.outcomes[Outcome.DETACHED] and not dry_run:
            say(console, WARNING, "dim")

    def _show_how_to_go_on(self, console: Console) -> None:
        summary = self.summary
        unread = not (summary.input_ended or self.missing)
        if self.options.dry_run or not (unread or summary.settled < summary.total):
            return
        arguments = ["intercom-async", *sys.argv[1:]]
        hint = "to go on" if summary.stopped_by is None else "to go on when that is mended"
        if self.journal is None:
            hint += " (settled pairs are sent again, which is safe; --journal FILE avoids it)"
        elif self.options.source == "-" and summary.input_ended:
            at = len(arguments) - 1 - arguments[::-1].index("-")
            arguments[at] = str(self.journal)
        elif self.options.source == "-":
            hint += ", with the same input"
        say(console, f"{hint}:")
        say(console, f"  {shlex.join(arguments)}", "bold")
