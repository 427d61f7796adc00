"""Whether Intercom is away, when to check whether it is back, and which call does.

Failures with no success between them are an outage if there are enough of them, of enough
different calls (a single pair that always fails is no outage), for long enough (a server that
restarts drops many connections in one moment). Any answer that is no passing error ends it.

While it lasts, one request at a time looks whether Intercom answers again. The pauses between looks
grow, with jitter. Patient calls wait until one of them may look.
"""

import asyncio
import math
from contextlib import suppress
from typing import Final

from intercom_async.observing import OutageStatus
from intercom_async.runtime import Runtime

CALLS: Final = 5
"""Calls that must have failed: fewer may have failed for reasons of their own."""

FAILURES: Final = 10
"""Failures in a row. If every fifth request fails at random, ten million make one such row."""

SPAN: Final = 0.5
"""Seconds from the first of them to the last."""

STORM: Final = 100
"""Failures in a row that make an outage however quickly they came."""

_FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0


class Outage:
    """Intercom's absence, as one client sees it; calls go by their numbers.

    Attributes:
        failures: in a row, up to now; 0 while all is well.
        is_open: whether they are an outage.
        looker: the call whose request checks if Intercom is back, None while none does.
        next_look: monotonic seconds from which on the next one may leave.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.failures = 0
        self.is_open = False
        self.looker: int | None = None
        self.next_look = 0.0
        self._runtime = runtime
        self._first_failure = 0.0
        self._ended = -math.inf
        self._calls: set[int] = set()
        self._look_began = 0.0
        self._pause = _FIRST_PAUSE
        self._reason = ""
        self._changed = asyncio.Event()

    @property
    def suspected(self) -> bool:
        """Whether the failures so far are likely to become an outage, or are one."""
        return self.is_open or len(self._calls) >= CALLS

    def status(self) -> OutageStatus | None:
        """Return the outage as people see it, None while there is none."""
        if not self.is_open:
            return None
        now = self._runtime.monotonic()
        next_look = 0.0 if self.looker is not None else max(0.0, self.next_look - now)
        since = now - self._first_failure
        return OutageStatus(since=since, reason=self._reason, next_look=next_look)

    def failed(self, *, call: int, sent: float, reason: str) -> OutageStatus | None:
        """Count the failure of a request `sent` then; return the outage if this begins one."""
        if sent < self._ended:
            return None
        now = self._runtime.monotonic()
        if not self.failures:
            self._first_failure = now
        self.failures += 1
        self._reason = reason
        if self.is_open:
            return None
        if len(self._calls) < CALLS:
            self._calls.add(call)
        lasted = self.failures >= FAILURES and now - self._first_failure >= SPAN
        if len(self._calls) < CALLS or not (lasted or self.failures >= STORM):
            return None
        self.is_open = True
        self._look_began = now
        self._plan(now, self._pause)
        return self.status()

    def succeeded(self) -> OutageStatus | None:
        """Count an answer; return the outage if this ends one."""
        ended = self.status()
        self.failures = 0
        self.is_open = False
        self.looker = None
        self._calls.clear()
        self._ended = self._runtime.monotonic()
        self._pause = _FIRST_PAUSE
        self._wake()
        return ended

    def try_look(self, call: int) -> bool:
        """Return whether a call's request may leave now to look; if so, the look has begun."""
        now = self._runtime.monotonic()
        if self.looker is not None or now < self.next_look:
            return False
        self.looker = call
        self._look_began = now
        return True

    async def wait_for_turn(self, call: int) -> None:
        """Wait until the outage is over, or until it is this call's turn to look."""
        while self.is_open and not self.try_look(call):
            looks = self.looker is not None
            wait = None if looks else self.next_look - self._runtime.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()

    def end_look(
        self, call: int, *, asked: float | None = None, longest: float = LONGEST_PAUSE
    ) -> None:
        """Plan the next look if this call's request was one: Intercom is still away.

        Args:
            asked: seconds the server asked to wait, or None.
            longest: the longest pause in seconds, unless the server asks for more.
        """
        if self.looker != call:
            return
        self.looker = None
        self._pause = min(longest, 2.0 * self._pause)
        pause = max(self._pause, min(LONGEST_PAUSE, asked or 0.0))
        self._plan(self._runtime.monotonic(), pause)
        self._wake()

    def _plan(self, now: float, pause: float) -> None:
        jittered = pause * (0.5 + 0.5 * self._runtime.random())
        self.next_look = max(now, self._look_began + jittered)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
