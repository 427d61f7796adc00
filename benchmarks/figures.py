"""The figures of a benchmark: medians, extremes, ratios, bounds.

Each round measures every contestant once, so other programs disturb all of a round's figures alike.
The median is taken of ratios within rounds, so the machine's speed does not count.
"""

import importlib.util
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal, TypeVar

import attrs

T = TypeVar("T")
Kind = Literal["ratio", "difference", "value"]


@attrs.frozen
class Spread:
    """A median and the extremes."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Summarise the rounds of one figure."""
    return Spread(statistics.median(values), min(values), max(values))


@attrs.frozen
class Bound:
    """A limit for a contestant's ratio to the baseline, difference from it, or own figure.

    It is an upper limit, or with `least` a lower one.
    """

    kind: Kind
    limit: float
    least: bool = False

    def holds(self, value: float) -> bool:
        """Whether a figure keeps within it."""
        return value >= self.limit if self.least else value <= self.limit

    def __str__(self) -> str:
        sign = ">=" if self.least else "<="
        return f"{sign} {self.limit:.4g}{' x' if self.kind == 'ratio' else ''}"


@attrs.frozen(kw_only=True)
class Comparison:
    """Contestants measured in the same rounds.

    Attributes:
        name: what they did.
        baseline: the contestant that ratios and differences refer to.
        rounds: by contestant, a figure for each round.
        bounds: by contestant.
        notes: for the reader, such as who was left out.
    """

    name: str
    unit: str
    baseline: str
    rounds: Mapping[str, Sequence[float]]
    bounds: Mapping[str, Bound] = attrs.field(factory=dict[str, Bound])
    notes: Sequence[str] = ()

    def figures(self, contestant: str, kind: Kind) -> Sequence[float]:
        """Return a contestant's figures round by round, set against the baseline or not."""
        own = self.rounds[contestant]
        if kind == "value":
            return own
        base = self.rounds[self.baseline]
        if kind == "ratio":
            return [value / other for value, other in zip(own, base, strict=True)]
        return [value - other for value, other in zip(own, base, strict=True)]

    def keeps_bound(self, contestant: str) -> str:
        """Say whether the contestant keeps its bound; empty if it has none."""
        bound = self.bounds.get(contestant)
        if bound is None:
            return ""
        figure = spread(self.figures(contestant, bound.kind)).median
        if bound.holds(figure):
            return f"{bound}: holds"
        over = f", by {abs(figure / bound.limit - 1.0):.0%}" if bound.limit else ""
        return f"{bound}: MISSED{over}"


@attrs.frozen
class Figure:
    """One of the numbers that every measurement gives."""

    name: str
    unit: str
    bound: Bound | None = None


def compare(
    figures: Sequence[Figure],
    measurements: Mapping[str, Sequence[Sequence[float]]],
    baseline: str,
    bounded: Collection[str],
) -> list[Comparison]:
    """Return a comparison for each figure; the bounds are those of some contestants."""
    return [
        Comparison(
            name=figure.name,
            unit=figure.unit,
            baseline=baseline,
            rounds={who: [each[place] for each in rows] for who, rows in measurements.items()},
            bounds={} if figure.bound is None else dict.fromkeys(bounded, figure.bound),
        )
        for place, figure in enumerate(figures)
    ]


@attrs.frozen(kw_only=True)
class Options:
    """How much to measure; `quick` is for a first look, `million` adds runs of a million pairs."""

    rounds: int
    quick: bool = False
    million: bool = False


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """Return the contestants in the order of a round; each round begins with another one."""
    shift = number % len(names)
    return [*names[shift:], *names[:shift]]


def measured(contestants: Mapping[str, Callable[[], T]], rounds: int) -> dict[str, list[T]]:
    """Let every contestant measure itself once a round; return the figures of each."""
    figures: dict[str, list[T]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in in_turn(list(contestants), number):
            figures[name].append(contestants[name]())
    return figures


def installed(needs: Mapping[str, Sequence[str]]) -> tuple[list[str], list[str]]:
    """Return the contestants whose modules are installed, and a note on each that is left out."""
    missing = {
        name: [module for module in modules if importlib.util.find_spec(module) is None]
        for name, modules in needs.items()
    }
    present = [name for name in needs if not missing[name]]
    notes = [f"{name}: left out, no {modules[0]}" for name, modules in missing.items() if modules]
    return present, notes
