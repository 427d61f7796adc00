"""What the benchmarks conclude from their rounds."""

import functools

import pytest

from benchmarks.frame import Bound, Figure, Table, measured, spread


@pytest.mark.parametrize(
    ("ours", "bound", "expected"),
    [
        # Ratios and differences are formed within each round.
        ([110.0, 220.0, 55.0], Bound("ratio", 1.0), "<= 1 x: MISSED"),
        ([90.0, 180.0, 45.0], Bound("ratio", 1.0), "<= 1 x: holds"),
        ([110.0, 220.0, 55.0], Bound("difference", 9.0), "<= 9 more: MISSED"),
        ([40.0, 31.0, 35.0], Bound("value", 30.0, least=True), ">= 30: holds"),
        ([10.0, 27.0, 31.0], Bound("value", 30.0, least=True), ">= 30: MISSED"),
    ],
)
def test_a_bound_holds_or_is_missed(ours: list[float], bound: Bound, expected: str) -> None:
    figure = Figure("call", "µs", {"ours": bound})
    rounds = {"theirs": [[100.0], [200.0], [50.0]], "ours": [[each] for each in ours]}
    assert Table([figure], rounds).show() == [f"call, ours: {expected}"]


def test_the_spread_names_median_and_extremes() -> None:
    assert spread([4.0, 2.0, 3.0, 1.0, 100.0]).split() == ["3", "(1", "to", "100)"]


def test_everybody_is_first_in_some_round() -> None:
    order: list[str] = []

    def turn(name: str) -> list[float]:
        order.append(name)
        return [1.0]

    measured({name: functools.partial(turn, name) for name in "abc"}, 3)
    assert order == [*"abc", *"bca", *"cab"]
