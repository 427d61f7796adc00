"""The token is nowhere: not in what is raised, logged, told, shown, pickled or written."""

import asyncio
import io
import logging
import pickle
import socket
import stat
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import intercom_async
from intercom_async import IntercomClient, IntercomError, RetryPolicy
from intercom_async.cli.report.gathering import gather
from intercom_async.cli.report.page import page
from tests.hostile.catalogue import CATALOGUE, Hostile, error, http
from tests.hostile.serving import HostileServer
from tests.support.raw_server import RawServer, always, in_turn, reply

TOKEN = "dG9rOm1hcmtlZC1zZWNyZXQ="
"""In the form of Intercom's own."""

PACKAGE = str(Path(intercom_async.__file__).parent)
ONCE = RetryPolicy(attempts=1)
TWICE = RetryPolicy(attempts=2, backoff=0.0)
ECHO = TOKEN.encode()
ECHOES = (
    Hostile("echo_401", error("401 X", message=f"Access token {TOKEN} is invalid")),
    Hostile("echo_500", error("500 X", message=f"Authorization: Bearer {TOKEN}")),
    Hostile("echo_header", http(b"", f"X-Request-Id: {TOKEN}", status="500 X")),
    Hostile("echo_html", http(b"<h1>Bearer " + TOKEN.encode() + b"</h1>")),
    Hostile("echo_code", error("422 X", code=TOKEN)),
    Hostile("echo_status_line", b"HTTP/1.1 " + TOKEN.encode() + b"\r\n\r\n"),
    Hostile("echo_header_name", b"HTTP/1.1 200 OK\r\n" + TOKEN.encode() + b"\r\n\r\n"),
    Hostile("echo_reason", http(status=f"500 {TOKEN}")),
    Hostile(
        "echo_request",
        b"DELETE / HTTP/1.1\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n",
    ),
    Hostile(
        "echo_chunk", http(TOKEN.encode() + b"\r\n", "Transfer-Encoding: chunked", length=False)
    ),
    Hostile("echo_encoding", http(b"{}", f"Content-Encoding: {TOKEN}")),
    Hostile("echo_length", http(b"{}", f"Content-Length: {TOKEN}", length=False)),
    Hostile("echo_location", http(b"", f"Location: /{TOKEN}", status="301 M")),
    Hostile("echo_retry_after", error("503 X", f"Retry-After: {TOKEN}")),
)
SMALL = tuple(each for each in CATALOGUE if not each.endless and len(each.data) < 50_000)


def texts_of(raised: BaseException) -> Iterator[str]:
    """Everything an exception could show to anybody, its causes and contexts included."""
    seen: set[int] = set()
    queue: list[BaseException | None] = [raised]
    while queue:
        each = queue.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        queue += [each.__cause__, each.__context__]
        yield repr(each)
        yield str(each)
        yield repr(each.args)
        yield repr(vars(each))
        shown = traceback.TracebackException.from_exception(each, capture_locals=True)
        for frame in shown.stack:
            if frame.filename.startswith(PACKAGE) or "aiohttp" in frame.filename:
                yield repr(frame.locals)
        yield "".join(traceback.format_exception(each))
    yield repr(pickle.dumps(raised))


class Ears(logging.Handler):
    """Hears every record of every logger, formatted as applications do."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard = io.StringIO()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.write(logging.Formatter("%(name)s %(message)s").format(record))
        self.heard.write(repr(record.args) + repr(vars(record)))


@pytest.fixture
def ears() -> Iterator[Ears]:
    handler, root = Ears(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


async def everything_said(client: IntercomClient, path: Path) -> list[str]:
    """Make calls and a run; return all texts that came of them."""
    said: list[str] = []
    results: list[Any] = []
    try:
        said.append(repr(await client.detach_contact("1295", "5ba682d2", admin_id="5017690")))
    except IntercomError as raised:
        said += texts_of(raised)
    try:
        said.append(repr(await client.whoami()))
    except IntercomError as raised:
        said += texts_of(raised)
    pairs = [("1295", "5ba682d2"), ("1296", "5ba682d3")]
    async with client.detach_contacts(pairs, admin_id="5017690", journal=path) as run:
        async for result in run:
            results.append(result)
            said.append(repr(result))
            if result.error is not None:
                said += texts_of(result.error)
    said.append(repr((run, run.summary, client, vars(client), client.rate_limit)))
    said.append(repr([vars(client._transport), client._http, client._http._session]))
    return [*said, *everything_written(path)]


def everything_written(path: Path) -> list[str]:
    """The journal and the report made of it."""
    return [path.read_text(), page(gather(path))]


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("hostile", [*ECHOES, *SMALL[::3]], ids=lambda each: each.name)
async def test_the_token_is_in_nothing_that_anybody_can_see(
    hostile: Hostile, ears: Ears, tmp_path: Path
) -> None:
    events: list[object] = []
    async with (
        HostileServer(hostile) as server,
        IntercomClient(
            TOKEN, base_url=server.url, timeout=0.3, retry=TWICE, observer=events.append
        ) as client,
    ):
        said = await everything_said(client, tmp_path / "journal")
        assert TOKEN.encode() in server.requests[0]
    for text in [*said, ears.heard.getvalue(), repr(events)]:
        assert TOKEN not in text
    assert "<script>alert" not in said[-1]
    said[-1].encode()
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nor_when_no_connection_can_be_made(scheme: str, ears: Ears, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with IntercomClient(
        TOKEN, base_url=f"{scheme}://127.0.0.1:{port}", timeout=0.3, retry=TWICE
    ) as client:
        said = await everything_said(client, tmp_path / "journal")
    for text in [*said, ears.heard.getvalue()]:
        assert TOKEN not in text


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_no_request_leaves_for_another_origin(status: int) -> None:
    async with RawServer(always(reply())) as other:
        lines = f"Location: {other.url}/me\r\nRefresh: 0; url={other.url}\r\n"
        moved = reply(status=f"{status} Moved", headers=lines)
        async with (
            RawServer(always(moved)) as server,
            IntercomClient(TOKEN, base_url=server.url, retry=ONCE) as client,
        ):
            with pytest.raises(intercom_async.RedirectError):
                await client.detach_contact("1", "2", admin_id="3")
            assert len(server.requests) == 1
        assert other.requests == []


async def test_no_cookie_of_one_workspace_is_sent_with_the_token_of_another() -> None:
    cookie = reply(headers="Set-Cookie: session=first; Path=/\r\n")
    async with (
        RawServer(in_turn(cookie, reply())) as server,
        IntercomClient("first", base_url=server.url) as first,
        IntercomClient("second", base_url=server.url) as second,
    ):
        await first.detach_contact("1", "2", admin_id="3")
        await second.detach_contact("1", "2", admin_id="3")
        await first.detach_contact("1", "3", admin_id="3")
        assert not [each for each in server.requests if b"session=first" in each]


@pytest.mark.parametrize("host", ["api.intercom.io", "127.0.0.1.example", "[::2]", "127.1.example"])
def test_no_token_goes_over_plain_http_to_a_foreign_host(host: str) -> None:
    with pytest.raises(intercom_async.InvalidArgumentError) as caught:
        IntercomClient(TOKEN, base_url=f"http://{host}")
    shown = [repr(caught.value), str(caught.value), repr(vars(caught.value))]
    assert not [text for text in shown if TOKEN in text]


@pytest.mark.parametrize("token", [TOKEN + "\n", f"Bearer {TOKEN}", f'"{TOKEN} "', "ü" + TOKEN])
def test_a_token_that_cannot_be_used_is_not_shown(token: str) -> None:
    with pytest.raises(intercom_async.InvalidArgumentError) as caught:
        IntercomClient(token)
    shown = [repr(caught.value), str(caught.value), repr(vars(caught.value))]
    assert not [text for text in shown if TOKEN in text]


async def test_a_cancelled_call_shows_no_token_either() -> None:
    async def silence(_: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(3600)

    async with (
        RawServer(silence) as server,
        aiohttp.ClientSession() as session,
        IntercomClient(TOKEN, base_url=server.url, session=session) as client,
    ):
        call = asyncio.create_task(client.detach_contact("1", "2", admin_id="3"))
        await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await call
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


async def test_a_token_that_is_a_common_word_changes_no_reply() -> None:
    body = b'{"id": "1", "title": "a token of thanks"}'
    async with (
        RawServer(always(reply(body))) as server,
        IntercomClient("token", base_url=server.url) as client,
    ):
        assert (await client.get_conversation("1")).title == "a token of thanks"
