"""Reading an input in a thread, so that a silent pipe or a slow disk never blocks the loop."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Final

import attrs
from rich.console import Console

from intercom_async.cli.input_text import SourceError
from intercom_async.cli.printing import say
from intercom_async.cli.sources import BadLine

_AHEAD: Final = 2000  # entries to read ahead, at most
_GATHERING: Final = 0.002
"""Seconds to let entries gather: to wake the loop for each one costs more than to read it."""

_SHOWN: Final = 20  # bad lines to print, at most


@attrs.define
class Feed:
    """An async iterable of an input's entries, once; it counts the bad lines.

    The thread is a daemon: nothing can wake it from a read that waits.

    Attributes:
        _console: where to name bad lines, None for nowhere.
        _strict: whether a bad line is an error.
        _limit: entries to take, at most.
    """

    _entries: Iterable[Any]
    _name: str
    _console: Console | None
    _strict: bool = False
    _limit: int | None = None
    bad: int = attrs.field(default=0, init=False)
    _left: bool = attrs.field(default=False, init=False)

    async def __aiter__(self) -> AsyncGenerator[Any]:
        loop, come = asyncio.get_running_loop(), asyncio.Event()
        ahead = queue.Queue[Any](_AHEAD)

        def put(entry: Any) -> None:
            ahead.put(entry)
            if not come.is_set():
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(come.set)

        name = "intercom-async input"
        threading.Thread(target=self._read, args=(put,), name=name, daemon=True).start()
        taken = 0
        try:
            while taken != self._limit:
                while ahead.empty():
                    come.clear()
                    if ahead.empty():
                        await come.wait()
                        await asyncio.sleep(_GATHERING)
                entry = ahead.get_nowait()
                if entry is None:
                    return
                if isinstance(entry, BadLine):
                    self._complain(entry)
                elif isinstance(entry, BaseException):
                    raise entry
                else:
                    taken += 1
                    yield entry
        finally:
            self._left = True
            while not ahead.empty():  # the thread may wait for room
                ahead.get_nowait()

    def _read(self, put: Callable[[Any], None]) -> None:
        try:
            for entry in self._entries:
                if self._left:
                    return
                put(entry)
            put(None)
        except OSError as error:
            put(SourceError(self._name, 0, error.strerror or str(error)))
        except BaseException as error:  # noqa: BLE001  raised by the iteration
            put(error)

    def _complain(self, line: BadLine) -> None:
        if self._strict:
            raise SourceError(self._name, line.line, line.problem)
        self.bad += 1
        if self._console is not None and self.bad <= _SHOWN:
            place = f"{self._name}, line {line.line}"
            say(self._console, f"{place}: {line.problem}; skipped", "yellow")
            if self.bad == _SHOWN:
                say(self._console, "more bad lines follow; they are only counted", "yellow")
