"""What a server writes can stand in a log line, a terminal, a journal: short, one line, UTF-8."""

import pytest

from intercom_async.errors import readable


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
