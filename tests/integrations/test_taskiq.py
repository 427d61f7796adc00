"""Chunks through taskiq: in memory, and with two worker processes on a real Redis, one killed."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from taskiq import InMemoryBroker

from intercom_async import IntercomPool, Outcome, WorkspaceAccess
from intercom_async.chunks import progress
from intercom_async.integrations.taskiq import DetachJobs
from intercom_async.simulator import Fault, IntercomSimulator
from tests.integrations.taskiq_worker import make_jobs
from tests.support.redis_server import RedisServer

ROOT = Path(__file__).parents[2]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds, for a while."""
    deadline = time.monotonic() + 20.0
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


class TestInMemory:
    async def test_all_chunks_of_all_workspaces_are_gone_through_one_after_the_other(
        self, tmp_path: Path
    ) -> None:
        async with IntercomSimulator(limit=100_000) as sim:
            pairs = {key: sim.workspace.populate(conversations=25) for key in ("acme", "umbrella")}
            triples = [(key, *pair) for key, own in pairs.items() for pair in own]
            broker = InMemoryBroker()
            access = WorkspaceAccess(sim.token, base_url=sim.url)
            jobs = DetachJobs(broker, lambda: IntercomPool(lambda _: access))
            await broker.startup()
            plan = await jobs.submit(triples, tmp_path, admin_id=sim.admin_id, size=10)
            assert plan.chunks == {"acme": 3, "umbrella": 3}
            await until(lambda: progress(tmp_path).finished)
            assert await jobs.resume(tmp_path) == 0
            await broker.shutdown()
        found = progress(tmp_path).summary
        assert {key: own.total for key, own in found.workspaces.items()} == dict.fromkeys(pairs, 25)
        assert found.outcomes[Outcome.DETACHED] == 50
        assert set(sim.applied.values()) == {1}

    async def test_a_workspace_that_refused_is_taken_up_again_by_resume(
        self, tmp_path: Path
    ) -> None:
        async with IntercomSimulator(limit=100_000) as sim:
            pairs = sim.workspace.populate(conversations=15)
            broker = InMemoryBroker(await_inplace=True)
            access = WorkspaceAccess(sim.token, base_url=sim.url, admin_id=sim.admin_id)
            jobs = DetachJobs(broker, lambda: IntercomPool(lambda _: access))
            await broker.startup()
            sim.faults.add(Fault.UNAUTHORIZED)
            await jobs.submit([("acme", *pair) for pair in pairs], tmp_path, size=5)
            refused = progress(tmp_path).summary
            assert (refused.total, refused.settled) == (5, 0)
            sim.faults.clear()
            assert await jobs.resume(tmp_path) == 1
            assert progress(tmp_path).finished
            await broker.shutdown()


class TestWorkers:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[RedisServer]:
        server = RedisServer(tmp_path)
        server.start()
        yield server
        server.close()

    async def test_a_killed_worker_s_chunks_are_finished_by_another(
        self, server: RedisServer, tmp_path: Path
    ) -> None:
        workspaces = ("acme", "umbrella", "initech")
        async with IntercomSimulator(limit=100_000, latency=0.05) as sim:
            triples = [
                (key, *pair)
                for key in workspaces
                for pair in sim.workspace.populate(conversations=90)
            ]
            environment = os.environ | {"TEST_REDIS": server.url, "TEST_INTERCOM": sim.url}
            broker, jobs = make_jobs(server.url, sim.url)
            await broker.startup()

            def work() -> subprocess.Popen[bytes]:
                command = [sys.executable, "-m", "tests.integrations.taskiq_worker"]
                return subprocess.Popen(command, cwd=ROOT, env=environment)

            doomed = work()
            try:
                plan = await jobs.submit(triples, tmp_path / "plan", size=30)
                await until(lambda: sim.requests.in_flight > 0 and sum(sim.applied.values()) > 60)
            finally:
                doomed.kill()
                doomed.wait()
            done = progress(tmp_path / "plan").summary.settled
            assert done < plan.pairs
            heir = work()
            try:
                # The broker looks for what was left when something new comes.
                assert await jobs.resume(tmp_path / "plan") == len(workspaces)
                await until(lambda: progress(tmp_path / "plan").finished)
            finally:
                heir.kill()
                heir.wait()
            await broker.shutdown()
        found = progress(tmp_path / "plan").summary
        assert found.total == found.settled == plan.pairs
        assert found.outcomes[Outcome.DETACHED] == plan.pairs
        # Nothing settled was repeated: only what was in flight at the kill may be asked twice.
        assert set(sim.applied.values()) == {1}
        assert sim.requests.by_method["DELETE"] <= plan.pairs + 3 * 64
