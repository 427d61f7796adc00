"""The token is nowhere: not in what is raised, logged, told, shown, pickled or written."""

import logging
import pickle
import stat
import sys
from collections.abc import Awaitable
from pathlib import Path

import pytest
from rich.console import Console

from intercom_async import IntercomClient, IntercomError, Outcome, RetryPolicy
from intercom_async.cli.export import ExportOptions, export
from intercom_async.cli.report.page import page
from intercom_async.cli.report.queries import gather
from intercom_async.cli.report.terminal import show
from intercom_async.journal import reader
from intercom_async.secret import Secret
from intercom_async.transport.http import Http
from tests.hostile.catalogue import Hostile, error, http
from tests.hostile.serving import HostileServer
from tests.support.raw_server import RawServer, always, reply
from tests.support.secret_search import holders_of, texts_of

driven = pytest.mark.asyncio(loop_factories=["driven"])

TOKEN = "dG9rOm1hcmtlZC/zZWNy+XQrKw=="
"""In the form of Intercom's own, which is base64."""

RAW = TOKEN.encode()
MARK = "dG9rOm1hcmtlZC"
"""What is searched for: the part of it that no encoding touches."""

# In which other ways it may be written is the business of test_hiding.
ECHOES = {
    "message_401": error("401 X", message=f"Access token {TOKEN} is invalid"),
    "message_500": error("500 X", message=f"Authorization: Bearer {TOKEN}"),
    "code": error("422 X", code=TOKEN),
    "html": http(b"<h1>Bearer " + RAW + b"</h1>"),
    "request_id": http(b"", f"X-Request-Id: {TOKEN}", status="500 X"),
    "status_line": b"HTTP/1.1 " + RAW + b"\r\n\r\n",
    "reason": http(status=f"500 {TOKEN}"),
    "header_name": b"HTTP/1.1 200 OK\r\n" + RAW + b"\r\n\r\n",
    "request": b"DELETE / HTTP/1.1\r\nAuthorization: Bearer " + RAW + b"\r\n\r\n",
    "chunk": http(RAW + b"\r\n", "Transfer-Encoding: chunked", length=False),
    "encoding": http(b"{}", f"Content-Encoding: {TOKEN}"),
    "length": http(b"{}", f"Content-Length: {TOKEN}", length=False),
    "location": http(b"", f"Location: /{TOKEN}", status="301 M"),
    "retry_after": error("503 X", f"Retry-After: {TOKEN}"),
}


async def outcome_of(call: Awaitable[object]) -> object:
    try:
        return await call
    except IntercomError as raised:
        return raised


async def use(url: str, path: Path) -> tuple[list[object], list[str]]:
    """Make calls and a run; return all that came of them, and what its files held meanwhile."""
    files: list[str] = []
    events: list[object] = []
    async with IntercomClient(
        TOKEN,
        base_url=url,
        timeout=0.3,
        retry=RetryPolicy(attempts=2, backoff=0.0),
        observer=events.append,
    ) as client:
        seen = [
            await outcome_of(client.detach_contact("1295", "5ba682d2", admin_id="5017690")),
            await outcome_of(client.whoami()),
        ]
        pairs = [("1295", "5ba682d2"), ("1296", "5ba682d3")]
        async with client.detach_contacts(
            pairs, admin_id="5017690", journal=path, outage_patience=30.0
        ) as run:
            async for result in run:
                seen += [result, result.error]
                if result.outcome is not Outcome.NOT_ATTEMPTED:  # its fate is on the disk
                    files += [each.read_text("latin-1") for each in path.parent.iterdir()]
        seen += [run, vars(run), run.summary, client, vars(client), vars(client._transport)]
        seen += [client.rate_limit, client._transport.http, *events]
        # Nor is it in what is left behind, however deep, except for the object that sends it.
        assert holders_of(MARK, *seen, known=(Http, Secret)) == []
        return [*seen, repr(client._transport.http._session)], files


def made_of(path: Path) -> list[str]:
    """A journal, its exports and its reports."""
    table, lines = path.with_suffix(".csv"), path.with_suffix(".jsonl")
    export(ExportOptions(journal=str(path), as_csv=True, output=table))
    export(ExportOptions(journal=str(path), as_json_lines=True, output=lines))
    with reader.open(path) as journal:
        facts = gather(journal)
    console = Console()
    with console.capture() as shown:
        show(console, facts)
    return [*(file.read_text("latin-1") for file in (path, table, lines)), shown.get(), page(facts)]


def not_in(texts: list[str], seen: list[object], log: pytest.LogCaptureFixture) -> None:
    for each in seen:
        texts += texts_of(each) if isinstance(each, BaseException) else [repr(each)]
    texts += [log.text, *(repr(vars(record)) for record in log.records)]
    assert not [text for text in texts if MARK in text]


@driven
@pytest.mark.parametrize("echo", ECHOES)
async def test_a_token_that_is_echoed_is_in_nothing_that_anybody_can_see(
    echo: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "journal"
    async with HostileServer(Hostile(echo, ECHOES[echo]), tells_who=True) as server:
        seen, files = await use(server.url, path)
        assert RAW in server.requests[0]
    assert files
    not_in([*files, *made_of(path)], seen, caplog)
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@driven
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nor_when_no_connection_can_be_made(
    scheme: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    async with RawServer(always(reply())) as gone:
        pass
    seen, _ = await use(f"{scheme}://127.0.0.1:{gone.port}", tmp_path / "journal")
    assert not (tmp_path / "journal").exists()  # it begins when it is known whose run it is
    not_in([], seen, caplog)


def test_the_search_finds_what_is_hidden_deep() -> None:
    client = IntercomClient(TOKEN)
    assert holders_of(MARK, client, known=(Http,)) == []
    assert holders_of(MARK, client) != []  # in its one known place


def test_a_token_is_not_pickled() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled") as caught:
            pickle.dumps(Secret(TOKEN), protocol)
        assert not [text for text in texts_of(caught.value) if MARK in text]
