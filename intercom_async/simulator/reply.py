"""A reply that faults may alter, and how it ends."""

import enum
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from intercom_async.simulator.quota import Standing

REQUEST_ID: Final = "X-Request-Id"
_RATE_LIMIT_HEADERS: Final = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
TOKEN_INVALID: Final = (401, "unauthorized", "Access Token Invalid")
_LINGER_ZERO: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Ending(enum.Enum):
    """What is sent, and what then happens to the connection."""

    COMPLETE = "the whole reply, and it is kept"
    TRUNCATED = "half of the body, and it is closed"
    CLOSED = "nothing, and it is closed in order"
    RESET = "nothing, and it is reset"


class Reply(web.Response):
    """A reply, which is kept back for `delay` seconds."""

    delay = 0.0
    ending = Ending.COMPLETE

    def show_quota(self, standing: Standing) -> None:
        """Say in headers what is left of the quota."""
        told = (standing.limit, standing.remaining, standing.reset)
        self.headers.update(zip(_RATE_LIMIT_HEADERS, map(str, told), strict=True))

    def hide_quota(self) -> None:
        """Leave out the rate limit headers."""
        for name in _RATE_LIMIT_HEADERS:
            self.headers.pop(name, None)

    def show(self, document: Mapping[str, Any]) -> None:
        """Make the body this JSON object."""
        self.body = msgspec.json.encode(document)

    def fail(self, status: int, code: str, message: str) -> None:
        """Make this an error reply in Intercom's form."""
        self.set_status(status)
        request_id = self.headers[REQUEST_ID]
        errors = [{"code": code, "message": message}]
        self.show({"type": "error.list", "request_id": request_id, "errors": errors})

    async def send(self, request: web.BaseRequest) -> None:
        """Answer a request.

        Raises:
            ConnectionError: nothing was sent, as was ordered or because the client is gone.
        """
        if request.transport is not None:  # else the client was faster
            if self.ending is Ending.RESET:
                connection = request.transport.get_extra_info("socket")
                # Without lingering, the peer is sent a reset (RST) instead of an orderly end.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
                request.transport.abort()
            elif self.ending is Ending.CLOSED:
                request.transport.close()
        if self.ending is Ending.TRUNCATED and isinstance(self.body, bytes):
            self.headers["Content-Length"] = str(len(self.body))
            self.body = self.body[: len(self.body) // 2]
            self.force_close()
        await self.prepare(request)
        await self.write_eof()
