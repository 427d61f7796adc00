"""A run at work. See `DetachRun`.

How a run works. Workers pull pairs from the input one at a time, so it is never held whole.
A pair whose conversation already has a request in flight is parked, and the worker that owns
the conversation takes it next: two requests never race on one conversation. How fast requests
leave is the limiter's decision alone; workers only keep enough of them ready. Results go to the
consumer in completion order through a bounded queue, so a slow consumer slows the run.

A pair that was settled once is not sent again: its outcome is told again. Nine bytes for each
settled pair remember that. Pairs that failed for a reason that may pass are held back (a bounded
number of them) and tried once more when everything else is done.

With a journal a pair is announced before it is sent, and its fate is on the disk before the
consumer sees it; `journal` says why both are needed.

Who stops a run: a 401, a 403 or a refused certificate (no other call can succeed), `stop()`, an
input or a journal that raises, or the consumer leaving `async with`. Pairs that were not sent by
then are `not_attempted`.
"""

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from typing import Final, Protocol

import attrs

from intercom_async.bulk.lifecycle import Run
from intercom_async.bulk.results import DetachResult, DetachSummary
from intercom_async.bulk.source import Again, Pair, Source
from intercom_async.bulk.telling import Tally
from intercom_async.detaching import Detach, Outcome, Settled
from intercom_async.errors import (
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    InvalidArgumentError,
    ServerError,
    UnknownOutcomeError,
)
from intercom_async.journal.errors import JournalError, JournalWriteError
from intercom_async.journal.fates import SettledPairs, is_ambiguous, is_inferred, outcome_of
from intercom_async.journal.replay import Admitted
from intercom_async.journal.session import Commit, Journal, JournalSession
from intercom_async.status import RateLimitStatus
from intercom_async.transport.http import CONNECTIONS
from intercom_async.transport.limiter import Backlog, Limiter
from intercom_async.transport.runtime import Runtime
from intercom_async.transport.transport import CallOptions, Transport
from intercom_async.transport.verdict import backoff

PARKED: Final = 1024
"""Pairs held back at most because their conversation is busy."""

DEFERRED: Final = 10_000
"""Failed pairs held back at most for a second try; further ones are reported as they are."""

_PASSING: Final = (ServerError, ConnectionFailedError, UnknownOutcomeError)


class Operation(Protocol):
    """What is done with each pair; `settle` is one."""

    def __call__(
        self,
        transport: Transport,
        pair: Detach,
        admin_id: str | None,
        options: CallOptions,
        *,
        ambiguous: bool,
        on_send: Callable[[], None],
    ) -> Awaitable[Settled]:
        """Bring one pair to an end; see `settle`."""
        ...


@attrs.define(eq=False)
class _Deferred:
    """A pair that waits for its second try, and what the first one came to."""

    item: Admitted
    first: Settled
    elapsed: float


class DetachRun(Run[DetachResult, DetachSummary]):
    """One bulk detach: await it, or iterate over its results.

    ::

        summary = await client.detach_contacts(pairs, admin_id="5017690")

        async with client.detach_contacts(pairs, admin_id="5017690") as run:
            async for result in run:
                ...
            print(run.summary)

    Nothing happens before it is awaited or iterated over. Leaving `async with` early stops the
    run at once and leaves nothing behind.

    Args:
        pairs: pulled lazily, from one task at a time, never held whole.
        admin_id: for pairs without an admin of their own.
        concurrency: requests in flight at most, None for as many as rate and latency ask for.
        journal: keeps what became of each pair; None for no journal.
        parameters: what a run that resumes the journal must have in common with this one.
        operation: what is done with each pair.
        transport: sends the requests.
        options: lane, time and retries of every request.
        runtime: the clock.
    """

    def __init__(
        self,
        pairs: Iterable[Pair] | AsyncIterable[Pair],
        *,
        admin_id: str | None,
        concurrency: int | None,
        journal: str | os.PathLike[str] | Journal | None,
        parameters: Mapping[str, str | None],
        operation: Operation,
        transport: Transport,
        options: CallOptions,
        runtime: Runtime,
    ) -> None:
        if not isinstance(pairs, Iterable | AsyncIterable) or isinstance(pairs, str | bytes):
            raise InvalidArgumentError("pairs", pairs, "an iterable or async iterable of pairs")
        if concurrency is not None and (
            not isinstance(concurrency, int)
            or isinstance(concurrency, bool)
            or not 1 <= concurrency <= CONNECTIONS
        ):
            raise InvalidArgumentError(
                "concurrency", concurrency, f"a whole number from 1 to {CONNECTIONS}"
            )
        super().__init__(runtime)
        self._pairs = pairs
        self._admin_id = admin_id
        self._concurrency = concurrency or CONNECTIONS
        self._keeping = _as_journal(journal)
        self._parameters = parameters
        self._operation = operation
        self._transport = transport
        self._options = attrs.evolve(options, bounded=concurrency is None)

        self._journal: JournalSession | None = None
        self._opening: asyncio.Task[JournalSession] | None = None
        self._limiter: Limiter | None = None
        self._backlog: Backlog | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._unsent: set[asyncio.Task[None]] = set()
        self._reading: set[asyncio.Task[None]] = set()
        self._parked: dict[str, deque[Admitted]] = {}
        self._parked_count = 0
        self._parked_less = asyncio.Event()
        self._workers_gone = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._stopping = False
        self._drain = True
        self._seen = SettledPairs()
        self._deferring = options.retry.attempts > 1
        self._deferred: dict[int, _Deferred] = {}
        self._tally = Tally()

    # --- for the consumer ----------------------------------------------------------------------

    @property
    def summary(self) -> DetachSummary:
        """The run in numbers, up to now."""
        return self._tally.summary(elapsed=self._elapsed, limit=self._transport.limit)

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The quota as known now, None before the first reply."""
        return self._transport.rate_limit

    def pause(self) -> None:
        """Take up no further pair until `resume`; what is in flight finishes."""
        self._running.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running.set()

    def stop(self, *, immediately: bool = False, drain: bool = True) -> None:
        """End the run early; results of everything read so far are still delivered.

        Args:
            immediately: give up on requests in flight too (their outcome is `unknown`)
                instead of letting them finish.
            drain: read the rest of the input and report it as `not_attempted`; False leaves
                it unread, for inputs that may never end.
        """
        self._stopping = True
        self._drain = self._drain and drain
        self._running.set()
        self._parked_less.set()
        tasks = self._workers if immediately else self._unsent
        for task in tasks if self._drain else tasks | self._reading:
            task.cancel()
        if self._opening is not None:
            self._opening.cancel()

    # --- the run -------------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._limiter = self._transport.limiter  # a client that cannot be used says so here

    def _drop(self) -> None:
        self.stop(immediately=True, drain=False)

    async def _supervise(self) -> None:
        source: Source | None = None
        try:
            await self._open_journal()
            source = Source(self._pairs, self._journal)
            self._expect(source.backlog)
            await self._let_work(source)
            await self._try_again()
            await self._report_unsent()
            if self._drain and self._failure is None:
                await self._drain_rest(source)
        except asyncio.CancelledError:
            self._interrupted()
            self.stop(immediately=True, drain=False)
            if self._workers:
                await self._workers_gone.wait()
            await self._report_unsent()
        except Exception as error:  # noqa: BLE001  the consumer gets it
            self._failure = self._failure or error
        finally:
            await self._wind_up(source)

    async def _wind_up(self, source: Source | None) -> None:
        """Leave nothing open, whatever happened."""
        self._no_more()
        try:
            if source is not None:
                await source.aclose()
        except asyncio.CancelledError:
            self._interrupted()
        except Exception as error:  # noqa: BLE001  a generator's own cleanup
            self._failure = self._failure or error
        try:
            if self._journal is not None:
                await self._journal.close()
        except asyncio.CancelledError:  # it is closed all the same
            self._interrupted()
        except JournalError as error:
            self._failure = self._failure or error

    async def _open_journal(self) -> None:
        if self._keeping is None or self._stopping:
            return
        self._opening = opening = asyncio.create_task(
            self._keeping.open(parameters=self._parameters, runtime=self._runtime)
        )
        try:
            await opening
        except asyncio.CancelledError:
            if not self._stopping:
                raise
        finally:
            self._opening = None
            # Cancelled in the moment in which it was opened, it is to be closed all the same.
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                self._journal = opening.result()
                self._seen = self._journal.known

    def _expect(self, backlog: Backlog) -> None:
        assert self._limiter is not None  # noqa: S101  set when the run was started
        self._limiter.expect(backlog)
        self._backlog = backlog

    def _no_more(self) -> None:
        """Tell the limiter that the pairs waiting now are all there is: a short rest may hurry."""
        if self._backlog is not None and self._limiter is not None:
            self._limiter.forget(self._backlog)
            self._backlog = None

    async def _let_work(self, source: Source | Again) -> None:
        """Start workers as they are needed and wait until all have gone."""
        self._workers_gone.clear()
        self._add_worker(source)
        await self._workers_gone.wait()

    async def _try_again(self) -> None:
        """The second pass: once more for what failed for a reason that may have passed."""
        self._deferring = False
        if self._deferred and not self._stopping:
            self._expect(Backlog(len(self._deferred)))
            await self._let_work(Again([deferred.item for deferred in self._deferred.values()]))

    async def _report_unsent(self) -> None:
        """Deliver what was read and is not going to be sent."""
        for deferred in self._deferred.values():
            await self._deliver_unsent(deferred.item, deferred.first, deferred.elapsed)
        self._deferred.clear()
        for queue in self._parked.values():
            for item in queue:
                await self._deliver_unsent(item, Settled(Outcome.NOT_ATTEMPTED), 0.0)

    async def _deliver_unsent(self, item: Admitted, settled: Settled, elapsed: float) -> None:
        known = self._known(item)  # another occurrence may have been settled since
        await self._deliver(item, known or settled, elapsed, duplicate=known is not None)

    async def _drain_rest(self, source: Source) -> None:
        """Report the rest until somebody does not want it any more."""
        task = asyncio.create_task(self._report_rest(source))
        self._reading.add(task)
        try:
            await task
        except asyncio.CancelledError:
            if self._drain:
                raise
        finally:
            self._reading.discard(task)

    async def _report_rest(self, source: Source) -> None:
        while self._drain and (item := await source.pull()) is not None:
            if item.settled is not None:
                self._tally.settled_before += 1
                self._seen.add(item.detach, item.settled, inferred=item.inferred)
                continue
            known = self._known(item)
            if known is not None:
                await self._deliver(item, known, 0.0, duplicate=True)
            else:
                # Without a record a pair counts as not attempted: a line for each would only
                # fill the journal.
                await self._tell(item.detach, Settled(Outcome.NOT_ATTEMPTED), 0.0, None)

    def _add_worker(self, source: Source | Again) -> None:
        task = asyncio.create_task(self._work(source))
        self._workers.add(task)
        task.add_done_callback(self._worker_done)

    def _worker_done(self, task: "asyncio.Task[None]") -> None:
        self._workers.discard(task)
        if task.cancelled():
            if not self._stopping:
                self._interrupted()
        elif (error := task.exception()) is not None:
            self._fail(error)
        if not self._workers:
            self._workers_gone.set()

    def _fail(self, error: BaseException) -> None:
        """Input, journal or client are unusable: let requests finish, then raise it."""
        self._failure = self._failure or error
        self.stop(drain=False)

    async def _work(self, source: Source | Again) -> None:
        if isinstance(source, Again):
            await self._breathe()
        item = await self._take(source)
        while item is not None:
            began = self._runtime.monotonic()
            fate = self._seen.get(item.detach)
            settled = _told_again(fate)
            duplicate = settled is not None
            if settled is None:
                # Another occurrence of the pair, or its first try, may have been applied.
                unknown = item.ambiguous or is_ambiguous(fate)
                settled = await self._settle(item, unknown=unknown)
                self._stop_if_fatal(settled)
                if settled.in_doubt or settled.outcome is Outcome.UNKNOWN:
                    self._seen.add(item.detach, settled.outcome, ambiguous=True)
            following = self._hand_over(item.detach.conversation_id)
            elapsed = self._runtime.monotonic() - began
            first = self._deferred.pop(item.ordinal, None)
            if first is not None:
                settled = _both(first.first, settled)
                elapsed += first.elapsed
            if self._deferring and self._may_pass(settled):
                self._deferred[item.ordinal] = _Deferred(item, settled, elapsed)
            else:
                try:
                    await self._deliver(item, settled, elapsed, duplicate=duplicate)
                except BaseException:  # cancelled while the consumer lags behind, or a full disk
                    self._give_back(following)
                    raise
            if self._stopping:  # since it was handed over
                self._give_back(following)
                following = None
            item = following if following is not None else await self._take(source)

    async def _breathe(self) -> None:
        """Wait a little before the second pass: what failed a moment ago would fail again."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        self._unsent.add(task)
        policy = self._options.retry
        try:
            await self._runtime.sleep(
                backoff(policy, attempts=policy.attempts, random=self._runtime.random())
            )
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
        finally:
            self._unsent.discard(task)

    def _may_pass(self, settled: Settled) -> bool:
        return (
            isinstance(settled.error, _PASSING)
            and not isinstance(settled.error, CertificateError)
            and not self._stopping
            and len(self._deferred) < DEFERRED
        )

    def _stop_if_fatal(self, settled: Settled) -> None:
        if settled.fatal is not None and not self._stopping:
            self._tally.stopped_by = settled.fatal
            self.stop()

    async def _take(self, source: Source | Again) -> Admitted | None:
        """Return the next pair whose conversation is free; None when there is none to do."""
        self._waiting += 1
        try:
            while True:
                await self._running.wait()
                while self._parked_count >= PARKED and not self._stopping:
                    self._parked_less.clear()
                    await self._parked_less.wait()
                if self._stopping:
                    return None
                item = await self._pull(source)
                if item is None:
                    self._no_more()
                    return None
                if item.settled is not None:
                    self._tally.settled_before += 1
                    self._seen.add(item.detach, item.settled, inferred=item.inferred)
                    continue
                conversation_id = item.detach.conversation_id
                if conversation_id not in self._parked and not self._stopping:
                    self._parked[conversation_id] = deque()
                    break
                self._parked.setdefault(conversation_id, deque()).append(item)
                self._parked_count += 1
        finally:
            self._waiting -= 1
        if self._waiting == 0 and len(self._workers) < self._concurrency:
            self._add_worker(source)
        return item

    async def _pull(self, source: Source | Again) -> Admitted | None:
        """Read the next pair; whoever does not want to read on cancels this."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        self._reading.add(task)
        try:
            return await source.pull()
        finally:
            self._reading.discard(task)

    def _hand_over(self, conversation_id: str) -> Admitted | None:
        """Free a conversation, or return the parked pair that has it next."""
        queue = self._parked[conversation_id]
        if queue and not self._stopping:
            self._parked_count -= 1
            self._parked_less.set()
            return queue.popleft()
        if not queue:
            del self._parked[conversation_id]
        return None

    def _give_back(self, item: Admitted | None) -> None:
        """Park a pair again that `_hand_over` gave to a worker which ends before it is begun."""
        if item is not None:
            self._parked[item.detach.conversation_id].appendleft(item)
            self._parked_count += 1

    def _known(self, item: Admitted) -> Settled | None:
        """What became of the same pair before, None if it is not settled."""
        return _told_again(self._seen.get(item.detach))

    async def _settle(self, item: Admitted, *, unknown: bool) -> Settled:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        pair = item.detach
        self._unsent.add(task)
        try:
            if self._journal is not None:
                await self._journal.reserve(item.ordinal)
            return await self._operation(
                self._transport,
                pair,
                pair.admin_id if pair.admin_id is not None else self._admin_id,
                self._options,
                ambiguous=unknown,
                on_send=lambda: self._unsent.discard(task),
            )
        except InvalidArgumentError as error:
            return Settled(Outcome.FAILED, error=error)
        except (ClientStateError, JournalError) as error:  # closed under the run, or a full disk
            unknown = unknown or task not in self._unsent
            self._fail(error)
            return Settled(Outcome.UNKNOWN if unknown else Outcome.NOT_ATTEMPTED, error=error)
        except asyncio.CancelledError:
            if not self._stopping:
                self._interrupted()
            task.uncancel()
            unknown = unknown or task not in self._unsent
            return Settled(Outcome.UNKNOWN if unknown else Outcome.NOT_ATTEMPTED)
        finally:
            self._unsent.discard(task)

    # --- telling -------------------------------------------------------------------------------

    async def _deliver(
        self, item: Admitted, settled: Settled, elapsed: float, *, duplicate: bool = False
    ) -> None:
        """Keep what became of a pair, then tell it."""
        if settled.outcome.settled and not duplicate:
            self._seen.add(item.detach, settled.outcome, inferred=settled.inferred)
        commit: Commit | None = None
        if self._journal is not None:
            try:
                commit = self._keep(self._journal, item, settled)
            except JournalWriteError as error:
                # What is not on the disk is told to nobody: a resumed run finds it out again.
                self._fail(error)
                return
        await self._tell(item.detach, settled, elapsed, commit, duplicate=duplicate)
        if self._journal is not None:
            await self._journal.room()

    def _keep(self, journal: JournalSession, item: Admitted, settled: Settled) -> Commit:
        limit = self._transport.limit
        if limit is not None:
            journal.note_quota(limit)
        return journal.record(
            item.ordinal,
            item.detach,
            settled.outcome,
            inferred=settled.inferred,
            ambiguous=settled.in_doubt,
            attempts=settled.attempts,
            refusals=settled.refusals,
            request_id=settled.request_id,
            error=settled.error,
        )

    async def _tell(
        self,
        pair: Detach,
        settled: Settled,
        elapsed: float,
        commit: Commit | None,
        *,
        duplicate: bool = False,
    ) -> None:
        """Count a result and put it into the queue; wait while the consumer lags behind."""
        self._tally.add(settled, duplicate=duplicate)
        if not self._results.wanted:
            return
        result = DetachResult(
            detach=pair,
            outcome=settled.outcome,
            inferred=settled.inferred,
            duplicate=duplicate,
            error=settled.error,
            attempts=settled.attempts,
            refusals=settled.refusals,
            request_id=settled.request_id,
            elapsed=elapsed,
            reply=settled.reply,
        )
        await self._results.put(result, commit)


def _told_again(fate: int) -> Settled | None:
    """The outcome of a pair that is settled, None for any other fate."""
    outcome = outcome_of(fate)
    if outcome is None or not outcome.settled:
        return None
    return Settled(outcome, inferred=is_inferred(fate))


def _both(first: Settled, second: Settled) -> Settled:
    """What two tries come to: the second one, unless the run stopped before it was sent."""
    if second.outcome is Outcome.NOT_ATTEMPTED:
        return first
    return attrs.evolve(
        second,
        attempts=second.attempts + first.attempts,
        refusals=second.refusals + first.refusals,
    )


def _as_journal(journal: str | os.PathLike[str] | Journal | None) -> Journal | None:
    if journal is None or isinstance(journal, Journal):
        return journal
    if isinstance(journal, str | os.PathLike):
        return Journal(journal)
    raise InvalidArgumentError("journal", journal, "a path, a Journal or None")
