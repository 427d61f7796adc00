"""Absurd quota headers neither stop a client for years nor let it hammer the server."""

import asyncio
import contextlib

import pytest

from intercom_async import (
    IntercomClient,
    IntercomError,
    Lane,
    RateLimitPolicy,
    RetryPolicy,
)
from tests.hostile.catalogue import ABSURD_NUMBERS, QUOTA_HEADERS, Hostile, error, http, quota_lines
from tests.hostile.serving import HostileServer
from tests.support.raw_server import RawServer

RESET = 1_790_000_000
LONGEST = 130.0
"""Seconds for which anything a server says may keep a client from trying again."""

# How each is read is the business of test_window; here is what the client then does.
ABSURDITIES = [
    pytest.param(quota_lines(header, value, reset=RESET), id=f"{header}-{name}")
    for header in QUOTA_HEADERS
    for name, value in ABSURD_NUMBERS.items()
]
CODES = ["rate_limit_exceeded", "too_many_requests"]
"""The window's budget is used up; another one is."""


def client_for(server: RawServer, max_wait: float | None = None) -> IntercomClient:
    return IntercomClient(
        "marked-token",
        base_url=server.url,
        timeout=1.0,
        retry=RetryPolicy(attempts=2, backoff=0.0),
        rate_limit=RateLimitPolicy(max_wait=max_wait),
    )


async def detach(client: IntercomClient) -> None:
    await client.detach_contact("1295", "5ba682d2", admin_id="5017690")


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize("lines", ABSURDITIES)
async def test_no_reply_stops_a_client_for_long(lines: tuple[str, ...], refused: bool) -> None:
    loop = asyncio.get_running_loop()
    refusal, good = error("429 X", *lines, code=CODES[0]), http(b'{"customers": []}', *lines)
    odd = Hostile("odd", refusal if refused else good)
    async with HostileServer(odd, bad=1 if refused else 5) as server, client_for(server) as client:
        began = loop.time()
        if refused:
            with contextlib.suppress(IntercomError):  # it may be asked to wait for too long
                await detach(client)
        bulk = client.with_options(lane=Lane.BULK)
        for _ in range(5):
            await detach(bulk)
            await detach(client)
        assert loop.time() - began < LONGEST
        status = client.rate_limit
        assert status is not None
        assert status.resets_in <= 10.0


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("lines", ABSURDITIES[: 2 * len(ABSURD_NUMBERS)])
@pytest.mark.parametrize("code", CODES)
async def test_endless_429s_are_not_answered_with_a_hail_of_requests(
    lines: tuple[str, ...], code: str
) -> None:
    refusal = Hostile("429", error("429 X", *lines, code=code))
    async with HostileServer(refusal) as server, client_for(server, 60.0) as client:
        with pytest.raises(IntercomError):
            await detach(client)
        # Three windows' edges a minute would be six; a Retry-After of zero backs off.
        assert len(server.requests) <= 12


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("ahead", [0, 1])
async def test_a_reset_that_runs_along_with_the_clock_makes_no_hail_either(ahead: int) -> None:
    loop = asyncio.get_running_loop()

    async def refuse(_: int, writer: asyncio.StreamWriter) -> None:
        lines = quota_lines("X-RateLimit-Limit", "100", reset=RESET + int(loop.time()) + ahead)
        writer.write(error("429 X", *lines, code=CODES[0]))

    async with RawServer(refuse) as server, client_for(server, 60.0) as client:
        with contextlib.suppress(IntercomError, TimeoutError):
            async with asyncio.timeout(60.0):
                await detach(client)
        assert len(server.requests) <= 30
