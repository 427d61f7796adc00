"""200 workspaces on one PostgreSQL, drained by 1, 2 and 4 worker processes, in real time.

A simulator for each workspace lives in this process; the workers are `DetachJobs.work` in processes
of their own. The simulators' counters say how much of each workspace's quota was used in two whole
windows, what was refused and whether anything was applied twice. Most of a pair's cost here is its
workspace's, which is opened, renewed and noted for only one pair a second.

What 10^8 pairs of 5,000 workspaces (20,000 each) come to, from what was measured on two cores:

- Time. A workspace takes two minutes at its 1,667 requests in ten seconds, so the cores are the
  bound. A pair needs 0.2 to 0.3 ms of a worker's CPU and 0.04 ms of the database's (64 pairs in
  flight in one workspace share statements) to 0.5 ms (a statement for each of its two writes). So
  8 cores of workers and 8 of a database take an hour or two. `COPY` loads 63,000 pairs a second.
- Writes. 30,000 to 50,000 rows a second, at worst in as many commits, which share their `fsync`.
- Size. 312 bytes a pair as loaded (179 in the table, the rest its key), up to twice that before a
  vacuum: 31 to 60 GB. `status` adds up 5,000 x 3 counts, in some 20 ms.
- What breaks first: connections. Each workspace in work holds one, and PostgreSQL allows 100 by
  default: two workers with 50 workspaces. A pooler in transaction mode lifts that (20 workspaces
  went through 3 connections of PgBouncer). Next is a disk that does only 2,000 `fsync` a second.
  Last is the vacuum, which has to clear 50,000 dead rows a second.
"""

import asyncio
import time
from contextlib import AsyncExitStack, closing, suppress
from typing import TYPE_CHECKING, Any, Final

import psycopg

from benchmarks.frame import Bound, Figure, Options, Table
from benchmarks.process import cpu_of_children, process
from intercom_async import WorkspaceAccess
from intercom_async.pool import Directory
from intercom_async.simulator import IntercomSimulator
from tests.support.job_world import jobs_of
from tests.support.postgres_server import PostgresServer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WINDOW: Final = 10.0
WINDOWS: Final = 2
LIMIT: Final = 10
"""Requests of each workspace in ten seconds: few, because two cores serve all of them."""

BEGIN: Final = 30.0
"""Seconds that the workers have to take all workspaces up, at most."""

_RUN: Final = "benchmark"


def measure(options: Options) -> list[Table]:
    workspaces, numbers = (20, (1, 2)) if options.quick else (200, (1, 2, 4))
    server = PostgresServer(durable=True, connections=2 * workspaces + 100)
    server.start()
    with closing(server):
        measured = {
            f"{number} worker processes": [_measure(server, number, workspaces)]
            for number in numbers
        }
    used, refused, applied = (
        dict.fromkeys(measured, bound)
        for bound in (Bound("value", 98.0, least=True), Bound("value", 0.2), Bound("value", 1))
    )
    figures = [
        Figure("quota used in two windows, of the workspace that used least", "%"),
        Figure("quota used in two windows", "%", used),
        Figure("requests refused", "%", refused),
        Figure("a detach was applied at most", "times", applied),
        Figure("all in work, the interpreters' start included", "s"),
        Figure("CPU of the workers", "ms a pair"),
        Figure("CPU of the database", "ms a pair"),
    ]
    return [Table(figures, measured)]


def _measure(server: PostgresServer, processes: int, workspaces: int) -> tuple[float, ...]:
    url = server.create(f"with_{processes}")
    simulators = [IntercomSimulator(limit=LIMIT, latency=(0.02, 0.2)) for _ in range(workspaces)]
    first, taken_up, workers = asyncio.run(_run(url, processes, simulators))
    with psycopg.connect(url) as connection:
        counted = "SELECT sum(pairs)::bigint FROM intercom_count WHERE state = 'detached'"
        ((done,),) = connection.execute(counted).fetchall()
    before = cpu_of_children()
    server.stop()  # which waits for its own children
    database = cpu_of_children() - before
    server.start()
    usage = [
        [one for one in simulator.quota.windows if 0 <= one.start - first < WINDOWS * WINDOW]
        for simulator in simulators
    ]
    used = [100.0 * sum(one.accepted for one in each) / (LIMIT * WINDOWS) for each in usage]
    refused = sum(one.refused for each in usage for one in each)
    sent = refused + sum(one.accepted for each in usage for one in each)
    return (
        min(used),
        sum(used) / len(used),
        100.0 * refused / sent,
        max(max(one.applied.values(), default=0) for one in simulators),
        taken_up,
        1000 * workers / done,
        1000 * database / done,
    )


def _work(pipe: "Connection[Any, Any]", url: str, directory: Directory, concurrency: int) -> None:
    """Be a worker until the pipe is closed."""

    async def work() -> None:
        _, jobs = jobs_of(url, directory)
        working = jobs.work(concurrency=concurrency, fetch_job_polling_interval=1)
        task = asyncio.create_task(working)
        with suppress(EOFError):
            await asyncio.to_thread(pipe.recv)
        jobs.stop()
        await task

    asyncio.run(work())


async def _run(
    url: str, processes: int, simulators: list[IntercomSimulator]
) -> tuple[float, float, float]:
    """Return when the first measured window began, how long the start took, and CPU seconds."""
    before = cpu_of_children()
    async with AsyncExitStack() as stack:
        for one in simulators:
            await stack.enter_async_context(one)
        directory = {
            str(number): WorkspaceAccess(one.token, base_url=one.url)
            for number, one in enumerate(simulators)
        }
        pairs = (
            (str(number), *pair)
            for number, one in enumerate(simulators)
            for pair in one.workspace.populate(conversations=(WINDOWS + 4) * LIMIT)
        )
        app, jobs = jobs_of(url, directory)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await jobs.submit(pairs, run=_RUN)
        at_once = -(-len(simulators) // processes)
        for _ in range(processes):
            stack.enter_context(process(_work, url, directory, at_once))
        began = time.time()
        while time.time() < began + BEGIN:
            if (await jobs.status(_RUN)).in_work == len(simulators):
                break
            await asyncio.sleep(0.5)
        taken_up = time.time() - began
        first = (time.time() // WINDOW + 1.0) * WINDOW
        await asyncio.sleep(first + WINDOWS * WINDOW + 0.2 - time.time())
    return first, taken_up, cpu_of_children() - before
