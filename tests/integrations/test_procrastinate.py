"""Workspaces handed out by a real procrastinate on a real PostgreSQL, to real worker processes."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from typing import Any

import attrs
import psycopg
import pytest
from procrastinate.jobs import Status

from intercom_async import Detach, InvalidArgumentError
from intercom_async.simulator import Fault
from tests.journal.helpers import until
from tests.support.job_world import SWIFT, World, jobs_of, world_of
from tests.support.postgres_server import PostgresServer

if sys.platform == "win32":
    pytest.skip("no SIGSTOP, and no Proactor loop for psycopg, here", allow_module_level=True)


@pytest.fixture(autouse=True)
def _swift(monkeypatch: pytest.MonkeyPatch) -> None:
    for (module, name), value in SWIFT.items():
        monkeypatch.setattr(module, name, value)


@pytest.fixture(params=[(0.0, 0.01)])
async def world(postgres: PostgresServer, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    url = await asyncio.to_thread(postgres.create, secrets.token_hex(8))
    async with world_of(url, 3, request.param) as world:
        yield world


slow = pytest.mark.parametrize("world", [(0.05, 0.1)], indirect=True)


async def test_killed_and_frozen_workers_and_a_database_restarted_account_for_all_once() -> None:
    with PostgresServer(durable=True) as fragile:
        async with world_of(fragile.url, 10, (0.05, 0.3)) as world:
            for sim in world.sims.values():
                sim.faults.add(Fault.CLOSE_AFTER_APPLYING, probability=0.02, method="DELETE")
            await world.harm(fragile)


@slow
async def test_a_worker_that_is_asked_to_stop_puts_its_workspaces_back(world: World) -> None:
    world.slow_down(25)
    await world.jobs.submit(world.triples, run=world.run)
    worker = await world.start()
    await world.until(lambda status: world.applied > 20)
    await world.stop(worker)
    status = await world.jobs.status(world.run)
    assert status.in_work == 0
    assert 0 < status.counts["pending"] < len(world.triples)
    assert status.counts["detached"] == world.applied  # nothing is in doubt
    world.slow_down(100_000)
    await world.jobs.reconcile()
    await world.jobs.work(wait=False)
    await world.check()


@slow
async def test_a_run_is_paused_resumed_and_cancelled(world: World) -> None:
    world.slow_down(25)
    await world.jobs.submit(world.triples, run=world.run)
    await world.start()
    await world.until(lambda status: world.applied > 20)
    await world.jobs.pause(world.run)
    status = await world.until(lambda status: status.in_work == 0)
    assert (status.state, status.counts["detached"]) == ("paused", world.applied)
    assert await world.jobs.reconcile() == 0
    await world.jobs.resume(world.run)
    await world.until(lambda status: world.applied > 60)
    await world.jobs.cancel(world.run)
    status = await world.until(lambda status: status.in_work == 0)
    assert status.state == "cancelled"
    assert status.counts["pending"] == len(world.triples) - world.applied
    with pytest.raises(InvalidArgumentError, match="the name of a run that was submitted"):
        await world.jobs.pause("other")


async def test_submitting_again_adds_what_is_new_and_defers_each_workspace_once(
    world: World,
) -> None:
    for bad, told in ((("acme", "1"), "item 2"), (("acme", 1.5, "a"), "conversation_id")):
        with pytest.raises(InvalidArgumentError, match=told):
            await world.jobs.submit([world.triples[0], bad], run=world.run)
    assert await world.jobs.submit(world.triples[:100], run=world.run) == 100

    async def all_of_them() -> AsyncIterator[Any]:
        for workspace, conversation_id, contact_id in world.triples:
            yield workspace, Detach(conversation_id, contact_id)

    assert await world.jobs.submit(all_of_them(), run=world.run) == len(world.triples) - 100
    jobs = await world.app.job_manager.list_jobs_async(status="todo")
    assert sorted(str(job.task_kwargs["workspace"]) for job in jobs) == sorted(world.sims)
    assert (await world.jobs.status(world.run)).counts == {"pending": len(world.triples)}
    await world.jobs.work(wait=False)
    await world.check()


async def test_a_job_that_the_engine_lost_is_deferred_again_and_one_too_many_asks_nothing(
    world: World,
) -> None:
    await world.jobs.submit(world.triples, run=world.run)
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing'")  # of dead workers
    working = asyncio.create_task(world.jobs.work(fetch_job_polling_interval=0.1))
    await world.until(lambda status: status.drained == 3)
    workspace, sim = next(iter(world.sims.items()))
    requests = sim.requests.total
    job = world.app.configure_task("intercom_async.drain", queue="intercom_async")
    number = await job.defer_async(run=world.run, workspace=workspace)
    status = None
    while status != Status.SUCCEEDED:
        await asyncio.sleep(0.03)
        status = await world.app.job_manager.get_job_status_async(number)
    world.jobs.stop()
    await working
    assert sim.requests.total == requests
    await world.check()


async def test_a_workspace_that_hangs_takes_one_place_of_a_worker(world: World) -> None:
    hanging = world.sims["ws0"]
    hanging.faults.add(Fault.HANG, probability=1.0)
    first = [triple for triple in world.triples if triple[0] == "ws0"]
    await world.jobs.submit(first, run=world.run)
    working = asyncio.create_task(world.jobs.work(concurrency=2, fetch_job_polling_interval=0.05))
    job = world.app.configure_task("intercom_async.drain", queue="intercom_async")
    await until(lambda: hanging.requests.total > 0)
    async with asyncio.timeout(30):
        await job.defer_async(run=world.run, workspace="ws0")  # as another worker does
        while await world.app.job_manager.list_jobs_async(status="todo"):  # noqa: ASYNC110
            await asyncio.sleep(0.03)
        await world.jobs.submit(world.triples, run=world.run)
        await world.until(lambda status: status.drained == 2)
    world.jobs.stop()
    await working
    assert hanging.requests.total == 1


async def test_a_workspace_that_nobody_can_reach_is_told_and_not_tried_for_ever(
    world: World,
) -> None:
    (one, *_) = world.sims.values()
    one.faults.add(Fault.UNAUTHORIZED)
    await world.jobs.submit([*world.triples, ("unknown", "1", "a")], run=world.run)
    await world.jobs.work(wait=False)
    status = await world.jobs.status(world.run)
    assert status.drained == 4
    assert status.stopped.keys() == {"ws0", "unknown"}
    assert "unknown" in status.stopped["unknown"]
    assert await world.jobs.reconcile() == 0


async def test_the_admin_of_a_workspaces_access_goes_before_the_jobs(world: World) -> None:
    access = {
        name: attrs.evolve(world.directory[name], admin_id=sim.admin_id)
        for name, sim in world.sims.items()
    }
    app, jobs = jobs_of(world.url, access, admin_id="1")
    async with app.open_async():
        await jobs.submit(world.triples, run=world.run)
    await jobs.work(wait=False)
    await world.check()  # no workspace has an admin 1
