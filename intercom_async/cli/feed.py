"""Reading an input in a thread, so that a silent pipe or a slow disk never blocks the loop."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

import attrs
from rich.console import Console

from intercom_async.cli.input_text import SourceError
from intercom_async.cli.printing import say
from intercom_async.cli.sources import BadLine

_AHEAD: Final = 2000
"""Entries to read ahead, at most."""

_GATHERING: Final = 0.002
"""Seconds to let entries gather: to wake the loop for each one costs more than to read it."""

_SHOWN: Final = 20
"""Bad lines to print, at most."""


@attrs.define
class Feed:
    """An async iterable of an input's entries, once; it counts the bad lines.

    The iteration raises what the reading raised. The thread is a daemon: nothing can wake it from
    a read that waits.

    Attributes:
        _console: where to name bad lines, None for nowhere.
        _strict: whether a bad line is an error.
        _limit: entries to take, at most.
        _left: whether the iteration has ended.
    """

    _entries: Iterable[Any]
    _name: str
    _console: Console | None
    _strict: bool
    _limit: int | None
    bad: int = attrs.field(default=0, init=False)
    _ahead: deque[Any] = attrs.field(factory=deque[Any], init=False)
    _come: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _taken: threading.Event = attrs.field(factory=threading.Event, init=False)
    _left: bool = attrs.field(default=False, init=False)

    async def __aiter__(self) -> AsyncGenerator[Any]:
        given = (asyncio.get_running_loop(),)
        name = "intercom-async input"
        threading.Thread(target=self._read, args=given, name=name, daemon=True).start()
        taken = 0
        try:
            while True:
                while self._ahead:
                    entry = self._ahead.popleft()
                    if isinstance(entry, BaseException):
                        raise entry
                    if isinstance(entry, BadLine):
                        self._complain(entry)
                    elif entry is None:
                        return
                    else:
                        yield entry
                        taken += 1
                        if taken == self._limit:
                            return
                self._taken.set()
                self._come.clear()
                if not self._ahead:
                    await self._come.wait()
                    await asyncio.sleep(_GATHERING)
        finally:
            self._left = True
            self._taken.set()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for entry in self._entries:
                self._put(entry, loop)
                if len(self._ahead) >= _AHEAD:
                    self._taken.clear()
                    if self._ahead and not self._left:
                        self._taken.wait()
                if self._left:
                    return
            self._put(None, loop)
        except OSError as error:
            self._put(SourceError(self._name, 0, error.strerror or str(error)), loop)
        except BaseException as error:  # noqa: BLE001  raised by the iteration
            self._put(error, loop)

    def _put(self, entry: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead.append(entry)
        if not self._come.is_set():
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._come.set)

    def _complain(self, line: BadLine) -> None:
        if self._strict:
            raise SourceError(self._name, line.line, line.problem)
        self.bad += 1
        if self._console is not None and self.bad <= _SHOWN:
            place = f"{self._name}, line {line.line}"
            say(self._console, f"{place}: {line.problem}; skipped", "yellow")
            if self.bad == _SHOWN:
                say(self._console, "more bad lines follow; they are only counted", "yellow")
