"""Asking the simulator over a real connection, with aiohttp alone."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import attrs
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from intercom_async.simulator import IntercomSimulator


@attrs.frozen(kw_only=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
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
    def quota(self) -> tuple[int, int, int]:
        """Limit, Remaining and Reset."""
        names = ("Limit", "Remaining", "Reset")
        limit, remaining, reset = (int(self.headers[f"X-RateLimit-{name}"]) for name in names)
        return limit, remaining, reset


@attrs.frozen
class Ask:
    """`await ask("GET", "/me")`: one request, as a well-behaved client sends it."""

    sim: IntercomSimulator
    session: aiohttp.ClientSession

    async def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {
            "Authorization": f"Bearer {self.sim.token}",
            "Accept": "application/json",
            "Content-Type": "application/json",
        }
        sent |= headers or {}
        async with self.session.request(
            method,
            URL(self.sim.url + path, encoded=True),
            data=body if body is None or isinstance(body, bytes) else msgspec.json.encode(body),
            headers=sent,
            allow_redirects=False,
        ) as response:
            return Answer(
                status=response.status, headers=response.headers, body=await response.read()
            )

    async def detach(self, conversation_id: str, contact_id: str) -> Answer:
        return await self(
            "DELETE",
            f"/conversations/{conversation_id}/customers/{contact_id}",
            {"admin_id": self.sim.admin_id},
        )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the server, which runs in this loop, got as far as the condition says."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110  the server tells nobody how far it got
            await asyncio.sleep(0.001)
