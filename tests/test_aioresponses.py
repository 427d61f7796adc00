"""The client under aioresponses, as applications stub it in their own tests.

aioresponses replaces `ClientSession._request`, so middlewares, timeouts, the pool and aiohttp's
silent repeat never run here; whatever depends on them is tested against real sockets.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import cast

import aiohttp
import pytest
from aioresponses import aioresponses

from intercom_async import (
    ContactNotFoundError,
    IntercomClient,
    RetryPolicy,
    ServerError,
    UnknownOutcomeError,
)

URL = "https://api.intercom.io/conversations/1295/customers/5ba682d2"


@pytest.fixture
def stubs() -> Iterator[aioresponses]:
    with aioresponses() as mocked:
        yield mocked


@pytest.fixture
async def client() -> AsyncIterator[IntercomClient]:
    async with IntercomClient("token", retry=RetryPolicy(attempts=2, backoff=0.0)) as opened:
        yield opened


async def test_the_documented_headers_go_out_and_a_stubbed_reply_is_decoded(
    stubs: aioresponses, client: IntercomClient
) -> None:
    stubs.delete(URL, payload={"customers": [{"type": "user", "id": "a"}]})
    found = await client.detach_contact("1295", "5ba682d2", admin_id="1")
    assert [contact.id for contact in found.participants] == ["a"]
    ((call,),) = stubs.requests.values()
    headers = cast("Mapping[str, str]", call.kwargs["headers"])
    assert headers["Authorization"] == "Bearer token"
    assert headers["Accept"] == "application/json"
    assert headers["Content-Type"] == "application/json"
    assert headers["Intercom-Version"] == "Preview"
    assert headers["User-Agent"].startswith("intercom_async/")
    assert call.kwargs["data"].decode() == '{"admin_id":"1"}'
    assert call.kwargs["allow_redirects"] is False


async def test_a_stubbed_error_has_its_class(stubs: aioresponses, client: IntercomClient) -> None:
    stubs.delete(
        URL,
        status=404,
        payload={"errors": [{"code": "not_found", "message": "User Not Found"}]},
        headers={"X-Request-Id": "r-1"},
    )
    with pytest.raises(ContactNotFoundError) as caught:
        await client.detach_contact("1295", "5ba682d2", admin_id="1")
    assert caught.value.request_id == "r-1"


async def test_5xx_are_tried_again_and_when_the_check_fails_too_the_fate_is_unknown(
    stubs: aioresponses, client: IntercomClient
) -> None:
    stubs.delete(URL, status=502, repeat=2)
    stubs.get("https://api.intercom.io/conversations/1295", status=500, repeat=2)
    with pytest.raises(UnknownOutcomeError) as caught:
        await client.detach_contact("1295", "5ba682d2", admin_id="1")
    assert isinstance(caught.value.__cause__, ServerError)


@pytest.mark.parametrize(
    "error",
    [
        aiohttp.ServerDisconnectedError(),
        aiohttp.ClientOSError(104, "reset"),
        TimeoutError(),
        aiohttp.SocketTimeoutError(),
        aiohttp.ClientPayloadError("x"),
        ConnectionResetError(),
    ],
)
async def test_a_connection_lost_after_sending_is_checked(
    stubs: aioresponses, client: IntercomClient, error: Exception
) -> None:
    stubs.delete(URL, exception=error, repeat=2)
    stubs.get(
        "https://api.intercom.io/conversations/1295",
        payload={"id": "1295", "contacts": {"contacts": [{"id": "other"}]}},
    )
    found = await client.detach_contact("1295", "5ba682d2", admin_id="1")
    assert [contact.id for contact in found.participants] == ["other"]
