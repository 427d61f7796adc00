"""The progress of a run on the screen, as a live line or as plain lines."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Self

import attrs
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from intercom_async.bulk import DetachRun, DetachSummary
from intercom_async.cli.printing import span
from intercom_async.cli.states import LOOKS, name
from intercom_async.detaching import Outcome
from intercom_async.errors import readable
from intercom_async.observing import OutageStatus
from intercom_async.pacing.server_clock import WINDOW

_LIVE_INTERVAL: Final = 0.1
_PLAIN_INTERVAL: Final = 5.0
_AVERAGED: Final = 5.0  # seconds over which the rate is averaged

_WOULD_BE: Final = {Outcome.DETACHED, Outcome.REFUSED_LAST_CONTACT}


def outcome_counts(summary: DetachSummary, *, dry_run: bool = False) -> Text:
    """Return the count of each outcome that occurred, in colour."""
    text = Text()
    for outcome, count in summary.outcomes.items():
        if count:
            would = "would be " if dry_run and outcome in _WOULD_BE else ""
            text.append(f"{count:,} {would}{name(outcome)}  ", LOOKS[outcome].colour)
    return text


async def show_live(console: Console, picture: Callable[[], RenderableType]) -> None:
    """Show a moving picture until cancelled; return at once where the console cannot do that."""
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            while True:
                live.update(picture(), refresh=True)
                await asyncio.sleep(_LIVE_INTERVAL)


@attrs.define
class Display:
    """An async context manager that shows a run's progress.

    Attributes:
        also: returns a second line.
    """

    _console: Console
    _run: DetachRun
    total: int | None = None
    also: Callable[[], str] | None = None
    dry_run: bool = False
    _samples: deque[tuple[float, int]] = attrs.field(init=False, factory=lambda: deque([(0.0, 0)]))
    _task: asyncio.Task[None] = attrs.field(init=False)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._show())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _show(self) -> None:
        await show_live(self._console, self.picture)
        while True:
            await asyncio.sleep(_PLAIN_INTERVAL)
            for line in self._lines():
                self._console.print(line, soft_wrap=True, highlight=False)

    def picture(self) -> Table:
        """Return the bar and the lines below it."""
        table = Table.grid()
        if self.total:
            bar = ProgressBar(self.total, self._done(), min(60, self._console.width))
            bar.complete_style = "green" if self._run.outage is None else "yellow"
            bar.finished_style = bar.complete_style
            table.add_row(bar)
        for line in self._lines():
            line.truncate(self._console.width, overflow="ellipsis")
            table.add_row(line)
        return table

    def _lines(self) -> list[Text]:
        lines = [self._progress()]
        if self.also is not None:
            lines.append(Text(self.also(), "dim"))
        if self._run.outage is not None:
            lines.append(_away(self._run.outage))
        return lines

    def _progress(self) -> Text:
        summary, status, total = self._run.summary, self._run.rate_limit, self.total
        done, rate = self._done(), self._rate(summary)
        line = Text().append(f"{done:,}" if total is None else f"{done:,}/{total:,}", "bold")
        if total is not None and rate > 0 and done < total:
            line.append(f"  {span((total - done) / rate)} to go", "dim")
        line.append(f"  {rate:.0f}/s")
        if status is not None and status.limit is not None:
            line.append(f" of {status.limit / WINDOW:.0f}", "dim")
        line.append("  ").append_text(outcome_counts(summary, dry_run=self.dry_run))
        if summary.retries:
            line.append(f"{summary.retries:,} retries  ")
        if summary.refusals:
            line.append(f"{summary.refusals:,} refused")
        return line

    def _done(self) -> int:
        return self._run.summary.total + self._run.summary.settled_before

    def _rate(self, summary: DetachSummary) -> float:
        """Pairs per second over the last few seconds."""
        self._samples.append((summary.elapsed, summary.total))
        while len(self._samples) > 2 and self._samples[0][0] < summary.elapsed - _AVERAGED:
            self._samples.popleft()
        began, before = self._samples[0]
        passed = summary.elapsed - began
        return (summary.total - before) / passed if passed > 0 else 0.0


def _away(outage: OutageStatus) -> Text:
    """Return when Intercom went away, why, and when the run asks again."""
    since = time.strftime("%H:%M:%S", time.localtime(time.time() - outage.since))
    soon = f"in {span(math.ceil(outage.next_look))}" if outage.next_look else "now"
    # The reason comes last: a narrow terminal cuts it.
    line = f"Intercom has been away since {since}, asking again {soon}: {outage.reason}"
    return Text(readable(line), "yellow")
