"""Cancel a coroutine at its n-th suspension: whatever it awaits there, however deep inside."""

import asyncio
import enum
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

_T = TypeVar("_T")


class Moment(enum.Enum):
    """When exactly."""

    WAITING = "as soon as it waits"
    READY = "when what it waits for has just come, before it is told"


class CancelledAt(Coroutine[Any, Any, _T], Generic[_T]):
    """A coroutine that is cancelled at its n-th suspension.

    Args:
        inner: the coroutine; it runs in a task of its own, see `run`.
        suspension: which one, from 1.
        moment: when exactly.

    Attributes:
        suspensions: how many there were.
    """

    def __init__(self, inner: Coroutine[Any, Any, _T], suspension: int, moment: Moment) -> None:
        self.suspensions = 0
        self._inner = inner
        self._suspension = suspension
        self._moment = moment

    async def run(self) -> bool:
        """Run in a task of its own; whether it was cancelled."""
        task = asyncio.create_task(self)
        await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        return task.cancelled()

    @property
    def struck(self) -> bool:
        """Whether it came to its suspension."""
        return self.suspensions >= self._suspension

    def send(self, value: Any) -> Any:
        return self._suspended(self._inner.send(value))

    def _suspended(self, awaited: Any) -> Any:
        self.suspensions += 1
        if self.suspensions == self._suspension:
            task = asyncio.current_task()
            assert task is not None
            if self._moment is Moment.READY and asyncio.isfuture(awaited):
                awaited.add_done_callback(lambda _: task.cancel())
            else:
                task.cancel()
        return awaited

    def throw(
        self,
        kind: Any,
        value: Any = None,
        traceback: TracebackType | None = None,
    ) -> Any:
        # What is awaited may fail, and the coroutine go on.
        raised: BaseException = kind if value is None else value
        return self._suspended(self._inner.throw(raised))

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[Any, None, _T]:
        raise NotImplementedError("it runs in a task of its own")
