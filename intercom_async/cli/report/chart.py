"""The chart of a run over time: columns of equal width, with pauses cut out."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import msgspec

NARROWEST: Final = 10
"""Seconds; a rate within one of Intercom's windows says nothing of the quota."""

_WIDTHS: Final = (
    *(NARROWEST, 20, 30, 60, 120, 300, 600, 1200, 1800),
    *(3600 << times for times in range(20)),
)
"""Seconds of a column, from which one can be chosen that reads well."""


class Column(msgspec.Struct, frozen=True):
    """What was recorded within some seconds, which begin `at` this Unix second."""

    at: int
    pairs: int
    unsettled: int
    retries: int
    refusals: int

    @property
    def settled(self) -> int:
        """Pairs that need no repetition."""
        return self.pairs - self.unsettled


@attrs.frozen
class Chart:
    """Columns of `width` seconds, and between them the seconds of each pause."""

    width: int
    cells: list[Column | int]
    _limit: int | None

    def highest(self, name: str) -> float:
        """Return the highest rate of a column, per second."""
        columns = (cell for cell in self.cells if isinstance(cell, Column))
        return max((getattr(column, name) for column in columns), default=0) / self.width

    @property
    def quota(self) -> float:
        """In requests per second; 0.0 if it is unknown or far above all columns."""
        quota = (self._limit or 0) / 10
        return quota if quota <= 4 * self.highest("pairs") else 0.0

    @property
    def top(self) -> float:
        """The highest rate that is drawn."""
        return max(self.highest("pairs"), self.quota)


def lay_out(timeline: Sequence[Column], limit: int | None, *, most: int) -> Chart:
    """Choose the columns' width so that there are at most so many columns and pauses."""
    charts = (Chart(width, [*_cells(timeline, width)], limit) for width in _WIDTHS)
    return next(chart for chart in charts if len(chart.cells) <= most)


def _cells(timeline: Sequence[Column], width: int) -> Iterator[Column | int]:
    end: int | None = None
    for place, parts in itertools.groupby(timeline, key=lambda column: column.at // width):
        if end is not None and place > end:
            yield (place - end) * width
        _, *counts = map(sum, zip(*map(msgspec.structs.astuple, parts), strict=True))
        yield Column(place * width, *counts)
        end = place + 1
