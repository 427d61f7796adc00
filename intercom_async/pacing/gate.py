"""A budget that processes share: a gate besides each one's own window."""

from collections.abc import Callable
from typing import Protocol

from intercom_async.pacing.window import (
    Lane,
    Permit,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)


class Gate(Protocol):
    """One limiter's view of a budget shared with other processes.

    A permit is granted when the limiter's own window and the gate agree, so a gate can only slow
    down, never speed up. Every call is quick and none blocks.
    """

    def wait(self, *, limit: int, reset: float, left: float) -> float:
        """Return 0.0 if a permit may be taken now, else the seconds after which to ask again.

        Args:
            reset: Unix second, on the server's clock, at which its current window ends.
        """
        ...

    def least_wait(self, *, reset: float, left: float) -> float:
        """Return the seconds that an interactive request certainly has to wait."""
        ...

    def take(self) -> None:
        """A permit is taken: `wait` has just returned 0.0, or no reply has named a window yet."""
        ...

    def observe(self, *, limit: int, remaining: int, reset: float, elapsed: float) -> None:
        """A reply said what is left of a window.

        Args:
            elapsed: seconds from the request's permit to the reply.
        """
        ...


class SharedBudget(Protocol):
    """Makes the gates of one process."""

    def gate(self, name: str, *, wake: Callable[[], None]) -> Gate:
        """Return a gate, inside the running loop.

        Args:
            name: of the budget, the same in every process; holds no secret.
            wake: call it when the result of `wait` may have changed.
        """
        ...


class GatedWindow(QuotaWindow):
    """The quota of a shared budget: a request leaves when the gate, too, lets it."""

    def __init__(self, policy: RateLimitPolicy, random: Callable[[], float], gate: Gate) -> None:
        super().__init__(policy, random)
        self._gate = gate

    def wait(self, lane: Lane, now: float, *, backlog: int | None) -> float:
        """See `QuotaWindow.wait`; before the first reply there is no window to ask for."""
        wait = super().wait(lane, now, backlog=backlog)
        if wait > 0.0 or self.limit is None:
            return wait
        return self._gate.wait(limit=self.limit, reset=self.reset, left=self._left(now))

    def take(self, lane: Lane, now: float) -> Permit:
        """See `QuotaWindow.take`."""
        self._gate.take()
        return super().take(lane, now)

    def least_wait(self, ahead: int, now: float) -> float:
        """See `QuotaWindow.least_wait`."""
        wait = super().least_wait(ahead, now)
        if self.limit is None:
            return wait
        return max(wait, self._gate.least_wait(reset=self.reset, left=self._left(now)))

    def answered(
        self,
        permit: Permit,
        headers: RateLimitHeaders | None,
        *,
        status: int,
        code: str | None,
        now: float,
    ) -> None:
        """See `QuotaWindow.answered`."""
        super().answered(permit, headers, status=status, code=code, now=now)
        if headers is not None and headers.quota is not None:
            limit, remaining, reset = headers.quota
            elapsed = now - permit.sent
            self._gate.observe(limit=limit, remaining=remaining, reset=reset, elapsed=elapsed)

    def _left(self, now: float) -> float:
        return self.reset - self.clock.now(now)
