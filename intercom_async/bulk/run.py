"""A bulk run. See `DetachRun`.

Pairs go one way. One task, the reader, pulls them from the input and stops while too many wait.
The supervisor looks each up in the journal and admits those that are not settled. `Admission` parks
a pair whose conversation has a request in flight, so that two requests never race on one
conversation. Workers send what is ready (`Sender`), write its outcome into the journal and hand the
result to the consumer. The limiter alone decides how fast requests leave; workers only keep enough
of them ready.

A run has three parts: the input; the rows that earlier sessions left unsettled and the input did
not name; and the second try of what failed for a passing reason. The last two are queries. In a
run over many workspaces the input is one, too: the pool reads it and writes it to the journal.

A row says "sending" before its pair is sent and has its outcome before the result is given. Both
are durable if the journal is a file.

These stop a run: a 401, a token that may do nothing, a refused certificate, `stop()`, an outage
beyond `outage_patience`, an input of which nothing exists, an input or a journal that raises, and
a consumer that leaves. Pairs that were read and not sent by then are `not_attempted`.
"""

import asyncio
import functools
from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Final

import attrs

from intercom_async.bulk.access import Access, WhoAmI, may_pass
from intercom_async.bulk.admission import Admission
from intercom_async.bulk.item import Item, Key, pair_of, result_of
from intercom_async.bulk.lifecycle import Run
from intercom_async.bulk.options import Operation, RunOptions
from intercom_async.bulk.pages import Pages
from intercom_async.bulk.part import Part
from intercom_async.bulk.reader import Checked, InputReader
from intercom_async.bulk.results import DetachResult, DetachSummary, Tally, facts_of
from intercom_async.bulk.sender import Sender
from intercom_async.detaching import Detach, Outcome, Settled
from intercom_async.errors import (
    AuthenticationError,
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    IntercomError,
    InvalidArgumentError,
    PermissionDeniedError,
    WrongInputError,
)
from intercom_async.journal import (
    SETTLED,
    Binding,
    Facts,
    Journal,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    Row,
    Session,
    State,
    Wanted,
)
from intercom_async.observing import OutageStatus, RateLimitStatus
from intercom_async.pacing.limiter import Backlog
from intercom_async.pairs import Pair, as_detach, check_input
from intercom_async.people import PairSearch
from intercom_async.runtime import Runtime, TimerHandle
from intercom_async.transport.http import CONNECTIONS
from intercom_async.transport.retrying import backoff
from intercom_async.transport.sending import CallOptions, Transport

_BATCH: Final = 128
"""Pairs that are looked up at once at most."""

_LARGE: Final = 256 * 1024
"""Bytes of a reply from which on the replies in flight are counted, too."""

_IN_FLIGHT_BYTES: Final = 64 * 1024 * 1024
"""Bytes that the replies in flight may have together once a large one was seen."""

_LOOK: Final = 2.0
"""Seconds between looks at an outage, and between notes of the run's numbers in the journal."""


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
        journal: keeps the outcome of each pair; or the part that this run has in a larger one.
        call: lane, time and retries of every request.
    """

    def __init__(
        self,
        pairs: Iterable[Pair] | AsyncIterable[Pair] | None,
        *,
        journal: Journal | Part,
        options: RunOptions,
        operation: Operation,
        whoami: WhoAmI,
        transport: Transport,
        call: CallOptions,
        runtime: Runtime,
    ) -> None:
        self._entered = True  # until the arguments are known to be good
        self._part = part = journal if isinstance(journal, Part) else None
        self._journal = journal if isinstance(journal, Journal) else Journal(None)
        self._durable = self._journal.path is not None if part is None else part.durable
        self._workspace = "" if part is None else part.workspace
        if pairs is None and part is None and not self._durable:
            raise InvalidArgumentError("pairs", None, "given, or left in a journal: journal=...")
        check_input("pairs", pairs, "an iterable or async iterable of pairs")
        super().__init__(runtime)
        self._asked = options
        self._concurrency = options.concurrency or CONNECTIONS
        self._retry = call.retry
        self._access = Access(
            transport,
            whoami,
            None if part is None else part.renew,
            admin_id=options.admin_id,
            retry=call.retry,
            runtime=runtime,
        )
        call = attrs.evolve(call, bounded=options.concurrency is None)
        self._sender = Sender(operation, call, self._access)
        self._session: Session | None = None
        self._tally = Tally() if part is None else part.tally
        self._answers: Counter[Outcome] = Counter()

        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._timer: TimerHandle | None = None
        self._note_at = 0.0
        self._search = pairs if isinstance(pairs, PairSearch) else None
        self._input = InputReader(pairs, as_detach, self._changed.set)
        if part is not None:
            part.moved = self._changed.set
        self._backlog = Backlog(self._input.unread)

        self._admission = Admission()
        self._left: Pages | None = None
        self._left_unread = True
        self._deferring = self._retry.attempts > 1
        self._deferred = 0
        self._deferred_rows: Pages | None = None
        self._deferred_again: Counter[Key] = Counter()

        self._workers: set[asyncio.Task[None]] = set()
        self._recording = 0
        self._idle = self._largest = 0
        self._stopping = False
        self._drain = True

    def __repr__(self) -> str:
        state = "not begun" if self._began is None else "running"
        if self._ended is not None:
            state = "ended"
        done = self._tally.settled_before + sum(self._tally.outcomes.values())
        return f"<{type(self).__name__}: {done:,} pairs done ({state})>"

    # --- for the consumer ----------------------------------------------------------------------

    @property
    def summary(self) -> DetachSummary:
        """The run in numbers, up to now."""
        limit = self._access.transport.limit
        return self._tally.summary(elapsed=self._elapsed, limit=limit)

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The quota as it is now, None before the first reply."""
        return self._access.transport.rate_limit

    @property
    def outage(self) -> OutageStatus | None:
        """Since when Intercom is away, and why; None while it answers."""
        return self._access.transport.outage

    def stop(self, *, immediately: bool = False, drain: bool = True) -> None:
        """End the run early; the consumer still gets a result for everything that was read.

        Args:
            immediately: give up on requests in flight too (their outcome is `unknown`)
                instead of letting them finish.
            drain: read the rest of the input and report it as `not_attempted`; False leaves
                it unread, for inputs that may never end.
        """
        self._stopping = True
        # To drain a search would be to go on searching.
        self._drain = self._drain and drain and self._search is None
        # Requests that wait for Intercom to come back would not end.
        self._sender.stop(everything=immediately or self.outage is not None)
        if self._reader is not None and not self._drain:
            self._reader.cancel()
        self._changed.set()

    # --- the supervisor ------------------------------------------------------------------------

    def _prepare(self) -> None:
        _ = self._access.transport.limiter  # a client that cannot be used says so here
        # Not sooner: a run that nobody awaits is gone, and warns, when it is let go of.
        self._access.patient = lambda: self._elapsed < self._asked.outage_patience
        self._sender.room, self._sender.interrupted = self._memory, self._interrupted
        self._admission.added = self._added

    def _drop(self) -> None:
        self.stop(immediately=True, drain=False)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self.stop(drain=False)

    async def _supervise(self) -> None:
        self._access.expect(self._backlog)
        self._note_at = self._runtime.monotonic() + _LOOK
        self._look_at_outage()
        try:
            await self._open_journal()
            await self._work_off_input()
            await self._work_off_left()
            await self._work_off_planned()
            await self._try_again()
        except asyncio.CancelledError:
            self._interrupted()
            self._drop()
        except Exception as error:  # noqa: BLE001  the consumer gets it
            self._fail(error)
        finally:
            await self._wind_up()

    async def _wind_up(self) -> None:
        """Let requests in flight end, give the results of what was not sent, close everything."""
        self._access.forget()
        assert self._timer is not None  # noqa: S101  set when the run began
        self._timer.cancel()
        for _ in range(len(self._workers)):
            self._admission.ready.put_nowait(None)
        await self._surely(self._until_tasks_are_gone)
        await self._surely(lambda: self._until(lambda: not self._recording, stopping_too=True))
        try:
            await self._surely(self._leave_rest)
            await self._surely(self._leave_left)
            await self._surely(self._leave_deferred)
        except JournalError as error:
            self._failure = self._failure or error
        try:
            await self._surely(self._close_journal)
        except JournalError as error:
            self._failure = self._failure or error
        self._show_progress()

    async def _until_tasks_are_gone(self) -> None:
        reader = set[asyncio.Task[None]]() if self._reader is None else {self._reader}
        while tasks := {task for task in reader | self._workers if not task.done()}:
            await asyncio.wait(tasks)

    async def _until(self, condition: Callable[[], bool], *, stopping_too: bool = False) -> None:
        """Wait until something holds, or the run stops unless `stopping_too`."""
        while not condition() and (stopping_too or not self._stopping):
            self._changed.clear()
            await self._changed.wait()

    async def _until_done(self) -> None:
        """Wait until every admitted pair has its outcome, or the run stops."""
        self._note_backlog()
        await self._until(lambda: not self._admission.open)

    def _look_at_outage(self) -> None:
        """Stop the run when Intercom is away for too long, else look again later."""
        outage, patience = self.outage, self._asked.outage_patience
        # An outage that began before the run has not used up any of its patience.
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
        if self._asked.progress is not None:
            try:
                self._asked.progress(self.summary)
            except Exception as error:  # noqa: BLE001  the caller's own, and the caller gets it
                self._fail(error)

    def _stop_for(self, error: IntercomError) -> None:
        """End the run for a reason that the summary gives."""
        if not self._stopping:
            self._tally.stopped_by = error
            self.stop()

    def _is_stopping(self) -> bool:
        """Ask where a checker would remember the answer across an `await`."""
        return self._stopping

    # --- beginning and end ---------------------------------------------------------------------

    async def _open_journal(self) -> None:
        """Find out whose run this is, and open its journal."""
        try:
            with self._sender.stoppable():
                app = (await self._access.who()).app if self._durable else None
                app_id, app_name = (None, None) if app is None else (app.id_code, app.name)
                if self._part is None:
                    binding = Binding(
                        operation=self._asked.operation,
                        base_url=self._asked.base_url,
                        app_id=app_id,
                        app_name=app_name,
                    )
                    self._session = await self._journal.open(binding, runtime=self._runtime)
                    self._session.watch(self.recall)
                    if self._search is not None:
                        await self._search.join(self._session, self._tally)
                        before = self._session.before.items()
                        self._tally.settled_before += sum(n for one, n in before if one in SETTLED)
                else:
                    if app_id is not None:
                        await self._part.session.bind(self._workspace, app_id, app_name)
                    self._session, self._part.opened = self._part.session, True
        except IntercomError as error:
            # In a pool's run, a key that stands for another workspace, or a workspace that another
            # worker has, stops its own part alone.
            elsewhere = isinstance(error, JournalMismatchError | JournalLockedError)
            other = elsewhere and self._part is not None
            if isinstance(error, ClientStateError | JournalError) and not other:
                raise
            self._stop_for(error)
        if self._session is not None:
            self._sender.journal = self._session if self._durable else None
            self._left = Pages(self._session, Wanted.LEFT, self._workspace)
            self._deferred_rows = Pages(self._session, Wanted.DEFERRED, self._workspace)

    def recall(self) -> None:
        """Send nothing again: another run may own the journal by now, and check what is left."""
        self._sender.recall()

    def _facts(self) -> Facts:
        """Return the run's numbers for the journal."""
        return {
            **facts_of(self._tally),
            "elapsed": self._elapsed,
            "quota_limit": self._access.transport.limit,
            "stopped_by": None if self._tally.stopped_by is None else str(self._tally.stopped_by),
        }

    async def _close_journal(self) -> None:
        if self._session is not None and self._part is None:
            ending = "stopped" if self._stopping else "ended"
            facts = self._facts()
            facts["ending"] = "failed" if self._failure is not None else ending
            await self._session.close(**facts)

    # --- the input -----------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            await self._input.read()
        except asyncio.CancelledError:
            if not self._stopping:
                self._interrupted()
        except (AuthenticationError, CertificateError, PermissionDeniedError) as error:
            self._stop_for(error)  # of a search for the pairs
        except Exception as error:  # noqa: BLE001  whatever the caller's input raises
            self._failure = self._failure or error  # raised when the pairs before it are done
        self._changed.set()

    async def _work_off_input(self) -> None:
        if self._part is not None or (self._stopping and not self._drain):
            return
        self._reader = reader = asyncio.create_task(self._read())
        while True:
            await self._until(lambda: len(self._input) > 0 or reader.done(), stopping_too=True)
            if not len(self._input):
                break
            await self._until(self._admission.has_room)
            await self._admit(self._input.take(_BATCH))
        self._tally.input_ended = self._input.complete
        if self._session is not None:
            if self._input.complete:
                await self._session.end_input()
            else:
                self._tally.input_ended = self._session.input_ended
        await self._until_done()
        if self._failure is not None:
            self.stop(drain=False)

    async def _admit(self, batch: list[Checked]) -> None:
        """Admit the pairs that are not settled; give the results of those that are."""
        for pair, error in batch:
            if error is not None:
                self._tell(DetachResult(detach=pair, outcome=Outcome.FAILED, error=error))
        repeats = self._admission.repeats
        new = [pair for pair, error in batch if error is None and not repeats(pair)]
        rows: list[Row | None] = [None] * len(new)
        if new and self._session is not None:
            try:
                rows = await self._session.look_up(new)
            except BaseException:
                self._input.put_back([(pair, None) for pair in new])
                raise
        # No other task runs in this loop: what a row says is true until it is acted upon.
        left: list[Item] = []
        for pair, row in zip(new, rows, strict=True):
            if repeats(pair):
                continue
            planned = row is not None and row.state == State.PENDING and self._search is not None
            if row is not None and row.session == self._number and not planned:
                self._tell_again(pair, row)
            elif row is not None and row.settled:
                self._tally.settled_before += 1
            elif self._stopping:
                left.append(Item(pair, row))
            else:
                self._admission.admit(Item(pair, row))
        self._note_backlog()
        await self._leave(left)
        await self._results.room()

    def _tell_again(self, pair: Detach, row: Row) -> None:
        """Give the result of a pair once more, or note that for its second try."""
        if row.deferred:
            self._deferred_again[pair.conversation_id, pair.contact_id] += 1
        else:
            self._tell(result_of(pair, row, duplicate=True))

    @property
    def _number(self) -> int:
        return 0 if self._session is None else self._session.number

    def _note_backlog(self) -> None:
        """Tell the limiter how much there is still to do, so that a short rest may hurry."""
        backlog, total = self._backlog, self._input.unread
        if self._part is not None:
            total = self._part.left if self._part.over() else None
        if total is not None:
            total += len(self._input) + len(self._admission) + self._deferred
        if self._left_unread:
            total = None
        if total is not None and backlog.unread is None:
            self._access.wake()
        backlog.unread = total

    # --- the journal's rows --------------------------------------------------------------------

    async def _work_off_left(self) -> None:
        """Work off what earlier sessions left and the input did not name."""
        if self._left is not None and self._session is not None and self._session.resumed:
            await self._admit_rows(self._left, self._item)
        self._left_unread = False
        await self._until_done()

    async def _work_off_planned(self) -> None:
        """Work off what is being read into the journal, in passes until nothing is left."""
        part, session = self._part, self._session
        if part is not None and session is not None:
            pages = Pages(session, Wanted.PENDING, self._workspace, limit=_BATCH)
            while True:
                await self._until(lambda: part.left > 0 or part.over())
                await self._until(self._admission.has_room)
                if self._is_stopping() or not part.left:
                    break
                # What is under way now may seem pending still in the answer.
                under_way = set(self._admission.open)
                for item in map(self._item, await pages.read()):
                    if item.key not in under_way:
                        part.left -= 1
                        self._admission.admit(item)
                self._note_backlog()
        await self._until_done()

    async def _try_again(self) -> None:
        """Try once more what failed for a reason that may have passed."""
        self._deferring = False
        if self._deferred and self._deferred_rows is not None:
            retry = self._retry
            await self._rest(backoff(retry, attempts=retry.attempts, random=self._runtime.random()))
            await self._admit_rows(self._deferred_rows, self._second_try)
        await self._until_done()

    async def _rest(self, seconds: float) -> None:
        """Wait, unless the run stops: what failed a moment ago would fail again."""
        end = self._runtime.monotonic() + seconds
        timer = self._runtime.call_later(seconds, self._changed.set)
        await self._until(lambda: self._runtime.monotonic() >= end)
        timer.cancel()

    async def _admit_rows(self, pages: Pages, item_of: Callable[[Row], Item]) -> None:
        while not self._is_stopping() and await pages.more():
            await self._until(self._admission.has_room)
            if not self._is_stopping():
                self._admission.admit(item_of(pages.take()))

    def _item(self, row: Row) -> Item:
        return Item(pair_of(row), row, workspace=self._workspace)

    def _second_try(self, row: Row) -> Item:
        self._deferred -= 1
        again = self._deferred_again.pop((row.conversation_id, row.contact_id), 0)
        return Item(pair_of(row), row, again=again, second=True, workspace=self._workspace)

    # --- workers -------------------------------------------------------------------------------

    def _added(self) -> None:
        """A pair is ready: let a worker begin if too few wait."""
        short = self._admission.ready.qsize() > self._idle
        if short and not self._stopping and len(self._workers) < self._concurrency:
            self._idle += 1
            task = asyncio.create_task(self._work())
            self._workers.add(task)
            task.add_done_callback(self._worker_done)

    def _worker_done(self, task: "asyncio.Task[None]") -> None:
        self._workers.discard(task)
        if task.cancelled():
            self._interrupted()
        elif (error := task.exception()) is not None:
            self._fail(error)
        self._changed.set()

    async def _work(self) -> None:
        while (item := await self._next()) is not None:
            await self._carry_out(item)
            self._idle += 1

    async def _next(self) -> Item | None:
        """Return the next pair to send, None when there is none or the run stops."""
        try:
            await self._results.room()
            if self._session is not None:
                await self._session.room()
            item = None if self._is_stopping() else await self._admission.ready.get()
        finally:
            self._idle -= 1
        self._changed.set()
        return None if self._is_stopping() else item  # which stays among the open ones

    async def _memory(self) -> None:
        """Wait until memory allows one more reply.

        Not before the request has its permit: while it waited for that, nobody knew how large
        replies are.
        """
        if self._largest > _LARGE:
            await self._results.room()
            await self._until(self._may_hold_another_reply)

    def _may_hold_another_reply(self) -> bool:
        in_flight = self._sender.in_flight
        return not in_flight or self._largest * (in_flight + 1) <= _IN_FLIGHT_BYTES

    async def _carry_out(self, item: Item) -> None:
        """Send a pair, keep its outcome, then give its result."""
        began = self._runtime.monotonic()
        settled = await self._sender.send(item)
        self._tally.count_requests(settled.attempts, settled.refusals, again=item.second)
        self._look_at_answer(settled)
        deferred = (
            self._deferring
            and not self._stopping
            and may_pass(settled.error)
            and settled.outcome in {Outcome.FAILED, Outcome.UNKNOWN}
        )
        self._admission.free(item.pair.conversation_id)
        self._changed.set()
        if settled.outcome is Outcome.NOT_ATTEMPTED:
            return  # it stays among the open ones
        assert self._session is not None  # noqa: S101  no worker begins before
        row = item.settled(settled, self._access.admin_of(item.pair), deferred=deferred)
        now = self._runtime.monotonic()
        self._recording += 1
        self._session.record(
            row, functools.partial(self._recorded, item, settled, row, now - began)
        )
        if now >= self._note_at:
            self._note_at = now + _LOOK
            if self._part is None:
                await self._session.note(**self._facts())
            else:
                await self._part.note()

    def _recorded(
        self, item: Item, settled: Settled, row: Row, elapsed: float, error: JournalError | None
    ) -> None:
        """Give the result of a pair whose outcome is in the journal, or of none if it is not."""
        self._recording -= 1
        self._changed.set()
        del self._admission.open[item.key]
        if error is not None:
            self._fail(error)
            return
        if row.deferred:
            self._deferred += 1
            if item.again:
                self._deferred_again[item.key] += item.again
        else:
            result = DetachResult(
                detach=item.pair,
                outcome=settled.outcome,
                inferred=settled.inferred,
                second_try=item.second,
                error=settled.error,
                attempts=row.attempts,
                refusals=row.refusals,
                request_id=settled.request_id,
                elapsed=elapsed,
                reply=settled.reply,
            )
            self._tell(result, size=0 if settled.reply is None else len(settled.reply.body))
            for _ in range(item.again):
                self._tell(result_of(item.pair, row, duplicate=True))
        self._note_backlog()

    def _look_at_answer(self, settled: Settled) -> None:
        """Stop the run if the answer says that no other can be better."""
        if settled.reply is not None:
            self._largest = max(self._largest, len(settled.reply.body))
        if isinstance(settled.fatal, ClientStateError | JournalError):
            self._fail(settled.fatal)
        elif settled.fatal is not None:
            self._stop_for(settled.fatal)
        most = self._asked.stop_after_missing
        if most is None or not settled.outcome.settled or self._answers.total() >= most:
            return
        self._answers[settled.outcome] += 1
        missing = self._answers[Outcome.CONVERSATION_MISSING]
        good = self._answers[Outcome.DETACHED] + self._answers[Outcome.ATTACHED]
        if self._answers.total() == most and not good and missing >= 0.95 * most:
            self._stop_for(WrongInputError(missing=missing, answers=most, workspace=self._where()))

    def _where(self) -> str:
        app = None if self._access.identity is None else self._access.identity.app
        if app is None or not app.name:
            return self._asked.base_url
        return f"{app.name} ({app.region or self._asked.base_url})"

    # --- results -------------------------------------------------------------------------------

    def _tell(self, result: DetachResult, *, size: int = 0) -> None:
        self._tally.add(result)
        self._results.add(result, size)

    async def _leave_rest(self) -> None:
        """Give the results of what was read and not sent, and let the journal know of it."""
        await self._leave(list(self._admission.open.values()))
        for pair, error in self._input.take(len(self._input)):
            self._tell(DetachResult(detach=pair, outcome=Outcome.NOT_ATTEMPTED, error=error))

    async def _leave_left(self) -> None:
        """Give the results of what earlier sessions left and this one did not get to."""
        if self._stopping and self._drain and self._session is not None and self._session.resumed:
            while self._left is not None and await self._left.more():
                self._tell_left(self._item(self._left.take()))
                await self._results.room()

    async def _leave_deferred(self) -> None:
        """Give the first outcome of what gets no second try, for the run stops."""
        while self._deferred and not self._abandoned and self._deferred_rows is not None:
            if not await self._deferred_rows.more():
                break
            self._tell_left(self._second_try(self._deferred_rows.take()))
            await self._results.room()

    async def _leave(self, items: list[Item]) -> None:
        """Give the results of pairs that are not sent, unless the pool will do that."""
        if isinstance(self._failure, JournalError):
            return
        rows = [
            item.left(self._access.admin_of(item.pair))
            for item in items
            # A row of an earlier session is written again, so that it is not among the left ones.
            if item.row is None or item.announced or self._part is None
        ]
        if rows and self._session is not None:
            try:
                await asyncio.gather(*map(self._session.write, rows))
            except JournalError as error:
                self._fail(error)
        for item in items:
            self._admission.open.pop(item.key, None)
            if not self._is_planned(item):
                self._tell_left(item)

    def _is_planned(self, item: Item) -> bool:
        """Whether the pool will find the pair in the journal as one that was not taken up."""
        row = item.row
        if self._part is None or row is None or row.state != State.PENDING:
            return False
        return item.announced or row.session == self._number

    def _tell_left(self, item: Item) -> None:
        """Give a pair's result: not attempted; of a second try, what the first one led to."""
        for occurrence in range(item.again + 1):
            if item.second and item.row is not None:
                result = result_of(item.pair, item.row)
            else:
                result = DetachResult(detach=item.pair, outcome=Outcome.NOT_ATTEMPTED)
            result.duplicate = occurrence > 0
            self._tell(result)
