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
        token = _token_in(file.read(_LONGEST + 1))
    if token is None:
        raise InvalidArgumentError("--token-file", str(path), "a text file with only the token")
    return token.reveal()


def _token_in(data: bytes) -> Secret | None:
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig").strip().strip("\"'").strip()
    except UnicodeDecodeError:
        return None
    usable = text and text.isprintable() and len(data) <= _LONGEST
    return Secret(text) if usable else None
