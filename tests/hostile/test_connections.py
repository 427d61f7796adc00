"""A reply answers the request it was sent for, or none."""

import asyncio

import aiohttp
import pytest

from intercom_async import Connector, IntercomClient, RetryPolicy
from tests.support.raw_server import RawServer, reply

ONCE = RetryPolicy(attempts=1)


def about(conversation_id: str) -> bytes:
    return reply(b'{"type": "conversation", "id": "%b"}' % conversation_id.encode())


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("own_session", [True, False])
@pytest.mark.parametrize("stale", [about("2"), reply(status="408 Idle"), b"x"])
async def test_a_reply_nobody_asked_for_does_not_answer_the_next_request(
    stale: bytes, own_session: bool
) -> None:
    async def script(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(about("1" if number == 1 else "3"))
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(stale)

    async with (
        RawServer(script) as server,
        aiohttp.ClientSession(connector=Connector()) as session,
        IntercomClient(
            "token", base_url=server.url, retry=ONCE, session=None if own_session else session
        ) as client,
    ):
        assert (await client.get_conversation("1")).id == "1"
        await asyncio.sleep(0.03)
        assert (await client.get_conversation("3")).id == "3"
