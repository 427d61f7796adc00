"""A report in the terminal, with or without colours, with or without more than ASCII."""

import itertools
import math
from collections.abc import Iterator
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from intercom_async.cli.report import words
from intercom_async.cli.report.causes import Cause
from intercom_async.cli.report.queries import Facts
from intercom_async.cli.report.timeline import Axis, lay_out
from intercom_async.errors import readable

STYLES: Final = {
    "detached": "green",
    "attached": "green",
    "already_absent": "cyan",
    "conversation_missing": "cyan",
    "refused_last_contact": "yellow",
    "failed": "red",
    "unknown": "bold red",
}
WIDEST: Final = 100
GUTTER: Final = 12
"""Characters left of a chart."""

HEIGHT: Final = 6
"""Lines of the large chart."""

MOST: Final = 20
"""Causes, workspaces and sessions that are shown; the JSON has more."""

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
ASCII: Final = " ..::++##"
_PLAIN: Final = str.maketrans({"│": "|", "…": "~"})


def rendered(facts: Facts, path: str) -> str:
    """Return a report for a person at standard output, whatever that can show."""
    console = Console(highlight=False)
    with console.capture() as captured:
        report = _Report(facts, path, console)
        for part in report.parts():
            console.print(part, soft_wrap=isinstance(part, Text) and part.no_wrap is True)
    return captured.get()


class _Report:
    def __init__(self, facts: Facts, path: str, console: Console) -> None:
        self._facts = facts
        self._path = path
        self._ascii_only = not console.encoding.lower().startswith("utf")
        self._width = max(40, min(console.width, WIDEST))

    def parts(self) -> Iterator[RenderableType]:
        facts = self._facts
        yield self._text(words.verdict(facts), "bold green" if facts.complete else "bold yellow")
        yield self._text(", ".join([self._path, *words.origin(facts)]), "dim")
        first, last = words.moment(facts.first_record), words.moment(facts.last_record)
        if facts.pairs:
            yield self._text(f"from {first} to {last} (UTC)", "dim")
            yield Text()
            yield self._outcomes()
        yield Text()
        table = _table("<><")
        for name, number, more in words.numbers(facts):
            table.add_row(self._text(name), self._text(number), self._text(more, "dim"))
        yield table
        for remark in words.remarks(facts):
            yield Text()
            yield self._text(remark, "yellow")
        yield from self._chart()
        if len(facts.workspaces) > 1:
            yield Text()
            yield self._workspaces()
        if len(facts.sessions) > 1:
            yield Text()
            yield self._sessions()
        for cause in facts.causes[:MOST]:
            yield Text()
            yield from self._cause(cause)
        if rest := facts.causes[MOST:]:
            yield Text()
            pairs = words.amount(sum(cause.pairs for cause in rest), "pair")
            yield self._text(f"{words.amount(len(rest), 'more cause')}, {pairs}", "dim")
        for state in dict.fromkeys(cause.state for cause in facts.causes):
            yield self._command(f"to list what is {words.name(state)}", state)
        if command := words.go_on(facts, self._path):
            yield Text()
            yield self._text("To go on:", "bold")
            yield self._line(f"  {command}", "bold")

    def _text(self, text: str, style: str = "") -> Text:
        plain = readable(text, 2000)
        if self._ascii_only:
            plain = plain.translate(_PLAIN).encode("ascii", "backslashreplace").decode()
        return Text(plain, style)

    def _line(self, text: str, style: str = "") -> Text:
        """A line that is never folded, so that it can be pasted."""
        line = self._text(text, style)
        line.no_wrap = True
        return line

    def _command(self, what: str, state: str) -> Text:
        return self._line(f"{what}: {words.export_of(state, self._path)}", "dim")

    def _outcomes(self) -> Table:
        table = _table("><><")
        for state, count in self._facts.states.items():
            style = STYLES.get(state, "dim")
            table.add_row(
                self._text(f"{count:,}", style),
                self._text(words.name(state), style),
                self._text(words.share(count, self._facts.pairs)),
                self._text(words.ADVICE.get(state, ""), "dim"),
            )
        return table

    def _workspaces(self) -> Table:
        table = _table("<<>>", "workspace", "name", "pairs", "not settled")
        ordered = sorted(self._facts.workspaces, key=lambda one: (-one.left, -one.pairs))
        for one in ordered[:MOST]:
            told = (one.workspace, one.app_name or one.app_id or "", f"{one.pairs:,}")
            table.add_row(*map(self._text, told), self._text(f"{one.left:,}"))
        if len(ordered) > MOST:
            table.add_row(self._text("..."), self._text(f"{len(ordered) - MOST:,} more"))
        return table

    def _sessions(self) -> Table:
        titles = ("#", "begun (UTC)", "at work", "requests", "retries", "refused", "ended")
        table = _table("><>>>><", *titles)
        hidden = len(self._facts.sessions) - MOST
        if hidden > 0:
            table.add_row("...", self._text(f"{hidden:,} earlier ones"))
        for one in self._facts.sessions[-MOST:]:
            told = (f"{one.number:,}", words.moment(one.started_at), words.span(one.elapsed))
            cost = (f"{number:,}" for number in (one.requests, one.retries, one.refusals))
            table.add_row(*map(self._text, (*told, *cost, words.ending(one))))
        return table

    def _cause(self, cause: Cause) -> Iterator[Text]:
        style = STYLES.get(cause.state, "dim")
        line = self._text(f"{cause.pairs:,} {words.name(cause.state)}", style)
        yield line.append_text(self._text(f"  {cause.meaning}", "bold"))
        if cause.name or cause.message:
            said = ": ".join(part for part in (cause.name, cause.message) if part)
            yield self._text(f"    {readable(said)}")
        one = cause.examples[0]
        where = f" in {one.workspace}" if one.workspace else ""
        request = f" (request id {one.request_id})" if one.request_id else ""
        ids = f"conversation {one.conversation_id}, contact {one.contact_id}"
        yield self._line(f"    for example {ids}{where}{request}", "dim")

    # --- the chart -----------------------------------------------------------------------------

    def _chart(self) -> Iterator[Text]:
        axis = lay_out(self._facts.slots, self._facts.base, most=self._width - GUTTER - 18)
        if sum(1 for _ in axis.times) < 2:
            return
        peak = max(column.pairs for _, column in axis.times) / axis.width
        quota = (self._facts.quota or 0) / 10
        highest = max(peak, quota) if quota <= 4 * peak else peak
        yield Text()
        yield self._text(f"pairs per second; a column is {words.span(axis.width)}", "bold")
        level = math.ceil(HEIGHT * quota / highest) if 0 < quota <= highest else None
        for row in reversed(range(HEIGHT)):
            label = words.rate(highest) if row == HEIGHT - 1 else "" if row else "0"
            line = self._bars(axis, "pairs", label, highest, row, HEIGHT, "blue")
            if level == row + 1:
                line.append_text(self._text(" quota", "dim"))
            yield line
        for member, label, style in (
            ("unsettled", "not settled", "red"),
            ("retries", "retries", "yellow"),
            ("refusals", "refused", "red"),
        ):
            top = axis.highest(member)
            line = self._bars(axis, member, label, top, 0, 1, style)
            yield line.append(f" up to {words.rate(top)}/s" if top else " none", "dim")
        yield self._text(" " * GUTTER + " " + _times(axis), "dim")
        if axis.pauses:
            told = ", ".join(words.span(pause) for pause in axis.pauses[:5])
            more = ", ..." if len(axis.pauses) > 5 else ""
            yield self._text(f"{' ' * GUTTER} / cut out: {told}{more}", "dim")

    def _bars(
        self, axis: Axis, member: str, label: str, top: float, row: int, height: int, style: str
    ) -> Text:
        """One line of a chart: each column's part between this row and the next."""
        ramp = ASCII if self._ascii_only else BLOCKS
        line = self._text(f"{label:>{GUTTER - 1}} │")
        for number, stretch in enumerate(axis.stretches):
            line.append("/" if number else "", "dim")
            rates = [getattr(column, member) / axis.width for column in stretch.columns]
            line.append("".join(ramp[_eighths(one, top, height, row)] for one in rates), style)
        line.append_text(self._text("│"))
        line.no_wrap = True
        return line


def _eighths(value: float, top: float, height: int, row: int) -> int:
    """Eighths of a row that a value fills; what is more than nothing shows."""
    filled = max(1, round(8 * height * value / top)) if value > 0 else 0
    return min(8, max(0, filled - 8 * row))


def _table(sides: str, *titles: str) -> Table:
    """Return a table without lines; `sides` says for each column whether it is flush right."""
    table = Table(box=None, show_header=bool(titles), padding=(0, 2, 0, 0), header_style="bold")
    for side, title in itertools.zip_longest(sides, titles, fillvalue=""):
        table.add_column(title, justify="right" if side == ">" else "left")
    return table


def _times(axis: Axis) -> str:
    """Return the beginnings of the stretches, as far as there is room, and the end."""
    line, place = "", 0
    for stretch in axis.stretches:
        if not line or place >= len(line) + 2:
            line = line.ljust(place) + words.moment(stretch.start)[11:]
        place += len(stretch.columns) + 1
    last = axis.stretches[-1]
    end = words.moment(last.start + len(last.columns) * axis.width)[11:]
    return line.ljust(place - 1 - len(end)) + end if place - 1 - len(end) > len(line) else line

