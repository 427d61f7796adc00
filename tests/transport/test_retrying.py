"""Whether and when to try again: the table, the bounds, the budget."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async import InvalidArgumentError, RetryPolicy
from intercom_async.transport.retrying import (
    Failure,
    Retry,
    RetryBudget,
    Stop,
    backoff,
    decide,
)


def decide(policy: RetryPolicy | None = None, **facts: object) -> Retry | Stop:
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
    assert isinstance(decide(failure=failure), Retry)


def test_a_refused_certificate_is_final() -> None:
    assert decide(failure=Failure.CERTIFICATE) == Stop("a refused certificate stays refused")


def test_the_first_attempt_counts() -> None:
    assert isinstance(decide(RetryPolicy(attempts=3), attempts=2), Retry)
    assert decide(RetryPolicy(attempts=3), attempts=3) == Stop("all 3 attempts are used")


def test_retry_after_is_obeyed_when_it_is_longer_than_the_backoff() -> None:
    assert decide(retry_after=30.0) == Retry(30.0)
    assert decide(retry_after=0.1, random=0.5) == Retry(0.25)


def test_a_retry_after_beyond_the_ceiling_ends_the_call_and_names_both_durations() -> None:
    decision = decide(retry_after=300.0)
    assert isinstance(decision, Stop)
    assert "300 s" in decision.reason
    assert "120 s" in decision.reason


def test_the_deadline_is_compared_before_sleeping() -> None:
    policy = RetryPolicy(total_time=10.0, jitter=0.0, backoff=4.0)
    assert decide(policy, elapsed=5.9) == Retry(4.0)
    assert isinstance(decide(policy, elapsed=6.0), Stop)
    assert decide(RetryPolicy(total_time=None, jitter=0.0), elapsed=1e9) == Retry(0.5)


def test_a_spent_budget_ends_the_call() -> None:
    decision = decide(budget_allows=False)
    assert isinstance(decision, Stop)
    assert "retry budget" in decision.reason


fractions = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 10_000), fractions, fractions)
def test_a_wait_lies_within_its_bounds(attempts: int, random: float, jitter: float) -> None:
    policy = RetryPolicy(jitter=jitter)
    wait = backoff(policy, attempts=attempts, random=random)
    longest = min(20.0, 0.5 * 2.0 ** min(attempts - 1, 50))
    assert longest * (1 - jitter) - 1e-9 <= wait <= longest + 1e-9


def test_full_jitter_draws_from_zero_to_the_doubled_bound() -> None:
    policy = RetryPolicy()
    assert [backoff(policy, attempts=n, random=0.0) for n in (1, 2, 3)] == [0.0, 0.0, 0.0]
    almost = math.nextafter(1.0, 0.0)
    longest = [backoff(policy, attempts=n, random=almost) for n in (1, 2, 3, 7)]
    assert longest == pytest.approx([0.5, 1.0, 2.0, 20.0])


def test_only_what_was_never_sent_leaves_no_doubt() -> None:
    certain = {failure for failure in Failure if not failure.ambiguous}
    assert certain == {Failure.NOT_SENT, Failure.CERTIFICATE}


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

    def test_a_failure_to_connect_costs_as_much_as_any_other(self) -> None:
        budget = RetryBudget(10.0)
        assert budget.spend(Failure.NOT_SENT) == 5.0
        assert not budget.allows

    def test_successes_fill_it_again(self) -> None:
        budget = RetryBudget(10.0)
        budget.spend(Failure.DISCONNECTED)
        budget.earn(0.0)
        assert budget.allows

    @given(st.lists(st.sampled_from([*Failure, None])))
    def test_it_never_leaves_its_range(self, story: list[Failure | None]) -> None:
        budget = RetryBudget(50.0)
        for failure in story:
            if failure is None:
                budget.earn(3.0)
            else:
                budget.spend(failure)
            assert 0.0 <= budget._tokens <= 50.0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts", 0),
        ("attempts", 1.5),
        ("attempts", True),
        ("total_time", 0),
        ("total_time", math.inf),
        ("attempt_time", -1),
        ("backoff", -0.1),
        ("backoff_max", math.nan),
        ("jitter", 1.1),
        ("jitter", "full"),
        ("retry_after_max", None),
        ("budget", 0),
    ],
)
def test_a_policy_refuses_bad_values_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        RetryPolicy(**{name: value})  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.name == name
    assert caught.value.value is value
