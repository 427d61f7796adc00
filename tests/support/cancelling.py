"""Cancel coroutines at their n-th suspension: whatever they await there, however deep inside."""

import asyncio
import contextlib
import enum
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


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

    def suspended(self, awaited: Any) -> Any:
        """The current task awaits this."""
        self._left -= 1
        if self._left == 0:
            task = asyncio.current_task()
            assert task is not None
            if self._moment is Moment.READY and asyncio.isfuture(awaited):
                awaited.add_done_callback(lambda _: task.cancel())
            else:
                task.cancel()
        return awaited


class _Counted(Coroutine[Any, Any, _T], Generic[_T]):
    """A coroutine whose suspensions are counted."""

    def __init__(self, inner: Coroutine[Any, Any, _T], countdown: Countdown) -> None:
        self.__qualname__ = _name_of(inner)
        self._inner = inner
        self._countdown = countdown

    def send(self, value: Any) -> Any:
        return self._countdown.suspended(self._inner.send(value))

    def throw(
        self,
        kind: Any,
        value: Any = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        # What is awaited may fail, and the coroutine go on.
        raised: BaseException = kind if value is None else value
        return self._countdown.suspended(self._inner.throw(raised))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, None, _T]:
        raise NotImplementedError("it runs in a task of its own")


def _name_of(coroutine: object) -> str:
    return str(getattr(coroutine, "__qualname__", ""))


async def cancelled_at(inner: Coroutine[Any, Any, object], countdown: Countdown) -> bool:
    """Run a coroutine in a task of its own under the countdown; whether it was cancelled."""
    task = asyncio.create_task(_Counted(inner, countdown))
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
        assert isinstance(coroutine, Coroutine)
        if _name_of(coroutine).partition(".")[0] == owner:
            coroutine = _Counted(coroutine, countdown)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(start)
    try:
        yield
    finally:
        loop.set_task_factory(None)
