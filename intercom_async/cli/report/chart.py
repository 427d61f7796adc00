"""The chart of the outcomes over time: columns of equal width, long pauses cut out. Pure.

`page` and `terminal` draw it.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

_NICE: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600)
"""Seconds of a column that read well; beyond the last they double."""

Column = Counter[str]
"""Pairs within some seconds ("pairs", "settled", "unsettled"), their "retries" and "refusals"."""


@attrs.frozen
class Chart:
    """Columns of `width` seconds and the pauses between them.

    A cell is a column's beginning in Unix seconds and the column; or the seconds of a pause that is
    cut out, and None.
    """

    width: int
    cells: list[tuple[int, Column | None]]

    def columns(self) -> Iterator[tuple[int, Column]]:
        """Yield the beginning of each column that is not empty, and the column."""
        for at, column in self.cells:
            if column:
                yield at, column

    def highest(self, name: str) -> float:
        """Return the highest rate of a column, per second."""
        return max((column[name] for _, column in self.columns()), default=0) / self.width

    def scale(self, limit: int | None) -> tuple[float, float]:
        """Return the quota per second, 0.0 if it is far above all columns, and the scale's top."""
        peak, quota = self.highest("pairs"), (limit or 0) / 10
        shown = quota if quota <= 4 * peak else 0.0
        return shown, max(peak, shown)


def _widths() -> Iterator[int]:
    return itertools.chain(_NICE, (7200 << times for times in itertools.count()))


def base_for(active: float, span: float) -> int:
    """Return by how many seconds to group a run of `active` seconds within a `span` of them."""
    return next(one for one in _widths() if active <= 2000 * one and span <= 200_000 * one)


def lay_out(slots: Mapping[int, Column], base: int, *, most: int) -> Chart:
    """Choose columns and pauses so that a run fits into `most` cells.

    Slot n has the outcomes of the `base` seconds from n x `base` on.
    """
    for width in _widths():
        if width % base == 0:
            chart = Chart(width, _cells(slots, base, width))
            if len(chart.cells) <= most:
                return chart
    raise AssertionError  # a width that holds all slots is one column


def _cells(slots: Mapping[int, Column], base: int, width: int) -> list[tuple[int, Column | None]]:
    columns: dict[int, Column] = {}
    for slot, column in slots.items():
        columns.setdefault(slot * base // width, Column()).update(column)
    longest = max(4, 120 // width, len(columns) // 20)
    cells: list[tuple[int, Column | None]] = []
    for before, place in itertools.pairwise([min(columns, default=0) - 1, *sorted(columns)]):
        pause = range(before + 1, place)
        if len(pause) > longest:
            cells.append((len(pause) * width, None))
        else:
            cells += [(empty * width, Column()) for empty in pause]
        cells.append((place * width, columns[place]))
    return cells
