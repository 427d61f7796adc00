"""A raw server that sends hostile replies until it is told to be good."""

import asyncio
import re

from tests.hostile.catalogue import After, Hostile
from tests.support.raw_server import RawServer, reply

ME = b'{"type": "admin", "id": "5017690", "app": {"type": "app", "id_code": "acme1234"}}'
_QUOTA = "X-RateLimit-Limit: 167\r\nX-RateLimit-Remaining: 100\r\nX-RateLimit-Reset: 1790000000\r\n"


def good(request: bytes) -> bytes:
    """Answer as Intercom does: about the conversation asked for, which has no contact left."""
    if is_me(request):
        return reply(ME, headers=_QUOTA)
    asked = re.match(rb"\S+ /conversations/([^/ ]+)", request)
    told = b'{"type": "conversation", "id": "%b", "customers": []}'
    return reply(told % (b"" if asked is None else asked[1]), headers=_QUOTA)


def is_me(request: bytes) -> bool:
    """Whether a request asks who the token belongs to."""
    return request.startswith(b"GET /me ")


async def send(hostile: Hostile, writer: asyncio.StreamWriter) -> None:
    """Send one reply of the catalogue, and do to the connection what comes after it."""
    writer.write(hostile.data)
    await writer.drain()
    while hostile.endless:
        writer.write(hostile.data[-hostile.endless :])
        await writer.drain()
    if hostile.after is After.CLOSE:
        writer.close()


class HostileServer(RawServer):
    """Answers requests with the given replies in turn, the last one again and again.

    Args:
        replies: what to send.
        bad: requests that are answered so; all others are answered well.
        tells_who: whether `GET /me` is answered well, always.
    """

    def __init__(self, *replies: Hostile, bad: int | None = None, tells_who: bool = False) -> None:
        super().__init__(self._answer)
        self._replies = replies
        self._answered = 0
        self.bad = bad
        self.tells_who = tells_who

    def be_good(self) -> None:
        """Answer well from now on."""
        self.bad = 0

    async def _answer(self, number: int, writer: asyncio.StreamWriter) -> None:
        request = self.requests[number - 1]
        well = self.tells_who and is_me(request)
        if well or (self.bad is not None and self._answered >= self.bad):
            writer.write(good(request))
            return
        self._answered += 1
        await send(self._replies[min(self._answered, len(self._replies)) - 1], writer)
