"""One client in a process of its own, which gets its orders over a pipe.

So its figures hold nobody else's garbage, imports, event loop or CPU time.
"""

import asyncio
import contextlib
import gc
import importlib.util
import multiprocessing
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import attrs

from benchmarks.rivals import RECOVERING, RIVALS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from benchmarks.rivals import Burst


_ALL: Final = RIVALS | RECOVERING


@attrs.frozen
class Cost:
    """What a burst took: seconds of CPU, seconds on the clock, bytes of memory at the peak."""

    calls: int
    cpu: float
    wall: float
    peak: int


@attrs.frozen
class _Order:
    calls: int
    in_flight: int


def why_not(rival: str, *, uvloop: bool = False) -> str | None:
    """Return why a rival cannot be measured, None if it can."""
    for module in (RIVALS[rival].needs, "uvloop" if uvloop else None):
        if module is not None and importlib.util.find_spec(module) is None:
            return f"{rival}: left out, {module} is not installed"
    return None


def peak() -> int:
    """Return the most bytes that this process ever held, 0 on systems without /proc."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


async def _measure(burst: "Burst", order: _Order) -> Cost:
    gc.collect()
    cpu, wall = time.process_time(), time.perf_counter()
    await burst(order.calls, order.in_flight)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Cost(order.calls, cpu, wall, peak())


def _run(pipe: "Connection[Any, Any]", name: str, url: str, uvloop: bool) -> None:  # noqa: FBT001
    loop_factory: Any = None
    if uvloop:
        import uvloop as fast

        loop_factory = fast.new_event_loop

    async def obey() -> None:
        async with _ALL[name].open(url) as burst:
            while (order := pipe.recv()) is not None:
                # Connections that the last burst left idle may be gone.
                await burst(2 * order.in_flight, order.in_flight)
                pipe.send(await _measure(burst, order))

    with (
        contextlib.suppress(EOFError, KeyboardInterrupt),
        asyncio.Runner(loop_factory=loop_factory) as runner,
    ):
        runner.run(obey())


class ClientEndedError(Exception):
    """A client ended before its burst did."""


class ClientProcess:
    """A rival waiting for orders."""

    def __init__(self, rival: str, url: str, *, uvloop: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(theirs, rival, url, uvloop), daemon=True)
        self._process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._pipe.send(None)
        self._process.join(5)
        self._process.terminate()

    def kill(self) -> None:
        """End it in the middle of a burst."""
        self._process.kill()

    def start(self, calls: int, in_flight: int) -> None:
        """Begin a burst; `finish` waits for its end."""
        self._pipe.send(_Order(calls, in_flight))

    def finish(self) -> Cost:
        """Return what the burst took.

        Raises:
            ClientEndedError: the process ended, or the burst lasted too long.
        """
        if not self._pipe.poll(_PATIENCE):
            raise ClientEndedError("a burst did not end in time")
        try:
            cost = self._pipe.recv()
        except EOFError:
            raise ClientEndedError("it failed; its traceback is above") from None
        assert isinstance(cost, Cost)
        return cost

    def burst(self, calls: int, in_flight: int) -> Cost:
        """Make calls and return what they took."""
        self.start(calls, in_flight)
        return self.finish()


_PATIENCE: Final = 600.0
"""Seconds after which a burst is given up."""
