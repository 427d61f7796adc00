"""A TCP proxy that breaks connections in the ways networks do, one request at a time.

It reads whole requests and replies, so that it knows where in their way it is, and strikes some
of them by a seeded plan. It counts its strikes; the test asks what the client makes of them.
"""

import asyncio
import collections
import enum
import math
import random
from collections.abc import Mapping

from tests.support.raw_server import Listener, message, reset

LONG = 3600.0
"""Seconds, longer than any client waits."""


class Strike(enum.Enum):
    """What happens to one request and its connection, of what the simulator's faults do not do."""

    RESET_DURING_REQUEST = "half of the request reaches the server"
    RESET_DURING_HEAD = "half of the reply's head arrives"
    RESET_DURING_BODY = "half of the reply's body arrives before a reset"
    SILENT_BEFORE_REQUEST = "half-open: nothing arrives, nothing comes back"
    SILENT_AFTER_REQUEST = "half-open: the server answers into nowhere"
    SILENT_DURING_BODY = "half-open in the middle of a reply"
    DRIPPING_REPLY = "the reply comes in many small pieces with pauses"
    OVERTAKEN_REPLY = "the reply comes after those to later requests"
    LATE_REQUEST = "the request reaches the server late, when the client has given up"
    REFUSED = "the connection is closed, and for a while no other is accepted"
    STALE_CLOSED = "answered; the idle connection is closed with the next request on its way"
    STALE_RESET = "answered; the idle connection is reset likewise"
    REPLY_TWICE = "answered; the reply comes once more while the connection is idle"


class FaultProxy(Listener):
    """Forwards to a server on loopback; `struck` counts how often each strike happened.

    Args:
        strikes: the probability of each; the rest is forwarded as it is.
        times: how many strikes there are at most, None for any number.
        delay: seconds of a late reply, and of refused connections; a late request takes three
            times as long.
    """

    def __init__(
        self,
        target: str,
        strikes: Mapping[Strike, float],
        *,
        seed: int = 0,
        times: int | None = None,
        delay: float = 1.0,
    ) -> None:
        super().__init__()
        self.struck: collections.Counter[Strike] = collections.Counter()
        self._target = int(target.rpartition(":")[2])
        self._strikes = strikes
        self._random = random.Random(seed)
        self._left = math.inf if times is None else times
        self._struck_only: tuple[bytes, ...] = (b"",)
        self._delay = delay
        self._outage: asyncio.TimerHandle | None = None

    async def refuse(self) -> None:
        if self._outage is not None:
            self._outage.cancel()
        await super().refuse()

    def strike_only(self, *beginnings: bytes) -> None:
        """Strike only requests that begin so."""
        self._struck_only = beginnings

    def be_good(self) -> None:
        """Strike no more."""
        self._left = 0

    def _draw(self, request: bytes) -> Strike | None:
        if self._left == 0 or not request.startswith(self._struck_only):
            return None
        odds = [*self._strikes.values(), 1.0 - sum(self._strikes.values())]
        (strike,) = self._random.choices([*self._strikes, None], odds)
        if strike is not None:
            self.struck[strike] += 1
            self._left -= 1
        return strike

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies, server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            while await self._relay(await message(reader), writer, server, replies):
                pass
        finally:
            server.close()

    async def _relay(
        self,
        request: bytes,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
        replies: asyncio.StreamReader,
    ) -> bool:
        """Hand one request and its reply on; whether the connection can take another one."""
        strike = self._draw(request)
        match strike:
            case Strike.RESET_DURING_REQUEST:
                await _write(server, request[: len(request) // 2])
                reset(server)
                return False
            case Strike.SILENT_BEFORE_REQUEST:
                await asyncio.sleep(LONG)
            case Strike.LATE_REQUEST:
                await asyncio.sleep(3 * self._delay)
            case Strike.REFUSED:
                self.stop_listening()
                if self._outage is not None:
                    self._outage.cancel()
                loop = asyncio.get_running_loop()
                self._outage = loop.call_later(self._delay, self.listen)
                return False
            case _:
                pass
        server.write(request)
        reply = await message(replies)
        body = reply.index(b"\r\n\r\n") + 4
        half = reply[: (body + len(reply)) // 2]
        match strike:
            case Strike.SILENT_AFTER_REQUEST:
                await asyncio.sleep(LONG)
            case Strike.RESET_DURING_HEAD | Strike.RESET_DURING_BODY:
                is_body = strike is Strike.RESET_DURING_BODY
                await _write(client, half if is_body else reply[: body // 2])
                reset(client)
                return False
            case Strike.SILENT_DURING_BODY:
                await _write(client, half)
                await asyncio.sleep(LONG)
            case Strike.DRIPPING_REPLY:
                for at in range(0, len(reply), 40):
                    await _write(client, reply[at : at + 40])
                    await asyncio.sleep(self._delay / 100)
                return True
            case Strike.OVERTAKEN_REPLY:
                await asyncio.sleep(self._delay)
            case Strike.REPLY_TWICE:
                # At once: were the next request under way when it comes, nobody could tell.
                reply += reply
            case _:
                pass
        await _write(client, reply)
        if strike not in {Strike.STALE_CLOSED, Strike.STALE_RESET}:
            return True
        # Ending right now would be seen in time: the pool drops what is closed.
        await asyncio.sleep(self._random.uniform(0, 0.01))
        if strike is Strike.STALE_RESET:
            reset(client)
        return False


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
