"""Whether Intercom is away, and when to look whether it is back. Pure.

Failures with no success between them are an outage if there are enough of them, of enough
different calls (a single pair that always fails is no outage), for long enough (a server that
restarts drops many connections in one moment). Any answer that is no passing error ends it.

While it lasts, one request at a time looks, with jittered pauses that grow between the beginnings
of two looks.
"""

import math
from typing import Final

from intercom_async.observing import OutageStatus

CALLS: Final = 5
"""Calls that must have failed: fewer may have failed for reasons of their own."""

FAILURES: Final = 10
"""Failures in a row. Of scattered ones, every fifth request, ten million make one such row."""

SPAN: Final = 0.5
"""Seconds from the first of them to the last."""

STORM: Final = 100
"""Failures in a row that make an outage however quickly they came."""

_FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


class Outage:
    """Intercom's absence, as one client sees it.

    Attributes:
        failures: in a row, up to now; 0 while all is well.
        next_look: monotonic seconds from which on the next one may leave.
    """

    __slots__ = (
        "_began",
        "_calls",
        "_ended",
        "_look_began",
        "_pause",
        "_reason",
        "failures",
        "is_open",
        "looking",
        "next_look",
    )

    def __init__(self) -> None:
        self.failures = 0
        self.is_open = False
        self.looking = False
        self.next_look = 0.0
        self._began = 0.0
        self._ended = -math.inf
        self._calls: set[int] = set()
        self._look_began = 0.0
        self._pause = _FIRST_PAUSE
        self._reason = ""

    @property
    def suspected(self) -> bool:
        """Whether the failures so far are likely to become an outage, or are one."""
        return self.is_open or len(self._calls) >= CALLS

    def status(self, now: float) -> OutageStatus | None:
        """Return the outage as people see it, None while there is none."""
        if not self.is_open:
            return None
        next_look = 0.0 if self.looking else max(0.0, self.next_look - now)
        return OutageStatus(since=now - self._began, reason=self._reason, next_look=next_look)

    def failed(self, now: float, *, call: int, sent: float, reason: str, random: float) -> bool:
        """Count a failure; return whether it begins an outage.

        Args:
            sent: monotonic seconds when that request left; others may have succeeded since.
        """
        if sent < self._ended:
            return False
        if not self.failures:
            self._began = now
        self.failures += 1
        self._reason = reason
        if self.is_open:
            return False
        if len(self._calls) < CALLS:
            self._calls.add(call)
        lasted = self.failures >= FAILURES and now - self._began >= SPAN
        if len(self._calls) < CALLS or not (lasted or self.failures >= STORM):
            return False
        self.is_open = True
        self._look_began = now
        self._plan(now, random, self._pause)
        return True

    def succeeded(self, now: float) -> bool:
        """Count an answer; return whether it ends an outage."""
        ended = self.is_open
        self.failures = 0
        self.is_open = self.looking = False
        self._calls.clear()
        self._ended = now
        self._pause = _FIRST_PAUSE
        return ended

    def may_look(self, now: float) -> bool:
        """Whether a request may leave to look."""
        return not self.looking and now >= self.next_look

    def look(self, now: float) -> None:
        """A request is about to leave; `may_look` has just been true."""
        self.looking = True
        self._look_began = now

    def looked(
        self, now: float, *, random: float, asked: float | None = None, longest: float
    ) -> None:
        """The look is over and Intercom is still away: plan the next one.

        Args:
            asked: seconds the server asked to wait, None for no such wish.
        """
        self.looking = False
        self._pause = min(longest, 2.0 * self._pause)
        self._plan(now, random, max(self._pause, min(LONGEST_PAUSE, asked or 0.0)))

    def _plan(self, now: float, random: float, pause: float) -> None:
        self.next_look = max(now, self._look_began + pause * (0.5 + 0.5 * random))
