"""Counting requests into windows: pure arithmetic, `now` is an argument.

Intercom cuts time into windows aligned to its own clock: with ten seconds, one ends at every
Unix time divisible by ten. Each window admits `limit` requests; refused ones are not counted.
"""

import math

import attrs

from intercom_async.errors import InvalidArgumentError


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


class Quota:
    """A budget of requests per clock-aligned window.

    Args:
        limit: requests per window.
        window: seconds.
        counter_lag: requests by which X-RateLimit-Remaining is too high. It is one at Intercom,
            whose first reply of a window still says Remaining = Limit.
    """

    def __init__(self, *, limit: int = 167, window: float = 10.0, counter_lag: int = 1) -> None:
        if not window > 0 or math.isinf(window):
            raise InvalidArgumentError("window", window, "a positive number of seconds")
        if counter_lag < 0:
            raise InvalidArgumentError("counter_lag", counter_lag, "0 or more requests")
        self.limit = limit
        self.window = window
        self.counter_lag = counter_lag
        self._windows: dict[int, WindowUsage] = {}

    @property
    def limit(self) -> int:
        """Requests per window; may be changed at any time."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        if limit < 1:
            raise InvalidArgumentError("limit", limit, "a positive number of requests")
        self._limit = limit

    @property
    def windows(self) -> list[WindowUsage]:
        """All windows that saw a request, oldest first."""
        return [self._windows[index] for index in sorted(self._windows)]

    @property
    def refusal_message(self) -> str:
        """Intercom's text for a request beyond the limit."""
        return f"Exceeded rate limit of {self._limit} in {self.window:g}_seconds"

    def usage(self, now: float) -> WindowUsage:
        """Return the window that `now` (Unix seconds) lies in."""
        index = math.floor(now / self.window)
        usage = self._windows.get(index)
        if usage is None:
            usage = self._windows[index] = WindowUsage(start=index * self.window)
        return usage

    def charge(self, now: float) -> Standing:
        """Count one request at `now` (Unix seconds), or refuse it when the window is full."""
        usage = self.usage(now)
        if usage.used >= self._limit:
            return self.refuse(now)
        usage.accepted += 1
        return self._standing(usage, accepted=True)

    def refuse(self, now: float) -> Standing:
        """Refuse a request whether or not the window has room, as another budget may."""
        usage = self.usage(now)
        usage.refused += 1
        return self._standing(usage, accepted=False)

    def _standing(self, usage: WindowUsage, *, accepted: bool) -> Standing:
        left = self._limit - usage.used
        # A full window that refuses does not lag behind.
        lag = self.counter_lag if accepted or left > 0 else 0
        return Standing(
            accepted=accepted,
            limit=self._limit,
            remaining=max(0, min(left + lag, self._limit)),
            # A header of whole seconds cannot name an edge between two of them.
            reset=math.ceil(usage.start + self.window),
        )

    def spend(self, requests: int, now: float) -> None:
        """Take `requests` off the window of `now`, as another process with this token would.

        What exceeds the window is lost.
        """
        usage = self.usage(now)
        usage.spent_elsewhere += max(0, min(requests, self._limit - usage.used))
