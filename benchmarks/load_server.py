"""The server that every client is measured against: a process of its own on 127.0.0.1.

It answers each request at once with the live endpoint's reply and with the headers of a quota so
large that no client waits for it.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Generator
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, cast

from benchmarks.frame import is_installed
from benchmarks.process import process

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_HOST: Final = "127.0.0.1"
_WINDOW: Final = 10
_REPLY: Final = b'{"customers":[{"type":"user","id":"667d60d18a68186f43bafdde"}]}'
_BODY_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Answering(asyncio.Protocol):
    """Answers every complete request, pipelined ones, too."""

    count = 0
    second = 0
    reply = b""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            length = _BODY_LENGTH.search(self._pending, 0, end)
            end += 4 + (int(length[1]) if length else 0)
            if len(self._pending) < end:
                break
            self._pending = self._pending[end:]
            self._transport.write(self._next_reply())

    @classmethod
    def _next_reply(cls) -> bytes:
        now = int(time.time())
        if now != cls.second:  # the headers are brought up to date once a second
            cls.second = now
            head = (
                "HTTP/1.1 200 OK\r\n"
                f"Date: {formatdate(now, usegmt=True)}\r\n"
                "Content-Type: application/json; charset=utf-8\r\n"
                f"Content-Length: {len(_REPLY)}\r\n"
                "Connection: keep-alive\r\n"
                "X-Request-Id: %020d\r\n"  # one that came before would not be believed
                "Intercom-Version: Preview\r\n"
                "X-RateLimit-Limit: 100000000\r\n"
                "X-RateLimit-Remaining: 99999999\r\n"
                f"X-RateLimit-Reset: {(now // _WINDOW + 1) * _WINDOW}\r\n\r\n"
            )
            cls.reply = head.encode() + _REPLY
        cls.count += 1
        return cls.reply % cls.count


def _serve(pipe: "Connection[Any, Any]") -> None:
    loop_factory: Any = None
    if is_installed("uvloop"):
        import uvloop

        loop_factory = uvloop.new_event_loop

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Answering, _HOST, 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        await asyncio.to_thread(pipe.recv)  # until the other end is closed

    with contextlib.suppress(EOFError), asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve())


@contextlib.contextmanager
def load_server() -> Generator[str]:
    """Run the server and yield its URL."""
    with process(_serve) as pipe:
        yield f"http://{_HOST}:{pipe.recv()}"
