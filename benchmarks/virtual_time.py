"""An asyncio event loop on which waiting costs nothing: time jumps to the next timer.

For simulations without sockets and threads: when no callback is ready, nothing but a timer can
come next. An hour of virtual time costs what its callbacks cost.
"""

import asyncio
import random
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from intercom_async.runtime import Runtime

T = TypeVar("T")


class StalledError(RuntimeError):
    """Everything waits for something that no timer will bring about."""


class _JumpingSelector(selectors.SelectSelector):
    """Looks at no file, and makes time pass instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StalledError("nothing is left to wait for")
        if timeout > 0.0:
            self.now += timeout
        return []


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """See the module's docstring; `time()` starts at zero."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return virtual seconds."""
        return self._jumping.now


class VirtualRuntime(Runtime):
    """The `Runtime` of one simulated process: clocks that begin at its own `epoch` and `wall`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, rng: random.Random, *, epoch: float, wall: float
    ) -> None:
        self._loop = loop
        self._epoch = epoch
        self._wall = wall
        self._random = rng.random

    def monotonic(self) -> float:
        """See `Runtime.monotonic`."""
        return self._loop.time() + self._epoch

    def wall(self) -> float:
        """See `Runtime.wall`."""
        return self._loop.time() + self._wall

    def random(self) -> float:
        """See `Runtime.random`."""
        return self._random()

    async def sleep(self, seconds: float) -> None:
        """See `Runtime.sleep`."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """See `Runtime.call_later`."""
        return self._loop.call_later(seconds, callback)


def run(main: Callable[[VirtualEventLoop], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a virtual loop; tasks it leaves behind are cancelled."""
    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualEventLoop)
        return runner.run(main(loop))
