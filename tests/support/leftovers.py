"""Whether something was left behind: tasks, sockets, permits, calls that wait for one."""

import asyncio
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from intercom_async import IntercomClient


def holds_nothing(client: IntercomClient) -> bool:
    """Whether no request is in flight and no call waits for its turn, as the client says."""
    status = client.rate_limit
    return status is None or not (
        status.in_flight or status.waiting_interactive or status.waiting_bulk
    )


def open_sockets() -> int:
    """How many sockets this process has open."""
    count = 0
    for path in Path("/dev/fd").iterdir():
        try:
            count += stat.S_ISSOCK(os.fstat(int(path.name)).st_mode)
        except OSError:  # the directory's own descriptor, closed by now
            continue
    return count


@asynccontextmanager
async def nothing_left_behind() -> AsyncGenerator[None]:
    """Assert that what runs inside ends with no task and no socket more than before."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    yield
    for _ in range(20):  # transports close in the loop's next turns
        await asyncio.sleep(0.01)
        if asyncio.all_tasks() <= tasks and open_sockets() <= sockets:
            return
    assert not asyncio.all_tasks() - tasks
    assert open_sockets() <= sockets
