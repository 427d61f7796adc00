"""A server that answers with exactly the bytes a test wants, and counts requests on the wire."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Self

Script = Callable[[int, asyncio.StreamWriter], Awaitable[None]]
"""Given the request's number (from 1) and the writer: answer, or close, or do nothing."""


def reply(
    body: bytes = b'{"customers": []}', *, status: str = "200 OK", headers: str = ""
) -> bytes:
    """Return a well-formed reply with these parts; `headers` lines end with CRLF."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode("latin-1") + body


class Listener:
    """Listens on loopback and talks on every connection as a subclass says."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context
        self._listener: socket.socket | None = None
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"{'https' if self._ssl else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.refuse()

    def listen(self) -> None:
        """Begin, or begin again at the same address."""
        # asyncio's own server leaks what it accepts in the turn of the loop in which it is closed.
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self._listener.setblocking(False)
        self.port = int(self._listener.getsockname()[1])
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def stop_listening(self) -> None:
        """Refuse further connections; those that are open stay."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    async def refuse(self) -> None:
        """Refuse further connections and end those that are open."""
        self.stop_listening()
        connections = dict(self._connections)
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
        for task, connection in connections.items():
            if task.cancelled():  # before it began
                connection.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                task = asyncio.create_task(self._serve(connection))
                self._connections[task] = connection
                task.add_done_callback(self._connections.pop)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        # The client may be done in the middle of everything, and so may the test.
        with contextlib.suppress(asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._ssl
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await self._talk(reader, writer)
            finally:
                writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class RawServer(Listener):
    """Answers as its script says; see the module's docstring."""

    def __init__(self, script: Script, *, ssl_context: ssl.SSLContext | None = None) -> None:
        super().__init__(ssl_context=ssl_context)
        self._script = script
        self.requests: list[bytes] = []

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            self.requests.append(await message(reader))
            await self._script(len(self.requests), writer)
            await writer.drain()


async def message(reader: asyncio.StreamReader) -> bytes:
    """Read a whole request or reply that names its length."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other end sees a reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def always(data: bytes) -> Script:
    """Answer every request with these bytes."""
    return in_turn(data)


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
