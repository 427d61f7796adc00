"""TLS and names that fail: nothing is sent, and the error says which of the two it was."""

import asyncio
import datetime as dt
import ssl

import aiohttp
import pytest
import trustme

from intercom_async import (
    CertificateError,
    ConnectionFailedError,
    IntercomClient,
    Outcome,
    RetryPolicy,
)
from tests.support.accounting import reported_once
from tests.support.raw_server import Listener, RawServer, always, reply

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

TWICE = RetryPolicy(attempts=2, backoff=0.0)
ADMIN = "5017690"
PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("host", "ends", "trusted"),
    [
        pytest.param("127.0.0.1", PAST, True, id="expired"),
        pytest.param("api.intercom.example", None, True, id="wrong_host"),
        pytest.param("127.0.0.1", None, False, id="untrusted"),
    ],
)
async def test_a_refused_certificate_stops_calls_and_runs_before_anything_is_sent(
    host: str, ends: dt.datetime | None, trusted: bool
) -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, not_after=ends).configure_cert(serving)
    context = ssl.create_default_context()
    if trusted:
        authority.configure_trust(context)
    pairs = [(str(number), "5ba682d2") for number in range(300)]
    async with (
        RawServer(always(reply()), ssl_context=serving) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
        IntercomClient("token", base_url=server.url, session=session, retry=TWICE) as client,
    ):
        with pytest.raises(CertificateError, match="nothing was sent"):
            await client.detach_contact("1", "2", admin_id=ADMIN)
        async with client.detach_contacts(pairs, admin_id=ADMIN) as run:
            reported = reported_once([result async for result in run])
        assert isinstance(run.summary.stopped_by, CertificateError)
        assert server.requests == []
    assert set(reported) == set(pairs)
    assert set(reported.values()) == {Outcome.FAILED, Outcome.NOT_ATTEMPTED}


class NoTls(Listener):
    """Answers the beginning of a handshake with these bytes; never, if there are none to send."""

    def __init__(self, answer: bytes | None) -> None:
        super().__init__()
        self._answer = answer

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        if self._answer is None:
            await asyncio.sleep(3600)
        else:
            writer.write(self._answer)


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28", None]
)
async def test_a_handshake_that_does_not_succeed_is_a_connection_that_failed(
    answer: bytes | None,
) -> None:
    async with NoTls(answer) as server:
        url = server.url.replace("http:", "https:")
        async with IntercomClient("token", base_url=url, retry=TWICE, timeout=1.0) as client:
            with pytest.raises(ConnectionFailedError, match="nothing was changed"):
                await client.detach_contact("1", "2", admin_id=ADMIN)


async def test_a_name_that_does_not_resolve_is_a_connection_that_failed() -> None:
    async with IntercomClient("token", base_url="https://a.invalid", retry=TWICE) as client:
        with pytest.raises(ConnectionFailedError, match="nothing was changed"):
            await client.detach_contact("1", "2", admin_id=ADMIN)
