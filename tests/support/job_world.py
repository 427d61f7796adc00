"""Workspaces on simulators, a database, and worker processes to be killed and frozen."""

import asyncio
import contextlib
import json
import random
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import psycopg

from intercom_async.integrations.procrastinate import RunStatus
from intercom_async.simulator import IntercomSimulator
from tests.support.job_worker import jobs_of
from tests.support.postgres_server import PostgresServer


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
        self.app, self.jobs = jobs_of(url, {name: sim.url for name, sim in sims.items()})
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self, command: str = "work") -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.job_worker", command),
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        job = {
            "url": self.url,
            "directory": {name: sim.url for name, sim in self.sims.items()},
            "run": self.run,
            "triples": self.triples if command == "submit" else [],
        }
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        self.processes.append(process)
        return process

    def slow_down(self, limit: int) -> None:
        """Let each workspace answer so many requests in ten seconds."""
        for sim in self.sims.values():
            sim.quota.limit = limit

    @property
    def applied(self) -> int:
        return sum(sum(sim.applied.values()) for sim in self.sims.values())

    def rows(self) -> dict[tuple[str, str, str], str]:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT workspace, conversation_id, contact_id, state FROM intercom_pair"
                " WHERE run = %s",
                [self.run],
            )
            return {(one, two, three): state for one, two, three, state in found}

    async def until(self, holds: Callable[[RunStatus], bool]) -> RunStatus:
        async with asyncio.timeout(180):
            while not holds(status := await self.jobs.status(self.run)):  # noqa: ASYNC110  of others
                await asyncio.sleep(0.1)
        return status

    async def until_applied(self, share: float) -> None:
        await self.until(lambda _: self.applied >= share * len(self.triples))

    async def harm(self, server: PostgresServer) -> None:
        """Have a run done by three workers, while nearly everything is killed once."""
        submitting = await self.start("submit")
        await self.until(lambda status: status.workspaces > 0)
        submitting.kill()
        await submitting.wait()
        assert len(await asyncio.to_thread(self.rows)) < len(self.triples)
        workers = [await self.start() for _ in range(3)]
        await self.jobs.submit(self.triples, run=self.run)
        await self.until_applied(0.12)
        workers[0].kill()
        workers[1].send_signal(signal.SIGSTOP)
        await self.until_applied(0.33)
        await asyncio.to_thread(server.restart)
        await self.until_applied(0.9)
        workers[1].send_signal(signal.SIGCONT)
        await self.until(lambda status: status.drained == len(self.sims))
        for worker in workers[1:]:
            worker.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.wait(), 20) == 0
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

    async def end(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def world_of(url: str, sims: dict[str, IntercomSimulator]) -> AsyncGenerator[World]:
    """Start simulators that are not started, and prepare the database."""
    async with contextlib.AsyncExitStack() as stack:
        for sim in sims.values():
            await stack.enter_async_context(sim)
        world = World(url, sims)
        stack.push_async_callback(world.end)
        async with world.app.open_async():
            await world.app.schema_manager.apply_schema_async()
            yield world
