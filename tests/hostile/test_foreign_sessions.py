"""What is promised of replies, cookies, tokens and redirects, whoever opened the session."""

import asyncio
import gzip
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from intercom_async import (
    ClientStateError,
    Connector,
    IntercomClient,
    RedirectError,
    ResponseDecodeError,
    RetryPolicy,
    UnknownOutcomeError,
)
from intercom_async.errors import IntercomError
from tests.hostile.catalogue import CATALOGUE, Hostile
from tests.hostile.serving import HostileServer
from tests.support.raw_server import RawServer, always, in_turn, reply
from tests.support.secret_search import texts_of

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

ONCE = RetryPolicy(attempts=1)
TOKEN = "dG9rOm1hcmtlZC1zZWNyZXQ="
PROXY = "http://user:hidden@proxy.example:3128"
COOKIE = reply(headers="Set-Cookie: session=first; Path=/\r\n")


def jar() -> aiohttp.CookieJar:
    """As a session has it by itself, except that it keeps cookies of addresses, too."""
    return aiohttp.CookieJar(unsafe=True)


def lines_of(request: bytes, name: str) -> list[str]:
    lines = request.decode().split("\r\n\r\n")[0].split("\r\n")[1:]
    return [value for key, _, value in (line.partition(": ") for line in lines) if key == name]


async def one_request(session: aiohttp.ClientSession | None, answer: bytes | None = None) -> bytes:
    """Return what a call sends."""
    async with (
        RawServer(always(reply() if answer is None else answer)) as server,
        IntercomClient(TOKEN, base_url=server.url, session=session, retry=ONCE) as client,
    ):
        await client.detach_contact("1", "2", admin_id="3")
    return server.requests[0]


def about(conversation_id: str) -> bytes:
    return reply(b'{"type": "conversation", "id": "%b"}' % conversation_id.encode())


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("stale", [about("2"), reply(status="408 Idle"), b"x"])
async def test_a_reply_nobody_asked_for_does_not_answer_the_next_request(
    stale: bytes, own: bool
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
            TOKEN, base_url=server.url, retry=ONCE, session=None if own else session
        ) as client,
    ):
        assert (await client.get_conversation("1")).id == "1"
        await asyncio.sleep(0.03)
        assert (await client.get_conversation("3")).id == "3"


class TestCookies:
    @pytest.mark.parametrize("own", [True, False])
    async def test_no_cookie_of_one_token_is_sent_with_another(self, own: bool) -> None:
        async with (
            RawServer(in_turn(COOKIE, reply())) as server,
            aiohttp.ClientSession(cookie_jar=jar()) as session,
        ):
            opened = partial(IntercomClient, base_url=server.url, session=None if own else session)
            async with opened("first") as first, opened("second") as second:
                for client in (first, second, first):
                    await client.detach_contact("1", "2", admin_id="3")
            assert not [each for each in server.requests if b"cookie" in each.lower()]
            assert len(session.cookie_jar) == (0 if own else 1)  # as the application wants it

    @pytest.mark.parametrize(
        ("headers", "sent"), [({}, []), ({"cookie": "gateway=1; x=y"}, ["gateway=1; x=y"])]
    )
    async def test_nor_one_that_the_session_was_opened_with_but_its_own_header_stays(
        self, headers: dict[str, str], sent: list[str]
    ) -> None:
        async with aiohttp.ClientSession(
            cookie_jar=jar(), cookies={"a": "b"}, headers=headers
        ) as session:
            assert lines_of(await one_request(session), "Cookie") == sent

    @pytest.mark.parametrize(
        "hostile", [each for each in CATALOGUE if "cookie" in each.name], ids=lambda each: each.name
    )
    async def test_a_jar_that_chokes_on_cookies_changes_no_outcome(self, hostile: Hostile) -> None:
        async with (
            HostileServer(hostile) as server,
            aiohttp.ClientSession(cookie_jar=jar()) as session,
            IntercomClient(TOKEN, base_url=server.url, session=session, retry=ONCE) as client,
        ):
            assert (await client.detach_contact("1", "2", admin_id="3")).id == "1"


class TestAuthorization:
    @pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
    async def test_default_headers_of_the_session_give_way(self, name: str) -> None:
        headers = [(name, "Bearer other"), (name, "Bearer another"), ("accept", "text/html")]
        async with aiohttp.ClientSession(headers=headers) as session:
            request = await one_request(session)
        assert b"other" not in request
        assert lines_of(request, "Authorization") == [f"Bearer {TOKEN}"]
        assert lines_of(request, "Accept") == ["application/json"]

    @pytest.mark.parametrize("found_in", ["the session", "a file"])
    async def test_credentials_of_the_session_are_refused_before_anything_is_sent(
        self, found_in: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("default login user password hidden\n")
        netrc.chmod(0o600)
        monkeypatch.setenv("NETRC", str(netrc))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            auth = aiohttp.BasicAuth("user", "hidden") if found_in == "the session" else None
            session = aiohttp.ClientSession(auth=auth, trust_env=auth is None)
        async with (
            session,
            RawServer(always(reply())) as server,
            IntercomClient(TOKEN, base_url=server.url, session=session) as client,
        ):
            with pytest.raises(ClientStateError, match="session") as caught:
                await client.detach_contact("1", "2", admin_id="3")
        assert server.requests == []
        assert not [text for text in texts_of(caught.value) if "hidden" in text or TOKEN in text]


class TestWhereRequestsGo:
    @pytest.mark.parametrize("own", [True, False])
    @pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
    async def test_redirects_are_not_followed(self, status: int, own: bool) -> None:
        async with RawServer(always(reply())) as other, aiohttp.ClientSession() as session:
            lines = f"Location: {other.url}/me\r\nRefresh: 0; url={other.url}\r\n"
            moved = reply(status=f"{status} M", headers=lines)
            with pytest.raises(UnknownOutcomeError) as caught:
                await one_request(None if own else session, moved)
            assert isinstance(caught.value.__cause__, RedirectError)
            assert other.requests == []

    async def test_a_base_url_of_the_session_does_not_matter(self) -> None:
        async with RawServer(always(reply())) as other:
            async with aiohttp.ClientSession(base_url=f"{other.url}/api/") as session:
                request = await one_request(session)
            assert request.startswith(b"DELETE /conversations/1/customers/2 ")
            assert other.requests == []

    @pytest.mark.parametrize("options", [{"proxy": PROXY}, {"trust_env": True}], ids=str)
    async def test_no_token_goes_to_a_foreign_proxy_in_plain_text(
        self, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", PROXY)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with (
            aiohttp.ClientSession(**options) as session,
            IntercomClient(TOKEN, base_url="http://127.0.0.1:9", session=session) as client,
        ):
            with pytest.raises(ClientStateError, match=r"proxy\.example") as caught:
                await client.detach_contact("1", "2", admin_id="3")
        assert not [text for text in texts_of(caught.value) if "hidden" in text or TOKEN in text]


class TestHabits:
    async def test_a_session_that_leaves_replies_compressed_decodes_them(self) -> None:
        body = gzip.compress(b'{"id": "7"}')
        async with (
            RawServer(always(reply(body, headers="Content-Encoding: gzip\r\n"))) as server,
            aiohttp.ClientSession(auto_decompress=False) as session,
            IntercomClient(TOKEN, base_url=server.url, session=session) as client,
        ):
            assert (await client.get_conversation("7")).id == "7"

    @pytest.mark.parametrize("most", [1, 1 << 30])
    async def test_the_bounds_of_a_reply_s_head_are_ours(self, most: int) -> None:
        async with aiohttp.ClientSession(max_line_size=most, max_field_size=most) as session:
            assert await one_request(session)
            flood = reply(headers="A: " + "x" * 100_000 + "\r\n")
            with pytest.raises(IntercomError) as caught:
                await one_request(session, flood)
            assert not isinstance(caught.value, ClientStateError | ResponseDecodeError)
