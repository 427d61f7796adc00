"""Workspaces handed out by a real procrastinate on a real PostgreSQL, to real worker processes."""

import asyncio
import contextlib
import json
import random
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from intercom_async import Detach, InvalidArgumentError
from intercom_async.integrations.procrastinate import RunStatus
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.job_worker import SWIFT, jobs_of
from tests.support.postgres_server import PostgresServer

if sys.platform == "win32":
    pytest.skip("no SIGSTOP, and no Proactor loop for psycopg, here", allow_module_level=True)

PAIRS = 60


@pytest.fixture
def fragile() -> Iterator[PostgresServer]:
    """A server of this test's own, to be harmed."""
    server = PostgresServer(durable=True)
    server.start()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _swift(monkeypatch: pytest.MonkeyPatch) -> None:
    for (module, name), value in SWIFT.items():
        monkeypatch.setattr(module, name, value)


class World:
    """Workspaces with pairs, a database, and worker processes."""

    def __init__(self, url: str, sims: dict[str, IntercomSimulator]) -> None:
        self.url = url
        self.sims = sims
        self.run = "cleanup-7"
        self.triples = [
            (workspace, *pair)
            for workspace, sim in sims.items()
            for pair in sim.workspace.populate(
                conversations=PAIRS // 2, contacts_per_conversation=3
            )
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
            "concurrency": 3,
        }
        process.stdin.write(json.dumps(job).encode())
        process.stdin.close()
        self.processes.append(process)
        return process

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
        async with asyncio.timeout(60):
            while not holds(status := await self.jobs.status(self.run)):  # noqa: ASYNC110  of others
                await asyncio.sleep(0.03)
        return status

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
async def world_at(
    url: str, *, workspaces: int, latency: tuple[float, float] = (0.0, 0.01)
) -> AsyncIterator[World]:
    async with contextlib.AsyncExitStack() as stack:
        sims = {
            f"workspace-{number}": await stack.enter_async_context(
                IntercomSimulator(seed=number, limit=100_000, latency=latency)
            )
            for number in range(workspaces)
        }
        world = World(url, sims)
        stack.push_async_callback(world.end)
        async with world.app.open_async():
            await world.app.schema_manager.apply_schema_async()
            yield world


@pytest.fixture
async def small(postgres: PostgresServer) -> AsyncIterator[World]:
    url = await asyncio.to_thread(postgres.create, secrets.token_hex(8))
    async with world_at(url, workspaces=3) as world:
        yield world


async def test_workers_killed_and_frozen_and_a_database_restarted_account_for_every_pair_once(
    fragile: PostgresServer,
) -> None:
    async with world_at(fragile.url, workspaces=20, latency=(0.05, 0.3)) as world:
        for sim in world.sims.values():
            sim.faults.add(Fault.CLOSE_AFTER_APPLYING, probability=0.02, method="DELETE")
        submitting = await world.start("submit")
        await world.until(lambda status: status.workspaces > 0)
        submitting.kill()
        await submitting.wait()
        assert len(await asyncio.to_thread(world.rows)) < len(world.triples)
        workers = [await world.start() for _ in range(3)]
        await world.jobs.submit(world.triples, run=world.run)

        await world.until(lambda status: world.applied > 150)
        workers[0].kill()
        workers[1].send_signal(signal.SIGSTOP)
        await world.until(lambda status: world.applied > 400)
        await asyncio.to_thread(fragile.restart)
        await asyncio.sleep(0.03)

        await world.until(lambda status: world.applied > 1100)
        workers[1].send_signal(signal.SIGCONT)
        await world.until(lambda status: status.drained == status.workspaces == 20)
        for worker in workers[1:]:
            worker.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.wait(), 20) == 0
        rows = await asyncio.to_thread(world.rows)
        assert rows.keys() == set(world.triples)
        assert set(rows.values()) == {"detached"}
        assert max(max(sim.applied.values()) for sim in world.sims.values()) == 1
        assert world.applied == len(world.triples)
        assert (await world.jobs.status(world.run)).counts == {"detached": len(world.triples)}


async def test_a_worker_that_is_asked_to_stop_puts_its_workspaces_back(small: World) -> None:
    for sim in small.sims.values():
        sim.latency = 0.1
    await small.jobs.submit(small.triples, run=small.run)
    worker = await small.start()
    await small.until(lambda status: small.applied > 20)
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 20) == 0
    status = await small.jobs.status(small.run)
    assert status.in_work == 0
    assert 0 < status.counts["pending"] < len(small.triples)
    assert status.counts["detached"] == small.applied  # nothing is in doubt
    await small.start()
    await small.until(lambda status: status.drained == 3)
    await small.check()


async def test_a_run_is_paused_resumed_and_cancelled(small: World) -> None:
    for sim in small.sims.values():
        sim.latency = 0.1
    await small.jobs.submit(small.triples, run=small.run)
    await small.start()
    await small.until(lambda status: small.applied > 20)
    await small.jobs.pause(small.run)
    status = await small.until(lambda status: status.in_work == 0)
    assert (status.state, status.counts["detached"]) == ("paused", small.applied)
    assert await small.jobs.reconcile() == 0
    await small.jobs.resume(small.run)
    await small.until(lambda status: small.applied > 60)
    await small.jobs.cancel(small.run)
    status = await small.until(lambda status: status.in_work == 0)
    assert status.state == "cancelled"
    assert status.counts["pending"] == len(small.triples) - small.applied
    with pytest.raises(InvalidArgumentError, match="the name of a run that was submitted"):
        await small.jobs.pause("other")


async def test_submitting_again_adds_what_is_new_and_defers_each_workspace_once(
    small: World,
) -> None:
    assert await small.jobs.submit(small.triples[:100], run=small.run) == 100

    async def all_of_them() -> AsyncIterator[Any]:
        for workspace, conversation_id, contact_id in small.triples:
            yield workspace, Detach(conversation_id, contact_id)

    assert await small.jobs.submit(all_of_them(), run=small.run) == len(small.triples) - 100
    jobs = await small.app.job_manager.list_jobs_async(status="todo")
    assert sorted(job.task_kwargs["workspace"] for job in jobs) == sorted(small.sims)
    assert (await small.jobs.status(small.run)).counts["pending"] >= len(small.triples)
    await small.start()
    await small.until(lambda status: status.drained == 3)
    await small.check()


async def test_a_job_that_the_engine_lost_is_deferred_again(small: World) -> None:
    await small.jobs.submit(small.triples, run=small.run)
    with psycopg.connect(small.url, autocommit=True) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    await small.start()
    await small.until(lambda status: status.drained == 3)
    await small.check()


async def test_a_workspace_that_nobody_can_reach_is_told_and_not_tried_for_ever(
    small: World,
) -> None:
    (one, *_) = small.sims.values()
    one.faults.add(Fault.UNAUTHORIZED)
    await small.jobs.submit([*small.triples, ("unknown", "1", "a")], run=small.run)
    await small.start()
    status = await small.until(lambda status: status.drained == 4)
    assert status.stopped.keys() == {"workspace-0", "unknown"}
    assert "unknown" in status.stopped["unknown"]
    assert await small.jobs.reconcile() == 0


@pytest.mark.parametrize(
    "bad", [("acme", "1"), ("", "1", "a"), "acme", ("acme", "1", "a", "b", "c")]
)
async def test_what_is_no_triple_is_refused_naming_its_place(small: World, bad: object) -> None:
    with pytest.raises(InvalidArgumentError, match="item 2"):
        await small.jobs.submit([("acme", "1", "a"), bad], run=small.run)
