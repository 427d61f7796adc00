"""One bulk run over many workspaces, with one journal.

Each workspace has a `DetachRun` of its own, all of them share the pool's journal and its queue of
results. A mapping has an input for each workspace. Pairs in any order go into the journal first,
and each workspace's run takes its own from there; so a workspace that hangs holds up no other, and
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
from typing import Any, Final, TypeVar, cast

import attrs

from intercom_async.bulk.lifecycle import Run
from intercom_async.bulk.options import RunOptions
from intercom_async.bulk.queue import Item
from intercom_async.bulk.reader import InputReader
from intercom_async.bulk.run import DetachRun, Part
from intercom_async.bulk.summary import DetachSummary, PoolResult, PoolSummary, facts_of
from intercom_async.client import IntercomClient, bulk_run, connection_of, reconnect
from intercom_async.detaching import Detach, DetachResult, Outcome
from intercom_async.errors import (
    ClientStateError,
    IntercomError,
    InvalidArgumentError,
    WorkspaceAccessError,
)
from intercom_async.journal import Binding, Facts, Journal, JournalError, Row, Session, State
from intercom_async.pacing.window import Lane
from intercom_async.pairs import Pair, RoutedPair, as_routed, check_input
from intercom_async.runtime import Runtime
from intercom_async.transport.http import Http

_T = TypeVar("_T")

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
"""Returns a workspace's client. Given a connection whose token was refused, it looks up a new token
if the client still uses that connection."""


@attrs.define(eq=False, kw_only=True)
class _Share(Part):
    """A workspace and its run.

    Attributes:
        again: pairs that occurred again.
        left: pairs that were planned and not taken.
        refused: the last connection whose token was refused; `renewal` looks it up once more.
    """

    again: list[Detach] = attrs.field(factory=list[Detach])
    left: int = 0
    client: IntercomClient | None = None
    run: DetachRun | None = None
    refused: Http | None = None
    renewal: asyncio.Task[bool] | None = None

    def summary(self, elapsed: float) -> DetachSummary:
        quota = None if self.client is None else self.client.rate_limit
        limit = None if quota is None else quota.limit
        return self.tally.summary(elapsed=elapsed, limit=limit)


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
    another worker has, stops alone. If an input raises, the run first does the pairs that were
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
        self._sorted: Mapping[str, Pairs] | None = None
        self._mixed: Iterable[Routed] | AsyncIterable[Routed] | None = None
        if isinstance(pairs, Mapping):
            self._sorted = cast("Mapping[str, Pairs]", pairs)
        else:
            self._mixed = pairs
        self._clients = clients
        self._journal = journal
        self._options = options
        self._shares: dict[str, _Share] = {}
        self._places = asyncio.Semaphore(at_once)
        self._tasks: dict[asyncio.Task[Any], _Share | None] = {}
        self._opened: Session | None = None
        self._reading = False
        self._complete = True

    @property
    def summary(self) -> PoolSummary:
        """The run in numbers, up to now."""
        workspaces = {key: share.summary(self._elapsed) for key, share in self._shares.items()}
        return PoolSummary.of(workspaces, elapsed=self._elapsed)

    # --- beginning and end ---------------------------------------------------------------------

    def _drop(self) -> None:
        self._stopping = True
        for task in self._tasks:
            task.cancel()

    def _fail(self, error: BaseException) -> None:
        """Let requests in flight finish, then raise it."""
        self._failure = self._failure or error
        self._stopping = True
        for task, share in self._tasks.items():
            if share is None or share.run is None:
                task.cancel()
            else:
                share.run.stop(drain=False)

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
        session = self._opened = await self._journal.open(binding, runtime=self._runtime)
        session.watch(self._recall)
        if self._sorted is not None:
            for workspace, own in self._sorted.items():
                self._share(workspace, own)
        elif self._mixed is not None:
            self._reading = True
            _ = self._spawn(self._read(self._mixed), None)
        else:
            self._complete = session.input_ended
        for workspace in await session.workspaces() if session.resumed else ():
            self._share(workspace)

    @property
    def _session(self) -> Session:
        assert self._opened is not None  # noqa: S101  nothing is done before
        return self._opened

    def _recall(self) -> None:
        for share in self._shares.values():
            if share.run is not None:
                share.run.recall()

    async def _wait_and_note(self) -> None:
        await asyncio.wait(self._tasks.keys(), timeout=_NOTE)
        if not self._stopping:
            await self._session.note(**self._facts())

    async def _close_journal(self) -> None:
        if self._opened is None:
            return
        tallies = [share.tally for share in self._shares.values()]
        for tally in tallies:
            tally.input_ended = tally.input_ended and self._complete
        if self._complete and not self._stopping and all(one.input_ended for one in tallies):
            await self._opened.end_input()
        ending = "stopped" if self._stopping else "ended"
        facts = self._facts()
        facts["ending"] = ending if self._failure is None else "failed"
        await self._opened.close(**facts)

    def _facts(self) -> Facts:
        tallies = [share.tally for share in self._shares.values()]
        return {**facts_of(*tallies), "elapsed": self._elapsed}

    def _spawn(self, work: Coroutine[Any, Any, _T], share: _Share | None) -> asyncio.Task[_T]:
        task = asyncio.create_task(work)
        self._tasks[task] = share
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: "asyncio.Task[Any]") -> None:
        del self._tasks[task]
        if task.cancelled():
            if not self._stopping:
                self._interrupted()
        elif (error := task.exception()) is not None:
            self._fail(error)

    # --- pairs in any order --------------------------------------------------------------------

    async def _read(self, pairs: Iterable[Routed] | AsyncIterable[Routed]) -> None:
        """Write the input to the journal, where the workspaces' runs take it from."""
        source = InputReader(pairs, as_routed, self._changes)
        reading = asyncio.create_task(source.read())
        reading.add_done_callback(lambda _: self._changes.look())
        try:
            while True:
                await self._changes.until(lambda: len(source) > 0 or reading.done())
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
        self._complete = source.complete
        self._reading = False
        for share in self._shares.values():
            share.changes.look()

    async def _plan(self, batch: list[RoutedPair]) -> None:
        good: list[tuple[_Share, Detach]] = []
        for workspace, pair, error in batch:
            share = self._share(workspace)
            if error is None:
                good.append((share, pair))
            else:
                result = DetachResult(detach=pair, outcome=Outcome.FAILED, error=error)
                share.tally.add(result)
                self._results.add(PoolResult(workspace=workspace, result=result))
        session = self._session
        rows = await session.plan(
            [
                Item((pair.conversation_id, pair.contact_id), pair).row_in(
                    State.PENDING, None, share.workspace
                )
                for share, pair in good
            ]
        )
        for (share, pair), row in zip(good, rows, strict=True):
            if row is None or session.leaves(row):
                share.left += 1
                share.changes.look()
            elif abs(row.session) == session.number:
                share.again.append(pair)
            else:
                share.tally.settled_before += 1

    async def _take(self, share: _Share) -> AsyncGenerator[Row | Detach]:
        """Give a workspace's run what was planned for it, and at the end what occurred again."""
        last: Row | None = None
        while share.left or self._reading:
            await share.changes.until(lambda: share.left > 0 or not self._reading)
            rows = await self._session.take(share.workspace, after=last, limit=_BATCH)
            last = rows[-1] if rows else None
            share.left -= len(rows)
            for row in rows:
                yield row
        for pair in share.again:
            yield pair

    # --- workspaces ----------------------------------------------------------------------------

    def _share(self, workspace: str, pairs: Pairs | None = None) -> _Share:
        """Return a workspace's share; its run begins when it is new."""
        if workspace not in self._shares:
            share = self._shares[workspace] = _Share(
                session=self._session,
                workspace=workspace,
                durable=self._journal.path is not None,
                results=self._results,
                renew=lambda refused: self._renew(share, refused),
            )
            _ = self._spawn(self._work(share, self._take(share) if pairs is None else pairs), share)
        return self._shares[workspace]

    async def _work(self, share: _Share, pairs: Any) -> None:
        async with self._places:
            try:
                share.client = client = await self._clients(share.workspace, None)
            except WorkspaceAccessError as error:
                share.no_access, client = error, IntercomClient("none")
            options = attrs.evolve(
                self._options,
                base_url=client.base_url,
                admin_id=client.admin_id or self._options.admin_id,
            )
            share.run = bulk_run(client, options, pairs, share)
            try:
                await share.run
            except (ClientStateError, JournalError):
                raise
            except Exception as error:  # noqa: BLE001  whatever the workspace's own input raises
                self._failure = self._failure or error
                self._complete = False
            finally:
                share.run = None
                if share.client is None:
                    await client.aclose()

    def _renew(self, share: _Share, refused: Http) -> asyncio.Task[bool]:
        """Look up a refused token again, once for all requests that were refused with it."""
        if share.renewal is None or share.refused is not refused:
            share.refused = refused
            share.renewal = self._spawn(self._look_again(share, refused), None)
            share.renewal.add_done_callback(lambda _: share.changes.look())
        return share.renewal

    async def _look_again(self, share: _Share, refused: Http) -> bool:
        """Go on with another token of the same workspace, if there is one."""
        assert share.client is not None  # noqa: S101  its token was refused
        if connection_of(share.client) is not refused:
            return True
        try:
            found = await self._clients(share.workspace, refused)
            if connection_of(found) is refused:
                return False
            app = (await found.with_options(lane=Lane.BULK).whoami()).app
            if share.durable and app is not None and app.id_code is not None:
                await share.session.bind(share.workspace, app.id_code, app.name)
        except IntercomError:
            return False
        reconnect(share.client, found)
        return True
