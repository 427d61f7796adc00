"""Ctrl-C and SIGTERM, which mean the same: end.

Handlers of the event loop would not do: Windows lacks them, and a prompt that waits blocks them.
Without any handler, process 1 of a container ignores SIGTERM.
"""

import asyncio
import atexit
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final

_UNHEARD: Final = 2
"""Signals that may wait for a busy loop; the next one raises KeyboardInterrupt in its midst."""

_BOTH: Final = (signal.SIGINT, signal.SIGTERM)
_hearing: list[Callable[[], None]] = []


def _hear(_number: int, _frame: Any) -> None:
    (_hearing[-1] if _hearing else _raise)()


def _ignore() -> None:
    # So that no signal changes the exit status of a process that is ending.
    for number in _BOTH:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def listening() -> Generator[None]:
    """Handle both signals: they raise KeyboardInterrupt, except within `interrupts`."""
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
    """Call `handle` in the running loop at each signal."""
    loop = asyncio.get_running_loop()
    unheard = 0

    def hear() -> None:
        nonlocal unheard
        if unheard >= _UNHEARD:
            raise KeyboardInterrupt
        unheard += 1
        loop.call_soon_threadsafe(act)

    def act() -> None:
        nonlocal unheard
        unheard -= 1
        handle()

    with _heard_by(hear):
        yield


def asking() -> AbstractContextManager[None]:
    """Let a signal raise KeyboardInterrupt, as a prompt blocks the loop."""
    return _heard_by(_raise)


@contextmanager
def _heard_by(hear: Callable[[], None]) -> Generator[None]:
    _hearing.append(hear)
    try:
        yield
    finally:
        _hearing.remove(hear)


def _raise() -> None:
    raise KeyboardInterrupt
