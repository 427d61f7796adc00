"""The input of a run: any iterable, read ahead by one task."""

import asyncio
import inspect
import operator
from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from intercom_async.bulk.changes import Changes

_AHEAD: Final = 256
"""The most pairs to read ahead."""

_BREATH: Final = 128
"""Pairs that a synchronous input may give before other tasks get the loop."""

_Taken = TypeVar("_Taken")


class InputReader(Generic[_Taken]):
    """Reads pairs ahead, all of them in one task.

    So a generator finds its own context, cancel scope, transaction or span again after each
    `yield`, as if the caller iterated over it.

    Args:
        convert: gets an item and its number, counted from 1, and returns what `take` gives.

    Attributes:
        complete: whether the input was read to its end.
        unread: pairs that are left, None if unknown.
    """

    def __init__(
        self,
        pairs: Iterable[Any] | AsyncIterable[Any] | None,
        convert: Callable[[object, int], _Taken],
        changes: Changes,
    ) -> None:
        self._pairs = pairs
        self._convert = convert
        self._changes = changes
        self._task: asyncio.Task[None] | None = None
        self._ahead: deque[_Taken] = deque()
        self._place = 0
        self.complete = False
        length = 0 if pairs is None else operator.length_hint(pairs, -1)
        self.unread: int | None = None if length < 0 else length

    def __len__(self) -> int:
        return len(self._ahead)

    async def take(self, most: int) -> list[_Taken]:
        """Return pairs, the oldest first; none after the end. The first call begins to read."""
        if self._task is None:
            self._task = asyncio.create_task(self._read())
            self._task.add_done_callback(lambda _: self._changes.look())
        reading = self._task
        await self._changes.until(lambda: len(self._ahead) > 0 or reading.done())
        taken = [self._ahead.popleft() for _ in range(min(most, len(self._ahead)))]
        self._changes.look()
        return taken

    def stop(self) -> None:
        """Read no further."""
        if self._task is not None:
            self._task.cancel()

    async def closed(self) -> None:
        """Wait until the input is closed."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def result(self) -> None:
        """Raise what the input raised; a `CancelledError` if it was not read to its end."""
        if self._task is not None:
            self._task.result()

    async def _read(self) -> None:
        try:
            if isinstance(self._pairs, AsyncIterable):
                await self._read_async(self._pairs)
            elif self._pairs is not None:
                await self._read_sync(self._pairs)
            self.complete = self._pairs is not None
        finally:
            self.unread = 0

    async def _read_async(self, pairs: AsyncIterable[Any]) -> None:
        items = aiter(pairs)
        try:
            async for item in items:
                self._take_in(item)
                await self._room()
        finally:
            close: Any = getattr(items, "aclose", None)
            if close is not None:
                await close()

    async def _read_sync(self, pairs: Iterable[Any]) -> None:
        items = iter(pairs)
        try:
            for item in items:
                self._take_in(item)
                if self._place % _BREATH == 0:
                    await asyncio.sleep(0)
                    await self._room()
        finally:
            if inspect.isgenerator(items):
                items.close()

    def _take_in(self, item: object) -> None:
        self._place += 1
        self._ahead.append(self._convert(item, self._place))
        if self.unread is not None:
            # An input that gives more than its length promised may go on for any time.
            self.unread = self.unread - 1 if self.unread else None
        if len(self._ahead) == 1:
            self._changes.look()

    async def _room(self) -> None:
        if len(self._ahead) >= _AHEAD:
            await self._changes.until(lambda: len(self._ahead) < _AHEAD)
