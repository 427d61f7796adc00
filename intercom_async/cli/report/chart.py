"""The picture of a run as inline SVG.

The shapes are stretched to whatever room there is, and all text is HTML at a place given in
percent: so it is as legible on a phone as on a wall.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from html import escape
from typing import Final

import attrs

from intercom_async.cli.report import words
from intercom_async.cli.report.facts import Facts
from intercom_async.cli.report.timeline import Axis, Bucket, Stretch, lay_out, shows

MOST: Final = 260
"""Columns that fit."""

GAP: Final = 5
"""Columns that a cut takes."""

HEIGHT: Final = 100
"""Units of a chart's height."""

LEAST: Final = 3
"""Units of the height of what is rare in a small chart: one pixel, for it happened."""

LABELLED: Final = 12
"""Cuts that can be labelled without covering one another."""

STEPS: Final = (5, 10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
"""Seconds between two labels of the time; beyond the last they double."""

LABELS: Final = 8
"""Labels of the time that fit, about."""

NARROW: Final = 27
"""Percent of the width that a label of the time takes on a narrow page."""

Value = Callable[[Bucket], int]


@attrs.frozen
class Placed:
    """A stretch with its place.

    Attributes:
        x: its first column's place, in columns.
        stretch: the stretch.
    """

    x: int
    stretch: Stretch

    @property
    def end(self) -> int:
        """The place behind its last column."""
        return self.x + len(self.stretch.columns)


class Picture:
    """The charts of a run, one below the other, with one time axis.

    Args:
        facts: what to show.
    """

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.axis: Axis = lay_out(facts.timeline, most=MOST, gap=GAP)
        self._placed: list[Placed] = []
        x = 0
        for stretch in self.axis.stretches:
            self._placed.append(Placed(x, stretch))
            x = self._placed[-1].end + GAP
        self._units = max(1, x - GAP)
        self.peak = max(
            (
                (bucket.requests + bucket.refusals) / self.axis.width
                for stretch in self.axis.stretches
                for bucket in stretch.columns
            ),
            default=0.0,
        )
        self.quota = (facts.quota or 0) / 10
        self.shows_quota = shows(self.quota, self.peak)

    def html(self) -> str:
        """Return all of it."""
        parts = [self._tall()]
        for attribute, name in (
            ("settled", "settled"),
            ("retries", "retries"),
            ("refusals", "refused"),
        ):
            parts.append(self._strip(attribute, name))
        parts.append(f'<div class="strip"><div></div>{self._times()}</div>')
        return "\n".join(parts)

    # --- charts --------------------------------------------------------------------------------

    def _tall(self) -> str:
        top = max(self.peak, self.quota if self.shows_quota else 0.0) * 1.06 or 1.0
        lines, labels = self._grid(top)
        shapes = [
            *lines,
            *self._areas(top, "requests", _none, _requests),
            *self._areas(top, "refusals", _requests, _all),
            *(self._quota_lines(top) if self.shows_quota else ()),
            *(
                f'<line class="begin" x1="{x:.2f}" x2="{x:.2f}" y1="0" y2="{HEIGHT}"/>'
                for x in self.beginnings()
            ),
            *self._hovers(),
        ]
        return (
            '<div class="strip"><div class="name"></div><div class="plot tall">'
            f"{self._svg('Requests per second over time', shapes)}{''.join(labels)}"
            f"{self._cuts(labelled=len(self.axis.pauses) <= LABELLED)}</div></div>"
        )

    def _strip(self, attribute: str, name: str) -> str:
        top = self.axis.highest(attribute)
        colour = "detached" if attribute == "settled" else attribute
        told = f"up to {words.rate(top)}/s" if top else "none"
        svg = ""
        if top:
            shapes = [
                *self._areas(
                    top, colour, _none, lambda bucket: getattr(bucket, attribute), least=LEAST
                ),
                *self._hovers(),
            ]
            svg = self._svg(f"{name.capitalize()} per second over time", shapes)
        kind = "plot" if top else "plot none"
        return (
            f'<div class="strip"><div class="name"><b>{name}</b>{told}</div>'
            f'<div class="{kind}">{svg}{self._cuts(labelled=False)}</div></div>'
        )

    def _svg(self, title: str, shapes: Sequence[str]) -> str:
        return (
            f'<svg viewBox="0 0 {self._units} {HEIGHT}" preserveAspectRatio="none" role="img" '
            f'aria-label="{escape(title)}">{"".join(shapes)}</svg>'
        )

    def _areas(
        self, top: float, colour: str, low: Value, high: Value, *, least: float = 0.0
    ) -> Iterator[str]:
        """Yield each stretch's columns as one shape, from one value up to another.

        What is more than nothing is drawn with the least height.
        """
        scale = HEIGHT / top / self.axis.width
        for placed in self._placed:
            path: list[str] = []
            for x, bucket in enumerate(placed.stretch.columns, placed.x):
                bottom, height = HEIGHT - low(bucket) * scale, (high(bucket) - low(bucket)) * scale
                if height > 0:
                    path.append(f"M{x} {bottom:.2f}h1v{-max(height, least):.2f}h-1z")
            if path:
                yield f'<path class="area" style="--c:var(--{colour})" d="{"".join(path)}"/>'

    def _quota_lines(self, top: float) -> Iterator[str]:
        known = 0
        for placed in self._placed:
            path: list[str] = []
            for x, bucket in enumerate(placed.stretch.columns, placed.x):
                known = bucket.quota or known
                if known:
                    y = HEIGHT - HEIGHT * known / 10 / top
                    path.append(f"{'L' if path else 'M'}{x} {y:.2f}H{x + 1}")
            if path:
                yield f'<path class="quota" d="{"".join(path)}"/>'

    def _grid(self, top: float) -> tuple[list[str], list[str]]:
        step = nice(top / 4)
        lines: list[str] = []
        labels = ['<span class="label" style="top:100%">0</span>']
        value = step
        while value < top:
            y = HEIGHT - HEIGHT * value / top
            lines.append(f'<line x1="0" x2="{self._units}" y1="{y:.2f}" y2="{y:.2f}"/>')
            labels.append(f'<span class="label" style="top:{y:.2f}%">{value:,g}</span>')
            value = round(value + step, 6)
        return lines, labels

    def beginnings(self) -> list[float]:
        """Return the places where a session begins within a stretch."""
        places: list[float] = []
        for session in self._facts.known_sessions[1:]:
            for placed in self._placed if session.began is not None else ():
                x = placed.x + ((session.began or 0.0) - placed.stretch.start) / self.axis.width
                if placed.x + 1 < x < placed.end:
                    places.append(x)
        return places

    def _hovers(self) -> Iterator[str]:
        """Yield what tells the numbers of a column to whoever points at it."""
        width = self.axis.width
        for placed in self._placed:
            at = placed.stretch.start
            for x, bucket in enumerate(placed.stretch.columns, placed.x):
                if bucket.records:
                    told = (
                        f"{words.time_of_day(at)}-{words.time_of_day(at + width)}: "
                        f"{bucket.settled:,} settled, {bucket.requests:,} requests, "
                        f"{bucket.retries:,} retries, {bucket.refusals:,} refused"
                    )
                    yield (
                        f'<rect x="{x}" y="0" width="1" height="{HEIGHT}">'
                        f"<title>{told}</title></rect>"
                    )
                at += width

    def _cuts(self, *, labelled: bool) -> str:
        parts: list[str] = []
        for placed, pause in zip(self._placed[1:], self.axis.pauses, strict=True):
            left, width = self._percent(placed.x - GAP), self._percent(GAP)
            told = words.span(pause)
            label = f"<span>{told}</span>" if labelled else ""
            parts.append(
                f'<div class="cut" style="left:{left:.3f}%;width:{width:.3f}%" '
                f'title="{told} cut out">{label}</div>'
            )
        return "".join(parts)

    # --- the time axis -------------------------------------------------------------------------

    def _times(self) -> str:
        parts: list[str] = []
        shown, shown_day, day = -math.inf, "", ""
        for x, at in self._ticks():
            percent = self._percent(x)
            kinds = ["start"] if percent < 4 else ["end"] if percent > 96 else []
            today = words.day_and_time(at)[:10]
            # A narrow page hides the minor ones, and must still tell the days apart.
            if percent - shown >= (NARROW if percent <= 96 else 1.4 * NARROW):
                new_day = today != shown_day
                shown, shown_day = percent, today
            else:
                new_day = today != day
                kinds.append("minor")
            day = today
            told = words.time_of_day(at, seconds=bool(round(at) % 60))
            date = f"<br>{today}" if new_day else ""
            parts.append(
                f'<span class="{" ".join(kinds)}" style="left:{percent:.3f}%">{told}{date}</span>'
            )
        return f'<div class="times">{"".join(parts)}</div>'

    def _ticks(self) -> Iterator[tuple[float, float]]:
        """Yield places and moments that are round, and far enough from one another."""
        step = self._step()
        apart = self._units / LABELS
        last = -apart
        for placed in self._placed:
            start, width = placed.stretch.start, self.axis.width
            if placed.x - last >= apart:
                last = float(placed.x)
                yield last, start
            at = math.ceil(start / step) * step
            while (x := placed.x + (at - start) / width) <= placed.end:
                if x - last >= apart:
                    last = x
                    yield x, float(at)
                at += step

    def _step(self) -> int:
        seconds = self.axis.columns * self.axis.width / LABELS
        for step in STEPS:
            if step >= seconds:
                return step
        return math.ceil(seconds / STEPS[-1]) * STEPS[-1]

    def _percent(self, x: float) -> float:
        return 100 * x / self._units


def _none(_: Bucket) -> int:
    return 0


def _requests(bucket: Bucket) -> int:
    return bucket.requests


def _all(bucket: Bucket) -> int:
    return bucket.requests + bucket.refusals


def nice(value: float) -> float:
    """Return the next 1, 2, 2.5 or 5 times a power of ten that is not smaller."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 2.5, 5, 10) if power * step >= value * 0.999)
