"""A bulk run: `DetachRun`.

Pairs come from sources, one after the other: the input, which one task reads ahead; the rows that
earlier sessions left unsettled and the input did not name; and last the rows of pairs that failed
for a passing reason and get a second try. The supervisor takes pairs from a source, a batch at a
time. `PairQueue` parks a pair whose conversation has a request in flight, so
that two requests never race on one conversation. Workers send what is ready, write its outcome into
the journal and hand the result to the consumer. The limiter alone decides how fast requests leave;
workers only keep enough of them ready. Once the run stops, the supervisor goes on through the
sources and gives the result of each pair that is not sent.

A pair's row says "sending" before its request leaves, and has the outcome before the consumer gets
the result. Both are durable if the journal is a file.

A run stops after a 401, a 403 of the whole token, a refused certificate, an outage longer than
`outage_patience`, or a call of `stop`; if hardly any of the first hundred conversations exists; if
the input or the journal raises; and if the consumer leaves. Pairs that were read and not sent by
then are `not_attempted`.
"""

import asyncio
import functools
import math
from collections import Counter
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import aclosing
from typing import Any, Final, TypeVar

import attrs
from msgspec.structs import replace

from intercom_async.bulk.base_run import ResultQueue, Run
from intercom_async.bulk.options import Operation, RunOptions
from intercom_async.bulk.queue import Item, PairKey, PairQueue
from intercom_async.bulk.reader import InputReader
from intercom_async.bulk.sender import Sender
from intercom_async.bulk.summary import DetachSummary, Tally, facts_of
from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    IntercomError,
    InvalidArgumentError,
    PermissionDeniedError,
    ServerError,
    UnknownOutcomeError,
    WrongInputError,
)
from intercom_async.journal import (
    SETTLED,
    Binding,
    Journal,
    JournalError,
    Row,
    Session,
    State,
    Wanted,
)
from intercom_async.model import Identity
from intercom_async.model.people import App
from intercom_async.observing import OutageStatus, RateLimitStatus
from intercom_async.pacing.limiter import Backlog
from intercom_async.pairs import Pair, as_detach, check_input
from intercom_async.people import PairSearch
from intercom_async.runtime import Runtime, TimerHandle
from intercom_async.transport.http import CONNECTIONS, Http
from intercom_async.transport.retrying import backoff
from intercom_async.transport.sending import CallOptions, Transport

_T = TypeVar("_T")

_BATCH: Final = 128
"""The most pairs that are taken from a source at once."""

_LOOK: Final = 2.0
"""Seconds between looks at an outage, and between notes of the run's numbers in the journal."""

_PASSING: Final = (ServerError, ConnectionFailedError, UnknownOutcomeError)
"""Errors after which a later try may succeed; a refused certificate is not one of them."""


class DetachRun(Run[DetachResult, DetachSummary]):
    """One bulk detach: await it, or iterate over its results.

    ::

        summary = await client.detach_contacts(pairs, admin_id="5017690")

        async with client.detach_contacts(pairs, admin_id="5017690") as run:
            async for result in run:
                ...
            print(run.summary)

    Nothing happens before it is awaited or iterated over. Leaving the loop or `async with` early
    stops the run at once and leaves nothing behind.

    Args:
        pairs: pulled lazily by one task, never held whole; None for what the journal has.
        workspace: the run's key in a journal of many workspaces.
    """

    def __init__(
        self,
        pairs: Iterable[Pair] | AsyncIterable[Pair] | None,
        *,
        journal: Journal,
        runtime: Runtime,
        workspace: str = "",
    ) -> None:
        self._entered = True  # until the arguments are known to be good
        self._durable = journal.path is not None
        if pairs is None and not self._durable:
            raise InvalidArgumentError("pairs", None, "given, or left in a journal: journal=...")
        check_input("pairs", pairs, "an iterable or async iterable of pairs")
        super().__init__(runtime)
        self._sink: ResultQueue[Any] = self._results
        self._journal = journal
        self._workspace = workspace
        self._identity: Identity | None = None
        self._session: Session | None = None
        self._number = 0
        self._tally = Tally()
        self._right_input = False
        self._answers = self._missing = 0
        self._timer: TimerHandle | None = None
        self._note_at = math.inf

        self._search = pairs if isinstance(pairs, PairSearch) else None
        self._input = InputReader(pairs, as_detach, self._changes)
        self._drain = True
        self._left_unread = False
        self._backlog = Backlog(self._input.unread)

        self._pairs = PairQueue()
        self._again: Counter[PairKey] = Counter()
        self._deferring = False
        self._deferred = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._recording = 0

    def connect(
        self,
        options: RunOptions,
        *,
        operation: Operation,
        transport: Transport,
        call: CallOptions,
        whoami: Callable[[], Awaitable[Identity]],
    ) -> None:
        """Set, before the run begins, what it does, through which client, and how it calls."""
        self._options = options
        self._transport = transport
        self._retry = call.retry
        self._whoami = whoami
        self._deferring = call.retry.attempts > 1
        self._concurrency = options.concurrency or CONNECTIONS
        self._sender = Sender(
            operation,
            transport,
            replace(call, bounded=options.concurrency is None),
            workspace=self._workspace,
            results=self._sink,
            changes=self._changes,
        )

    # --- for the consumer ----------------------------------------------------------------------

    @property
    def summary(self) -> DetachSummary:
        """The run in numbers, up to now."""
        return self._tally.summary(elapsed=self._elapsed, limit=self._transport.limit)

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The present quota, None before the first reply."""
        return self._transport.rate_limit

    @property
    def outage(self) -> OutageStatus | None:
        """Since when Intercom is away, and why; None while it answers."""
        return self._transport.outage

    def stop(self, *, immediately: bool = False, drain: bool = True) -> None:
        """End the run early; the consumer still gets a result for everything that was read.

        Args:
            immediately: give up on requests in flight too (their outcome is `unknown`)
                instead of letting them finish.
            drain: read the rest of the input and report it as `not_attempted`; False leaves
                it unread, for inputs that may never end.
        """
        self._stopping = True
        # Draining a search would go on searching.
        self._drain = self._drain and drain and self._search is None
        # Requests that wait for Intercom to come back would not end.
        everything = immediately or self.outage is not None
        self._sender.stop(self._pairs.open.values(), everything=everything)
        if not self._drain:
            self._input.stop()
        self._changes.look()

    # --- the supervisor ------------------------------------------------------------------------

    def _drop(self) -> None:
        self.stop(immediately=True, drain=False)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.stop(drain=False)

    async def _supervise(self) -> None:
        limiter = self._transport.limiter  # which the transport of a closed client does not give
        limiter.expect(self._backlog)
        self._look_at_outage()
        for step in (self._first_try, self._until_sent, self._second_try, self._until_sent):
            await self._surely(step)
        limiter.forget(self._backlog)
        if self._timer is not None:
            self._timer.cancel()
        await self._surely(self._close)
        self._show_progress()

    async def _first_try(self) -> None:
        if self._failure is not None or self._abandoned:
            return
        if not self._stopping:
            await self._begin()
        if self._drain:
            await self._work_off(self._new_pairs())
            await self._end_input()
        if self._left_unread and self._drain:
            await self._work_off(self._rows(Wanted.LEFT), kept=True)
            self._left_unread = False

    async def _second_try(self) -> None:
        self._deferring = False
        if self._deferred:
            # What failed a moment ago would fail again.
            await self._unless_stopped(self._runtime.sleep(self._pause(self._retry.attempts)))
            await self._work_off(self._rows(Wanted.DEFERRED))

    async def _until_sent(self) -> None:
        """Wait for the workers, then give the results of the pairs that they did not send."""
        await self._changes.until(lambda: not self._workers and not self._recording)
        await self._leave(list(self._pairs.open.values()))

    async def _unless_stopped(self, work: Coroutine[Any, Any, _T]) -> _T | None:
        """Do some work in a task of its own; None if the run stops first."""
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._changes.look())
        try:
            await self._changes.until(lambda: self._stopping or task.done())
            return task.result() if task.done() else None
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _look_at_outage(self) -> None:
        """Stop the run when Intercom is away for too long, else look again later."""
        outage, patience = self.outage, self._options.outage_patience
        # An outage counts from the beginning of the run.
        if outage is not None and min(outage.since, self._elapsed) >= patience:
            self._stop_for(
                ConnectionFailedError(
                    f"Intercom has been away for {outage.since:.0f} s, longer than the patience "
                    f"of {patience:.0f} s; the last error: {outage.reason}"
                )
            )
        self._show_progress()
        self._timer = self._runtime.call_later(_LOOK, self._look_at_outage)

    def _show_progress(self) -> None:
        if self._options.progress is not None:
            try:
                self._options.progress(self.summary)
            except Exception as error:  # noqa: BLE001  the caller's own, and the caller gets it
                self._fail(error)

    def _stop_for(self, error: IntercomError) -> None:
        """End the run for a reason that the summary gives."""
        if not self._stopping:
            self._tally.stopped_by = error
            self.stop()

    # --- beginning and end ---------------------------------------------------------------------

    async def _begin(self) -> None:
        try:
            if self._durable or self._options.admin_id is None:
                self._identity = await self._unless_stopped(self._who())
                if self._is_stopping():
                    return
            self._sender.admin_id = self._options.admin_id or getattr(self._identity, "id", None)
            await self._open_journal(None if self._identity is None else self._identity.app)
            self._sender.journal = self._session if self._durable else None
        except (ClientStateError, JournalError):
            raise
        except IntercomError as error:
            self._stop_for(error)

    async def _who(self) -> Identity:
        """Ask who the token belongs to, again after a failure that may pass; raise the last one."""
        tries = 0
        while True:
            tries += 1
            http = self._transport.http
            try:
                return await self._whoami()
            except AuthenticationError:
                if not await self._renewed(http):
                    raise
            except _PASSING as error:
                patient = self._elapsed < self._options.outage_patience
                if isinstance(error, CertificateError) or not patient:
                    raise
                await self._runtime.sleep(self._pause(tries))

    def _pause(self, tries: int) -> float:
        return backoff(self._retry, attempts=tries, random=self._runtime.random())

    async def _renewed(self, refused: Http) -> bool:  # noqa: ARG002  a pool looks at it
        """Whether another token takes the place of a refused one; a client has no other."""
        return False

    async def _open_journal(self, app: App | None) -> None:
        binding = Binding(operation=self._options.operation, base_url=self._options.base_url)
        if app is not None:
            binding = attrs.evolve(binding, app_id=app.id_code, app_name=app.name)
        session = await self._journal.open(binding, runtime=self._runtime)
        self._use(session)
        self._note_at = self._runtime.monotonic() + _LOOK
        session.watch(self.recall)
        if self._search is not None:
            await self._search.join(session, self._tally)
            before = session.before.items()
            self._tally.settled_before += sum(n for one, n in before if one in SETTLED)

    def _use(self, session: Session) -> None:
        self._session = session
        self._number = session.number
        self._left_unread = session.resumed

    def recall(self) -> None:
        """Cancel all repeats: another run may own the journal by now, and check the pairs left."""
        self._sender.recall(self._pairs.open.values())

    async def _close(self) -> None:
        await self._input.closed()
        await self._close_journal()

    async def _close_journal(self) -> None:
        if self._session is not None:
            ending = "stopped" if self._stopping else "ended"
            facts = facts_of(self.summary)
            facts["ending"] = "failed" if self._failure is not None else ending
            await self._session.close(**facts)

    # --- sources -------------------------------------------------------------------------------

    async def _work_off(self, source: AsyncGenerator[list[Item]], *, kept: bool = False) -> None:
        """Send what a source has; once the run stops, give the results of that instead."""
        async with aclosing(source):
            async for items in source:
                if self._is_stopping():
                    await self._leave(items, kept=kept)
                else:
                    for item in items:
                        self._pairs.admit(item)
                    self._start_workers()
                self._note_backlog()
                await self._sink.room()
                await self._changes.until(lambda: self._stopping or self._pairs.has_room())

    async def _new_pairs(self) -> AsyncGenerator[list[Item]]:
        while batch := await self._input.take(_BATCH):
            new: list[Detach] = []
            for pair, error in batch:
                key = pair.conversation_id, pair.contact_id
                if error is not None:
                    self._give(DetachResult(detach=pair, outcome=Outcome.FAILED, error=error))
                elif key in self._pairs.open:
                    # It shares the open pair's result; a row read now may be out of date by then.
                    self._again[key] += 1
                else:
                    new.append(pair)
            rows: list[Row | None] = [None] * len(new)
            if new and self._session is not None:
                rows = await self._session.look_up(new, self._workspace)
            # No other task opens pairs, so what the rows say is still true.
            found = (self._item(pair, row) for pair, row in zip(new, rows, strict=True))
            yield [item for item in found if item is not None]

    def _item(self, pair: Detach, row: Row | None) -> Item | None:
        """Take up a pair of the input, unless this run or an earlier session has settled it."""
        key = pair.conversation_id, pair.contact_id
        if key in self._pairs.open:
            self._again[key] += 1
        elif row is not None and row.session == self._number:
            if row.deferred:
                self._again[key] += 1
            else:
                self._give(row.result(duplicate=True))
        elif row is not None and row.settled:
            self._tally.settled_before += 1
        else:
            return self._open(pair, row)
        return None

    def _open(self, pair: Detach, row: Row | None, *, second: bool = False) -> Item:
        key = pair.conversation_id, pair.contact_id
        item = self._pairs.open[key] = Item(key, pair, row, second)
        return item

    async def _end_input(self) -> None:
        try:
            self._input.result()
        except asyncio.CancelledError:
            if self._drain:  # otherwise `stop` did it
                self._interrupted()
        except (AuthenticationError, CertificateError, PermissionDeniedError) as error:
            self._stop_for(error)  # of a search for the pairs
        except Exception as error:  # noqa: BLE001  whatever the caller's input raises
            # Raised when the pairs before it are done.
            self._failure = self._failure or error
            await self._until_sent()
            self.stop(drain=False)
        self._tally.input_ended = self._input.complete
        await self._note_end()

    async def _note_end(self) -> None:
        if self._session is not None:
            if self._input.complete:
                await self._session.end_input()
            self._tally.input_ended = self._input.complete or self._session.input_ended

    async def _rows(self, wanted: Wanted) -> AsyncGenerator[list[Item]]:
        """Take rows of the journal, except those of pairs under way, which may be out of date."""
        assert self._session is not None  # noqa: S101  nothing is in a journal that is not open
        second = wanted is Wanted.DEFERRED
        last: Row | None = None
        while not self._abandoned and (second or self._drain):
            under_way = set(self._pairs.open)
            rows = await self._session.rows(
                wanted, after=last, limit=_BATCH, workspace=self._workspace
            )
            if not rows:
                return
            last = rows[-1]
            new = [row for row in rows if row.key[1:] not in under_way]
            if second:
                self._deferred -= len(new)
            yield [self._open(row.pair, row, second=second) for row in new]

    def _note_backlog(self) -> None:
        """Tell the limiter how much there is still to do, so that a short rest may hurry."""
        backlog, total = self._backlog, self._input.unread
        if total is not None:
            total += len(self._input) + len(self._pairs) + self._deferred
        if self._left_unread:
            total = None
        became_known = total is not None and backlog.unread is None
        backlog.unread = total
        if became_known:  # those that wait for a permit may go sooner
            limiter = self._transport.limiter
            limiter.forget(backlog)
            limiter.expect(backlog)

    # --- workers -------------------------------------------------------------------------------

    def _start_workers(self) -> None:
        for _ in range(min(len(self._pairs.ready), self._concurrency - len(self._workers))):
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._worker_done)

    def _worker_done(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        if worker.cancelled():
            self._interrupted()
        elif (error := worker.exception()) is not None:
            self._fail(error)
        if not self._stopping:  # pairs may have come after its last look, while it still counted
            self._start_workers()
        self._changes.look()

    async def _work(self) -> None:
        ready, results, backlog = self._pairs.ready, self._sink, self._backlog
        began = self._runtime.monotonic()
        while ready and not self._is_stopping():
            if results.full:
                await results.room()
                began = self._runtime.monotonic()
                continue
            item = ready.popleft()
            if backlog.unread:
                backlog.unread -= 1
            http = self._transport.http
            result = await self._sender.send(item)
            self._tally.count_requests(result.attempts, result.refusals, again=item.second)
            now = self._runtime.monotonic()
            if isinstance(result.fatal, AuthenticationError) and await self._renewed(http):
                item.row, item.attempts = self._row_of(item, result), 0
                ready.append(item)
            else:
                self._end(item, result, now - began)
            if now >= self._note_at and self._session is not None:
                self._note_at = now + _LOOK
                await self._session.note(**facts_of(self.summary))
            began = now

    def _is_stopping(self) -> bool:
        """A method, because type checkers remember an attribute's value across an `await`."""
        return self._stopping

    def _end(self, item: Item, result: DetachResult, elapsed: float) -> None:
        """Write a pair's outcome, then give its result."""
        if result.fatal is not None or not self._right_input:
            self._look_at_answer(result)
        self._pairs.free(item)
        if result.outcome is Outcome.NOT_ATTEMPTED:
            return  # it stays open, and `_leave` gives its result
        assert self._session is not None  # noqa: S101  no worker begins before
        before, error = item.row, result.error
        result = replace(
            result,
            second_try=item.second,
            elapsed=elapsed,
            attempts=result.attempts + (0 if before is None else before.attempts),
            refusals=result.refusals + (0 if before is None else before.refusals),
        )
        deferred = (
            error is not None
            and self._deferring
            and not self._stopping
            and isinstance(error, _PASSING)
            and not isinstance(error, CertificateError)
            and not result.outcome.settled
        )
        row = self._row_of(item, result, deferred=deferred)
        self._recording += 1
        self._session.record(row, functools.partial(self._recorded, item, result, row))

    def _row_of(self, item: Item, result: DetachResult, *, deferred: bool = False) -> Row:
        admin_id = item.pair.admin_id or self._sender.admin_id
        return Row.of(result, admin_id=admin_id, workspace=self._workspace, deferred=deferred)

    def _look_at_answer(self, result: DetachResult) -> None:
        """Stop the run after a fatal error, or if the first hundred conversations do not exist."""
        if result.fatal is not None:
            if isinstance(result.fatal, ClientStateError | JournalError):
                self._fail(result.fatal)
            else:
                self._stop_for(result.fatal)
        if self._right_input:
            return
        self._right_input = result.outcome in {Outcome.DETACHED, Outcome.ATTACHED}
        most = self._options.stop_after_missing
        if self._right_input or most is None or not result.outcome.settled:
            return
        self._answers += 1
        self._missing += result.outcome is Outcome.CONVERSATION_MISSING
        if self._answers == most:
            self._right_input = self._missing < 0.95 * most
            if not self._right_input:
                where = self._options.base_url
                app = None if self._identity is None else self._identity.app
                if app is not None and app.name:
                    where = f"{app.name} ({app.region or where})"
                error = WrongInputError(missing=self._missing, answers=most, workspace=where)
                self._stop_for(error)

    # --- results -------------------------------------------------------------------------------

    def _recorded(
        self, item: Item, result: DetachResult, row: Row, error: BaseException | None
    ) -> None:
        """Give the result of a pair, now that its outcome is in the journal; fail if it is not."""
        self._recording -= 1
        del self._pairs.open[item.key]
        if error is not None:
            self._fail(error)
        elif row.deferred:
            self._deferred += 1
        else:
            self._give(result)
            if self._again:
                self._repeat(item.key, result)
        self._changes.look()

    def _give(self, result: DetachResult) -> None:
        self._tally.add(result)
        if self._sink.wanted:
            size = 0 if result.answer is None else len(result.answer.body)
            self._sink.add(self._told(result), size)

    def _told(self, result: DetachResult) -> object:
        """Return a result as the consumer gets it."""
        return result

    def _repeat(self, key: PairKey, result: DetachResult) -> None:
        """Give the result again for each duplicate of the pair."""
        for _ in range(self._again.pop(key, 0)):
            self._give(
                replace(
                    result, duplicate=True, attempts=0, refusals=0, request_id=None, answer=None
                )
            )

    async def _leave(self, items: Sequence[Item], *, kept: bool = False) -> None:
        """Give the results of pairs that will not be sent, and write their rows unless `kept`."""
        if isinstance(self._failure, JournalError):
            return
        if self._session is not None and not kept:
            # A pair that the input named must not count as left over.
            await asyncio.gather(*(self._session.write(self._row_left(one)) for one in items))
        for item in items:
            self._pairs.open.pop(item.key, None)
            result = DetachResult(detach=item.pair, outcome=Outcome.NOT_ATTEMPTED)
            if item.row is not None and item.second:
                result = item.row.result()
            self._give(result)
            self._repeat(item.key, result)

    def _row_left(self, item: Item) -> Row:
        """Return the row of a pair that will not be sent: as it was, or pending."""
        if item.row is not None:
            return replace(item.row, deferred=False)
        return item.row_in(State.PENDING, self._sender.admin_id, self._workspace)
