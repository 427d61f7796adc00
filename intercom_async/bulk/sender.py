"""One pair's way to Intercom: announced to the journal, sent, and cut off if the run stops."""

import asyncio
import functools
from collections.abc import Awaitable, Iterable
from typing import Any, Final

from intercom_async.bulk.base_run import INTERRUPTED, ResultQueue
from intercom_async.bulk.changes import Changes
from intercom_async.bulk.options import Operation
from intercom_async.bulk.queue import Item
from intercom_async.detaching import DetachResult, Outcome
from intercom_async.errors import (
    ClientStateError,
    IntercomError,
    InvalidArgumentError,
    UnknownOutcomeError,
)
from intercom_async.journal import Session, State
from intercom_async.transport.sending import CallOptions, Transport

_LARGE: Final = 256 * 1024
"""After a reply of more bytes than this, the bytes of all replies in flight are bounded, too."""

_IN_FLIGHT_BYTES: Final = 64 * 1024 * 1024
"""The most bytes that replies in flight may have together, after a large one."""

_CUT_OFF: Final = (
    "the run stopped while this pair's request was under way, so it may have been applied; "
    "to go on with the run, or to try the pair again, is safe"
)
_RECALLED: Final = (
    "the journal was out of reach, so the request was given up; it may have been applied"
)


class Sender:
    """Sends the pairs of a run.

    Attributes:
        journal: what each pair is announced to; None if it is not durable.
        admin_id: the admin of pairs that name none.
    """

    def __init__(
        self,
        operation: Operation,
        transport: Transport,
        call: CallOptions,
        *,
        workspace: str,
        results: ResultQueue[Any],
        changes: Changes,
    ) -> None:
        self.journal: Session | None = None
        self.admin_id: str | None = None
        self._operation = operation
        self._transport = transport
        self._call = call
        self._workspace = workspace
        self._results = results
        self._changes = changes
        self._in_flight = 0
        self._largest = 0

    async def send(self, item: Item) -> DetachResult:
        """Bring a pair to its end; whatever happens on the way is in the result."""
        item.task = task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        try:
            result = await self._operation(
                self._transport,
                item.pair,
                item.pair.admin_id or self.admin_id,
                self._call,
                ambiguous=item.in_doubt,
                on_send=functools.partial(self._announce, item),
            )
        except InvalidArgumentError as error:
            return DetachResult(detach=item.pair, outcome=Outcome.FAILED, error=error)
        except IntercomError as error:
            # The client was closed, or the disk is full. The run stops only after this call: now it
            # would cancel this very task.
            return _cut_off(item, error, fatal=error)
        except asyncio.CancelledError:
            task.uncancel()
            fatal = None if item.cut_off else ClientStateError(INTERRUPTED)
            return _cut_off(item, UnknownOutcomeError(item.cut_off or _CUT_OFF), fatal=fatal)
        finally:
            item.task = None
            if item.attempts:
                self._in_flight -= 1
        if result.answer is not None and len(result.answer.body) > self._largest:
            self._largest = len(result.answer.body)
        return result

    @staticmethod
    def stop(items: Iterable[Item], *, everything: bool) -> None:
        """Cancel pairs whose request has not left; with `everything`, requests in flight, too."""
        for item in items:
            if item.task is not None and (everything or not item.attempts):
                item.cut_off = _CUT_OFF
                item.task.cancel()

    @staticmethod
    def recall(items: Iterable[Item]) -> None:
        """Cancel all repeats; see `DetachRun.recall`."""
        for item in items:
            if item.task is not None and item.attempts:
                item.cut_off = _RECALLED
                item.task.cancel()

    def _announce(self, item: Item) -> Awaitable[None] | None:
        """Return what a request must wait for before it leaves, if anything."""
        if self.journal is not None or self._largest > _LARGE:
            return self._wait_to_leave(item)
        self._count(item)
        return None

    async def _wait_to_leave(self, item: Item) -> None:
        """Write that a pair's first request leaves; for later ones, ask whether they still may."""
        if not item.attempts:
            if self._largest > _LARGE:
                # Not before the wait for a permit: meanwhile replies may have turned out large.
                await self._results.room()
                await self._changes.until(self._may_get_another_reply)
            if self.journal is not None:
                await self.journal.write(item.row_in(State.SENDING, self.admin_id, self._workspace))
        elif self.journal is not None:
            await self.journal.hold()
        self._count(item)

    def _count(self, item: Item) -> None:
        self._in_flight += not item.attempts
        item.attempts += 1

    def _may_get_another_reply(self) -> bool:
        return self._in_flight < max(1, _IN_FLIGHT_BYTES // self._largest)


def _cut_off(item: Item, error: IntercomError, *, fatal: IntercomError | None) -> DetachResult:
    sent = item.attempts > 0 or item.in_doubt
    return DetachResult(
        detach=item.pair,
        outcome=Outcome.UNKNOWN if sent else Outcome.NOT_ATTEMPTED,
        error=error if sent or error is fatal else None,
        fatal=fatal,
        attempts=item.attempts,
    )
