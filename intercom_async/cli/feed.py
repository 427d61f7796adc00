"""Reading an input in a thread, so that a silent pipe or a slow disk never blocks the loop."""

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

import attrs
from rich.console import Console

from intercom_async.cli.csv_rows import BadLine
from intercom_async.cli.lines import SourceError
from intercom_async.cli.printing import say

_AHEAD: Final = 2000  # entries to read ahead, at most
_PAUSE: Final = 0.01
"""Seconds between looks for more entries: waking the loop for each costs more than reading it."""

_SHOWN: Final = 20  # bad lines to print, at most


@attrs.define
class Feed:
    """An async iterable of an input's entries, once; it counts the bad lines.

    The thread is a daemon: nothing can wake it from a read that waits.

    Attributes:
        _console: where to name bad lines, None for nowhere.
        _strict: whether a bad line is an error.
    """

    _entries: Iterable[Any]
    _name: str
    _console: Console | None
    _strict: bool = False
    bad: int = attrs.field(default=0, init=False)
    _left: bool = attrs.field(default=False, init=False)

    async def __aiter__(self) -> AsyncGenerator[Any]:
        ahead = queue.Queue[Any](_AHEAD)
        name = "intercom-async input"
        threading.Thread(target=self._read, args=(ahead,), name=name, daemon=True).start()
        try:
            while True:
                if ahead.empty():
                    await asyncio.sleep(_PAUSE)
                    continue
                entry = ahead.get_nowait()
                if entry is None:
                    return
                if isinstance(entry, BaseException):
                    raise entry
                if isinstance(entry, BadLine):
                    self._complain(entry)
                else:
                    yield entry
        finally:
            self._left = True
            while not ahead.empty():  # the thread may wait for room
                ahead.get_nowait()

    def _read(self, ahead: "queue.Queue[Any]") -> None:
        try:
            for entry in self._entries:
                if self._left:
                    return
                ahead.put(entry)
            ahead.put(None)
        except OSError as error:
            ahead.put(SourceError(self._name, "", error.strerror or str(error)))
        except BaseException as error:  # noqa: BLE001  raised by the iteration
            ahead.put(error)

    def _complain(self, bad: BadLine) -> None:
        if self._strict:
            raise SourceError(self._name, bad.place, bad.problem)
        self.bad += 1
        if self._console is not None and self.bad <= _SHOWN:
            say(self._console, f"{self._name}, {bad.place}: {bad.problem}; skipped", "yellow")
            if self.bad == _SHOWN:
                say(self._console, "more bad lines follow; they are only counted", "yellow")
