"""Reading an input in a thread, so that a silent pipe or a slow disk never blocks the loop."""

import asyncio
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Final, Generic, TypeVar

from intercom_async.cli.sources import BadLine
from intercom_async.cli.text import SourceError

_AHEAD: Final = 2000
"""Lines to read ahead, at most."""

_Entry = TypeVar("_Entry")


class Feed(Generic[_Entry]):
    """An async iterable of an input's entries, which counts the lines that give none.

    The iteration raises what the reading raised. The thread is a daemon: nothing can wake it from
    a read that waits.
    """

    def __init__(
        self,
        lines: Iterable[_Entry | BadLine],
        name: str,
        *,
        strict: bool = False,
        limit: int | None = None,
        complain: Callable[[BadLine], None] | None = None,
    ) -> None:
        self._lines = lines
        self._name = name
        self._strict = strict
        self._limit = limit
        self._complain = complain
        self.bad = 0
        self._changed = threading.Condition()
        self._read: list[_Entry | BadLine] = []
        self._ended = False
        self._failure: BaseException | None = None
        self._wake: Callable[[], object] | None = None

    async def __aiter__(self) -> AsyncGenerator[_Entry]:
        taken = 0
        threading.Thread(target=self._work, name="intercom-async input", daemon=True).start()
        try:
            while lines := await self._next_lines():
                for line in lines:
                    if isinstance(line, BadLine):
                        self._count_bad(line)
                    elif taken == self._limit:
                        return
                    else:
                        taken += 1
                        yield line
            if self._failure is not None:
                raise self._failure
        finally:
            with self._changed:
                self._ended, self._wake = True, None
                self._changed.notify()

    async def count(self) -> int:
        """Read it all, and return the number of entries."""
        entries = 0
        async for _ in self:
            entries += 1
        return entries

    def _count_bad(self, line: BadLine) -> None:
        if self._strict:
            raise SourceError(self._name, line.line, line.problem)
        self.bad += 1
        if self._complain is not None:
            self._complain(line)

    async def _next_lines(self) -> list[_Entry | BadLine]:
        """Wait until something was read and return it; an empty list at the end."""
        loop = asyncio.get_running_loop()
        while True:
            with self._changed:
                if self._read or self._ended:
                    lines, self._read = self._read, []
                    self._changed.notify()
                    return lines
                come = asyncio.Event()
                self._wake = functools.partial(loop.call_soon_threadsafe, come.set)
            await come.wait()

    def _work(self) -> None:
        try:
            for line in self._lines:
                with self._changed:
                    while len(self._read) >= _AHEAD and not self._ended:
                        self._changed.wait()
                    if self._ended:
                        return
                    self._read.append(line)
                    self._call()
        except OSError as error:
            self._failure = SourceError(self._name, 0, error.strerror or str(error))
        except BaseException as error:  # noqa: BLE001  raised by the iteration
            self._failure = error
        with self._changed:
            self._ended = True
            self._call()

    def _call(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()
