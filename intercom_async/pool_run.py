"""One bulk run over many workspaces, with one journal.

Every pair goes into the journal first, as pending; a `DetachRun` for each workspace takes its own
pairs from there. So pairs may come in any order, a workspace that hangs holds nobody up, and no
pair that was read is lost. When more workspaces have pairs than may be in work, one that has
nothing to do makes room; if pairs of its workspace come later, it gets another turn.
"""

import asyncio
import functools
from collections import deque
from collections.abc import (
    AsyncIterable,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any, Final, cast

import attrs

from intercom_async.bulk.access import WhoAmI
from intercom_async.bulk.item import Item, pair_of, result_of
from intercom_async.bulk.lifecycle import ResultQueue, Run
from intercom_async.bulk.options import RunOptions
from intercom_async.bulk.pages import Pages
from intercom_async.bulk.part import Part
from intercom_async.bulk.reader import InputReader
from intercom_async.bulk.results import DetachResult, DetachSummary, facts_of
from intercom_async.bulk.run import DetachRun
from intercom_async.client import IntercomClient
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import IntercomError, InvalidArgumentError, WorkspaceAccessError
from intercom_async.journal import (
    Binding,
    Facts,
    Journal,
    JournalError,
    JournalLockedError,
    Session,
    Wanted,
)
from intercom_async.pairs import Pair, RoutedPair, as_detach, as_routed, check_input
from intercom_async.runtime import Runtime
from intercom_async.transport.sending import Transport

Pairs = Iterable[Pair] | AsyncIterable[Pair]
"""The pairs of one workspace."""

Routed = Sequence[Any] | Mapping[str, Any]
"""A pair with its workspace: `(workspace, Detach)`, `(workspace, conversation_id, contact_id)` with
or without an `admin_id` behind it, or a mapping or row that has these by their names."""

AllPairs = Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed]
"""Pairs by workspace, or with theirs."""

_BATCH: Final = 256
"""Pairs that are written to the journal at once at most."""

Open = Callable[[str, IntercomClient | None], Awaitable[IntercomClient]]
"""Returns the client of a workspace; after a refusal another one than that client, if it can."""


@attrs.frozen(kw_only=True, eq=False)
class PoolResult:
    """What became of one pair, and the key of its workspace."""

    workspace: str
    result: DetachResult


@attrs.frozen(kw_only=True)
class PoolSummary:
    """A run over many workspaces, in numbers.

    Attributes:
        workspaces: for each workspace that had pairs, its own numbers.
        elapsed: seconds from start to end, or until now.
    """

    workspaces: dict[str, DetachSummary]
    elapsed: float = 0.0

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """Pairs per outcome, all workspaces together; every outcome is present."""
        return {
            outcome: sum(summary.outcomes[outcome] for summary in self.workspaces.values())
            for outcome in Outcome
        }

    def _sum(self, name: str) -> int:
        return sum(getattr(summary, name) for summary in self.workspaces.values())

    @property
    def total(self) -> int:
        """Pairs accounted for."""
        return self._sum("total")

    @property
    def settled(self) -> int:
        """Pairs that need no repetition."""
        return self._sum("settled")

    @property
    def settled_before(self) -> int:
        """Pairs of the input that earlier sessions of the journal settled."""
        return self._sum("settled_before")

    @property
    def requests(self) -> int:
        """Requests that Intercom answered or may have received, refused ones not counted."""
        return self._sum("requests")

    @property
    def refusals(self) -> int:
        """Further requests that were refused with 429."""
        return self._sum("refusals")

    @property
    def stopped(self) -> dict[str, IntercomError]:
        """The workspaces that ended early, and why: no access, 401, 403, another workspace."""
        return {
            key: summary.stopped_by
            for key, summary in self.workspaces.items()
            if summary.stopped_by is not None
        }

    def __str__(self) -> str:
        parts = ", ".join(f"{n} {outcome}" for outcome, n in self.outcomes.items() if n)
        return (
            f"{self.total} pairs of {len(self.workspaces)} workspaces in {self.elapsed:.1f} s "
            f"({parts or 'none'}; {self.requests} requests, {self.refusals} refused)"
        )


class _Forwarded(ResultQueue[DetachResult]):
    """The results of one workspace on their way into the pool's queue."""

    def __init__(self, workspace: str, results: ResultQueue[PoolResult]) -> None:
        super().__init__()
        self._workspace = workspace
        self._results = results

    def add(self, result: DetachResult, size: int = 0) -> None:
        """See `ResultQueue.add`."""
        self._results.add(PoolResult(workspace=self._workspace, result=result), size)

    async def room(self) -> None:
        """See `ResultQueue.room`."""
        await self._results.room()


@attrs.define(eq=False)
class _Lane:
    """A workspace, its own input if it has one, and what is done there.

    Attributes:
        busy: whether it is in work or waits for a place.
        again: pairs that occurred again; they get another result at the end.
    """

    workspace: str
    part: Part = attrs.field(init=False)
    pairs: Pairs | None = None
    reader: "asyncio.Task[None] | None" = None
    client: IntercomClient | None = None
    run: DetachRun | None = None
    busy: bool = False
    again: list[Detach] = attrs.field(factory=list[Detach])

    def summary(self, elapsed: float) -> DetachSummary:
        quota = None if self.client is None else self.client.rate_limit
        limit = None if quota is None else quota.limit
        return self.part.tally.summary(elapsed=elapsed, limit=limit)


class PoolRun(Run[PoolResult, PoolSummary]):
    """One bulk run over many workspaces: await it, or iterate over its results.

    ::

        summary = await pool.detach_contacts(pairs)

        async with pool.detach_contacts(pairs, journal="run.db") as run:
            async for found in run:
                print(found.workspace, found.result.outcome)
            print(run.summary)

    Nothing happens before it is awaited or iterated over. Leaving `async with` early stops the
    run at once and leaves nothing behind. A workspace whose token is unknown or refused, or that
    another worker has, stops alone. If the input raises, the run works off the pairs before that,
    then raises the error.
    """

    def __init__(
        self,
        pairs: AllPairs | None,
        *,
        clients: Open,
        journal: Journal,
        options: RunOptions,
        at_once: int,
        runtime: Runtime,
    ) -> None:
        self._entered = True  # until the arguments are known to be good
        if pairs is None and journal.path is None:
            raise InvalidArgumentError("pairs", None, "given, or left in a journal: journal=...")
        check_input("pairs", pairs, "a mapping of workspaces to pairs, or an iterable of triples")
        super().__init__(runtime)
        self._sorted: Mapping[str, Pairs] = {}
        self._mixed: Iterable[Routed] | AsyncIterable[Routed] | None = None
        if isinstance(pairs, Mapping):
            self._sorted = cast("Mapping[str, Pairs]", pairs)
        else:
            self._mixed = pairs
        self._clients = clients
        self._journal = journal
        self._options = options
        self._at_once = at_once
        self._session: Session | None = None
        self._lanes: dict[str, _Lane] = {}
        self._queue: deque[_Lane] = deque()
        self._working: dict[asyncio.Task[None], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._complete = True
        self._stopping = False
        self._noted = 0.0
        self._changed = asyncio.Event()

    @property
    def summary(self) -> PoolSummary:
        """The run in numbers, up to now."""
        found = {key: lane.summary(self._elapsed) for key, lane in self._lanes.items()}
        return PoolSummary(workspaces=found, elapsed=self._elapsed)

    # --- beginning and end ---------------------------------------------------------------------

    def _drop(self) -> None:
        self._stopping = True
        for task in tuple(self._tasks):
            task.cancel()

    def _fail(self, error: BaseException) -> None:
        """Let requests in flight finish, then raise it."""
        self._failure = self._failure or error
        self._stopping = True
        for task in tuple(self._tasks):
            lane = self._working.get(task)
            if lane is None or lane.run is None:
                task.cancel()
            else:
                lane.run.stop(drain=False)

    async def _supervise(self) -> None:
        try:
            # Each workspace has a region of its own.
            binding = Binding(operation=self._options.operation, base_url="several workspaces")
            self._session = await self._journal.open(binding, runtime=self._runtime)
            self._session.watch(self._recall)
            await self._begin(self._session)
            await self._until_idle()
            if not self._stopping:
                await self._tell_rest(self._session)
        except asyncio.CancelledError:
            self._interrupted()
        except Exception as error:  # noqa: BLE001  the consumer gets it
            self._fail(error)
        finally:
            await self._surely(self._until_idle)
            try:
                await self._surely(self._close_journal)
            except JournalError as error:
                self._fail(error)

    def _recall(self) -> None:
        for lane in self._working.values():
            if lane.run is not None:
                lane.run.recall()

    async def _until_idle(self) -> None:
        while self._tasks:
            self._changed.clear()
            await self._changed.wait()

    async def _close_journal(self) -> None:
        if self._session is not None:
            ending = "stopped" if self._stopping else "ended"
            facts = self._facts()
            facts["ending"] = ending if self._failure is None else "failed"
            await self._session.close(**facts)

    def _facts(self) -> Facts:
        tallies = [lane.part.tally for lane in self._lanes.values()]
        return {**facts_of(*tallies), "elapsed": self._elapsed}

    async def _note(self) -> None:
        if self._session is not None and self._elapsed >= self._noted + 1.0:
            self._noted = self._elapsed
            await self._session.note(**self._facts())

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            if not self._stopping:
                self._interrupted()
        elif (error := task.exception()) is not None:
            self._fail(error)
        lane = self._working.pop(task, None)
        if lane is not None:
            lane.busy = False
            if lane.part.left:
                self._line_up(lane)
        self._start_lanes()
        self._changed.set()

    # --- reading -------------------------------------------------------------------------------

    async def _begin(self, session: Session) -> None:
        if session.resumed:
            for workspace in await session.workspaces():
                self._line_up(self._lane(workspace, session))
        for workspace, own in self._sorted.items():
            lane = self._lane(workspace, session)
            lane.pairs = own
            self._line_up(lane)
        if self._mixed is not None:
            self._reader = self._spawn(self._read(self._mixed, as_routed, session))
        elif not self._sorted:
            self._complete = session.input_ended
        self._start_lanes()

    def _lane(self, workspace: str, session: Session) -> _Lane:
        lane = self._lanes.get(workspace)
        if lane is None:
            lane = self._lanes[workspace] = _Lane(workspace)
            lane.part = Part(
                session=session,
                workspace=workspace,
                durable=self._journal.path is not None,
                over=functools.partial(self._is_over, lane),
                renew=functools.partial(self._renew, lane),
                note=self._note,
            )
        return lane

    async def _read(
        self, pairs: Any, convert: Callable[[object, int], RoutedPair], session: Session
    ) -> None:
        """Write an input to the journal, where the workspaces' runs take it from."""
        changed = asyncio.Event()
        source = InputReader(pairs, convert, changed.set)
        reading = self._spawn(self._pull(source))
        reading.add_done_callback(lambda _: changed.set())
        while not reading.done() or len(source):
            if len(source):
                await self._results.room()
                await self._plan(source.take(_BATCH), session)
            else:
                changed.clear()
                await changed.wait()
        self._complete = self._complete and source.complete

    async def _pull(self, source: InputReader[RoutedPair]) -> None:
        try:
            await source.read()
        except Exception as error:  # noqa: BLE001  whatever the caller's input raises
            self._failure = self._failure or error  # raised when the pairs before it are done

    async def _plan(self, batch: list[RoutedPair], session: Session) -> None:
        good: list[tuple[_Lane, Detach]] = []
        for workspace, pair, error in batch:
            lane = self._lane(workspace, session)
            if error is None:
                good.append((lane, pair))
            else:
                self._tell(lane, DetachResult(detach=pair, outcome=Outcome.FAILED, error=error))
        rows = await session.plan(
            [Item(pair, workspace=lane.workspace).left(pair.admin_id) for lane, pair in good]
        )
        for (lane, pair), row in zip(good, rows, strict=True):
            if row is None:
                lane.part.left += 1
                lane.part.moved()
                self._line_up(lane)
            elif row.session == session.number:
                lane.again.append(pair)
            elif row.settled:
                lane.part.tally.settled_before += 1
        self._start_lanes()

    # --- workspaces ----------------------------------------------------------------------------

    def _line_up(self, lane: _Lane) -> None:
        """Let a workspace have a place, unless it has one or has stopped."""
        if not lane.busy and lane.part.tally.stopped_by is None:
            lane.busy = True
            self._queue.append(lane)

    def _start_lanes(self) -> None:
        while self._queue and len(self._working) < self._at_once and not self._stopping:
            lane = self._queue.popleft()
            self._working[self._spawn(self._work(lane))] = lane
        for lane in self._working.values():
            if lane.run is not None and not lane.part.left:
                lane.part.moved()

    def _is_over(self, lane: _Lane) -> bool:
        """Whether a workspace with nothing to do may leave its place."""
        reader = lane.reader or self._reader
        return bool(self._queue) or reader is None or reader.done()

    async def _work(self, lane: _Lane) -> None:
        """Run what one workspace has."""
        part = lane.part
        if lane.pairs is not None and lane.reader is None:
            lane.reader = self._spawn(
                self._read(
                    lane.pairs,
                    lambda item, place: (lane.workspace, *as_detach(item, place)),
                    part.session,
                )
            )
        try:
            lane.client = await self._clients(lane.workspace, None)
            options = attrs.evolve(
                self._options,
                base_url=lane.client.base_url,
                admin_id=lane.client.admin_id or self._options.admin_id,
            )
            lane.run = lane.client.run(options, None, part)
            lane.run.hand_results_to(_Forwarded(lane.workspace, self._results))
            await lane.run
        except WorkspaceAccessError as error:
            part.tally.stopped_by = error
        finally:
            lane.run = None

    async def _renew(self, lane: _Lane) -> tuple[Transport, WhoAmI] | None:
        try:
            client = await self._clients(lane.workspace, lane.client)
        except WorkspaceAccessError:
            return None
        if client is lane.client:
            return None
        lane.client = client
        transport, whoami, _ = client.for_runs()
        return transport, whoami

    # --- what nobody took up -------------------------------------------------------------------

    async def _tell_rest(self, session: Session) -> None:
        """Account for the pairs of workspaces that stopped, and for those that occurred again."""
        for lane in tuple(self._lanes.values()):
            part = lane.part
            part.tally.input_ended = self._complete
            stopped_by = part.tally.stopped_by
            if stopped_by is not None and not isinstance(stopped_by, JournalLockedError):
                await self._tell_left(lane, Wanted.PENDING)
                if not part.opened:
                    await self._tell_left(lane, Wanted.LEFT)
            for start in range(0, len(lane.again), _BATCH):
                pairs = lane.again[start : start + _BATCH]
                rows = await session.look_up(pairs, lane.workspace)
                for pair, row in zip(pairs, rows, strict=True):
                    if row is not None:
                        self._tell(lane, result_of(pair, row, duplicate=True))
                await self._results.room()
        if self._complete:
            await session.end_input()

    async def _tell_left(self, lane: _Lane, wanted: Wanted) -> None:
        pages = Pages(lane.part.session, wanted, lane.workspace)
        while await pages.more():
            result = DetachResult(
                detach=pair_of(pages.take()),
                outcome=Outcome.NOT_ATTEMPTED,
                error=lane.part.tally.stopped_by,
            )
            self._tell(lane, result)
            await self._results.room()

    def _tell(self, lane: _Lane, result: DetachResult) -> None:
        lane.part.tally.add(result)
        self._results.add(PoolResult(workspace=lane.workspace, result=result))
