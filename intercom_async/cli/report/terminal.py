"""A report in the terminal."""

from collections.abc import Iterator

from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from intercom_async.cli.printing import amount, say, span
from intercom_async.cli.report import words
from intercom_async.cli.report.chart import lay_out
from intercom_async.cli.report.queries import Report
from intercom_async.cli.states import LOOKS, name
from intercom_async.errors import readable


def show(console: Console, facts: Report) -> None:
    """Print a report."""
    console.print(_text(words.conclusion(facts), "bold green" if facts.complete else "bold yellow"))
    console.print(_text(words.origin(facts), "dim"))
    for parts in (_numbers, _remarks, _chart, _workspaces, _causes):
        for part in parts(facts):
            console.print(part)
    for aim, command in words.next_steps(facts):
        console.print()
        say(console, f"{aim}:", "bold")
        say(console, f"  {command}")


def _numbers(facts: Report) -> Iterator[RenderableType]:
    table = _table("", "", "", "", right=(1, 2))
    table.add_row()
    for state, count in facts.states.items():
        look, share = LOOKS[state], f"{count / facts.pairs:.1%}"
        table.add_row(_text(name(state), look.colour), f"{count:,}", share, look.advice)
    table.add_row()
    for label, number, remark in words.numbers(facts):
        table.add_row(label, number, "", remark)
    yield table


def _remarks(facts: Report) -> Iterator[RenderableType]:
    for remark in words.remarks(facts):
        yield from ("", _text(remark, "yellow"))


def _chart(facts: Report) -> Iterator[RenderableType]:
    chart = lay_out(facts.timeline, facts.quota)
    if len(chart.cells) < 2:
        return
    yield from ("", _text(words.heading(chart), "bold"))
    table = _table("UTC", "", "pairs/s", "not settled", "retries", "refused", right=(2, 3, 4, 5))
    for cell in chart.cells:
        if isinstance(cell, int):
            table.add_row("", _text(f"nothing for {span(cell)}", "dim"))
            continue
        rate = cell.pairs / chart.width
        bar = ProgressBar(chart.top, rate, 24, complete_style="blue", finished_style="blue")
        counts = (cell.unsettled, cell.retries, cell.refusals)
        shown = (f"{count:,}" if count else "" for count in counts)
        table.add_row(words.moment(cell.at)[5:], bar, f"{rate:,.1f}", *shown)
    yield table


def _workspaces(facts: Report) -> Iterator[RenderableType]:
    if len(facts.workspaces) > 1:
        table = _table("workspace", "name", "pairs", "not settled", right=(2, 3))
        for one in facts.workspaces[: words.LISTED]:
            named = one.app_name or one.app_id or ""
            table.add_row(_text(one.workspace), _text(named), f"{one.pairs:,}", f"{one.left:,}")
        yield from ("", table)
    if more := facts.workspaces[words.LISTED :]:
        yield _text(f"{len(more):,} more", "dim")


def _causes(facts: Report) -> Iterator[RenderableType]:
    for cause in facts.causes:
        one = cause.examples[0]
        head = _text(f"{cause.pairs:,} {name(one.state)}: ", LOOKS[one.state].colour)
        yield from ("", head.append(words.meaning(cause), "bold"))
        if error := words.error(cause):
            yield _text(error)
        where = f" in {one.workspace}" if one.workspace else ""
        request = f", request id {one.request_id}" if one.request_id else ""
        ids = f"conversation {one.conversation_id}, contact {one.contact_id}"
        yield _text(f"for example {ids}{where}{request}", "dim")
    if facts.other_causes:
        yield from ("", _text(f"{amount(facts.other_causes, 'pair')} with other causes", "dim"))


def _text(text: str, style: str = "") -> Text:
    """Make foreign text harmless."""
    return Text(readable(text, 400), style)


def _table(*heads: str, right: tuple[int, ...]) -> Table:
    table = Table(box=None, show_header=any(heads), padding=(0, 2, 0, 0), header_style="bold")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place in right else "left")
    return table
