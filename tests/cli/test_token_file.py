"""A token from a file is read as it was meant, or refused in one sentence."""

from pathlib import Path

import pytest

from tests.cli.conftest import Shell, serving

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
def test_a_token_is_sent_whatever_an_editor_puts_around_it(data: bytes, shell: Shell) -> None:
    Path("token.txt").write_bytes(data)
    with serving(token=TOKEN) as simulator:  # the environment holds another one
        shell(f"whoami --token-file token.txt --base-url {simulator.url}")


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
def test_what_is_no_token_is_refused_and_not_shown(data: bytes, shell: Shell) -> None:
    Path("token.txt").write_bytes(data)
    said = shell("whoami --token-file token.txt", 2).err
    assert "--token-file must be a text file with only the token, not 'token.txt'" in said
    assert TOKEN not in said
