"""Reading an input in a thread, so that a silent pipe or a slow disk never blocks the loop."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Final

from rich.console import Console

from intercom_async.cli.running import say
from intercom_async.cli.sources import BadLine
from intercom_async.cli.text import SourceError

_AHEAD: Final = 2000
"""Entries to read ahead, at most."""

_GATHERING: Final = 0.002
"""Seconds to let entries gather: to wake the loop for each one costs more than to read it."""

_SHOWN: Final = 20
"""Bad lines to print, at most."""


class Feed:
    """An async iterable of an input's entries, once; it prints and counts the bad lines.

    The iteration raises what the reading raised. The thread is a daemon: nothing can wake it from
    a read that waits.

    Args:
        console: None prints nothing.
        strict: whether a bad line is an error.
        limit: entries to take, at most.
    """

    def __init__(
        self,
        entries: Iterable[Any],
        name: str,
        console: Console | None = None,
        *,
        strict: bool = False,
        limit: int | None = None,
    ) -> None:
        self._entries = entries
        self._name = name
        self._console = console
        self._strict = strict
        self._limit = limit
        self._ahead: deque[Any] = deque()
        self._taken = threading.Event()
        self._left = False
        self.bad = 0

    async def __aiter__(self) -> AsyncGenerator[Any]:
        taken = 0
        come = asyncio.Event()
        given = (come, asyncio.get_running_loop())
        threading.Thread(
            target=self._read, args=given, name="intercom-async input", daemon=True
        ).start()
        try:
            while True:
                while self._ahead:
                    entry = self._ahead.popleft()
                    if isinstance(entry, BaseException):
                        raise entry
                    if isinstance(entry, BadLine):
                        self._complain(entry)
                    elif entry is None or taken == self._limit:
                        return
                    else:
                        taken += 1
                        yield entry
                self._taken.set()
                come.clear()
                if not self._ahead:
                    await come.wait()
                    await asyncio.sleep(_GATHERING)
        finally:
            self._left = True
            self._taken.set()

    def _read(self, come: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Read ahead; None is the end."""

        def put(entry: Any) -> None:
            self._ahead.append(entry)
            if not come.is_set():
                with contextlib.suppress(RuntimeError):  # the loop is closed; nobody waits
                    loop.call_soon_threadsafe(come.set)

        try:
            for entry in self._entries:
                put(entry)
                if len(self._ahead) >= _AHEAD:
                    self._taken.clear()
                    if self._ahead and not self._left:
                        self._taken.wait()
                if self._left:
                    return
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
