"""What a person sees while a run goes on: one live line, or plain lines where nobody watches.

`progress_line` only turns numbers into text; `Display` decides when to show it.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from intercom_async.bulk.results import DetachSummary
from intercom_async.bulk.run import DetachRun
from intercom_async.detaching import Outcome
from intercom_async.status import RateLimitStatus

LIVE_INTERVAL: Final = 0.1
PLAIN_INTERVAL: Final = 5.0
RATE_WINDOW: Final = 5.0
"""Seconds over which the shown rate is averaged."""

STYLES: Final = {
    Outcome.DETACHED: "green",
    Outcome.ALREADY_ABSENT: "cyan",
    Outcome.CONVERSATION_MISSING: "cyan",
    Outcome.REFUSED_LAST_CONTACT: "yellow",
    Outcome.FAILED: "red",
    Outcome.UNKNOWN: "bold red",
    Outcome.NOT_ATTEMPTED: "dim",
    Outcome.ATTACHED: "green",
}


def duration(seconds: float) -> str:
    """Return seconds as people write them: "42 s", "3:07", "2:03:07"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def outcome_counts(summary: DetachSummary) -> Text:
    """Return the outcomes that occurred, each with its count, in colour."""
    text = Text()
    for outcome, count in summary.outcomes.items():
        if count:
            text.append(f"{count:,} {outcome.value.replace('_', ' ')}  ", STYLES[outcome])
    return text


def progress_line(
    summary: DetachSummary, status: RateLimitStatus | None, *, rate: float, total: int | None
) -> Text:
    """Return where a run stands, as one line.

    Args:
        summary: the run in numbers.
        status: the quota, None before the first reply.
        rate: pairs per second lately.
        total: pairs there are, None when unknown.
    """
    done = summary.total + summary.settled_before
    text = Text(f"{done:,}" if total is None else f"{done:,}/{total:,}", "bold")
    text.append("  ")
    text.append_text(outcome_counts(summary))
    text.append(f"{rate:.0f}/s")
    if status is not None and status.limit is not None:
        text.append(
            f" of {status.limit / 10:.0f}/s, {status.remaining or 0:,} left for "
            f"{status.resets_in:.0f} s",
            "dim",
        )
    text.append(f"  {summary.retries:,} retries, {summary.refusals:,} refused")
    if total is not None and rate > 0 and done < total:
        text.append(f"  {duration((total - done) / rate)} to go", "dim")
    return text


class Display:
    """Shows a run until left; use as an async context manager.

    Args:
        console: where to.
        run: the run.
        total: pairs there are, None when unknown.
        quiet: show nothing.
    """

    def __init__(
        self, console: Console, run: DetachRun, *, total: int | None, quiet: bool = False
    ) -> None:
        self._console = console
        self._run = run
        self._total = total
        self._quiet = quiet
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None
        self._samples: deque[tuple[float, int]] = deque()

    async def __aenter__(self) -> Self:
        if self._quiet:
            return self
        if self._console.is_terminal:
            self._live = Live(
                self._picture(), console=self._console, auto_refresh=False, transient=True
            )
            self._live.start()
        self._task = asyncio.create_task(self._refresh())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        if self._live is not None:
            self._live.stop()

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(PLAIN_INTERVAL if self._live is None else LIVE_INTERVAL)
            if self._live is None:
                self._console.print(self._line(), soft_wrap=True, highlight=False)
            else:
                self._live.update(self._picture(), refresh=True)

    def _line(self) -> Text:
        summary = self._run.summary
        rate = self._rate(summary)
        return progress_line(summary, self._run.rate_limit, rate=rate, total=self._total)

    def _picture(self) -> Table:
        table = Table.grid(padding=(0, 1))
        if self._total:
            table.add_row(ProgressBar(total=self._total, completed=self._done(), width=60))
        table.add_row(self._line())
        return table

    def _done(self) -> int:
        summary = self._run.summary
        return summary.total + summary.settled_before

    def _rate(self, summary: DetachSummary) -> float:
        """Pairs per second over the last few seconds."""
        self._samples.append((summary.elapsed, summary.total))
        while len(self._samples) > 2 and self._samples[0][0] < summary.elapsed - RATE_WINDOW:
            self._samples.popleft()
        began, before = self._samples[0]
        passed = summary.elapsed - began
        return (summary.total - before) / passed if passed > 0 else 0.0
