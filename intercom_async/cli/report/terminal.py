"""A report in the terminal."""

from rich import table
from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from intercom_async.cli.printing import say
from intercom_async.cli.report.content import Cell, Line, Table, conclusion, origin, sections
from intercom_async.cli.report.queries import Report
from intercom_async.errors import readable


def show(console: Console, facts: Report) -> None:
    """Print a report."""
    console.print(_text(conclusion(facts), "bold green" if facts.complete else "bold yellow"))
    console.print(_text(origin(facts), "dim"))
    for title, blocks in sections(facts):
        console.print()
        if title:
            console.print(_text(title, "bold"))
        for block in blocks:
            if isinstance(block, Table):
                if not block.summary:
                    console.print(_table(block))
            elif block.style == "command":
                say(console, f"  {block.text}")
            else:
                console.print(_text(block.text, block.style))


def _table(shown: Table) -> table.Table:
    laid_out = table.Table(
        box=None, show_header=any(shown.heads), padding=(0, 2, 0, 0), header_style="bold"
    )
    for place, head in enumerate(shown.heads):
        laid_out.add_column(head, justify="right" if place in shown.numbers else "left")
    for row in shown.rows:
        laid_out.add_row(*map(_cell, row))
    return laid_out


def _cell(cell: Cell) -> RenderableType:
    if isinstance(cell, str):
        return _text(cell)
    if isinstance(cell, Line):
        return _text(cell.text, cell.style)
    return ProgressBar(1.0, cell, 24, complete_style="blue", finished_style="blue")


def _text(text: str, style: str = "") -> Text:
    """Make foreign text harmless."""
    return Text(readable(text, 400), style)
