"""Why pairs are not settled: grouped by cause, with examples, in bounded memory. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from intercom_async.journal.row import Row

KEPT: Final = 100
"""Pairs that are kept of each cause."""

MOST: Final = 200
"""Causes that are told apart; what comes after them goes by its state."""

LONGEST: Final = 300
"""Characters of an error that are kept."""

_VARIABLE: Final = re.compile(
    r"(?<=request id )[^\s);,]+|(?<!HTTP )(?<![\w-])[\w-]*\d[\w-]*(?:\.\d+)?"
)
_MEANING: Final[Mapping[str, str]] = {
    "pending": "read from the input and not sent yet",
    "sending": "sent, or about to be, when the run was killed or this was read",
    "refused_last_contact": "the only contact of its conversation, which Intercom does not remove",
    "AuthenticationError": "Intercom refused the access token",
    "PermissionDeniedError": "the token may not do this",
    "ConversationNotFoundError": "there is no such conversation",
    "ContactNotFoundError": "there is no such contact in the conversation",
    "RateLimitWaitError": "the quota would have made it wait longer than allowed",
    "RateLimitedError": "Intercom refused it for the rate limit again and again",
    "ConnectionFailedError": "Intercom could not be reached, or did not answer",
    "CertificateError": "the server's certificate was refused: a proxy, or a wrong address",
    "UnknownOutcomeError": "it was sent, and no answer told what became of it",
    "ServerError": "Intercom had a fault of its own; later it may work",
    "InvalidRequestError": "Intercom did not accept the request; its own words say why",
    "InvalidArgumentError": "the input gave something that cannot be an id",
    "ResponseDecodeError": "the answer was not Intercom's: something in between gave it",
    "ResponseTooLargeError": "the answer was too large to be Intercom's",
    "RedirectError": "the answer led to another address, which is never followed",
    "ClientStateError": "the client was closed before its turn came",
}


@attrs.define
class Cause:
    """Pairs that stand where they stand for the same reason.

    Attributes:
        message: the error's text with "#" for what differs from pair to pair.
        examples: the first of them.
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
        """What it means, in plain words."""
        return (
            _MEANING.get(self.state) or _MEANING.get(self.error_type or "") or "for another reason"
        )

    @property
    def error(self) -> str:
        """The error's class and its text; without a text, the status and Intercom's code."""
        status = None if self.status is None else f"HTTP {self.status}"
        told = self.message or ", ".join(part for part in (status, self.code) if part)
        return ": ".join(part for part in (self.error_type, told) if part)


def grouped(rows: Iterable[Row]) -> list[Cause]:
    """Return the causes of rows, the most frequent first."""
    causes: dict[tuple[str | int | None, ...], Cause] = {}
    for row in rows:
        message = None if row.error is None else _VARIABLE.sub("#", row.error[:LONGEST])
        key = (row.state, row.error_type, row.status, row.code, message)
        if key not in causes and len(causes) >= MOST:
            key = (row.state, None, None, None, None)
        cause = causes.setdefault(key, Cause(*key))
        cause.pairs += 1
        if len(cause.examples) < KEPT:
            cause.examples.append(attrs.evolve(row, error=row.error and row.error[:LONGEST]))
    return sorted(causes.values(), key=lambda cause: -cause.pairs)
