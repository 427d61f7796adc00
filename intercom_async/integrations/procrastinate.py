"""Many workspaces on many machines: PostgreSQL keeps the pairs, procrastinate hands out the work.

::

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL))
    jobs = DetachJobs(app, lambda: IntercomPool(token_of_workspace), URL)

    async with app.open_async():
        await jobs.submit(triples, run="cleanup-7")      # anywhere, once or again

    asyncio.run(jobs.work())                             # on as many machines as there are

One job is one workspace of a run; it sends the pairs that the run's table has left. The engine may
lose a job or run it twice, but no pair is lost or sent twice: a lease in the table gives each
workspace one owner, and a workspace with pairs left, no owner and no waiting job gets a new job.
What the engine notes about jobs that have begun does not matter.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Final

from intercom_async.integrations import missing

try:
    import procrastinate
    from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
except ModuleNotFoundError as error:
    raise missing(__name__, error) from error

from intercom_async.errors import (
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    InvalidArgumentError,
    WorkspaceAccessError,
)
from intercom_async.journal import (
    Journal,
    JournalError,
    JournalLockedError,
    JournalLostError,
    JournalMismatchError,
    Source,
)
from intercom_async.journal.postgres_runs import Loaded, Runs, RunStatus
from intercom_async.pairs import as_routed
from intercom_async.people import each
from intercom_async.pool import IntercomPool

if TYPE_CHECKING:
    from intercom_async.bulk.run import DetachRun

__all__ = ["DetachJobs", "RunStatus"]

_TASK: Final = "intercom_async.drain"
LOOK_EVERY: Final = 5.0
"""Seconds between two looks of a worker for workspaces without a worker, and for runs that were
paused or cancelled."""

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)

_logger = logging.getLogger("intercom_async")


class DetachJobs:
    """Detaches in many workspaces, by any number of workers.

    Args:
        app: the engine; its own tables must be there (`app.schema_manager.apply_schema_async()`).
        open_pool: makes the pool that lends a worker its clients.
        url: of the database, for the runs' tables; a direct connection or a pooler.
        admin_id: for pairs that name no admin; None for the token's own.
    """

    def __init__(
        self,
        app: procrastinate.App,
        open_pool: Callable[[], AbstractAsyncContextManager[IntercomPool]],
        url: str,
        *,
        admin_id: str | int | None = None,
        queue: str = "intercom_async",
    ) -> None:
        self._app = app
        self._open_pool = open_pool
        self._url = url
        self._admin_id = admin_id
        self._queue = queue
        self._runs = Runs(url)
        # This worker's workspaces; None before their run begins and after it was stopped.
        self._here: dict[tuple[str, str], DetachRun | None] = {}
        self._pool: IntercomPool | None = None
        self._stopping = False
        self._worker: asyncio.Task[None] | None = None
        self._task = app.task(name=_TASK, queue=queue)(self._work_off)

    # --- runs ----------------------------------------------------------------------------------

    async def submit(self, pairs: Iterable[Any] | AsyncIterable[Any], *, run: str) -> int:
        """Put pairs into a run, for workers to send; return how many were new.

        After a crash, submit the same again: pairs that are there stay as they are, and pairs that
        failed are tried again in the workspaces that `pairs` name.

        Args:
            pairs: as `IntercomPool.detach_contacts` takes them; pulled lazily, 50,000 at once.
            run: its name, new or not.

        Raises:
            InvalidArgumentError: something that is no such pair, named with its place.
            JournalError: the database cannot be used.
        """
        new = await self._runs.load(run, "detach", _routed(pairs))
        await self.reconcile()
        return new

    async def status(self, run: str) -> RunStatus:
        """Return a run in numbers."""
        return await self._runs.status(run)

    async def pause(self, run: str) -> None:
        """Make workers leave a run's workspaces within seconds, until `resume`."""
        await self._set_state(run, "paused")

    async def cancel(self, run: str) -> None:
        """Make workers leave a run for good; pairs that were not sent stay pending."""
        await self._set_state(run, "cancelled")

    async def resume(self, run: str) -> None:
        """Let a run go on that was paused or cancelled."""
        await self._set_state(run, "open")
        await self.reconcile()

    async def _set_state(self, run: str, state: str) -> None:
        if not await self._runs.set_state(run, state):
            raise InvalidArgumentError("run", run, "the name of a run that was submitted")

    async def reconcile(self) -> int:
        """Defer a job for each workspace that has pairs left, no owner and no waiting job.

        Workers do it every five seconds.
        """
        waiting = await self._runs.waiting()
        if not waiting:
            return 0
        jobs = await self._app.job_manager.list_jobs_async(
            queue=self._queue, task=_TASK, status="todo"
        )
        # A job that waits for Intercom before its run begins does not own its workspace yet.
        known = {job.queueing_lock for job in jobs} | {_lock_of(*one) for one in self._here}
        deferred = 0
        for run, workspace in waiting:
            lock = _lock_of(run, workspace)
            if lock not in known:
                with contextlib.suppress(AlreadyEnqueued):
                    job = self._task.configure(queueing_lock=lock)
                    await job.defer_async(run=run, workspace=workspace)
                    deferred += 1
        return deferred

    # --- a worker ------------------------------------------------------------------------------

    async def _work_off(self, run: str, workspace: str) -> None:
        if (run, workspace) in self._here:  # a workspace that hangs must not take several places
            return
        self._here[run, workspace] = None
        try:
            await self._drain(run, workspace)
        finally:
            del self._here[run, workspace]

    async def _drain(self, run: str, workspace: str) -> None:
        """Send a workspace's pairs; while some are left, `reconcile` gives it another job."""
        loaded = await self._runs.begun(run, workspace)
        if loaded is None:
            return
        if self._pool is None:
            raise ClientStateError("only `DetachJobs.work` can do this job")
        source = Source(kind="journal")
        journal = Journal(self._url, source=source, run=run, workspace=workspace)
        try:
            async with self._pool.client(workspace) as client:
                admin_id = client.admin_id or self._admin_id
                going = client.detach_contacts(journal=journal, admin_id=admin_id)
                self._here[run, workspace] = going
                if self._stopping:
                    going.stop()
                summary = await going
        except (JournalLockedError, JournalLostError):
            return  # another worker has it
        except (WorkspaceAccessError, JournalMismatchError) as error:
            await self._runs.ended(run, workspace, loaded, str(error))
            return
        reason = summary.stopped_by
        if self._stopping or self._here[run, workspace] is None:
            return
        if isinstance(reason, ConnectionFailedError) and not isinstance(reason, CertificateError):
            _logger.warning("%s: %s", workspace, reason)
            return
        await self._runs.ended(run, workspace, loaded, None if reason is None else str(reason))

    async def work(self, *, concurrency: int = 50, grace: float = 20.0, **options: Any) -> None:
        """Work until SIGTERM or SIGINT, over restarts of the database; a second signal kills.

        Args:
            concurrency: workspaces at the same time.
            grace: seconds for requests in flight to finish when it stops.
            **options: others of `procrastinate.App.run_worker_async`; with `wait=False` it ends
                when there is no job.
        """
        options |= {"concurrency": concurrency, "shutdown_graceful_timeout": grace}
        self._stopping = False
        with contextlib.suppress(NotImplementedError):  # Windows
            for number in _SIGNALS:
                asyncio.get_running_loop().add_signal_handler(number, self.stop)
        try:
            async with self._open_pool() as self._pool:
                await self._work_on(options)
        finally:
            self._pool = None
            self._let_signals_go()

    async def _work_on(self, options: dict[str, Any]) -> None:
        """Run the engine's worker again and again, because it ends when the database restarts."""
        while not self._stopping:
            worker = self._worker = asyncio.create_task(self._work(**options))
            try:
                await asyncio.wait({worker})
            finally:
                worker.cancel()
            error = None if worker.cancelled() else worker.exception()
            if error is None and options.get("wait") is False:
                return
            if not isinstance(error, ConnectorException | JournalError | OSError | None):
                raise error
            if not self._stopping:
                _logger.warning("the worker begins again: %s", error or "it had ended")
                await asyncio.sleep(1.0)

    def stop(self) -> None:
        """End `work`: requests in flight finish, and the workspaces are free for others."""
        self._stopping = True
        self._let_signals_go()
        for going in self._here.values():
            if going is not None:
                going.stop()
        if self._worker is not None:
            self._worker.cancel()

    def _let_signals_go(self) -> None:
        with contextlib.suppress(NotImplementedError):  # Windows
            for number in _SIGNALS:
                asyncio.get_running_loop().remove_signal_handler(number)

    async def _work(self, **options: Any) -> None:
        async with self._app.open_async():
            tending = asyncio.create_task(self._tend())
            try:
                await self._app.run_worker_async(
                    queues=[self._queue], install_signal_handlers=False, **options
                )
            finally:
                tending.cancel()
                await asyncio.wait({tending})

    async def _tend(self) -> None:
        """Look for workspaces without a worker, and stop runs that were paused or cancelled."""
        while True:
            try:
                await self.reconcile()
                closed = await self._runs.not_open() if self._here else ()
                for (run, workspace), going in self._here.items():
                    if run in closed and going is not None:
                        self._here[run, workspace] = None
                        going.stop()
            except Exception as error:  # noqa: BLE001  in an outage the engine may raise anything
                _logger.warning("%s: %s", type(error).__name__, error)
            await asyncio.sleep(LOOK_EVERY)


def _lock_of(run: str, workspace: str) -> str:
    return f"intercom_async {run} {workspace}"


async def _routed(pairs: Iterable[Any] | AsyncIterable[Any]) -> AsyncIterator[Loaded]:
    place = 0
    async for item in each(pairs):
        place += 1
        workspace, pair, error = as_routed(item, place)
        if error is not None:
            raise error
        yield workspace, pair.conversation_id, pair.contact_id, pair.admin_id
        if place % 1000 == 0:
            await asyncio.sleep(0)
