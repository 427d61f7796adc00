"""An asyncio event loop on which waiting costs nothing: time jumps to the next timer.

For simulations without sockets and threads: when no callback is ready, nothing but a timer can
come next. An hour of virtual time costs what its callbacks cost.
"""

import asyncio
import random
import selectors

from intercom_async.runtime import Runtime


class _JumpingSelector(selectors.SelectSelector):
    """Looks at no file, and makes time pass instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing is left to wait for")
        self.now += max(0.0, timeout)
        return []


class VirtualEventLoop(asyncio.SelectorEventLoop):
    """See the module's docstring; `time()` starts at zero."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


class VirtualRuntime(Runtime):
    """The `Runtime` of one simulated process: clocks that begin at its own `epoch` and `wall`."""

    def __init__(self, rng: random.Random, *, epoch: float, wall: float) -> None:
        self._epoch = epoch
        self._wall = wall
        self._random = rng.random

    def monotonic(self) -> float:
        return super().monotonic() + self._epoch

    def wall(self) -> float:
        return super().monotonic() + self._wall

    def random(self) -> float:
        return self._random()
