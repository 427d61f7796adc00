"""TLS and names that fail: nothing is sent, and the error says which of the two it was."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

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
from tests.chaos.accounting import reported_once
from tests.support.raw_server import Listener, RawServer, always, reply

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

TWICE = RetryPolicy(attempts=2, backoff=0.0)
ADMIN = "5017690"
PAIRS = 300
PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def serving(authority: trustme.CA, host: str, *, expired: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, not_after=PAST if expired else None).configure_cert(context)
    return context


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class TestCertificates:
    @pytest.mark.parametrize(
        ("host", "expired", "trusted"),
        [
            pytest.param("127.0.0.1", True, True, id="expired"),
            pytest.param("api.intercom.example", False, True, id="wrong_host"),
            pytest.param("127.0.0.1", False, False, id="untrusted"),
        ],
    )
    @pytest.mark.parametrize("named", [True, False])
    async def test_a_refused_certificate_stops_calls_and_runs_before_anything_is_sent(
        self,
        authority: trustme.CA,
        host: str,
        expired: bool,
        trusted: bool,
        tmp_path: Path,
        named: bool,
    ) -> None:
        context = trusting(authority) if trusted else ssl.create_default_context()
        pairs = [(str(number), "5ba682d2") for number in range(PAIRS)]
        path = tmp_path / "journal" if named else None
        async with (
            RawServer(
                always(reply()), ssl_context=serving(authority, host, expired=expired)
            ) as server,
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
            IntercomClient("token", base_url=server.url, session=session, retry=TWICE) as client,
        ):
            with pytest.raises(CertificateError, match="nothing was sent"):
                await client.detach_contact("1", "2", admin_id=ADMIN)
            async with client.detach_contacts(pairs, admin_id=ADMIN, journal=path) as run:
                reported = reported_once([result async for result in run])
            assert isinstance(run.summary.stopped_by, CertificateError)
            assert server.requests == []
        assert set(reported) == set(pairs)
        # With a journal it is `GET /me` that fails first, and there is nothing to keep.
        assert (Outcome.FAILED in reported.values()) is not named
        assert set(reported.values()) <= {Outcome.FAILED, Outcome.NOT_ATTEMPTED}
        assert not (tmp_path / "journal").exists()


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


class TestNames:
    async def test_a_name_that_does_not_resolve_is_a_connection_that_failed(self) -> None:
        async with IntercomClient(
            "token", base_url="https://intercom.invalid", retry=TWICE
        ) as client:
            with pytest.raises(ConnectionFailedError, match="nothing was changed"):
                await client.detach_contact("1", "2", admin_id=ADMIN)
