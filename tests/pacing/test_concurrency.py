"""The bound on requests in flight: from rate and latency, less when the server suffers."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intercom_async.pacing.concurrency import LARGEST, SMALLEST, ConcurrencyBound


@attrs.frozen
class Window:
    """The answers of one window; some say that the server is overloaded."""

    latency: float = 1.0
    answers: int = 100
    overloads: int = 0


def bounds_after(*windows: Window, limit: int = 1000) -> list[int]:
    """Return the bound after each window."""
    bound = ConcurrencyBound()
    values: list[int] = []
    for number, window in enumerate([*windows, Window()], start=1):
        for n in range(window.answers):
            overloaded = n < window.overloads
            bound.observe(window.latency, overloaded=overloaded, limit=limit, reset=10.0 * number)
        values.append(bound.value)
    assert values[0] == LARGEST, "before anything is known"
    return values[1:]


@pytest.mark.parametrize(
    ("limit", "window", "bound"),
    [
        (1000, Window(), 150),  # rate times latency and half as much again
        (167, Window(latency=0.001), SMALLEST),
        (100_000, Window(latency=5.0), LARGEST),
        (1000, Window(answers=3, overloads=1), 150),  # one failure among few says nothing
    ],
)
def test_it_is_computed_from_rate_and_latency(limit: int, window: Window, bound: int) -> None:
    assert bounds_after(window, limit=limit) == [bound]


def test_overload_halves_it_and_calm_windows_give_it_back_by_tenths() -> None:
    suffering, calm = Window(overloads=6), Window()
    halved, again, *grown = bounds_after(*[suffering] * 2, *[calm] * 20)
    assert (halved, again, grown[0], grown[-1]) == (75, 37, 41, 150)
    assert grown == sorted(grown)


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=2000), st.integers(1, 10**7))
def test_at_least_one_request_may_always_go(attempts: list[tuple[float, bool]], limit: int) -> None:
    bound = ConcurrencyBound()
    for number, (elapsed, overloaded) in enumerate(attempts):
        bound.observe(elapsed, overloaded=overloaded, limit=limit, reset=float(number // 50))
        assert 1 <= bound.value <= LARGEST
