"""Many detaches: bounded workers over any iterable, one result per pair.

How a run works. Workers pull pairs from the input one at a time, so it is never held whole.
A pair whose conversation already has a request in flight is parked, and the worker that owns
the conversation takes it next: two requests never race on one conversation. How fast requests
leave is the limiter's decision alone; workers only keep enough of them ready. Results go to the
consumer in completion order through a bounded queue, so a slow consumer slows the run.

Who stops a run: a 401, a 403 or a refused certificate (no other call can succeed), `stop()`, an
input that raises, or the consumer leaving `async with`. Pairs that were not sent by then are
`not_attempted`.
"""

import asyncio
import operator
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import attrs

from intercom_async.detaching import Detach, Outcome, Settled, conversation_from, settle
from intercom_async.errors import (
    ClientStateError,
    IntercomError,
    InvalidArgumentError,
)
from intercom_async.model import Conversation
from intercom_async.status import RateLimitStatus
from intercom_async.transport.http import CONNECTIONS
from intercom_async.transport.limiter import Backlog, Limiter
from intercom_async.transport.runtime import Runtime
from intercom_async.transport.transport import CallOptions, Transport
from intercom_async.transport.wire import Reply

Pair = Detach | tuple[str, str]
"""What a run takes: a `Detach`, or `(conversation_id, contact_id)`."""

PARKED: Final = 1024
"""Pairs held back at most because their conversation is busy."""

UNREAD: Final = 256
"""Results the consumer may lag behind before the run waits for it."""


@attrs.define(eq=False, kw_only=True)
class DetachResult:
    """What became of one pair of a run.

    Attributes:
        detach: the pair.
        outcome: what became of it.
        inferred: whether "detached" was concluded from a check after an attempt of unknown
            fate; an undo must not take such a pair for granted.
        error: what a single call would have raised, None when detached.
        attempts: requests sent for it, checks included, refused ones (429) not.
        refusals: requests that were refused with 429 and sent again.
        request_id: Intercom's id of the deciding request.
        elapsed: seconds from taking the pair up to knowing its outcome, waiting for the quota
            included.
    """

    detach: Detach
    outcome: Outcome
    inferred: bool = False
    error: IntercomError | None = None
    attempts: int = 0
    refusals: int = 0
    request_id: str | None = None
    elapsed: float = 0.0
    _reply: Reply | None = attrs.field(default=None, repr=False, alias="reply")
    _conversation: Conversation | None = attrs.field(default=None, init=False, repr=False)

    @property
    def conversation(self) -> Conversation | None:
        """The conversation after the detach, decoded on first access; None unless detached.

        Raises:
            ResponseDecodeError: the detach happened, but its reply is no JSON object.
        """
        if self._conversation is None and self._reply is not None:
            self._conversation = conversation_from(self._reply, self.detach.conversation_id)
            self._reply = None
        return self._conversation


@attrs.frozen(kw_only=True)
class DetachSummary:
    """A run in numbers; every pair that was read is counted in exactly one outcome.

    Attributes:
        outcomes: pairs per outcome; every outcome is present.
        inferred: of the detached pairs, how many were concluded from a check.
        requests: requests that Intercom answered or may have got, refused ones not counted.
        retries: of those, how many repeated a failed attempt or checked one.
        refusals: further requests that were refused with 429.
        elapsed: seconds from start to end, or until now.
        limit: requests the server allows per 10-second window, None if it never said.
        stopped_by: what ended the run early (401, 403, certificate), or None.
    """

    outcomes: dict[Outcome, int]
    inferred: int = 0
    requests: int = 0
    retries: int = 0
    refusals: int = 0
    elapsed: float = 0.0
    limit: int | None = None
    stopped_by: IntercomError | None = None

    @property
    def total(self) -> int:
        """Pairs accounted for."""
        return sum(self.outcomes.values())

    @property
    def settled(self) -> int:
        """Pairs that need no repetition."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.settled)

    def __str__(self) -> str:
        parts = ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.items() if n)
        return (
            f"{self.total} pairs in {self.elapsed:.1f} s ({parts or 'none'}; "
            f"{self.requests} requests, {self.retries} retries, {self.refusals} refused)"
        )


class _Source:
    """Any iterable as one async pull, with the ordinal of what it gave."""

    def __init__(self, pairs: Iterable[Pair] | AsyncIterable[Pair]) -> None:
        self._sync: Iterator[Pair] | None = None
        self._async: AsyncIterator[Pair] | None = None
        if isinstance(pairs, AsyncIterable):
            self._async = aiter(pairs)
        else:
            self._sync = iter(pairs)
        self._turn = asyncio.Lock()
        self.read = 0
        self.exhausted = False
        length = operator.length_hint(pairs, -1)
        self.backlog = Backlog(unread=None if length < 0 else length)

    async def pull(self) -> Detach | None:
        """Return the next pair, None at the end.

        Raises:
            InvalidArgumentError: the input gave something that is no pair.
        """
        # An async iterator must not be asked for a second item before it gave the first.
        async with self._turn:
            if self.exhausted:
                return None
            try:
                if self._sync is not None:
                    item = next(self._sync)
                else:
                    assert self._async is not None  # noqa: S101  one of the two is set
                    item = await anext(self._async)
            except (StopIteration, StopAsyncIteration):
                self.exhausted = True
                return None
            except BaseException:
                self.exhausted = True
                raise
            self.read += 1
            if self.backlog.unread is not None:
                # An input that gives more than it promised may give anything.
                self.backlog.unread = self.backlog.unread - 1 if self.backlog.unread else None
            return _as_detach(item, self.read)

    async def aclose(self) -> None:
        """Let a generator run its cleanup now rather than whenever it is collected."""
        self.exhausted = True
        close: Any = getattr(self._async, "aclose", None)
        if close is not None:
            await close()


def _as_detach(item: object, ordinal: int) -> Detach:
    if isinstance(item, Detach):
        return item
    match item:
        case (str() as conversation_id, str() as contact_id):
            return Detach(conversation_id, contact_id)
        case _:
            raise InvalidArgumentError(
                f"pairs, item {ordinal},", item, "a Detach or (conversation_id, contact_id)"
            )


class DetachRun:
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
        self._pairs = pairs
        self._admin_id = admin_id
        self._concurrency = concurrency or CONNECTIONS
        self._transport = transport
        self._options = attrs.evolve(options, bounded=concurrency is None)
        self._runtime = runtime

        self._limiter: Limiter | None = None
        self._source: _Source | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._workers: set[asyncio.Task[None]] = set()
        self._waiting = 0
        self._unsent: set[asyncio.Task[None]] = set()
        self._parked: dict[str, deque[Detach]] = {}
        self._parked_count = 0
        self._parked_less = asyncio.Event()
        self._workers_gone = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()
        self._stopping = False
        self._drain = True
        self._results: asyncio.Queue[DetachResult | None] = asyncio.Queue()
        self._read_more = asyncio.Event()
        self._streaming = False
        self._failure: BaseException | None = None

        self._outcomes = dict.fromkeys(Outcome, 0)
        self._inferred = 0
        self._requests = 0
        self._retries = 0
        self._refusals = 0
        self._stopped_by: IntercomError | None = None
        self._began: float | None = None
        self._ended: float | None = None

    # --- for the consumer ----------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, DetachSummary]:
        return self._finish().__await__()

    async def _finish(self) -> DetachSummary:
        self._streaming = False
        self._read_more.set()
        supervisor = self._start()
        try:
            await asyncio.shield(supervisor)
        except asyncio.CancelledError:
            await self._abandon()
            raise
        if self._failure is not None:
            raise self._failure
        return self.summary

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._abandon()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DetachResult:
        if self._supervisor is None:
            self._streaming = True
            _ = self._start()
        result = await self._results.get()
        if result is None:
            self._results.put_nowait(None)  # for whoever asks again
            if self._failure is not None:
                raise self._failure
            raise StopAsyncIteration
        self._read_more.set()
        return result

    @property
    def summary(self) -> DetachSummary:
        """The run in numbers, up to now."""
        elapsed = 0.0
        if self._began is not None:
            end = self._ended if self._ended is not None else self._runtime.monotonic()
            elapsed = end - self._began
        status = self._transport.rate_limit
        return DetachSummary(
            outcomes=dict(self._outcomes),
            inferred=self._inferred,
            requests=self._requests,
            retries=self._retries,
            refusals=self._refusals,
            elapsed=elapsed,
            limit=None if status is None else status.limit,
            stopped_by=self._stopped_by,
        )

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
        for task in self._workers if immediately else self._unsent:
            task.cancel()

    # --- the run -------------------------------------------------------------------------------

    def _start(self) -> "asyncio.Task[None]":
        if self._supervisor is None:
            limiter = self._transport.limiter
            self._began = self._runtime.monotonic()
            self._source = _Source(self._pairs)
            limiter.expect(self._source.backlog)
            self._limiter = limiter
            self._supervisor = asyncio.create_task(self._supervise(self._source))
        return self._supervisor

    def _no_more(self, source: _Source) -> None:
        """Tell the limiter that the pairs waiting now are all there is: a short rest may hurry."""
        if self._limiter is not None:
            self._limiter.forget(source.backlog)
            self._limiter = None

    async def _abandon(self) -> None:
        """Stop at once and wait until nothing is left."""
        if self._supervisor is None or self._supervisor.done():
            return
        self._streaming = False
        self._read_more.set()
        self.stop(immediately=True, drain=False)
        await asyncio.wait({self._supervisor})

    async def _supervise(self, source: _Source) -> None:
        try:
            self._add_worker(source)
            await self._workers_gone.wait()
            for queue in self._parked.values():
                for pair in queue:
                    await self._deliver(DetachResult(detach=pair, outcome=Outcome.NOT_ATTEMPTED))
            if self._drain and self._failure is None:
                await self._report_rest(source)
            await source.aclose()
        finally:
            self._no_more(source)
            self._ended = self._runtime.monotonic()
            self._results.put_nowait(None)

    async def _report_rest(self, source: _Source) -> None:
        try:
            while (pair := await source.pull()) is not None:
                await self._deliver(DetachResult(detach=pair, outcome=Outcome.NOT_ATTEMPTED))
                if source.read % 1000 == 0:
                    await asyncio.sleep(0)  # a long input must not hold the loop
        except Exception as error:  # noqa: BLE001  whatever the caller's iterable raises
            self._failure = error

    def _add_worker(self, source: _Source) -> None:
        task = asyncio.create_task(self._work(source))
        self._workers.add(task)
        task.add_done_callback(self._worker_done)

    def _worker_done(self, task: "asyncio.Task[None]") -> None:
        self._workers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)
        if not self._workers:
            self._workers_gone.set()

    def _fail(self, error: BaseException) -> None:
        """The input raised or the client was closed: let requests finish, then raise it."""
        self._failure = self._failure or error
        self.stop(drain=False)

    async def _work(self, source: _Source) -> None:
        pair = await self._take(source)
        while pair is not None:
            conversation_id = pair.conversation_id
            result = await self._detach(pair)
            following = self._hand_over(conversation_id)
            await self._deliver(result)
            pair = following if following is not None else await self._take(source)

    async def _take(self, source: _Source) -> Detach | None:
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
                pair = await source.pull()
                if pair is None:
                    self._no_more(source)
                    return None
                if pair.conversation_id not in self._parked:
                    self._parked[pair.conversation_id] = deque()
                    break
                self._parked[pair.conversation_id].append(pair)
                self._parked_count += 1
        finally:
            self._waiting -= 1
        if self._waiting == 0 and len(self._workers) < self._concurrency:
            self._add_worker(source)
        return pair

    def _hand_over(self, conversation_id: str) -> Detach | None:
        """Free a conversation, or return the parked pair that has it next."""
        queue = self._parked[conversation_id]
        if queue and not self._stopping:
            self._parked_count -= 1
            self._parked_less.set()
            return queue.popleft()
        if not queue:
            del self._parked[conversation_id]
        return None

    async def _detach(self, pair: Detach) -> DetachResult:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        began = self._runtime.monotonic()
        admin_id = pair.admin_id if pair.admin_id is not None else self._admin_id
        self._unsent.add(task)
        try:
            settled = await settle(
                self._transport,
                pair,
                admin_id,
                self._options,
                on_send=lambda: self._unsent.discard(task),
            )
        except InvalidArgumentError as error:
            settled = Settled(Outcome.FAILED, error=error)
        except ClientStateError as error:  # the client was closed under the run
            settled = Settled(Outcome.NOT_ATTEMPTED, error=error)
            self._fail(error)
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            task.uncancel()
            sent = task not in self._unsent
            settled = Settled(Outcome.UNKNOWN if sent else Outcome.NOT_ATTEMPTED)
        finally:
            self._unsent.discard(task)
        if settled.fatal is not None and not self._stopping:
            self._stopped_by = settled.fatal
            self.stop()
        return DetachResult(
            detach=pair,
            outcome=settled.outcome,
            inferred=settled.inferred,
            error=settled.error,
            attempts=settled.attempts,
            refusals=settled.refusals,
            request_id=settled.request_id,
            elapsed=self._runtime.monotonic() - began,
            reply=settled.reply,
        )

    async def _deliver(self, result: DetachResult) -> None:
        self._outcomes[result.outcome] += 1
        self._inferred += result.inferred
        self._requests += result.attempts
        self._retries += max(0, result.attempts - 1)
        self._refusals += result.refusals
        if not self._streaming:
            return
        self._results.put_nowait(result)
        while self._streaming and self._results.qsize() > UNREAD:
            self._read_more.clear()
            await self._read_more.wait()
