"""How a command begins and ends: its loop, its signals, and what becomes of its errors."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from intercom_async.bulk import DetachRun
from intercom_async.cli.exit_status import ExitStatus
from intercom_async.cli.lines import SourceError
from intercom_async.cli.printing import say
from intercom_async.cli.signals import ignore_signals, interrupts
from intercom_async.errors import IntercomError, InvalidArgumentError
from intercom_async.journal import JournalError, JournalWriteError


class CommandError(Exception):
    """A command cannot go on; the message says what happened."""

    def __init__(self, message: str, status: ExitStatus = ExitStatus.STOPPED) -> None:
        self.status = status
        super().__init__(message)


def carry_out(work: Callable[[], Coroutine[Any, Any, ExitStatus] | ExitStatus]) -> ExitStatus:
    """Do a command's work; turn every expected error into one message and an exit status."""
    try:
        status = _status_of(work)
    except SystemExit:  # Rich raises it when the reader of the output has gone
        status = ExitStatus.INTERRUPTED
    ignore_signals()
    return status


def _status_of(work: Callable[[], Coroutine[Any, Any, ExitStatus] | ExitStatus]) -> ExitStatus:
    console = Console(stderr=True)
    try:
        begun = work()
        status = asyncio.run(_watched(begun)) if isinstance(begun, Coroutine) else begun
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitStatus.INTERRUPTED
    except (KeyboardInterrupt, asyncio.CancelledError):
        say(console, "interrupted", "red")
        return ExitStatus.INTERRUPTED
    except (CommandError, IntercomError, OSError) as error:
        message, status = _ending(error)
        say(console, f"error: {message}", "red")
    return status


def _ending(error: Exception) -> tuple[str, ExitStatus]:
    if isinstance(error, CommandError):
        return str(error), error.status
    if isinstance(error, OSError) and not isinstance(error, IntercomError):
        reason = error.strerror or error
        if error.filename is None:
            return f"standard output: {reason}", ExitStatus.STOPPED
        return f"{error.filename}: {reason}", ExitStatus.USAGE
    usage = isinstance(error, InvalidArgumentError | SourceError | JournalError)
    usage = usage and not isinstance(error, JournalWriteError)
    return str(error), ExitStatus.USAGE if usage else ExitStatus.STOPPED


async def _watched(work: Coroutine[Any, Any, ExitStatus]) -> ExitStatus:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine runs in a task
    with interrupts(task.cancel):
        return await work


@contextmanager
def stopping(run: DetachRun, console: Console) -> Generator[list[str]]:
    """Stop a run at a signal: the first lets requests in flight finish, the second does not.

    Yields:
        What was said, empty while no signal has come.
    """
    said: list[str] = []

    def stop() -> None:
        run.stop(immediately=bool(said), drain=False)
        if not said:
            said.append("stopping: requests in flight finish; press Ctrl-C again to stop at once")
            say(console, said[0], "yellow")

    with interrupts(stop):
        yield said
