"""A report in the terminal, with or without colours, with or without more than ASCII."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from intercom_async.cli.display import STYLES
from intercom_async.cli.report import blocks, words
from intercom_async.cli.report.facts import Cause, Facts, Session
from intercom_async.cli.report.timeline import Axis, lay_out, shows

WIDEST: Final = 100
"""Characters of a line, however wide the terminal is."""

GUTTER: Final = 10
"""Characters left of a chart."""

HEIGHT: Final = 6
"""Lines of the large chart."""

CAUSES: Final = 20
"""Causes that are shown; the HTML file and the JSON have all."""

_PLAIN: Final = str.maketrans({"·": "-", "│": "|"})


def show(console: Console, facts: Facts) -> None:
    """Print a report for a person."""
    ascii_only = not console.encoding.lower().startswith("utf")
    for part in TextReport(facts, min(console.width, WIDEST), ascii_only=ascii_only).parts():
        console.print(part, highlight=False, soft_wrap=isinstance(part, Text))


class TextReport:
    """A report as things that rich can print.

    Args:
        facts: what to report.
        width: characters of a line.
        ascii_only: nothing beyond ASCII.
    """

    def __init__(self, facts: Facts, width: int, *, ascii_only: bool) -> None:
        self._facts = facts
        self._width = max(40, width)
        self._ascii_only = ascii_only

    def parts(self) -> Iterator[RenderableType]:
        """Yield the report from top to bottom."""
        facts = self._facts
        yield self._text(words.verdict(facts), "bold green" if facts.complete else "bold yellow")
        origin = [facts.path, f"begun {words.day_and_time(facts.first[0].began)} UTC"]
        origin += [f"{key} {value}" for key, value in words.facts_of_header(facts)]
        yield self._text(" · ".join(origin), "dim")
        yield Text()
        if facts.pairs:
            yield self._outcomes()
            yield Text()
        yield self._costs()
        yield Text()
        for remark in words.remarks(facts):
            yield self._text(remark, "yellow")
        yield from self._picture()
        if facts.sessions > 1:
            yield Text()
            yield self._sessions()
        yield from self._causes()

    def _text(self, text: str, style: str = "") -> Text:
        plain = text.translate(_PLAIN) if self._ascii_only else text
        return Text(words.printable(plain, ascii_only=self._ascii_only, most=2000), style)

    def _outcomes(self) -> Table:
        facts = self._facts
        table = _table(True, False, True, False)
        for outcome, count in facts.outcomes.items():
            if count:
                table.add_row(
                    self._text(f"{count:,}", STYLES[outcome]),
                    self._text(words.name(outcome), STYLES[outcome]),
                    self._text(words.share(count, facts.pairs)),
                    self._text(words.ADVICE[outcome], "dim"),
                )
        return table

    def _costs(self) -> Table:
        facts, tally = self._facts, self._facts.tally
        table = _table(False, False)
        table.add_row("pairs", self._text(f"{facts.pairs:,} recorded, {facts.settled:,} settled"))
        table.add_row(
            "requests",
            self._text(
                f"{tally.requests:,}, of which {tally.retries:,} were retries or checks; "
                f"{tally.refusals:,} further ones refused by the rate limit"
            ),
        )
        time = f"{words.span(facts.elapsed)} at work"
        if facts.sessions > 1:
            time += f" in {facts.sessions:,} sessions"
        if facts.rate is not None:
            time += f", {words.rate(facts.rate)} pairs/s on average"
        if facts.utilisation is not None:
            time += f", {facts.utilisation:.0%} of the quota"
        table.add_row("time", self._text(time))
        return table

    # --- the picture ---------------------------------------------------------------------------

    def _picture(self) -> Iterator[Text]:
        axis = lay_out(self._facts.timeline, most=self._width - GUTTER - 16)
        if axis.columns < 2:
            return
        yield Text()
        peak = axis.highest("requests")
        quota = (self._facts.quota or 0) / 10
        highest = max(peak, quota) if shows(quota, peak) else peak
        said = f"requests per second; a column is {words.span(axis.width)}"
        if self._facts.quota:
            said += f"; the quota is {self._facts.quota:,} in 10 s"
        yield self._text(said, "bold")
        rows = [
            blocks.columns(
                axis.rates(stretch, "requests"),
                highest,
                height=HEIGHT,
                ascii_only=self._ascii_only,
            )
            for stretch in axis.stretches
        ]
        level = math.ceil(HEIGHT * quota / highest) if 0 < quota <= highest else None
        for row, parts in enumerate(zip(*rows, strict=True)):
            label = words.rate(highest) if not row else "0" if row == HEIGHT - 1 else ""
            line = self._chart_line(label, parts, "blue")
            if level == HEIGHT - row:
                line.append_text(self._text(" quota", "dim"))
            yield line
        for attribute, label, style in (
            ("settled", "settled", "green"),
            ("retries", "retries", "yellow"),
            ("refusals", "refused", "red"),
        ):
            top = axis.highest(attribute)
            sparks = [
                blocks.spark(axis.rates(stretch, attribute), top, ascii_only=self._ascii_only)
                for stretch in axis.stretches
            ]
            line = self._chart_line(label, sparks, style)
            line.append(f" up to {words.rate(top)}/s" if top else " none", "dim")
            yield line
        yield self._text(" " * GUTTER + _times(axis), "dim")
        if axis.pauses:
            shown = ", ".join(words.span(pause) for pause in axis.pauses[:8])
            more = ", ..." if len(axis.pauses) > 8 else ""
            yield self._text(f"{' ' * GUTTER}/ cut out: {shown}{more}", "dim")

    def _chart_line(self, label: str, parts: Sequence[str], style: str) -> Text:
        line = self._text(f"{label:>{GUTTER - 2}} ")
        line.append_text(self._text("│", "dim"))
        for number, part in enumerate(parts):
            if number:
                line.append_text(self._text("/", "dim"))
            line.append(part, style)
        line.append_text(self._text("│", "dim"))
        return line

    # --- the details ---------------------------------------------------------------------------

    def _sessions(self) -> Table:
        facts = self._facts
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("session", "begun (UTC)", "at work", "pairs", "pairs/s", "pause before", ""):
            table.add_column(title, justify="left" if title.startswith("begun") else "right")
        for session in facts.first:
            table.add_row(*self._session(session))
        hidden = facts.sessions - len(facts.known_sessions)
        if hidden:
            table.add_row("...", f"{hidden:,} more")
        for session in facts.last:
            table.add_row(*self._session(session))
        return table

    def _session(self, session: Session) -> tuple[str, ...]:
        worked = session.worked
        return (
            str(session.number),
            words.day_and_time(session.began),
            words.span(worked),
            f"{session.tally.records:,}",
            words.rate(session.tally.records / worked) if worked else "",
            "" if session.pause is None else words.span(session.pause),
            "another input" if session.new_input else "",
        )

    def _causes(self) -> Iterator[Text]:
        causes = self._facts.causes
        for cause in itertools.islice(causes, CAUSES):
            yield Text()
            yield from self._cause(cause)
        if len(causes) > CAUSES:
            rest = sum(cause.count for cause in causes[CAUSES:])
            yield Text()
            yield self._text(f"{len(causes) - CAUSES:,} more causes, {rest:,} pairs", "dim")

    def _cause(self, cause: Cause) -> Iterator[Text]:
        line = self._text(f"{cause.count:,} {words.name(cause.outcome)}", STYLES[cause.outcome])
        line.append_text(self._text(f"  {words.reason(cause)}", "bold"))
        yield line
        if cause.pattern:
            yield self._text(f"    {words.printable(cause.pattern)}")
        for record in cause.examples:
            request = f", request id {record.request_id}" if record.request_id else ""
            yield self._text(
                f"    pair {record.ordinal:,}: conversation {record.conversation_id}, "
                f"contact {record.contact_id}{request}",
                "dim",
            )


def _table(*rights: bool) -> Table:
    """Return a table without lines; each column is flush right or not."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for right in rights:
        table.add_column(justify="right" if right else "left")
    return table


def _times(axis: Axis) -> str:
    """Return the beginnings of the stretches and the end, as far as there is room."""
    line = ""
    place = 0
    for stretch in axis.stretches:
        if place >= len(line) + 2 or not line:
            line = line.ljust(place) + words.time_of_day(stretch.start)
        place += len(stretch.columns) + 1
    end = axis.stretches[-1].start + axis.width * len(axis.stretches[-1].columns)
    told = words.time_of_day(end)
    at = place - 1 - len(told)
    return line.ljust(at) + told if at >= len(line) + 2 else line
