"""Why pairs are not settled: grouped by cause, with examples, in bounded memory. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs
from msgspec.structs import replace

from intercom_async.journal.row import Row

KEPT: Final = 100
"""Examples of each cause."""

_MOST: Final = 200
"""Distinct causes; pairs with any further one are grouped by their state alone."""

_LONGEST: Final = 300
"""Characters of an error."""

_VARIABLE: Final = re.compile(
    r"(?<=request id )[^\s);,]+|(?<!HTTP )(?<![\w-])[\w-]*\d[\w-]*(?:\.\d+)?"
)
_MEANING: Final[Mapping[str, str]] = {
    "pending": "the run read it from the input and has not sent it yet",
    "sending": "the run was sending it when it was killed, or when this report was made",
    "refused_last_contact": "it is the only contact of its conversation, so Intercom keeps it",
    "AuthenticationError": "Intercom refused the access token",
    "PermissionDeniedError": "the token lacks the permission",
    "ConversationNotFoundError": "the conversation does not exist",
    "ContactNotFoundError": "the contact is not in the conversation",
    "RateLimitWaitError": "the rate limit demanded a longer wait than allowed",
    "RateLimitedError": "Intercom's rate limit refused every attempt",
    "ConnectionFailedError": "Intercom could not be reached, or did not answer",
    "CertificateError": "the server's certificate was refused: a proxy, or a wrong address",
    "UnknownOutcomeError": "no reply came, and a check could not find out what happened",
    "ServerError": "Intercom had a fault of its own, which may have passed by now",
    "InvalidRequestError": "Intercom did not accept the request; its own words say why",
    "InvalidArgumentError": "the input has something in place of an id",
    "ResponseDecodeError": "the reply did not come from Intercom: something in between sent it",
    "ResponseTooLargeError": "the reply was too large to come from Intercom",
    "RedirectError": "the reply pointed to another address, which is never followed",
    "ClientStateError": "the client was closed before the pair's turn came",
}


@attrs.define
class Cause:
    """Pairs with the same state and the same error; the examples are the first of them.

    The message has "…" where it differs from pair to pair.
    """

    state: str
    error_type: str | None
    status: int | None
    code: str | None
    message: str | None
    pairs: int = 0
    examples: list[Row] = attrs.Factory(list[Row])

    @property
    def meaning(self) -> str:
        """The cause in plain words."""
        known = _MEANING.get(self.state) or _MEANING.get(self.error_type or "")
        return known or "another error"

    @property
    def error(self) -> str:
        """The error's class and its text; without a text, the status and Intercom's code."""
        status = None if self.status is None else f"HTTP {self.status}"
        text = self.message or ", ".join(part for part in (status, self.code) if part)
        return ": ".join(part for part in (self.error_type, text) if part)


def grouped(rows: Iterable[Row]) -> list[Cause]:
    """Return the causes of rows, the most frequent first."""
    causes: dict[tuple[str | int | None, ...], Cause] = {}
    for row in rows:
        message = None if row.error is None else _VARIABLE.sub("…", row.error[:_LONGEST])
        key = (row.state, row.error_type, row.status, row.code, message)
        if key not in causes and len(causes) >= _MOST:
            key = (row.state, None, None, None, None)
        cause = causes.setdefault(key, Cause(*key))
        cause.pairs += 1
        if len(cause.examples) < KEPT:
            cause.examples.append(replace(row, error=row.error and row.error[:_LONGEST]))
    return sorted(causes.values(), key=lambda cause: -cause.pairs)
