"""The server that every client is measured against: a process of its own on 127.0.0.1.

It answers each request at once with the live endpoint's reply and with the headers of a quota so
large that no client waits for it.
"""

import asyncio
import contextlib
import functools
import itertools
import re
import time
from collections.abc import Generator
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, cast

from benchmarks.process import process, run_until_closed

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_HOST: Final = "127.0.0.1"
_BODY: Final = '{"customers":[{"type":"user","id":"667d60d18a68186f43bafdde"}]}'
_BODY_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_numbers = itertools.count()


@functools.lru_cache(maxsize=1)
def _reply(second: int) -> bytes:
    return (
        "HTTP/1.1 200 OK\r\n"
        f"Date: {formatdate(second, usegmt=True)}\r\n"
        "Content-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(_BODY)}\r\n"
        "Connection: keep-alive\r\n"
        "X-Request-Id: %020d\r\n"  # one that came before would not be believed
        "Intercom-Version: Preview\r\n"
        "X-RateLimit-Limit: 100000000\r\n"
        "X-RateLimit-Remaining: 99999999\r\n"
        f"X-RateLimit-Reset: {second // 10 * 10 + 10}\r\n\r\n{_BODY}"
    ).encode()


class _Answering(asyncio.Protocol):
    """Answers every complete request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the class.
        self._transport = cast("asyncio.WriteTransport", transport)
        self._pending = b""

    def data_received(self, data: bytes) -> None:
        self._pending += data
        end = self._pending.find(b"\r\n\r\n")
        length = _BODY_LENGTH.search(self._pending)
        if end >= 0 and len(self._pending) >= end + 4 + (int(length[1]) if length else 0):
            self._pending = b""
            self._transport.write(_reply(int(time.time())) % next(_numbers))


def _serve(pipe: "Connection[Any, Any]") -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Answering, _HOST, 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)

    run_until_closed(serve(), uvloop=True)


@contextlib.contextmanager
def load_server() -> Generator[str]:
    """Run the server and yield its URL."""
    with process(_serve) as pipe:
        yield f"http://{_HOST}:{pipe.recv()}"
