"""How a command begins and ends: its loop, its errors, its exit status."""

import asyncio
import enum
import inspect
import os
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import typer
from rich.console import Console

from intercom_async.cli.signals import interrupts
from intercom_async.cli.sources import SourceError
from intercom_async.errors import IntercomError, InvalidArgumentError, readable
from intercom_async.journal import JournalError, JournalWriteError

LONGEST_LINE: Final = 4000
"""Characters of a message that are shown."""


class ExitStatus(enum.IntEnum):
    """What the process returns to the shell."""

    SETTLED = 0
    SOME_FAILED = 1
    USAGE = 2
    STOPPED = 3
    INTERRUPTED = 4


EXIT_STATUS: Final = (
    "Exit status: 0 all is done; 1 some pairs are not settled, some lines gave no pair, the "
    "input was not read to its end, or no contact was found; 2 something given cannot be used; "
    "3 stopped (token, plan, Intercom away, wrong workspace, full disk); 4 interrupted, not "
    "confirmed, or the reader of the output has gone."
)
"""Shown by every --help; README says it in the same words."""


class CannotWriteError(Exception):
    """A file of the command's own can be written no further; what it cost was told."""


def say(console: Console, message: str, style: str = "") -> None:
    """Print one line as it is: no markup, no highlighting, no folding.

    Names and texts of others are in it, whose control codes must not drive the terminal.
    """
    console.print(
        readable(message, LONGEST_LINE), style=style, markup=False, highlight=False, soft_wrap=True
    )


def print_out(line: str) -> None:
    """Print a line on standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def amount(number: int, noun: str) -> str:
    """Return a number with its noun: "1 pair", "2,000 pairs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def carry_out(work: Callable[[], Coroutine[Any, Any, ExitStatus] | None]) -> ExitStatus:
    """Do a command's work; every error ends in one message and its exit status."""
    try:
        begun = work()
        status = asyncio.run(_watched(begun)) if inspect.iscoroutine(begun) else ExitStatus.SETTLED
        sys.stdout.flush()
    except typer.Exit as ending:
        status = ExitStatus(ending.exit_code)
    except BrokenPipeError:  # whoever read the output has seen enough
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
    """Return an error in words, and the status that it ends in."""
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
