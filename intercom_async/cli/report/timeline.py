"""Records over time: counted in buckets, and laid out for a picture. Pure.

The number of buckets is bounded however long a run takes: when there are too many, their width
grows and neighbours are merged. Only buckets that hold something exist, so that a pause costs
nothing. Widths divide one another, and from ten seconds on they are whole windows of the quota,
which begin at multiples of ten seconds.
"""

import math
from collections.abc import Iterator
from typing import Final

import attrs

from intercom_async.cli.report.tally import Tally

BUCKETS: Final = 4096
"""Buckets that may exist."""

WIDTHS: Final = (1, 2, 10, 20, 60, 120, 600, 1200, 3600, 7200, 14400, 43200, 86400)
"""Seconds of a bucket; beyond the last they double."""

NICE: Final = (1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200)
"""Seconds of a column that people can divide by; beyond the last they double."""

LATEST: Final = 253_402_300_800.0
"""The year 10000: beyond, a time is damaged rather than true."""

SHORTEST_CUT: Final = 120.0
"""Seconds without a record that are always drawn."""

CUT_PART: Final = 0.05
"""Part of the time with records beyond which a pause is cut out."""

CUT_COLUMNS: Final = 4
"""Empty columns that are always drawn."""

SCALE: Final = 4
"""How many times the highest rate the quota may be, to be part of a picture."""


@attrs.define
class Bucket(Tally):
    """What was recorded within some seconds.

    Attributes:
        quota: requests allowed per ten seconds, 0 while unknown.
    """

    quota: int = 0

    def merge(self, other: "Bucket") -> None:
        """Take the other one's content in."""
        self.add(other)
        self.quota = max(self.quota, other.quota)


class Timeline:
    """Buckets that hold something.

    Args:
        most: buckets that may exist.

    Attributes:
        width: seconds of each.
    """

    def __init__(self, most: int = BUCKETS) -> None:
        self.width = WIDTHS[0]
        self._most = most
        self._buckets: dict[int, Bucket] = {}

    def bucket(self, at: float, quota: int) -> Bucket | None:
        """Return the bucket of a moment, to count in at once; None if it is no moment.

        Args:
            at: Unix seconds.
            quota: the limit at that moment.
        """
        if not 0 < at < LATEST:
            return None
        bucket = self._buckets.get(int(at // self.width))
        if bucket is None:
            while len(self._buckets) >= self._most:
                self._coarsen()
            bucket = self._buckets.setdefault(int(at // self.width), Bucket())
        bucket.quota = max(bucket.quota, quota)
        return bucket

    def _coarsen(self) -> None:
        width = next((wider for wider in WIDTHS if wider > self.width), 2 * self.width)
        self._buckets = self.widened(width)
        self.width = width

    def __len__(self) -> int:
        return len(self._buckets)

    def __iter__(self) -> Iterator[tuple[float, Bucket]]:
        """Yield the buckets in order, each with its beginning in Unix seconds."""
        for key in sorted(self._buckets):
            yield float(key * self.width), self._buckets[key]

    def widened(self, width: int) -> dict[int, Bucket]:
        """Return the buckets with another width, a multiple of their own, by their number."""
        return merged(self._buckets, width // self.width)


def merged(buckets: dict[int, Bucket], factor: int) -> dict[int, Bucket]:
    """Return new buckets, each with the content of so many old ones."""
    wider: dict[int, Bucket] = {}
    for key, bucket in buckets.items():
        wider.setdefault(key // factor, Bucket()).merge(bucket)
    return wider


@attrs.frozen
class Stretch:
    """Time without a long pause.

    Attributes:
        start: Unix seconds.
        columns: what was recorded, column by column, empty ones included.
    """

    start: float
    columns: tuple[Bucket, ...]


@attrs.frozen
class Axis:
    """Time as a picture shows it: in columns of one width, with long pauses cut out.

    Attributes:
        width: seconds of a column.
        stretches: what is drawn, in order; between two of them time was cut out.
    """

    width: int
    stretches: tuple[Stretch, ...]

    @property
    def columns(self) -> int:
        """How many there are."""
        return sum(len(stretch.columns) for stretch in self.stretches)

    @property
    def pauses(self) -> tuple[float, ...]:
        """Seconds cut out before each stretch but the first."""
        ends = [stretch.start + len(stretch.columns) * self.width for stretch in self.stretches]
        starts = [stretch.start for stretch in self.stretches]
        return tuple(start - end for end, start in zip(ends[:-1], starts[1:], strict=True))

    def highest(self, name: str) -> float:
        """Return the highest rate of a column, per second; `name` is an attribute of `Bucket`."""
        return max((rate for s in self.stretches for rate in self.rates(s, name)), default=0.0)

    def rates(self, stretch: Stretch, name: str) -> list[float]:
        """Return a stretch's rates per second, column by column."""
        return [getattr(bucket, name) / self.width for bucket in stretch.columns]


def lay_out(timeline: Timeline, *, most: int, gap: int = 1) -> Axis:
    """Choose columns and cuts so that all of it fits.

    Args:
        timeline: what there is to show.
        most: columns that fit.
        gap: columns that a cut takes.
    """
    if not len(timeline):
        return Axis(timeline.width, ())
    active = len(timeline) * timeline.width
    for width in _widths(timeline.width):
        buckets = timeline.widened(width)
        longest = max(SHORTEST_CUT, CUT_PART * active, CUT_COLUMNS * width)
        runs = _runs(sorted(buckets), math.ceil(longest / width))
        columns = sum(last - first + 1 for first, last in runs) + gap * (len(runs) - 1)
        if columns <= most:
            return Axis(width, tuple(_stretch(buckets, run, width) for run in runs))
    raise AssertionError  # a width of all time is one column


def _widths(base: int) -> Iterator[int]:
    yield base
    width = base
    for width in NICE:
        if width > base and width % base == 0:
            yield width
    width = max(width, base)
    while True:
        width *= 2
        yield width


def _runs(keys: list[int], longest: int) -> list[tuple[int, int]]:
    """Return first and last key of what no pause longer than so many columns divides."""
    runs: list[tuple[int, int]] = []
    first = last = keys[0]
    for key in keys[1:]:
        if key - last - 1 > longest:
            runs.append((first, last))
            first = key
        last = key
    return [*runs, (first, last)]


def _stretch(buckets: dict[int, Bucket], run: tuple[int, int], width: int) -> Stretch:
    first, last = run
    columns = tuple(buckets.get(key) or Bucket() for key in range(first, last + 1))
    return Stretch(float(first * width), columns)


def shows(quota: float, peak: float) -> bool:
    """Whether a quota can be drawn without flattening what it is compared with.

    Args:
        quota: requests allowed per second, 0 while unknown.
        peak: the highest rate of requests.
    """
    return 0 < quota <= SCALE * peak
