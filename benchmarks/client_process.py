"""One client in a process of its own, which gets its orders over a pipe."""

import gc
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from benchmarks.process import peak, process, run_until_closed
from benchmarks.rivals import RIVALS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_PATIENCE: Final = 600.0
"""Seconds after which a burst is given up."""


def _run(pipe: "Connection[Any, Any]", rival: str, url: str, uvloop: bool) -> None:  # noqa: FBT001
    async def obey() -> None:
        async with RIVALS[rival](url) as burst:
            while True:
                calls, in_flight = pipe.recv()
                # Connections that the last burst left idle may be gone.
                await burst(2 * in_flight, in_flight)
                gc.collect()
                began = time.process_time()
                await burst(calls, in_flight)
                pipe.send((time.process_time() - began, peak()))

    run_until_closed(obey(), uvloop=uvloop)


def client_process(
    rival: str, url: str, *, uvloop: bool = False
) -> AbstractContextManager["Connection[Any, Any]"]:
    """Run a rival, which begins a burst when it is sent how many calls, and how many at once."""
    return process(_run, rival, url, uvloop)


def burst(client: "Connection[Any, Any]", calls: int, in_flight: int) -> tuple[float, float]:
    """Let it make calls; return its seconds of CPU, and megabytes of memory at the peak."""
    client.send((calls, in_flight))
    assert client.poll(_PATIENCE), "a burst did not end in time"
    cpu, memory = client.recv()
    return cpu, memory
