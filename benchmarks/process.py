"""Fresh processes, so that a measurement holds no other code's garbage, imports or CPU time."""

import asyncio
import contextlib
import multiprocessing
import resource
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


@contextlib.contextmanager
def process(target: Callable[..., None], *arguments: Any) -> Generator["Connection[Any, Any]"]:
    """Run `target(pipe, *arguments)` in a fresh interpreter; yield the pipe's other end.

    Closing that end makes the process end; one that does not is killed.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=target, args=(theirs, *arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        child.join(5)
        child.kill()
        child.join()


def run_until_closed(work: Coroutine[Any, Any, None], *, uvloop: bool) -> None:
    """Run what reads from the pipe until its other end is closed."""
    loop_factory: Any = None
    if uvloop:
        import uvloop as fast

        loop_factory = fast.new_event_loop
    with contextlib.suppress(EOFError), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(work)


def peak() -> float:
    """Return the most megabytes that this process ever held, 0 on systems without /proc."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def cpu_of_children() -> float:
    """Return the seconds of CPU that processes took which this one started and saw end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
