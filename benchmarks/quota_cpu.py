"""What the limiter itself costs, in CPU time on a real event loop."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from intercom_async.transport.limiter import Backlog, Limiter
from intercom_async.transport.window import Lane, Permit, RateLimitHeaders, RateLimitPolicy

PLENTY = 100_000_000
"""A limit that never makes anybody wait."""


RESET = 1_800_000_000.0
"""End of the window of all replies. Without Date, a limiter believes it to be up to ten seconds
ahead of the first reply; each measurement takes less, so no window ends in the middle of one."""

HEADERS = RateLimitHeaders(limit=PLENTY, remaining=PLENTY, reset=RESET)


def _warmed() -> Limiter:
    """Return a limiter beyond its slow start, with an endless bulk run."""
    limiter = Limiter(RateLimitPolicy(max_wait=None))
    limiter.expect(Backlog(None))
    for _ in range(2000):
        permit = limiter.try_acquire(Lane.INTERACTIVE)
        assert permit is not None
        limiter.settle(permit, headers=HEADERS, status=200)
    return limiter


async def _permits(lane: Lane, count: int) -> float:
    limiter = _warmed()
    granted = 0
    began = time.process_time()
    for number in range(count):
        permit = limiter.try_acquire(lane)
        if permit is None:
            continue
        granted += 1
        told = attrs.evolve(HEADERS, remaining=PLENTY - number) if not number % 1000 else HEADERS
        limiter.settle(permit, headers=told, status=200)
    assert granted > count * 0.9, f"only {granted} of {count} needed no wait"
    return (time.process_time() - began) / granted * 1e6


async def _waiters(count: int) -> float:
    """Make `count` calls wait for a window that is used up, then let it roll over."""
    limiter = _warmed()
    permit = limiter.try_acquire(Lane.INTERACTIVE)
    assert permit is not None
    empty = attrs.evolve(HEADERS, remaining=0)
    fresh = attrs.evolve(HEADERS, reset=RESET + 10.0)
    held = limiter.try_acquire(Lane.INTERACTIVE)
    assert held is not None
    limiter.settle(permit, headers=empty, status=429, code="rate_limit_exceeded")

    async def one() -> None:
        granted: Permit = await limiter.acquire(Lane.INTERACTIVE)
        limiter.settle(granted, headers=fresh, status=200)

    began = time.process_time()
    tasks = [asyncio.create_task(one()) for _ in range(count)]
    await asyncio.sleep(0.05)
    limiter.settle(held, headers=fresh, status=200)
    await asyncio.gather(*tasks)
    return (time.process_time() - began) / count * 1e6


def _best(work: Callable[[], Coroutine[Any, Any, float]], times: int = 3) -> float:
    """Return the least of several measurements: other programs only ever add to it."""
    return min(asyncio.run(work()) for _ in range(times))


def measure(*, quick: bool) -> dict[str, float]:
    """Return microseconds by what was done."""
    count = 50_000 if quick else 200_000
    return {
        "interactive permit, no wait": _best(lambda: _permits(Lane.INTERACTIVE, count)),
        "bulk permit, no wait": _best(lambda: _permits(Lane.BULK, count)),
        "per waiter, 1,000 waiting": _best(lambda: _waiters(1_000)),
        "per waiter, 10,000 waiting": _best(lambda: _waiters(10_000)),
    }
