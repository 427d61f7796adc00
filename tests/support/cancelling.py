"""Cancel coroutines at their n-th suspension: whatever they await there, however deep inside."""

import asyncio
import contextlib
import enum
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any


class Moment(enum.Enum):
    """When exactly a task is cancelled."""

    WAITING = "as soon as it waits"
    READY = "when what it waits for has just come, before it goes on"


class Countdown:
    """Counts suspensions, from 1, and cancels the task that comes to the n-th."""

    def __init__(self, suspension: int, moment: Moment) -> None:
        self._left = suspension
        self._moment = moment

    @property
    def struck(self) -> bool:
        """Whether it came to its suspension."""
        return self._left <= 0

    async def run(self, inner: Coroutine[Any, Any, object]) -> object:
        return await self._counted(inner)

    @types.coroutine
    def _counted(self, inner: Coroutine[Any, Any, object]) -> Generator[Any, Any, object]:
        go_on: Callable[[Any], Any] = inner.send
        value: Any = None
        while True:
            try:
                awaited = go_on(value)
            except StopIteration as returned:
                return returned.value
            self._suspended(awaited)
            try:
                go_on, value = inner.send, (yield awaited)
            except BaseException as error:  # noqa: BLE001  what is awaited failed
                go_on, value = inner.throw, error

    def _suspended(self, awaited: Any) -> None:
        self._left -= 1
        if self._left == 0:
            task = asyncio.current_task()
            assert task is not None
            if self._moment is Moment.READY and asyncio.isfuture(awaited):
                awaited.add_done_callback(lambda _: task.cancel())
            else:
                task.cancel()


async def cancelled_at(inner: Coroutine[Any, Any, object], countdown: Countdown) -> bool:
    """Run a coroutine in a task of its own under the countdown; whether it was cancelled."""
    task = asyncio.create_task(countdown.run(inner))
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
    return task.cancelled()


@contextlib.contextmanager
def cancelling_tasks_of(owner: str, countdown: Countdown) -> Generator[None]:
    """Put all tasks that are started inside under one countdown, if they run methods of a class."""
    loop = asyncio.get_running_loop()

    def start(
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        **options: Any,
    ) -> asyncio.Task[Any]:
        assert isinstance(coroutine, types.CoroutineType)
        if coroutine.__qualname__.partition(".")[0] == owner:
            coroutine = countdown.run(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(start)
    try:
        yield
    finally:
        loop.set_task_factory(None)
