"""The life of a run, whatever it runs: begun when it is wanted, ended, abandoned."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Generator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from intercom_async.bulk.telling import ResultQueue
from intercom_async.errors import ClientStateError
from intercom_async.transport.runtime import Runtime

_Result = TypeVar("_Result")
_Summary = TypeVar("_Summary")


class Run(ABC, Generic[_Result, _Summary]):
    """Awaited for its summary, or iterated over for its results; `async with` abandons it early.

    Nothing happens before that. One task, the supervisor, then runs `_supervise`; whatever that
    leaves in `_failure` is raised to the consumer after the last result.

    Args:
        runtime: the clock.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._results = ResultQueue[_Result]()
        self._failure: BaseException | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._abandoned = False
        self._began: float | None = None
        self._ended: float | None = None

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
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._abandon()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> _Result:
        if self._supervisor is None:
            self._results.wanted = True
            _ = self._start()
        result = await self._results.take()
        if result is not None:
            return result
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    @property
    @abstractmethod
    def summary(self) -> _Summary:
        """The run in numbers, up to now."""

    # --- for what is run -----------------------------------------------------------------------

    @property
    def _elapsed(self) -> float:
        """Seconds from the beginning to the end, or to now."""
        if self._began is None:
            return 0.0
        return (self._runtime.monotonic() if self._ended is None else self._ended) - self._began

    def _start(self) -> "asyncio.Task[None]":
        if self._supervisor is None:
            self._prepare()
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
        await asyncio.wait({self._supervisor})

    def _interrupted(self) -> None:
        """A task of the run was cancelled; if not by the run, nothing must be lost by that."""
        if self._abandoned:
            return
        self._results.hurry()  # whoever cancels all tasks may have cancelled the consumer, too
        self._fail(
            ClientStateError("other code cancelled a task of the run, which stopped; run it again")
        )

    def _prepare(self) -> None:
        """Raise what keeps the run from beginning."""

    @abstractmethod
    async def _supervise(self) -> None:
        """Do everything there is to do; a failure goes to `_fail`, a cancellation nowhere."""

    @abstractmethod
    def _drop(self) -> None:
        """Make the supervisor end at once; nobody wants results any more."""

    @abstractmethod
    def _fail(self, error: BaseException) -> None:
        """Let requests in flight finish, then raise it to the consumer."""
