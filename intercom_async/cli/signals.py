"""Ctrl-C and SIGTERM, which are one thing: a wish to end.

Plain signal handlers and not the loop's, which Windows lacks and which hear nothing while a prompt
waits. A handler of our own also makes process 1 of a container end at SIGTERM.
"""

import asyncio
import atexit
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

UNHEARD: Final = 2
"""Signals that may wait for a busy loop; the next one raises KeyboardInterrupt wherever it is."""

_BOTH: Final = (signal.SIGINT, signal.SIGTERM)
_hearing: list[Callable[[], None]] = []


def _hear(_number: int, _frame: Any) -> None:
    if not _hearing:
        raise KeyboardInterrupt
    _hearing[-1]()


def _ignore() -> None:
    """Let no signal change the exit status of a process that is ending."""
    for number in _BOTH:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def listening() -> Generator[None]:
    """Take both signals; they raise KeyboardInterrupt unless `interrupts` says otherwise."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    atexit.register(_ignore)
    before = {number: signal.signal(number, _hear) for number in _BOTH}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupts(handle: Callable[[], object]) -> Generator[None]:
    """Call `handle` in the running loop for each signal."""
    loop = asyncio.get_running_loop()
    unheard = 0

    def hear() -> None:
        nonlocal unheard
        if unheard >= UNHEARD:
            raise KeyboardInterrupt
        unheard += 1
        loop.call_soon_threadsafe(act)

    def act() -> None:
        nonlocal unheard
        unheard -= 1
        handle()

    _hearing.append(hear)
    try:
        yield
    finally:
        _hearing.remove(hear)


@contextmanager
def asking() -> Generator[None]:
    """Let a signal raise KeyboardInterrupt, out of a prompt that blocks the loop."""
    _hearing.append(_raise)
    try:
        yield
    finally:
        _hearing.remove(_raise)


def _raise() -> None:
    raise KeyboardInterrupt
