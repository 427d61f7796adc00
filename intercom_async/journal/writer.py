"""The thread that writes a journal: while it works, calls collect for its next turn."""

import asyncio
import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from intercom_async.journal.errors import (
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    again,
)
from intercom_async.journal.store import Store, Values
from intercom_async.runtime import Runtime

_Result = TypeVar("_Result")
_Ended = tuple[Any, BaseException | None]

Done = Callable[[JournalError | None], None]
"""Called when a row is on the disk, or with the reason why it cannot be."""

_Rows = list[tuple[Values, Done]]
_Calls = list[tuple[Callable[[], Any], asyncio.Future[Any]]]


class Writer:
    """The one thread that uses a store.

    Attributes:
        store: opened by the thread.
        failure: what went wrong first; nothing is written after it.
        began: the time before the store was opened.
        process: the one whose thread it is; a forked child has none.
        turned: called after each turn, with the time when it began.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.store: Store | None = None
        self.failure: JournalError | None = None
        self.process = os.getpid()
        self.turned: Callable[[float], None] = _ignore
        self.began = runtime.monotonic()
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        # The thread's frame keeps `initargs`. In a forked child that frame is never freed, so
        # the database is not closed there: that could cut the log of its parent's.
        self._thread = ThreadPoolExecutor(1, "intercom-journal", _ignore, (self,))
        self._rows: _Rows = []
        self._calls: _Calls = []
        self._working = False
        self._due = math.inf
        self._timer: asyncio.TimerHandle | None = None

    @property
    def backlog(self) -> int:
        """Rows that wait."""
        return len(self._rows)

    def open(self, opening: Callable[[], Store]) -> asyncio.Future[Store]:
        """Open the store."""

        def work() -> Store:
            self.store = opening()
            return self.store

        return self._loop.run_in_executor(self._thread, work)

    def add(self, values: Values, done: Done, within: float) -> None:
        """Have a row written within some seconds."""
        self._rows.append((values, done))
        self._begin_within(within)

    def ask(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """Have some work done at once, after the rows that were added before."""
        answer: asyncio.Future[_Result] = self._loop.create_future()
        self._calls.append((work, answer))
        self._begin_within(0.0)
        return answer

    def _begin_within(self, seconds: float) -> None:
        due = self._loop.time() + seconds
        if due < self._due:
            self._due = due
            self._plan()

    def _plan(self) -> None:
        """Let the thread begin its next turn when that is due."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._working and (self._rows or self._calls):
            self._timer = self._loop.call_at(self._due, self._begin)

    def _begin(self) -> None:
        rows, calls = self._take()
        if rows or calls:  # or the session was forgotten, and `end` took them
            self._working = True
            turn = self._loop.run_in_executor(self._thread, self._work_off, rows, calls)
            began = self._runtime.monotonic()
            turn.add_done_callback(functools.partial(self._end_turn, rows, calls, began))

    def _take(self) -> tuple[_Rows, _Calls]:
        taken = self._rows, self._calls
        self._rows, self._calls, self._due = [], [], math.inf
        return taken

    def _end_turn(
        self, rows: _Rows, calls: _Calls, began: float, turn: asyncio.Future[list[_Ended]]
    ) -> None:
        self._working = False
        self._plan()
        (_, failed), *ended = turn.result()
        self.turned(began)
        for _, done in rows:
            done(None if failed is None else self._for_a_row(failed))
        for (_, answer), (result, error) in zip(calls, ended, strict=True):
            if answer.done():  # the waiter was cancelled
                continue
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(again(error) if isinstance(error, JournalError) else error)

    def _for_a_row(self, error: BaseException) -> JournalError:
        if isinstance(error, JournalError):
            return again(error)
        assert self.store is not None  # noqa: S101  no session begins before
        made = JournalError(self.store.name, f"{self.store.name} cannot keep a row: {error}")
        made.__cause__ = error
        return made

    def _work_off(self, rows: _Rows, calls: _Calls) -> list[_Ended]:
        """Write rows, then do what was asked; return what came of the rows first."""
        assert self.store is not None  # noqa: S101  no session begins before
        write = functools.partial(self.store.write, [values for values, _ in rows])
        return [
            self._attempt(write) if rows else (None, None),
            *(self._attempt(work) for work, _ in calls),
        ]

    def _attempt(self, work: Callable[[], Any]) -> _Ended:
        assert self.store is not None  # noqa: S101  as above
        if self.failure is not None:
            return None, self.failure
        try:
            return self.store.carry_out(work), None
        except (JournalMismatchError, JournalLockedError) as error:  # of one workspace of many
            return None, error
        except JournalError as error:
            self.failure = error
            return None, error
        except BaseException as error:  # noqa: BLE001  the waiter gets it
            return None, error

    def end(self, *, wait: bool) -> None:
        """Let the thread end, once it has written all rows and the store is closed."""
        if os.getpid() != self.process:
            return
        last = functools.partial(self._finish, *self._take())
        try:
            self._thread.submit(last)
        except RuntimeError:  # the interpreter ends, and the thread has done so
            last()
        self._thread.shutdown(wait=wait)

    def _finish(self, rows: _Rows, calls: _Calls) -> None:
        if self.store is not None:
            self._work_off(rows, calls)
            self.store.let_go()


def _ignore(*_: object) -> None:
    pass
