"""A small HTTP proxy on loopback: CONNECT tunnels and forwarding of absolute-form requests."""

import asyncio
from urllib.parse import urlsplit

from tests.support.raw_server import Listener


class Proxy(Listener):
    """Counts what went through.

    Args:
        password: what `Proxy-Authorization` must hold, None for anybody.
        port: on loopback, where all tunnels lead; None for where they are asked to.

    Attributes:
        requested: method and target of each request it was asked for.
        received: all that it was sent, in tunnels as well.
    """

    def __init__(self, password: str | None = None, *, port: int | None = None) -> None:
        super().__init__()
        self._target_port = port
        self.received = bytearray()
        self._password = password
        self.requested: list[tuple[str, str]] = []

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.received += head
        line, _, headers = head.partition(b"\r\n")
        method, target, version = line.decode("latin-1").split(" ")
        self.requested.append((method, target))
        if self._password is not None and self._password.encode() not in headers:
            writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host = parts.hostname if self._target_port is None else "127.0.0.1"
        there, back = await asyncio.open_connection(host, self._target_port or parts.port)
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            else:
                # One request for each connection: enough for a test, and it keeps this short.
                lines = [f"{method} {parts.path} {version}".encode(), b"Connection: close", headers]
                back.write(b"\r\n".join(lines))
            async with asyncio.TaskGroup() as group:
                group.create_task(_copy(reader, back, self.received))
                group.create_task(_copy(there, writer, bytearray()))
        finally:
            back.close()


async def _copy(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, copied: bytearray
) -> None:
    while data := await source.read(65536):
        copied += data
        target.write(data)
        await target.drain()
    target.close()
