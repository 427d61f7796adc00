"""The chart of a run over time: columns of equal width, with pauses cut out."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

NARROWEST: Final = 10
"""Seconds; a rate within one of Intercom's windows says nothing of the quota."""

_WIDTHS: Final = (
    *(NARROWEST, 20, 30, 60, 120, 300, 600, 1200, 1800),
    *(3600 << times for times in range(20)),
)
"""Widths of a column, in seconds, that read well."""

_MOST: Final = 20  # columns and pauses


class Column(msgspec.Struct, frozen=True):
    """The pairs of some seconds, which begin `at` this Unix second."""

    at: int
    pairs: int
    unsettled: int
    retries: int
    refusals: int


def lay_out(timeline: Sequence[Column]) -> tuple[int, list[Column | int]]:
    """Return the seconds of a column, the columns, and between them the seconds of each pause."""
    laid_out = ((width, [*_cells(timeline, width)]) for width in _WIDTHS)
    return next(one for one in laid_out if len(one[1]) <= _MOST)


def _cells(timeline: Sequence[Column], width: int) -> Iterator[Column | int]:
    end: int | None = None
    for place, parts in itertools.groupby(timeline, key=lambda column: column.at // width):
        if end is not None and place > end:
            yield (place - end) * width
        _, *counts = map(sum, zip(*map(msgspec.structs.astuple, parts), strict=True))
        yield Column(place * width, *counts)
        end = place + 1
