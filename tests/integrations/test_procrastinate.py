"""Workspaces handed out by a real procrastinate on a real PostgreSQL, to real worker processes."""

import asyncio
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import procrastinate
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException

from intercom_async import Detach, IntercomPool, InvalidArgumentError, WorkspaceAccess
from intercom_async.integrations.procrastinate import DetachJobs
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.job_worker import SWIFT
from tests.support.job_world import World, world_of
from tests.support.postgres_server import PostgresServer

if sys.platform == "win32":
    pytest.skip("no SIGSTOP, and no Proactor loop for psycopg, here", allow_module_level=True)


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


def simulators(
    number: int, latency: tuple[float, float] = (0.0, 0.01)
) -> dict[str, IntercomSimulator]:
    return {
        f"workspace-{one}": IntercomSimulator(seed=one, limit=100_000, latency=latency)
        for one in range(number)
    }


@pytest.fixture
async def small(postgres: PostgresServer) -> AsyncIterator[World]:
    url = await asyncio.to_thread(postgres.create, secrets.token_hex(8))
    async with world_of(url, simulators(3)) as world:
        yield world


@pytest.fixture
async def slow(postgres: PostgresServer) -> AsyncIterator[World]:
    url = await asyncio.to_thread(postgres.create, secrets.token_hex(8))
    async with world_of(url, simulators(3, (0.1, 0.2))) as world:
        yield world


async def test_workers_killed_and_frozen_and_a_database_restarted_account_for_every_pair_once(
    fragile: PostgresServer,
) -> None:
    async with world_of(fragile.url, simulators(10, (0.05, 0.3))) as world:
        for sim in world.sims.values():
            sim.faults.add(Fault.CLOSE_AFTER_APPLYING, probability=0.02, method="DELETE")
        await world.harm(fragile)


async def test_a_worker_that_is_asked_to_stop_puts_its_workspaces_back(slow: World) -> None:
    await slow.jobs.submit(slow.triples, run=slow.run)
    worker = await slow.start()
    await slow.until(lambda status: slow.applied > 20)
    worker.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(worker.wait(), 20) == 0
    status = await slow.jobs.status(slow.run)
    assert status.in_work == 0
    assert 0 < status.counts["pending"] < len(slow.triples)
    assert status.counts["detached"] == slow.applied  # nothing is in doubt
    await slow.start()
    await slow.until(lambda status: status.drained == 3)
    await slow.check()


async def test_a_run_is_paused_resumed_and_cancelled(slow: World) -> None:
    await slow.jobs.submit(slow.triples, run=slow.run)
    await slow.start()
    await slow.until(lambda status: slow.applied > 20)
    await slow.jobs.pause(slow.run)
    status = await slow.until(lambda status: status.in_work == 0)
    assert (status.state, status.counts["detached"]) == ("paused", slow.applied)
    assert await slow.jobs.reconcile() == 0
    await slow.jobs.resume(slow.run)
    await slow.until(lambda status: slow.applied > 60)
    await slow.jobs.cancel(slow.run)
    status = await slow.until(lambda status: status.in_work == 0)
    assert status.state == "cancelled"
    assert status.counts["pending"] == len(slow.triples) - slow.applied
    with pytest.raises(InvalidArgumentError, match="the name of a run that was submitted"):
        await slow.jobs.pause("other")


async def test_submitting_again_adds_what_is_new_and_defers_each_workspace_once(
    small: World,
) -> None:
    assert await small.jobs.submit(small.triples[:100], run=small.run) == 100

    async def all_of_them() -> AsyncIterator[Any]:
        for workspace, conversation_id, contact_id in small.triples:
            yield workspace, Detach(conversation_id, contact_id)

    assert await small.jobs.submit(all_of_them(), run=small.run) == len(small.triples) - 100
    jobs = await small.app.job_manager.list_jobs_async(status="todo")
    assert sorted(str(job.task_kwargs["workspace"]) for job in jobs) == sorted(small.sims)
    assert (await small.jobs.status(small.run)).counts == {"pending": len(small.triples)}
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


async def test_a_job_too_many_asks_nothing_where_all_is_worked_off(small: World) -> None:
    await small.jobs.submit(small.triples, run=small.run)
    await small.jobs.work(wait=False)
    workspace, sim = next(iter(small.sims.items()))
    requests = sim.requests.total
    job = small.app.configure_task("intercom_async.drain", queue="intercom_async")
    async with small.app.open_async():  # `work` closed it
        await job.defer_async(run=small.run, workspace=workspace)
    await small.jobs.work(wait=False)
    assert sim.requests.total == requests
    await small.check()


async def test_a_job_whose_end_the_engine_could_not_write_down_holds_nobody_up(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, failures = small.app.job_manager.finish_job_by_id_async, ["the database restarts"]

    async def flaky(*arguments: Any, **options: Any) -> None:
        if failures:
            raise ConnectorException(failures.pop())
        await finish(*arguments, **options)

    monkeypatch.setattr(small.app.job_manager, "finish_job_by_id_async", flaky)
    await small.jobs.submit(small.triples[:10], run=small.run)
    working = asyncio.create_task(small.jobs.work(fetch_job_polling_interval=0.1))
    await small.until(lambda status: status.drained == status.workspaces and not failures)
    await small.jobs.submit(small.triples, run=small.run)
    await small.until(lambda status: status.drained == 3)
    small.jobs.stop()
    await working
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


async def test_the_admin_of_a_workspaces_access_goes_before_the_jobs(small: World) -> None:
    access = {
        name: WorkspaceAccess("token", base_url=sim.url, admin_id=sim.admin_id)
        for name, sim in small.sims.items()
    }
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=small.url))
    jobs = DetachJobs(app, lambda: IntercomPool(access), small.url, admin_id="1")
    async with app.open_async():
        await jobs.submit(small.triples, run=small.run)
    await jobs.work(wait=False)
    with psycopg.connect(small.url) as connection:
        found = connection.execute("SELECT DISTINCT admin_id FROM intercom_pair").fetchall()
    assert {admin_id for (admin_id,) in found} == {sim.admin_id for sim in small.sims.values()}
