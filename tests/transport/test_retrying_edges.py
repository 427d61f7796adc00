"""Defaults, and the values on both sides of every bound of a decision to retry.

Mutation testing finds one wrong change of `decision` that no test notices: the exponent, bounded
so that no float overflows, may be bounded elsewhere.
"""

import pytest

from intercom_async.errors import InvalidArgumentError
from intercom_async.transport.retrying import (
    Failure,
    Retry,
    RetryBudget,
    RetryPolicy,
    Stop,
    decide,
)


def decide(policy: RetryPolicy, *, retry_after: float | None = None) -> Retry | Stop:
    return decide(
        policy,
        failure=Failure.DISCONNECTED,
        attempts=1,
        elapsed=0.0,
        retry_after=retry_after,
        budget_allows=True,
        random=0.0,
    )


def test_the_defaults_are_the_documented_ones() -> None:
    policy = RetryPolicy()
    assert policy.attempts == 5
    assert policy.total_time == 120.0
    assert policy.attempt_time is None
    assert (policy.backoff, policy.backoff_max, policy.jitter) == (0.5, 20.0, 1.0)
    assert policy.retry_after_max == 120.0
    assert policy.budget == 100.0


def test_a_policy_s_many_numbers_are_told_by_name() -> None:
    with pytest.raises(TypeError):
        RetryPolicy(3, 60.0)  # type: ignore[call-arg]  # wrong on purpose


@pytest.mark.parametrize("name", ["backoff", "backoff_max", "jitter", "retry_after_max"])
def test_zero_is_allowed_where_it_means_something(name: str) -> None:
    assert getattr(RetryPolicy(**{name: 0}), name) == 0


@pytest.mark.parametrize("name", ["total_time", "attempt_time", "budget"])
def test_zero_is_refused_where_it_means_nothing(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{name} must be a positive number"):
        RetryPolicy(**{name: 0})


@pytest.mark.parametrize("name", ["backoff", "backoff_max", "retry_after_max"])
def test_a_negative_number_is_refused_by_what_would_do(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{name} must be 0 or more"):
        RetryPolicy(**{name: -1})


def test_one_attempt_and_all_of_a_jitter_are_allowed() -> None:
    assert RetryPolicy(attempts=1, jitter=1).attempts == 1


def test_a_retry_after_of_exactly_the_ceiling_is_waited_for() -> None:
    policy = RetryPolicy(retry_after_max=7.0)
    assert decide(policy, retry_after=7.0) == Retry(7.0)
    assert isinstance(decide(policy, retry_after=7.1), Stop)


def test_a_budget_of_exactly_half_allows_nothing() -> None:
    budget = RetryBudget(10.0)
    assert budget.spend(Failure.DISCONNECTED) == 5.0
    assert not budget.allows


def test_a_refilled_budget_allows_as_much_as_a_new_one() -> None:
    budget = RetryBudget(10.0)
    for _ in range(4):
        budget.spend(Failure.DISCONNECTED)
    budget.refill()
    assert budget.allows


def test_a_success_gives_back_its_retries_cost_and_one_token() -> None:
    budget = RetryBudget(20.0)
    for _ in range(3):
        budget.spend(Failure.DISCONNECTED)
    allowed: list[bool] = []
    for refund in (3.0, 0.0, 0.0):  # 5 tokens become 9, 10 and 11; half of all is 10
        budget.earn(refund)
        allowed.append(budget.allows)
    assert allowed == [False, False, True]


def test_an_empty_budget_is_empty_and_owes_nothing() -> None:
    budget = RetryBudget(10.0)
    for _ in range(4):
        budget.spend(Failure.DISCONNECTED)
    budget.earn(4.0)
    assert not budget.allows
    budget.earn(0.0)
    assert budget.allows
