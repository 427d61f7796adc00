"""A reply answers the request it was sent for, or none."""

import asyncio

import aiohttp
import pytest

from intercom_async import Connector, IntercomClient, RetryPolicy
from tests.support.raw_server import RawServer, reply

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

ONCE = RetryPolicy(attempts=1)


async def detach(client: IntercomClient) -> list[str]:
    """Return who is left."""
    left = await client.detach_contact("1295", "5ba682d2", admin_id="5017690")
    return [str(contact.id) for contact in left.participants]


def with_left(contact_id: str) -> bytes:
    return reply(b'{"customers": [{"type": "contact", "id": "%b"}]}' % contact_id.encode())


class TestUnsolicitedReplies:
    @pytest.mark.parametrize("own_session", [True, False])
    @pytest.mark.parametrize("stale", [with_left("stale"), reply(status="408 Idle"), b"x"])
    async def test_a_reply_nobody_asked_for_does_not_answer_the_next_request(
        self, stale: bytes, own_session: bool
    ) -> None:
        async def script(number: int, writer: asyncio.StreamWriter) -> None:
            writer.write(with_left(str(number)))
            await writer.drain()
            await asyncio.sleep(0.01)
            writer.write(stale)

        async with (
            RawServer(script) as server,
            aiohttp.ClientSession(connector=Connector()) as session,
            IntercomClient(
                "token",
                base_url=server.url,
                retry=ONCE,
                session=None if own_session else session,
            ) as client,
        ):
            assert await detach(client) == ["1"]
            await asyncio.sleep(0.03)
            assert await detach(client) == ["2"]
