"""Exactly one attempt: what aiohttp would do on its own, and what broken servers do."""

import asyncio
import gzip
import os
import ssl
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest
import trustme

from intercom_async import ClientStateError, ResponseTooLargeError
from intercom_async.runtime import SYSTEM
from intercom_async.secret import Secret
from intercom_async.transport import http, wire
from intercom_async.transport.http import AttemptFailedError, Http
from intercom_async.transport.retrying import Failure
from tests.support.raw_server import RawServer, Script, always, in_turn, reply

TOKEN = "marked-token-value"
DETACH = wire.detach("1295", "5ba682d2", "5017690")
READ = wire.get_conversation("1295")


@pytest.fixture(autouse=True, params=[True, False], ids=["straight", "by the session"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send straight to the connector, and as with an aiohttp that is not tried, or is watched."""
    monkeypatch.setattr(http, "_STRAIGHT", request.param)


def client_for(server: RawServer | str, session: aiohttp.ClientSession | None = None) -> Http:
    return Http(
        base_url=server if isinstance(server, str) else server.url,
        token=Secret(TOKEN),
        headers={"Accept": "application/json"},
        session=session,
        runtime=SYSTEM,
    )


async def fail(script: Script, request: wire.Request = DETACH, seconds: float = 5.0) -> Failure:
    """Make one attempt that must fail without a reply, and check that it was only one."""
    async with RawServer(script) as server:
        client = client_for(server)
        with pytest.raises(AttemptFailedError) as caught:
            await client.attempt(request, seconds=seconds)
        await client.aclose()
        assert len(server.requests) == 1
    assert TOKEN not in repr(caught.value)
    return caught.value.failure


async def get(data: bytes, request: wire.Request = DETACH) -> wire.Reply:
    async with RawServer(always(data)) as server:
        client = client_for(server)
        answer = await client.attempt(request, seconds=5.0)
        await client.aclose()
        assert len(server.requests) == 1
    return answer


class TestOneAttempt:
    async def test_a_lost_connection_is_not_answered_by_a_silent_second_request(self) -> None:
        # aiohttp alone sends the DELETE again here, and reports the second answer.
        assert await fail(in_turn(None, reply())) is Failure.DISCONNECTED

    async def test_nor_on_a_kept_alive_connection_that_died(self) -> None:
        async with RawServer(in_turn(reply(), None, reply())) as server:
            client = client_for(server)
            await client.attempt(DETACH, seconds=5.0)
            with pytest.raises(AttemptFailedError) as caught:
                await client.attempt(DETACH, seconds=5.0)
            await client.aclose()
            assert len(server.requests) == 2
        assert caught.value.failure is Failure.DISCONNECTED

    async def test_a_reset_is_a_disconnection(self) -> None:
        async def reset(_: int, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        assert await fail(reset) is Failure.DISCONNECTED

    async def test_a_request_without_a_body_has_no_content_type(self) -> None:
        async with RawServer(always(reply())) as server:
            client = client_for(server)
            await client.attempt(READ, seconds=5.0)
            await client.aclose()
            assert b"Content-Type" not in server.requests[0]

    @pytest.mark.parametrize(
        ("asked", "length"),
        [(DETACH, 22), (wire.Request("POST", "/tags"), 0), (wire.Request("PUT", "/a", b"12"), 2)],
    )
    async def test_a_request_is_sent_with_one_host_and_one_length(
        self, asked: wire.Request, length: int
    ) -> None:
        async with RawServer(always(reply())) as server:
            client = client_for(server)
            await client.attempt(asked, seconds=5.0)
            await client.aclose()
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        assert lines[0] == f"{asked.method} {asked.path} http/1.1".lower()
        assert lines.count(f"host: {server.url.removeprefix('http://')}") == 1
        assert lines.count(f"content-length: {length}") == 1
        assert len(body) == length

    async def test_hints_that_come_before_the_answer_are_left_out(self) -> None:
        hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        assert (await get(hints + reply(b'{"id": "7"}'))).body == b'{"id": "7"}'


class TestFailures:
    async def test_nothing_listening_means_nothing_sent(self) -> None:
        async with RawServer(always(reply())) as server:
            url = server.url
        client = client_for(url)
        with pytest.raises(AttemptFailedError) as caught:
            await client.attempt(DETACH, seconds=5.0)
        await client.aclose()
        assert caught.value.failure is Failure.NOT_SENT
        assert isinstance(caught.value.__cause__, OSError)

    @pytest.mark.parametrize(
        "data",
        [
            b"nonsense\r\n\r\n",
            b"HTTP/1.1 abc\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 20_000 + b"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(500)) + b"\r\n",
            b"\x00" * 100,
        ],
    )
    async def test_a_reply_that_is_no_http_is_unreadable(self, data: bytes) -> None:
        async def answer(_: int, writer: asyncio.StreamWriter) -> None:
            writer.write(data)
            await writer.drain()
            writer.close()

        failure = await fail(answer)
        assert failure in {Failure.UNREADABLE, Failure.DISCONNECTED}
        assert failure.ambiguous

    async def test_an_untrusted_certificate_is_told_apart(self) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        async with RawServer(always(reply()), ssl_context=context) as server:
            client = client_for(server)
            with pytest.raises(AttemptFailedError) as caught:
                await client.attempt(DETACH, seconds=5.0)
            await client.aclose()
            assert not server.requests
        assert caught.value.failure is Failure.CERTIFICATE


SHORT = b"HTTP/1.1 %s\r\nContent-Length: 100\r\n\r\n{"


def cut_off(status: bytes) -> Script:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(SHORT % status)
        await writer.drain()
        writer.close()

    return script


class TestBodies:
    @pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"422 Unprocessable"])
    @pytest.mark.parametrize("request_", [DETACH, READ], ids=["write", "read"])
    async def test_a_reply_whose_body_was_cut_off_is_no_answer(
        self, status: bytes, request_: wire.Request
    ) -> None:
        assert await fail(cut_off(status), request_) is Failure.TRUNCATED

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_nor_is_one_whose_body_never_ends(self) -> None:
        async def drip(_: int, writer: asyncio.StreamWriter) -> None:
            writer.write(SHORT % b"200 OK")
            await asyncio.sleep(3600)

        assert await fail(drip, seconds=5.0) is Failure.TRUNCATED

    async def test_a_body_in_many_pieces_is_put_together(self) -> None:
        async def pieces(_: int, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{")
            for piece in (b'"a', b'":', b"1"):
                await asyncio.sleep(0)
                writer.write(piece)
            await asyncio.sleep(0)
            writer.write(b"}")
            await writer.drain()

        async with RawServer(pieces) as server:
            client = client_for(server)
            answer = await client.attempt(READ, seconds=5.0)
            await client.aclose()
        assert answer.body == b'{"a":1}'

    async def test_a_gzip_bomb_is_not_unpacked_beyond_the_bound(self) -> None:
        bomb = gzip.compress(b"\0" * (4 * http.BODY_LIMIT))
        answer = await get(reply(bomb, headers="Content-Encoding: gzip\r\n"))
        assert isinstance(answer.flaw, ResponseTooLargeError)
        assert answer.flaw.limit == http.BODY_LIMIT
        assert answer.body == b""
        assert not answer.succeeded

    async def test_a_body_that_is_no_gzip_is_no_answer(self) -> None:
        data = reply(b"no gzip at all", headers="Content-Encoding: gzip\r\n")
        assert await fail(always(data)) is Failure.TRUNCATED

    async def test_an_unfinished_body_s_connection_is_not_used_again(self) -> None:
        bomb = gzip.compress(b"\0" * (4 * http.BODY_LIMIT))
        large = reply(bomb, headers="Content-Encoding: gzip\r\n")
        async with RawServer(in_turn(large, reply(b'{"id": "2"}'))) as server:
            client = client_for(server)
            await client.attempt(DETACH, seconds=5.0)
            answer = await client.attempt(DETACH, seconds=5.0)
            await client.aclose()
        assert answer.body == b'{"id": "2"}'


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(raise_for_status=True) as shared:
        yield shared


class TestSession:
    async def test_of_a_session_nothing_but_what_is_public_is_needed(
        self, session: aiohttp.ClientSession
    ) -> None:
        class Public:
            connector, trace_configs = session.connector, session.trace_configs
            request = staticmethod(session.request)

        async with RawServer(always(reply())) as server:
            client = client_for(server, cast("aiohttp.ClientSession", Public()))
            assert (await client.attempt(DETACH, seconds=5.0)).status == 200

    async def test_an_injected_session_repeats_nothing_either(
        self, session: aiohttp.ClientSession
    ) -> None:
        async with RawServer(in_turn(None, reply())) as server:
            client = client_for(server, session)
            with pytest.raises(AttemptFailedError):
                await client.attempt(DETACH, seconds=5.0)
            assert len(server.requests) == 1

    async def test_a_path_below_the_base_url_is_kept(self) -> None:
        async with RawServer(always(reply())) as server:
            client = client_for(f"{server.url}/proxy/intercom")
            await client.attempt(wire.detach("1?x=1", "2", "7"), seconds=5.0)
            await client.aclose()
            head = server.requests[0]
        assert head.startswith(b"DELETE /proxy/intercom/conversations/1%3Fx%3D1/customers/2 HTTP")

    def test_another_event_loop_gets_a_clear_error(self) -> None:
        client = client_for("http://127.0.0.1:1")

        async def use() -> None:
            client.ready()

        async def close() -> None:
            await client.aclose()

        with asyncio.Runner() as first:
            first.run(use())
            with asyncio.Runner() as second, pytest.raises(ClientStateError, match="loop"):
                second.run(use())
            first.run(close())

    async def test_a_forked_process_gets_a_clear_error(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = client_for("http://127.0.0.1:1")
        client.ready()
        monkeypatch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(ClientStateError, match="process"):
            client.ready()
        await client.aclose()
