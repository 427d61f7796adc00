"""What a report says, as plain values: the sum of a journal's lines."""

from collections.abc import Mapping

import attrs

from intercom_async.cli.report.tally import Tally
from intercom_async.cli.report.timeline import Timeline
from intercom_async.detaching import Outcome
from intercom_async.journal import Header, Record


@attrs.frozen(kw_only=True)
class Session:
    """One process's time with the journal. Times are Unix seconds.

    Attributes:
        number: 1 for the first.
        began: None if neither its first line nor a record tells.
        ended: the last record's time; `began` without one.
        pause: seconds since the session before, None for the first.
        tally: its records.
        new_input: whether it read another input than the session before.
    """

    number: int
    began: float | None
    ended: float | None
    pause: float | None
    tally: Tally
    new_input: bool = False

    @property
    def worked(self) -> float:
        """Seconds from its beginning to its last record."""
        if self.began is None or self.ended is None:
            return 0.0
        return max(0.0, self.ended - self.began)


@attrs.frozen(kw_only=True)
class Cause:
    """Pairs that ended the same way, for the same reason.

    Attributes:
        outcome: see `Outcome`.
        error: class of the error, None if there was none.
        status: HTTP status.
        code: Intercom's code.
        pattern: the message, with "#" for what differs from pair to pair; None for messages of
            many kinds.
        count: pairs.
        examples: a few of their records.
    """

    outcome: Outcome
    error: str | None
    status: int | None
    code: str | None
    pattern: str | None
    count: int
    examples: tuple[Record, ...]


@attrs.frozen(kw_only=True)
class Facts:
    """A journal in numbers; what was written when reading began.

    Attributes:
        path: the journal.
        header: its first line.
        outcomes: pairs per outcome, each pair as it was recorded last; all are present.
        inferred: of the detached, how many were concluded from a check.
        unrecorded: pairs that may have been sent and have no record: in flight just now, or when
            the run was killed. At most so many: pairs are announced ahead of being read.
        reopened: pairs with a record that does not settle them, which may have been sent again
            since.
        unsent: pairs of the input that certainly were not sent yet, None while it is unknown.
        input_ended: whether the input was read to its end.
        sessions: how many.
        first: the first sessions, in order.
        last: the last sessions that are not in `first`, in order.
        tally: all records.
        elapsed: seconds at work, all sessions together.
        quota: the last known limit in requests per ten seconds, None if the journal has none.
        utilisation: the part of the quota that the requests used while at work, None if unknown.
        causes: why pairs are not settled, or need a decision; the most frequent first.
        timeline: the records over time.
        undated: records without a time, which `timeline` lacks.
    """

    path: str
    header: Header
    outcomes: Mapping[Outcome, int]
    inferred: int
    unrecorded: int
    reopened: int
    unsent: int | None
    input_ended: bool
    sessions: int
    first: tuple[Session, ...]
    last: tuple[Session, ...]
    tally: Tally
    elapsed: float
    quota: int | None
    utilisation: float | None
    causes: tuple[Cause, ...]
    timeline: Timeline
    undated: int

    @property
    def pairs(self) -> int:
        """Distinct pairs with a record."""
        return sum(self.outcomes.values())

    @property
    def settled(self) -> int:
        """Pairs that need no further request."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.settled)

    @property
    def complete(self) -> bool:
        """Whether every pair of the input is settled, as far as the journal knows."""
        return (
            self.input_ended
            and self.settled == self.pairs
            and not self.unrecorded
            and not self.unsent
        )

    @property
    def rate(self) -> float | None:
        """Records per second at work, None if it took no time."""
        return self.tally.records / self.elapsed if self.elapsed > 0 else None

    @property
    def known_sessions(self) -> tuple[Session, ...]:
        """The sessions that were kept, in order."""
        return self.first + self.last
