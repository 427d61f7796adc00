"""Fresh processes, so that a measurement holds no other code's garbage, imports or CPU time."""

import contextlib
import multiprocessing
from collections.abc import Callable, Generator
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


def peak() -> float:
    """Return the most megabytes that this process ever held, 0 on systems without /proc."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open(encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0
