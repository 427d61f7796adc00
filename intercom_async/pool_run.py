"""One bulk run over many workspaces, with one journal.

Each workspace has a `WorkspaceRun`; they share the pool's journal and its queue of results. If the
input is a mapping, each workspace reads its own pairs. Pairs in any order go into the journal
first, and each workspace takes its own from there. So a workspace that hangs holds up no other, and
no pair that was read is lost.
"""

import asyncio
from collections.abc import (
    AsyncGenerator,
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

from intercom_async.bulk.base_run import ResultQueue, Run
from intercom_async.bulk.options import RunOptions
from intercom_async.bulk.queue import Item
from intercom_async.bulk.reader import InputReader
from intercom_async.bulk.run import DetachRun
from intercom_async.bulk.summary import DetachSummary, PoolResult, PoolSummary, facts_of
from intercom_async.client import IntercomClient, connect, connection_of, reconnect
from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import (
    ClientStateError,
    IntercomError,
    InvalidArgumentError,
    WorkspaceAccessError,
)
from intercom_async.journal import (
    Binding,
    Facts,
    Journal,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    Row,
    Session,
    State,
)
from intercom_async.model.people import App
from intercom_async.pacing.window import Lane
from intercom_async.pairs import Pair, RoutedPair, as_routed, check_input, check_workspaces
from intercom_async.runtime import Runtime
from intercom_async.transport.http import Http

Pairs = Iterable[Pair] | AsyncIterable[Pair]
"""The pairs of one workspace."""

Routed = Sequence[Any] | Mapping[str, Any]
"""A pair with its workspace: `(workspace, Detach)`, `(workspace, conversation_id, contact_id)` with
or without an `admin_id` after it, or a mapping or row that has these by their names."""

AllPairs = Mapping[str, Pairs] | Iterable[Routed] | AsyncIterable[Routed]
"""Pairs sorted by workspace, or pairs that each name their workspace."""

_BATCH: Final = 128
"""The most pairs that are written to the journal, or taken from it, at once."""

_NOTE: Final = 2.0
"""Seconds between notes of the run's numbers in the journal."""

Open = Callable[[str, Http | None], Awaitable[IntercomClient]]
"""Returns a workspace's client. If the client still uses the given connection, whose token was
refused, it asks the directory for a new token."""


class WorkspaceRun(DetachRun):
    """One workspace's part of a pool's run, with the pool's session, journal and results.

    Args:
        pairs: the workspace's own input; None for the pairs that the pool plans for it.
        look_up: opens the workspace's client.
        reading: whether the pool may plan more pairs.
    """

    def __init__(
        self,
        workspace: str,
        pairs: Pairs | None,
        *,
        journal: Journal,
        session: Session,
        results: ResultQueue[PoolResult],
        look_up: Open,
        reading: bool,
        runtime: Runtime,
    ) -> None:
        self._planned = 0
        self._repeated: list[Detach] = []
        super().__init__(
            (pair for pair in self._repeated) if pairs is None else pairs,
            journal=journal,
            runtime=runtime,
            workspace=workspace,
        )
        self._entered = True  # a pool that stops never awaits a part without a client
        self._use(session)
        self._sink = results
        self._look_up = look_up
        self._looking = asyncio.Lock()
        self._useless: Http | None = None
        self._client: IntercomClient | None = None
        self._no_access: WorkspaceAccessError | None = None
        self._reading = reading

    @property
    def summary(self) -> DetachSummary:
        """The workspace's numbers, up to now."""
        if self._client is None:
            return self._tally.summary(elapsed=0.0, limit=None)
        return super().summary

    async def open(self, options: RunOptions) -> None:
        """Open the client; without access, the run gives its pairs back."""
        try:
            client = await self._look_up(self._workspace, None)
        except WorkspaceAccessError as error:
            self._no_access, client = error, IntercomClient("none")
        self._client = client
        admin_id = client.admin_id or options.admin_id
        connect(self, client, attrs.evolve(options, base_url=client.base_url, admin_id=admin_id))

    # --- pairs in any order --------------------------------------------------------------------

    def refuse(self, pair: Detach, error: InvalidArgumentError) -> None:
        """Give the result of a pair with an id that cannot be used."""
        self._give(DetachResult(detach=pair, outcome=Outcome.FAILED, error=error))

    def note_plan(self, pair: Detach, row: Row | None, *, new: bool) -> None:
        """Count a pair of the pool's input; unless it is `new`, `row` says what became of it."""
        if row is None or new:
            self._planned += 1
            self._changes.look()
        elif abs(row.session) == self._number:
            self._repeated.append(pair)
        else:
            self._tally.settled_before += 1

    def end_plan(self) -> None:
        """Note that no more pairs will be planned."""
        self._reading = False
        self._changes.look()

    async def _new_pairs(self) -> AsyncGenerator[list[Item]]:
        """Take the planned pairs; then the workspace's own input, or the duplicates."""
        assert self._session is not None  # noqa: S101  the pool's
        last: Row | None = None
        while self._drain and (self._planned or self._reading):
            await self._changes.until(
                lambda: self._planned > 0 or not (self._reading and self._drain)
            )
            rows = await self._session.take(self._workspace, after=last, limit=_BATCH)
            last = rows[-1] if rows else None
            self._planned -= len(rows)
            yield [self._open(row.pair, row) for row in rows]
        async for items in super()._new_pairs():
            yield items

    # --- what differs from a run of its own ----------------------------------------------------

    async def _begin(self) -> None:
        if self._no_access is not None:
            self._stop_for(self._no_access)
            return
        try:
            await super()._begin()
        except JournalMismatchError as error:
            self._stop_for(error)
        except JournalLockedError as error:
            self._stop_for(error)
            self.stop(drain=False)  # the other worker gives the results

    async def _open_journal(self, app: App | None) -> None:
        if self._session is not None and self._durable and app and app.id_code is not None:
            await self._session.bind(self._workspace, app.id_code, app.name)

    async def _note_end(self) -> None:
        self._tally.input_ended = self._input.complete

    async def _close_journal(self) -> None:
        if self._no_access is not None and self._client is not None:
            await self._client.aclose()

    def _told(self, result: DetachResult) -> PoolResult:
        return PoolResult(workspace=self._workspace, result=result)

    async def _renewed(self, refused: Http) -> bool:
        return await self._unless_stopped(self._look_again(refused)) or False

    async def _look_again(self, refused: Http) -> bool:
        """Ask the directory once for another token, and use it if the workspace is the same."""
        assert self._client is not None  # noqa: S101  its token was refused
        async with self._looking:
            if connection_of(self._client) is not refused:
                return True
            if self._useless is refused:
                return False
            self._useless = refused
            try:
                found = await self._look_up(self._workspace, refused)
                if connection_of(found) is refused:
                    return False
                await self._open_journal((await found.with_options(lane=Lane.BULK).whoami()).app)
            except IntercomError:
                return False
            reconnect(self._client, found)
            return True


class PoolRun(Run[PoolResult, PoolSummary]):
    """One bulk run over many workspaces: await it, or iterate over its results.

    ::

        summary = await pool.detach_contacts(pairs)

        async with pool.detach_contacts(pairs, journal="run.db") as run:
            async for item in run:
                print(item.workspace, item.result.outcome)
            print(run.summary)

    Nothing happens before it is awaited or iterated over. Leaving `async with` early stops the
    run at once and leaves nothing behind. A workspace stops alone if its token is unknown or
    refused, or if another worker has it. If an input raises, the run first does the pairs that
    it has read, then raises the error.
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
        check_workspaces(pairs)
        super().__init__(runtime)
        self._pairs = pairs
        self._clients = clients
        self._journal = journal
        self._options = options
        self._parts: dict[str, WorkspaceRun] = {}
        self._places = asyncio.Semaphore(at_once)
        self._tasks: dict[asyncio.Task[Any], WorkspaceRun | None] = {}
        self._session: Session | None = None
        self._reading = False
        self._complete = True

    @property
    def summary(self) -> PoolSummary:
        """The run in numbers, up to now."""
        workspaces = {key: part.summary for key, part in self._parts.items()}
        if not self._complete:  # any workspace may have more pairs in what was not read
            workspaces = {
                key: attrs.evolve(one, input_ended=False) for key, one in workspaces.items()
            }
        summary = PoolSummary.of(workspaces, elapsed=self._elapsed)
        return attrs.evolve(summary, input_ended=summary.input_ended and self._complete)

    # --- beginning and end ---------------------------------------------------------------------

    def _drop(self) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._stopping = True
        for task, part in self._tasks.items():
            if part is None:
                task.cancel()
            else:
                part.stop(drain=False)

    async def _supervise(self) -> None:
        await self._surely(self._begin)
        while self._tasks:
            await self._surely(self._wait_and_note)
        await self._surely(self._close_journal)

    async def _begin(self) -> None:
        if self._stopping:
            return
        # Each workspace has a region of its own.
        binding = Binding(operation=self._options.operation, base_url="several workspaces")
        session = self._session = await self._journal.open(binding, runtime=self._runtime)
        session.watch(self._recall)
        pairs = self._pairs
        if isinstance(pairs, Mapping):
            for workspace, own in cast("Mapping[str, Pairs]", pairs).items():
                _ = self._part(session, workspace, own)
        elif pairs is not None:
            self._reading, self._complete = True, False
            self._spawn(self._read(session, pairs))
        else:
            self._complete = session.input_ended
        for workspace in await session.workspaces() if session.resumed else ():
            _ = self._part(session, workspace)

    def _recall(self) -> None:
        for part in self._tasks.values():
            if part is not None:
                part.recall()

    async def _wait_and_note(self) -> None:
        await asyncio.wait(self._tasks.keys(), timeout=_NOTE)
        if not self._stopping and self._session is not None:
            await self._session.note(**self._facts())

    async def _close_journal(self) -> None:
        if self._session is None:
            return
        if self.summary.input_ended and not self._stopping:
            await self._session.end_input()
        ending = "stopped" if self._stopping else "ended"
        facts = self._facts()
        facts["ending"] = ending if self._failure is None else "failed"
        await self._session.close(**facts)

    def _facts(self) -> Facts:
        # What stopped one workspace did not stop the run.
        return {**facts_of(self.summary), "stopped_by": None}

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(self._task_done)

    def _task_done(self, task: "asyncio.Task[Any]") -> None:
        del self._tasks[task]
        if task.cancelled():
            if not self._stopping:
                self._interrupted()
        elif (error := task.exception()) is not None:
            self._fail(error)

    # --- pairs in any order --------------------------------------------------------------------

    async def _read(
        self, session: Session, pairs: Iterable[Routed] | AsyncIterable[Routed]
    ) -> None:
        """Write the input to the journal, from which each workspace's run takes its pairs."""
        source = InputReader(pairs, as_routed, self._changes)
        try:
            while batch := await source.take(_BATCH):
                await self._results.room()
                await self._plan(session, batch)
        finally:
            source.stop()
            await source.closed()
        try:
            source.result()
        except Exception as error:  # noqa: BLE001  whatever the caller's input raises
            self._failure = self._failure or error  # raised when the pairs before it are done
        self._complete = source.complete
        self._reading = False
        for part in self._parts.values():
            part.end_plan()

    async def _plan(self, session: Session, batch: list[RoutedPair]) -> None:
        good: list[tuple[WorkspaceRun, Detach]] = []
        rows: list[Row] = []
        for workspace, pair, error in batch:
            part = self._part(session, workspace)
            if error is None:
                item = Item((pair.conversation_id, pair.contact_id), pair)
                good.append((part, pair))
                rows.append(item.row_in(State.PENDING, None, workspace))
            else:
                part.refuse(pair, error)
        for (part, pair), row in zip(good, await session.plan(rows), strict=True):
            part.note_plan(pair, row, new=row is None or session.leaves(row))

    # --- workspaces ----------------------------------------------------------------------------

    def _part(self, session: Session, workspace: str, pairs: Pairs | None = None) -> WorkspaceRun:
        if workspace not in self._parts:
            part = self._parts[workspace] = WorkspaceRun(
                workspace,
                pairs,
                journal=self._journal,
                session=session,
                results=self._results,
                look_up=self._clients,
                reading=self._reading,
                runtime=self._runtime,
            )
            self._spawn(self._work(part))
        return self._parts[workspace]

    async def _work(self, part: WorkspaceRun) -> None:
        async with self._places:
            await part.open(self._options)
            task = asyncio.current_task()
            assert task is not None  # noqa: S101  a coroutine runs in a task
            self._tasks[task] = part
            try:
                await part
            except (ClientStateError, JournalError):
                raise
            except Exception as error:  # noqa: BLE001  whatever the workspace's own input raises
                self._failure = self._failure or error
