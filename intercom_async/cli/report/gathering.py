"""A journal's lines added up, in one reading: what is written meanwhile cannot contradict it."""

import os
from collections import Counter, deque
from datetime import UTC, datetime
from typing import Final

import attrs

from intercom_async.cli.report.causes import Causes
from intercom_async.cli.report.facts import Facts, Session
from intercom_async.cli.report.tally import Tally
from intercom_async.cli.report.timeline import LATEST, Timeline
from intercom_async.detaching import Outcome
from intercom_async.journal import Header, JournalCorruptError, JournalError, Record, scan
from intercom_async.journal.fates import is_announced, outcome_of
from intercom_async.journal.format import InputEnded, Line, LineError, Quota, Resumed, encode
from intercom_async.journal.replay import Replay

SESSIONS: Final = 20
"""Sessions kept from the beginning, and as many from the end."""


def gather(path: str | os.PathLike[str]) -> Facts:
    """Read a journal, also one that is being written or whose last line is torn.

    It takes two bytes of memory per pair, and a few hundred kilobytes for all the rest.

    Raises:
        JournalError: there is none, it cannot be read, or is no journal, damaged or too new.
    """
    name = os.fspath(path)
    gatherer = Gatherer()
    try:
        for line in scan(name):
            gatherer.feed(line)
    except LineError as error:
        raise JournalCorruptError(
            name,
            line=gatherer.lines,
            message=f"line {gatherer.lines} of the journal {name} contradicts those before it: "
            f"{error}",
        ) from None
    if not gatherer.lines:
        raise JournalError(name, f"the journal {name} is empty: no run has begun it yet")
    return gatherer.facts(name)


@attrs.define
class _Open:
    """A session whose end was not read yet."""

    number: int
    began: float | None
    pause: float | None
    new_input: bool
    tally: Tally = attrs.Factory(Tally)
    ended: float | None = None

    def closed(self) -> Session:
        ended = self.began if self.ended is None else self.ended
        return Session(
            number=self.number,
            began=self.began,
            ended=ended,
            pause=self.pause,
            tally=self.tally,
            new_input=self.new_input,
        )


class Gatherer:
    """The lines of a journal, one after the other.

    Attributes:
        lines: how many were fed.
    """

    def __init__(self) -> None:
        self.lines = 0
        self._replay = Replay()
        self._causes = Causes()
        self._timeline = Timeline()
        self._session = _Open(1, None, None, new_input=False)
        self._first: list[Session] = []
        self._last: deque[Session] = deque(maxlen=SESSIONS)
        self._tally = Tally()
        self._elapsed = 0.0
        self._quota = 0
        self._input_ended: int | None = None
        self._undated = 0

    def feed(self, line: Line) -> None:
        """Take the next line in.

        Raises:
            LineError: it contradicts those before it.
        """
        self.lines += 1
        if isinstance(line, Record):
            self._record(line)
            return
        self._replay.feed(encode(line), 0)
        match line:
            case Header(created=created):
                self._session.began = moment(created)
            case Quota(quota=quota):
                self._quota = quota
            case InputEnded(input_ended=ordinal):
                self._input_ended = ordinal
            case Resumed(resumed=resumed, new_input_after=after):
                self._resume(moment(resumed), after)
            case _:
                pass

    def _record(self, record: Record) -> None:
        outcome, attempts, refusals = record.outcome, record.attempts, record.refusals
        self._replay.fates.record(record.ordinal, outcome, inferred=record.inferred)
        self._causes.add(record)
        session = self._session
        bucket = self._timeline.bucket(record.at, self._quota)
        if bucket is None:
            self._undated += 1
        else:
            if session.began is None:
                session.began = record.at
            if session.ended is None or record.at > session.ended:
                session.ended = record.at
        settled = 1 if outcome.settled else 0
        retries = attempts - 1 if attempts > 1 else 0
        for tally in (session.tally,) if bucket is None else (session.tally, bucket):
            tally.records += 1
            tally.settled += settled
            tally.requests += attempts
            tally.retries += retries
            tally.refusals += refusals

    def _resume(self, at: float | None, after: int | None) -> None:
        before = self._close()
        pause = None if at is None or before.ended is None else max(0.0, at - before.ended)
        self._session = _Open(before.number + 1, at, pause, new_input=after is not None)
        if after is not None:
            self._causes.begin(after)
            self._input_ended = None

    def _close(self) -> Session:
        session = self._session.closed()
        self._tally.add(session.tally)
        self._elapsed += session.worked
        if len(self._first) < SESSIONS:
            self._first.append(session)
        else:
            self._last.append(session)
        return session

    def facts(self, path: str) -> Facts:
        """Return the sum; nothing can be fed after that.

        Args:
            path: the journal, as it is to be named.
        """
        session = self._close()
        header = self._replay.header
        assert header is not None  # noqa: S101  it is the first line, or feeding raises
        unrecorded, reopened = self._in_doubt()
        return Facts(
            path=path,
            header=header,
            outcomes=self._causes.outcomes(),
            inferred=self._causes.inferred(),
            unrecorded=unrecorded,
            reopened=reopened,
            unsent=self._unsent(unrecorded),
            input_ended=self._input_ended is not None,
            sessions=session.number,
            first=tuple(self._first),
            last=tuple(self._last),
            tally=self._tally,
            elapsed=self._elapsed,
            quota=self._quota or None,
            utilisation=self._utilisation(),
            causes=tuple(self._causes.causes()),
            timeline=self._timeline,
            undated=self._undated,
        )

    def _in_doubt(self) -> tuple[int, int]:
        """Return the announced pairs: without a record, and with one that leaves them open."""
        fates = self._replay.fates
        end = fates.after + len(fates)
        if self._input_ended is not None:
            # Pairs are announced ahead of being read: beyond the end there never were any.
            end = min(end, self._input_ended)
        ordinals = range(fates.after + 1, end + 1)
        unrecorded = reopened = 0
        for fate, count in Counter(map(fates.get, ordinals)).items():
            outcome = outcome_of(fate)
            if not is_announced(fate):
                continue
            if outcome is None:
                unrecorded += count
            elif outcome is not Outcome.UNKNOWN:  # which is in doubt by its own name
                reopened += count
        return unrecorded, reopened

    def _unsent(self, unrecorded: int) -> int | None:
        after = self._replay.fates.after
        if self._input_ended is None:
            return None
        if after:
            # Of a changed input, pairs that were settled before get no record of their own.
            return 0
        return max(0, self._input_ended - self._causes.recorded - unrecorded)

    def _utilisation(self) -> float | None:
        limits = [bucket.quota for _, bucket in self._timeline if bucket.quota]
        if not limits or self._elapsed <= 0:
            return None
        allowed = sum(limits) / len(limits) / 10 * self._elapsed
        return self._tally.requests / allowed


def moment(text: str) -> float | None:
    """Return the Unix seconds of an ISO 8601 text, None if it is none."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        seconds = time.timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds < LATEST else None
