"""Time bounds for many attempts with one timer for all of them.

A timer of its own for each attempt, as `asyncio.timeout` and aiohttp's total timeout set it, is
nearly always cancelled before it fires; setting and cancelling it costs a tenth of a request. Here
an attempt joins a list and leaves it; one timer looks at those still there when the oldest could
be due.

An attempt is cut off as by `asyncio.timeout`: its task is cancelled, and whoever catches the
`CancelledError` asks `leave` whether the deadline was the reason, or somebody else's cancellation
that must go on.
"""

import asyncio

from intercom_async.runtime import Runtime, TimerHandle


class Deadline:
    """The time bound of one attempt, made by `Deadlines.enter`."""

    __slots__ = ("_all", "_cancelling", "_expired", "at", "task")

    def __init__(self, deadlines: "Deadlines", task: "asyncio.Task[object]", at: float) -> None:
        self.at = at
        self.task = task
        self._all = deadlines
        self._cancelling = task.cancelling()
        self._expired = False

    def expire(self) -> None:
        """Cut the attempt off."""
        self._expired = True
        self.task.cancel()

    def leave(self) -> bool:
        """End the bound; whether it, and nothing else, cancelled the task. Harmless when repeated.

        Call it in the attempt's own task, when the attempt ended in whatever way.
        """
        self._all.forget(self)
        if not self._expired:
            return False
        self._expired = False
        return self.task.uncancel() <= self._cancelling


class Deadlines:
    """The time bounds of one client's attempts; belongs to one event loop."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._open: set[Deadline] = set()
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0

    def enter(self, seconds: float) -> Deadline:
        """Bound the current task from now on, until `leave`."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        at = self._runtime.monotonic() + seconds
        deadline = Deadline(self, task, at)
        self._open.add(deadline)
        if self._timer is None or at < self._timer_at:
            self._set_timer(at)
        return deadline

    def forget(self, deadline: Deadline) -> None:
        """Take a deadline off the list."""
        self._open.discard(deadline)

    def close(self) -> None:
        """Drop the timer, unless an attempt still needs it."""
        if not self._open:
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
        for deadline in [deadline for deadline in self._open if deadline.at <= now]:
            self._open.discard(deadline)
            deadline.expire()
        if self._open:
            self._set_timer(min(deadline.at for deadline in self._open))
