"""The strategies that are compared: this library's limiter, and what people do without it.

A strategy belongs to one process. It gets a request through: it decides when to send, and what
to do when the request was refused or its reply never came.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from benchmarks.quota_world import Reply
from intercom_async.pacing.limiter import Backlog, Limiter
from intercom_async.pacing.window import Lane, RateLimitPolicy
from intercom_async.runtime import Runtime

Send = Callable[[], Awaitable[Reply]]


class Strategy:
    """How one process sends: at once, and after a refusal again, backing off with full jitter."""

    def __init__(self, runtime: Runtime, limit: int) -> None:
        self.runtime = runtime
        self.limit = limit

    async def before(self) -> None:
        """Wait for the moment to send."""

    def pause(self, reply: Reply, attempt: int) -> float:
        """Return anything up to 0.5, 1, 2 ... 20 seconds."""
        del reply
        return self.runtime.random() * min(20.0, 0.5 * 2.0**attempt)

    async def deliver(self, send: Send, *, interactive: bool) -> None:
        del interactive
        for attempt in itertools.count():
            await self.before()
            reply = await send()
            if reply.accepted:
                return
            await asyncio.sleep(self.pause(reply, attempt))

    def pairs(self, size: int | None) -> Iterator[object]:
        """Return what workers take up one by one: so many pairs, or None for no end."""
        return itertools.repeat(None) if size is None else iter(range(size))


class SharePaced(Strategy):
    """The real limiter of this library, used as its transport uses it."""

    def __init__(self, runtime: Runtime, limit: int) -> None:
        super().__init__(runtime, limit)
        self._limiter = Limiter(RateLimitPolicy(max_wait=None), runtime)  # it learns the limit

    async def deliver(self, send: Send, *, interactive: bool) -> None:
        lane = Lane.INTERACTIVE if interactive else Lane.BULK
        limiter = self._limiter
        lost = 0
        while True:
            permit = limiter.try_acquire(lane) or await limiter.acquire(lane)
            reply = await send()
            limiter.release(permit, headers=reply.headers, status=reply.status, code=reply.code)
            if reply.accepted:
                return
            if reply.status is None:
                await asyncio.sleep(self.pause(reply, lost))
                lost += 1

    def pairs(self, size: int | None) -> Iterator[object]:
        backlog = Backlog(size)
        self._limiter.expect(backlog)
        for pair in super().pairs(size):
            if backlog.unread is not None:
                backlog.unread -= 1
                if not backlog.unread:
                    self._limiter.forget(backlog)
            yield pair


class SleepToReset(Strategy):
    """Sends at once; after a refusal, sleeps to Reset by its own clock, as vendor SDKs do."""

    def pause(self, reply: Reply, attempt: int) -> float:
        if reply.headers is not None and reply.headers.reset is not None:
            left = reply.headers.reset - self.runtime.wall()
            if left > 0.0:
                return min(60.0, left * (1.0 + 0.2 * self.runtime.random()))
        return min(60.0, 2.0**attempt) * (0.9 + 0.2 * self.runtime.random())


class TokenBucket(Strategy):
    """Spreads `limit` evenly over each ten seconds, for every process that runs."""

    def __init__(self, runtime: Runtime, limit: int) -> None:
        super().__init__(runtime, limit)
        self._next = 0.0

    async def before(self) -> None:
        now = self.runtime.monotonic()
        at = max(now, self._next)
        self._next = at + 10.0 / self.limit
        if at > now:
            await asyncio.sleep(at - now)


STRATEGIES: Final[dict[str, Callable[[Runtime, int], Strategy]]] = {
    "share-paced": SharePaced,
    "naive retry": Strategy,
    "sleep to Reset": SleepToReset,
    "token bucket": TokenBucket,
}
OURS: Final = "share-paced"
