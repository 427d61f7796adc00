"""A reply that faults may alter; it is written with its own headers and bytes only."""

import asyncio
import enum
import http
import os
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from intercom_async.simulator.refusals import Refusal

REQUEST_ID: Final = "X-Request-Id"
_LINGER_ZERO: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}" for status in http.HTTPStatus
}


class Ending(enum.Enum):
    """What happens to the connection."""

    COMPLETE = "complete"
    """The whole reply is sent and the connection kept."""

    TRUNCATED = "truncated"
    """Half of the body is sent, then the connection is closed."""

    CLOSED = "closed"
    """Nothing is sent; the connection is closed in order."""

    RESET = "reset"
    """Nothing is sent; the connection is reset."""


@attrs.define(kw_only=True)
class Reply:
    """A reply; `delay` (seconds) and `held` (until the simulator releases it) keep it back."""

    headers: CIMultiDict[str]
    status: int = 200
    body: bytes = b""
    delay: float = 0.0
    held: bool = False
    ending: Ending = Ending.COMPLETE

    def show(self, document: Mapping[str, Any]) -> None:
        """Make the body this JSON object."""
        self.body = msgspec.json.encode(document)

    def fail(self, status: int, code: str, message: str) -> None:
        """Make this an error reply in Intercom's form."""
        self.status = status
        request_id = self.headers[REQUEST_ID]
        errors = [{"code": code, "message": message}]
        self.show({"type": "error.list", "request_id": request_id, "errors": errors})

    def refuse(self, refusal: Refusal) -> None:
        """Make this the reply of a documented error."""
        self.fail(refusal.status, refusal.code, refusal.message)

    async def write(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request.

        Raises:
            ConnectionError: the client is gone.
        """
        if self.ending is Ending.RESET:
            _reset(request.transport)
        if self.ending in {Ending.RESET, Ending.CLOSED}:
            return Sent(keep_alive=False)
        keep_alive = request.keep_alive and self.ending is Ending.COMPLETE
        self.headers["Content-Length"] = str(len(self.body))
        if not keep_alive and self.ending is Ending.COMPLETE:
            self.headers["Connection"] = "close"
        body = self.body
        if self.ending is Ending.TRUNCATED:
            body = body[: len(body) // 2]
        if request.method == "HEAD":
            body = b""
        status_line = _STATUS_LINES.get(self.status, f"HTTP/1.1 {self.status} Unknown")
        await request.writer.write_headers(status_line, self.headers)
        await request.writer.write_eof(body)
        return Sent(keep_alive=keep_alive)


class Sent(web.StreamResponse):
    """Says to aiohttp that the reply was sent already, and whether the connection is kept."""

    def __init__(self, *, keep_alive: bool) -> None:
        super().__init__()
        self._kept = keep_alive

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow on the connection."""
        return self._kept

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write nothing: aiohttp would add headers of its own, Date among them."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


def _reset(transport: asyncio.Transport | None) -> None:
    if transport is None:  # the client was faster
        return
    connection = transport.get_extra_info("socket")
    # Without lingering, the peer is sent a reset (RST) instead of an orderly end.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()
