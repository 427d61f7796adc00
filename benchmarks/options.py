"""What the speed benchmarks can be told."""

import attrs


@attrs.frozen(kw_only=True)
class Options:
    """How much to measure.

    Attributes:
        rounds: how often every contestant has its turn.
        quick: fewer and shorter measurements, for a look.
        million: whether to run a million pairs too.
    """

    rounds: int
    quick: bool = False
    million: bool = False


def in_turn(names: list[str], number: int) -> list[str]:
    """Return the contestants in the order of a round: nobody is always first."""
    shift = number % len(names)
    return [*names[shift:], *names[:shift]]
