"""Whether and when to try again: the table, the bounds, the budget."""

import math

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


def decided(policy: RetryPolicy | None = None, **facts: object) -> Retry | Stop:
    given_facts: dict[str, object] = {
        "failure": Failure.DISCONNECTED,
        "attempts": 1,
        "elapsed": 0.0,
        "retry_after": None,
        "budget_allows": True,
        "random": 0.5,
    }
    return decide(policy or RetryPolicy(), **(given_facts | facts))  # type: ignore[arg-type]  # facts by name


retryable = [failure for failure in Failure if failure is not Failure.CERTIFICATE]


@pytest.mark.parametrize("failure", retryable)
def test_every_failure_but_a_refused_certificate_is_tried_again(failure: Failure) -> None:
    assert isinstance(decided(failure=failure), Retry)


def test_the_first_attempt_counts() -> None:
    assert isinstance(decided(RetryPolicy(attempts=3), attempts=2), Retry)
    assert decided(RetryPolicy(attempts=3), attempts=3) == Stop("all 3 attempts are used")


def test_retry_after_is_obeyed_when_it_is_longer_than_the_backoff() -> None:
    assert decided(retry_after=30.0) == Retry(30.0)
    assert decided(retry_after=0.1, random=0.5) == Retry(0.25)


def test_a_retry_after_beyond_the_ceiling_ends_the_call_and_names_both_durations() -> None:
    decision = decided(retry_after=300.0)
    assert isinstance(decision, Stop)
    assert "300 s" in decision.reason
    assert "120 s" in decision.reason


def test_the_deadline_is_compared_before_sleeping() -> None:
    policy = RetryPolicy(total_time=10.0, jitter=0.0, backoff=4.0)
    assert decided(policy, elapsed=5.9) == Retry(4.0)
    assert isinstance(decided(policy, elapsed=6.0), Stop)
    assert decided(RetryPolicy(total_time=None, jitter=0.0), elapsed=1e9) == Retry(0.5)


def test_a_spent_budget_ends_the_call() -> None:
    decision = decided(budget_allows=False)
    assert isinstance(decision, Stop)
    assert "retry budget" in decision.reason


def test_full_jitter_draws_from_zero_to_the_doubled_bound() -> None:
    policy = RetryPolicy()
    assert [backoff(policy, attempts=n, random=0.0) for n in (1, 2, 3)] == [0.0, 0.0, 0.0]
    almost = math.nextafter(1.0, 0.0)
    longest = [backoff(policy, attempts=n, random=almost) for n in (1, 2, 3, 7)]
    assert longest == pytest.approx([0.5, 1.0, 2.0, 20.0])
    assert backoff(policy, attempts=10_000, random=almost) == pytest.approx(20.0)
    assert backoff(RetryPolicy(jitter=0.2), attempts=2, random=0.5) == pytest.approx(0.9)


def test_only_what_was_never_sent_leaves_no_doubt() -> None:
    certain = {failure for failure in Failure if not failure.ambiguous}
    assert certain == {Failure.NOT_SENT, Failure.CERTIFICATE}


def test_a_success_gives_back_its_retries_cost_and_one_token() -> None:
    budget = RetryBudget(20.0)
    for _ in range(3):
        budget.spend(Failure.DISCONNECTED)
    allowed: list[bool] = []
    for refund in (3.0, 0.0, 0.0):  # 5 tokens become 9, 10 and 11; half of all is 10
        budget.earn(refund)
        allowed.append(budget.allows)
    assert allowed == [False, False, True]


class TestRetryBudget:
    def test_an_outage_ends_retrying_at_half_of_the_tokens(self) -> None:
        budget = RetryBudget(100.0)
        retries = 0
        while budget.allows:
            budget.spend(Failure.DISCONNECTED)
            retries += 1
        assert retries == 10

    def test_a_retry_after_a_timeout_costs_twice_as_much(self) -> None:
        budget = RetryBudget(100.0)
        assert budget.spend(Failure.TIMED_OUT) == 2 * budget.spend(Failure.DISCONNECTED)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("attempts", 0, "a whole number of at least 1"),
        ("attempts", 1.5, "a whole number"),
        ("attempts", True, "a whole number"),
        ("total_time", 0, "a positive number"),
        ("total_time", math.inf, "a positive number"),
        ("backoff", -0.1, "0 or more"),
        ("backoff_max", math.nan, "0 or more"),
        ("backoff_max", -1, "0 or more"),
        ("jitter", 1.1, "a fraction from 0 to 1"),
        ("jitter", "full", "a fraction from 0 to 1"),
        ("retry_after_max", None, "0 or more"),
        ("retry_after_max", -1, "0 or more"),
        ("budget", 0, "a positive number"),
    ],
)
def test_a_policy_refuses_bad_values_by_name_and_says_what_would_do(
    name: str, value: object, expected: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{name} must be {expected}") as caught:
        RetryPolicy(**{name: value})  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.name == name
    assert caught.value.value is value
