"""What a client did so far, in numbers: for those who want neither logs nor telemetry."""

import attrs


@attrs.frozen(kw_only=True)
class ClientStats:
    """A snapshot of one client's counters since it was made; its views count with it.

    A call is one request made reliable; a detach that had to be checked is two.

    Attributes:
        calls: calls begun.
        requests: requests sent, refused and unanswered ones included.
        by_status: answered requests per HTTP status.
        lost: requests that got no answer, cancelled ones included.
        retries: requests that repeated a failed attempt.
        refusals: requests that were refused with 429.
        given_up: calls that ended because no further attempt was made after a failed one.
        waits: how often a call had to wait for the quota.
        waited: seconds spent in those waits, all calls together.
        waits_refused: of those waits, how many were longer than the call allowed.
    """

    calls: int = 0
    requests: int = 0
    by_status: dict[int, int] = attrs.field(factory=dict[int, int])
    lost: int = 0
    retries: int = 0
    refusals: int = 0
    given_up: int = 0
    waits: int = 0
    waited: float = 0.0
    waits_refused: int = 0
