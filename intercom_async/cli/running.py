"""Carrying out a run for a person: lines that are wrong, Ctrl-C, results to a file, exit status."""

import asyncio
import enum
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import IO, Any

import msgspec
from rich.console import Console

from intercom_async.bulk.results import DetachResult, DetachSummary
from intercom_async.bulk.run import DetachRun
from intercom_async.cli.display import Display, duration, outcome_counts
from intercom_async.cli.sources import BadLine, SourceError
from intercom_async.detaching import Detach
from intercom_async.errors import readable

SHOWN_BAD_LINES = 20

LONGEST_LINE = 4000
"""Characters of a message that are shown."""


class ExitStatus(enum.IntEnum):
    """What the process returns to the shell."""

    SETTLED = 0
    SOME_FAILED = 1
    USAGE = 2
    STOPPED = 3
    INTERRUPTED = 4


class GoodLines:
    """The pairs of a source; complains about its bad lines and counts them.

    Args:
        lines: what `read_pairs` yields.
        name: of the source, for messages.
        console: where to complain.
        strict: raise at the first bad line instead.
        limit: pairs to take at most.
        total: pairs there are about, None when unknown; lets the end of a run hurry.
    """

    def __init__(
        self,
        lines: Iterable[Detach | BadLine],
        *,
        name: str,
        console: Console,
        strict: bool,
        limit: int | None,
        total: int | None,
    ) -> None:
        self._total = total
        self._lines = lines
        self._name = name
        self._console = console
        self._strict = strict
        self._limit = limit
        self.bad = 0
        self._first: Detach | None = None

    def look_ahead(self) -> Detach | None:
        """Read up to the first pair and return it: what is wrong with a header is known early.

        Raises:
            SourceError: the input cannot be read, or its first line is wrong and `strict` is on.
        """
        self._lines = iter(self._lines)
        self._first = next(iter(self), None)
        return self._first

    def __length_hint__(self) -> int:
        return NotImplemented if self._total is None else self._total

    def __iter__(self) -> Iterator[Detach]:
        taken = 0
        if self._first is not None:
            taken, first, self._first = 1, self._first, None
            yield first
        for line in self._lines:
            if isinstance(line, BadLine):
                if self._strict:
                    raise SourceError(self._name, line.line, line.problem)
                self._complain(line)
                continue
            if self._limit is not None and taken >= self._limit:
                return
            taken += 1
            yield line

    def _complain(self, line: BadLine) -> None:
        self.bad += 1
        if self.bad <= SHOWN_BAD_LINES:
            say(
                self._console,
                f"{self._name}, line {line.line}: {line.problem}; skipped",
                "yellow",
            )
        if self.bad == SHOWN_BAD_LINES:
            self._console.print("further bad lines are only counted", style="yellow")


def say(console: Console, message: str, style: str) -> None:
    """Print one line as it is: no markup, no highlighting, no folding.

    Names and texts of others are in it, whose control codes must not drive the terminal.
    """
    console.print(
        readable(message, LONGEST_LINE), style=style, markup=False, highlight=False, soft_wrap=True
    )


def as_record(result: DetachResult) -> dict[str, Any]:
    """Return a result as the JSON object that `--output` writes."""
    return {
        "conversation_id": result.detach.conversation_id,
        "contact_id": result.detach.contact_id,
        "outcome": result.outcome.value,
        "inferred": result.inferred,
        "duplicate": result.duplicate,
        "attempts": result.attempts,
        "request_id": result.request_id,
        "error": None if result.error is None else str(result.error),
    }


def as_document(summary: DetachSummary, *, bad_lines: int, dry_run: bool = False) -> dict[str, Any]:
    """Return a summary as the JSON object that `--json` prints."""
    return {
        "dry_run": dry_run,
        "total": summary.total,
        "outcomes": {outcome.value: count for outcome, count in summary.outcomes.items()},
        "inferred": summary.inferred,
        "duplicates": summary.duplicates,
        "settled_before": summary.settled_before,
        "bad_lines": bad_lines,
        "requests": summary.requests,
        "retries": summary.retries,
        "refusals": summary.refusals,
        "elapsed": round(summary.elapsed, 3),
        "ideal": summary.ideal,
        "quota_used": None if summary.quota_used is None else round(summary.quota_used, 4),
        "stopped_by": None if summary.stopped_by is None else str(summary.stopped_by),
    }


@contextmanager
def interrupts(handle: Callable[[], None]) -> Generator[None]:
    """Call `handle` on Ctrl-C instead of raising KeyboardInterrupt, where the system can."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGINT, handle)
    except NotImplementedError:  # Windows: Ctrl-C stays a KeyboardInterrupt
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


class Interrupter:
    """Two presses of Ctrl-C: the first lets requests finish, the second does not.

    Args:
        run: what to stop.
        console: where to say so.
        journal: the run's journal, None for none.
    """

    def __init__(self, run: DetachRun, console: Console, journal: str | None = None) -> None:
        self._run = run
        self._console = console
        self._journal = journal
        self.presses = 0

    def __call__(self) -> None:
        """Take one press."""
        self.presses += 1
        if self.presses == 1:
            resume = (
                "a second run sends again what was settled; with --journal FILE it would not"
                if self._journal is None
                else f"the same command goes on from {self._journal}"
            )
            say(
                self._console,
                "stopping: requests in flight finish; press Ctrl-C again to stop at once "
                f"({resume})",
                "yellow",
            )
            self._run.stop(drain=False)
        else:
            self._run.stop(immediately=True, drain=False)


async def carry_out(
    run: DetachRun,
    pairs: GoodLines,
    *,
    total: int | None,
    sink: IO[bytes] | None,
    console: Console,
    quiet: bool,
    journal: str | None = None,
) -> ExitStatus:
    """Let a run go on to its end, show it, and say how it went.

    Args:
        run: the run, not begun.
        pairs: its input.
        total: pairs there are about, None when unknown.
        sink: where each result goes as a JSON line.
        console: where people look.
        quiet: show no progress.
        journal: the run's journal, None for none.

    Raises:
        SourceError: the input cannot be read (any further).
        IntercomError: the client cannot be used.
        OSError: the output cannot be written.
    """
    interrupter = Interrupter(run, console, journal)
    with interrupts(interrupter):
        async with run, Display(console, run, total=total, quiet=quiet):
            async for result in run:
                if sink is not None:
                    sink.write(msgspec.json.encode(as_record(result)) + b"\n")
    interrupted = interrupter.presses > 0
    return exit_status(run.summary, bad_lines=pairs.bad, interrupted=interrupted)


def exit_status(summary: DetachSummary, *, bad_lines: int, interrupted: bool) -> ExitStatus:
    """Say what a run comes to: the most serious thing that happened."""
    if summary.stopped_by is not None:
        return ExitStatus.STOPPED
    if interrupted:
        return ExitStatus.INTERRUPTED
    if bad_lines or summary.settled < summary.total:
        return ExitStatus.SOME_FAILED
    return ExitStatus.SETTLED


def show_summary(
    console: Console, summary: DetachSummary, *, bad_lines: int, dry_run: bool = False
) -> None:
    """Print the end of a run for a person."""
    if dry_run:
        say(console, "dry run: nothing was changed; this is what would be:", "bold")
    console.print(outcome_counts(summary), highlight=False)
    ideal = f" (the quota allows {duration(summary.ideal)})" if summary.ideal else ""
    say(
        console,
        f"{summary.total:,} pairs accounted for in {duration(summary.elapsed)}{ideal}: "
        f"{summary.requests:,} requests, {summary.retries:,} retries, "
        f"{summary.refusals:,} refused by the rate limit",
        "",
    )
    if summary.settled_before:
        say(console, f"{summary.settled_before:,} pairs were settled by earlier runs", "cyan")
    if summary.duplicates:
        say(console, f"{summary.duplicates:,} pairs occurred again and were sent once", "cyan")
    if summary.inferred:
        say(console, f"{summary.inferred:,} lost replies, confirmed by a check", "")
    if bad_lines:
        say(console, f"{bad_lines:,} lines gave no pair", "yellow")
    if summary.stopped_by is not None:
        say(console, f"stopped: {summary.stopped_by}", "red")
