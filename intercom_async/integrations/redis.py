"""One quota shared by many processes through Redis.

::

    async with (
        RedisBudget("redis://localhost") as budget,
        IntercomClient(shared_budget=budget) as client,
    ):
        ...

Processes share a quota well by the headers alone. A shared counter helps when the quota is very
small, when links are very slow, or when many processes start at the same moment.

For each window of the server's clock Redis holds one number: the permits that processes have
leased. A process leases one permit at a time, or a hundredth of a large quota, with a script that
counts and grants in one step. A reply's headers raise the number, so that it includes the requests
of others that do not use Redis. A lease ends with its window, and so does the number. A request
that leaves so close to a window's end that it may arrive in the next one is charged to both. Pacing
by the headers goes on: a request leaves when the headers and a lease allow it.

No request waits for Redis longer than `deadline`. When Redis is slow, gone or wrong, the circuit
opens at once: the headers alone pace requests until a probe succeeds. So Redis never blocks
requests, and requests are never unpaced.
"""

import asyncio
import contextlib
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, Final, Self

import attrs

from intercom_async.integrations import missing

try:
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError
except ModuleNotFoundError as error:
    raise missing(__name__, error) from error

from intercom_async.errors import InvalidArgumentError
from intercom_async.pacing.server_clock import WINDOW
from intercom_async.pacing.window import (
    Lane,
    Permit,
    QuotaWindow,
    RateLimitHeaders,
    RateLimitPolicy,
)

logger: Final = logging.getLogger("intercom_async")

_LIFETIME: Final = int(3 * WINDOW * 1000)
"""Milliseconds after which Redis forgets a window."""

_RESERVE: Final = 0.02
"""Part of the limit that nobody leases, for requests that the headers report too late."""

_TICK: Final = 0.001
"""Seconds below which no wait is worth a timer."""

_SCRIPT: Final = """
local usable, want, reported = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used = tonumber(redis.call('GET', KEYS[1]) or '0') + tonumber(ARGV[4])
if reported > used then used = reported end
local granted = math.max(0, math.min(want, usable - used))
redis.call('SET', KEYS[1], used + granted, 'PX', ARGV[5])
return granted
"""
"""Take up to `want` permits of a window; one step, so that no two processes get the same ones.

KEYS: the window. ARGV: permits there are, permits wanted, permits used as the server reported
(-1 for no report), permits this process used without a lease, milliseconds to keep the number.
"""

_FAILURES: Final = (RedisError, OSError, TimeoutError)


class RedisBudget:
    """Shares quotas with every process that uses the same Redis; for one event loop.

    Args:
        redis: a URL such as "redis://localhost:6379/0", or a client of the application's, which
            is used and never closed.
        deadline: seconds Redis may take for an answer before the circuit opens.
        probe_every: seconds between two probes of a Redis that failed.
    """

    def __init__(
        self,
        redis: "Redis | str",
        *,
        prefix: str = "intercom_async",
        deadline: float = 0.05,
        probe_every: float = 5.0,
    ) -> None:
        for name, value in (("deadline", deadline), ("probe_every", probe_every)):
            if not value > 0:
                raise InvalidArgumentError(name, value, "a positive number of seconds")
        self._owned = isinstance(redis, str)
        self._redis = _connect(redis) if isinstance(redis, str) else redis
        self._script: Any = self._redis.register_script(_SCRIPT)
        self._prefix = prefix
        self.deadline = deadline
        self.probe_every = probe_every
        self._broken = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop using Redis; clients that are still open are paced by the headers alone."""
        self._closed = True
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._owned:
            await self._redis.aclose()

    @property
    def working(self) -> bool:
        """Whether permits are leased from Redis now; False while it is slow, gone or closed."""
        return not self._broken and not self._closed

    def window(
        self,
        name: str,
        policy: RateLimitPolicy,
        random: Callable[[], float],
        wake: Callable[[], None],
    ) -> QuotaWindow:
        """See `SharedBudget.window`."""
        return _LeasedWindow(self, f"{self._prefix}:{name}", policy, random, wake)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background; `aclose` cancels it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def open_circuit(self, error: Exception) -> None:
        """Pace by the headers alone until a probe succeeds."""
        if not self._broken:
            self._broken = True
            logger.warning(
                "Redis failed (%s); requests are paced by the rate-limit headers alone",
                type(error).__name__,
            )
            self.spawn(self._probe())

    async def lease(
        self, key: str, *, usable: int, want: int, reported: int, unleased: int = 0
    ) -> int:
        """Take up to `want` permits and return how many there were; see `_SCRIPT`.

        Args:
            reported: permits used as the server reported, -1 for no report.
            unleased: permits this process used without a lease and did not report yet.

        Raises:
            RedisError, OSError, TimeoutError: Redis failed, or took longer than the deadline.
        """
        async with asyncio.timeout(self.deadline):
            arguments = [usable, want, reported, unleased, _LIFETIME]
            return int(await self._script(keys=[key], args=arguments))

    async def _probe(self) -> None:
        while self._broken:
            await asyncio.sleep(self.probe_every)
            with contextlib.suppress(*_FAILURES):
                # A lease of no permits shows that Redis works.
                await self.lease(f"{self._prefix}:probe", usable=0, want=0, reported=0)
                self._broken = False
        logger.info("Redis answers again; requests need its permits again")


def usable(limit: int) -> int:
    """Return how many permits of a window may be leased."""
    return max(1, limit - math.ceil(limit * _RESERVE))


def _connect(url: str) -> Redis:
    # No retries: falling back is better than waiting.
    from_url: Any = Redis.from_url  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]  # untyped options
    connected: Redis = from_url(url, retry=Retry(NoBackoff(), 0))
    return connected


@attrs.define(eq=False)
class _Lease:
    """This process's permits of one window; it is used up if Redis had fewer than were wanted."""

    permits: int = 0
    used_up: bool = False
    fetching: bool = False


class _LeasedWindow(QuotaWindow):
    """A shared quota: a request leaves when the headers and a lease let it."""

    def __init__(
        self,
        budget: RedisBudget,
        key: str,
        policy: RateLimitPolicy,
        random: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        super().__init__(policy, random)
        self._shared = budget
        self._key = key
        self._wake = wake
        self._leases = defaultdict[float, _Lease](_Lease)  # by the end of their windows
        self._charged: tuple[float, ...] = ()
        self._entered = 0.0  # the end of the window that was entered last
        self._unleased = 0  # requests since then that no lease was charged for
        self._reported = (0.0, -1)  # the end of a window, permits used in it
        self._way = 0.1  # seconds from a permit to the reply

    def wait(self, lane: Lane, now: float, *, backlog: int | None) -> float:
        """See `QuotaWindow.wait`; before the first reply there is no window to lease from."""
        wait = super().wait(lane, now, backlog=backlog)
        if wait > 0.0 or self.limit is None:
            return wait
        if self.reset != self._entered:
            self._let_lapse()
        self._charged = ()
        if not self._shared.working:
            return 0.0
        left = self._left(now)
        charged = (self.reset,) if left > self._way else (self.reset, self.reset + WINDOW)
        leases = [self._leased(window, self.limit) for window in charged]
        if all(lease.permits > 0 for lease in leases):
            self._charged = charged
            return 0.0
        # When a window is used up, nothing changes before its end.
        used_up = any(lease.used_up for lease in leases)
        return max(_TICK, left) if used_up else self._shared.deadline

    def least_wait(self, ahead: int, now: float) -> float:
        """See `QuotaWindow.least_wait`."""
        wait = super().least_wait(ahead, now)
        lease = self._leases[self.reset]
        used_up = lease.used_up and lease.permits == 0 and self._shared.working
        return max(wait, self._left(now)) if used_up else wait

    def take(self, lane: Lane, now: float) -> Permit:
        """See `QuotaWindow.take`."""
        for window in self._charged:
            self._leases[window].permits -= 1
        if not self._charged:
            self._unleased += 1
        self._charged = ()
        return super().take(lane, now)

    def answered(
        self,
        permit: Permit,
        headers: RateLimitHeaders | None,
        *,
        status: int,
        code: str | None,
        now: float,
    ) -> None:
        """See `QuotaWindow.answered`."""
        super().answered(permit, headers, status=status, code=code, now=now)
        if headers is not None and headers.quota is not None:
            limit, remaining, reset = headers.quota
            self._way += (now - permit.sent - self._way) / 8.0
            self._reported = max(self._reported, (reset, limit - remaining))

    def _left(self, now: float) -> float:
        return self.reset - self.clock.now(now)

    def _let_lapse(self) -> None:
        """A window begins: leases of earlier ones have lapsed."""
        if self._entered:  # before the first one, requests left without knowing any
            self._unleased = 0
        self._entered = self.reset
        for window in [window for window in self._leases if window < self.reset]:
            del self._leases[window]

    def _leased(self, window: float, limit: int) -> _Lease:
        """Return the lease of a window; fetch more permits before the last one is taken."""
        lease = self._leases[window]
        want = max(1, limit // 100)
        if lease.permits <= want // 2 and not lease.used_up and not lease.fetching:
            lease.fetching = True
            self._shared.spawn(self._fetch(lease, window, limit, want))
        return lease

    async def _fetch(self, lease: _Lease, window: float, limit: int, want: int) -> None:
        """Lease permits of a window and let the limiter look again, whatever came of it."""
        # Requests that left without a lease are counted now, once.
        unleased, self._unleased = self._unleased, 0
        reset, used = self._reported
        try:
            granted = await self._shared.lease(
                f"{self._key}:{window:.0f}",
                usable=usable(limit),
                want=want,
                reported=used if window == reset else -1,
                unleased=unleased,
            )
        except _FAILURES as error:
            self._shared.open_circuit(error)
        else:
            lease.permits += granted
            lease.used_up = granted < want
        finally:
            lease.fetching = False
            self._wake()
