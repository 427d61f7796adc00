"""Writing a reply to a connection: exactly its own headers and bytes, none of aiohttp's."""

import asyncio
import http
import os
import socket
import struct
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from intercom_async.simulator.reply import Ending, Reply

CHUNK: Final = 0x10000
"""Bytes of a body that are written at once, so that a slow reader fills no memory."""

_LINGER_ZERO: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}" for status in http.HTTPStatus
}


class Sent(web.StreamResponse):
    """Lets aiohttp know that the reply is out already, and whether the connection is kept."""

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


async def send(reply: Reply, request: web.BaseRequest) -> Sent:
    """Write a reply as an answer to a request.

    Raises:
        ConnectionError: the client is gone.
    """
    if reply.ending is Ending.RESET:
        _reset(request.transport)
        return Sent(keep_alive=False)
    if reply.ending is Ending.CLOSED:
        return Sent(keep_alive=False)
    keep_alive = request.keep_alive and reply.ending is Ending.COMPLETE
    headers = CIMultiDict(reply.headers)
    headers["Content-Length"] = str(len(reply.body))
    if not keep_alive and reply.ending is Ending.COMPLETE:
        headers["Connection"] = "close"
    body = reply.body
    if reply.ending is Ending.TRUNCATED:
        body = body[: len(body) // 2]
    if request.method == "HEAD":
        body = b""
    status_line = _STATUS_LINES.get(reply.status, f"HTTP/1.1 {reply.status} Unknown")
    await _write(request.writer, status_line, headers, body)
    return Sent(keep_alive=keep_alive)


def _reset(transport: asyncio.Transport | None) -> None:
    if transport is None:  # the client was faster
        return
    connection = transport.get_extra_info("socket")
    # Without lingering, the peer is sent a reset (RST) instead of an orderly end.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    transport.abort()


async def _write(
    writer: AbstractStreamWriter, status_line: str, headers: CIMultiDict[str], body: bytes
) -> None:
    await writer.write_headers(status_line, headers)
    sent = 0
    while len(body) - sent > CHUNK:
        await writer.write(body[sent : sent + CHUNK])
        await writer.drain()
        sent += CHUNK
    await writer.write_eof(body[sent:])
