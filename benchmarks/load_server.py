"""The server that every client is measured against: a process of its own on 127.0.0.1.

It answers each request at once with the live endpoint's reply and with the headers of a quota so
large that nobody waits for it. It reads only the body's length of a request, so it is several times
faster than any Python client; `cpu` shows when it was not.
"""

import asyncio
import contextlib
import multiprocessing
import re
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Final, Self, cast

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

HOST: Final = "127.0.0.1"
LIMIT: Final = 100_000_000
"""Requests per window: nobody ever waits."""

WINDOW: Final = 10
REPLY: Final = b'{"customers":[{"type":"user","id":"667d60d18a68186f43bafdde"}]}'
SATURATED: Final = 0.9
"""Above this part of one core, the server may have slowed its clients down."""

_BODY_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class _Answering(asyncio.Protocol):
    """Answers every complete request, pipelined ones too."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have the methods, not the class.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._pending += data
        complete = 0
        while (end := self._pending.find(b"\r\n\r\n")) >= 0:
            length = _BODY_LENGTH.search(self._pending, 0, end)
            end += 4 + (int(length[1]) if length else 0)
            if len(self._pending) < end:
                break
            self._pending = self._pending[end:]
            complete += 1
        if complete:
            self._transport.write(b"".join(_Replies.next() for _ in range(complete)))


class _Replies:
    """The reply, its headers brought up to date once a second."""

    _second = 0
    _reply = b""
    _count = 0

    @classmethod
    def next(cls) -> bytes:
        now = int(time.time())
        if now != cls._second:
            cls._second = now
            reset = (now // WINDOW + 1) * WINDOW
            head = (
                "HTTP/1.1 200 OK\r\n"
                f"Date: {formatdate(now, usegmt=True)}\r\n"
                "Content-Type: application/json; charset=utf-8\r\n"
                f"Content-Length: {len(REPLY)}\r\n"
                "Connection: keep-alive\r\n"
                "X-Request-Id: %020d\r\n"
                "Intercom-Version: Preview\r\n"
                f"X-RateLimit-Limit: {LIMIT}\r\n"
                f"X-RateLimit-Remaining: {LIMIT - 1}\r\n"
                f"X-RateLimit-Reset: {reset}\r\n\r\n"
            )
            cls._reply = head.encode() + REPLY
        cls._count += 1
        return cls._reply % cls._count


def _serve(pipe: "Connection[Any, Any]") -> None:
    loop_factory: Any = None
    with contextlib.suppress(ImportError):
        import uvloop

        loop_factory = uvloop.new_event_loop

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(_Answering, HOST, 0, backlog=4096)
        pipe.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(pipe.recv):
            pipe.send(time.process_time())

    with (
        contextlib.suppress(EOFError, KeyboardInterrupt),
        asyncio.Runner(loop_factory=loop_factory) as runner,
    ):
        runner.run(serve())


class LoadServer:
    """The running server."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        self.url = f"http://{HOST}:{self._pipe.recv()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(False)
        self._process.join(5)
        self._process.terminate()

    def cpu(self) -> float:
        """Return the seconds of CPU it has used."""
        self._pipe.send(True)
        return float(self._pipe.recv())
