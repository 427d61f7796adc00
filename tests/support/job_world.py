"""Workspaces on simulators, a database, and worker processes to be killed and frozen."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from multiprocessing.process import BaseProcess

import procrastinate

from intercom_async import IntercomPool, WorkspaceAccess
from intercom_async.integrations import procrastinate as integration
from intercom_async.integrations.procrastinate import DetachJobs, RunStatus
from intercom_async.journal import postgres, postgres_runs
from intercom_async.pool import Directory
from intercom_async.simulator import IntercomSimulator
from tests.support import killable
from tests.support.postgres_server import PostgresServer
from tests.support.rows import Key, states_in
from tests.support.town import town

SWIFT = {
    (postgres, "LEASE"): 2.0,
    (postgres_runs, "CHUNK"): 100,
    (integration, "LOOK_EVERY"): 0.2,
}
"""What takes half a minute in life takes two seconds in a test."""


def jobs_of(
    url: str, directory: Directory, *, admin_id: str = "5017690"
) -> tuple[procrastinate.App, DetachJobs]:
    """The engine and the jobs of a test."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url, max_size=6))
    return app, DetachJobs(app, lambda: IntercomPool(directory), url, admin_id=admin_id)


def _be_worker(url: str, directory: Directory) -> None:
    for (module, name), value in SWIFT.items():
        setattr(module, name, value)
    _, jobs = jobs_of(url, directory)
    asyncio.run(jobs.work(concurrency=3, grace=2.0, fetch_job_polling_interval=0.3))


def _submit(url: str, directory: Directory, triples: list[Key], run: str) -> None:
    setattr(postgres_runs, "CHUNK", SWIFT[postgres_runs, "CHUNK"])  # noqa: B010

    def slowly() -> Iterator[Key]:
        for number, triple in enumerate(triples):
            if number % 100 == 99:
                time.sleep(0.02)
            yield triple

    async def submit() -> None:
        app, jobs = jobs_of(url, directory)
        async with app.open_async():
            await jobs.submit(slowly(), run=run)

    asyncio.run(submit())


class World:
    """Workspaces with pairs, a database, and worker processes."""

    def __init__(self, url: str, sims: dict[str, IntercomSimulator]) -> None:
        self.url = url
        self.sims = sims
        self.run = "cleanup-7"
        self.triples = [
            (workspace, *pair)
            for workspace, sim in sims.items()
            for pair in sim.workspace.populate(conversations=30, contacts_per_conversation=3)
        ]
        random.Random(1).shuffle(self.triples)
        self.directory = {
            name: WorkspaceAccess(sim.token, base_url=sim.url) for name, sim in sims.items()
        }
        self.app, self.jobs = jobs_of(url, self.directory)
        self.processes: list[BaseProcess] = []

    async def start(
        self, target: Callable[..., None] = _be_worker, *arguments: object
    ) -> BaseProcess:
        process = await asyncio.to_thread(
            killable.start, target, self.url, self.directory, *arguments
        )
        self.processes.append(process)
        return process

    async def stop(self, worker: BaseProcess) -> None:
        """Ask a worker to stop, and wait until it has."""
        worker.terminate()
        await asyncio.to_thread(worker.join, 20)
        assert worker.exitcode == 0

    def slow_down(self, limit: int) -> None:
        """Let each workspace answer so many requests in ten seconds."""
        for sim in self.sims.values():
            sim.quota.limit = limit

    @property
    def applied(self) -> int:
        return sum(sum(sim.applied.values()) for sim in self.sims.values())

    def rows(self) -> dict[Key, str]:
        return states_in(self.url, self.run)

    async def until(self, holds: Callable[[RunStatus], bool]) -> RunStatus:
        async with asyncio.timeout(180):
            while not holds(status := await self.jobs.status(self.run)):  # noqa: ASYNC110  of others
                await asyncio.sleep(0.1)
        return status

    async def until_applied(self, share: float) -> None:
        await self.until(lambda _: self.applied >= share * len(self.triples))

    async def harm(self, server: PostgresServer) -> None:
        """Have a run done by three workers, while nearly everything is killed once."""
        submitting = await self.start(_submit, self.triples, self.run)
        await self.until(lambda status: status.workspaces > 0)
        submitting.kill()
        await asyncio.to_thread(submitting.join)
        assert len(await asyncio.to_thread(self.rows)) < len(self.triples)
        workers = [await self.start() for _ in range(3)]
        await self.jobs.submit(self.triples, run=self.run)
        await self.until_applied(0.12)
        workers[0].kill()
        assert workers[1].pid is not None
        os.kill(workers[1].pid, signal.SIGSTOP)
        await self.until_applied(0.33)
        await asyncio.to_thread(server.restart)
        await self.until_applied(0.9)
        os.kill(workers[1].pid, signal.SIGCONT)
        await self.until(lambda status: status.drained == len(self.sims))
        for worker in workers[1:]:
            await self.stop(worker)
        await self.check()

    async def check(self) -> None:
        """Everything was detached once, and table, status and servers say so."""
        rows = await asyncio.to_thread(self.rows)
        assert rows.keys() == set(self.triples)
        assert set(rows.values()) == {"detached"}
        assert max(max(sim.applied.values()) for sim in self.sims.values()) == 1
        assert self.applied == len(self.triples)
        status = await self.jobs.status(self.run)
        assert status.counts == {"detached": len(self.triples)}
        assert (status.drained, status.stopped) == (len(self.sims), {})

    async def aclose(self) -> None:
        for process in self.processes:
            process.kill()
            await asyncio.to_thread(process.join)


@contextlib.asynccontextmanager
async def world_of(url: str, size: int, latency: tuple[float, float]) -> AsyncGenerator[World]:
    """Start so many workspaces, and prepare the database."""
    async with town(size, limit=100_000, latency=latency) as places:
        world = World(url, places.simulators)
        async with contextlib.aclosing(world), world.app.open_async():
            await world.app.schema_manager.apply_schema_async()
            yield world
