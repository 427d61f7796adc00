"""Ctrl-C and SIGTERM, which mean the same: end.

Handlers of the event loop alone would not do: Windows lacks them, and a prompt that waits blocks
them. Without any handler, process 1 of a container ignores SIGTERM.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final

_BOTH: Final = (signal.SIGINT, signal.SIGTERM)

_UNHEARD: Final = 2
"""Signals that may wait for a busy loop; the next one interrupts it by a KeyboardInterrupt."""


_raised: Final = list[int]()
"""Signals that raised a KeyboardInterrupt, which Python ignores in the callback of a weakref."""


def _raise(number: int, _: object) -> None:
    _raised.append(number)
    raise KeyboardInterrupt


@contextmanager
def interruptible(handler: Callable[..., Any] = _raise) -> Generator[None]:
    """Let both signals call a handler: they raise KeyboardInterrupt unless another is given."""
    before = {number: signal.signal(number, handler) for number in _BOTH}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
        _raised.clear()


def ignore_signals() -> None:
    """Let no signal change the exit status of a process that is ending."""
    for number in _BOTH:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupts(handle: Callable[[], object]) -> Generator[None]:
    """Call `handle` in the running loop at each signal; heed one that was ignored before."""
    if _raised:
        raise KeyboardInterrupt
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

    with interruptible():
        # A signal just before the loop waits must wake it; Windows' loop wakes by itself. The loop
        # takes its handlers away when it is closed: until then others may need to be woken.
        for number in () if sys.platform == "win32" else _BOTH:
            loop.add_signal_handler(number, lambda: None)
        with interruptible(hear):
            yield
