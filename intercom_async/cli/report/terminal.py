"""A report in the terminal, with or without colours, with or without more than ASCII."""

import math
from collections.abc import Iterator
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from intercom_async.cli.display import STYLES
from intercom_async.cli.report import words
from intercom_async.cli.report.causes import Cause
from intercom_async.cli.report.queries import Facts
from intercom_async.cli.report.timeline import Axis, lay_out
from intercom_async.cli.running import amount, span
from intercom_async.errors import readable

_HEIGHT: Final = 6
"""Lines of the large chart."""

_MOST: Final = 20
"""Causes, workspaces and sessions shown."""

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ASCII: Final = " ..::++##"


def rendered(facts: Facts) -> str:
    """Return the report as text that standard output can show."""
    console = Console(highlight=False)
    unicode = console.encoding.lower().startswith("utf")
    report = _Report(facts, max(40, min(console.width, 100)), unicode=unicode)
    with console.capture() as captured:
        for part in report.parts():
            console.print(part, soft_wrap=isinstance(part, Text) and part.no_wrap is True)
    return "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def picture(facts: Facts) -> Iterator[RenderableType]:
    """Yield the sentence, the outcomes and the chart of a report, for a picture of 90 columns."""
    report = _Report(facts, 90, unicode=True)
    yield report.verdict()
    yield report.outcomes()
    yield from report.chart()


class _Report:
    def __init__(self, facts: Facts, width: int, *, unicode: bool) -> None:
        self._facts = facts
        self._unicode = unicode
        self._width = width

    def parts(self) -> Iterator[RenderableType]:
        facts = self._facts
        yield self.verdict()
        yield self._text(f"{facts.path}, {words.origin(facts)}", "dim")
        if facts.pairs:
            first, last = map(words.moment, (facts.moments[0], facts.moments[-1]))
            yield self._text(f"from {first} to {last} (UTC)", "dim")
        yield Text()
        table = self.outcomes()
        table.add_row()
        for name, number, more in words.numbers(facts):
            table.add_row(name, number, "", more)
        yield table
        for remark in words.remarks(facts):
            yield self._text(f"\n{remark}", "yellow")
        yield from self.chart()
        yield from self._listings()
        yield from self._whys()

    def verdict(self) -> Text:
        style = "bold green" if self._facts.complete else "bold yellow"
        return self._text(words.verdict(self._facts), style)

    def outcomes(self) -> Table:
        table = _table("", "count", "count", "")
        for state, count in self._facts.states.items():
            name = self._text(words.name(state), STYLES.get(state, "dim"))
            share = words.share(count, self._facts.pairs)
            table.add_row(name, f"{count:,}", share, words.ADVICE[state])
        return table

    def _listings(self) -> Iterator[RenderableType]:
        for _, heads, rows, more in words.listings(self._facts, _MOST):
            table = _table(*heads)
            for row in rows:
                table.add_row(*map(self._text, row))
            yield from (Text(), table)
            if more:
                yield self._text(f"{more:,} more", "dim")

    def _whys(self) -> Iterator[Text]:
        facts = self._facts
        for cause in facts.causes[:_MOST]:
            yield from self._cause(cause)
        if rest := facts.causes[_MOST:]:
            pairs = amount(sum(cause.pairs for cause in rest), "pair")
            yield self._text(f"\n{amount(len(rest), 'more cause')}, {pairs}", "dim")
        for aim, command in words.next_steps(facts):
            yield self._text(f"\n{aim}:", "bold")
            line = self._text(f"  {command}")
            line.no_wrap = True  # so that it can be pasted
            yield line

    def _text(self, text: str, style: str = "") -> Text:
        """Make foreign text harmless; only a line break at its beginning is ours."""
        ours = text[:1] == "\n"
        shown = "\n" * ours + readable(text[ours:], 2000)
        if not self._unicode:
            shown = shown.replace("…", "...").encode("ascii", "backslashreplace").decode()
        return Text(shown, style)

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

    def chart(self) -> Iterator[Text]:
        axis = lay_out(self._facts.slots, self._facts.base, most=self._width - 30)
        if len(axis.columns) < 2:
            return
        quota, top = axis.scale(self._facts.quota)
        yield self._text(f"\npairs per second; a column is {span(axis.width)}", "bold")
        level = math.ceil(_HEIGHT * quota / top) if quota else None
        for row in reversed(range(_HEIGHT)):
            label = words.rate(top) if row == _HEIGHT - 1 else "" if row else "0"
            part = (top * row / _HEIGHT, top * (row + 1) / _HEIGHT)
            line = self._bars(axis, "pairs", label, "blue", part)
            yield line.append(" quota" if level == row + 1 else "", "dim")
        for member, label, style in (
            ("unsettled", "not settled", "red"),
            ("retries", "retries", "yellow"),
            ("refusals", "refused", "red"),
        ):
            top = axis.highest(member)
            line = self._bars(axis, member, label, style, (0.0, top))
            yield line.append(f" up to {words.rate(top)}/s" if top else " none", "dim")
        yield self._text(" " * 13 + _times(axis), "dim")
        if axis.pauses:
            pauses = ", ".join(span(pause) for pause in axis.pauses[:5])
            more = ", ..." if len(axis.pauses) > 5 else ""
            yield self._text(f"{' ' * 13}/ cut out: {pauses}{more}", "dim")

    def _bars(
        self, axis: Axis, member: str, label: str, style: str, part: tuple[float, float]
    ) -> Text:
        """Return a line of a chart: each column's part between two rates."""
        ramp, side = (_BLOCKS, "│") if self._unicode else (_ASCII, "|")
        line = Text(f"{label:>11} {side}", no_wrap=True)
        for number, stretch in enumerate(axis.stretches):
            line.append("/" if number else "", "dim")
            rates = (column[member] / axis.width for column in stretch.columns)
            line.append("".join(ramp[_eighths(rate, *part)] for rate in rates), style)
        return line.append(side)


def _eighths(rate: float, low: float, high: float) -> int:
    """Return the eighths that a rate fills of a part; what is more than nothing shows."""
    if rate <= low:
        return 0
    return min(8, max(0 if low else 1, round(8 * (rate - low) / (high - low))))


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
