"""The client under aioresponses, as applications stub it in their own tests.

aioresponses replaces `ClientSession._request`, so middlewares, timeouts, the pool and aiohttp's
silent repeat never run here; whatever depends on them is tested against real sockets.
"""

import functools
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from aioresponses import aioresponses

from intercom_async import IntercomClient, RetryPolicy, UnknownOutcomeError

CONVERSATION = "https://api.intercom.io/conversations/1295"
URL = f"{CONVERSATION}/customers/5ba682d2"


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    # aioresponses (0.7.9) does not pass the `stream_writer` that aiohttp 3.14 asks for.
    writer: Any = SimpleNamespace(output_size=0)
    answer = functools.partial(aiohttp.ClientResponse, stream_writer=writer)
    monkeypatch.setattr("aioresponses.core.ClientResponse", answer)
    with aioresponses() as mocked:
        yield mocked


async def participants() -> list[Any]:
    async with IntercomClient("token", retry=RetryPolicy(attempts=2, backoff=0.0)) as client:
        found = await client.detach_contact("1295", "5ba682d2", admin_id="1")
    return [contact.id for contact in found.participants]


async def test_a_stubbed_reply_is_decoded_and_the_documented_headers_go_out(
    stubs: aioresponses,
) -> None:
    stubs.delete(URL, payload={"customers": [{"type": "user", "id": "a"}]})
    assert await participants() == ["a"]
    ((call,),) = stubs.requests.values()
    headers = cast("Mapping[str, str]", call.kwargs["headers"])
    assert headers["Authorization"] == "Bearer token"
    assert headers["Intercom-Version"] == "Preview"
    assert call.kwargs["data"].decode() == '{"admin_id":"1"}'
    assert call.kwargs["allow_redirects"] is False


@pytest.mark.parametrize(
    "lost",
    [
        {"status": 502, "body": "<html>"},
        {"exception": aiohttp.ServerDisconnectedError()},
        {"exception": aiohttp.SocketTimeoutError()},
    ],
)
async def test_a_reply_that_is_lost_after_sending_is_checked(
    stubs: aioresponses, lost: dict[str, Any]
) -> None:
    stubs.delete(URL, repeat=4, **lost)
    stubs.get(CONVERSATION, payload={"id": "1295", "contacts": {"contacts": [{"id": "other"}]}})
    assert await participants() == ["other"]
    stubs.get(CONVERSATION, status=500, repeat=2)
    with pytest.raises(UnknownOutcomeError):
        await participants()
