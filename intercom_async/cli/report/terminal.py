"""A report in the terminal."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from intercom_async.cli.printing import amount, span
from intercom_async.cli.report import words
from intercom_async.cli.report.chart import lay_out
from intercom_async.cli.report.queries import Report
from intercom_async.cli.states import LOOKS, name
from intercom_async.errors import readable

_MOST: Final = 20  # causes, workspaces and sessions shown


def rendered(facts: Report) -> str:
    """Return the report as text that standard output can show."""
    console = Console(highlight=False)
    with console.capture() as captured:
        for part in _parts(facts):
            console.print(part, soft_wrap=isinstance(part, Text) and part.no_wrap is True)
    text = "".join(f"{line.rstrip()}\n" for line in captured.get().splitlines())
    return text.encode(console.encoding, "backslashreplace").decode(console.encoding)


def show_picture(console: Console, facts: Report) -> None:
    """Print the sentence, the outcomes and the chart of a report."""
    for part in (_conclusion(facts), _outcomes(facts), *_chart(facts)):
        console.print(part)


def _parts(facts: Report) -> Iterator[RenderableType]:
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
    yield from _chart(facts)
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


def _conclusion(facts: Report) -> Text:
    return _text(words.conclusion(facts), "bold green" if facts.complete else "bold yellow")


def _outcomes(facts: Report) -> Table:
    table = _table("", "count", "count", "")
    for state, count in facts.states.items():
        look = LOOKS[state]
        share = words.share(count, facts.pairs)
        table.add_row(_text(name(state), look.style), f"{count:,}", share, look.advice)
    return table


def _causes(facts: Report) -> Iterator[RenderableType]:
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


def _chart(facts: Report) -> Iterator[RenderableType]:
    chart = lay_out(facts.slots, facts.base, most=_MOST)
    if len(chart.cells) < 2:
        return
    quota, top = chart.scale(facts.quota)
    remark = f"; the quota is {words.rate(quota)} requests per second" if quota else ""
    yield from ("", _text(f"pairs per second, in lines of {span(chart.width)}{remark}", "bold"))
    table = _table("UTC", "", "pairs/s", "not settled", "retries", "refused")
    for at, column in chart.cells:
        if column is None:
            table.add_row("", _text(f"{span(at)} cut out", "dim"))
            continue
        rate = column["pairs"] / chart.width
        bar = ProgressBar(top, rate, width=24, complete_style="blue", finished_style="blue")
        counts = (column[name] for name in ("unsettled", "retries", "refusals"))
        shown = (f"{count:,}" if count else "" for count in counts)
        table.add_row(words.moment(at)[5:], bar, words.rate(rate), *shown)
    yield table


def _text(text: str, style: str = "", *, length: int = 2000) -> Text:
    """Make foreign text harmless."""
    return Text(readable(text, length), style)


def _table(*heads: str) -> Table:
    """Return a table without lines."""
    table = Table(box=None, show_header=heads[0] != "", padding=(0, 2, 0, 0), header_style="bold")
    for head in heads:
        table.add_column(head, justify="right" if head in words.NUMBERS else "left")
    return table
