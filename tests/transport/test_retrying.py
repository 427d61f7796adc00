"""Whether and when to try again: the table, the bounds, the budget."""

import math
from typing import Any

import pytest

from intercom_async import InvalidArgumentError, RetryPolicy
from intercom_async.transport.retrying import (
    Failure,
    Retry,
    RetryBudget,
    Stop,
    backoff,
    decide,
)

UNUSED: dict[str, Any] = {
    "failure": Failure.DISCONNECTED,
    "attempts": 1,
    "elapsed": 0.0,
    "retry_after": None,
    "budget_allows": True,
    "random": 0.5,
}


@pytest.mark.parametrize(
    ("policy", "facts", "decision"),
    [
        *(({}, {"failure": failure}, 0.25) for failure in Failure if failure.ambiguous),
        ({}, {"failure": Failure.NOT_SENT}, 0.25),
        ({}, {"failure": Failure.CERTIFICATE}, "a refused certificate"),
        ({"attempts": 3}, {"attempts": 2}, 0.5),  # the first attempt counts
        ({"attempts": 3}, {"attempts": 3}, "all 3 attempts are used"),
        ({}, {"retry_after": 30.0}, 30.0),
        ({}, {"retry_after": 0.1}, 0.25),
        ({}, {"retry_after": 300.0}, "a wait of 300 s, longer than the 120 s allowed"),
        ({"retry_after_max": 9.0}, {"retry_after": 9.0}, 9.0),
        # The next attempt must begin in time, not the wait for it.
        ({"total_time": 10.0, "jitter": 0.0, "backoff": 4.0}, {"elapsed": 5.9}, 4.0),
        ({"total_time": 10.0, "jitter": 0.0, "backoff": 4.0}, {"elapsed": 6.0}, "the 10 s allowed"),
        ({"total_time": None, "jitter": 0.0}, {"elapsed": 1e9}, 0.5),
        ({}, {"budget_allows": False}, "retry budget is spent"),
    ],
)
def test_a_failed_attempt_is_followed_by_another_or_the_reason_why_not(
    policy: dict[str, Any], facts: dict[str, Any], decision: float | str
) -> None:
    found = decide(RetryPolicy(**policy), **(UNUSED | facts))
    if isinstance(decision, str):
        assert isinstance(found, Stop)
        assert decision in found.reason
    else:
        assert found == Retry(decision)


def test_full_jitter_draws_from_zero_to_the_doubled_bound() -> None:
    policy, almost = RetryPolicy(), math.nextafter(1.0, 0.0)
    assert [backoff(policy, attempts=n, random=0.0) for n in (1, 2, 3)] == [0.0, 0.0, 0.0]
    longest = [backoff(policy, attempts=n, random=almost) for n in (1, 2, 3, 7, 10_000)]
    assert longest == pytest.approx([0.5, 1.0, 2.0, 20.0, 20.0])
    assert backoff(RetryPolicy(jitter=0.2), attempts=2, random=0.5) == pytest.approx(0.9)


def test_only_what_was_never_sent_leaves_no_doubt() -> None:
    certain = {failure for failure in Failure if not failure.ambiguous}
    assert certain == {Failure.NOT_SENT, Failure.CERTIFICATE}


@pytest.mark.parametrize(
    ("failure", "retries"), [(Failure.DISCONNECTED, 10), (Failure.TIMED_OUT, 5)]
)
def test_an_outage_ends_retrying_at_half_of_the_tokens(failure: Failure, retries: int) -> None:
    budget = RetryBudget(100.0)
    allowed: list[bool] = []
    for _ in range(retries + 1):
        allowed.append(budget.allows)
        budget.spend(failure)
    assert allowed == [True] * retries + [False]


def test_a_success_gives_back_its_retries_cost_and_one_token() -> None:
    budget = RetryBudget(20.0)
    for _ in range(3):
        budget.spend(Failure.DISCONNECTED)
    allowed: list[bool] = []
    for refund in (3.0, 0.0, 0.0):  # 5 tokens become 9, 10 and 11; half of all is 10
        budget.earn(refund)
        allowed.append(budget.allows)
    assert allowed == [False, False, True]


def test_a_spent_budget_is_empty_and_never_less() -> None:
    budget = RetryBudget(20.0)
    for _ in range(9):
        budget.spend(Failure.DISCONNECTED)
    allowed: list[bool] = []
    for _ in range(11):  # half of all is 10
        budget.earn(0.0)
        allowed.append(budget.allows)
    assert allowed == [False] * 10 + [True]


@pytest.mark.parametrize(
    ("name", "expected", "values"),
    [
        ("attempts", "a whole number of at least 1", [0, 1.5, True]),
        ("total_time", "a positive number", [0, math.inf]),
        ("backoff", "0 or more", [-0.1]),
        ("backoff_max", "0 or more", [math.nan, -1]),
        ("jitter", "a fraction from 0 to 1", [1.1, "full"]),
        ("retry_after_max", "0 or more", [None, -1]),
        ("budget", "a positive number", [0]),
    ],
)
def test_a_policy_refuses_bad_values_by_name_and_says_what_would_do(
    name: str, expected: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(InvalidArgumentError, match=f"{name} must be {expected}") as caught:
            RetryPolicy(**{name: value})
        assert caught.value.name == name
        assert caught.value.value is value
