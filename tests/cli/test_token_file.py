"""A token from a file is read as it was meant, or refused in one sentence."""

from pathlib import Path

import pytest

from intercom_async.client import TOKEN_VARIABLE
from intercom_async.simulator import IntercomSimulator
from tests.cli.conftest import Command

TOKEN = "dG9rOmEtdG9rZW4tb2YtdGVzdHM="


@pytest.mark.parametrize(
    "data",
    [
        f"\r\n {TOKEN} \r\n\r\n".encode(),
        f"{TOKEN}\r\n".encode("utf-16"),
        b"\xfe\xff" + f"'{TOKEN}'\r\n".encode("utf-16-be"),
        f'" {TOKEN} "\r\n'.encode("utf-8-sig"),
    ],
)
def test_a_token_is_sent_whatever_an_editor_puts_around_it(
    data: bytes, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "another")
    file = tmp_path / "token"
    file.write_bytes(data)
    with IntercomSimulator(token=TOKEN) as simulator:
        ended = command("whoami", "--token-file", file, "--base-url", simulator.url)
    assert ended.status == 0


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf \r\n",
        b'""\n',
        f"{TOKEN}\n{TOKEN}\n".encode(),
        TOKEN.encode() + b"\xff",
        b"\xff\xfe" + TOKEN.encode("utf-16-le") + b"x",
        TOKEN.encode("utf-16-le"),
        TOKEN.encode() * 500,
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(
    data: bytes, command: Command, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_bytes(data)
    ended = command("whoami", "--token-file", file)
    assert ended.status == 2
    assert "--token-file must be a text file with only the token, not '/" in ended.err
    assert TOKEN not in ended.err
