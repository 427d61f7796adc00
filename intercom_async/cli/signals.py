"""Ctrl-C and SIGTERM, which mean the same: end.

Handlers of the event loop would not do: Windows lacks them, and a prompt that waits blocks them.
Without any handler, process 1 of a container ignores SIGTERM.
"""

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

_BOTH: Final = (signal.SIGINT, signal.SIGTERM)

_UNHEARD: Final = 2
"""Signals that may wait for a busy loop; the next one interrupts it by a KeyboardInterrupt."""


def _raise(*_: object) -> None:
    raise KeyboardInterrupt


@contextmanager
def interruptible(handler: Callable[..., Any] = _raise) -> Generator[None]:
    """Let both signals call a handler: they raise KeyboardInterrupt unless another is given."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in _BOTH}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def ignore_signals() -> None:
    """Let no signal change the exit status of a process that is ending."""
    if threading.current_thread() is threading.main_thread():
        for number in _BOTH:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupts(handle: Callable[[], object]) -> Generator[None]:
    """Call `handle` in the running loop at each signal."""
    loop = asyncio.get_running_loop()
    unheard = 0

    def hear(*_: object) -> None:
        nonlocal unheard
        if unheard >= _UNHEARD:
            raise KeyboardInterrupt
        unheard += 1
        loop.call_soon_threadsafe(act)

    def act() -> None:
        nonlocal unheard
        unheard -= 1
        handle()

    with _waking(loop), interruptible(hear):
        yield


@contextmanager
def _waking(loop: asyncio.AbstractEventLoop) -> Generator[None]:
    """Let each signal wake the loop.

    Otherwise a signal that comes just before the loop waits is heard only when something else
    wakes the loop.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or sys.platform == "win32":  # Windows' loop wakes by itself
        yield
        return
    reading, writing = socket.socketpair()
    with reading, writing:
        reading.setblocking(False)
        writing.setblocking(False)
        loop.add_reader(reading, reading.recv, 4096)
        before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(reading)
