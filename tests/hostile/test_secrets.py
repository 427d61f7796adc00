"""The token is nowhere: not in what is raised, logged, told, shown, pickled or written."""

import io
import logging
import pickle
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
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

TOKEN = "dG9rOm1hcmtlZC/zZWNy+XQrKw=="
"""In the form of Intercom's own, which is base64."""

MARK = "dG9rOm1hcmtlZC"
"""What is searched for: the part of it that no encoding touches."""


def quote_all(text: str) -> str:
    return "".join(f"%{ord(char):02X}" for char in text)


TWICE = RetryPolicy(attempts=2, backoff=0.0)
# In which other ways it may be written is the business of test_hiding.
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
    Hostile("echo_every_character", error("401 X", message=quote_all(TOKEN))),
)


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


@attrs.define
class Seen:
    """All that came of some calls and a run."""

    texts: list[str] = attrs.field(factory=list[str])
    objects: list[object] = attrs.field(factory=list[object])
    written: list[str] = attrs.field(factory=list[str])

    def add(self, what: object) -> None:
        self.objects.append(what)
        self.texts.append(repr(what))
        raised = getattr(what, "error", what)
        if isinstance(raised, BaseException):
            self.texts += texts_of(raised)


async def use(client: IntercomClient, path: Path | None) -> Seen:
    """Make calls and a run, with a journal or without; return what came of them."""
    seen = Seen()
    try:
        seen.add(await client.detach_contact("1295", "5ba682d2", admin_id="5017690"))
    except IntercomError as raised:
        seen.add(raised)
    try:
        seen.add(await client.whoami())
    except IntercomError as raised:
        seen.add(raised)
    pairs = [("1295", "5ba682d2"), ("1296", "5ba682d3")]
    async with client.detach_contacts(
        pairs, admin_id="5017690", journal=path, outage_patience=30.0
    ) as run:
        async for result in run:
            seen.add(result)
            if path is not None and result.outcome is not Outcome.NOT_ATTEMPTED:
                seen.written += files_of(path)
    for what in (run, vars(run), run.summary, client, vars(client), vars(client._transport)):
        seen.add(what)
    seen.add(client.rate_limit)
    seen.add(client._transport.http)
    seen.texts.append(repr(client._transport.http._session))
    return seen


def files_of(path: Path) -> list[str]:
    """What a journal has on the disk while a run goes on: the fate just told is in its log."""
    files = sorted(path.parent.glob(f"{path.name}*"))
    assert files[-1].name == f"{path.name}-wal"
    return [file.read_bytes().decode("latin-1") for file in files]


def made_of(path: Path) -> list[str]:
    """A journal, its exports and its reports, the page last."""
    table, lines = path.with_suffix(".csv"), path.with_suffix(".jsonl")
    export(ExportOptions(journal=str(path), as_csv=True, output=table))
    export(ExportOptions(journal=str(path), as_json_lines=True, output=lines))
    with reader.open(path) as journal:
        facts = gather(journal)
    files = [file.read_bytes().decode("latin-1") for file in (path, table, lines)]
    console = Console()
    with console.capture() as shown:
        show(console, facts)
    return [*files, shown.get(), page(facts)]


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("hostile", ECHOES, ids=lambda each: each.name)
async def test_a_token_that_is_echoed_is_in_nothing_that_anybody_can_see(
    hostile: Hostile, ears: Ears, tmp_path: Path
) -> None:
    events: list[object] = []
    path = tmp_path / "journal"
    async with (
        HostileServer(hostile, tells_who=True) as server,
        IntercomClient(
            TOKEN,
            base_url=server.url,
            timeout=0.3,
            retry=TWICE,
            observer=events.append,
        ) as client,
    ):
        seen = await use(client, path)
        assert seen.written  # of the journal, read while the run went on
        written = [*seen.written, *made_of(path)]
        assert TOKEN.encode() in server.requests[0]
        # Neither in what is left behind, however deep, except for the object that sends it.
        assert holders_of(MARK, client, *seen.objects, known=(Http, Secret)) == []
    for text in [*seen.texts, *written, repr(events), ears.heard.getvalue()]:
        assert MARK not in text
    assert "<script>alert" not in written[-1]
    written[-1].encode()
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nor_when_no_connection_can_be_made(
    scheme: str, named: bool, ears: Ears, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    events: list[object] = []
    path = tmp_path / "journal"
    async with IntercomClient(
        TOKEN,
        base_url=f"{scheme}://127.0.0.1:{port}",
        timeout=0.3,
        retry=TWICE,
        observer=events.append,
    ) as client:
        seen = await use(client, path if named else None)
        assert holders_of(MARK, client, *seen.objects, *events, known=(Http, Secret)) == []
    assert not path.exists()  # a journal begins when it is known whose run it is
    for text in [*seen.texts, repr(events), ears.heard.getvalue()]:
        assert MARK not in text


def test_the_search_finds_what_is_hidden_deep() -> None:
    client = IntercomClient(TOKEN)
    assert holders_of(MARK, client, known=(Http,)) == []
    assert holders_of(MARK, client) != []  # in its one known place


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_token_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError, match="cannot be pickled") as caught:
        pickle.dumps(Secret(TOKEN), protocol)
    assert not [text for text in texts_of(caught.value) if MARK in text]


async def test_a_token_that_is_a_common_word_changes_no_reply() -> None:
    body = b'{"id": "1", "title": "a token of thanks"}'
    async with (
        RawServer(always(reply(body))) as server,
        IntercomClient("token", base_url=server.url) as client,
    ):
        assert (await client.get_conversation("1")).title == "a token of thanks"
