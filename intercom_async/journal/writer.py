"""The thread that writes a journal. While it works, rows collect for its next batch."""

import asyncio
import functools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from intercom_async.journal.errors import (
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    again,
)
from intercom_async.journal.row import Row
from intercom_async.journal.store import Store

_Result = TypeVar("_Result")

Done = Callable[[BaseException | None], None]
"""Called when a row is on the disk, or with the reason why it cannot be."""

_Rows = list[tuple[Row, Done]]


class Writer:
    """The one thread that uses a store.

    Attributes:
        failure: what went wrong first; nothing is written after it.
        process: the one whose thread it is; a forked child has none.
        closing: done when the store is closed; None before `close`.
    """

    def __init__(self, thread: ThreadPoolExecutor, store: Store) -> None:
        self.store = store
        self.failure: JournalError | None = None
        self.process = os.getpid()
        self.closing: asyncio.Future[None] | None = None
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._rows: _Rows = []
        self._writing = 0
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, opening: Callable[[], Store]) -> Self:
        """Open a store in a thread of its own; a cancelled caller leaves nothing open."""
        loop = asyncio.get_running_loop()
        # The thread's frame keeps the store. In a forked child that frame is never freed, so the
        # database is not closed there: that could cut the log of its parent's.
        kept: list[Store] = []
        thread = ThreadPoolExecutor(1, "intercom-journal", _ignore, (kept,))
        try:
            await outlast(loop.run_in_executor(thread, lambda: kept.append(opening())))
        except BaseException:
            for store in kept:
                await outlast(loop.run_in_executor(thread, store.let_go))
            thread.shutdown()
            raise
        return cls(thread, kept[0])

    @property
    def backlog(self) -> int:
        """Rows that wait."""
        return len(self._rows)

    def add(self, row: Row, done: Done, within: float) -> None:
        """Have a row written within some seconds, or when the batch before it is."""
        self._rows.append((row, done))
        due = self._loop.time() + within
        if due < self._due:
            self._due = due
            self._plan()

    def do(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """Have some work done now, after the rows that were added before."""
        self._write()
        return self._loop.run_in_executor(self._thread, self._attempt, work)

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._writing and self._due < math.inf:
            self._timer = self._loop.call_at(self._due, self._write)

    def _write(self) -> None:
        rows, self._rows, self._due = self._rows, [], math.inf
        if rows:
            self._writing += 1
            work = functools.partial(self.store.write, [row for row, _ in rows])
            writing = self._loop.run_in_executor(self._thread, self._attempt, work)
            writing.add_done_callback(functools.partial(self._written, rows))

    def _written(self, rows: _Rows, writing: asyncio.Future[None]) -> None:
        self._writing -= 1
        self._plan()
        error = writing.exception()
        for _, done in rows:
            done(None if error is None else again(error))

    def _attempt(self, work: Callable[[], _Result]) -> _Result:
        if self.failure is not None:
            raise again(self.failure)
        try:
            return self.store.attempt(work)
        except (JournalMismatchError, JournalLockedError):  # of one workspace of many
            raise
        except JournalError as error:
            self.failure = again(error)
            raise

    async def close(self, facts: Mapping[str, Any] | None = None) -> None:
        """Write what waits and, unless something failed, a session's last numbers; end the thread.

        A cancelled call does so too, before it raises.
        """
        if self.closing is None:
            self._write()
            self.closing = self._loop.run_in_executor(self._thread, self._let_go, [], facts)
        try:
            await outlast(self.closing)
        finally:
            self._thread.shutdown()

    def forget(self) -> None:
        """Do what `close` does, without a loop, and without waiting for it."""
        if os.getpid() != self.process:
            return
        rows, self._rows = self._rows, []
        last = functools.partial(self._let_go, [row for row, _ in rows], None)
        try:
            self._thread.submit(last)
        except RuntimeError:  # the interpreter ends, and the thread has done so
            last()
        self._thread.shutdown(wait=False)

    def _let_go(self, rows: Sequence[Row], facts: Mapping[str, Any] | None) -> None:
        try:
            if rows:
                self._attempt(functools.partial(self.store.write, rows))
            if facts is not None and self.failure is None:
                self._attempt(functools.partial(self.store.close, facts))
        finally:
            self.store.let_go()


async def outlast(future: asyncio.Future[_Result]) -> _Result:
    """Await something that a cancelled caller must not leave unfinished."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        future.exception()  # the cancelled caller cannot ask for it
        raise cancelled
    return future.result()


def _ignore(*_: object) -> None:
    pass
