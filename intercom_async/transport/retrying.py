"""Whether to try again, and when: a pure decision about one failed attempt.

Repeating a detach is always safe, because its effect is idempotent; but once an earlier attempt may
have been applied, a 404 no longer says who removed the contact. Retries must not become a storm:
hence full jitter, a bounded number of attempts, a bounded time, and one budget per client that
retries spend and successes earn back, so that trouble stops the retries of all calls (the models
are botocore's retry quota and gRPC's proposal A6). When everything fails, `outage` takes over.

A 429 never comes here, and costs no attempt: the call waits for the quota again, and
`pacing.window` says how long.
"""

import enum
from typing import Final

import attrs
import msgspec

from intercom_async.validators import POSITIVE, ZERO_OR_MORE, number, optional


class Failure(enum.Enum):
    """How an attempt failed."""

    NOT_SENT = "no connection could be made"
    CERTIFICATE = "the server's certificate was refused"
    TIMED_OUT = "the reply did not arrive in time"
    DISCONNECTED = "the connection was lost after sending"
    UNREADABLE = "the reply could not be read"
    TRUNCATED = "the reply ended early"
    TRANSIENT_STATUS = "the server had a passing problem"
    FOREIGN = "the answer is not Intercom's"
    CONTRADICTORY = "the answer contradicts itself or the question"
    REPEATED = "the connection gave the answer to another request"

    @property
    def ambiguous(self) -> bool:
        """Whether the request may have been applied."""
        return self not in _UNAMBIGUOUS


_UNAMBIGUOUS: Final = frozenset({Failure.NOT_SENT, Failure.CERTIFICATE})


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how long a call is tried again. All times in seconds.

    Attributes:
        attempts: requests for one call at most, the first one included; 1 turns retries off.
            A request refused with 429 does not count; it waits for the quota.
        total_time: the next attempt must begin within this time of the call's first one, or the
            call gives up; waiting for the quota is not counted (see `RateLimitPolicy.max_wait`).
            None for no bound.
        backoff: the longest wait before the second attempt; it doubles with each attempt.
        backoff_max: the longest wait before any attempt.
        jitter: the part of each wait that is random, 1 for all of it ("full jitter").
        retry_after_max: a longer Retry-After ends the call; the error names the wait.
        budget: tokens of the client's retry budget, shared by all its calls but those of the
            bulk lane, which the quota paces. A retry costs 5 tokens, after a timeout 10. A call
            that succeeds gives back what its retries cost, and 1 token more. While at most half
            of the tokens are left, nothing is retried.
    """

    attempts: int = attrs.field(
        default=5,
        validator=number(
            "a whole number of at least 1", lambda value: isinstance(value, int) and value >= 1
        ),
    )
    total_time: float | None = attrs.field(default=120.0, validator=optional(POSITIVE))
    backoff: float = attrs.field(default=0.5, validator=ZERO_OR_MORE)
    backoff_max: float = attrs.field(default=20.0, validator=ZERO_OR_MORE)
    jitter: float = attrs.field(
        default=1.0, validator=number("a fraction from 0 to 1", lambda value: 0 <= value <= 1)
    )
    retry_after_max: float = attrs.field(default=120.0, validator=ZERO_OR_MORE)
    budget: float = attrs.field(default=100.0, validator=POSITIVE)


class Retry(msgspec.Struct, frozen=True):
    """Try again after `wait` seconds."""

    wait: float


class Stop(msgspec.Struct, frozen=True):
    """Make no further attempt, for this reason."""

    reason: str


def decide(
    policy: RetryPolicy,
    *,
    failure: Failure,
    attempts: int,
    elapsed: float,
    retry_after: float | None,
    budget_allows: bool,
    random: float,
) -> Retry | Stop:
    """Decide about a call whose newest attempt failed.

    Args:
        elapsed: seconds since the first attempt began, waiting for the quota taken off.
        random: a number in [0, 1).
    """
    if failure is Failure.CERTIFICATE:
        return Stop("a refused certificate stays refused")
    if attempts >= policy.attempts:
        return Stop(f"all {policy.attempts} attempts are used")
    if retry_after is not None and retry_after > policy.retry_after_max:
        return Stop(too_long(retry_after, policy))
    if not budget_allows:
        return Stop("the client's retry budget is spent: too many calls fail")
    wait = max(backoff(policy, attempts=attempts, random=random), retry_after or 0.0)
    if policy.total_time is not None and elapsed + wait >= policy.total_time:
        return Stop(f"another attempt would not fit into the {policy.total_time:.0f} s allowed")
    return Retry(wait)


def too_long(asked: float, policy: RetryPolicy) -> str:
    """Say that the server asks for a longer wait than the policy allows."""
    return (
        f"the server asks for a wait of {asked:.0f} s, longer than the "
        f"{policy.retry_after_max:.0f} s allowed by RetryPolicy(retry_after_max=...)"
    )


def backoff(policy: RetryPolicy, *, attempts: int, random: float) -> float:
    """Seconds before the next attempt; the random part is from zero to all of it."""
    # The exponent is bounded because a policy may allow thousands of attempts.
    longest = min(policy.backoff_max, policy.backoff * 2.0 ** min(attempts - 1, 60))
    return longest * (1.0 - policy.jitter) + longest * policy.jitter * random


class RetryBudget:
    """The tokens that all calls of one client share; see `RetryPolicy.budget`."""

    __slots__ = ("_capacity", "_tokens")

    def __init__(self, capacity: float) -> None:
        self._capacity = capacity
        self._tokens = capacity

    @property
    def allows(self) -> bool:
        """Whether a retry may be made."""
        return self._tokens > self._capacity / 2

    def spend(self, failure: Failure) -> float:
        """Take the price of one retry and return it."""
        price = 10.0 if failure is Failure.TIMED_OUT else 5.0
        self._tokens = max(0.0, self._tokens - price)
        return price

    def earn(self, refund: float) -> None:
        """After a success, give back what the call's retries cost, and one token more."""
        if self._tokens < self._capacity:
            self._tokens = min(self._capacity, self._tokens + refund + 1.0)

    def refill(self) -> None:
        """Fill up after an outage: its failures say nothing about the calls to come."""
        self._tokens = self._capacity
