"""Exactly one attempt: what aiohttp would do on its own, and what broken servers do."""

import asyncio
import gzip
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

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
SHORT = b"HTTP/1.1 %s\r\nContent-Length: 100\r\n\r\n{"
BOMB = reply(gzip.compress(b"\0" * (4 * http.BODY_LIMIT)), headers="Content-Encoding: gzip\r\n")


@pytest.fixture(autouse=True, params=[True, False], ids=["straight", "by the session"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send straight to the connector, and as with an aiohttp that is not tried, or is watched."""
    monkeypatch.setattr(http, "_STRAIGHT", request.param)


def client_for(url: str) -> Http:
    headers = {"Accept": "application/json"}
    return Http(base_url=url, token=Secret(TOKEN), headers=headers, session=None, runtime=SYSTEM)


@asynccontextmanager
async def serving(script: Script) -> AsyncGenerator[tuple[RawServer, Http]]:
    async with RawServer(script) as server:
        client = client_for(server.url)
        yield server, client
        await client.aclose()


async def fail(script: Script, request: wire.Request = DETACH) -> Failure:
    """Make one attempt that must fail without a reply, and check that it was only one."""
    async with serving(script) as (server, client):
        with pytest.raises(AttemptFailedError) as caught:
            await client.attempt(request, seconds=5.0)
        assert len(server.requests) == 1
    assert TOKEN not in repr(caught.value)
    return caught.value.failure


async def answer(*data: bytes, request: wire.Request = DETACH) -> wire.Reply:
    """Make an attempt for each of the replies, and return the last one."""
    async with serving(in_turn(*data)) as (server, client):
        replies = [await client.attempt(request, seconds=5.0) for _ in data]
        assert len(server.requests) == len(data)
    return replies[-1]


def closing(data: bytes) -> Script:
    async def script(_: int, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()

    return script


class TestOneAttempt:
    async def test_a_lost_connection_is_not_answered_by_a_silent_second_request(self) -> None:
        # aiohttp alone sends the DELETE again here, and reports the second answer.
        assert await fail(in_turn(None, reply())) is Failure.DISCONNECTED

        async def reset(_: int, writer: asyncio.StreamWriter) -> None:
            writer.transport.abort()

        assert await fail(reset) is Failure.DISCONNECTED

    async def test_nor_on_a_kept_alive_connection_that_died(self) -> None:
        async with serving(in_turn(reply(), None, reply())) as (server, client):
            await client.attempt(DETACH, seconds=5.0)
            with pytest.raises(AttemptFailedError) as caught:
                await client.attempt(DETACH, seconds=5.0)
            assert len(server.requests) == 2
        assert caught.value.failure is Failure.DISCONNECTED

    @pytest.mark.parametrize(
        ("asked", "length"),
        [
            (DETACH, 22),
            (wire.Request("POST", "/tags"), 0),
            (wire.Request("PUT", "/a", b"12"), 2),
            (READ, None),
        ],
    )
    async def test_a_request_is_sent_with_one_host_and_one_length(
        self, asked: wire.Request, length: int | None
    ) -> None:
        async with serving(always(reply())) as (server, client):
            await client.attempt(asked, seconds=5.0)
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        assert lines[0] == f"{asked.method} {asked.path} http/1.1".lower()
        assert lines.count(f"host: {server.url.removeprefix('http://')}") == 1
        lengths = [line for line in lines if line.startswith("content-length")]
        assert lengths == ([] if length is None else [f"content-length: {length}"])
        assert ("content-type: application/json" in lines) is (asked.body is not None)
        assert body == (asked.body or b"")

    async def test_hints_that_come_before_the_answer_are_left_out(self) -> None:
        hints = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        assert (await answer(hints + reply(b'{"id": "7"}'))).body == b'{"id": "7"}'


class TestFailures:
    async def test_nothing_listening_means_nothing_sent(self) -> None:
        client = client_for("http://127.0.0.1:9")
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
        assert await fail(closing(data)) in {Failure.UNREADABLE, Failure.DISCONNECTED}


class TestBodies:
    @pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found", b"422 Unprocessable"])
    @pytest.mark.parametrize("request_", [DETACH, READ], ids=["write", "read"])
    async def test_a_reply_whose_body_was_cut_off_is_no_answer(
        self, status: bytes, request_: wire.Request
    ) -> None:
        assert await fail(closing(SHORT % status), request_) is Failure.TRUNCATED

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_nor_is_one_whose_body_never_ends(self) -> None:
        async def drip(_: int, writer: asyncio.StreamWriter) -> None:
            writer.write(SHORT % b"200 OK")
            await asyncio.sleep(3600)

        assert await fail(drip) is Failure.TRUNCATED

    async def test_nor_is_one_whose_body_is_not_compressed_as_it_says(self) -> None:
        data = reply(b"no gzip at all", headers="Content-Encoding: gzip\r\n")
        assert await fail(always(data)) is Failure.TRUNCATED

    async def test_a_body_in_many_pieces_is_put_together(self) -> None:
        async def pieces(_: int, writer: asyncio.StreamWriter) -> None:
            for piece in (b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{"a', b'":', b"1", b"}"):
                writer.write(piece)
                await asyncio.sleep(0)

        async with serving(pieces) as (_, client):
            assert (await client.attempt(READ, seconds=5.0)).body == b'{"a":1}'

    async def test_a_gzip_bomb_is_not_unpacked_beyond_the_bound(self) -> None:
        found = await answer(BOMB)
        assert isinstance(found.flaw, ResponseTooLargeError)
        assert found.flaw.limit == http.BODY_LIMIT
        assert found.body == b""
        assert not found.succeeded

    async def test_an_unfinished_body_s_connection_is_not_used_again(self) -> None:
        assert (await answer(BOMB, reply(b'{"id": "2"}'))).body == b'{"id": "2"}'


async def test_a_forked_process_gets_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_for("http://127.0.0.1:1")
    client.ready()
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(ClientStateError, match="process"):
        client.ready()
    await client.aclose()
