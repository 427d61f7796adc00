"""One run's time with its journal: which pairs to send, and what became of them.

Writing is a group commit without a task of its own: lines collect while the previous lines are
written and synced in the journal's thread, and go together when that is done. Whoever needs a
line on the disk awaits the `Commit` that `record` returned; cancelling that wait changes nothing
about the line. Lines that nobody waits for collect a little longer, because a write costs as much
as a request.
"""

import asyncio
import os
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, NoReturn, Self

import attrs

from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import ClientStateError, IntercomError, InvalidArgumentError
from intercom_async.journal.errors import JournalMismatchError, JournalWriteError
from intercom_async.journal.fates import is_announced
from intercom_async.journal.files import (
    WRITE,
    Disk,
    JournalFile,
    KnownPairs,
    open_journal,
)
from intercom_async.journal.format import (
    NAME,
    SCHEMA,
    Header,
    InputEnded,
    Line,
    Quota,
    Record,
    Sending,
    Unsent,
    encode,
    record_of,
)
from intercom_async.journal.replay import Admitted, Gate, InputChangedError, Replay, same
from intercom_async.transport.runtime import SYSTEM, Runtime, TimerHandle

AHEAD: Final = 256
"""Pairs announced at once. So many at most are ambiguous after a kill without having been sent,
twice; fewer would make sending wait for the disk at several thousand pairs a second."""

LINGER: Final = 0.02
"""Seconds for which lines collect that nobody waits for; a crash loses no more than those."""

BUFFERED: Final = 4 * WRITE
"""Bytes waiting for the disk beyond which `room` waits."""


class Commit:
    """Lines that go to the disk together: await it to know that they are there.

    Awaiting raises `JournalWriteError` if they may not be. Any number of tasks may wait, and
    each may be cancelled.

    Args:
        hurry: called when somebody begins to wait.

    Attributes:
        done: whether they are on the disk.
        wanted: whether anybody has waited for it.
    """

    __slots__ = ("_failure", "_hurry", "_over", "done", "lines", "records", "size", "wanted")

    def __init__(self, hurry: Callable[[], None]) -> None:
        self._hurry = hurry
        self.wanted = False
        self.done = False
        self.lines: list[bytes] = []
        self.records = 0
        self.size = 0
        self._over = asyncio.Event()
        self._failure: JournalWriteError | None = None

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        if not self.done:
            self.wanted = True
            self._hurry()
            await self._over.wait()
            if self._failure is not None:
                raise_again(self._failure)

    def finish(self, failure: JournalWriteError | None) -> None:
        """Tell everybody who waits."""
        self.lines.clear()
        self.done = failure is None
        self._failure = failure
        self._over.set()


def raise_again(failure: JournalWriteError) -> NoReturn:
    """Raise a copy: one exception in many tasks would collect all their tracebacks."""
    raise JournalWriteError(
        failure.path, message=str(failure), errno=failure.errno, durable=failure.durable
    ) from failure.__cause__


def _path(path: str | os.PathLike[str]) -> str:
    name: object = os.fspath(path) if isinstance(path, str | os.PathLike) else path
    if not isinstance(name, str) or not name or "\0" in name:
        raise InvalidArgumentError("path", path, "a file's path")
    return name


def _refuse_or_accept(_instance: object, _attribute: object, value: object) -> None:
    if value not in {"refuse", "accept"}:
        raise InvalidArgumentError("changed_input", value, "'refuse' or 'accept'")


@attrs.frozen
class Journal:
    """Where a run keeps what became of its pairs. Nothing happens before `open`.

    Args:
        path: the file; created, or resumed if it exists. Only its owner may read it: it holds
            ids, never the token.
        changed_input: what to do if a resumed run reads other pairs than before. "refuse"
            raises `JournalMismatchError` before any pair is sent whose place is in question.
            "accept" compares pairs by their ids rather than by their place: settled ones are
            skipped wherever they are now. It takes about 10 bytes of memory per settled pair.
        source: where the pairs come from, for people: {"kind": "file", "name": "pairs.csv"}.

    Raises:
        InvalidArgumentError: a value that cannot be used.
    """

    path: str = attrs.field(converter=_path)
    changed_input: Literal["refuse", "accept"] = attrs.field(
        default="refuse", kw_only=True, validator=_refuse_or_accept
    )
    source: Mapping[str, str | int | None] | None = attrs.field(default=None, kw_only=True)

    async def open(
        self,
        *,
        parameters: Mapping[str, str | int | float | bool | None] | None = None,
        runtime: Runtime = SYSTEM,
        disk: Disk | None = None,
    ) -> "JournalSession":
        """Create or resume the journal, in a thread.

        Ten million records take some 20 seconds, and 50 more if a pair near the beginning is not
        settled: what follows it must be known by its ids, for the input may name it twice.

        ::

            async with await journal.open(parameters={"admin_id": "5017690"}) as session:
                ...

        Args:
            parameters: what must be the same when the run is resumed.
            runtime: the clock.
            disk: the system calls.

        Raises:
            JournalLockedError: another run writes it.
            JournalMismatchError: it belongs to a run with other parameters.
            JournalCorruptError: it is damaged, or no journal; it was not changed.
            JournalWriteError: it cannot be opened or written.
            JournalError: a newer version of the library wrote it, or it cannot be locked.
        """
        header = Header(
            journal=NAME,
            schema=SCHEMA,
            created=datetime.fromtimestamp(runtime.wall(), UTC).isoformat(timespec="seconds"),
            parameters=dict(parameters or {}),
            input=dict(self.source or {"kind": "iterable"}),
        )
        file = JournalFile(self.path, disk or Disk())
        thread = ThreadPoolExecutor(1, thread_name_prefix="intercom_async-journal")
        abandoned = False
        opening = asyncio.get_running_loop().run_in_executor(
            thread,
            lambda: open_journal(
                file,
                header=header,
                new_input=self.changed_input == "accept",
                abandoned=lambda: abandoned,
            ),
        )
        try:
            replay, known, resumed = await asyncio.shield(opening)
        except BaseException:
            abandoned = True
            await _over(opening)
            file.close()
            thread.shutdown()
            raise
        return JournalSession(file, replay, known, resumed=resumed, thread=thread, runtime=runtime)


async def _over(future: "asyncio.Future[Any]") -> None:
    """Wait for a future, whatever it brings and however often one is cancelled meanwhile."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue
    if not future.cancelled():
        future.exception()


class JournalSession:
    """A journal that is open; made by `Journal.open`, from one task's loop at a time.

    The way of a pair: `admit` says whether to send it, `reserve` lets it be sent, `record` keeps
    what became of it, and awaiting the returned `Commit` lets it be told. A pair that is
    cancelled is not recorded: it stays ambiguous if it was reserved, which is the truth.

    Attributes:
        resumed: whether the journal existed before.
        counts: pairs per outcome as earlier sessions left them; every outcome is present.
        path: the journal's file.
        known: by their ids, pairs that earlier sessions settled or left unknown and that the
            input has not come to yet when it comes to the first one to be sent.
    """

    def __init__(
        self,
        file: JournalFile,
        replay: Replay,
        known: KnownPairs,
        *,
        resumed: bool,
        thread: ThreadPoolExecutor,
        runtime: Runtime,
    ) -> None:
        self.resumed = resumed
        self.counts = replay.counts()
        self.path = file.path
        self.known = known.later
        self._file = file
        self._fates = replay.fates
        self._gate = Gate(replay, known.earlier)
        self._announced_to = 0
        self._reserved_to = 0
        self._ended = False
        self._quota: int | None = None
        self._undurable: deque[tuple[int, int, Commit]] = deque()
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._runtime = runtime
        self._collecting: deque[Commit] = deque()
        self._writing: Commit | None = None
        self._buffered = 0
        self._timer: TimerHandle | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._failure: JournalWriteError | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except JournalWriteError:
            if error is None:
                raise

    @property
    def durable(self) -> int:
        """Records that are on the disk, those of earlier sessions included."""
        return self._file.durable

    # --- the input -----------------------------------------------------------------------------

    def admit(self, pair: Detach) -> Sequence[Admitted]:
        """Take the input's next pair, in its order; return those whose turn it is.

        While a resumed run reads what was read before, pairs are held back (1,024 or a few more)
        until they are known to be the same, and come together. Those that earlier sessions
        settled say so, and must not be sent again.

        Raises:
            JournalMismatchError: the input has changed.
            JournalWriteError: an earlier line could not be written.
            ClientStateError: the journal is closed.
        """
        self._check()
        try:
            admitted = self._gate.feed(pair)
        except InputChangedError as change:
            raise self._mismatch(change) from None
        if self._gate.checkpoint_due:
            self._checkpoint()
        return admitted

    def end_input(self) -> None:
        """Say that the input has no more pairs.

        Raises:
            JournalMismatchError: it had more before.
            JournalWriteError: an earlier line could not be written.
            ClientStateError: the journal is closed.
        """
        self._check()
        try:
            self._gate.end()
        except InputChangedError as change:
            raise self._mismatch(change) from None
        self._checkpoint()
        self._ended = True
        self._append(InputEnded(self._gate.read_to))

    def _checkpoint(self) -> None:
        if (checkpoint := self._gate.checkpoint()) is not None:
            self._fates.read(checkpoint.checkpoint)
            self._append(checkpoint)

    def _mismatch(self, change: InputChangedError) -> JournalMismatchError:
        """Name the pair that differs, if a record near by knows it."""
        before = self._fates.after
        first, last = change.first - before, change.last - before
        ordinal, expected, found = first, change.expected, "the end of the input"
        if change.pairs:
            found = _named(change.pairs[0])
            if expected is None:
                for record in self._file.record_between(change.first, change.last, change.offset):
                    pair = change.pairs[record.ordinal - change.first]
                    if not same(record, pair) and (
                        expected is None or record.ordinal < expected.ordinal
                    ):
                        expected, ordinal, found = record, record.ordinal - before, _named(pair)
        where = f"pair {ordinal}"
        if expected is not None:
            told = f"{_named(expected.detach)} in the journal and {found} in the input"
        elif change.pairs:
            where = f"one of the pairs {first} to {last}"
            told = f"not what it was (the first of them is {found} now)"
        else:
            told = f"missing: the input ended before it, and it had at least {last} pairs"
        return JournalMismatchError(
            self.path,
            what="input",
            ordinal=ordinal,
            expected=None if expected is None else _named(expected.detach),
            found=found,
            message=f"the input has changed since the journal {self.path} was written: {where} is "
            f"{told}. Give the same input in the same order, or resume with "
            "changed_input='accept', which finds settled pairs by their ids",
        )

    # --- the pairs -----------------------------------------------------------------------------

    async def reserve(self, ordinal: int) -> None:
        """Wait until the journal says that this pair may be sent; nearly always at once.

        Raises:
            JournalWriteError: it cannot say so; the pair must not be sent.
            ClientStateError: the journal is closed.
        """
        self._check()
        self._reserved_to = max(self._reserved_to, ordinal)
        if not is_announced(self._fates.get(ordinal)):
            # A pair tried for a second time stands alone, the next ones come in order.
            last = ordinal if ordinal <= self._announced_to else ordinal + AHEAD - 1
            self._announce(ordinal, min(last, self._gate.read_to) if self._ended else last)
        elif ordinal <= self._announced_to <= ordinal + AHEAD // 2 and not self._ended:
            self._announce(self._announced_to + 1, self._announced_to + AHEAD)
        undurable = self._undurable
        while undurable and undurable[0][2].done:
            undurable.popleft()
        for first, last, commit in list(undurable):
            if first <= ordinal <= last:
                await commit

    def _announce(self, first: int, last: int) -> None:
        self._fates.announce(first, last)
        self._announced_to = max(self._announced_to, last)
        self._append(Sending((first, last)))
        self._undurable.append((first, last, self._collecting[-1]))

    def record(
        self,
        ordinal: int,
        pair: Detach,
        outcome: Outcome,
        *,
        inferred: bool = False,
        ambiguous: bool = False,
        attempts: int = 0,
        refusals: int = 0,
        request_id: str | None = None,
        error: IntercomError | None = None,
    ) -> Commit:
        """Keep what became of a pair; await the result before telling anybody.

        Nothing is awaited in here, so no cancellation can come between a fate and its record. A
        later record of the same pair overrides an earlier one.

        Args:
            ordinal: as `admit` gave it.
            pair: the pair.
            outcome: what became of it. "failed" says that nothing was applied, by an earlier
                session neither.
            inferred: whether "detached" was concluded from a check.
            ambiguous: whether "failed" was, so that a request may be applied later still.
            attempts: requests sent.
            refusals: further requests refused with 429.
            request_id: of the deciding request.
            error: what went wrong; kept in words unless the pair is settled.

        Raises:
            JournalWriteError: an earlier line could not be written, so this is not kept.
            ClientStateError: the journal is closed.
        """
        self._check()
        self._fates.record(ordinal, outcome, inferred=inferred, ambiguous=ambiguous)
        self._append(
            record_of(
                ordinal,
                pair,
                outcome,
                at=self._runtime.wall(),
                inferred=inferred,
                ambiguous=ambiguous,
                attempts=attempts,
                refusals=refusals,
                request_id=request_id,
                error=error,
            )
        )
        return self._collecting[-1]

    def note_quota(self, limit: int) -> None:
        """Keep how many requests the server allows per ten seconds, for reports.

        Raises:
            JournalWriteError: an earlier line could not be written.
            ClientStateError: the journal is closed.
        """
        self._check()
        if limit != self._quota:
            self._quota = limit
            self._append(Quota(limit, round(self._runtime.wall(), 3)))

    async def room(self) -> None:
        """Wait while too much waits for the disk; for who records much without awaiting it.

        Raises:
            JournalWriteError: the disk refuses.
        """
        while self._buffered > BUFFERED and self._writing is not None:
            await self._writing

    async def flush(self) -> None:
        """Wait until everything recorded so far is on the disk.

        Raises:
            JournalWriteError: it may not be.
        """
        if self._collecting:
            await self._collecting[-1]
        elif self._writing is not None:
            await self._writing
        if self._failure is not None:
            raise_again(self._failure)

    async def close(self) -> None:
        """Finish writing and unlock the journal; harmless when that has happened.

        Being cancelled does not keep it from finishing, which takes one write at most.

        Raises:
            JournalWriteError: not everything could be written; it is closed all the same.
        """
        if self._closed:
            await self._idle.wait()
            return
        if self._failure is None:
            self._say_goodbye()
        self._closed = True
        self._hurry()
        cancelled: asyncio.CancelledError | None = None
        while not self._idle.is_set():
            try:
                await self._idle.wait()
            except asyncio.CancelledError as error:
                cancelled = error
        self._file.close()
        self._thread.shutdown()
        if cancelled is not None:
            raise cancelled
        if self._failure is not None:
            raise_again(self._failure)

    def _say_goodbye(self) -> None:
        """Write what only an orderly end can know."""
        first = self._reserved_to + 1
        if first <= self._announced_to:
            self._append(Unsent((first, self._announced_to)))
        self._checkpoint()

    # --- the disk ------------------------------------------------------------------------------

    def _check(self) -> None:
        if self._failure is not None:
            raise_again(self._failure)
        if self._closed:
            raise ClientStateError(f"the journal {self.path} is closed")

    def _append(self, line: Line) -> None:
        data = encode(line)
        if not self._collecting or self._collecting[-1].size + len(data) > WRITE:
            self._collecting.append(Commit(self._hurry))
        commit = self._collecting[-1]
        commit.lines.append(data)
        commit.size += len(data)
        commit.records += isinstance(line, Record)
        self._buffered += len(data)
        if self._idle.is_set():
            self._idle.clear()
            self._write_soon()

    def _write_soon(self) -> None:
        """Go on with what has collected, if anything has."""
        if not self._collecting:
            self._idle.set()
        elif self._closed or self._collecting[0].wanted or self._buffered > WRITE:
            self._write()
        else:
            self._timer = self._runtime.call_later(LINGER, self._write)

    def _hurry(self) -> None:
        """Somebody waits for the disk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            # What else is recorded in this turn of the loop goes with it.
            self._loop.call_soon(self._write)

    def _write(self) -> None:
        self._timer = None
        commit = self._writing = self._collecting.popleft()
        data = b"".join(commit.lines)
        writing = self._loop.run_in_executor(self._thread, self._file.append, data, commit.records)
        writing.add_done_callback(self._written)

    def _written(self, writing: "asyncio.Future[None]") -> None:
        commit, self._writing = self._writing, None
        if commit is None or writing.cancelled():  # the loop is being torn down
            self._idle.set()
            return
        self._buffered -= commit.size
        error = writing.exception()
        if error is None:
            commit.finish(None)
            self._write_soon()
            return
        self._failure = (
            error
            if isinstance(error, JournalWriteError)
            else JournalWriteError(
                self.path,
                message=f"the journal {self.path} cannot be written ({error})",
                errno=None,
                durable=self.durable,
            )
        )
        for lost in (commit, *self._collecting):
            lost.finish(self._failure)
        self._collecting.clear()
        self._buffered = 0
        self._idle.set()


def _named(pair: Detach) -> str:
    admin = "" if pair.admin_id is None else f", admin {pair.admin_id}"
    return f"({pair.conversation_id}, {pair.contact_id}{admin})"
