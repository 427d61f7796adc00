"""A TCP proxy that breaks connections in the ways networks do, one request at a time.

It reads whole requests and replies, so that it knows where in their way it is, and strikes some
of them by a seeded plan. What it did is counted; what the client makes of it is the test's
business.
"""

import asyncio
import collections
import enum
import random
import socket
import struct
from collections.abc import Mapping
from types import TracebackType
from typing import Self

_LINGER_ZERO = struct.pack("ii", 1, 0)
LONG = 3600.0
"""Seconds no client waits."""


class Strike(enum.Enum):
    """What happens to one request and its connection."""

    RESET_BEFORE_REQUEST = "the connection is reset before the server sees the request"
    CLOSED_BEFORE_REQUEST = "it is closed in order before the server sees the request"
    RESET_DURING_REQUEST = "half of the request reaches the server"
    RESET_AFTER_REQUEST = "the server answers, the client sees a reset"
    CLOSED_AFTER_REQUEST = "the server answers, the client sees an orderly end"
    RESET_DURING_HEAD = "half of the reply's head arrives"
    RESET_DURING_BODY = "half of the reply's body arrives before a reset"
    TRUNCATED_BODY = "half of the reply's body arrives before an orderly end"
    SILENT_BEFORE_REQUEST = "half-open: nothing arrives, nothing comes back"
    SILENT_AFTER_REQUEST = "half-open: the server answers into nowhere"
    SILENT_DURING_BODY = "half-open in the middle of a reply"
    DRIPPING_REPLY = "the reply comes in many small pieces with pauses"
    DELAYED_REPLY = "the reply comes late"
    STALE_CLOSED = "answered; the idle connection is closed with the next request on its way"
    STALE_RESET = "answered; the idle connection is reset likewise"
    REPLY_TWICE = "answered; the reply comes once more while the connection is idle"


class _OverError(Exception):
    """The connection was brought to its end."""


class FaultProxy:
    """Listens on loopback and forwards to a server there; see the module's docstring.

    Args:
        port: the server's.
        strikes: the probability of each; the rest is forwarded as it is.
        seed: of the plan.
        times: how many strikes there are at most, None for any number.
        delay: seconds of a late reply.

    Attributes:
        struck: how often each strike happened.
    """

    def __init__(
        self,
        port: int,
        strikes: Mapping[Strike, float],
        *,
        seed: int = 0,
        times: int | None = None,
        delay: float = 1.0,
    ) -> None:
        self.struck: collections.Counter[Strike] = collections.Counter()
        self._target = port
        self._strikes = dict(strikes)
        self._random = random.Random(seed)
        self._left = times
        self._delay = delay
        self._server: asyncio.Server | None = None
        self._port = 0
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.refuse()

    async def listen(self) -> None:
        """Begin, or begin again at the same address."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self._port, backlog=1024
        )
        self._port = int(self._server.sockets[0].getsockname()[1])

    async def refuse(self) -> None:
        """Drop all connections; further ones are refused."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def be_good(self) -> None:
        """Strike no more."""
        self._left = 0

    def _draw(self) -> Strike | None:
        if self._left == 0:
            return None
        number = self._random.random()
        for strike, probability in self._strikes.items():
            number -= probability
            if number < 0:
                self.struck[strike] += 1
                if self._left is not None:
                    self._left -= 1
                return strike
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        server: asyncio.StreamWriter | None = None
        try:
            replies, server = await asyncio.open_connection("127.0.0.1", self._target)
            while True:
                request = await _message(reader)
                await self._relay(request, writer, server, replies)
        except (_OverError, asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # one of the two ends is done, or the test is
        finally:
            self._connections.discard(task)
            writer.close()
            if server is not None:
                server.close()

    async def _relay(
        self,
        request: bytes,
        client: asyncio.StreamWriter,
        server: asyncio.StreamWriter,
        replies: asyncio.StreamReader,
    ) -> None:
        strike = self._draw()
        match strike:
            case Strike.RESET_BEFORE_REQUEST:
                _reset(client)
            case Strike.CLOSED_BEFORE_REQUEST:
                raise _OverError
            case Strike.RESET_DURING_REQUEST:
                server.write(request[: len(request) // 2])
                await server.drain()
                _reset(server)
            case Strike.SILENT_BEFORE_REQUEST:
                await asyncio.sleep(LONG)
            case _:
                pass
        server.write(request)
        reply = await _message(replies)
        body = reply.index(b"\r\n\r\n") + 4
        match strike:
            case Strike.RESET_AFTER_REQUEST:
                _reset(client)
            case Strike.CLOSED_AFTER_REQUEST:
                raise _OverError
            case Strike.SILENT_AFTER_REQUEST:
                await asyncio.sleep(LONG)
            case Strike.RESET_DURING_HEAD:
                await _write(client, reply[: body // 2])
                _reset(client)
            case Strike.RESET_DURING_BODY:
                await _write(client, reply[: (body + len(reply)) // 2])
                _reset(client)
            case Strike.TRUNCATED_BODY:
                await _write(client, reply[: (body + len(reply)) // 2])
                raise _OverError
            case Strike.SILENT_DURING_BODY:
                await _write(client, reply[: (body + len(reply)) // 2])
                await asyncio.sleep(LONG)
            case Strike.DRIPPING_REPLY:
                for at in range(0, len(reply), 40):
                    await _write(client, reply[at : at + 40])
                    await asyncio.sleep(self._delay / 100)
                return
            case Strike.DELAYED_REPLY:
                await asyncio.sleep(self._delay)
            case _:
                pass
        await _write(client, reply)
        match strike:
            case Strike.STALE_CLOSED:
                # Closing right now would be seen in time: the pool drops what is closed.
                await asyncio.sleep(self._random.uniform(0, 0.01))
                raise _OverError
            case Strike.STALE_RESET:
                await asyncio.sleep(self._random.uniform(0, 0.01))
                _reset(client)
            case Strike.REPLY_TWICE:
                await asyncio.sleep(0)
                await _write(client, reply)
            case _:
                pass


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + await reader.readexactly(length)


async def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    writer.transport.abort()
    raise _OverError
