"""A token from a file is read as it was meant, or refused in one sentence."""

import os
from pathlib import Path

import pytest

from intercom_async.cli.token_file import read_token
from intercom_async.client import TOKEN_VARIABLE
from tests.cli.conftest import Command

TOKEN = "dG9rOmEtdG9rZW4tb2YtdGVzdHM="


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


@pytest.mark.parametrize(
    "data",
    [
        TOKEN.encode(),
        f"\r\n {TOKEN} \r\n\r\n".encode(),
        f"{TOKEN}\n".encode("utf-8-sig"),
        f"{TOKEN}\r\n".encode("utf-16"),
        b"\xfe\xff" + f"'{TOKEN}'\r\n".encode("utf-16-be"),
        f'"{TOKEN}"\r\n'.encode("utf-8-sig"),
        f"' {TOKEN} '".encode(),
    ],
)
def test_a_token_is_read_whatever_an_editor_puts_around_it(data: bytes, file: Path) -> None:
    file.write_bytes(data)
    assert read_token(file) == TOKEN


@pytest.mark.parametrize(
    ("data", "seen"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \r\n", "is empty"),
        (b'""\n', "is empty"),
        (f"{TOKEN}\n{TOKEN}\n".encode(), "has more than one line"),
        (TOKEN.encode() + b"\xff", "is not UTF-8 text"),
        (b"\xff\xfe" + TOKEN.encode("utf-16-le") + b"x", "is not UTF-8 text"),
        (b"\x7fELF\x02\x01" + TOKEN.encode(), "is not plain text"),
        (TOKEN.encode("utf-16-le"), "is not plain text"),
        (TOKEN.encode() * 500, "is too long"),
    ],
)
def test_what_is_no_token_is_refused_and_not_shown(
    data: bytes, seen: str, file: Path, command: Command
) -> None:
    file.write_bytes(data)
    ended = command("whoami", "--token-file", file)
    assert ended.status == 2
    assert "--token-file must be a file that holds only the token" in ended.err
    assert ended.err.endswith(f"token' {seen}\n")
    assert TOKEN not in ended.err


def test_a_token_from_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, TOKEN.encode())
    os.close(writing)
    assert read_token(Path(f"/dev/fd/{reading}")) == TOKEN
    os.close(reading)


@pytest.mark.usefixtures("simulator")
def test_the_token_of_a_file_is_the_one_that_is_sent(
    command: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "another")
    file.write_bytes(b'\xef\xbb\xbf"token"\r\n')
    assert command("whoami", "--token-file", file).status == 0
