"""The simulated world of the quota benchmark: Intercom's server, the network, the clocks.

The server cuts its own time into windows of ten seconds and counts a request when it *arrives*.
Only the server knows the counter. Clients see the headers of replies half a round trip late, and
each has a clock of its own.
"""

import asyncio
import math
import random
from collections import Counter
from typing import Final

import attrs

from intercom_async.pacing.window import RateLimitHeaders
from intercom_async.runtime import Runtime
from intercom_async.simulator.quota import Quota

WINDOW: Final = 10.0
FAST: Final = (0.02, 0.2)
SLOW: Final = (0.2, 2.0)
EPOCH: Final = 1_800_000_000
GIVE_UP: Final = 2.0
"""Seconds after which a client stops waiting for a reply that never comes."""

WITHDRAWN: Final = 1.0
"""Seconds for which the workspace's own budget refuses everything when it is used up."""


@attrs.frozen(kw_only=True)
class World:
    """The conditions that a strategy meets; `name` seeds them.

    Attributes:
        processes: clients that share the budget, each with a limiter of its own.
        round_trip: seconds, shortest and longest, drawn log-uniformly per request.
        windows: whole windows to measure.
        workers: requests each process would like to have out at once.
        interactive_rate: interactive calls per second, of all processes together.
        skew: largest difference of a client's wall clock from the server's, in seconds.
        blind_peers: further processes that only retry (four workers each).
        lost: part of the replies that never come.
        withdrawals: times per window that another budget refuses everything for one second.
        counter_lag: requests by which X-RateLimit-Remaining is too high.
        date, headers: whether replies have Date, and rate-limit headers.
        jobs, job: jobs per process, with random pauses between, and pairs of each; None is endless.
    """

    name: str
    processes: int = 1
    limit: int = 167
    round_trip: tuple[float, float] = FAST
    windows: int = 30
    workers: int = 50
    interactive_rate: float = 0.5
    skew: float = 1.5
    blind_peers: int = 0
    lost: float = 0.0
    withdrawals: float = 0.0
    counter_lag: int = 1
    date: bool = True
    headers: bool = True
    job: int | None = None
    jobs: int = 1


@attrs.frozen
class Reply:
    """A reply as a client sees it; the status is None if none came."""

    status: int | None
    headers: RateLimitHeaders | None
    code: str | None = None

    @property
    def accepted(self) -> bool:
        return self.status == 200


class Server:
    """Counts requests into windows, as the simulator does, and by window and process besides.

    Each way of a request takes its random time.
    """

    def __init__(self, world: World, seed: str) -> None:
        self._world = world
        self._rng = random.Random(f"{seed}/server")
        self._network = random.Random(f"{seed}/network").random
        self._quota = Quota(limit=world.limit, window=WINDOW, counter_lag=world.counter_lag)
        self._withdrawn_until = 0.0
        self._next_withdrawal = self._pause_until_withdrawal()
        self._low = math.log(world.round_trip[0])
        self._span = math.log(world.round_trip[1]) - self._low
        self.phase = self._rng.random() * WINDOW
        self.accepted: Counter[tuple[int, int]] = Counter()
        self.refused: Counter[tuple[int, int]] = Counter()

    def _pause_until_withdrawal(self) -> float:
        rate = self._world.withdrawals / WINDOW
        return self._rng.expovariate(rate) if rate else math.inf

    def wall(self, now: float) -> float:
        return EPOCH + self.phase + now

    async def send(self, process: int) -> Reply:
        round_trip = math.exp(self._low + self._span * self._network())
        up = round_trip * (0.3 + 0.4 * self._network())
        await asyncio.sleep(up)
        reply, down = self.answer(process, asyncio.get_running_loop().time()), round_trip - up
        if self._world.lost and self._network() < self._world.lost:
            reply, down = Reply(None, None), max(0.0, GIVE_UP - up)
        await asyncio.sleep(down)
        return reply

    def answer(self, process: int, now: float) -> Reply:
        """Count a request that arrives at `now` (seconds of the loop) and answer it."""
        at = self.phase + now
        standing = self._quota.refuse(at) if self._is_withdrawn(now) else self._quota.charge(at)
        counts = self.accepted if standing.accepted else self.refused
        counts[int(at // WINDOW), process] += 1
        headers = None
        if self._world.headers:
            headers = RateLimitHeaders(
                limit=standing.limit,
                remaining=standing.remaining,
                reset=float(EPOCH + standing.reset),
                date=math.floor(self.wall(now)) if self._world.date else None,
            )
        if standing.accepted:
            return Reply(200, headers)
        return Reply(429, headers, "rate_limit_exceeded")

    def _is_withdrawn(self, now: float) -> bool:
        if now >= self._next_withdrawal:
            self._withdrawn_until = now + WITHDRAWN
            self._next_withdrawal = now + WITHDRAWN + self._pause_until_withdrawal()
        return now < self._withdrawn_until


class Clocks(Runtime):
    """The clocks and the randomness of one simulated process."""

    def __init__(self, rng: random.Random, *, epoch: float, wall: float) -> None:
        self._random = rng.random
        self._epoch = epoch
        self._wall = wall

    def monotonic(self) -> float:
        return super().monotonic() + self._epoch

    def wall(self) -> float:
        return super().monotonic() + self._wall

    def random(self) -> float:
        return self._random()
