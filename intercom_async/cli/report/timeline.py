"""The outcomes over time, in columns of equal width, with long pauses cut out. Pure."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

_BASES: Final = (1, 10, 60, 600, 3600, 86400)
"""Seconds by which the query groups rows; each divides the next."""

_NICE: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200)
"""Seconds of a column that read well; beyond the last they double."""

Column = Counter[str]
"""Pairs within some seconds ("pairs", "settled", "unsettled"), their "retries" and "refusals"."""


@attrs.frozen
class Stretch:
    """Time without a long pause, from `start` (Unix seconds), empty columns included."""

    start: int
    columns: tuple[Column, ...]


@attrs.frozen
class Axis:
    """Stretches of columns of `width` seconds; a pause was cut out between any two stretches."""

    width: int
    stretches: tuple[Stretch, ...]

    @property
    def columns(self) -> list[Column]:
        """The columns of all stretches."""
        return [column for stretch in self.stretches for column in stretch.columns]

    @property
    def pauses(self) -> list[int]:
        """Seconds cut out before each stretch but the first."""
        ends = [one.start + len(one.columns) * self.width for one in self.stretches]
        return [one.start - end for end, one in zip(ends, self.stretches[1:], strict=False)]

    def highest(self, name: str) -> float:
        """Return the highest rate of a column, per second."""
        return max((column[name] for column in self.columns), default=0) / self.width

    def scale(self, limit: int | None) -> tuple[float, float]:
        """Return the quota per second, 0.0 if it is far above all columns, and the scale's top."""
        peak, quota = self.highest("pairs"), (limit or 0) / 10
        shown = quota if quota <= 4 * peak else 0.0
        return shown, max(peak, shown)


def base_for(active: float, span: float) -> int:
    """Return by how many seconds to group a run of `active` seconds within a `span` of them."""
    fits = (base for base in _BASES if active <= 2000 * base and span <= 200_000 * base)
    return next(fits, _BASES[-1])


def lay_out(slots: Mapping[int, Column], base: int, *, most: int, gap: int = 1) -> Axis:
    """Choose columns and cuts so that a run fits into `most` columns; a cut takes `gap` of them.

    Slot n has the outcomes of the `base` seconds from n x `base` on.
    """
    doubled = (max(base, 7200) << times for times in itertools.count(0))
    for width in itertools.chain(_NICE, doubled):
        if width % base or len({slot * base // width for slot in slots}) > most:
            continue
        columns: dict[int, Column] = {}
        for slot, column in slots.items():
            columns.setdefault(slot * base // width, Column()).update(column)
        runs = list(_runs(sorted(columns), max(4, 120 // width, len(columns) // 20)))
        if sum(len(run) + gap for run in runs) - gap <= most:
            stretches = (
                Stretch(run.start * width, tuple(columns.get(key, Column()) for key in run))
                for run in runs
            )
            return Axis(width, tuple(stretches))
    raise AssertionError  # a width that holds all slots is one column


def _runs(keys: list[int], longest: int) -> Iterator[range]:
    """Yield the runs of keys between pauses of more than `longest` columns."""
    begin = 0
    for place, (key, following) in enumerate(itertools.pairwise(keys), 1):
        if following - key - 1 > longest:
            yield range(keys[begin], key + 1)
            begin = place
    if keys:
        yield range(keys[begin], keys[-1] + 1)
