"""Waiting until a condition is true, in one event loop."""

import asyncio
from collections.abc import Callable


class Changes:
    """Tasks wait here for a condition; code that may have made one true calls `look`."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds."""
        while not condition():
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting[woken] = condition
            try:
                await woken
            finally:
                del self._waiting[woken]

    def look(self) -> None:
        """Wake the tasks whose conditions hold now."""
        for woken, condition in self._waiting.items():
            if not woken.done() and condition():
                woken.set_result(None)
