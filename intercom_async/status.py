"""What a client knows of its quota, and of an outage, at one moment."""

import attrs


@attrs.frozen(kw_only=True)
class RateLimitStatus:
    """A snapshot of one budget, as the server's headers and our own counting show it.

    Attributes:
        limit: requests the server allows per window, or None while it sent no headers.
        remaining: requests left in the current window, those in flight already taken off;
            an upper bound, because other processes may use the same budget.
        resets_in: seconds until the window ends, 0.0 when it has ended.
        share: our measured part of the budget's consumption, 0.0 to 1.0.
        in_flight: requests sent and not answered yet.
        waiting_interactive: calls of the interactive lane that wait for a permit.
        waiting_bulk: calls of the bulk lane that wait for a permit.
    """

    limit: int | None
    remaining: int | None
    resets_in: float
    share: float = 1.0
    in_flight: int = 0
    waiting_interactive: int = 0
    waiting_bulk: int = 0


@attrs.frozen(kw_only=True)
class OutageStatus:
    """An outage as it looks now: requests fail, and none has succeeded in between.

    Attributes:
        since: seconds since the first of these failures.
        reason: the newest failure, in words.
        next_look: seconds until a request looks whether Intercom is back; 0.0 while one does.
    """

    since: float
    reason: str
    next_look: float

    def __str__(self) -> str:
        look = f"the next look is in {self.next_look:.0f} s" if self.next_look else "looking now"
        return f"Intercom has been away for {self.since:.0f} s ({self.reason}); {look}"
