r"""Servers may say what they were told: proxies' error pages do, and repeat the token.

They write it as JSON, URLs and HTML do: of the characters of a token, these encode punctuation
and leave letters and digits alone. So a text without the token's longest run of these is without
the token, which is quickly known. Of any other, its encodings are undone, and the token is looked
for in that. No regular expression is made of a token: `re` would keep it for the whole process.
"""

import re
from bisect import bisect_right
from typing import Final

from intercom_async.secret import Secret

HIDDEN: Final = "[token]"
"""What stands for the token in replies that repeat it."""

SHORTEST: Final = 16
"""Characters below which a token is a test's, and likely a word that replies use too."""

_WORDS: Final = re.compile(r"[A-Za-z0-9]+")

_NAMES: Final = {
    "amp": "&",
    "apos": "'",
    "equals": "=",
    "gt": ">",
    "lt": "<",
    "plus": "+",
    "quot": '"',
    "sol": "/",
}
"""Of characters in HTML: what must have one there, and the punctuation of base64."""

_HEX: Final = "2[1-9a-f]|3[a-f]|40|5[b-f]|60|7[b-e]"
_DECIMAL: Final = "3[3-9]|4[0-7]|5[89]|6[0-4]|9[1-6]|12[3-6]"

# A character for each match, which is what places are reckoned by. A token that ends with a
# backslash is not found before punctuation in any form but its own; Intercom's have none.
#
# Each way begins with a character of its own and goes on to the end of what repeats, so that long
# runs are looked at once. Percent signs are encoded a few times at most: each group that repeats
# takes memory.
_ENCODED: Final = re.compile(
    rf"""
    \\+ (?: u00(?P<json>{_HEX}) | (?P<escaped>[!-/:-@\[\]-`{{-~](?<![%&])) )?
    | %(?:25){{0,4}}(?P<url>{_HEX})
    | & (?:
        \#x0*(?P<html>{_HEX})
        | \#0*(?P<decimal>{_DECIMAL})
        | (?P<name>{"|".join(_NAMES)})
    ) ;
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)


_ROUNDS: Final = 4
"""Encodings of encodings that are undone: JSON that holds HTML that holds a URL is three."""


class Hiding:
    """Takes one token out of what others say, as it is or as JSON, URLs and HTML write it.

    Args:
        token: what to hide.
    """

    def __init__(self, token: Secret) -> None:
        self._token = token
        self._active = len(token.reveal()) >= SHORTEST
        self._part = max(_WORDS.findall(token.reveal()), key=len, default="")
        self._part_bytes = self._part.encode()

    def text(self, said: str) -> str:
        """Return a text without the token."""
        if self._active and self._part in said:
            return _without(self._token, said)
        return said

    def body(self, said: bytes) -> bytes:
        """Return the body of a reply without the token."""
        if self._active and self._part_bytes in said:
            return _without(self._token, said.decode("latin-1")).encode("latin-1")
        return said


def _without(token: Secret, said: str) -> str:
    plain = _Plain(said)
    sought = Secret(_Plain(token.reveal()).text)
    # Base64 is often written without its padding.
    sought = Secret(sought.reveal().rstrip("=") or sought.reveal())
    kept: list[str] = []
    end = 0
    at = plain.text.find(sought.reveal())
    while at >= 0:
        kept.append(said[end : plain.origin(at)])
        at += len(sought.reveal())
        while plain.text.startswith("=", at) and not plain.text.startswith(sought.reveal(), at):
            at += 1
        end = plain.origin(at)
        at = plain.text.find(sought.reveal(), at)
    kept.append(said[end:])
    # What is before a token may seem to encode its first characters: "%" before "2B".
    return HIDDEN.join(kept).replace(token.reveal(), HIDDEN)


class _Plain:
    """A text of which the encodings of punctuation are undone, those of encodings, too.

    Args:
        said: the text.
    """

    def __init__(self, said: str) -> None:
        self.text = said
        self._rounds: list[tuple[list[int], list[int]]] = []
        for _ in range(_ROUNDS):
            before = self.text
            self._undo()
            if self.text == before:
                break

    def _undo(self) -> None:
        parts: list[str] = []
        after, before = [0], [0]
        here = there = 0
        for encoded in _ENCODED.finditer(self.text):
            start, end = encoded.span()
            parts.append(self.text[there:start])
            parts.append(_decoded(encoded))
            here += start - there + 1
            there = end
            after.append(here)
            before.append(there)
        parts.append(self.text[there:])
        self.text = "".join(parts)
        self._rounds.append((after, before))

    def origin(self, at: int) -> int:
        """Return where in the text as it was said a place of `text` is."""
        for after, before in reversed(self._rounds):
            last = bisect_right(after, at) - 1
            at += before[last] - after[last]
        return at


def _decoded(encoded: re.Match[str]) -> str:
    way = encoded.lastgroup
    if way is None:
        return "\\"
    found = encoded[way]
    if way == "escaped":
        return found
    if way == "name":
        return _NAMES[found.lower()]
    return chr(int(found, 10 if way == "decimal" else 16))
