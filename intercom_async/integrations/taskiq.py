"""Bulk work on many machines with taskiq; any broker will do.

::

    broker = RedisStreamBroker("redis://localhost")
    jobs = DetachJobs(broker, lambda: IntercomPool(access))

    plan = await jobs.submit(pairs, "/shared/plan-7")    # anywhere
    progress("/shared/plan-7")                           # from `intercom_async.chunks`, anywhere

One message is one chunk: a workspace and a number; the pairs are in the plan's folder, which all
workers see. Only a workspace's first chunk is sent at the beginning, and a worker that is through
with a chunk sends the next one: so each workspace, and each quota, has one owner at a time, with
no routing. A worker that is killed leaves its message unacknowledged; whoever gets it again goes
on by the journal and repeats nothing that is settled. A chunk that another process holds is left
to that process. Should a broker lose a message, `resume` sends what is unfinished again, at any
time and harmlessly.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from taskiq import AsyncBroker, TaskiqEvents, TaskiqState

from intercom_async.chunks import (
    CHUNK,
    Plan,
    chunk_files,
    read_plan,
    run_chunk,
    write_plan,
)
from intercom_async.detaching import Outcome
from intercom_async.errors import ClientStateError
from intercom_async.journal import latest

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable

    from intercom_async.pool import IntercomPool
    from intercom_async.pool_run import Routed

TASK: Final = "intercom_async.chunk"
"""Name of the task by default."""


class DetachJobs:
    """Registers the task that runs a chunk, and sends chunks to it.

    Args:
        broker: of the application; workers must make this object with theirs, too.
        open_pool: makes the pool of a worker process when it starts; closed when it ends.
        name: of the task.
    """

    def __init__(
        self, broker: AsyncBroker, open_pool: "Callable[[], IntercomPool]", *, name: str = TASK
    ) -> None:
        self._open_pool = open_pool
        self._pool: IntercomPool | None = None

        async def work(folder: str, workspace: str, number: int) -> str:
            return await self._work(folder, workspace, number)

        # A function, since taskiq gives it another name, and a bound method takes none.
        self._task: Any = broker.register_task(work, task_name=name)
        broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, self._start)
        broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, self._stop)

    async def submit(
        self,
        pairs: "Iterable[Routed] | AsyncIterable[Routed]",
        folder: str | os.PathLike[str],
        *,
        admin_id: str | None = None,
        size: int = CHUNK,
    ) -> Plan:
        """Write a plan and send the first chunk of each workspace; see `write_plan`."""
        plan = await write_plan(pairs, folder, admin_id=admin_id, size=size)
        for workspace in plan.chunks:
            await self._send(folder, workspace, 1)
        return plan

    async def resume(self, folder: str | os.PathLike[str]) -> int:
        """Send, for each workspace, its first chunk with unsettled pairs; return how many."""
        plan = read_plan(folder)
        sent = 0
        for workspace, count in plan.chunks.items():
            for number in range(1, count + 1):
                if not _settled(Path(folder), workspace, number):
                    await self._send(folder, workspace, number)
                    sent += 1
                    break
        return sent

    async def _send(self, folder: str | os.PathLike[str], workspace: str, number: int) -> None:
        await self._task.kiq(os.fspath(folder), workspace, number)

    async def _work(self, folder: str, workspace: str, number: int) -> str:
        """Run one chunk and send the next."""
        if self._pool is None:
            raise ClientStateError("the worker did not start, or has ended")
        state = await run_chunk(self._pool, folder, workspace, number)
        if state == "done" and number < read_plan(folder).chunks[workspace]:
            await self._send(folder, workspace, number + 1)
        return state

    async def _start(self, _: TaskiqState) -> None:
        self._pool = self._open_pool()

    async def _stop(self, _: TaskiqState) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()


def _settled(folder: Path, workspace: str, number: int) -> bool:
    """Whether every pair of a chunk is settled."""
    pairs, journal = chunk_files(folder, workspace, number)
    if not journal.exists():
        return False
    settled = sum(Outcome(record.outcome).settled for record in latest(journal))
    with pairs.open("rb") as file:
        return settled == sum(1 for _ in file)
