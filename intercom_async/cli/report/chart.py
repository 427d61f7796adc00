"""The chart of the outcomes over time: columns of equal width, long pauses cut out. Pure.

`page` and `terminal` draw it.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

_NICE: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600)
"""Seconds of a column that read well; beyond the last they double."""

Column = Counter[str]
"""Pairs within some seconds ("pairs", "settled", "unsettled"), their "retries" and "refusals"."""


@attrs.define
class Axis:
    """Columns side by side.

    Attributes:
        width: seconds of a column.
        size: places for columns, empty ones and cuts included.
        columns: the place of each column that is not empty, and its beginning in Unix seconds.
        cuts: the place of each pause that is cut out, and its seconds.
    """

    width: int
    size: int = 0
    columns: list[tuple[int, int, Column]] = attrs.Factory(list[tuple[int, int, Column]])
    cuts: list[tuple[int, int]] = attrs.Factory(list[tuple[int, int]])

    def highest(self, name: str) -> float:
        """Return the highest rate of a column, per second."""
        return max((column[name] for _, _, column in self.columns), default=0) / self.width

    def scale(self, limit: int | None) -> tuple[float, float]:
        """Return the quota per second, 0.0 if it is far above all columns, and the scale's top."""
        peak, quota = self.highest("pairs"), (limit or 0) / 10
        shown = quota if quota <= 4 * peak else 0.0
        return shown, max(peak, shown)

    def ticks(self) -> Iterator[tuple[int, int]]:
        """Yield the place and the beginning of at most five columns."""
        last = -math.inf
        for place, at, _ in self.columns:
            if place - last >= max(10, self.size / 4):
                yield place, at
                last = place


def _widths() -> Iterator[int]:
    return itertools.chain(_NICE, (7200 << times for times in itertools.count()))


def base_for(active: float, span: float) -> int:
    """Return by how many seconds to group a run of `active` seconds within a `span` of them."""
    return next(one for one in _widths() if active <= 2000 * one and span <= 200_000 * one)


def lay_out(slots: Mapping[int, Column], base: int, *, most: int, gap: int = 1) -> Axis:
    """Choose columns and cuts so that a run fits into `most` places; a cut takes `gap` of them.

    Slot n has the outcomes of the `base` seconds from n x `base` on.
    """
    for width in _widths():
        if width % base == 0:
            axis = _spread(slots, base, width, gap)
            if axis.size <= most:
                return axis
    raise AssertionError  # a width that holds all slots is one column


def _spread(slots: Mapping[int, Column], base: int, width: int, gap: int) -> Axis:
    columns: dict[int, Column] = {}
    for slot, column in slots.items():
        columns.setdefault(slot * base // width, Column()).update(column)
    longest = max(4, 120 // width, len(columns) // 20)
    axis = Axis(width)
    for before, key in itertools.pairwise([min(columns, default=0) - 1, *sorted(columns)]):
        pause = key - before - 1
        if pause > longest:
            axis.cuts.append((axis.size, pause * width))
            pause = gap
        axis.columns.append((axis.size + pause, key * width, columns[key]))
        axis.size += pause + 1
    return axis
