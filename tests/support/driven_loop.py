"""An event loop whose clock jumps: waiting costs no real time, sockets stay real.

Code takes little time, however slow the machine is. When no callback is ready and nothing has
arrived at a socket, time jumps to the next timer. Client and simulator of a test live in one
process, and what one end of a loopback connection sends is at the other end by the time the call
returns, unless the connection is full; then, and on systems that promise less than Linux, sockets
are given a few real milliseconds first. Work in threads is waited for, never jumped over. Mark a
test with `@pytest.mark.asyncio(loop_factories=["driven"])` to run on it.
"""

import asyncio
import concurrent.futures
import contextlib
import selectors
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

GRACE = 0.003
"""Real seconds that sockets are given before time jumps, if they need any."""

if sys.platform == "linux":
    import fcntl

    _SIOCOUTQNSD = 0x894B

    def _under_way(descriptor: int) -> bool:
        """Whether a socket has bytes that are not sent yet, because the connection is full."""
        with contextlib.suppress(OSError):  # it listens, or it is none
            return any(fcntl.ioctl(descriptor, _SIOCOUTQNSD, bytes(4)))
        return False

else:

    def _under_way(descriptor: int) -> bool:
        """Nobody can tell."""
        return True


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, turn: float) -> None:
        super().__init__()
        self.turn = turn
        self.now = 0.0
        self.busy_threads = 0
        self._left = time.monotonic()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        entered = time.monotonic()
        self.now += min(entered - self._left, self.turn)
        if timeout is None or timeout <= 0:
            ready = super().select(timeout)
        elif self.busy_threads:
            ready = super().select(timeout)
            self.now += min(timeout, time.monotonic() - entered)
        else:
            ready = super().select(0)
            if not ready and any(_under_way(key.fd) for key in self.get_map().values()):
                ready = super().select(min(timeout, GRACE))
            if not ready:
                self.now += timeout
        self._left = time.monotonic()
        return ready


class DrivenEventLoop(asyncio.SelectorEventLoop):
    """See the module's docstring; a turn of it takes at most `turn` seconds on its clock."""

    def __init__(self, turn: float = 0.001) -> None:
        self._jumping = _JumpingSelector(turn)
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

    def _thread_done(self, _: object) -> None:
        self._jumping.busy_threads -= 1

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
