"""Measure contestants in rounds, and print their medians, extremes, ratios and bounds.

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


@attrs.frozen(kw_only=True)
class Options:
    """How much to measure; `quick` is for a first look, `million` adds runs of a million pairs."""

    rounds: int
    quick: bool = False
    million: bool = False


@attrs.frozen
class Bound:
    """A limit for a contestant's ratio to the baseline, difference from it, or own figure.

    It is an upper limit, or with `least` a lower one.
    """

    kind: Kind
    limit: float
    least: bool = False

    def judge(self, value: float) -> str:
        """Say whether a figure keeps within it, or by how much it does not."""
        unit = {"ratio": " x", "difference": " more", "value": ""}[self.kind]
        text = f"{'>=' if self.least else '<='} {self.limit:.4g}{unit}"
        if value >= self.limit if self.least else value <= self.limit:
            return f"{text}: holds"
        return f"{text}: MISSED, by {abs(value / self.limit - 1.0):.0%}"


@attrs.frozen(kw_only=True)
class Comparison:
    """Contestants measured in the same rounds.

    Attributes:
        name: what they did.
        baseline: the contestant that ratios and differences refer to.
        rounds: by contestant, a figure for each round.
        bounds: by contestant.
    """

    name: str
    unit: str
    baseline: str
    rounds: Mapping[str, Sequence[float]]
    bounds: Mapping[str, Bound] = attrs.field(factory=dict[str, Bound])

    def figures(self, contestant: str, kind: Kind) -> Sequence[float]:
        """Return a contestant's figures round by round, set against the baseline or not."""
        own = self.rounds[contestant]
        pairs = list(zip(own, self.rounds[self.baseline], strict=True))
        if kind == "ratio":
            return [value / other for value, other in pairs]
        return [value - other for value, other in pairs] if kind == "difference" else own

    def verdicts(self) -> dict[str, str]:
        """Say of each contestant that has a bound whether it keeps it."""
        return {
            name: bound.judge(statistics.median(self.figures(name, bound.kind)))
            for name, bound in self.bounds.items()
        }

    def show(self) -> None:
        """Print a line for each contestant."""
        base = self.rounds[self.baseline]
        print(f"\n{self.name}: {self.unit}, median of {len(base)} rounds (min to max)")
        verdicts = self.verdicts()
        for name, values in self.rounds.items():
            text = f"  {name:30} {spread(values)}"
            if name != self.baseline and all(base):
                text = f"{text:70} {spread(self.figures(name, 'ratio'), 'x')}"
            print(f"{text:110} {verdicts.get(name, '')}".rstrip())


def spread(values: Sequence[float], unit: str = "") -> str:
    """Return the median and the extremes of the rounds."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:10,.4g} {unit} ({low:,.4g} to {high:,.4g})"


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
            bounds={
                who: figure.bound
                for who in bounded
                # The baseline differs from itself in nothing.
                if figure.bound is not None and (who != baseline or figure.bound.kind == "value")
            },
        )
        for place, figure in enumerate(figures)
    ]


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


def is_installed(module: str) -> bool:
    """Whether a module can be imported; contestants that need another one are left out."""
    return importlib.util.find_spec(module) is not None
