"""A server that answers with exactly the bytes a test wants, and counts requests on the wire."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

Script = Callable[[int, asyncio.StreamWriter], Awaitable[None]]
"""Given the request's number (from 1) and the writer: answer, or close, or do nothing."""


def reply(
    body: bytes = b'{"customers": []}', *, status: str = "200 OK", headers: str = ""
) -> bytes:
    """Return a well-formed reply with these parts; `headers` lines end with CRLF."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


class RawServer:
    """Listens on loopback; see the module's docstring."""

    def __init__(self, script: Script, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._ssl = ssl_context
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.requests: list[bytes] = []

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._ssl)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client is done, or the test is
        finally:
            self._connections.discard(task)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            self.requests.append(await message(reader))
            await self._script(len(self.requests), writer)
            await writer.drain()


async def message(reader: asyncio.StreamReader) -> bytes:
    """Read a whole request or reply, whose length is told."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


def always(data: bytes) -> Script:
    """Answer every request with these bytes."""

    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return script


def in_turn(*steps: bytes | None) -> Script:
    """Answer the n-th request with the n-th bytes, None closing without an answer.

    The last step is repeated.
    """

    async def script(number: int, writer: asyncio.StreamWriter) -> None:
        step = steps[min(number, len(steps)) - 1]
        if step is None:
            writer.close()
        else:
            writer.write(step)

    return script
