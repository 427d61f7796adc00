"""Why pairs are not settled: grouped by cause, with examples, in bounded memory. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

KEPT: Final = 100
"""Pairs that are kept of each cause."""

TOLD_APART: Final = 200
"""Causes that are told apart by their message; further ones by state, class, status and code."""

MOST: Final = 400
"""Causes there are at most; what comes after them goes by its state."""

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


@attrs.frozen
class Left:
    """A pair that needs something."""

    workspace: str
    conversation_id: str
    contact_id: str
    request_id: str | None
    error: str | None
    updated_at: float


@attrs.define
class Cause:
    """Pairs that stand where they stand for the same reason.

    Attributes:
        message: the error's text with "#" for what differs from pair to pair.
        examples: the first of them.
    """

    state: str
    error_type: str | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None
    pairs: int = 0
    examples: list[Left] = attrs.Factory(list[Left])

    @property
    def meaning(self) -> str:
        """What it means, in plain words."""
        return _MEANING.get(self.state) or _MEANING.get(self.error_type or "") or "see its error"

    @property
    def name(self) -> str:
        """The error's class, the status and Intercom's code."""
        status = None if self.status is None else f"HTTP {self.status}"
        return ", ".join(part for part in (self.error_type, status, self.code) if part)


Unsettled = tuple[str, str | None, int | None, str | None, Left]
"""State, class of the error, status, code, the pair."""


def grouped(rows: Iterable[Unsettled]) -> list[Cause]:
    """Return the causes, the most frequent first."""
    causes: dict[tuple[object, ...], Cause] = {}
    for state, error_type, status, code, left in rows:
        message = None if left.error is None else _VARIABLE.sub("#", left.error)
        key: tuple[object, ...] = (state, error_type, status, code, message)
        cause = causes.get(key)
        if cause is None:
            if len(causes) >= TOLD_APART:
                message = None
            if len(causes) >= MOST:
                error_type = status = code = None
            key = (state, error_type, status, code, message)
            cause = causes.setdefault(key, Cause(state, error_type, status, code, message))
        cause.pairs += 1
        if len(cause.examples) < KEPT:
            cause.examples.append(left)
    return sorted(causes.values(), key=lambda cause: -cause.pairs)
