"""One bulk detach over many workspaces: a run in each, all of them merged.

Pairs are sorted into lanes, one for each workspace; each lane feeds a `DetachRun` of that
workspace's client, which keeps to its own quota. What is read ahead is bounded for all lanes
together. When more workspaces come than may run at once, a lane that has nothing to do ends and
leaves its place; should pairs of its workspace come again, it gets a new one.
"""

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Mapping,
)
from contextlib import AbstractAsyncContextManager, aclosing
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, cast

import attrs

from intercom_async.bulk.lifecycle import ResultQueue, Run
from intercom_async.bulk.results import DetachResult, DetachSummary
from intercom_async.client import IntercomClient
from intercom_async.detaching import Detach, Outcome
from intercom_async.errors import IntercomError, InvalidArgumentError, WorkspaceAccessError
from intercom_async.pairs import Pair, as_detach
from intercom_async.transport.runtime import Runtime

if TYPE_CHECKING:
    from intercom_async.bulk.run import DetachRun

_T = TypeVar("_T")

Pairs = Iterable[Pair] | AsyncIterable[Pair]
"""The pairs of one workspace."""

Routed = tuple[str, Detach] | tuple[str, str, str]
"""A pair with its workspace: `(workspace, Detach)` or
`(workspace, conversation_id, contact_id)`."""

Lease = Callable[[str], AbstractAsyncContextManager[tuple[IntercomClient, str | None]]]
"""Lends the client of a workspace, with the admin in whose name it acts."""

READ_AHEAD: Final = 10_000
"""Pairs read and not taken up yet, all workspaces together."""


@attrs.frozen(kw_only=True, eq=False)
class PoolResult:
    """What became of one pair, and in which workspace.

    Attributes:
        workspace: key of the workspace.
        result: the pair, its outcome, and everything else; see `DetachResult`.
    """

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
            outcome: sum(summary.outcomes.get(outcome, 0) for summary in self.workspaces.values())
            for outcome in Outcome
        }

    @property
    def total(self) -> int:
        """Pairs accounted for."""
        return sum(summary.total for summary in self.workspaces.values())

    @property
    def settled(self) -> int:
        """Pairs that need no repetition."""
        return sum(summary.settled for summary in self.workspaces.values())

    @property
    def requests(self) -> int:
        """Requests that Intercom answered or may have got, refused ones not counted."""
        return sum(summary.requests for summary in self.workspaces.values())

    @property
    def refusals(self) -> int:
        """Further requests that were refused with 429."""
        return sum(summary.refusals for summary in self.workspaces.values())

    @property
    def stopped(self) -> dict[str, IntercomError]:
        """The workspaces that ended early, and why: no access, 401, 403, certificate."""
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


def _together(one: DetachSummary, other: DetachSummary) -> DetachSummary:
    """Add up two runs of one workspace, one after the other."""
    return DetachSummary(
        outcomes={
            outcome: one.outcomes.get(outcome, 0) + other.outcomes.get(outcome, 0)
            for outcome in Outcome
        },
        inferred=one.inferred + other.inferred,
        duplicates=one.duplicates + other.duplicates,
        requests=one.requests + other.requests,
        retries=one.retries + other.retries,
        refusals=one.refusals + other.refusals,
        elapsed=one.elapsed + other.elapsed,
        limit=other.limit if other.limit is not None else one.limit,
        stopped_by=other.stopped_by or one.stopped_by,
    )


class _Lane:
    """The pairs of one workspace that were read and not taken up: an async iterator for its run.

    Args:
        taken: called after each pair that was taken up.
    """

    def __init__(self, taken: Callable[[], None]) -> None:
        self._pairs: deque[Detach] = deque()
        self._changed = asyncio.Event()
        self._taken = taken
        self.ended = False

    @property
    def empty(self) -> bool:
        return not self._pairs

    def put(self, pair: Detach) -> None:
        self._pairs.append(pair)
        self._changed.set()

    def end(self) -> None:
        """Let the run end after what is there."""
        self.ended = True
        self._changed.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Detach:
        while not self._pairs:
            if self.ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        pair = self._pairs.popleft()
        self._taken()
        return pair


class _Forwarded(ResultQueue[DetachResult]):
    """The results of one workspace on their way into the pool's queue.

    Args:
        workspace: its key.
        results: the pool's.
    """

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


class PoolRun(Run[PoolResult, PoolSummary]):
    """One bulk detach over many workspaces: await it, or iterate over its results.

    ::

        summary = await pool.detach_contacts(pairs)

        async with pool.detach_contacts(pairs) as run:
            async for found in run:
                print(found.workspace, found.result.outcome)
            print(run.summary)

    Nothing happens before it is awaited or iterated over. Leaving `async with` early stops the
    run at once and leaves nothing behind. A workspace whose token is unknown or refused stops
    alone. An input that raises ends the run: requests in flight finish, then it is raised.

    Args:
        pairs: see `IntercomPool.detach_contacts`.
        admin_id: for pairs without an admin of their own, in workspaces without one.
        concurrency: requests in flight at most in each workspace; None to compute it.
        at_once: workspaces that run at the same time.
        lease: lends the client of a workspace.
        runtime: the clock.
    """

    def __init__(
        self,
        pairs: Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed],
        *,
        admin_id: str | None,
        concurrency: int | None,
        at_once: int,
        lease: Lease,
        runtime: Runtime,
    ) -> None:
        if not isinstance(pairs, Iterable | AsyncIterable) or isinstance(pairs, str | bytes):
            raise InvalidArgumentError(
                "pairs", pairs, "a mapping of workspaces to pairs, or an iterable of triples"
            )
        super().__init__(runtime)
        self._sorted: Mapping[str, Pairs] | None = None
        self._mixed: Iterable[Routed] | AsyncIterable[Routed] = ()
        if isinstance(pairs, Mapping):
            self._sorted = cast("Mapping[str, Pairs]", pairs)
        else:
            self._mixed = pairs
        self._admin_id = admin_id
        self._concurrency = concurrency
        self._at_once = at_once
        self._lease = lease
        self._lanes: dict[str, _Lane] = {}
        self._read_ahead = 0
        self._moved = asyncio.Event()
        self._running: dict[str, DetachRun] = {}
        self._finished: dict[str, DetachSummary] = {}

    # --- for the consumer ----------------------------------------------------------------------

    @property
    def summary(self) -> PoolSummary:
        """The run in numbers, up to now."""
        found = dict(self._finished)
        for workspace, run in self._running.items():
            before = found.get(workspace)
            found[workspace] = run.summary if before is None else _together(before, run.summary)
        return PoolSummary(workspaces=found, elapsed=self._elapsed)

    # --- the run -------------------------------------------------------------------------------

    def _drop(self) -> None:
        assert self._supervisor is not None  # noqa: S101  only what has begun is dropped
        self._supervisor.cancel()

    async def _supervise(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                if self._sorted is not None:
                    await self._start_each(group, self._sorted)
                else:
                    await self._route(group, self._mixed)
        except asyncio.CancelledError:  # by whoever abandons the run, or by other code
            self._interrupted()

    async def _start_each(self, group: asyncio.TaskGroup, pairs: Mapping[str, Pairs]) -> None:
        """Run workspaces whose pairs come sorted already."""
        places = asyncio.Semaphore(self._at_once)
        for workspace, own in pairs.items():
            await places.acquire()
            if self._failure is not None:
                return
            task = group.create_task(self._run(workspace, own))
            task.add_done_callback(lambda _: places.release())

    async def _route(
        self, group: asyncio.TaskGroup, pairs: Iterable[Routed] | AsyncIterable[Routed]
    ) -> None:
        """Read the input and sort it into lanes."""
        read = 0
        try:
            async with aclosing(each(pairs)) as items:
                async for item in items:
                    read += 1
                    workspace, pair = as_routed(item, read)
                    lane = await self._lane(group, workspace)
                    await self._until(lambda: self._read_ahead < READ_AHEAD)
                    if self._failure is not None:
                        break
                    self._read_ahead += 1
                    lane.put(pair)
                    if read % 256 == 0:
                        await asyncio.sleep(0)  # a long input must not hold the loop
        except Exception as error:  # noqa: BLE001  whatever the caller's iterable raises
            self._fail(error)
        finally:
            for lane in self._lanes.values():
                lane.end()

    async def _lane(self, group: asyncio.TaskGroup, workspace: str) -> _Lane:
        """Return the workspace's lane, opened if need be."""
        await self._until(lambda: not self._is_ending(workspace))
        lane = self._lanes.pop(workspace, None)
        if lane is None:
            await self._until(self._has_place)
            lane = _Lane(self._take_up)
            group.create_task(self._run_lane(workspace, lane))
        self._lanes[workspace] = lane  # at the end: those before it had no input for longer
        return lane

    def _is_ending(self, workspace: str) -> bool:
        lane = self._lanes.get(workspace)
        return lane is not None and lane.ended

    def _has_place(self) -> bool:
        """Whether another workspace may run; if not, one that has nothing to do shall end."""
        if len(self._lanes) < self._at_once:
            return True
        if not any(lane.ended for lane in self._lanes.values()):
            idle = next((lane for lane in self._lanes.values() if lane.empty), None)
            if idle is not None:
                idle.end()
        return False

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds; looked at whenever a pair is taken up or a lane ends."""
        while self._failure is None and not condition():
            self._moved.clear()
            await self._moved.wait()

    def _take_up(self) -> None:
        self._read_ahead -= 1
        self._moved.set()

    async def _run_lane(self, workspace: str, lane: _Lane) -> None:
        try:
            await self._run(workspace, lane)
        finally:
            self._lanes.pop(workspace, None)
            self._moved.set()

    async def _run(self, workspace: str, pairs: Pairs) -> None:
        """Detach the pairs of one workspace with its own client."""
        try:
            try:
                async with self._lease(workspace) as (client, admin_id):
                    await self._detach(workspace, client, pairs, admin_id)
            except WorkspaceAccessError as error:
                await self._report(workspace, pairs, error)
        except asyncio.CancelledError:  # likewise, and a task group would take no notice
            self._interrupted()
            raise
        except Exception as error:  # noqa: BLE001  the input raised, or the pool was closed
            self._fail(error)

    async def _detach(
        self, workspace: str, client: IntercomClient, pairs: Pairs, admin_id: str | None
    ) -> None:
        run = client.detach_contacts(
            pairs,
            admin_id=admin_id if admin_id is not None else self._admin_id,
            concurrency=self._concurrency,
        )
        run.hand_results_to(_Forwarded(workspace, self._results))
        self._running[workspace] = run
        try:
            await run
        finally:
            del self._running[workspace]
            self._add(workspace, run.summary)

    async def _report(self, workspace: str, pairs: Pairs, error: WorkspaceAccessError) -> None:
        """Account for the pairs of a workspace that cannot be reached."""
        outcomes = dict.fromkeys(Outcome, 0)
        try:
            async with aclosing(each(pairs)) as items:
                async for item in items:
                    outcomes[Outcome.NOT_ATTEMPTED] += 1
                    pair, _ = as_detach(item, outcomes[Outcome.NOT_ATTEMPTED])
                    result = DetachResult(detach=pair, outcome=Outcome.NOT_ATTEMPTED, error=error)
                    await self._deliver(workspace, result)
        except Exception as raised:  # noqa: BLE001  whatever the caller's iterable raises
            self._fail(raised)
        finally:
            self._add(workspace, DetachSummary(outcomes=outcomes, stopped_by=error))

    def _add(self, workspace: str, summary: DetachSummary) -> None:
        before = self._finished.get(workspace)
        self._finished[workspace] = summary if before is None else _together(before, summary)

    def _fail(self, error: BaseException) -> None:
        """Let requests in flight finish, then raise it."""
        self._failure = self._failure or error
        for run in self._running.values():
            run.stop(drain=False)
        for lane in self._lanes.values():
            lane.end()
        self._moved.set()

    async def _deliver(self, workspace: str, result: DetachResult) -> None:
        await self._results.room()
        self._results.add(PoolResult(workspace=workspace, result=result))


async def each(items: Iterable[_T] | AsyncIterable[_T]) -> AsyncGenerator[_T]:
    """Any iterable as an async one, whose own cleanup runs when this one is closed."""
    if isinstance(items, AsyncIterable):
        found = aiter(items)
        try:
            async for item in found:
                yield item
        finally:
            close: Any = getattr(found, "aclose", None)
            if close is not None:
                await close()
    else:
        for item in items:
            yield item


def as_routed(item: object, ordinal: int) -> tuple[str, Detach]:
    """Return workspace and pair of an item of the input.

    Raises:
        InvalidArgumentError: it is neither of the two forms.
    """
    match item:
        case (str() as workspace, Detach() as pair):
            return workspace, pair
        case (str() as workspace, str() as conversation_id, str() as contact_id):
            return workspace, Detach(conversation_id, contact_id)
        case _:
            raise InvalidArgumentError(
                f"pairs, item {ordinal},",
                item,
                "(workspace, Detach) or (workspace, conversation_id, contact_id)",
            )
