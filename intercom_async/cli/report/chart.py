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

_MOST: Final = 20  # columns and pauses


class Column(msgspec.Struct, frozen=True):
    """What was recorded within some seconds, which begin `at` this Unix second."""

    at: int
    pairs: int
    unsettled: int
    retries: int
    refusals: int


@attrs.frozen
class Chart:
    """Columns of `width` seconds, and between them the seconds of each pause.

    Attributes:
        quota: requests per second; 0.0 if it is unknown.
        top: pairs per second of the longest bar.
    """

    width: int
    cells: list[Column | int]
    quota: float
    top: float


def lay_out(timeline: Sequence[Column], limit: int | None) -> Chart:
    """Choose the columns' width so that there are few of them."""
    charts = ((width, [*_cells(timeline, width)]) for width in _WIDTHS)
    width, cells = next(one for one in charts if len(one[1]) <= _MOST)
    columns = (cell for cell in cells if isinstance(cell, Column))
    highest = max((column.pairs for column in columns), default=0) / width
    quota = (limit or 0) / 10
    # Beside a quota that is far above all columns, none of them could be seen.
    return Chart(width, cells, quota, quota if highest < quota <= 4 * highest else highest)


def _cells(timeline: Sequence[Column], width: int) -> Iterator[Column | int]:
    end: int | None = None
    for place, parts in itertools.groupby(timeline, key=lambda column: column.at // width):
        if end is not None and place > end:
            yield (place - end) * width
        _, *counts = map(sum, zip(*map(msgspec.structs.astuple, parts), strict=True))
        yield Column(place * width, *counts)
        end = place + 1
