"""100 workspaces with 300 pairs each and very different quotas, on three workers that are harmed.

`python -m tests.jobs_soak` takes some minutes: nothing is hurried, one worker is frozen for longer
than its lease. It ends with an assertion where the servers' truth and the table differ.
"""

import asyncio
import random
import signal
import time

from intercom_async.simulator import IntercomSimulator
from tests.support.job_world import World, world_of
from tests.support.postgres_server import PostgresServer

WORKSPACES = 100
PAIRS = 300
FROZEN = 60.0


def say(began: float, text: str) -> None:
    print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)  # noqa: T201  a script


async def until_applied(world: World, share: float) -> None:
    while world.applied < share * len(world.triples):  # noqa: ASYNC110  counted by the simulators
        await asyncio.sleep(0.05)


async def harm(world: World, server: PostgresServer, began: float) -> None:
    submitting = await world.start("submit")
    while not (await world.jobs.status(world.run)).workspaces:  # noqa: ASYNC110  of another
        await asyncio.sleep(0.01)
    submitting.kill()
    await submitting.wait()
    say(began, f"submit was killed with {len(await asyncio.to_thread(world.rows)):,} pairs loaded")
    workers = [await world.start() for _ in range(3)]
    new = await world.jobs.submit(world.triples, run=world.run)
    say(began, f"submit was repeated, {new:,} pairs were new")
    await until_applied(world, 0.1)
    workers[0].kill()
    say(began, "a worker was killed")
    await until_applied(world, 0.2)
    workers[1].send_signal(signal.SIGSTOP)
    frozen = time.monotonic()
    say(began, "a worker was frozen")
    await until_applied(world, 0.3)
    await asyncio.to_thread(server.restart)
    say(began, "the database was restarted")
    await asyncio.sleep(max(0.0, frozen + FROZEN - time.monotonic()))
    workers[1].send_signal(signal.SIGCONT)
    say(began, f"the frozen worker came back, {world.applied:,} pairs were applied")
    while (status := await world.jobs.status(world.run)).drained < WORKSPACES:
        say(
            began, f"{status.drained} workspaces drained, {status.in_work} in work, {status.counts}"
        )
        await asyncio.sleep(5.0)
    for worker in workers[1:]:
        worker.send_signal(signal.SIGTERM)
        say(began, f"a worker ended with status {await worker.wait()}")
    await world.check()
    requests = sum(sim.requests.total for sim in world.sims.values())
    refused = sum(sim.requests.refused for sim in world.sims.values())
    say(began, f"table, status and servers agree; {requests:,} requests, {refused:,} refused")


async def main() -> None:
    began = time.monotonic()
    chance = random.Random(7)
    server = PostgresServer(durable=True)
    server.start()
    try:
        sims = {
            f"workspace-{number:03}": IntercomSimulator(
                seed=number, limit=chance.choice([30, 60, 167, 500]), latency=(0.03, 0.2)
            )
            for number in range(WORKSPACES)
        }
        async with world_of(server.url, sims, pairs=PAIRS, swift=False) as world:
            await harm(world, server, began)
    finally:
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
