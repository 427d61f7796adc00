"""Whether to try again, and when: a pure decision about one failed attempt.

A detach is idempotent in its effect, so repeating it is always safe; only the label of a later
404 becomes uncertain once an attempt of unknown fate came before. What has to be prevented is
the storm: hence full jitter, a bounded number of attempts, a bounded time, and one budget per
client that retries spend and successes earn back, so that trouble ends retrying for all calls
together (botocore's retry quota and gRPC's proposal A6 are the models). When everything fails,
`outage` takes over.

429 never comes here: waiting for the quota is the limiter's business and costs no attempt.
"""

import enum
import sys
from collections.abc import Callable
from typing import Any, Final

import attrs

from intercom_async.errors import InvalidArgumentError


class Failure(enum.Enum):
    """How an attempt failed, by what that says of its fate."""

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


def check_number(*, zero_too: bool, none_too: bool = False) -> Callable[[object, Any, Any], None]:
    """Return an attrs validator for a finite number, positive or at least zero."""
    expected = "0 or more" if zero_too else "a positive number"

    def check(_: object, attribute: Any, value: Any) -> None:
        if none_too and value is None:
            return
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not 0 <= value <= sys.float_info.max
            or (value == 0 and not zero_too)
        ):
            raise InvalidArgumentError(attribute.name, value, expected)

    return check


def _check_attempts(_: object, attribute: Any, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidArgumentError(attribute.name, value, "a whole number of at least 1")


def _check_jitter(_: object, attribute: Any, value: object) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InvalidArgumentError(attribute.name, value, "a fraction from 0 to 1")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how long a call is tried again. All times in seconds.

    Attributes:
        attempts: requests for one call at most, the first one included; 1 turns retries off.
            Replies 429 are not counted, they wait for the quota.
        total_time: when the next attempt would begin later than this after the call's first
            one, the call gives up instead; waiting for the quota is not counted (see
            `RateLimitPolicy.max_wait`). None for no bound.
        attempt_time: one attempt, from connecting to the end of the reply; None for the
            client's `timeout`.
        backoff: the longest wait before the second attempt; it doubles with each attempt.
        backoff_max: the longest wait before any attempt.
        jitter: the part of a wait that is random, 1 for all of it ("full jitter").
        retry_after_max: a Retry-After beyond this ends the call, with the wait in the error.
        budget: tokens of the client's retry budget, shared by all its calls but those of the
            bulk lane, which the quota paces. A retry costs 5, after a timeout 10, and gets them
            back when it succeeds; every success gives 1. At half of the tokens retrying stops
            until successes fill the budget again.
    """

    attempts: int = attrs.field(default=5, validator=_check_attempts)
    total_time: float | None = attrs.field(
        default=120.0, validator=check_number(zero_too=False, none_too=True)
    )
    attempt_time: float | None = attrs.field(
        default=None, validator=check_number(zero_too=False, none_too=True)
    )
    backoff: float = attrs.field(default=0.5, validator=check_number(zero_too=True))
    backoff_max: float = attrs.field(default=20.0, validator=check_number(zero_too=True))
    jitter: float = attrs.field(default=1.0, validator=_check_jitter)
    retry_after_max: float = attrs.field(default=120.0, validator=check_number(zero_too=True))
    budget: float = attrs.field(default=100.0, validator=check_number(zero_too=False))


@attrs.frozen
class Retry:
    """Try again after `wait` seconds."""

    wait: float


@attrs.frozen
class Stop:
    """Make no further attempt, for this reason."""

    reason: str


def judge(
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
        policy: the caller's bounds.
        failure: how the attempt failed.
        attempts: requests sent so far, the failed one included.
        elapsed: seconds since the first attempt began, waiting for the quota taken off.
        retry_after: seconds the server asked to wait, or None.
        budget_allows: whether the client's retry budget pays for one more.
        random: a number in [0, 1).
    """
    if failure is Failure.CERTIFICATE:
        return Stop("a refused certificate stays refused")
    if attempts >= policy.attempts:
        return Stop(f"all {policy.attempts} attempts are used")
    if retry_after is not None and retry_after > policy.retry_after_max:
        return Stop(
            f"the server asks for a wait of {retry_after:.0f} s, longer than the "
            f"{policy.retry_after_max:.0f} s allowed by RetryPolicy(retry_after_max=...)"
        )
    if not budget_allows:
        return Stop("the client's retry budget is spent: too many calls fail")
    wait = max(backoff(policy, attempts=attempts, random=random), retry_after or 0.0)
    if policy.total_time is not None and elapsed + wait >= policy.total_time:
        return Stop(f"another attempt would not fit into the {policy.total_time:.0f} s allowed")
    return Retry(wait)


def backoff(policy: RetryPolicy, *, attempts: int, random: float) -> float:
    """Seconds before the next attempt: the jittered part drawn from all of its range."""
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
        """A call succeeded: refund what its retries cost, and one token for the success."""
        self._tokens = min(self._capacity, self._tokens + refund + 1.0)

    def refill(self) -> None:
        """An outage is over: what failed in it says nothing of what comes now."""
        self._tokens = self._capacity
