"""From workers to the consumer: the results in completion order, and their sum."""

import asyncio
from collections import deque
from typing import Final, Generic, TypeVar

import attrs

from intercom_async.bulk.results import DetachSummary
from intercom_async.detaching import Outcome, Settled
from intercom_async.errors import IntercomError
from intercom_async.journal.session import Commit

UNREAD: Final = 256
"""Results the consumer may lag behind before the run waits for it."""


_Result = TypeVar("_Result")


@attrs.define(eq=False)
class _Told(Generic[_Result]):
    """A result that waits for the consumer, and for the disk."""

    result: _Result
    commit: Commit | None


class ResultQueue(Generic[_Result]):
    """Hands results to one consumer, or to several; each result to one of them.

    A result is handed over when its record is on the disk. Until then it stays in the queue, so
    that a consumer that is cancelled meanwhile loses nothing.

    Attributes:
        wanted: whether anybody is going to take results; without, none are kept.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._told: deque[_Told[_Result]] = deque()
        self._more = asyncio.Event()
        self._taken = asyncio.Event()
        self._ended = False
        self._hurried = False

    async def put(self, result: _Result, commit: Commit | None = None) -> None:
        """Add a result; wait while the consumer lags behind."""
        self._told.append(_Told(result, commit))
        self._more.set()
        while self.wanted and not self._hurried and len(self._told) > UNREAD:
            self._taken.clear()
            await self._taken.wait()

    async def take(self) -> _Result | None:
        """Return the next result, None at the end.

        Raises:
            JournalWriteError: its record could not be written.
        """
        told = self._told
        while True:
            while not told:
                if self._ended:
                    return None
                self._more.clear()
                await self._more.wait()
            first = told[0]
            if first.commit is not None and not first.commit.done:
                await first.commit
            if told and told[0] is first:
                break
        told.popleft()
        self._taken.set()
        return first.result

    def hurry(self) -> None:
        """Wait for the consumer no more; what is told is kept for it."""
        self._hurried = True
        self._taken.set()

    def abandon(self) -> None:
        """Nobody wants results any more."""
        self.wanted = False
        self._taken.set()

    def end(self) -> None:
        """There will be no further result."""
        self._ended = True
        self._more.set()


@attrs.define(eq=False)
class Tally:
    """The counts of a run; see `DetachSummary`."""

    outcomes: dict[Outcome, int] = attrs.field(factory=lambda: dict.fromkeys(Outcome, 0))
    inferred: int = 0
    duplicates: int = 0
    settled_before: int = 0
    requests: int = 0
    retries: int = 0
    refusals: int = 0
    stopped_by: IntercomError | None = None

    def add(self, settled: Settled, *, duplicate: bool) -> None:
        """Count one result."""
        self.outcomes[settled.outcome] += 1
        self.inferred += settled.inferred
        self.duplicates += duplicate
        self.requests += settled.attempts
        self.retries += max(0, settled.attempts - 1)
        self.refusals += settled.refusals

    def summary(self, *, elapsed: float, limit: int | None) -> DetachSummary:
        """Return the run in numbers, up to now."""
        return DetachSummary(
            outcomes=dict(self.outcomes),
            inferred=self.inferred,
            duplicates=self.duplicates,
            settled_before=self.settled_before,
            requests=self.requests,
            retries=self.retries,
            refusals=self.refusals,
            elapsed=elapsed,
            limit=limit,
            stopped_by=self.stopped_by,
        )
