"""The sums of a run: numbers alone."""

import math

from intercom_async import DetachSummary, Outcome


def test_numbers_that_nobody_knows_yet_are_none() -> None:
    empty = DetachSummary(outcomes=dict.fromkeys(Outcome, 0))
    assert (empty.ideal, empty.quota_used, empty.rate) == (None, None, 0.0)
    short = DetachSummary(outcomes={Outcome.DETACHED: 7}, requests=7, limit=10)
    assert (short.ideal, short.quota_used, short.total) == (0.0, None, 7)
    long = DetachSummary(
        outcomes={Outcome.DETACHED: 25, Outcome.FAILED: 5}, requests=41, limit=10, elapsed=50.0
    )
    assert (long.ideal, long.rate, long.settled) == (40.0, 0.6, 25)
    assert long.quota_used is not None
    assert math.isclose(long.quota_used, 0.82)
