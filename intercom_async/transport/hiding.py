"""Takes the token out of what servers send: a proxy's error page may repeat the request it got.

The page may escape the token's punctuation, as in JSON, URLs or HTML, even more than once. So a
text that holds all runs of the token's letters and digits counts as one that repeats the token. No
regular expression is made of a token, because `re` would keep it as long as the process lives.
"""

import re
from typing import Any, Final

import msgspec

from intercom_async.documents import is_list, is_object
from intercom_async.secret import Secret

HIDDEN: Final = "[token]"
"""Replaces the token, or a whole text that repeats it encoded."""

SHORTEST: Final = 16
"""The fewest characters that are hidden: a shorter token is a test's, and common in replies."""

_SHORTEST_RUN: Final = 8
"""The fewest letters and digits of a run; a token without such a run is sought only as it is."""

_PUNCTUATION: Final = re.compile(r"[^A-Za-z0-9]+")


class Hiding:
    """Hides one token."""

    def __init__(self, token: Secret) -> None:
        self._token = token
        self._active = len(token.reveal()) >= SHORTEST
        self._runs = sorted(_PUNCTUATION.split(token.reveal()), key=len, reverse=True)
        if len(self._runs[0]) < _SHORTEST_RUN:
            self._runs = [token.reveal()]

    def _is_in(self, said: str) -> bool:
        # Most texts lack the longest run; the others are looked for in the few that have it.
        return self._active and self._runs[0] in said and all(run in said for run in self._runs)

    def text(self, said: str) -> str:
        """Return a text without the token."""
        if not self._is_in(said):
            return said
        said = said.replace(self._token.reveal(), HIDDEN)
        return HIDDEN if self._is_in(said) else said

    def lines(self, said: str) -> str:
        """Return lines, each without the token."""
        return "\n".join(map(self.text, said.split("\n"))) if self._is_in(said) else said

    def body(self, said: bytes) -> bytes:
        """Return the body of a reply without the token."""
        text = said.decode("latin-1")
        if not self._is_in(text):
            return said
        try:
            return msgspec.json.encode(self._document(msgspec.json.decode(said)))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return self.text(text).encode("latin-1")

    def _document(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if is_list(value):
            return [self._document(each) for each in value]
        if is_object(value):
            return {self.text(key): self._document(each) for key, each in value.items()}
        return value
