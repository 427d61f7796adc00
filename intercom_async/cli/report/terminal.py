"""A report in the terminal, with or without colours, with or without more than ASCII."""

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
from intercom_async.cli.running import amount
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
HEIGHT: Final = 6
"""Lines of the large chart."""

MOST: Final = 20
"""Causes, workspaces and sessions that are shown."""

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
ASCII: Final = " ..::++##"


def rendered(facts: Facts) -> str:
    """Return a report for a person at standard output, whatever that can show."""
    console = Console(highlight=False)
    report = _Report(facts, console)
    with console.capture() as captured:
        for part in report.parts():
            console.print(part, soft_wrap=isinstance(part, Text) and part.no_wrap is True)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


class _Report:
    def __init__(self, facts: Facts, console: Console) -> None:
        self._facts = facts
        self._unicode = console.encoding.lower().startswith("utf")
        self._width = max(40, min(console.width, 100))

    def parts(self) -> Iterator[RenderableType]:
        facts = self._facts
        yield self._text(words.verdict(facts), "bold green" if facts.complete else "bold yellow")
        yield self._text(f"{facts.path}, {words.origin(facts)}", "dim")
        if facts.pairs:
            first, last = map(words.moment, (facts.moments[0], facts.moments[-1]))
            yield self._text(f"from {first} to {last} (UTC)", "dim")
        yield Text()
        table = _table("", "count", "count", "")
        for state, count in facts.states.items():
            told = (words.share(count, facts.pairs), words.ADVICE[state])
            style = STYLES.get(state, "dim")
            table.add_row(self._text(words.name(state), style), f"{count:,}", *told)
        table.add_row()
        for name, number, more in words.numbers(facts):
            table.add_row(name, number, "", more)
        yield table
        for remark in words.remarks(facts):
            yield self._text(f"\n{remark}", "yellow")
        yield from self._chart()
        yield from self._listings()
        yield from self._whys()

    def _listings(self) -> Iterator[RenderableType]:
        for _, heads, rows, more in words.listings(self._facts, MOST):
            table = _table(*heads)
            for row in rows:
                table.add_row(*map(self._text, row))
            yield from (Text(), table)
            if more:
                yield self._text(f"{more:,} more", "dim")

    def _whys(self) -> Iterator[Text]:
        facts = self._facts
        for cause in facts.causes[:MOST]:
            yield from self._cause(cause)
        if rest := facts.causes[MOST:]:
            pairs = amount(sum(cause.pairs for cause in rest), "pair")
            yield self._text(f"\n{amount(len(rest), 'more cause')}, {pairs}", "dim")
        commands = {"To list them": words.export_of(facts, "unsettled") if facts.left else None}
        for what, command in (commands | {"To go on": words.go_on(facts)}).items():
            if command:
                yield self._text(f"\n{what}:", "bold")
                line = self._text(f"  {command}")
                line.no_wrap = True  # so that it can be pasted
                yield line

    def _text(self, text: str, style: str = "") -> Text:
        """Make foreign text harmless; only a line break at its beginning is ours."""
        ours = text[:1] == "\n"
        told = "\n" * ours + readable(text[ours:], 2000)
        if not self._unicode:
            told = told.replace("…", "...").encode("ascii", "backslashreplace").decode()
        return Text(told, style)

    def _cause(self, cause: Cause) -> Iterator[Text]:
        style = STYLES.get(cause.state, "dim")
        line = self._text(f"\n{cause.pairs:,} {words.name(cause.state)}: ", style)
        yield line.append_text(self._text(cause.meaning, "bold"))
        if cause.error:
            yield self._text(readable(cause.error, 400))
        one = cause.examples[0]
        where = f" in {one.workspace}" if one.workspace else ""
        request = f", request id {one.request_id}" if one.request_id else ""
        ids = f"conversation {one.conversation_id}, contact {one.contact_id}"
        yield self._text(readable(f"for example {ids}{where}{request}", 400), "dim")

    def _chart(self) -> Iterator[Text]:
        axis = lay_out(self._facts.slots, self._facts.base, most=self._width - 30)
        if len(axis.columns) < 2:
            return
        peak, quota = axis.highest("pairs"), (self._facts.quota or 0) / 10
        top = max(peak, quota) if quota <= 4 * peak else peak
        yield self._text(f"\npairs per second; a column is {words.span(axis.width)}", "bold")
        level = math.ceil(HEIGHT * quota / top) if 0 < quota <= top else None
        for row in reversed(range(HEIGHT)):
            label = words.rate(top) if row == HEIGHT - 1 else "" if row else "0"
            line = self._bars(axis, "pairs", label, top, style="blue", row=row, height=HEIGHT)
            yield line.append(" quota" if level == row + 1 else "", "dim")
        for member, label, style in (
            ("unsettled", "not settled", "red"),
            ("retries", "retries", "yellow"),
            ("refusals", "refused", "red"),
        ):
            top = axis.highest(member)
            line = self._bars(axis, member, label, top, style=style)
            yield line.append(f" up to {words.rate(top)}/s" if top else " none", "dim")
        yield self._text(" " * 13 + _times(axis), "dim")
        if axis.pauses:
            told = ", ".join(words.span(pause) for pause in axis.pauses[:5])
            yield self._text(
                f"{' ' * 13}/ cut out: {told}{', ...' * (len(axis.pauses) > 5)}", "dim"
            )

    def _bars(
        self,
        axis: Axis,
        member: str,
        label: str,
        top: float,
        *,
        style: str,
        row: int = 0,
        height: int = 1,
    ) -> Text:
        """Return a line of a chart: each column's part between this row and the next."""
        ramp, side = (BLOCKS, "│") if self._unicode else (ASCII, "|")
        line = Text(f"{label:>11} {side}", no_wrap=True)
        for number, stretch in enumerate(axis.stretches):
            line.append("/" if number else "", "dim")
            rates = [column[member] / axis.width for column in stretch.columns]
            line.append("".join(ramp[_eighths(one, top, height, row)] for one in rates), style)
        return line.append(side)


def _eighths(value: float, top: float, height: int, row: int) -> int:
    """Return the eighths of a row that a value fills; what is more than nothing shows."""
    filled = max(1, round(8 * height * value / top)) if value > 0 else 0
    return min(8, max(0, filled - 8 * row))


def _table(*heads: str) -> Table:
    """Return a table without lines."""
    table = Table(box=None, show_header=heads[0] != "", padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in words.NUMBERS else "left")
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
