"""What became of pairs over time, in columns of one width, with long pauses cut out. Pure."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

BASES: Final = (1, 10, 60, 600, 3600, 86400)
"""Seconds by which a journal is asked; each is a part of the next."""

NICE: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200)
"""Seconds of a column that people can divide by; beyond the last they double."""

SLOTS: Final = 2000
"""Slots of a base in which something may have happened."""

SPAN: Final = 100 * SLOTS
"""Slots of a base from the first record to the last."""


@attrs.define
class Column:
    """What was recorded within some seconds: pairs, and what they had cost by then."""

    settled: int = 0
    unsettled: int = 0
    retries: int = 0
    refusals: int = 0

    @property
    def pairs(self) -> int:
        """All of them."""
        return self.settled + self.unsettled

    def add(self, other: "Column") -> None:
        """Take the other one's content in."""
        self.settled += other.settled
        self.unsettled += other.unsettled
        self.retries += other.retries
        self.refusals += other.refusals


@attrs.frozen
class Stretch:
    """Time without a long pause, from `start` (Unix seconds), empty columns included."""

    start: int
    columns: tuple[Column, ...]


@attrs.frozen
class Axis:
    """Stretches of columns of one width in seconds; between two of them time was cut out."""

    width: int
    stretches: tuple[Stretch, ...]

    @property
    def times(self) -> Iterator[tuple[int, Column]]:
        """Every column with its beginning."""
        for stretch in self.stretches:
            for number, column in enumerate(stretch.columns):
                yield stretch.start + number * self.width, column

    @property
    def pauses(self) -> list[int]:
        """Seconds cut out before each stretch but the first."""
        ends = [one.start + len(one.columns) * self.width for one in self.stretches]
        return [one.start - end for end, one in zip(ends, self.stretches[1:], strict=False)]

    def highest(self, name: str) -> float:
        """The highest rate of a column, per second; `name` is a member of `Column`."""
        return max((getattr(column, name) for _, column in self.times), default=0) / self.width


def base_for(active: float, span: float) -> int:
    """Return the seconds by which to ask for what took so long at work, and all in all."""
    fits = (base for base in BASES if active <= base * SLOTS and span <= base * SPAN)
    return next(fits, BASES[-1])


def lay_out(slots: Mapping[int, Column], base: int, *, most: int, gap: int = 1) -> Axis:
    """Choose columns and cuts so that all of it fits.

    Args:
        slots: what happened, by number of the slot.
        base: seconds of a slot.
        most: columns that fit.
        gap: columns that a cut takes.
    """
    for width in _widths(base):
        columns: dict[int, Column] = {}
        for slot, column in slots.items():
            columns.setdefault(slot * base // width, Column()).add(column)
        longest = max(4, 120 // width, len(columns) // 20)
        runs = _runs(sorted(columns), longest)
        if sum(last - first + 1 + gap for first, last in runs) - gap <= most:
            break
    return Axis(
        width,
        tuple(
            Stretch(first * width, tuple(columns.get(n, Column()) for n in range(first, last + 1)))
            for first, last in runs
        ),
    )


def _widths(base: int) -> Iterator[int]:
    doubled = (7200 << doubling for doubling in itertools.count(1))
    for width in itertools.chain(NICE, doubled):
        if width % base == 0:
            yield width


def _runs(keys: list[int], longest: int) -> list[tuple[int, int]]:
    """Return first and last key of what no pause longer than so many columns divides."""
    runs: list[tuple[int, int]] = []
    for key in keys:
        if runs and key - runs[-1][1] - 1 <= longest:
            runs[-1] = (runs[-1][0], key)
        else:
            runs.append((key, key))
    return runs
