"""One pair's way to Intercom: announced to the journal, sent, and cut off if the run stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from typing import TYPE_CHECKING, Any, Final

import attrs

from intercom_async.bulk.access import Access
from intercom_async.bulk.item import Item
from intercom_async.bulk.options import Operation
from intercom_async.detaching import Outcome, Settled
from intercom_async.errors import (
    AuthenticationError,
    IntercomError,
    InvalidArgumentError,
    UnknownOutcomeError,
)
from intercom_async.transport.sending import CallOptions

if TYPE_CHECKING:
    from intercom_async.journal import Session

_CUT_OFF: Final = (
    "the run stopped while this pair's request was under way: it may have been applied; "
    "go on with the run, or try the pair again: it is safe"
)
_RECALLED: Final = (
    "the journal was out of reach, so the request was given up; it may have been applied"
)


class Sender:
    """Sends the pairs of a run.

    Attributes:
        journal: what each pair is announced to; None if it is not durable.
        room: awaited before a request leaves, while memory cannot hold another reply.
        interrupted: called when other code cancelled a request.
        stopping: whether a cancellation is the run's own.
    """

    def __init__(self, operation: Operation, call: CallOptions, access: Access) -> None:
        self.journal: Session | None = None
        self.room: Callable[[], Awaitable[None]] | None = None
        self.interrupted: Callable[[], None] = lambda: None
        self.stopping = False
        self._operation = operation
        self._call = call
        self._access = access
        self._tasks: set[asyncio.Task[Any]] = set()
        self._unsent: set[asyncio.Task[Any]] = set()
        self._recalled: set[asyncio.Task[Any]] = set()

    @property
    def in_flight(self) -> int:
        """Pairs whose request was sent and has no final answer yet."""
        return len(self._tasks - self._unsent)

    async def send(self, item: Item) -> Settled:
        """Bring a pair to its end; whatever happens on the way is in the answer."""
        task = _this_task()
        sent, attempts = item.in_doubt, 0

        async def announce() -> None:
            nonlocal sent, attempts
            await self._announce(item)
            sent, attempts = True, attempts + 1
            self._unsent.discard(task)

        self._tasks.add(task)
        self._unsent.add(task)
        try:
            if self._access.admin_of(item.pair) is None:
                await self._access.who()
            transport = self._access.transport
            settled = await self._operate(item, announce, ambiguous=item.in_doubt)
            if isinstance(settled.fatal, AuthenticationError) and await self._access.renewed(
                transport
            ):
                refused = settled
                doubt = item.in_doubt or refused.outcome is Outcome.UNKNOWN
                settled = await self._operate(item, announce, ambiguous=doubt)
                settled = attrs.evolve(
                    settled,
                    attempts=settled.attempts + refused.attempts,
                    refusals=settled.refusals + refused.refusals,
                )
            return settled  # noqa: TRY300  what is raised above has handlers of its own
        except InvalidArgumentError as error:
            return Settled(Outcome.FAILED, error=error)
        except IntercomError as error:
            # The client was closed, the disk is full, or nobody can say whose token it is. The
            # run stops behind this call: here that would cancel this very task.
            outcome = Outcome.UNKNOWN if sent else Outcome.NOT_ATTEMPTED
            return Settled(outcome, error=error, fatal=error, attempts=attempts)
        except asyncio.CancelledError:
            if task in self._recalled:
                task.uncancel()
                return Settled(
                    Outcome.UNKNOWN, error=UnknownOutcomeError(_RECALLED), attempts=attempts
                )
            if not self.stopping:
                self.interrupted()
            task.uncancel()
            if not sent:
                return Settled(Outcome.NOT_ATTEMPTED)
            return Settled(Outcome.UNKNOWN, error=UnknownOutcomeError(_CUT_OFF), attempts=attempts)
        finally:
            self._tasks.discard(task)
            self._unsent.discard(task)
            self._recalled.discard(task)

    def _operate(
        self, item: Item, announce: Callable[[], Awaitable[None]], *, ambiguous: bool
    ) -> Awaitable[Settled]:
        return self._operation(
            self._access.transport,
            item.pair,
            self._access.admin_of(item.pair),
            self._call,
            ambiguous=ambiguous,
            on_send=announce,
        )

    async def _announce(self, item: Item) -> None:
        """Let the journal know that a pair is about to be sent, or ask whether it still may be."""
        if item.announced:
            if self.journal is not None:
                await self.journal.hold()
            return
        if self.room is not None:
            await self.room()
        item.announced = True
        if self.journal is not None:
            await self.journal.write(item.sending(self._access.admin_of(item.pair)))

    @contextlib.contextmanager
    def stoppable(self) -> Generator[None]:
        """Let `stop` cancel this task while it is in here; it goes on behind it then."""
        task = _this_task()
        self._unsent.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            task.uncancel()
        finally:
            self._unsent.discard(task)

    def stop(self, *, everything: bool) -> None:
        """Give up what is not sent, or requests in flight, too."""
        self.stopping = True
        for task in self._unsent | self._tasks if everything else set(self._unsent):
            if task is not asyncio.current_task():  # which finds that out by itself
                task.cancel()

    def recall(self) -> None:
        """Send nothing again: another run may own the journal by now, and check what is left."""
        self._recalled = self._tasks - self._unsent
        for task in self._recalled:
            task.cancel()


def _this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  a coroutine runs in a task
    return task
