"""A worker process for the tests: takes chunks from a Redis stream until it is killed."""

import asyncio
import os

from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from intercom_async import IntercomPool, WorkspaceAccess
from intercom_async.integrations.taskiq import DetachJobs


def make_jobs(url: str, base_url: str) -> tuple[RedisStreamBroker, DetachJobs]:
    """What a worker and whoever sends chunks have in common."""
    broker = RedisStreamBroker(
        url, consumer_id="0", xread_block=100, idle_timeout=200, unacknowledged_lock_timeout=1.0
    )

    async def access(_: str) -> WorkspaceAccess:
        return WorkspaceAccess("token", base_url=base_url, admin_id="5017690")

    return broker, DetachJobs(broker, lambda: IntercomPool(access))


async def main() -> None:
    """Work until killed."""
    broker, _ = make_jobs(os.environ["TEST_REDIS"], os.environ["TEST_INTERCOM"])
    await run_receiver_task(broker, run_startup=True, max_async_tasks=4)


if __name__ == "__main__":
    asyncio.run(main())
