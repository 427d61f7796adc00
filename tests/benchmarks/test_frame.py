"""What the benchmarks conclude from their rounds."""

import pytest

from benchmarks.frame import Bound, Comparison, in_turn, spread


def verdict(ours: list[float], bound: Bound) -> str:
    theirs = [100.0, 200.0, 50.0]
    rounds = {"theirs": theirs, "ours": ours}
    bounds = {"ours": bound}
    compared = Comparison(name="call", unit="µs", baseline="theirs", rounds=rounds, bounds=bounds)
    return compared.verdicts()["ours"]


@pytest.mark.parametrize(
    ("ours", "bound", "expected"),
    [
        # Ratios and differences are formed within each round.
        ([110.0, 220.0, 55.0], Bound("ratio", 1.0), "<= 1 x: MISSED, by 10%"),
        ([90.0, 180.0, 45.0], Bound("ratio", 1.0), "<= 1 x: holds"),
        ([110.0, 220.0, 55.0], Bound("difference", 9.0), "<= 9 more: MISSED, by 11%"),
        ([40.0, 31.0, 35.0], Bound("value", 30.0, least=True), ">= 30: holds"),
        ([10.0, 27.0, 31.0], Bound("value", 30.0, least=True), ">= 30: MISSED, by 10%"),
    ],
)
def test_a_bound_holds_or_is_missed_by_so_much(
    ours: list[float], bound: Bound, expected: str
) -> None:
    assert verdict(ours, bound) == expected


def test_the_spread_names_median_and_extremes() -> None:
    assert spread([4.0, 2.0, 3.0, 1.0, 100.0]).split() == ["3", "(1", "to", "100)"]


def test_everybody_is_first_in_some_round() -> None:
    names = ["a", "b", "c"]
    assert {in_turn(names, number)[0] for number in range(3)} == set(names)
    assert sorted(in_turn(names, 7)) == names
