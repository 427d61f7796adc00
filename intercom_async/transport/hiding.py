"""Takes the token out of what servers send: proxies' error pages repeat the requests they got.

They may encode it as JSON, a URL or HTML. An error is short and people see it, so the search
undoes all of its encodings first. The body of a success may be long and is not shown: there the
search is for the token as it is, and with each character encoded once. No regular expression is
made of a token, because `re` would keep it as long as the process lives.
"""

import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from intercom_async.documents import is_list, is_object
from intercom_async.secret import Secret

HIDDEN: Final = "[token]"
"""Replaces the token, or a whole text that repeats it encoded."""

SHORTEST: Final = 16
"""Characters; a shorter token is a test's, and may be a word that replies use, too."""

_ROUNDS: Final = 4
"""Layers of encoding that are undone: JSON that holds HTML that holds a URL is three."""

_JSON: Final = re.compile(r"\\+(?:u00([0-9a-fA-F]{2}))?")
_HTML: Final = re.compile(r"&#([xX]?)0*(?:[0-9a-fA-F]{9,})?")
"""What `html.unescape` cannot take: numbers of any length."""

_ENCODERS: Final = ("\\u{:04x}", "\\u{:04X}", "%{:02x}", "%{:02X}", "&#{};", "&#x{:x};", "&#x{:X};")
_PUNCTUATION: Final = re.compile(r"[^A-Za-z0-9]+")


class Hiding:
    """Hides one token."""

    def __init__(self, token: Secret) -> None:
        self._token = token
        self._active = len(token.reveal()) >= SHORTEST
        longest = max(_PUNCTUATION.split(token.reveal()), key=len)
        encoded = ["".join(map(each.format, map(ord, longest))) for each in _ENCODERS]
        self._longest = longest
        self._letters = _letters(token.reveal())
        self._signs = [longest, *encoded]

    def _is_harmless(self, said: str) -> bool:
        """Whether a text holds no part of the token, and nothing that is encoded."""
        return not (self._longest in said or "%" in said or "&" in said or "\\" in said)

    def text(self, said: str) -> str:
        """Return a text without the token."""
        if not self._active or self._is_harmless(said):
            return said
        said = said.replace(self._token.reveal(), HIDDEN)
        return HIDDEN if self._letters and self._letters in _letters(said) else said

    def lines(self, said: str) -> str:
        """Return lines, each without the token."""
        if self.text(said) == said:
            return said
        return "\n".join(map(self.text, said.split("\n")))

    def body(self, said: bytes, *, is_error: bool) -> bytes:
        """Return the body of a reply without the token."""
        if not self._active:
            return said
        text = said.decode("latin-1")
        if not is_error and (
            self._is_harmless(text) or not any(sign in text for sign in self._signs)
        ):
            return said
        try:
            document = msgspec.json.decode(said)
            hidden = self._document(document)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self.text(text).encode("latin-1")
        return said if hidden == document else msgspec.json.encode(hidden)

    def _document(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if is_list(value):
            return [self._document(each) for each in value]
        if is_object(value):
            return {self.text(key): self._document(each) for key, each in value.items()}
        return value


def _letters(said: str) -> str:
    """Return the letters and digits of a text, its encodings undone.

    This also catches Base64 without padding, and punctuation whose encoding was not undone.
    """
    for _ in range(_ROUNDS):
        before = said
        said = _JSON.sub(_unescaped, said) if "\\" in said else said
        said = unquote(said)
        if "&" in said:
            from html import unescape  # noqa: PLC0415  its table of entities is large

            said = unescape(_HTML.sub(r"&#\1", said))
        if said == before:
            break
    return _PUNCTUATION.sub("", said)


def _unescaped(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else ""
