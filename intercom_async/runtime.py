"""Clock, timers, sleep and randomness: the only module of the core that names them.

The running loop's clock measures all durations, so a test that drives that clock drives the whole
library and patches nothing.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol


class TimerHandle(Protocol):
    """A timer of `Runtime.call_later`."""

    def cancel(self) -> None:
        """Drop the callback, unless it was called already."""
        ...


class Runtime:
    """Clock, timers, sleep and randomness; pass an instance of a subclass to control them."""

    __slots__ = ()

    def monotonic(self) -> float:
        """Seconds on the running loop's clock, which never goes back."""
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        """Unix seconds by this machine's clock: for records people read, never for the quota."""
        return time.time()

    def random(self) -> float:
        """Return a number in [0, 1), evenly distributed."""
        return random.random()  # noqa: S311  spreads retries; guards no secret

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        """Call back on the running loop after `seconds`."""
        return asyncio.get_running_loop().call_later(seconds, callback)


SYSTEM = Runtime()
"""The running loop's clock and timers, the system's wall clock and randomness."""
