"""Measure contestants in rounds, and print their medians, extremes, ratios and bounds.

Each round measures every contestant once, so other programs disturb all of a round's figures alike.
The median is taken of ratios within rounds, so the machine's speed does not count.
"""

import argparse
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import attrs


class Options(argparse.Namespace):
    """What the command line asks for: see `python -m benchmarks --help`."""

    names: list[str]
    rounds: int
    quick: bool
    million: bool
    seeds: int
    only: str
    svg: Path | None


@attrs.frozen
class Bound:
    """A limit for a contestant's ratio to the baseline, difference from it, or own figure.

    It is an upper limit, or with `least` a lower one.
    """

    kind: Literal["ratio", "difference", "value"]
    limit: float
    least: bool = False

    def judge(self, own: Sequence[float], base: Sequence[float]) -> str:
        """Say whether a contestant keeps within it; figures are given round by round."""
        match self.kind:
            case "ratio":
                value, unit = statistics.median(_ratios(own, base)), " x"
            case "difference":
                differences = [one - other for one, other in zip(own, base, strict=True)]
                value, unit = statistics.median(differences), " more"
            case "value":
                value, unit = statistics.median(own), ""
        holds = value >= self.limit if self.least else value <= self.limit
        sign = ">=" if self.least else "<="
        return f"{sign} {self.limit:.4g}{unit}: {'holds' if holds else 'MISSED'}"


@attrs.frozen
class Figure:
    """One of the numbers that a measurement gives, and its bounds by contestant."""

    name: str
    unit: str
    bounds: Mapping[str, Bound] = attrs.field(factory=dict[str, Bound])


@attrs.frozen
class Table:
    """What contestants measured: by contestant, for each round a number for each figure.

    Ratios and differences refer to the first contestant.
    """

    figures: Sequence[Figure]
    rounds: Mapping[str, Sequence[Sequence[float]]]

    def show(self) -> list[str]:
        """Print a line for each contestant under each figure; return what became of the bounds."""
        verdicts: list[str] = []
        for place, figure in enumerate(self.figures):
            columns = {who: [row[place] for row in rows] for who, rows in self.rounds.items()}
            base = next(iter(columns.values()))
            print(f"\n{figure.name}: {figure.unit}, median of {len(base)} rounds (min to max)")
            for who, values in columns.items():
                text = f"  {who:30} {spread(values)}"
                if values is not base and all(base):
                    text = f"{text:70} {spread(_ratios(values, base), 'x')}"
                if who in figure.bounds:
                    verdict = figure.bounds[who].judge(values, base)
                    verdicts.append(f"{figure.name}, {who}: {verdict}")
                    text = f"{text:110} {verdict}"
                print(text)
        return verdicts


def _ratios(own: Sequence[float], base: Sequence[float]) -> list[float]:
    return [one / other for one, other in zip(own, base, strict=True)]


def spread(values: Sequence[float], unit: str = "") -> str:
    """Return the median and the extremes of the rounds."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:10,.4g} {unit} ({low:,.4g} to {high:,.4g})"


def measured(
    contestants: Mapping[str, Callable[[], Sequence[float]]], rounds: int
) -> dict[str, list[Sequence[float]]]:
    """Let every contestant measure itself once a round; each round begins with another one."""
    figures: dict[str, list[Sequence[float]]] = {name: [] for name in contestants}
    for number in range(rounds):
        shift = number % len(contestants)
        for name in [*contestants][shift:] + [*contestants][:shift]:
            figures[name].append(contestants[name]())
    return figures
