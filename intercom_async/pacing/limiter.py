"""Requests queue here for quota and connection: `window` and `slots` say when one may leave.

Two queues, interactive before bulk, each first in, first out. Whenever something changes (an
answer, a cancellation, the end of an input, a free connection) the limiter wakes as many waiters
as may leave, and sets one timer for the moment to look at the next. While no request
waits there is no timer and no task. A permit belongs to its waiter from the moment it is granted:
a waiter cancelled just then gives it back, and the next one is woken.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

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


class _Waiter(msgspec.Struct, eq=False):
    """A request that waits for its permit."""

    granted: asyncio.Future[Permit]
    bounded: bool
    slots: Slots


class _Queue(msgspec.Struct, eq=False):
    """One lane's waiters, first in, first out.

    Attributes:
        waiters: in order; those that gave up stay until they come to the head.
        waiting: how many have not given up.
    """

    lane: Lane
    waiters: deque[_Waiter] = msgspec.field(default_factory=deque[_Waiter])
    waiting: int = 0


class Backlog(msgspec.Struct, eq=False):
    """The `unread` pairs of a bulk run, None if their number is unknown."""

    unread: int | None


class Gate(Protocol):
    """One limiter's view of a budget shared with other processes.

    A permit is granted when the limiter's own window and the gate agree, so a gate can only slow
    down, never speed up. Every call is quick and none blocks.
    """

    def wait(self, *, limit: int, reset: float, left: float, now: float) -> float:
        """Return 0.0 if a permit may be taken now, else the seconds after which to ask again.

        Args:
            reset: Unix second, on the server's clock, at which its current window ends.
        """
        ...

    def least_wait(self, *, reset: float, left: float) -> float:
        """Return the seconds that an interactive request certainly has to wait."""
        ...

    def take(self) -> None:
        """A permit is taken: `wait` has just returned 0.0, or no reply has named a window yet."""
        ...

    def observe(self, *, limit: int, remaining: int, reset: float, elapsed: float) -> None:
        """A reply said what is left of a window.

        Args:
            elapsed: seconds from the request's permit to the reply.
        """
        ...


class Limiter:
    """Hands out permits to send; belongs to one event loop.

    Args:
        share: makes the gate of a budget shared with other processes, given a function that
            wakes this limiter; None without such a budget.
    """

    def __init__(
        self,
        policy: RateLimitPolicy,
        runtime: Runtime = SYSTEM,
        *,
        share: Callable[[Callable[[], None]], Gate] | None = None,
    ) -> None:
        self._runtime = runtime
        self._window = QuotaWindow(policy, runtime.random)
        self._interactive = _Queue(Lane.INTERACTIVE)
        self._bulk = _Queue(Lane.BULK)
        self._backlogs: list[Backlog] = []
        self._concurrency = ConcurrencyBound()
        self._concurrency_reset = 0.0
        self._bounded = 0
        self._most: float = math.inf
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0
        self._gate = None if share is None else share(self._wake)

    def try_acquire(
        self, lane: Lane, *, bounded: bool = True, slots: Slots = UNBOUNDED
    ) -> Permit | None:
        """Return a permit if one is free and no other request waits for it, else None.

        Args:
            bounded: whether a bulk request counts against the computed bound on concurrency.
        """
        bulk = lane is _BULK
        if self._interactive.waiting or not slots.free(bulk=bulk):
            return None
        bounded = bounded and bulk
        if bulk and (self._bulk.waiting or (bounded and self._bounded >= self._concurrency.value)):
            return None
        now = self._runtime.monotonic()
        if self._window.wait(lane, now, backlog=self._backlog(1) if bulk else None) > 0.0:
            return None
        if self._gate is not None and self._wait_at(self._gate, now) > 0.0:
            return None
        return self._take(lane, now, bounded=bounded, slots=slots)

    async def acquire(
        self,
        lane: Lane,
        *,
        max_wait: float | None = None,
        bounded: bool = True,
        slots: Slots = UNBOUNDED,
    ) -> Permit:
        """Wait at most `max_wait` seconds for a permit, which `release` must get back in any case.

        Raises:
            RateLimitWaitError: the wait is longer than `max_wait`; raised at once when that can
                be foreseen.
        """
        permit = self.try_acquire(lane, bounded=bounded, slots=slots)
        if permit is not None:
            return permit
        if max_wait is not None:
            wait = self._least_wait(self._interactive.waiting)
            if wait > max_wait or max_wait <= 0.0:
                raise self._too_long(wait, max_wait, wait, slots)
        queue = self._bulk if lane is _BULK else self._interactive
        granted: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        queue.waiters.append(_Waiter(granted, bounded and lane is _BULK, slots))
        queue.waiting += 1
        expiry = None
        if max_wait is not None:
            expiry = self._runtime.call_later(
                max_wait, lambda: self._expire(granted, max_wait, slots)
            )
        self._wake()
        try:
            return await granted
        except BaseException:
            self._give_up(granted)
            raise
        finally:
            queue.waiting -= 1
            if expiry is not None:
                expiry.cancel()

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
        """Take a permit back and learn from its request; harmless when repeated.

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
            if self._gate is not None and headers is not None:
                self._observe(self._gate, headers, now - permit.sent)
        elif sent:
            window.lost(permit, now)
        else:
            window.give_back(permit, tried=tried)
        if permit.bounded:
            self._bounded -= 1
            if sent:
                overloaded = status is None or status in _OVERLOADED
                self._observe_load(now - permit.sent, overloaded=overloaded)
        permit.slots.give_back()
        if self._interactive.waiting or self._bulk.waiting:
            self._wake()

    def recovered(self) -> None:
        """An outage is over: the load that was measured in it means nothing now."""
        self._concurrency = ConcurrencyBound()
        if self._bulk.waiting:
            self._wake()

    def expect(self, backlog: Backlog) -> None:
        """A bulk run has begun: more will follow the requests that wait."""
        self._backlogs.append(backlog)

    def forget(self, backlog: Backlog) -> None:
        """That run has read its input to the end, or was stopped."""
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
            waiting_interactive=self._interactive.waiting,
            waiting_bulk=self._bulk.waiting,
        )

    def offered(self) -> None:
        """A connection is free for one request; see `Slots`."""
        self._most = 1
        try:
            self._wake()
        finally:
            self._most = math.inf

    def _take(self, lane: Lane, now: float, *, bounded: bool, slots: Slots) -> Permit:
        if self._gate is not None:
            self._gate.take()
        permit = self._window.take(lane, now)
        slots.take()
        permit.slots = slots
        if bounded:
            permit.bounded = True
            self._bounded += 1
        return permit

    def _wake(self) -> None:
        """Grant what may leave now, and set the timer for the rest."""
        now = self._runtime.monotonic()
        wait = self._grant(self._interactive, now)
        if wait is None:
            wait = self._grant(self._bulk, now)
        if wait is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return
        at = now + wait
        if self._timer is not None:
            if self._timer_at <= at:
                return  # it will look again, and then set a later one
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._runtime.call_later(wait, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._wake()

    def _give_up(self, granted: "asyncio.Future[Permit]") -> None:
        """A waiter leaves without its permit."""
        if granted.done() and not granted.cancelled() and granted.exception() is None:
            # Granted and cancelled in the same turn of the loop.
            self.release(granted.result(), headers=None, status=None, sent=False)
        self._wake()  # the next waiter may need the timer, or there is none

    def _grant(self, queue: _Queue, now: float) -> float | None:
        """Wake waiters while they may go; return seconds until the next may, None if none waits."""
        waiters = queue.waiters
        while waiters:
            waiter = waiters[0]
            if waiter.granted.done():  # cancelled, or out of patience
                waiters.popleft()
                continue
            if waiter.bounded and self._bounded >= self._concurrency.value:
                return WINDOW  # an answer makes room, and wakes
            wait = self._window.wait(queue.lane, now, backlog=self._backlog(len(waiters)))
            if wait <= 0.0 and self._gate is not None:
                wait = self._wait_at(self._gate, now)
            if wait > 0.0:
                return wait
            bulk = queue.lane is _BULK
            if self._most < 1 or not waiter.slots.free(bulk=bulk):
                waiter.slots.stand_in_line(self, bulk=bulk)
                return WINDOW  # a connection that is given back is offered
            waiters.popleft()
            self._most -= 1
            permit = self._take(queue.lane, now, bounded=waiter.bounded, slots=waiter.slots)
            waiter.granted.set_result(permit)
        return None

    def _least_wait(self, ahead: int) -> float:
        """Return the seconds an interactive request certainly has to wait."""
        window, now = self._window, self._runtime.monotonic()
        wait = window.least_wait(ahead, now)
        if self._gate is not None and window.limit is not None:
            left = window.reset - window.clock.now(now)
            wait = max(wait, self._gate.least_wait(reset=window.reset, left=left))
        return wait

    def _wait_at(self, gate: Gate, now: float) -> float:
        """Ask the shared budget; before the first reply there is no window to ask for."""
        window = self._window
        if window.limit is None:
            return 0.0
        left = window.reset - window.clock.now(now)
        return gate.wait(limit=window.limit, reset=window.reset, left=left, now=now)

    @staticmethod
    def _observe(gate: Gate, headers: RateLimitHeaders, elapsed: float) -> None:
        limit, remaining, reset = headers.limit, headers.remaining, headers.reset
        if limit is not None and remaining is not None and reset is not None:
            gate.observe(limit=limit, remaining=remaining, reset=reset, elapsed=elapsed)

    def _backlog(self, waiting: int) -> int | None:
        """Return how many bulk requests there are to do, None when unknown."""
        for backlog in self._backlogs:
            if backlog.unread is None:
                return None
            waiting += backlog.unread
        return waiting

    def _expire(self, granted: "asyncio.Future[Permit]", max_wait: float, slots: Slots) -> None:
        if not granted.done():
            more = self._least_wait(0)
            granted.set_exception(self._too_long(max_wait + more, max_wait, more, slots))

    def _too_long(
        self, wait: float, max_wait: float, for_quota: float, slots: Slots
    ) -> RateLimitWaitError:
        return RateLimitWaitError(
            wait=wait,
            max_wait=max_wait,
            rate_limit=self.status(),
            connections=for_quota <= 0.0 and not slots.free(bulk=False),
        )

    def _observe_load(self, elapsed: float, *, overloaded: bool) -> None:
        window = self._window
        if window.limit is not None and window.reset != self._concurrency_reset:
            self._concurrency_reset = window.reset
            self._concurrency.next_window(window.limit)
        self._concurrency.observe(elapsed, overloaded=overloaded)
