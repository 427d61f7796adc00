"""The simulator's quota without a network, and one client's traffic on it."""

import asyncio
import functools
import itertools
import math
import random
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

import attrs

from intercom_async.pacing.limiter import Backlog, Limiter
from intercom_async.pacing.server_clock import WINDOW
from intercom_async.pacing.window import (
    RATE_LIMIT_EXCEEDED,
    Lane,
    RateLimitHeaders,
    RateLimitPolicy,
)
from intercom_async.runtime import Runtime
from intercom_async.simulator.quota import Quota
from tests.support.driven_loop import DrivenEventLoop

WORKERS = 50


def on_a_driven_loop(world: Coroutine[Any, Any, None]) -> None:
    """Run on a loop whose clock only jumps, so that the same seed gives the same run."""
    loops = functools.partial(DrivenEventLoop, grace=0.0, turn=0.0)
    with asyncio.Runner(loop_factory=loops) as runner:
        runner.run(world)


@attrs.define
class ModelServer:
    """Counts requests as the simulator does, by its own clock.

    Attributes:
        limit: requests per window.
        offset: its Unix time minus our monotonic time.
        lag: by how many requests the Remaining that it reports runs behind.
        dated: whether replies carry Date.
        withdrawn: requests it takes off each window for others, by window number.
    """

    limit: int
    offset: float = 1_000_003.7
    lag: int = 1
    dated: bool = True
    withdrawn: Counter[int] = attrs.field(factory=Counter[int])
    accepted: Counter[int] = attrs.field(factory=Counter[int])
    refused: Counter[int] = attrs.field(factory=Counter[int])
    _quota: Quota = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._quota = Quota(limit=self.limit, window=WINDOW, counter_lag=self.lag)

    def window(self, at: float) -> int:
        return math.floor((at + self.offset) / WINDOW)

    def used_of_whole_windows(self) -> float:
        """Return the part that was used of the windows after the first and before the last."""
        whole = sorted(self.accepted)[1:-1]
        return sum(self.accepted[number] for number in whole) / (self.limit * len(whole))

    def handle(self, at: float) -> tuple[int, RateLimitHeaders]:
        number, now = self.window(at), at + self.offset
        self._quota.usage(now).spent_elsewhere = self.withdrawn[number]
        standing = self._quota.charge(now)
        (self.accepted if standing.accepted else self.refused)[number] += 1
        headers = RateLimitHeaders(
            limit=standing.limit,
            remaining=standing.remaining,
            reset=float(standing.reset),
            date=float(math.floor(now)) if self.dated else None,
        )
        return 200 if standing.accepted else 429, headers


class _Seeded(Runtime):
    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def random(self) -> float:
        return self._dice.random()


class Traffic:
    """What one client sends to the server until `until` (seconds).

    Args:
        one_way: seconds to the server or back, shortest and longest.
        bulk: requests of the bulk lane, None for no end.
        interactive: seconds at which interactive requests come.
        losing: part of the replies that get lost, noticed two seconds later; never the first.

    Attributes:
        sent: requests of each lane.
        interactive_waits: seconds for which each waited.
    """

    def __init__(
        self,
        server: ModelServer,
        *,
        seed: int = 1,
        one_way: tuple[float, float] = (0.01, 0.1),
        until: float = 60.0,
        bulk: int | None = None,
        interactive: Sequence[float] = (),
        losing: float = 0.0,
        policy: RateLimitPolicy | None = None,
    ) -> None:
        self.sent: Counter[Lane] = Counter()
        self.interactive_waits: list[float] = []
        self._server = server
        self._dice = random.Random(seed)
        self._one_way = one_way
        self._losing = losing
        self._limiter = Limiter(policy or RateLimitPolicy(), _Seeded(self._dice))
        on_a_driven_loop(self._run(until, bulk, interactive))

    async def _run(self, until: float, bulk: int | None, interactive: Sequence[float]) -> None:
        backlog = Backlog(bulk)
        self._limiter.expect(backlog)
        pairs = iter(itertools.count() if bulk is None else range(bulk))

        async def work() -> None:
            for _ in pairs:
                if backlog.unread is not None:
                    backlog.unread -= 1
                await self._send(Lane.BULK)

        async def call(at: float) -> None:
            await asyncio.sleep(at)
            self.interactive_waits.append(await self._send(Lane.INTERACTIVE))

        calls = [call(at) for at in interactive]
        tasks = [asyncio.ensure_future(one) for one in (*calls, *(work() for _ in range(WORKERS)))]
        await asyncio.wait(tasks, timeout=until)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, lane: Lane) -> float:
        """Send one request; return how long it waited."""
        loop, limiter, dice = asyncio.get_running_loop(), self._limiter, self._dice
        asked = loop.time()
        permit = await limiter.acquire(lane)
        waited = loop.time() - asked
        lost = self.sent.total() > 0 and dice.random() < self._losing
        self.sent[lane] += 1
        await asyncio.sleep(dice.uniform(*self._one_way))
        status, headers = self._server.handle(loop.time())
        if lost:
            await asyncio.sleep(2.0)
            limiter.release(permit, headers=None, status=None)
        else:
            await asyncio.sleep(dice.uniform(*self._one_way))
            code = RATE_LIMIT_EXCEEDED if status == 429 else None
            limiter.release(permit, headers=headers, status=status, code=code)
        return waited
