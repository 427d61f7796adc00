"""Reading an access token from a file, as editors and shells write it."""

import codecs
from pathlib import Path
from typing import Final

from intercom_async.errors import InvalidArgumentError
from intercom_async.secret import Secret

_LONGEST: Final = 4096  # bytes; a longer file is no token file


def read_token(path: Path) -> str:
    """Return the token in a file, without quotes around it; no error shows any of it."""
    with path.open("rb") as file:
        token = _token_of(file.read(_LONGEST + 1))
    if isinstance(token, Secret):
        return token.reveal()
    expected = "a file that holds only the token"
    raise InvalidArgumentError("--token-file", str(path), expected, seen=token)


def _token_of(data: bytes) -> Secret | str:
    if len(data) > _LONGEST:
        return "is too long"
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig").strip()
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    for quote in ('"', "'"):
        if len(text) > 1 and text.startswith(quote) and text.endswith(quote):
            text = text[1:-1].strip()
    if not text:
        return "is empty"
    if len(text.splitlines()) > 1:
        return "has more than one line"
    return Secret(text) if text.isprintable() else "is not plain text"
