"""Time bounds for many attempts with one timer for all of them.

`asyncio.timeout` and aiohttp's total timeout set a timer for each attempt. Nearly always it is
cancelled before it fires, and setting and cancelling it costs a tenth of a request. Here
an attempt's task joins a list and leaves it; one timer looks at those still there when the oldest
could be due.

An attempt is cut off as by `asyncio.timeout`: its task is cancelled, and the code that catches the
`CancelledError` asks `leave` whether the deadline was the reason, or another cancellation, which
must go on.
"""

import asyncio
from typing import Any

from intercom_async.runtime import Runtime, TimerHandle

Task = asyncio.Task[Any]


class Deadlines:
    """The time bounds of one client's attempts, one a task; belongs to one event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # When an attempt is due, and how often its task had been cancelled when it began.
        self._due: dict[Task, tuple[float, int]] = {}
        self._expired: dict[Task, int] = {}
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0

    def enter(self, seconds: float) -> Task:
        """Bound the current task from now on, until `leave`; return the task."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        at = self._runtime.monotonic() + seconds
        self._due[task] = at, task.cancelling()
        if self._timer is None or at < self._timer_at:
            self._set_timer(at)
        return task

    def leave(self, task: Task) -> bool:
        """End a task's bound; return whether it, and nothing else, cancelled the task.

        Call it in that task, however the attempt ended; a second call does nothing.
        """
        if self._due.pop(task, None) is not None:
            return False
        cancelled = self._expired.pop(task, None)
        return cancelled is not None and task.uncancel() <= cancelled

    def close(self) -> None:
        """Drop the timer, unless an attempt still needs it."""
        if not self._due:
            self._drop_timer()

    def _drop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, at: float) -> None:
        self._drop_timer()
        self._timer_at = at
        seconds = max(0.0, at - self._runtime.monotonic())
        self._timer = self._runtime.call_later(seconds, self._look)

    def _look(self) -> None:
        """Cut off what is due, and set the timer for the rest."""
        self._timer = None
        now = self._runtime.monotonic()
        for task in [task for task, (at, _) in self._due.items() if at <= now]:
            _, self._expired[task] = self._due.pop(task)
            task.cancel()
        if self._due:
            self._set_timer(min(at for at, _ in self._due.values()))
