"""Lines, amounts and durations, as the command prints them."""

import itertools
import sys
from typing import Final

from rich.console import Console

from intercom_async.errors import readable

_LONGEST_LINE: Final = 4000  # characters of a message


def say(console: Console, message: str, style: str = "") -> None:
    """Print one line without markup, highlighting or folding.

    Control codes are spelled out: texts of others must not drive the terminal.
    """
    console.print(
        readable(message, _LONGEST_LINE), style=style, markup=False, highlight=False, soft_wrap=True
    )


def print_out(line: str) -> None:
    """Print a line on standard output and flush it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def amount(number: int, noun: str) -> str:
    """Return a number with its noun: "1 pair", "2,000 pairs"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def span(seconds: float) -> str:
    """Return a duration as people say it: "0.4 s", "42 s", "3 min 7 s", "2 h 5 min", "4 d"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (unit, size), (smaller, part) in itertools.pairwise(units):
        whole, rest = divmod(round(seconds / part), size // part)
        if whole:
            return f"{whole:,} {unit} {rest} {smaller}" if rest else f"{whole:,} {unit}"
    return f"{round(seconds)} s"
