"""Servers may say what they were told: proxies' error pages do, and repeat the token."""

import re
from typing import Final

from intercom_async.secret import Secret

HIDDEN: Final = "[token]"
"""What stands for the token in replies that repeat it."""

SHORTEST: Final = 16
"""Characters below which a token is a test's, and likely a word that replies use too."""


class Hiding:
    """Takes one token out of what others say, as it is or as JSON, URLs and HTML write it.

    Args:
        token: what to hide.
    """

    def __init__(self, token: Secret) -> None:
        self._active = len(token.reveal()) >= SHORTEST
        # Looked for at first, because it is quickly found to be absent: encodings touch only what
        # is between such parts.
        self._part = max(re.findall(r"[A-Za-z0-9]+", token.reveal()), key=len, default="")
        self._part_bytes = self._part.encode()
        padded = map(_encodings, token.reveal().rstrip("="))
        self._pattern = re.compile(f"{''.join(padded)}(?:{_encodings('=')})*")
        self._pattern_bytes = re.compile(self._pattern.pattern.encode())

    def text(self, said: str) -> str:
        """Return a text without the token."""
        if self._active and self._part in said:
            return self._pattern.sub(HIDDEN, said)
        return said

    def body(self, said: bytes) -> bytes:
        """Return the body of a reply without the token."""
        if self._active and self._part_bytes in said:
            return self._pattern_bytes.sub(HIDDEN.encode(), said)
        return said


def _encodings(char: str) -> str:
    """Return a pattern of what a character of a token may have become."""
    if char.isalnum():
        return char
    code = ord(char)
    return rf"(?:\\*{re.escape(char)}|(?i:\\+u00{code:02x}|%{code:02x}|&#(?:{code}|x{code:02x});))"
