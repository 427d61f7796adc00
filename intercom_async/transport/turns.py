"""Patient calls wait here for the end of an outage; one at a time may look.

First come, first served; a call that looked in vain goes to the end of the queue. While nobody
waits there is no timer. A turn belongs to its call from the moment it is given: a call that is
cancelled just then gives it back.
"""

import asyncio

from intercom_async.runtime import Runtime, TimerHandle
from intercom_async.transport.outage import Outage


class Turns:
    """The queue of one client."""

    def __init__(self, outage: Outage, runtime: Runtime) -> None:
        self._outage = outage
        self._runtime = runtime
        self._waiting: dict[asyncio.Future[bool], None] = {}
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0

    async def wait(self) -> bool:
        """Return True for the turn to look, False for the end of the outage."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[turn] = None
        self.arm()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():
                self._outage.looking = False  # given and cancelled in the same turn of the loop
            raise
        finally:
            self._waiting.pop(turn, None)
            self.arm()

    def arm(self) -> None:
        """Set the timer for the next look if anybody waits for one."""
        wanted = self._waiting and self._outage.is_open and not self._outage.looking
        at = self._outage.next_look
        if self._timer is not None:
            if wanted and self._timer_at == at:
                return
            self._timer.cancel()
            self._timer = None
        if wanted:
            self._timer_at = at
            wait = max(0.0, at - self._runtime.monotonic())
            self._timer = self._runtime.call_later(wait, self._give)

    def release(self) -> None:
        """The outage is over: let everybody go."""
        waiting, self._waiting = self._waiting, {}
        for turn in waiting:
            if not turn.done():
                turn.set_result(False)
        self.arm()

    def _give(self) -> None:
        self._timer = None
        now = self._runtime.monotonic()
        turn = next((turn for turn in self._waiting if not turn.done()), None)
        if turn is None:
            return  # those that were cancelled are about to leave
        if self._outage.may_look(now):
            self._outage.look(now)
            del self._waiting[turn]
            turn.set_result(True)
        else:
            self._timer_at = 0.0
            self.arm()
