"""How many bulk requests may be in flight, computed from rate and latency.

By Little's law a paced rate of `limit / 10` per second at a latency of `p95` seconds keeps
their product in flight; half as much again is added for variation. The quota paces the run, so
this is a safety bound that matters when the server slows down: when more than one answer in
twenty says it is overloaded, the bound is halved, then given back by a tenth per calm window.
A controller that follows the latency itself would bring nothing while a quota is the bottleneck.
Pure: one call per answer.
"""

import math
from collections import deque
from typing import Final

SMALLEST: Final = 64
"""More than pacing needs at small limits: a job that may go at once should not wait here."""

LARGEST: Final = 256

_HEADROOM: Final = 1.5
_OVERLOADED: Final = 0.05
_FEW: Final = 20
"""In a window with fewer answers, a single failure says nothing."""

_SAMPLES: Final = 512


class ConcurrencyBound:
    """The bound, and what it is computed from."""

    __slots__ = ("_answers", "_factor", "_latencies", "_overloads", "_reset", "value")

    def __init__(self) -> None:
        self.value = LARGEST
        self._factor = 1.0
        self._latencies: deque[float] = deque(maxlen=_SAMPLES)
        self._answers = 0
        self._overloads = 0
        self._reset = 0.0

    def observe(self, elapsed: float, *, overloaded: bool, limit: int | None, reset: float) -> None:
        """Count an attempt.

        Args:
            overloaded: whether it timed out or got 502, 503 or 504.
            limit: requests of a window, None if unknown.
            reset: the window; a new bound is computed with each.
        """
        if limit is not None and reset != self._reset:
            self._reset = reset
            self._compute(limit)
        self._answers += 1
        self._overloads += overloaded
        self._latencies.append(elapsed)

    def _compute(self, limit: int) -> None:
        if not self._answers:
            return
        if self._overloads > _OVERLOADED * max(self._answers, _FEW):
            self._factor = max(self._factor / 2.0, 1.0 / LARGEST)
        else:
            self._factor = min(1.0, self._factor * 1.1)
        latencies = sorted(self._latencies)
        p95 = latencies[int(0.95 * (len(latencies) - 1))]
        needed = math.ceil(limit / 10.0 * p95 * _HEADROOM)
        self.value = max(1, int(min(max(needed, SMALLEST), LARGEST) * self._factor))
        self._latencies.clear()
        self._answers = self._overloads = 0
