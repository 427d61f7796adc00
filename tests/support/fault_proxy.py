"""A TCP proxy that breaks connections in the ways networks do, one request at a time.

It reads whole requests and replies, so that it knows where in their way it is, and strikes some
of them by a seeded plan. It counts its strikes; the test asks what the client makes of them.
"""

import asyncio
import collections
import enum
import random
from collections.abc import Mapping
from typing import NoReturn

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


class _OverError(ConnectionError):
    """The connection was brought to its end."""


class FaultProxy(Listener):
    """Forwards to a server on loopback; see the module's docstring.

    Args:
        target: the server's URL.
        strikes: the probability of each; the rest is forwarded as it is.
        seed: of the plan.
        times: how many strikes there are at most, None for any number.
        delay: seconds of a late reply, and of refused connections; a late request takes three
            times as long.

    Attributes:
        struck: how often each strike happened.
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
        self._strikes = dict(strikes)
        self._random = random.Random(seed)
        self._left = times
        self._struck_only: tuple[bytes, ...] = (b"",)
        self._delay = delay
        self._outage: asyncio.Task[None] | None = None

    async def refuse(self) -> None:
        """Refuse further connections and end those that are open."""
        if self._outage is not None:
            self._outage.cancel()
            await asyncio.wait({self._outage})
        await super().refuse()

    def strike_only(self, *beginnings: bytes) -> None:
        """Strike only requests that begin so."""
        self._struck_only = beginnings

    def be_good(self) -> None:
        """Strike no more."""
        self._left = 0

    def _begin_outage(self) -> None:
        self.stop_listening()
        if self._outage is None or self._outage.done():
            self._outage = asyncio.create_task(self._end_outage())

    async def _end_outage(self) -> None:
        await asyncio.sleep(self._delay)
        self.listen()

    def _draw(self, request: bytes) -> Strike | None:
        if self._left == 0 or not request.startswith(self._struck_only):
            return None
        number = self._random.random()
        for strike, probability in self._strikes.items():
            number -= probability
            if number < 0:
                self.struck[strike] += 1
                if self._left is not None:
                    self._left -= 1
                return strike
        return None

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        replies, server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            while True:
                await self._relay(await message(reader), writer, server, replies)
        finally:
            server.close()

    async def _relay(
        self,
        request: bytes,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
        replies: asyncio.StreamReader,
    ) -> None:
        strike = self._draw(request)
        match strike:
            case Strike.RESET_DURING_REQUEST:
                await _write(server, request[: len(request) // 2])
                _reset(server)
            case Strike.SILENT_BEFORE_REQUEST:
                await asyncio.sleep(LONG)
            case Strike.LATE_REQUEST:
                await asyncio.sleep(3 * self._delay)
            case Strike.REFUSED:
                self._begin_outage()
                raise _OverError
            case _:
                pass
        server.write(request)
        reply = await message(replies)
        body = reply.index(b"\r\n\r\n") + 4
        half = reply[: (body + len(reply)) // 2]
        match strike:
            case Strike.SILENT_AFTER_REQUEST:
                await asyncio.sleep(LONG)
            case Strike.RESET_DURING_HEAD:
                await _write(client, reply[: body // 2])
                _reset(client)
            case Strike.RESET_DURING_BODY:
                await _write(client, half)
                _reset(client)
            case Strike.SILENT_DURING_BODY:
                await _write(client, half)
                await asyncio.sleep(LONG)
            case Strike.DRIPPING_REPLY:
                for at in range(0, len(reply), 40):
                    await _write(client, reply[at : at + 40])
                    await asyncio.sleep(self._delay / 100)
                return
            case Strike.OVERTAKEN_REPLY:
                await asyncio.sleep(self._delay)
            case Strike.REPLY_TWICE:
                # At once: were the next request under way when it comes, nobody could tell.
                reply += reply
            case _:
                pass
        await _write(client, reply)
        if strike in {Strike.STALE_CLOSED, Strike.STALE_RESET}:
            # Ending right now would be seen in time: the pool drops what is closed.
            await asyncio.sleep(self._random.uniform(0, 0.01))
            if strike is Strike.STALE_RESET:
                _reset(client)
            raise _OverError


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> NoReturn:
    reset(writer)
    raise _OverError
