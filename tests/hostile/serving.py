"""A raw server that sends hostile replies until it is told to be good."""

import asyncio
import socket
import struct

from tests.hostile.catalogue import After, Hostile
from tests.support.raw_server import RawServer, reply

GOOD = reply(
    b'{"id": "1295", "customers": []}',
    headers="X-RateLimit-Limit: 167\r\nX-RateLimit-Remaining: 100\r\n"
    "X-RateLimit-Reset: 1790000000\r\n",
)
_LINGER_ZERO = struct.pack("ii", 1, 0)


async def send(hostile: Hostile, writer: asyncio.StreamWriter) -> None:
    """Send one reply of the catalogue, and do to the connection what comes after it."""
    writer.write(hostile.data)
    await writer.drain()
    while hostile.endless:
        writer.write(hostile.data[-hostile.endless :])
        await writer.drain()
    match hostile.after:
        case After.KEEP:
            pass
        case After.CLOSE:
            writer.close()
        case After.RESET:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
            writer.transport.abort()


class HostileServer(RawServer):
    """Answers requests with the given replies in turn, the last one again and again.

    Args:
        replies: what to send.
        bad: requests that are answered so; all others are answered well.
    """

    def __init__(self, *replies: Hostile, bad: int | None = None) -> None:
        super().__init__(self._answer)
        self._replies = replies
        self.bad = bad

    def be_good(self) -> None:
        """Answer well from now on."""
        self.bad = 0

    async def _answer(self, number: int, writer: asyncio.StreamWriter) -> None:
        if self.bad is not None and number > self.bad:
            writer.write(GOOD)
        else:
            await send(self._replies[min(number, len(self._replies)) - 1], writer)
