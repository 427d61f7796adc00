"""What the tests of both web frameworks share: Intercom's place taken, and requests to a server."""

import asyncio
import contextlib
from typing import Any

from intercom_async import IntercomClient
from intercom_async.simulator import IntercomSimulator
from tests.support.leftovers import holds_nothing

TOKEN = "marked-token-value"


class Opened:
    """Stands for `IntercomClient` in an example, and remembers the clients it made."""

    def __init__(self, base_url: str, **options: Any) -> None:
        self._base_url = base_url
        self._options = options
        self.clients: list[IntercomClient] = []

    def __call__(self) -> IntercomClient:
        client = IntercomClient(TOKEN, base_url=self._base_url, **self._options)
        self.clients.append(client)
        return client

    @property
    def client(self) -> IntercomClient:
        """The one client of the process."""
        (client,) = self.clients
        return client

    def holds_nothing(self) -> bool:
        """Whether no permit is out and no call waits for one."""
        return holds_nothing(self.client)


def path_of(pair: tuple[str, str]) -> str:
    return f"/conversations/{pair[0]}/contacts/{pair[1]}"


async def begin(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a DELETE and do not wait for its reply."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"DELETE {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def status_of(port: int, path: str) -> int | None:
    """Send a DELETE and return the reply's status; None when the connection ends without one."""
    reader, writer = await begin(port, path)
    line = b""
    with contextlib.suppress(ConnectionError):
        line = await reader.readline()
        await reader.read()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return int(line.split()[1]) if line else None


async def hang_up(port: int, path: str, *, after: float) -> None:
    """Send a DELETE and close the connection before the reply is there."""
    _, writer = await begin(port, path)
    await asyncio.sleep(after)
    writer.transport.abort()


async def until_idle(sim: IntercomSimulator, opened: Opened) -> None:
    """Wait until no request is on its way."""
    for _ in range(2000):
        if sim.requests.in_flight == 0 and opened.holds_nothing():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("requests stay on their way")
