"""The sums of a run: numbers alone."""

import json
import math
import pickle

import pytest

from intercom_async import (
    Cause,
    ConnectionFailedError,
    Detach,
    DetachSummary,
    IntercomError,
    Outcome,
    PoolSummary,
    RunFailedError,
)


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


@pytest.mark.parametrize("outcome", Outcome)
def test_failures_raise_and_what_needs_no_repetition_does_not(outcome: Outcome) -> None:
    summary = DetachSummary(outcomes={outcome: 2, Outcome.DETACHED: 1}, input_ended=True)
    if outcome.settled:
        summary.raise_for_failures()
        return
    with pytest.raises(RunFailedError, match="2 of 3 pairs are not settled") as raised:
        summary.raise_for_failures()
    assert raised.value.summary is summary
    assert pickle.loads(pickle.dumps(raised.value)).summary == summary


@pytest.mark.parametrize("stopped_by", [None, ConnectionFailedError("Intercom is away")])
def test_an_input_that_was_not_read_to_its_end_raises(stopped_by: IntercomError | None) -> None:
    cause = Cause(outcome=Outcome.FAILED, error="HTTP 500", count=1, example=Detach("1", "2"))
    summary = DetachSummary(outcomes={Outcome.FAILED: 1}, causes=(cause,), stopped_by=stopped_by)
    with pytest.raises(RunFailedError, match=r"not read to its end; .* reason: HTTP 500") as raised:
        summary.raise_for_failures()
    assert raised.value.__cause__ is stopped_by
    told = json.loads(json.dumps(summary.to_dict()))
    assert told["outcomes"] == {"failed": 1}
    assert told["stopped_by"] == (stopped_by and "Intercom is away")


def test_a_pools_summary_raises_for_any_workspace_and_has_the_numbers_of_all() -> None:
    counts = dict.fromkeys(Outcome, 0)
    cause = Cause(outcome=Outcome.FAILED, error="HTTP 500", count=2, example=Detach("1", "2"))
    good = DetachSummary(outcomes={**counts, Outcome.DETACHED: 3}, requests=3, input_ended=True)
    bad = DetachSummary(
        outcomes={**counts, Outcome.FAILED: 2}, causes=(cause,), input_ended=True, refusals=1
    )
    PoolSummary.of({"acme": good}).raise_for_failures()
    both = PoolSummary.of({"acme": good, "umbrella": bad}, elapsed=1.5)
    with pytest.raises(RunFailedError, match=r"2 of 5 .* reason: HTTP 500") as raised:
        both.raise_for_failures()
    assert pickle.loads(pickle.dumps(raised.value)).summary == both
    written = json.loads(json.dumps(both.to_dict()))
    assert (written["total"], written["requests"], written["refusals"]) == (5, 3, 1)
    assert written["workspaces"] == {"acme": good.to_dict(), "umbrella": bad.to_dict()}
    unread = DetachSummary(outcomes=counts)
    refused = ConnectionFailedError("Intercom is away")
    stopped = DetachSummary(outcomes=counts, stopped_by=refused, input_ended=True)
    for summary, reason in ((unread, None), (stopped, refused)):
        with pytest.raises(RunFailedError) as raised:
            PoolSummary.of({"acme": good, "umbrella": summary}).raise_for_failures()
        assert raised.value.__cause__ is reason
