"""The simulator's quota without a network, and one client's `QuotaWindow` on it.

Time is a number here: a heap of events, no event loop, so that properties can be tried on
thousands of worlds.
"""

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator

import attrs

from intercom_async.pacing.server_clock import WINDOW
from intercom_async.pacing.window import (
    RATE_LIMIT_EXCEEDED,
    Lane,
    Permit,
    QuotaWindow,
    RateLimitHeaders,
)
from intercom_async.simulator.quota import Quota


@attrs.define
class ModelServer:
    """Counts requests as the simulator does, by its own clock.

    Attributes:
        limit: requests per window.
        offset: its Unix time minus our monotonic time.
        lag: by how many requests the told Remaining runs behind.
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


@attrs.define
class Traffic:
    """Runs one client against the server until `until` (monotonic seconds).

    Attributes:
        server: see `ModelServer`.
        quota: the code under test.
        round_trips: seconds to the server and back, for each request in turn.
        lost: whether the n-th reply gets lost (noticed two seconds later).
        interactive: seconds at which interactive requests come.
        in_flight: requests out at most.
    """

    server: ModelServer
    quota: QuotaWindow
    round_trips: Iterator[tuple[float, float]]
    until: float
    lost: Callable[[int], bool] = lambda _: False
    interactive: list[float] = attrs.field(factory=list[float])
    in_flight: int = 50
    bulk: int | None = None
    interactive_waits: list[float] = attrs.field(factory=list[float])
    sent: Counter[Lane] = attrs.field(factory=Counter[Lane])

    def run(self) -> None:
        order = itertools.count()
        events: list[tuple[float, int, Callable[[float], None]]] = []
        now = 0.0
        out = 0
        urgent = sorted(self.interactive, reverse=True)

        def leave(lane: Lane) -> None:
            nonlocal out
            permit = self.quota.take(lane, now)
            to, back = next(self.round_trips)
            number = sum(self.sent.values())
            self.sent[lane] += 1
            out += 1
            heapq.heappush(
                events, (now + to, next(order), lambda at: arrive(at, back, permit, number))
            )

        def arrive(at: float, back: float, permit: Permit, number: int) -> None:
            status, headers = self.server.handle(at)
            if self.lost(number):
                heapq.heappush(events, (at + 2.0, next(order), lambda t: miss(t, permit)))
            else:
                heapq.heappush(
                    events, (at + back, next(order), lambda t: answer(t, permit, status, headers))
                )

        def answer(at: float, permit: Permit, status: int, headers: RateLimitHeaders) -> None:
            nonlocal out
            out -= 1
            code = RATE_LIMIT_EXCEEDED if status == 429 else None
            self.quota.answered(permit, headers, status=status, code=code, now=at)

        def miss(at: float, permit: Permit) -> None:
            nonlocal out
            out -= 1
            self.quota.lost(permit, at)

        while now < self.until:
            wait = self.until - now
            if urgent and urgent[-1] <= now:
                wait = self.quota.wait(Lane.INTERACTIVE, now, backlog=None)
                if wait == 0.0:
                    self.interactive_waits.append(now - urgent.pop())
                    leave(Lane.INTERACTIVE)
                    continue
            elif out < self.in_flight and (self.bulk is None or self.sent[Lane.BULK] < self.bulk):
                backlog = None if self.bulk is None else self.bulk - self.sent[Lane.BULK]
                wait = self.quota.wait(Lane.BULK, now, backlog=backlog)
                if wait == 0.0:
                    leave(Lane.BULK)
                    continue
            # Asking again a little early is allowed and shows that early questions harm nothing.
            following = now + max(wait, 1e-6)
            if urgent and urgent[-1] > now:
                following = min(following, urgent[-1])
            if events and events[0][0] <= following:
                now, _, happen = heapq.heappop(events)
                happen(now)
            else:
                now = following
