"""What a client knows of its quota at one moment."""

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
