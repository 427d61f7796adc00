"""The life of any run: it begins when a consumer asks for it, and ends or is abandoned."""

import asyncio
import warnings
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, Final, Generic, Self, TypeVar

from intercom_async.bulk.changes import Changes
from intercom_async.errors import ClientStateError
from intercom_async.runtime import Runtime

_Result = TypeVar("_Result")
_Summary = TypeVar("_Summary")

_UNREAD: Final = 256
"""Results that may wait for the consumer before the run stops sending."""

_UNREAD_BYTES: Final = 16 * 1024 * 1024
"""Bytes of replies that may wait with them."""

INTERRUPTED: Final = "other code cancelled a task of the run, so the run stopped; run it again"


class ResultQueue(Generic[_Result]):
    """Hands results to the consumer. The run awaits `room` while it is `full`.

    It keeps results only if they are `wanted`.
    """

    def __init__(self, changes: Changes) -> None:
        self.wanted = False
        self._changes = changes
        self._waiting: deque[tuple[_Result, int]] = deque()
        self._bytes = 0
        self._ended = False

    @property
    def full(self) -> bool:
        """Whether the consumer lags behind."""
        return self.wanted and (len(self._waiting) >= _UNREAD or self._bytes > _UNREAD_BYTES)

    def add(self, result: _Result, size: int = 0) -> None:
        """Add a result that keeps `size` bytes."""
        if self.wanted:
            self._waiting.append((result, size))
            self._bytes += size
            self._changes.look()

    async def room(self) -> None:
        """Wait while the consumer lags behind."""
        await self._changes.until(lambda: not self.full)

    async def take(self) -> tuple[_Result] | None:
        """Return the next result in a tuple, None at the end."""
        await self._changes.until(lambda: bool(self._waiting) or self._ended)
        if not self._waiting:
            return None
        result, size = self._waiting.popleft()
        self._bytes -= size
        self._changes.look()
        return (result,)

    def abandon(self) -> None:
        """Drop what waits: the consumer has left."""
        self.wanted = False
        self._waiting.clear()
        self._changes.look()

    def end(self) -> None:
        """Let `take` return None after the last result."""
        self._ended = True
        self._changes.look()


class Run(ABC, Generic[_Result, _Summary]):
    """Await it for its summary, or iterate over its results.

    Nothing happens before that. Then one task, the supervisor, runs `_supervise`. After the last
    result, the consumer gets `_failure`, if there is one. A consumer that leaves
    (by `break`, an exception or a cancellation, with or without `async with`) ends the run.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._changes = Changes()
        self._results = ResultQueue[_Result](self._changes)
        self._failure: BaseException | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._entered = False
        self._stopping = False
        self._abandoned = False
        self._began: float | None = None
        self._ended: float | None = None

    def __del__(self) -> None:
        if not getattr(self, "_entered", True):
            name = type(self).__name__
            warnings.warn(f"{name} was never awaited", RuntimeWarning, stacklevel=1, source=self)

    # --- for the consumer ----------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, _Summary]:
        return self._finish().__await__()

    async def _finish(self) -> _Summary:
        self._results.abandon()
        supervisor = self._start()
        try:
            await asyncio.wait({supervisor})
        except asyncio.CancelledError:
            await self._abandon()
            raise
        if self._failure is not None:
            raise self._failure
        return self.summary

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._abandon()

    async def __aiter__(self) -> AsyncGenerator[_Result]:
        # A generator, because the loop closes one whose consumer left it: that ends the run.
        self._results.wanted = True
        _ = self._start()
        try:
            while (taken := await self._results.take()) is not None:
                yield taken[0]
            if self._failure is not None:
                raise self._failure
        finally:
            await self._abandon()

    @property
    @abstractmethod
    def summary(self) -> _Summary:
        """The run in numbers, up to now."""

    # --- for subclasses ------------------------------------------------------------------------

    @property
    def _elapsed(self) -> float:
        """Seconds from the beginning to the end, or to now."""
        if self._began is None:
            return 0.0
        return (self._runtime.monotonic() if self._ended is None else self._ended) - self._began

    def _start(self) -> "asyncio.Task[None]":
        self._entered = True
        if self._supervisor is None:
            self._began = self._runtime.monotonic()
            self._supervisor = asyncio.create_task(self._supervise())
            # Not in the coroutine: a task that is cancelled at once never runs any of it.
            self._supervisor.add_done_callback(self._over)
        return self._supervisor

    def _over(self, supervisor: "asyncio.Task[None]") -> None:
        if supervisor.cancelled():
            self._interrupted()
        elif (error := supervisor.exception()) is not None:
            self._failure = self._failure or error
        self._ended = self._runtime.monotonic()
        self._results.end()

    async def _abandon(self) -> None:
        """Stop at once and wait until nothing is left."""
        if self._supervisor is None or self._supervisor.done():
            return
        self._abandoned = True
        self._results.abandon()
        self._drop()
        cancelled = False
        while not self._supervisor.done():  # a second cancellation must leave nothing, either
            try:
                await asyncio.wait({self._supervisor})
            except asyncio.CancelledError:
                cancelled = True
        if cancelled:
            raise asyncio.CancelledError

    def _interrupted(self) -> None:
        """Fail because a task of the run was cancelled, unless the run did that itself."""
        if not self._abandoned:
            self._fail(ClientStateError(INTERRUPTED))

    async def _surely(self, step: Callable[[], Awaitable[None]]) -> None:
        """Take a step of the run; repeat it if other code cancelled it. An error ends the run."""
        while True:
            try:
                return await step()
            except asyncio.CancelledError:
                self._interrupted()
                self._drop()
            except Exception as error:  # noqa: BLE001  the consumer gets it
                return self._fail(error)

    @abstractmethod
    async def _supervise(self) -> None:
        """Do the whole run, each step through `_surely`."""

    @abstractmethod
    def _drop(self) -> None:
        """Make the supervisor end at once."""

    @abstractmethod
    def _fail(self, error: BaseException) -> None:
        """Let requests in flight finish, then raise the error to the consumer."""
