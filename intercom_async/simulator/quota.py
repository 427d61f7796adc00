"""Counts requests into windows. Pure: `now` is an argument.

Intercom cuts time into windows by its own clock: windows of ten seconds end at every Unix time that
ten divides. Each window admits `limit` requests; refused ones are not counted.
"""

import math

import attrs

from intercom_async.validators import POSITIVE, ZERO_OR_MORE


@attrs.frozen(kw_only=True)
class Standing:
    """Whether a request was accepted, and what its X-RateLimit headers say."""

    accepted: bool
    limit: int
    remaining: int
    reset: int


@attrs.define(kw_only=True)
class WindowUsage:
    """The requests of the window that began at `start`; for `spent_elsewhere` see `Quota.spend`."""

    start: float
    accepted: int = 0
    refused: int = 0
    spent_elsewhere: int = 0

    @property
    def used(self) -> int:
        """Requests taken off the budget."""
        return self.accepted + self.spent_elsewhere


@attrs.define(kw_only=True)
class Quota:
    """A budget of requests per clock-aligned window.

    Attributes:
        limit: requests per window; may be changed at any time.
        window: seconds.
        counter_lag: requests by which X-RateLimit-Remaining is too high. It is one at Intercom,
            whose first reply of a window still says Remaining = Limit.
        windows: all that saw a request, oldest first.
    """

    limit: int = attrs.field(default=167, validator=POSITIVE)
    window: float = attrs.field(default=10.0, validator=POSITIVE)
    counter_lag: int = attrs.field(default=1, validator=ZERO_OR_MORE)
    windows: list[WindowUsage] = attrs.field(init=False, factory=list[WindowUsage])

    def usage(self, now: float) -> WindowUsage:
        """Return the window that `now` (Unix seconds) lies in; time does not go back."""
        start = math.floor(now / self.window) * self.window
        if not self.windows or self.windows[-1].start < start:
            self.windows.append(WindowUsage(start=start))
        return self.windows[-1]

    def charge(self, now: float) -> Standing:
        """Count one request at `now` (Unix seconds), or refuse it when the window is full."""
        usage = self.usage(now)
        if usage.used >= self.limit:
            return self.refuse(now)
        usage.accepted += 1
        return self._standing(usage, accepted=True)

    def refuse(self, now: float) -> Standing:
        """Refuse a request whether or not the window has room, as another budget may."""
        usage = self.usage(now)
        usage.refused += 1
        return self._standing(usage, accepted=False)

    def _standing(self, usage: WindowUsage, *, accepted: bool) -> Standing:
        left = self.limit - usage.used
        # A full window that refuses does not lag behind.
        lag = self.counter_lag if accepted or left > 0 else 0
        return Standing(
            accepted=accepted,
            limit=self.limit,
            remaining=max(0, min(left + lag, self.limit)),
            # A header of whole seconds cannot name an edge between two of them.
            reset=math.ceil(usage.start + self.window),
        )

    def spend(self, requests: int, now: float) -> None:
        """Take `requests` off the window of `now`, as another process with this token would.

        What exceeds the window is lost.
        """
        usage = self.usage(now)
        usage.spent_elsewhere += max(0, min(requests, self.limit - usage.used))
