"""One client in a process of its own, which gets its orders over a pipe."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

import attrs

from benchmarks.process import peak, process
from benchmarks.rivals import RIVALS, Burst

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_PATIENCE: Final = 600.0
"""Seconds after which a burst is given up."""


@attrs.frozen
class Cost:
    """What a burst took: seconds of CPU, and megabytes of memory at the peak."""

    cpu: float
    peak: float


async def _measure(burst: Burst, calls: int, in_flight: int) -> Cost:
    await burst(2 * in_flight, in_flight)  # connections that the last burst left idle may be gone
    gc.collect()
    began = time.process_time()
    await burst(calls, in_flight)
    return Cost(time.process_time() - began, peak())


def _run(pipe: "Connection[Any, Any]", rival: str, url: str, uvloop: bool) -> None:  # noqa: FBT001
    loop_factory: Any = None
    if uvloop:
        import uvloop as fast

        loop_factory = fast.new_event_loop

    async def obey() -> None:
        async with RIVALS[rival].open(url) as burst:
            while True:
                pipe.send(await _measure(burst, *pipe.recv()))

    with contextlib.suppress(EOFError), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(obey())


@attrs.frozen
class Client:
    """A rival waiting for orders."""

    _pipe: "Connection[Any, Any]"

    def start(self, calls: int, in_flight: int) -> None:
        """Begin a burst; `finish` waits for its end."""
        self._pipe.send((calls, in_flight))

    def finish(self) -> Cost:
        """Return what the burst took; an EOFError says that the process failed."""
        assert self._pipe.poll(_PATIENCE), "a burst did not end in time"
        cost: Cost = self._pipe.recv()
        return cost

    def burst(self, calls: int, in_flight: int) -> Cost:
        """Make calls and return what they took."""
        self.start(calls, in_flight)
        return self.finish()


@contextlib.contextmanager
def client_process(rival: str, url: str, *, uvloop: bool = False) -> Generator[Client]:
    """Run a rival."""
    with process(_run, rival, url, uvloop) as pipe:
        yield Client(pipe)
