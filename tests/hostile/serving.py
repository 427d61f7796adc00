"""A raw server that sends hostile replies until it is told to be good."""

import asyncio
import re

from tests.hostile.catalogue import Hostile
from tests.support.raw_server import RawServer, reply

_ME = b'{"type": "admin", "id": "5017690", "app": {"type": "app", "id_code": "acme1234"}}'
_QUOTA = "X-RateLimit-Limit: 167\r\nX-RateLimit-Remaining: 100\r\nX-RateLimit-Reset: 1790000000\r\n"


class HostileServer(RawServer):
    """Answers requests with the given replies in turn, the last one again and again.

    Args:
        replies: what to send.
        once: whether each is sent once, and what comes after the last is answered well.
        tells_who: whether `GET /me` is answered well, always.
    """

    def __init__(self, *replies: Hostile, once: bool = False, tells_who: bool = False) -> None:
        super().__init__(self._answer)
        self._replies = list(replies)
        self._once = once
        self._tells_who = tells_who

    def be_good(self) -> None:
        """Answer well from now on."""
        self._replies = []

    async def _answer(self, number: int, writer: asyncio.StreamWriter) -> None:
        request = self.requests[number - 1]
        asks_who = request.startswith(b"GET /me ")
        if not self._replies or (self._tells_who and asks_who):
            asked = re.match(rb"\S+ /conversations/([^/ ]+)", request)
            told = b'{"type": "conversation", "id": "%b", "customers": []}'
            body = _ME if asks_who else told % (asked[1] if asked else b"")
            writer.write(reply(body, headers=_QUOTA))
            return
        hostile = self._replies[0]
        if self._once or len(self._replies) > 1:
            del self._replies[0]
        writer.write(hostile.data)
        while hostile.endless:
            await writer.drain()
            writer.write(hostile.endless)
