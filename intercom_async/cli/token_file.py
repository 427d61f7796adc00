"""An access token from a file, as editors and shells write one."""

import codecs
from pathlib import Path
from typing import Final

from intercom_async.errors import InvalidArgumentError
from intercom_async.secret import Secret

_LONGEST: Final = 4096
"""Bytes; a longer file is another one."""


def read_token(path: Path) -> str:
    """Return the token that a file holds, without quotes around it; no message shows any of it."""
    with path.open("rb") as file:
        found = _token_of(file.read(_LONGEST + 1))
    if isinstance(found, Secret):
        return found.reveal()
    expected = "a file with nothing but the token in it"
    raise InvalidArgumentError("--token-file", str(path), expected, seen=found)


def _token_of(data: bytes) -> Secret | str:
    """Return the token, or what is wrong with the file."""
    if len(data) > _LONGEST:
        return "is too long"
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig").strip()
    except UnicodeDecodeError:
        return "is no text in UTF-8"
    for quote in ('"', "'"):
        if len(text) > 1 and text.startswith(quote) and text.endswith(quote):
            text = text[1:-1].strip()
    if not text:
        return "is empty"
    if len(text.splitlines()) > 1:
        return "has more than one line"
    return Secret(text) if text.isprintable() else "is no text"
