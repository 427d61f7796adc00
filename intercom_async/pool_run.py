"""One bulk run over many workspaces, with one journal.

Every pair goes into the journal first, as pending; a `DetachRun` for each workspace takes its own
pairs from there. So pairs may come in any order, a workspace that hangs holds up no other, and no
pair that was read is lost. When more workspaces have pairs than may be worked on at once, one that
has nothing to do makes room; if more of its pairs come later, it gets another turn.
"""

import asyncio
import functools
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

from intercom_async.bulk.changes import Changes
from intercom_async.bulk.lifecycle import ResultQueue, Run
from intercom_async.bulk.options import RunOptions
from intercom_async.bulk.queue import Item
from intercom_async.bulk.reader import InputReader
from intercom_async.bulk.run import DetachRun, Part
from intercom_async.bulk.summary import DetachSummary, PoolResult, PoolSummary, facts_of
from intercom_async.client import IntercomClient, bulk_run
from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import AuthenticationError, InvalidArgumentError, WorkspaceAccessError
from intercom_async.journal import (
    Binding,
    Facts,
    Journal,
    JournalLockedError,
    Row,
    Session,
    State,
    Wanted,
)
from intercom_async.pairs import Pair, RoutedPair, as_detach, as_routed, check_input
from intercom_async.runtime import Runtime

Pairs = Iterable[Pair] | AsyncIterable[Pair]
"""The pairs of one workspace."""

Routed = Sequence[Any] | Mapping[str, Any]
"""A pair with its workspace: `(workspace, Detach)`, `(workspace, conversation_id, contact_id)` with
or without an `admin_id` after it, or a mapping or row that has these by their names."""

AllPairs = Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed]
"""Pairs sorted by workspace, or pairs that each name their workspace."""

_BATCH: Final = 256
"""The most pairs that are written to the journal at once."""

_NOTE: Final = 2.0
"""Seconds between notes of the run's numbers in the journal."""

Open = Callable[[str, IntercomClient | None], Awaitable[IntercomClient]]
"""Returns the client of a workspace; given a client whose token was refused, another if it can."""


class _Forwarded(ResultQueue[DetachResult]):
    """The results of one workspace on their way into the pool's queue."""

    def __init__(self, workspace: str, results: ResultQueue[PoolResult], changes: Changes) -> None:
        super().__init__(changes)
        self._workspace = workspace
        self._results = results

    @property
    def full(self) -> bool:
        """See `ResultQueue.full`."""
        return self._results.full

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
        again: pairs that occurred again; they get another result at the end.
    """

    part: Part
    pairs: Pairs | None
    reading: bool = False
    client: IntercomClient | None = None
    run: DetachRun | None = None
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
            async for item in run:
                print(item.workspace, item.result.outcome)
            print(run.summary)

    Nothing happens before it is awaited or iterated over. Leaving `async with` early stops the
    run at once and leaves nothing behind. A workspace whose token is unknown or refused, or that
    another worker has, stops alone. If the input raises, the run first does the pairs that were
    read before, then raises the error.
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
        self._lanes: dict[str, _Lane] = {}
        self._places = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._working: set[_Lane] = set()
        self._tasks: dict[asyncio.Task[None], _Lane | None] = {}
        self._opened: Session | None = None
        self._reading = False
        self._complete = True

    @property
    def summary(self) -> PoolSummary:
        """The run in numbers, up to now."""
        workspaces = {key: lane.summary(self._elapsed) for key, lane in self._lanes.items()}
        return PoolSummary(workspaces=workspaces, elapsed=self._elapsed)

    # --- beginning and end ---------------------------------------------------------------------

    def _drop(self) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    def _fail(self, error: BaseException) -> None:
        """Let requests in flight finish, then raise it."""
        self._failure = self._failure or error
        self._stopping = True
        for task, lane in self._tasks.items():
            if lane is None or lane.run is None:
                task.cancel()
            else:
                lane.run.stop(drain=False)

    async def _supervise(self) -> None:
        await self._surely(self._begin)
        while self._tasks:
            await self._surely(self._wait_and_note)
        if not self._stopping:
            await self._surely(self._give_rest)
        await self._surely(self._close_journal)

    async def _begin(self) -> None:
        if self._stopping:
            return
        # Each workspace has a region of its own.
        binding = Binding(operation=self._options.operation, base_url="several workspaces")
        session = self._opened = await self._journal.open(binding, runtime=self._runtime)
        session.watch(self._recall)
        for workspace, own in self._sorted.items():
            self._lane(workspace, own)
        if session.resumed:
            for workspace in await session.workspaces():
                self._lane(workspace)
        if self._mixed is not None:
            self._reading = True
            self._spawn(self._read(self._mixed, as_routed, None), None)
        elif not self._sorted:
            self._complete = session.input_ended

    @property
    def _session(self) -> Session:
        assert self._opened is not None  # noqa: S101  nothing is done before
        return self._opened

    def _recall(self) -> None:
        for lane in self._working:
            if lane.run is not None:
                lane.run.recall()

    async def _wait_and_note(self) -> None:
        await asyncio.wait(self._tasks.keys(), timeout=_NOTE)
        if not self._stopping:
            await self._session.note(**self._facts())

    async def _close_journal(self) -> None:
        if self._opened is not None:
            ending = "stopped" if self._stopping else "ended"
            facts = self._facts()
            facts["ending"] = ending if self._failure is None else "failed"
            await self._opened.close(**facts)

    def _facts(self) -> Facts:
        tallies = [lane.part.tally for lane in self._lanes.values()]
        return {**facts_of(*tallies), "elapsed": self._elapsed}

    def _spawn(self, coroutine: Coroutine[Any, Any, None], lane: _Lane | None) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks[task] = lane
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        del self._tasks[task]
        if task.cancelled():
            if not self._stopping:
                self._interrupted()
        elif (error := task.exception()) is not None:
            self._fail(error)

    # --- reading -------------------------------------------------------------------------------

    async def _read(
        self, pairs: Any, convert: Callable[[object, int], RoutedPair], lane: _Lane | None
    ) -> None:
        """Write an input to the journal, where the workspaces' runs take it from."""
        changes = Changes()
        source = InputReader(pairs, convert, changes)
        reading = asyncio.create_task(source.read())
        reading.add_done_callback(lambda _: changes.look())
        try:
            while True:
                await changes.until(lambda: len(source) > 0 or reading.done())
                if not (batch := source.take(_BATCH)):
                    break
                await self._results.room()
                await self._plan(batch)
        finally:
            reading.cancel()
            await asyncio.wait({reading})
        if reading.cancelled():
            self._interrupted()
        elif (error := reading.exception()) is not None:
            self._failure = self._failure or error  # raised when the pairs before it are done
        self._complete = self._complete and source.complete
        if lane is None:
            self._reading = False
        else:
            lane.reading = False
        for one in [*self._lanes.values()] if lane is None else [lane]:
            one.part.changes.look()

    async def _plan(self, batch: list[RoutedPair]) -> None:
        good: list[tuple[_Lane, Detach]] = []
        for workspace, pair, error in batch:
            lane = self._lane(workspace)
            if error is None:
                good.append((lane, pair))
            else:
                self._give(lane, DetachResult(detach=pair, outcome=Outcome.FAILED, error=error))
        rows = await self._session.plan(
            [
                Item(pair).row_in(State.PENDING, pair.admin_id, lane.part.workspace)
                for lane, pair in good
            ]
        )
        for (lane, pair), row in zip(good, rows, strict=True):
            if row is None:
                lane.part.left += 1
                lane.part.changes.look()
            elif row.session == self._session.number:
                lane.again.append(pair)
            elif row.settled:
                lane.part.tally.settled_before += 1

    # --- workspaces ----------------------------------------------------------------------------

    def _lane(self, workspace: str, pairs: Pairs | None = None) -> _Lane:
        """Return a workspace's lane; work on it begins when it is new."""
        if workspace not in self._lanes:
            changes = Changes()
            part = Part(
                session=self._session,
                workspace=workspace,
                durable=self._journal.path is not None,
                results=_Forwarded(workspace, self._results, changes),
                changes=changes,
                over=lambda: self._waiting > 0 or not self._gets_more(lane),
            )
            self._lanes[workspace] = lane = _Lane(part, pairs, reading=pairs is not None)
            self._spawn(self._work(lane), lane)
        return self._lanes[workspace]

    def _gets_more(self, lane: _Lane) -> bool:
        """Whether more pairs of a workspace may be read."""
        return self._reading if lane.pairs is None else lane.reading

    async def _work(self, lane: _Lane) -> None:
        """Give a workspace a place whenever it has something to do."""
        part, begun = lane.part, False
        while not self._stopping and part.tally.stopped_by is None:
            self._waiting += 1
            if self._waiting == 1:
                for one in self._working:  # which may have nothing to do
                    one.part.changes.look()
            try:
                await self._places.acquire()
            finally:
                self._waiting -= 1
            self._working.add(lane)
            try:
                if lane.pairs is not None and not begun:
                    begun = True
                    self._spawn(
                        self._read(lane.pairs, functools.partial(_pair_of, part.workspace), lane),
                        None,
                    )
                await self._turn(lane)
            finally:
                lane.run = None
                self._working.discard(lane)
                self._places.release()
            if not self._stopping:
                await part.changes.until(lambda: part.left > 0 or not self._gets_more(lane))
            if not part.left:
                return

    async def _turn(self, lane: _Lane) -> None:
        """Run what one workspace has; a token that is refused is looked up once more."""
        refused: IntercomClient | None = None
        while True:
            given = sum(lane.part.tally.outcomes.values())
            try:
                client = await self._clients(lane.part.workspace, refused)
            except WorkspaceAccessError as error:
                lane.part.tally.stopped_by = lane.part.tally.stopped_by or error
                return
            if client is refused:
                return
            await self._run(lane, client)
            again = refused is None or sum(lane.part.tally.outcomes.values()) > given
            if not isinstance(lane.part.tally.stopped_by, AuthenticationError) or not again:
                return
            refused = client

    async def _run(self, lane: _Lane, client: IntercomClient) -> None:
        options = attrs.evolve(
            self._options,
            base_url=client.base_url,
            admin_id=client.admin_id or self._options.admin_id,
        )
        lane.part.tally.stopped_by = None
        lane.client = client
        lane.run = bulk_run(client, options, None, lane.part)
        await lane.run
        lane.run = None

    # --- pairs that no workspace's run took up -------------------------------------------------

    async def _give_rest(self) -> None:
        """Account for the pairs of workspaces that stopped, and for those that occurred again."""
        for lane in self._lanes.values():
            part = lane.part
            part.tally.input_ended = self._complete
            stopped_by = part.tally.stopped_by
            if stopped_by is not None and not isinstance(stopped_by, JournalLockedError):
                await self._give_left(lane, Wanted.PENDING)
                await self._give_left(lane, Wanted.LEFT)
            for start in range(0, len(lane.again), _BATCH):
                pairs = lane.again[start : start + _BATCH]
                rows = await self._session.look_up(pairs, part.workspace)
                for row in rows:
                    if row is not None:
                        self._give(lane, row.result(duplicate=True))
                await self._results.room()
        if self._complete:
            await self._session.end_input()

    async def _give_left(self, lane: _Lane, wanted: Wanted) -> None:
        rows: list[Row] = []
        while rows := await self._session.rows(
            wanted, after=rows[-1] if rows else None, workspace=lane.part.workspace
        ):
            for row in rows:
                result = DetachResult(
                    detach=row.pair,
                    outcome=Outcome.NOT_ATTEMPTED,
                    error=lane.part.tally.stopped_by,
                )
                self._give(lane, result)
                await self._results.room()

    def _give(self, lane: _Lane, result: DetachResult) -> None:
        lane.part.tally.add(result)
        self._results.add(PoolResult(workspace=lane.part.workspace, result=result))


def _pair_of(workspace: str, item: object, place: int) -> RoutedPair:
    return (workspace, *as_detach(item, place))
