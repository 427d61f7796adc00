"""Charts made of characters: blocks where the terminal has them, ASCII where it has not. Pure."""

from collections.abc import Sequence
from typing import Final

BLOCKS: Final = " ▁▂▃▄▅▆▇█"
ASCII: Final = " .:-=+*#@"
"""From nothing to all, in eighths."""


def spark(values: Sequence[float], highest: float, *, ascii_only: bool) -> str:
    """Return a line of one character per value; what is more than nothing shows.

    Args:
        values: none below 0.
        highest: what a full block stands for.
        ascii_only: no block characters.
    """
    ramp = ASCII if ascii_only else BLOCKS
    return "".join(ramp[_eighths(value, highest, 1)] for value in values)


def columns(values: Sequence[float], highest: float, *, height: int, ascii_only: bool) -> list[str]:
    """Return lines, the uppermost first, in which each value is a column.

    Args:
        values: none below 0.
        highest: what the full height stands for.
        height: lines.
        ascii_only: no block characters.
    """
    ramp = " .:#" if ascii_only else BLOCKS
    last = len(ramp) - 1
    filled = [_eighths(value, highest, height) for value in values]
    lines: list[str] = []
    for row in reversed(range(height)):
        parts = (min(8, max(0, eighths - 8 * row)) for eighths in filled)
        lines.append("".join(ramp[-(-part * last // 8)] for part in parts))
    return lines


def _eighths(value: float, highest: float, height: int) -> int:
    if value <= 0 or highest <= 0:
        return 0
    return min(8 * height, max(1, round(8 * height * value / highest)))
