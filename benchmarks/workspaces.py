"""200 workspaces on one PostgreSQL, drained by 1, 2 and 4 worker processes, in real time.

    python -m benchmarks workspaces

A simulator for each workspace lives in one process; the workers are `DetachJobs.work` in processes
of their own. The simulators' counters say how much of each workspace's quota was used in two whole
windows, what was refused and whether anything was applied twice. Most of a pair's cost here is its
workspace's, which is opened, renewed and noted for only one pair a second.

An estimate for 10^8 pairs of 5,000 workspaces (20,000 pairs each, at Intercom's 1,667 requests in
ten seconds), from what was measured on two cores:

- Time. A workspace takes two minutes at its quota, so the cores are the bound, not the quotas. A
  worker needs 0.2 to 0.3 ms of CPU a pair, the database from 0.04 ms (64 pairs in flight in one
  workspace share statements) to about 0.5 ms (a statement for each of a pair's two writes).
  So 8 cores of workers and 8 of a database take an hour or two. Loading by `COPY` takes half an
  hour, at 63,000 pairs a second.
- Writes. 2 x 10^8 rows: 30,000 to 50,000 a second, in as many statements at worst. Each is a commit
  that waits for the log's `fsync`; those of one moment share it.
- Size. 312 bytes a pair as loaded (179 in the table, the rest its key), up to twice that before a
  vacuum: 31 to 60 GB. `status` adds up 5,000 x 3 counts, in some 20 ms; with 10^7 pairs of 200
  workspaces it took 10 ms, where counting the rows took 2.1 s.
- What breaks first: connections. Each workspace in work holds one, and PostgreSQL allows 100 by
  default, which is two workers with 50 workspaces. A pooler in transaction mode lifts that
  (`prepare=False`; 20 workspaces went through 3 connections of PgBouncer). Next is a disk that does
  only 2,000 `fsync` a second. Last is the vacuum, which has to clear 50,000 dead rows a second.
"""

import argparse
import asyncio
import contextlib
import resource
import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import procrastinate
import psycopg

from benchmarks.processes import process
from intercom_async import IntercomPool, WorkspaceAccess
from intercom_async.integrations.procrastinate import DetachJobs
from intercom_async.simulator import IntercomSimulator
from tests.support.postgres_server import PostgresServer

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WORKSPACES: Final = 200
PROCESSES: Final = (1, 2, 4)
WINDOW: Final = 10.0
WINDOWS: Final = 2
LIMIT: Final = 10
"""Requests of each workspace in ten seconds: few, because two cores serve all of them."""

LATENCY: Final = (0.02, 0.2)
BEGIN: Final = 30.0
"""Seconds that the workers have to take all workspaces up, at most."""

RUN: Final = "benchmark"
_DONE: Final = "SELECT sum(pairs)::bigint FROM intercom_count WHERE state = 'detached'"

Place = tuple[str, str, list[tuple[str, str]]]
"""URL, admin and pairs of one workspace."""

Usage = list[tuple[float, int, int]]
"""Begin, accepted and refused requests of each window."""


def _serve(pipe: "Connection[Any, Any]", workspaces: int) -> None:
    """Send the places through a pipe, and when it asks, what the simulators counted."""

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as stack:
            simulators = [
                await stack.enter_async_context(IntercomSimulator(limit=LIMIT, latency=LATENCY))
                for _ in range(workspaces)
            ]
            places: list[Place] = [
                (one.url, one.admin_id, one.workspace.populate(conversations=(WINDOWS + 4) * LIMIT))
                for one in simulators
            ]
            pipe.send(places)
            await asyncio.to_thread(pipe.recv)
            usages: list[Usage] = [
                [(window.start, window.accepted, window.refused) for window in one.quota.windows]
                for one in simulators
            ]
            pipe.send((usages, max(max(one.applied.values(), default=0) for one in simulators)))

    asyncio.run(serve())


def _jobs(url: str, places: list[Place]) -> tuple[procrastinate.App, DetachJobs]:
    access = {
        str(number): WorkspaceAccess("token", base_url=base_url, admin_id=admin_id)
        for number, (base_url, admin_id, _) in enumerate(places)
    }
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))
    return app, DetachJobs(app, lambda: IntercomPool(access), url)


def _work(pipe: "Connection[Any, Any]", url: str, places: list[Place], at_once: int) -> None:
    """Be a worker until the pipe says so; give it the seconds of CPU that this took."""

    async def work() -> None:
        _, jobs = _jobs(url, places)
        working = asyncio.create_task(jobs.work(concurrency=at_once, fetch_job_polling_interval=1))
        await asyncio.to_thread(pipe.recv)
        pipe.send(time.process_time())
        jobs.stop()
        await working

    asyncio.run(work())


async def _submit(url: str, places: list[Place]) -> None:
    app, jobs = _jobs(url, places)
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await jobs.submit(
            ((str(number), *pair) for number, (_, _, own) in enumerate(places) for pair in own),
            run=RUN,
        )


def measure(server: PostgresServer, processes: int, workspaces: int) -> None:
    """Measure one number of processes, and print what came out."""
    url = server.create(f"with_{processes}")
    with contextlib.ExitStack() as stack:
        simulators = stack.enter_context(process(_serve, workspaces))
        places: list[Place] = simulators.recv()
        asyncio.run(_submit(url, places))
        at_once = -(-workspaces // processes)
        workers = [
            stack.enter_context(process(_work, url, places, at_once)) for _ in range(processes)
        ]
        began = time.time()
        _, jobs = _jobs(url, places)
        while asyncio.run(jobs.status(RUN)).in_work < workspaces and time.time() < began + BEGIN:
            time.sleep(0.5)
        taken_up = time.time() - began
        first = (time.time() // WINDOW + 1.0) * WINDOW
        time.sleep(first + WINDOWS * WINDOW + 0.2 - time.time())
        for worker in workers:
            worker.send("stop")
        cpu = sum(worker.recv() for worker in workers)
        simulators.send("enough")
        usages, most = simulators.recv()
        with psycopg.connect(url) as connection:
            ((done,),) = connection.execute(_DONE).fetchall()
    before = _children()
    server.stop()  # which waits for its own children
    database = _children() - before
    server.start()
    print(f"\n== {workspaces} workspaces, {processes} worker processes, {done:,} pairs")
    print(f"all in work after {taken_up:.1f} s, the interpreters' start included\n")
    _show(usages, first)
    print(
        f"applied at most {most} x; CPU per pair: workers {1000 * cpu / done:.2f} ms, "
        f"database {1000 * database / done:.2f} ms",
        flush=True,
    )


def _show(usages: list[Usage], first: float) -> None:
    """Print used and refused percent of the workspaces, over the windows from a moment on."""
    used: list[float] = []
    refused: list[float] = []
    for usage in usages:
        measured = [one for one in usage if first <= one[0] < first + WINDOWS * WINDOW]
        accepted, struck = (sum(one[place] for one in measured) for place in (1, 2))
        used.append(100.0 * accepted / (LIMIT * WINDOWS))
        refused.append(100.0 * struck / max(1, accepted + struck))
    print(f"{'':10} {'median':>8} {'least':>8} {'most':>8}")
    for name, values in (("used %", used), ("refused %", refused)):
        print(f"{name:10} {statistics.median(values):8.1f} {min(values):8.1f} {max(values):8.1f}")


def _children() -> float:
    """Return the seconds of CPU of processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(arguments: list[str]) -> int:
    """Measure all numbers of processes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks workspaces")
    parser.add_argument("--workspaces", type=int, default=WORKSPACES)
    parser.add_argument("--processes", type=int, nargs="*", default=PROCESSES)
    options = parser.parse_args(arguments)
    server = PostgresServer(durable=True, connections=2 * options.workspaces + 100)
    server.start()
    try:
        print(f"{LIMIT} requests per window each, {WINDOWS} windows")
        for processes in options.processes:
            measure(server, processes, options.workspaces)
    finally:
        server.close()
    return 0
