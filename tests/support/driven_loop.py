"""An event loop whose clock jumps: waiting costs no real time, sockets stay real.

Code takes little time however slow the machine is. When no callback is ready,
the loop looks at its sockets for a few real milliseconds (client and simulator of a test live in
one process, so an answer that is coming is there by then). Only if nothing arrived does time jump
to the next timer. Work in threads is waited for, never jumped over. Mark a test with `@pytest.mark.asyncio(loop_factories=["driven"])` to run on it.
"""

import asyncio
import concurrent.futures
import contextlib
import selectors
import time
from collections.abc import Callable, Generator
from typing import Any

GRACE = 0.003
"""Real seconds that sockets are given before time jumps."""

TURN = 0.001
"""Seconds that one turn of the loop takes at most on its clock."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, grace: float) -> None:
        super().__init__()
        self.grace = grace
        self.now = 0.0
        self._left = time.monotonic()
        self.busy_threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        entered = time.monotonic()
        self.now += min(entered - self._left, TURN)
        if timeout is None or timeout <= 0:
            ready = super().select(timeout)
        elif self.busy_threads:
            ready = super().select(timeout)
            self.now += min(timeout, time.monotonic() - entered)
        else:
            ready = super().select(min(timeout, self.grace))
            if not ready:
                self.now += timeout
        self._left = time.monotonic()
        return ready


class DrivenEventLoop(asyncio.SelectorEventLoop):
    """See the module's docstring.

    Args:
        grace: real seconds that sockets are given before time jumps; 0.0 without sockets.
    """

    def __init__(self, grace: float = GRACE) -> None:
        self._jumping = _JumpingSelector(grace)
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]  # typeshed's TypeVarTuple; same calls accepted
        self,
        executor: concurrent.futures.Executor | None,
        func: Callable[..., Any],
        *args: Any,
    ) -> asyncio.Future[Any]:
        future = super().run_in_executor(executor, func, *args)
        self._jumping.busy_threads += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        # Its threads end in real time; since Python 3.12 it gives them a bounded one.
        with self.standing():
            await super().shutdown_default_executor(*timeout)

    @contextlib.contextmanager
    def standing(self) -> Generator[None]:
        """Let no time be jumped over inside: something real is being waited for."""
        self._jumping.busy_threads += 1
        try:
            yield
        finally:
            self._jumping.busy_threads -= 1

    def _thread_done(self, _: object) -> None:
        self._jumping.busy_threads -= 1
