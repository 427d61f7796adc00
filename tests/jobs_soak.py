"""100 workspaces with 300 pairs each and very different quotas, on three workers that are harmed.

`python -m tests.jobs_soak` takes some minutes: nothing is hurried, one worker is frozen for longer
than its lease. It ends with an assertion where the servers' truth and the table differ.
"""

import asyncio
import random
import time

from intercom_async.simulator import IntercomSimulator
from tests.support.job_world import world_of
from tests.support.postgres_server import PostgresServer

WORKSPACES = 100
PAIRS = 300
FROZEN = 60.0


async def main() -> None:
    began = time.monotonic()
    chance = random.Random(7)

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)  # noqa: T201  a script

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
            await world.harm(server, frozen=FROZEN, say=say)
        requests = sum(sim.requests.total for sim in sims.values())
        refused = sum(sim.requests.refused for sim in sims.values())
        say(f"table, status and servers agree; {requests:,} requests, {refused:,} refused")
    finally:
        server.close()


if __name__ == "__main__":
    asyncio.run(main())
