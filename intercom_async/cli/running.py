"""How a command begins and ends: its loop, its errors, its exit status."""

import asyncio
import enum
import itertools
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import typer
from rich.console import Console

from intercom_async.cli.signals import interrupts
from intercom_async.cli.text import SourceError
from intercom_async.errors import IntercomError, InvalidArgumentError, readable
from intercom_async.journal import JournalError, JournalWriteError

_LONGEST_LINE: Final = 4000
"""Characters of a message."""


class ExitStatus(enum.IntEnum):
    """What the process returns to the shell."""

    SETTLED = 0
    SOME_FAILED = 1
    USAGE = 2
    STOPPED = 3
    INTERRUPTED = 4


EXIT_STATUS: Final = (
    "Exit status: 0 all is done; 1 some pairs are not settled, some lines gave no pair, the "
    "input was not read to its end, or no contact was found; 2 an option or a file cannot be "
    "used; 3 stopped (token, plan, Intercom away, wrong workspace, full disk); 4 interrupted, not "
    "confirmed, or the reader of the output has gone."
)
"""Every --help ends with it, and README quotes it."""


class CannotWriteError(Exception):
    """One of the command's output files cannot be written; the message says what is lost."""


def say(console: Console, message: str, style: str = "") -> None:
    """Print one line without markup, highlighting or folding.

    Control codes are spelled out: texts of others must not drive the terminal.
    """
    console.print(
        readable(message, _LONGEST_LINE), style=style, markup=False, highlight=False, soft_wrap=True
    )


def print_out(line: str) -> None:
    """Print a line on standard output and flush it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def amount(number: int, noun: str) -> str:
    """Return a number with its noun: "1 pair", "2,000 pairs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def span(seconds: float) -> str:
    """Return a duration as people say it: "0.4 s", "42 s", "3 min 7 s", "2 h 5 min", "4 d"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (unit, size), (smaller, part) in itertools.pairwise(units):
        whole, rest = divmod(round(seconds / part), size // part)
        if whole:
            return f"{whole:,} {unit} {rest} {smaller}" if rest else f"{whole:,} {unit}"
    return f"{round(seconds)} s"


def carry_out(work: Callable[[], Coroutine[Any, Any, ExitStatus] | ExitStatus]) -> ExitStatus:
    """Do a command's work; turn every expected error into one message and an exit status."""
    try:
        begun = work()
        status = asyncio.run(_watched(begun)) if isinstance(begun, Coroutine) else begun
        sys.stdout.flush()
    except typer.Exit as ending:
        status = ExitStatus(ending.exit_code)
    except BrokenPipeError:  # the reader of the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = ExitStatus.INTERRUPTED
    except (KeyboardInterrupt, asyncio.CancelledError):
        say(Console(stderr=True), "interrupted", "red")
        status = ExitStatus.INTERRUPTED
    except (CannotWriteError, IntercomError, OSError) as error:
        message, status = _ending(error)
        say(Console(stderr=True), f"error: {message}", "red")
    return status


def _ending(error: Exception) -> tuple[str, ExitStatus]:
    """Return the message and the exit status for an error."""
    if isinstance(error, OSError) and not isinstance(error, IntercomError):
        reason = error.strerror or error
        if error.filename is None:
            return f"standard output: {reason}", ExitStatus.STOPPED
        return f"{error.filename}: {reason}", ExitStatus.USAGE
    usage = isinstance(error, InvalidArgumentError | SourceError | JournalError)
    if usage and not isinstance(error, JournalWriteError):
        return str(error), ExitStatus.USAGE
    return str(error), ExitStatus.STOPPED


async def _watched(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine runs in a task
    with interrupts(task.cancel):
        return await work
