"""The way to Intercom: proxies, authorities and sessions, given or from the environment."""

import asyncio
import base64
import ssl
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from yarl import URL

from intercom_async import (
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    IntercomClient,
    IntercomPool,
    InvalidArgumentError,
    RetryPolicy,
)
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.leftovers import holds_nothing, nothing_left_behind
from tests.support.proxy import Proxy
from tests.support.raw_server import RawServer

TOKEN = "marked-token-value"
HOST = "api.intercom.io"
ONCE = RetryPolicy(attempts=1)
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, authority: trustme.CA, tmp_path: Path
) -> pytest.MonkeyPatch:
    """An environment with one authority, ours, and without a proxy."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    authority.cert_pem.write_to_path(tmp_path / "authorities.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authorities.pem"))
    return monkeypatch


@pytest.fixture
async def sim(authority: trustme.CA) -> AsyncIterator[IntercomSimulator]:
    """Intercom itself, for whoever gets there by the proxy."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST, "127.0.0.1").configure_cert(context)
    async with IntercomSimulator(token=TOKEN, ssl_context=context) as simulator:
        yield simulator


@pytest.fixture
async def proxy(sim: IntercomSimulator) -> AsyncIterator[Proxy]:
    async with Proxy("dXNlcjp3", port=URL(sim.url).port) as opened:
        yield opened


def named(proxy: Proxy) -> str:
    return proxy.url.replace("//", "//user:w@")


def shown(error: BaseException) -> str:
    captured = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(line for line in captured.format() if "test_network.py" not in line)


class TestProxies:
    async def test_a_proxy_carries_a_tunnel_and_sees_no_token(self, proxy: Proxy) -> None:
        async with nothing_left_behind(), IntercomClient(TOKEN, proxy=named(proxy)) as client:
            assert (await client.whoami()).id == "5017690"
        assert proxy.requested == [("CONNECT", f"{HOST}:443")]
        assert base64.b64encode(b"user:w") in proxy.received
        assert TOKEN.encode() not in proxy.received
        assert b"earer" not in proxy.received

    @pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
    async def test_the_environment_names_one_with_or_without_a_scheme(
        self, proxy: Proxy, environment: pytest.MonkeyPatch, variable: str
    ) -> None:
        environment.setenv(variable, named(proxy).removeprefix("http://"))
        async with IntercomClient(TOKEN) as client, IntercomPool({"acme": TOKEN}) as pool:
            await client.whoami()
            async with pool.client("acme") as lent:
                await lent.whoami()
        assert proxy.requested == [("CONNECT", f"{HOST}:443")] * 2

    @pytest.mark.parametrize(
        ("named_so", "exempt"),
        [(" ", ""), (None, "api.intercom.invalid"), (None, "a.b, .invalid"), (None, "*")],
    )
    async def test_a_blank_variable_names_none_and_no_proxy_exempts_hosts_and_domains(
        self, proxy: Proxy, environment: pytest.MonkeyPatch, named_so: str | None, exempt: str
    ) -> None:
        environment.setenv("HTTPS_PROXY", named_so or named(proxy))
        environment.setenv("NO_PROXY", exempt)
        url = "https://api.intercom.invalid"
        async with IntercomClient(TOKEN, base_url=url, retry=ONCE) as client:
            with pytest.raises(ConnectionFailedError) as raised:
                await client.whoami()
        assert "proxy" not in str(raised.value)
        assert proxy.requested == []

    async def test_loopback_needs_no_proxy_of_the_environment(
        self, proxy: Proxy, sim: IntercomSimulator, environment: pytest.MonkeyPatch
    ) -> None:
        for variable in VARIABLES[:3]:
            environment.setenv(variable, named(proxy))
        async with (
            IntercomSimulator() as plain,
            IntercomClient("token", base_url=plain.url) as client,
            IntercomClient(TOKEN, base_url=sim.url) as encrypted,
        ):
            await client.whoami()
            await encrypted.whoami()
        assert proxy.requested == []

    async def test_netrc_is_never_read(
        self, proxy: Proxy, environment: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "netrc"
        netrc.write_text("default login user password w\n")
        netrc.chmod(0o600)
        environment.setenv("NETRC", str(netrc))
        environment.setenv("HTTPS_PROXY", proxy.url)
        async with IntercomClient(TOKEN, retry=ONCE) as client:
            with pytest.raises(ConnectionFailedError, match="Who are you"):
                await client.whoami()

    @pytest.mark.parametrize("gone", [True, False])
    @pytest.mark.parametrize("given_to", ["client", "session"])
    async def test_an_error_names_the_proxy_and_shows_no_password(
        self, proxy: Proxy, gone: bool, given_to: str
    ) -> None:
        place = "http://[::1]:9" if gone else proxy.url
        url = place.replace("//", "//user:hidden-word@")
        async with aiohttp.ClientSession(proxy=url) as session:
            way: Any = {"proxy": url} if given_to == "client" else {"session": session}
            async with IntercomClient(TOKEN, retry=ONCE, **way) as client:
                with pytest.raises(ConnectionFailedError) as raised:
                    await client.detach_contact("1", "2", admin_id="3")
        assert f"through the proxy {place};" in str(raised.value)
        assert "hidden-word" not in shown(raised.value)
        assert TOKEN not in shown(raised.value)

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_a_proxy_that_never_answers_is_named(self) -> None:
        async def silence(_: int, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(3600)

        async with (
            RawServer(silence) as server,
            IntercomClient(TOKEN, proxy=server.url, retry=ONCE, timeout=10.0) as client,
        ):
            with pytest.raises(ConnectionFailedError, match=f"through the proxy {server.url}"):
                await client.whoami()

    @pytest.mark.parametrize(
        "bad", ["", "proxy:3128", "socks5://hidden-word@proxy", "http://", "http://[", 3128]
    )
    async def test_what_is_no_proxy_is_refused_by_name_and_not_shown(
        self, environment: pytest.MonkeyPatch, bad: object
    ) -> None:
        with pytest.raises(InvalidArgumentError, match="proxy must be a URL") as raised:
            IntercomClient(TOKEN, proxy=bad)  # type: ignore[arg-type]  # wrong on purpose
        assert raised.value.value is None
        environment.setenv("HTTPS_PROXY", "socks5://hidden-word@proxy")
        async with IntercomClient(TOKEN, base_url="http://127.0.0.1:9"):
            pass  # loopback
        with pytest.raises(InvalidArgumentError, match="HTTPS_PROXY must be a URL") as raised:
            async with IntercomClient(TOKEN):
                pass
        assert "hidden-word" not in str(raised.value)

    async def test_plain_http_goes_through_no_foreign_proxy(self) -> None:
        url = "http://127.0.0.1:9"
        async with IntercomClient("t", base_url=url, proxy="http://user:w@192.0.2.1:1") as client:
            with pytest.raises(ClientStateError, match=r"plain text .* http://192\.0\.2\.1:1;"):
                await client.whoami()


class TestAuthorities:
    async def test_a_refused_certificate_names_proxy_and_file(
        self, proxy: Proxy, environment: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        environment.setenv("SSL_CERT_FILE", str(other))
        async with IntercomClient(TOKEN, proxy=named(proxy)) as client:
            with pytest.raises(CertificateError, match=f"through the proxy {proxy.url},") as raised:
                await client.whoami()
        assert f"by the authorities in {other};" in str(raised.value)

    @pytest.mark.parametrize("content", [None, "no certificate\n"])
    async def test_a_file_that_is_no_use_is_named(
        self, environment: pytest.MonkeyPatch, tmp_path: Path, content: str | None
    ) -> None:
        file = tmp_path / "nothing.pem"
        if content is not None:
            file.write_text(content)
        environment.setenv("SSL_CERT_FILE", str(file))
        with pytest.raises(ClientStateError, match=f"SSL_CERT_FILE names {file}"):
            await IntercomClient(TOKEN).whoami()


class TestSessions:
    """A session of the application is used as it is, and stays the application's."""

    @pytest.mark.parametrize("given_to", ["client", "session"])
    async def test_it_goes_with_a_proxy_and_is_never_closed(self, given_to: str) -> None:
        headers = {"Authorization": "Bearer other"}
        async with nothing_left_behind(), IntercomSimulator(token=TOKEN) as sim, Proxy() as proxy:
            ours, theirs = (proxy.url if given_to == one else None for one in ("client", "session"))
            async with aiohttp.ClientSession(proxy=theirs, headers=headers) as session:
                async with IntercomClient(
                    TOKEN, base_url=sim.url, session=session, proxy=ours
                ) as client:
                    await client.whoami()
                assert proxy.requested == [("GET", f"{sim.url}/me")]
                assert not session.closed
                async with session.get(sim.url + "/me") as answer:
                    assert answer.status == 401  # its own header, and not ours

    async def test_it_does_not_go_by_the_environment(
        self, proxy: Proxy, sim: IntercomSimulator, environment: pytest.MonkeyPatch
    ) -> None:
        environment.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        context = ssl.create_default_context()
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context), proxy=named(proxy)
            ) as session,
            IntercomClient(TOKEN, session=session) as client,
        ):
            await client.whoami()
        assert proxy.requested == [("CONNECT", f"{HOST}:443")]

    async def test_one_that_the_application_closed_is_named_in_the_error(self) -> None:
        session = aiohttp.ClientSession()
        await session.close()
        async with IntercomClient(TOKEN, session=session) as client:
            with pytest.raises(ClientStateError, match="session"):
                await client.whoami()
            assert holds_nothing(client)

    @pytest.mark.asyncio(loop_factories=["driven"])
    async def test_its_habits_change_no_outcome(self) -> None:
        short = aiohttp.ClientTimeout(total=1e-6)
        async with (
            IntercomSimulator(token=TOKEN) as sim,
            aiohttp.ClientSession(raise_for_status=True, timeout=short) as session,
            IntercomClient(TOKEN, base_url=sim.url, session=session) as client,
        ):
            (pair,) = sim.workspace.populate(conversations=1)
            sim.faults.add(Fault.SERVER_ERROR, times=1)
            await client.detach_contact(*pair, admin_id=sim.admin_id)
            assert sim.applied[pair] == 1

    async def test_certificates_of_somebody_else_are_not_told_to_its_owner(
        self, sim: IntercomSimulator
    ) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        async with (
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session,
            IntercomClient(TOKEN, base_url=sim.url, session=session) as client,
        ):
            with pytest.raises(CertificateError) as raised:
                await client.whoami()
        assert "SSL_CERT_FILE" not in str(raised.value)
