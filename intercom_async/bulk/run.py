"""A bulk run. See `DetachRun`.

Pairs go one way. One task, the reader, pulls them from the input and stops while too many wait.
The supervisor looks each up in the journal and admits those that are not settled; a pair whose
conversation has a request in flight waits until that is over, so two requests never race on one
conversation. Workers send what is admitted, write its fate into the journal and hand the result
to the consumer. How fast requests leave is the limiter's decision alone; workers only keep enough
of them ready.

A run has three parts: the input; the rows that earlier sessions left unsettled and the input did
not name; and the second try of what failed for a passing reason. The last two are queries. In a
run over many workspaces the input is one, too: the pool reads it and writes it to the journal.

A row says "sending" before its pair is sent and has its fate before the result is told. Both are
durable if the journal is a file.

What stops a run: a 401, a token that may do nothing, a refused certificate, `stop()`, an outage
beyond `outage_patience`, an input of which nothing exists, an input or a journal that raises, and
a consumer that leaves. Pairs that were read and not sent by then are `not_attempted`.
"""

import asyncio
import functools
from collections import Counter, deque
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Collection,
    Iterable,
)
from typing import Final

import attrs

from intercom_async.bulk.item import Item, Key, pair_of, result_of
from intercom_async.bulk.lifecycle import Run
from intercom_async.bulk.options import Operation, RunOptions
from intercom_async.bulk.part import Part, WhoAmI
from intercom_async.bulk.reader import Checked, InputReader
from intercom_async.bulk.results import DetachResult, DetachSummary, Tally
from intercom_async.detaching import Detach, Outcome, Settled
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
from intercom_async.model import Identity
from intercom_async.observing import OutageStatus, RateLimitStatus
from intercom_async.pacing.limiter import Backlog, Limiter
from intercom_async.pairs import Pair, as_detach
from intercom_async.people import PairSearch
from intercom_async.runtime import Runtime, TimerHandle
from intercom_async.transport.http import CONNECTIONS
from intercom_async.transport.retrying import backoff
from intercom_async.transport.sending import CallOptions, Transport

BATCH: Final = 128
"""Pairs that are looked up at once at most."""

ADMITTED: Final = 128
"""Admitted pairs that wait for a worker at most, apart from those of busy conversations."""

PARKED: Final = 20_000
"""Pairs that wait for another one of their conversation at most."""

LARGE: Final = 256 * 1024
"""Bytes of a reply from which the replies in flight are counted, too."""

IN_FLIGHT_BYTES: Final = 64 * 1024 * 1024
"""Bytes that the replies in flight may have together once a large one was seen."""

ODD_ANSWERS: Final = 3
"""Answers to the question whose token it is that may make no sense before the run stops."""

LOOK: Final = 2.0
"""Seconds between looks at an outage, and between notes of the run's numbers in the journal."""

_CUT_OFF: Final = (
    "the run stopped while this pair's request was under way: it may have been applied; "
    "go on with the run, or try the pair again: it is safe"
)
_RECALLED: Final = (
    "the journal was out of reach, so the request was given up; it may have been applied"
)

_PASSING: Final = (ServerError, ConnectionFailedError, UnknownOutcomeError)


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
        journal: keeps what became of each pair; or the part that this run has in a larger one.
        options: what the run was asked for.
        operation: what is done with each pair.
        whoami: asks who the token belongs to.
        transport: sends the requests.
        call: lane, time and retries of every request.
        runtime: the clock.
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
        if pairs is not None and (
            not isinstance(pairs, Iterable | AsyncIterable) or isinstance(pairs, str | bytes)
        ):
            raise InvalidArgumentError("pairs", pairs, "an iterable or async iterable of pairs")
        super().__init__(runtime)
        self._asked = options
        self._operation = operation
        self._whoami = whoami
        self._transport = transport
        self._call = attrs.evolve(call, bounded=options.concurrency is None)
        self._concurrency = options.concurrency or CONNECTIONS

        self._identity: Identity | None = None
        self._identifying = asyncio.Lock()
        self._renewing = asyncio.Lock()
        self._refused: Transport | None = None
        self._session: Session | None = None
        self._limiter: Limiter | None = None
        self._tally = Tally() if part is None else part.tally
        self._answers: Counter[Outcome] = Counter()

        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self._timer: TimerHandle | None = None
        self._noted = 0.0
        self._search = pairs if isinstance(pairs, PairSearch) else None
        self._input = InputReader(pairs, as_detach, self._changed.set)
        if part is not None:
            part.moved = self._changed.set
        self._backlog = Backlog(self._input.unread)

        self._open: dict[Key, Item] = {}
        self._ready: asyncio.Queue[Item | None] = asyncio.Queue()
        self._busy: dict[str, deque[Item]] = {}
        self._parked = 0
        self._deferring = call.retry.attempts > 1
        self._deferred = 0
        self._tried_again: Row | None = None
        self._deferred_again: Counter[Key] = Counter()
        self._left_unread = True

        self._workers: set[asyncio.Task[None]] = set()
        self._recording = 0
        self._idle = self._largest = 0
        self._operating: set[asyncio.Task[object]] = set()
        self._unsent: set[asyncio.Task[object]] = set()
        self._recalled: set[asyncio.Task[object]] = set()
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
        return self._tally.summary(elapsed=self._elapsed, limit=self._transport.limit)

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The quota as known now, None before the first reply."""
        return self._transport.rate_limit

    @property
    def outage(self) -> OutageStatus | None:
        """Since when Intercom is away, and why; None while it answers."""
        return self._transport.outage

    def stop(self, *, immediately: bool = False, drain: bool = True) -> None:
        """End the run early; results of everything read so far are still delivered.

        Args:
            immediately: give up on requests in flight too (their outcome is `unknown`)
                instead of letting them finish.
            drain: read the rest of the input and report it as `not_attempted`; False leaves
                it unread, for inputs that may never end.
        """
        self._stopping = True
        # To drain a search would be to go on searching.
        self._drain = self._drain and drain and self._search is None
        # What waits for Intercom to come back would not end.
        everything = immediately or self._transport.outage is not None
        for task in self._unsent | self._operating if everything else set(self._unsent):
            if task is not asyncio.current_task():  # which finds that out by itself
                task.cancel()
        if self._reader is not None and not self._drain:
            self._reader.cancel()
        self._changed.set()

    # --- the supervisor ------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._limiter = self._transport.limiter  # a client that cannot be used says so here

    def _drop(self) -> None:
        self.stop(immediately=True, drain=False)

    def _fail(self, error: BaseException) -> None:
        """Input, journal or client are unusable: let requests finish, then raise it."""
        self._failure = self._failure or error
        self.stop(drain=False)

    async def _supervise(self) -> None:
        assert self._limiter is not None  # noqa: S101  set by `_prepare`
        self._limiter.expect(self._backlog)
        self._look_at_outage()
        try:
            await self._open_journal()
            await self._work_off_input()
            await self._work_off_left()
            await self._work_off_planned()
            await self._try_again()
        except asyncio.CancelledError:
            self._interrupted()
            self.stop(immediately=True, drain=False)
        except Exception as error:  # noqa: BLE001  the consumer gets it
            self._fail(error)
        finally:
            await self._wind_up()

    async def _wind_up(self) -> None:
        """Let what is in flight end, tell what was not sent, and leave nothing open."""
        assert self._limiter is not None  # noqa: S101  set by `_prepare`
        self._limiter.forget(self._backlog)
        assert self._timer is not None  # noqa: S101  set when the run began
        self._timer.cancel()
        tasks: set[asyncio.Task[None]] = set() if self._reader is None else {self._reader}
        for _ in range(len(self._workers)):
            self._ready.put_nowait(None)
        await self._surely(lambda: _gone(tasks | self._workers))
        await self._surely(lambda: self._until(lambda: not self._recording, stopping_too=True))
        try:
            await self._surely(self._leave_rest)
            await self._surely(self._leave_deferred)
        except JournalError as error:
            self._failure = self._failure or error
        try:
            await self._surely(self._close_journal)
        except JournalError as error:
            self._failure = self._failure or error

    async def _surely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Repeat a step until nobody cancels it."""
        while True:
            try:
                return await step()
            except asyncio.CancelledError:
                self._interrupted()
                self.stop(immediately=True, drain=False)

    async def _until(self, condition: Callable[[], bool], *, stopping_too: bool = False) -> None:
        """Wait until something holds, or the run stops unless `stopping_too`."""
        while not condition() and (stopping_too or not self._stopping):
            self._changed.clear()
            await self._changed.wait()

    def _look_at_outage(self) -> None:
        """Stop the run when Intercom is away for too long, else look again later."""
        outage, patience = self._transport.outage, self._asked.outage_patience
        # An outage that began before the run has not used up any of its patience.
        if outage is not None and min(outage.since, self._elapsed) >= patience:
            self._stop_for(
                ConnectionFailedError(
                    f"Intercom has been away for {outage.since:.0f} s, longer than the patience "
                    f"of {patience:.0f} s; the last error: {outage.reason}"
                )
            )
        self._timer = self._runtime.call_later(LOOK, self._look_at_outage)

    def _stop_for(self, error: IntercomError) -> None:
        """End the run for a reason that the summary gives."""
        if not self._stopping:
            self._tally.stopped_by = error
            self.stop()

    # --- beginning -----------------------------------------------------------------------------

    async def _open_journal(self) -> None:
        """Find out whose run this is, and open its journal."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        self._unsent.add(task)
        try:
            app = None
            if self._durable:
                app = (await self._who()).app
            app_id, app_name = (None, None) if app is None else (app.id_code, app.name)
            if self._part is None:
                self._session = await self._journal.open(
                    Binding(
                        operation=self._asked.operation,
                        base_url=self._asked.base_url,
                        app_id=app_id,
                        app_name=app_name,
                    ),
                    runtime=self._runtime,
                )
                self._session.watch(self.recall)
                if self._search is not None:
                    await self._search.join(self._session)
                    before = self._session.before.items()
                    self._tally.settled_before += sum(n for one, n in before if one in SETTLED)
            else:
                if app_id is not None:
                    await self._part.session.bind(self._workspace, app_id, app_name)
                self._session, self._part.opened = self._part.session, True
        except IntercomError as error:
            # A key that stands for another workspace stops its part of a pool's run alone, as does
            # a worker elsewhere.
            elsewhere = isinstance(error, JournalMismatchError | JournalLockedError)
            other = elsewhere and self._part is not None
            if isinstance(error, ClientStateError | JournalError) and not other:
                raise
            self._stop_for(error)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
        finally:
            self._unsent.discard(task)

    def recall(self) -> None:
        """Send nothing again: another run may own the journal by now, and settle what is left."""
        self._recalled = self._operating - self._unsent
        for task in self._recalled:
            task.cancel()

    async def _who(self) -> Identity:
        """Return who the token belongs to, asked once, and with the run's patience.

        Raises:
            IntercomError: nobody can say.
        """
        async with self._identifying:
            tries = 0
            while self._identity is None:
                tries += 1
                try:
                    self._identity = await self._asked_once()
                except IntercomError as error:
                    if not self._asks_again(error, tries):
                        raise
                    await self._runtime.sleep(
                        backoff(self._call.retry, attempts=tries, random=self._runtime.random())
                    )
        return self._identity

    async def _asked_once(self) -> Identity:
        transport = self._transport
        try:
            return await self._whoami()
        except AuthenticationError:
            if not await self._renewed(transport):
                raise
            return await self._whoami()

    def _asks_again(self, error: IntercomError, tries: int) -> bool:
        """Whether to ask again who the token belongs to: an odd answer may pass, too."""
        if isinstance(error, _PASSING) and not isinstance(error, CertificateError):
            return self._elapsed < self._asked.outage_patience
        final = (AuthenticationError, PermissionDeniedError, CertificateError, ClientStateError)
        return not isinstance(error, final) and tries < ODD_ANSWERS

    async def _renewed(self, refused: Transport) -> bool:
        """Look a refused token up once more; whether there is another now."""
        if self._part is None:
            return False
        async with self._renewing:
            if self._refused is refused:
                return False
            if self._transport is refused:
                found = await self._part.renew()
                if found is None:
                    self._refused = refused
                    return False
                assert self._limiter is not None  # noqa: S101  set by `_prepare`
                self._limiter.forget(self._backlog)
                self._transport, self._whoami = found
                self._limiter = self._transport.limiter
                self._limiter.expect(self._backlog)
        return True

    # --- admitting -----------------------------------------------------------------------------

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
            await self._until(self._has_room)
            await self._admit(self._input.take(BATCH))
        self._tally.input_ended = self._input.complete
        if self._session is not None:
            if self._input.complete:
                await self._session.end_input()
            else:
                self._tally.input_ended = self._session.input_ended
        await self._until(lambda: not self._open)
        if self._failure is not None:
            self.stop(drain=False)

    def _has_room(self) -> bool:
        return self._ready.qsize() < ADMITTED and self._parked < PARKED

    async def _admit(self, batch: list[Checked]) -> None:
        """Admit what is not settled; tell what is known already."""
        for pair, error in batch:
            if error is not None:
                self._tell(DetachResult(detach=pair, outcome=Outcome.FAILED, error=error))
        new = [pair for pair, error in batch if error is None and not self._occurs_again(pair)]
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
            if self._occurs_again(pair):
                continue
            planned = row is not None and row.state == State.PENDING and self._search is not None
            if row is not None and row.session == self._number and not planned:
                self._tell_again(pair, row)
            elif row is not None and row.settled:
                self._tally.settled_before += 1
            elif self._stopping:
                left.append(Item(pair, row))
            else:
                self._put(Item(pair, row))
        self._note_backlog()
        await self._leave(left)
        await self._results.room()

    def _tell_again(self, pair: Detach, row: Row) -> None:
        """A pair occurs again that this session has brought to an end, or deferred."""
        if row.deferred:
            self._deferred_again[pair.conversation_id, pair.contact_id] += 1
        else:
            self._tell(result_of(pair, row, duplicate=True))

    def _occurs_again(self, pair: Detach) -> bool:
        """Whether a pair is under way already; its result will be told again then."""
        item = self._open.get((pair.conversation_id, pair.contact_id))
        if item is None:
            return False
        item.again += 1
        return True

    @property
    def _number(self) -> int:
        return 0 if self._session is None else self._session.number

    def _put(self, item: Item) -> None:
        """Make a pair ready for the workers, or park it while its conversation is busy."""
        self._open[item.key] = item
        waiting = self._busy.get(item.pair.conversation_id)
        if waiting is None:
            self._busy[item.pair.conversation_id] = deque()
            self._make_ready(item)
        else:
            waiting.append(item)
            self._parked += 1

    def _make_ready(self, item: Item) -> None:
        self._ready.put_nowait(item)
        short = self._ready.qsize() > self._idle
        if short and not self._stopping and len(self._workers) < self._concurrency:
            self._idle += 1
            task = asyncio.create_task(self._work())
            self._workers.add(task)
            task.add_done_callback(self._worker_done)

    def _free(self, conversation_id: str) -> None:
        """A pair of the conversation has its answer: the next one may go."""
        waiting = self._busy[conversation_id]
        if waiting:
            self._parked -= 1
            self._make_ready(waiting.popleft())
        else:
            del self._busy[conversation_id]
        self._changed.set()

    def _note_backlog(self) -> None:
        """Tell the limiter how much there is still to do, so that a short rest may hurry."""
        backlog, total = self._backlog, self._input.unread
        if self._part is not None:
            total = self._part.left if self._part.over() else None
        if total is not None:
            total += len(self._input) + self._ready.qsize() + self._parked + self._deferred
        if self._left_unread:
            total = None
        if total is not None and backlog.unread is None and self._limiter is not None:
            self._limiter.forget(backlog)  # which wakes those that wait
            self._limiter.expect(backlog)
        backlog.unread = total

    async def _work_off_left(self) -> None:
        """Work off what earlier sessions left and the input did not name."""
        last: Row | None = None
        while self._session is not None and self._session.resumed:
            rows = await self._session.rows(Wanted.LEFT, after=last, workspace=self._workspace)
            for row in rows:
                await self._until(self._has_room)
                item = Item(pair_of(row), row, workspace=self._workspace)
                if not self._stopping:
                    self._put(item)
                elif self._drain:
                    await self._leave([item])
            if not rows or (self._stopping and not self._drain):
                break
            last = rows[-1]
        self._left_unread = False
        self._note_backlog()
        await self._until(lambda: not self._open)

    async def _work_off_planned(self) -> None:
        """Work off what is being read into the journal, in passes until nothing is left."""
        part, last = self._part, None
        while part is not None and self._session is not None:
            await self._until(lambda: part.left > 0 or part.over())
            await self._until(self._has_room)
            if self._stopping or not part.left:
                break
            # What is under way now may seem pending still in the answer.
            under_way = set(self._open)
            rows = await self._session.rows(
                Wanted.PENDING, after=last, limit=BATCH, workspace=self._workspace
            )
            last = rows[-1] if rows else None
            for row in rows:
                item = Item(pair_of(row), row, workspace=self._workspace)
                if item.key not in under_way:
                    part.left -= 1
                    self._put(item)
            self._note_backlog()
        self._note_backlog()
        await self._until(lambda: not self._open)

    async def _try_again(self) -> None:
        """Try once more what failed for a reason that may have passed."""
        self._deferring = False
        if self._deferred:
            policy = self._call.retry
            pause = backoff(policy, attempts=policy.attempts, random=self._runtime.random())
            await self._rest(pause)
        while rows := await self._next_deferred():
            for row in rows:
                await self._until(self._has_room)
                if self._is_stopping():
                    return
                self._put(self._take_deferred(row))
        await self._until(lambda: not self._open)

    async def _next_deferred(self) -> list[Row]:
        if self._session is None or not self._deferred or self._abandoned:
            return []
        return await self._session.rows(
            Wanted.DEFERRED, after=self._tried_again, workspace=self._workspace
        )

    def _take_deferred(self, row: Row) -> Item:
        self._tried_again = row
        self._deferred -= 1
        again = self._deferred_again.pop((row.conversation_id, row.contact_id), 0)
        return Item(pair_of(row), row, again=again, second=True, workspace=self._workspace)

    async def _leave_deferred(self) -> None:
        """Tell the first fate of what gets no second try, for the run stops."""
        while rows := await self._next_deferred():
            for row in rows:
                self._tell_left(self._take_deferred(row))
            await self._results.room()

    async def _rest(self, seconds: float) -> None:
        """Wait, unless the run stops: what failed a moment ago would fail again."""
        end = self._runtime.monotonic() + seconds
        timer = self._runtime.call_later(seconds, self._changed.set)
        await self._until(lambda: self._runtime.monotonic() >= end)
        timer.cancel()

    # --- workers -------------------------------------------------------------------------------

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
            item = None if self._is_stopping() else await self._ready.get()
        finally:
            self._idle -= 1
        self._changed.set()
        return None if self._is_stopping() else item  # which stays among the open ones

    def _is_stopping(self) -> bool:
        """Ask where a checker would remember the answer across an `await`."""
        return self._stopping

    async def _memory(self) -> None:
        """Wait until memory allows one more reply.

        Not before the request has its permit: while it waited for that, nobody knew how large
        replies are.
        """
        if self._largest > LARGE:
            await self._results.room()
            await self._until(self._may_hold_another_reply)

    def _may_hold_another_reply(self) -> bool:
        """Whether a reply as large as the largest may join those in flight."""
        in_flight = len(self._operating - self._unsent)
        return not in_flight or self._largest * (in_flight + 1) <= IN_FLIGHT_BYTES

    async def _carry_out(self, item: Item) -> None:
        """Bring a pair to its end: send it, keep its fate, tell it."""
        began = self._runtime.monotonic()
        settled = await self._operate(item)
        self._tally.count_requests(settled.attempts, settled.refusals, again=item.second)
        self._note(settled)
        deferred = self._deferring and not self._stopping and _may_pass(settled)
        self._free(item.pair.conversation_id)
        if settled.outcome is Outcome.NOT_ATTEMPTED:
            return  # it stays among the open ones
        assert self._session is not None  # noqa: S101  no worker begins before
        row = item.settled(settled, self._admin_id(item.pair), deferred=deferred)
        self._recording += 1
        self._session.record(
            row,
            functools.partial(
                self._recorded, item, settled, row, self._runtime.monotonic() - began
            ),
        )
        if self._elapsed >= self._noted + LOOK:
            self._noted = self._elapsed
            if self._part is None:
                await self._session.note(**self._facts())
            else:
                await self._part.note()

    def _recorded(
        self, item: Item, settled: Settled, row: Row, elapsed: float, error: JournalError | None
    ) -> None:
        """A fate is in the journal, so it may be told; what is not there is told to nobody."""
        self._recording -= 1
        self._changed.set()
        del self._open[item.key]
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

    async def _operate(self, item: Item) -> Settled:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        sent = item.in_doubt

        async def announce() -> None:
            nonlocal sent
            await self._announce(item)
            sent = True
            self._unsent.discard(task)

        self._operating.add(task)
        self._unsent.add(task)
        try:
            if self._admin_id(item.pair) is None:
                await self._who()
            transport = self._transport
            settled = await self._send(item, announce, ambiguous=item.in_doubt)
            if isinstance(settled.fatal, AuthenticationError) and await self._renewed(transport):
                refused = settled
                doubt = item.in_doubt or refused.outcome is Outcome.UNKNOWN
                settled = await self._send(item, announce, ambiguous=doubt)
                settled = attrs.evolve(
                    settled,
                    attempts=settled.attempts + refused.attempts,
                    refusals=settled.refusals + refused.refusals,
                )
            return settled  # noqa: TRY300  what is raised above has handlers of its own
        except InvalidArgumentError as error:
            return Settled(Outcome.FAILED, error=error)
        except IntercomError as error:
            # Closed under the run, a full disk, or nobody can say whose token it is. Stopping is
            # left to `_note`: here it would cancel this very task.
            outcome = Outcome.UNKNOWN if sent else Outcome.NOT_ATTEMPTED
            return Settled(outcome, error=error, fatal=error)
        except asyncio.CancelledError:
            if task in self._recalled:
                task.uncancel()
                return Settled(Outcome.UNKNOWN, error=UnknownOutcomeError(_RECALLED))
            if not self._stopping:
                self._interrupted()
            task.uncancel()
            return _cut_off(sent=sent)
        finally:
            self._operating.discard(task)
            self._unsent.discard(task)
            self._recalled.discard(task)

    async def _announce(self, item: Item) -> None:
        """Let the journal know that a pair is about to be sent, or ask whether it still may be."""
        durable = self._session if self._durable else None
        if item.announced:
            if durable is not None:
                await durable.hold()
            return
        await self._memory()
        item.announced = True
        if durable is not None:
            await durable.write(item.sending(self._admin_id(item.pair)))

    def _send(
        self, item: Item, announce: Callable[[], Awaitable[None]], *, ambiguous: bool
    ) -> Awaitable[Settled]:
        return self._operation(
            self._transport,
            item.pair,
            self._admin_id(item.pair),
            self._call,
            ambiguous=ambiguous,
            on_send=announce,
        )

    def _admin_id(self, pair: Detach) -> str | None:
        """Return the admin of a pair: its own, the run's, or the token's if it was asked for."""
        own = None if self._identity is None else self._identity.id
        return pair.admin_id or self._asked.admin_id or own

    def _note(self, settled: Settled) -> None:
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
        app = None if self._identity is None else self._identity.app
        if app is None or not app.name:
            return self._asked.base_url
        return f"{app.name} ({app.region or self._asked.base_url})"

    # --- fates ---------------------------------------------------------------------------------

    async def _keep(self, rows: list[Row]) -> None:
        """Write rows all at once."""
        if rows and self._session is not None:
            try:
                await asyncio.gather(*map(self._session.write, rows))
            except JournalError as error:
                self._fail(error)

    def _tell(self, result: DetachResult, *, size: int = 0) -> None:
        self._tally.add(result)
        self._results.add(result, size)

    async def _leave_rest(self) -> None:
        """Tell what was read and not sent, and let the journal know of it."""
        await self._leave(list(self._open.values()))
        for pair, error in self._input.take(len(self._input)):
            self._tell(DetachResult(detach=pair, outcome=Outcome.NOT_ATTEMPTED, error=error))

    async def _leave(self, items: list[Item]) -> None:
        """Tell that pairs were not attempted; those of a second try have their first fate."""
        if isinstance(self._failure, JournalError):
            return
        rows = [
            item.left(self._admin_id(item.pair))
            for item in items
            if item.row is None or item.announced
        ]
        await self._keep(rows)
        for item in items:
            self._open.pop(item.key, None)
            if not self._is_planned(item):
                self._tell_left(item)

    def _is_planned(self, item: Item) -> bool:
        """Whether the pool will find the pair in the journal as one that was not taken up."""
        row = item.row
        if self._part is None or row is None or row.state != State.PENDING:
            return False
        return item.announced or row.session == self._number

    def _tell_left(self, item: Item) -> None:
        for occurrence in range(item.again + 1):
            if item.second and item.row is not None:
                result = result_of(item.pair, item.row)
            else:
                result = DetachResult(detach=item.pair, outcome=Outcome.NOT_ATTEMPTED)
            result.duplicate = occurrence > 0
            self._tell(result)

    def _facts(self) -> Facts:
        """Return the run's numbers for the journal."""
        tally = self._tally
        return {
            "requests": tally.requests,
            "retries": tally.retries,
            "refusals": tally.refusals,
            "duplicates": tally.duplicates,
            "elapsed": self._elapsed,
            "quota_limit": self._transport.limit,
            "stopped_by": None if tally.stopped_by is None else str(tally.stopped_by),
        }

    async def _close_journal(self) -> None:
        if self._session is None or self._part is not None:
            return
        ending = "stopped" if self._stopping else "ended"
        facts = self._facts()
        facts["ending"] = "failed" if self._failure is not None else ending
        await self._session.close(**facts)


async def _gone(tasks: "Collection[asyncio.Task[None]]") -> None:
    """Wait until tasks have ended."""
    while not all(task.done() for task in tasks):
        await asyncio.wait(tasks)


def _cut_off(*, sent: bool) -> Settled:
    """Return the fate of a pair whose request ended with the run."""
    if not sent:
        return Settled(Outcome.NOT_ATTEMPTED)
    return Settled(Outcome.UNKNOWN, error=UnknownOutcomeError(_CUT_OFF))


def _may_pass(settled: Settled) -> bool:
    """Whether a pair failed for a reason that may have passed at the end of the run."""
    return (
        isinstance(settled.error, _PASSING)
        and not isinstance(settled.error, CertificateError)
        and settled.outcome in {Outcome.FAILED, Outcome.UNKNOWN}
    )
