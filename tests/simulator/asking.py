"""Asking the simulator over a real connection, with aiohttp alone."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import attrs
import msgspec
from yarl import URL

from intercom_async.simulator import IntercomSimulator


@attrs.frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        """Status, code and message of an error reply."""
        assert self.json["type"] == "error.list"
        assert self.json["request_id"] == self.headers["X-Request-Id"]
        (error,) = self.json["errors"]
        return self.status, error["code"], error["message"]

    @property
    def quota(self) -> tuple[int, ...]:
        """Limit, Remaining and Reset."""
        names = ("Limit", "Remaining", "Reset")
        return tuple(int(self.headers[f"X-RateLimit-{name}"]) for name in names)


@attrs.frozen
class Ask:
    """`await ask("GET", "/me")`: one request, as a well-behaved client sends it."""

    sim: IntercomSimulator
    session: aiohttp.ClientSession

    async def __call__(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        data = body if body is None or isinstance(body, bytes) else msgspec.json.encode(body)
        url = URL(self.sim.url + path, encoded=True)
        async with self.session.request(method, url, data=data, headers=headers) as response:
            return Answer(response.status, response.headers, await response.read())

    async def detach(self, conversation_id: str, contact_id: str) -> Answer:
        path = f"/conversations/{conversation_id}/customers/{contact_id}"
        return await self("DELETE", path, {"admin_id": self.sim.admin_id})


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the server, which runs in this loop, got as far as the condition says."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  the server tells nobody how far it got
            await asyncio.sleep(0.001)
