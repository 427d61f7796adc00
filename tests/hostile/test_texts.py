"""What a server writes can stand in a log line, a terminal, a journal: short, one line, UTF-8."""

import logging

import pytest

from intercom_async import IntercomClient, IntercomError, RetryPolicy
from intercom_async.errors import readable
from tests.hostile.catalogue import CATALOGUE, Hostile, error
from tests.support.raw_server import RawServer, always

FOREIGN = [
    hostile for hostile in CATALOGUE if hostile.name.startswith(("message_", "header_value"))
]
ONCE = RetryPolicy(attempts=1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("ünïcödé", "ünïcödé"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\ud800", "\\ud800"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("x" * 301, "x" * 299 + "…"),
    ],
)
def test_foreign_text_is_shown_on_one_short_line(text: str, shown: str) -> None:
    assert readable(text) == shown


@pytest.mark.asyncio(loop_factories=["driven"])
@pytest.mark.parametrize("hostile", FOREIGN, ids=lambda hostile: hostile.name)
async def test_errors_and_log_lines_are_short_printable_text(
    hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lines: list[str] = []
    async with (
        RawServer(always(hostile.data)) as server,
        IntercomClient(
            "token",
            base_url=server.url,
            retry=ONCE,
            observer=lambda event: lines.append(str(event)),
        ) as client,
    ):
        try:
            await client.detach_contact("1295", "5ba682d2", admin_id="5017690")
        except IntercomError as raised:
            lines.append(str(raised))
            request_id = getattr(raised, "request_id", None)
            assert request_id is None or request_id.isprintable()
    lines += [record.getMessage() for record in caplog.records]
    assert lines
    for line in lines:
        assert line.isprintable()
        assert len(line) < 2000


async def test_an_error_keeps_no_megabytes() -> None:
    data = error("500 X", message="m" * 1_000_000)
    async with (
        RawServer(always(data)) as server,
        IntercomClient("token", base_url=server.url, retry=ONCE) as client,
    ):
        with pytest.raises(IntercomError) as caught:
            await client.get_conversation("1295")
    assert len(repr(vars(caught.value))) < 100_000
