"""A report in the terminal, with or without colours, with or without block characters."""

import math
from collections.abc import Iterator
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from intercom_async.cli.printing import amount, span
from intercom_async.cli.report import words
from intercom_async.cli.report.chart import Axis, lay_out
from intercom_async.cli.report.queries import Facts
from intercom_async.cli.states import LOOKS, name
from intercom_async.errors import readable

_HEIGHT: Final = 6
"""Lines of the large chart."""

_MOST: Final = 20
"""Causes, workspaces and sessions shown."""

_MARGIN: Final = 13
"""Characters left of a chart."""

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ASCII: Final = " ..::++##"


def rendered(facts: Facts) -> str:
    """Return the report as text that standard output can show."""
    console = Console(highlight=False)
    blocks = _BLOCKS if _has(console.encoding, _BLOCKS) else _ASCII
    with console.capture() as captured:
        for part in _parts(facts, max(40, min(console.width, 100)), blocks):
            console.print(part, soft_wrap=isinstance(part, Text) and part.no_wrap is True)
    text = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)


def show_picture(console: Console, facts: Facts) -> None:
    """Print the sentence, the outcomes and the chart of a report on 90 columns."""
    for part in (_conclusion(facts), _outcomes(facts), *_chart(facts, 60, _BLOCKS)):
        console.print(part)


def _has(encoding: str, text: str) -> bool:
    try:
        return bool(text.encode(encoding))
    except UnicodeEncodeError:
        return False


def _parts(facts: Facts, width: int, blocks: str) -> Iterator[RenderableType]:
    yield _conclusion(facts)
    yield _text(f"{facts.path}, {words.origin(facts)}", "dim")
    if facts.pairs:
        first, last = map(words.moment, facts.moments)
        yield _text(f"from {first} to {last} (UTC)", "dim")
    yield ""
    table = _outcomes(facts)
    table.add_row()
    for label, number, remark in words.numbers(facts):
        table.add_row(label, number, "", remark)
    yield table
    for remark in words.remarks(facts):
        yield from ("", _text(remark, "yellow"))
    yield from _chart(facts, width - 30, blocks)
    for _, heads, rows, more in words.listings(facts, _MOST):
        table = _table(*heads)
        for row in rows:
            table.add_row(*map(_text, row))
        yield from ("", table)
        if more:
            yield _text(f"{more:,} more", "dim")
    yield from _causes(facts)
    for aim, command in words.next_steps(facts):
        line = _text(f"  {command}")
        line.no_wrap = True  # so that it can be pasted
        yield from ("", _text(f"{aim}:", "bold"), line)


def _conclusion(facts: Facts) -> Text:
    return _text(words.conclusion(facts), "bold green" if facts.complete else "bold yellow")


def _outcomes(facts: Facts) -> Table:
    table = _table("", "count", "count", "")
    for state, count in facts.states.items():
        look = LOOKS[state]
        share = words.share(count, facts.pairs)
        table.add_row(_text(name(state), look.style), f"{count:,}", share, look.advice)
    return table


def _causes(facts: Facts) -> Iterator[RenderableType]:
    shown = facts.causes[:_MOST]
    for cause in shown:
        head = _text(f"{cause.pairs:,} {name(cause.state)}: ", LOOKS[cause.state].style)
        yield from ("", head.append(words.meaning(cause), "bold"))
        if error := words.error(cause):
            yield _text(error, length=400)
        one = cause.examples[0]
        where = f" in {one.workspace}" if one.workspace else ""
        request = f", request id {one.request_id}" if one.request_id else ""
        ids = f"conversation {one.conversation_id}, contact {one.contact_id}"
        yield _text(f"for example {ids}{where}{request}", "dim", length=400)
    if rest := facts.with_cause - sum(cause.pairs for cause in shown):
        yield from ("", _text(f"{amount(rest, 'pair')} with other causes", "dim"))


def _chart(facts: Facts, most: int, blocks: str) -> Iterator[RenderableType]:
    axis = lay_out(facts.slots, facts.base, most=most)
    if axis.size < 2:
        return
    quota, top = axis.scale(facts.quota)
    yield from ("", _text(f"pairs per second; a column is {span(axis.width)}", "bold"))
    step = top / _HEIGHT
    quota_row = math.ceil(quota / step) - 1
    lines = [
        (
            words.rate(top) if row == _HEIGHT - 1 else "" if row else "0",
            ("pairs", row * step, (row + 1) * step),
            "blue",
            " quota" if row == quota_row else "",
        )
        for row in reversed(range(_HEIGHT))
    ]
    for member, label, style in (
        ("unsettled", "not settled", "red"),
        ("retries", "retries", "yellow"),
        ("refusals", "refused", "red"),
    ):
        highest = axis.highest(member)
        remark = f" up to {words.rate(highest)}/s" if highest else " none"
        lines.append((label, (member, 0.0, highest), style, remark))
    side = "|" if blocks is _ASCII else "│"
    for label, part, style, remark in lines:
        line = Text(f"{label:>{_MARGIN - 2}} {side}", no_wrap=True)
        yield line.append(_bars(axis, *part, blocks), style).append(side).append(remark, "dim")
    times = " " * _MARGIN
    for place, at in axis.ticks():
        times = times.ljust(_MARGIN + place) + words.moment(at)[11:]
    yield _text(times, "dim")
    if axis.cuts:
        pauses = ", ".join(span(seconds) for _, seconds in axis.cuts[:5])
        more = ", ..." if len(axis.cuts) > 5 else ""
        yield _text(f"{' ' * _MARGIN}/ cut out: {pauses}{more}", "dim")


def _bars(axis: Axis, member: str, low: float, high: float, blocks: str) -> str:
    """Return a line of a chart: each column's part between two rates."""
    cells = [" "] * axis.size
    for place, _ in axis.cuts:
        cells[place] = "/"
    for place, _, column in axis.columns:
        cells[place] = blocks[_eighths(column[member] / axis.width, low, high)]
    return "".join(cells)


def _eighths(rate: float, low: float, high: float) -> int:
    """Return how many eighths of a part a rate fills; a rate above zero always shows."""
    if rate <= low:
        return 0
    return min(8, max(0 if low else 1, round(8 * (rate - low) / (high - low))))


def _text(text: str, style: str = "", *, length: int = 2000) -> Text:
    """Make foreign text harmless."""
    return Text(readable(text, length), style)


def _table(*heads: str) -> Table:
    """Return a table without lines."""
    table = Table(box=None, show_header=heads[0] != "", padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in words.NUMBERS else "left")
    return table
