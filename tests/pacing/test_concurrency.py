"""The bound on requests in flight: from rate and latency, less when the server suffers."""

from hypothesis import given
from hypothesis import strategies as st

from intercom_async.pacing.concurrency import LARGEST, SMALLEST, ConcurrencyBound


def _window(
    bound: ConcurrencyBound, *, limit: int, latency: float, answers: int = 100, overloads: int = 0
) -> int:
    for n in range(answers):
        bound.observe(latency, overloaded=n < overloads)
    bound.next_window(limit)
    return bound.value


def test_before_anything_is_known_the_bound_is_the_largest() -> None:
    assert ConcurrencyBound().value == LARGEST


def test_it_is_rate_times_latency_and_half_as_much_again() -> None:
    assert _window(ConcurrencyBound(), limit=1000, latency=1.0) == 150


def test_it_stays_between_the_smallest_and_the_largest() -> None:
    assert _window(ConcurrencyBound(), limit=167, latency=0.001) == SMALLEST
    assert _window(ConcurrencyBound(), limit=100_000, latency=5.0) == LARGEST


def test_a_window_without_answers_changes_nothing() -> None:
    bound = ConcurrencyBound()
    before = _window(bound, limit=1000, latency=1.0)
    bound.next_window(1000)
    assert bound.value == before


def test_overload_halves_it_and_calm_windows_give_it_back_by_tenths() -> None:
    bound = ConcurrencyBound()
    assert _window(bound, limit=1000, latency=1.0, overloads=6) == 75
    assert _window(bound, limit=1000, latency=1.0, overloads=6) == 37
    grown = [_window(bound, limit=1000, latency=1.0) for _ in range(20)]
    assert grown == sorted(grown)
    assert grown[0] == 41
    assert grown[-1] == 150


def test_a_single_failure_among_few_answers_is_no_overload() -> None:
    bound = ConcurrencyBound()
    assert _window(bound, limit=1000, latency=1.0, answers=3, overloads=1) == 150


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=2000), st.integers(1, 10**7))
def test_at_least_one_request_may_always_go(attempts: list[tuple[float, bool]], limit: int) -> None:
    bound = ConcurrencyBound()
    for elapsed, overloaded in attempts:
        bound.observe(elapsed, overloaded=overloaded)
    bound.next_window(limit)
    assert 1 <= bound.value <= LARGEST
