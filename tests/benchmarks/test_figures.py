"""What the benchmarks conclude from their rounds."""

import pytest

from benchmarks.figures import Bound, Comparison, Spread, in_turn, spread


def comparison(ours: list[float], *, bounds: dict[str, Bound] | None = None) -> Comparison:
    return Comparison(
        name="call",
        unit="µs",
        baseline="theirs",
        rounds={"theirs": [100.0, 200.0, 50.0], "ours": ours},
        bounds=bounds or {},
    )


def test_a_ratio_is_formed_within_each_round() -> None:
    found = comparison([110.0, 220.0, 55.0])
    assert list(found.figures("ours", "ratio")) == pytest.approx([1.1, 1.1, 1.1])
    assert list(found.figures("ours", "difference")) == [10.0, 20.0, 5.0]


def test_the_spread_names_median_and_extremes() -> None:
    assert spread([4.0, 2.0, 3.0, 1.0, 100.0]) == Spread(median=3.0, low=1.0, high=100.0)


def test_a_missed_bound_says_by_how_much() -> None:
    bounds = {"ours": Bound("ratio", 1.0)}
    assert comparison([110.0, 220.0, 55.0], bounds=bounds).keeps_bound("ours").endswith("by 10%")
    assert comparison([90.0, 180.0, 45.0], bounds=bounds).keeps_bound("ours").endswith("holds")
    assert not comparison([1.0, 1.0, 1.0]).keeps_bound("ours")


def test_a_lower_bound_is_missed_from_below() -> None:
    bounds = {"ours": Bound("value", 30.0, least=True)}
    assert comparison([40.0, 31.0, 35.0], bounds=bounds).keeps_bound("ours").endswith("holds")
    assert "MISSED" in comparison([10.0, 31.0, 20.0], bounds=bounds).keeps_bound("ours")


def test_everybody_is_first_in_some_round() -> None:
    names = ["a", "b", "c"]
    assert {in_turn(names, number)[0] for number in range(3)} == set(names)
    assert sorted(in_turn(names, 7)) == names
