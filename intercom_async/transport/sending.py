"""Sends the requests of one client, and reports its quota, outage and counters.

Closing the client ends at once what can take long: waits for the quota, for the end of an outage
and before a retry. A single call is in `call`.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final

from intercom_async.errors import IntercomError
from intercom_async.observing import ClientStats, Observer, OutageStatus, RateLimitStatus
from intercom_async.pacing.limiter import Limiter
from intercom_async.runtime import Runtime
from intercom_async.transport.call import Call, CallOptions, Shared
from intercom_async.transport.doubt import Habit
from intercom_async.transport.http import Http
from intercom_async.transport.wire import Reply, Request, me

__all__ = ["CallOptions", "Transport"]

_LOOK_HOLDS: Final = 10.0
"""Seconds for which one look at the token serves all: refusals come in bursts."""


class Transport(Shared):
    """Sends requests for one client."""

    def __init__(
        self,
        *,
        http: Http,
        limiter: Callable[[], Limiter],
        retry_budget: float,
        observer: Observer | None,
        runtime: Runtime,
    ) -> None:
        super().__init__(http=http, retry_budget=retry_budget, observer=observer, runtime=runtime)
        self._find_limiter = limiter
        self._limiter: Limiter | None = None
        self._looking = asyncio.Lock()
        self._looked_at = -math.inf
        self._good = True

    @property
    def rate_limit(self) -> RateLimitStatus | None:
        """The quota now, None before the first reply."""
        return None if self._limiter is None else self._limiter.status()

    @property
    def limit(self) -> int | None:
        """Requests the server allows per window, None while that is unknown."""
        return None if self._limiter is None else self._limiter.limit

    @property
    def limiter(self) -> Limiter:
        """The budget's limiter; needs a running loop."""
        self.http.ready()
        if self._limiter is None:
            self._limiter = self._find_limiter()
        return self._limiter

    @property
    def outage(self) -> OutageStatus | None:
        """The outage that lasts now, None while there is none."""
        return self.absence.status()

    @property
    def habit(self) -> Habit:
        """What checks of this client's writes have shown; see `Habit`."""
        return self.http.habit

    def stats(self) -> ClientStats:
        """Count what happened so far."""
        return ClientStats(
            **self.counts,
            requests=self.replies.total() + self.counts["lost"],
            by_status=dict(sorted(self.replies.items())),
            refusals=self.replies[429],
            waited=self.waited,
        )

    async def token_is_good(self, options: CallOptions) -> bool:
        """Whether `GET /me` succeeds, now or a moment ago."""
        async with self._looking:
            if self.runtime.monotonic() - self._looked_at >= _LOOK_HOLDS:
                try:
                    self._good = (await self.send(me(), options)).succeeded
                except IntercomError:
                    self._good = False
                self._looked_at = self.runtime.monotonic()
            return self._good

    async def send(
        self,
        request: Request,
        options: CallOptions,
        *,
        on_send: Callable[[], Awaitable[None] | None] | None = None,
    ) -> Reply:
        """Return the final reply, whatever its status.

        Args:
            on_send: called before each attempt that has its permit, which waits for what it
                returns; until then a cancelled call certainly sent nothing. If that raises, the
                call raises it.

        Raises:
            RateLimitWaitError: the quota asks for a longer wait than `options.max_wait`.
            ConnectionFailedError: no attempt reached the server, or none was made because
                Intercom is away.
            UnknownOutcomeError: no attempt was answered, at least one may have been applied.
            ClientStateError: the client is closed or belongs to another loop.
        """
        limiter, observed = self.limiter, self.reporter.observed
        began = self.runtime.monotonic()
        call = Call(self, limiter, request, options, on_send, began, observed)
        self.counts["calls"] += 1
        return await (call.run_observed() if observed else call.run())
