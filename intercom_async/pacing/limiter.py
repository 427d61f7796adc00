"""The queues in which requests wait; `window` and `slots` say when one may leave.

Two queues, interactive before bulk, each first in, first out. Whenever something changes (an
answer, a cancellation, the end of an input, a free connection) the limiter wakes as many waiters
as may leave, and sets one timer for the moment to look at the next. While no request waits, there
is no timer and no task. A permit belongs to its waiter from the moment it is granted:
a waiter cancelled just then gives it back, and the next one is woken.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from intercom_async.errors import RateLimitWaitError
from intercom_async.observing import RateLimitStatus
from intercom_async.pacing.concurrency import ConcurrencyBound
from intercom_async.pacing.server_clock import WINDOW
from intercom_async.pacing.slots import UNBOUNDED, Slots
from intercom_async.pacing.window import (
    Lane,
    Permit,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)
from intercom_async.runtime import SYSTEM, Runtime, TimerHandle

_BULK: Final = Lane.BULK
_OVERLOADED: Final = frozenset({502, 503, 504})


class _Waiter(NamedTuple):
    """The arguments of a `Limiter.acquire` that waits."""

    bounded: bool
    slots: Slots


_Queue = OrderedDict[asyncio.Future[Permit], _Waiter]
"""One lane's waiters, first in, first out."""


class Backlog(msgspec.Struct, eq=False):
    """The `unread` pairs of a bulk run, None if their number is unknown."""

    unread: int | None


class Limiter:
    """Hands out permits to send; belongs to one event loop.

    Args:
        share: makes the window of a quota shared with other processes, as
            `SharedBudget.window` does once it has a name; None without such a quota.
    """

    def __init__(
        self,
        policy: RateLimitPolicy,
        runtime: Runtime = SYSTEM,
        *,
        share: Callable[..., QuotaWindow] | None = None,
    ) -> None:
        self._runtime = runtime
        self._window = (
            QuotaWindow(policy, runtime.random)
            if share is None
            else share(policy, runtime.random, self._wake)
        )
        self._interactive = _Queue()
        self._bulk = _Queue()
        self._backlogs: list[Backlog] = []
        self._concurrency = ConcurrencyBound()
        self._bounded = 0
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0

    def try_acquire(
        self, lane: Lane, *, bounded: bool = True, slots: Slots = UNBOUNDED
    ) -> Permit | None:
        """Return a permit if one is free and no other request waits for it, else None."""
        if self._interactive or (lane is _BULK and self._bulk):
            return None
        now = self._runtime.monotonic()
        if self._wait(lane, slots, now, bounded=bounded, waiting=1) > 0.0:
            return None
        return self._take(lane, slots, now, bounded=bounded)

    async def acquire(
        self,
        lane: Lane,
        *,
        max_wait: float | None = None,
        bounded: bool = True,
        slots: Slots = UNBOUNDED,
    ) -> Permit:
        """Wait at most `max_wait` seconds for a permit; always give it back to `release`.

        Raises:
            RateLimitWaitError: the wait is longer than `max_wait`; raised at once when that can
                be foreseen.
        """
        permit = self.try_acquire(lane, bounded=bounded, slots=slots)
        if permit is not None:
            return permit
        if max_wait is not None:
            wait = self._least_wait(len(self._interactive))
            if wait > max_wait or max_wait <= 0.0:
                raise self._too_long(wait, max_wait, wait, slots)
        queue = self._bulk if lane is _BULK else self._interactive
        granted: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        queue[granted] = _Waiter(bounded, slots)
        self._wake()
        try:
            async with asyncio.timeout(max_wait):
                return await granted
        except BaseException as error:
            queue.pop(granted, None)
            if granted.done() and not granted.cancelled():  # granted in this turn of the loop
                self.release(granted.result(), headers=None, status=None, sent=False)
            self._wake()  # the next waiter may need the timer, or there is none
            if max_wait is not None and isinstance(error, TimeoutError):
                more = self._least_wait(0)
                raise self._too_long(max_wait + more, max_wait, more, slots) from None
            raise

    def release(
        self,
        permit: Permit,
        *,
        headers: RateLimitHeaders | None,
        status: int | None,
        code: str | None = None,
        sent: bool = True,
        tried: bool = False,
    ) -> None:
        """Take a permit back and learn from its request; a second call does nothing.

        Args:
            sent: False if the request certainly never left.
            tried: whether a request that never left had tried to connect.
        """
        if not permit.open:
            return
        permit.open = False
        window = self._window
        now = self._runtime.monotonic()
        if status is not None:
            window.answered(permit, headers, status=status, code=code, now=now)
        elif sent:
            window.lost(permit, now)
        else:
            window.give_back(permit, tried=tried)
        if permit.bounded:
            self._bounded -= 1
            if sent:
                overloaded = status is None or status in _OVERLOADED
                self._concurrency.observe(
                    now - permit.sent,
                    overloaded=overloaded,
                    limit=window.limit,
                    reset=window.reset,
                )
        permit.slots.give_back()
        if self._interactive or self._bulk:
            self._wake()

    def recovered(self) -> None:
        """Forget the load that was measured during an outage, which is over."""
        self._concurrency = ConcurrencyBound()
        if self._bulk:
            self._wake()

    def expect(self, backlog: Backlog) -> None:
        """Note that a bulk run has begun: more requests will follow those that wait."""
        self._backlogs.append(backlog)

    def forget(self, backlog: Backlog) -> None:
        """Note that the run has read its input to the end, or was stopped."""
        self._backlogs.remove(backlog)
        self._wake()

    @property
    def limit(self) -> int | None:
        """Requests the server allows per window, None before it said so."""
        return self._window.limit

    def status(self) -> RateLimitStatus | None:
        """Return a snapshot of the quota; None before the first answer."""
        return self._window.status(
            self._runtime.monotonic(),
            waiting_interactive=len(self._interactive),
            waiting_bulk=len(self._bulk),
        )

    def _wait(self, lane: Lane, slots: Slots, now: float, *, bounded: bool, waiting: int) -> float:
        """Return 0.0 if a request may leave now, else the seconds after which to look again."""
        bulk = lane is _BULK
        if bulk and bounded and self._bounded >= self._concurrency.value:
            return WINDOW  # an answer makes room, and wakes
        wait = self._window.wait(lane, now, backlog=self._backlog(waiting) if bulk else None)
        if wait <= 0.0 and not slots.free(bulk=bulk):
            slots.stand_in_line(self._wake, bulk=bulk)
            return WINDOW  # a connection that is given back is offered
        return wait

    def _take(self, lane: Lane, slots: Slots, now: float, *, bounded: bool) -> Permit:
        permit = self._window.take(lane, now)
        slots.take()
        permit.slots = slots
        if bounded and lane is _BULK:
            permit.bounded = True
            self._bounded += 1
        return permit

    def _wake(self) -> None:
        """Grant what may leave now, and set the timer for the rest."""
        now = self._runtime.monotonic()
        wait = self._grant(Lane.INTERACTIVE, self._interactive, now)
        if wait is None:
            wait = self._grant(_BULK, self._bulk, now)
        if wait is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        at = now + wait
        if self._timer is not None:
            if self._timer_at <= at:
                return  # when it fires, `_on_timer` sets the later one
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._runtime.call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()

    def _grant(self, lane: Lane, queue: _Queue, now: float) -> float | None:
        """Wake waiters while they may go; return seconds until the next may, None if none waits."""
        while queue:
            granted, (bounded, slots) = next(iter(queue.items()))
            if not granted.done():  # by its cancellation
                wait = self._wait(lane, slots, now, bounded=bounded, waiting=len(queue))
                if wait > 0.0:
                    return wait
                granted.set_result(self._take(lane, slots, now, bounded=bounded))
            del queue[granted]
        return None

    def _least_wait(self, ahead: int) -> float:
        return self._window.least_wait(ahead, self._runtime.monotonic())

    def _backlog(self, waiting: int) -> int | None:
        """Return how many bulk requests there are to do, None when unknown."""
        for backlog in self._backlogs:
            if backlog.unread is None:
                return None
            waiting += backlog.unread
        return waiting

    def _too_long(
        self, wait: float, max_wait: float, for_quota: float, slots: Slots
    ) -> RateLimitWaitError:
        return RateLimitWaitError(
            wait=wait,
            max_wait=max_wait,
            rate_limit=self.status(),
            connections=for_quota <= 0.0 and not slots.free(bulk=False),
        )
