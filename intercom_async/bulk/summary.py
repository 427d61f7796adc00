"""A run in numbers."""

import math
from collections.abc import Iterable
from typing import Any, Final

import attrs
import msgspec

from intercom_async.detaching import GONE, Detach, DetachResult, Outcome
from intercom_async.errors import IntercomError, readable
from intercom_async.journal import Facts
from intercom_async.pacing.server_clock import WINDOW


class RunFailedError(IntercomError):
    """A run left pairs unsettled, or did not read its input to the end; run it again.

    `summary` has the numbers. The cause is the error that stopped the run, if one did.
    """

    def __init__(self, summary: "DetachSummary") -> None:
        self.summary = summary
        left = summary.total - summary.settled
        ended = "" if summary.input_ended else "; the input was not read to its end"
        first = f"; the commonest reason: {summary.causes[0].error}" if summary.causes else ""
        super().__init__(f"{left} of {summary.total} pairs are not settled{ended}{first}")


_CAUSES: Final = 20
"""The most causes that a summary names."""


@attrs.frozen(kw_only=True)
class Cause:
    """Why `count` pairs failed, were refused or are unknown.

    Attributes:
        error: the text of the first such error.
        example: the first of the pairs.
    """

    outcome: Outcome
    error: str
    count: int
    example: Detach


@attrs.frozen(kw_only=True)
class DetachSummary:
    """A run in numbers; every pair that was read is counted in exactly one outcome.

    Attributes:
        outcomes: pairs per outcome; every outcome is present.
        inferred: detached pairs whose outcome was concluded from a check.
        duplicates: pairs that occurred again; counted in their outcome each time.
        settled_before: pairs that earlier sessions of the journal settled; they were not sent
            again, gave no result and are counted in no outcome.
        second_tries: pairs that failed for a passing reason and were tried again at the end.
        causes: why pairs failed, were refused or are unknown: the 20 commonest reasons.
        input_ended: whether the input was read to its end, now or by an earlier session.
        requests: requests that Intercom answered or may have got, refused ones not counted.
        retries: of those, how many repeated a failed attempt or checked one.
        refusals: further requests that were refused with 429.
        elapsed: seconds from start to end, or until now.
        limit: requests the server allows per 10-second window, None if it never said.
        stopped_by: what ended the run early, or None: a 401 or 403, a refused certificate, an
            outage, the input of another workspace.
    """

    outcomes: dict[Outcome, int]
    inferred: int = 0
    duplicates: int = 0
    settled_before: int = 0
    second_tries: int = 0
    causes: tuple[Cause, ...] = ()
    input_ended: bool = False
    requests: int = 0
    retries: int = 0
    refusals: int = 0
    elapsed: float = 0.0
    limit: int | None = None
    stopped_by: IntercomError | None = None

    @property
    def total(self) -> int:
        """Pairs with an outcome."""
        return sum(self.outcomes.values())

    @property
    def settled(self) -> int:
        """Pairs that need no repetition."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.settled)

    @property
    def rate(self) -> float:
        """Pairs per second."""
        return self.total / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def ideal(self) -> float | None:
        """The seconds that this many requests take if they fill every window to its limit.

        Counted from the beginning of a window: 0.0 if all fit into one. A run that begins late in
        a window may be quicker. None while the limit is unknown.
        """
        if self.limit is None:
            return None
        return max(0, math.ceil(self.requests / self.limit) - 1) * WINDOW

    @property
    def quota_used(self) -> float | None:
        """The part of the quota that the run used: 1.0 for all of it, None while it is unknown.

        A short run may exceed 1.0, since it may use a window's whole quota at its beginning.
        """
        if self.limit is None or self.elapsed <= 0:
            return None
        return self.requests / (self.limit * self.elapsed / WINDOW)

    def raise_for_failures(self) -> None:
        """Raise `RunFailedError` unless the run did all its work.

        That is: every pair is settled (see `Outcome.settled`), the input was read to its end, and
        nothing stopped the run.
        """
        if self.settled < self.total or not self.input_ended or self.stopped_by is not None:
            raise RunFailedError(self) from self.stopped_by

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as a JSON object, as `intercom-async --json` prints it."""
        used = self.quota_used
        facts: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self, enc_hook=str))
        return {
            "total": self.total,
            **facts,
            "elapsed": round(self.elapsed, 3),
            "ideal": self.ideal,
            # Within its first window a run may use a whole window's quota at once.
            "quota_used": None if used is None or self.elapsed < WINDOW else round(used, 4),
        }

    def __str__(self) -> str:
        before = f", {self.settled_before} settled before" if self.settled_before else ""
        pairs = "1 pair" if self.total == 1 else f"{self.total} pairs"
        return (
            f"{pairs} in {self.elapsed:.1f} s{before} ({_in_words(self.outcomes)}; "
            f"{self.requests} requests, {self.retries} retries, {self.refusals} refused)"
        )


@attrs.frozen(kw_only=True, eq=False)
class PoolResult:
    """What became of one pair, and the key of its workspace."""

    workspace: str
    result: DetachResult


_SUMMED: Final = (
    *("inferred", "duplicates", "settled_before", "second_tries"),
    *("requests", "retries", "refusals"),
)


@attrs.frozen(kw_only=True)
class PoolSummary(DetachSummary):
    """A run over many workspaces, in numbers: their sums, and each workspace's own.

    `workspaces` has the numbers of each workspace that had pairs. `stopped_by` is that of the first
    workspace that was stopped, and `limit` is None.
    """

    workspaces: dict[str, DetachSummary]

    @classmethod
    def of(cls, workspaces: dict[str, DetachSummary], *, elapsed: float = 0.0) -> "PoolSummary":
        """Return the sums over some workspaces."""
        each = workspaces.values()
        sums = {name: sum(getattr(one, name) for one in each) for name in _SUMMED}
        return cls(
            workspaces=workspaces,
            outcomes={outcome: sum(one.outcomes[outcome] for one in each) for outcome in Outcome},
            causes=_commonest(cause for one in each for cause in one.causes),
            input_ended=all(one.input_ended for one in each),
            stopped_by=next((one.stopped_by for one in each if one.stopped_by is not None), None),
            elapsed=elapsed,
            **sums,
        )

    @property
    def stopped(self) -> dict[str, IntercomError]:
        """The workspaces that ended early, and why: no access, 401, 403, another workspace."""
        return {
            key: one.stopped_by
            for key, one in self.workspaces.items()
            if one.stopped_by is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as a JSON object, which holds those of all workspaces."""
        return {
            **super().to_dict(),
            "stopped": {key: str(error) for key, error in self.stopped.items()},
            "workspaces": {key: one.to_dict() for key, one in self.workspaces.items()},
        }

    def __str__(self) -> str:
        return f"{super().__str__()} of {len(self.workspaces)} workspaces"


def _in_words(outcomes: dict[Outcome, int]) -> str:
    return ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items() if n) or "none"


_HARMLESS: Final = GONE | {Outcome.NOT_ATTEMPTED}
"""Outcomes whose errors do not count as causes of failure."""

_Sort = tuple[Outcome, str, int | None, str | None]
"""Outcome, class, status and code; errors that agree in them are one cause."""


@attrs.define(eq=False)
class Tally:
    """The counts of a run while it goes on, by their names in `DetachSummary`."""

    outcomes: dict[Outcome, int] = attrs.field(factory=lambda: dict.fromkeys(Outcome, 0))
    inferred: int = 0
    duplicates: int = 0
    settled_before: int = 0
    second_tries: int = 0
    input_ended: bool = False
    requests: int = 0
    retries: int = 0
    refusals: int = 0
    stopped_by: IntercomError | None = None
    _causes: dict[_Sort, Cause] = attrs.field(factory=dict[_Sort, Cause])

    def count_requests(self, attempts: int, refusals: int, *, again: bool) -> None:
        """Count what one try of a pair cost; `again` if an earlier try of this run came before."""
        self.requests += attempts
        self.retries += max(0, attempts - (not again))
        self.refusals += refusals

    def add(self, result: DetachResult) -> None:
        """Count one result."""
        outcome, error = result.outcome, result.error
        self.outcomes[outcome] += 1
        if result.inferred:
            self.inferred += 1
        if result.duplicate:
            self.duplicates += 1
        elif result.second_try:
            self.second_tries += 1
        if error is None or outcome in _HARMLESS:
            return
        status, code = getattr(error, "status", None), getattr(error, "code", None)
        sort = (outcome, type(error).__name__, status, code)
        cause = self._causes.get(sort)
        if cause is None:
            text = readable(str(error))
            cause = Cause(outcome=outcome, error=text, count=0, example=result.detach)
        self._causes[sort] = attrs.evolve(cause, count=cause.count + 1)

    def summary(self, *, elapsed: float, limit: int | None) -> DetachSummary:
        """Return the run in numbers, up to now."""
        counts = attrs.asdict(self, recurse=False, filter=lambda field, _: field.name != "_causes")
        counts["outcomes"] = dict(self.outcomes)
        causes = _commonest(self._causes.values())
        return DetachSummary(**counts, causes=causes, elapsed=elapsed, limit=limit)


def _commonest(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    return tuple(sorted(causes, key=lambda cause: -cause.count)[:_CAUSES])


def facts_of(summary: DetachSummary) -> Facts:
    """Return the numbers that the journal keeps."""
    return {
        "requests": summary.requests,
        "retries": summary.retries,
        "refusals": summary.refusals,
        "duplicates": summary.duplicates,
        "elapsed": summary.elapsed,
        "quota_limit": summary.limit,
        "stopped_by": None if summary.stopped_by is None else str(summary.stopped_by),
    }
