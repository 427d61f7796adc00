"""Every exception of the library, one tree below `IntercomError`.

There is a class for each thing a caller would do next; facts are attributes; no message,
attribute or chained exception ever holds a token. `status` is the HTTP status of a reply, and
`request_id` Intercom's id of the request, for its support, or None.

    IntercomError
    ├── InvalidArgumentError      a value the caller passed; nothing was sent
    ├── ClientStateError          the client was closed, or belongs to another event loop
    ├── WorkspaceAccessError      a pool could not find out how to reach a workspace
    ├── WrongInputError           none of a run's first conversations exists
    ├── RateLimitWaitError        the call would have to wait longer than allowed
    ├── ConnectionFailedError     no answer, and nothing was changed, as far as can be seen
    │   └── CertificateError      the server's TLS certificate was refused
    ├── UnknownOutcomeError       the request may have been applied, no check could find out
    ├── ContradictoryReplyError   a success that contradicts itself or the question
    ├── ResponseTooLargeError     a reply beyond the size bound
    ├── ResponseDecodeError       a reply that is no JSON object
    ├── RunFailedError            a run left pairs unsettled; see `DetachSummary`
    ├── JournalError              a run's journal; see `intercom_async.journal.errors`
    └── APIError                  Intercom answered with an error
        ├── RedirectError         3xx; redirects are never followed
        ├── AuthenticationError   401
        ├── PermissionDeniedError 403
        ├── NotFoundError         404
        │   ├── ConversationNotFoundError
        │   ├── ContactNotFoundError
        │   └── AdminNotFoundError
        ├── GatewayError          a 4xx that a proxy or gateway wrote, not Intercom
        ├── LastContactError      422, the last contact of a conversation
        ├── RateLimitedError      429
        ├── InvalidRequestError   any other 4xx
        └── ServerError           5xx, 408 and others that leave open what happened
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from intercom_async.observing import OutageStatus, RateLimitStatus
from intercom_async.replies import ReplyHead


def readable(text: str, length: int = 300) -> str:
    """Return foreign text fit for a log line or a terminal: bounded, on one line, encodable."""
    if len(text) > length:
        text = text[: length - 1] + "…"
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _rebuild(kind: type["IntercomError"], message: str, facts: dict[str, Any]) -> "IntercomError":
    error = kind.__new__(kind, message)
    error.__dict__.update(facts)
    return error


class IntercomError(Exception):
    """The root: catch it to catch whatever this library raises.

    Attributes:
        reply: status, headers and request id of the reply behind it; None if there was none, or if
            the error was read from a journal.
    """

    reply: ReplyHead | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Pickle would call `__init__` with the message alone.
        return _rebuild, (type(self), str(self), self.__dict__.copy())


class InvalidArgumentError(IntercomError, ValueError):
    """A value the caller passed cannot be used; nothing was sent.

    Attributes:
        value: as passed, or None where it is a secret.
        expected: a usable value, in words.
        seen: how the value looks, such as "looks like a formula"; None for most.
    """

    def __init__(self, name: str, value: object, expected: str, *, seen: str | None = None) -> None:
        self.name = name
        self.value = value
        self.expected = expected
        self.seen = seen
        if seen is not None:
            shown = f"; {'it' if value is None else f'{value!r:.200}'} {seen}"
        else:
            shown = "" if value is None else f", not {value!r:.200}"
        super().__init__(f"{name} must be {expected}{shown}")


class ClientStateError(IntercomError, RuntimeError):
    """The client cannot be used here: it was closed, or it belongs to another event loop."""


class WorkspaceAccessError(IntercomError):
    """A pool's directory does not know a workspace, or failed; nothing was sent.

    The directory's own exception is the cause.
    """

    def __init__(self, workspace: str, reason: str) -> None:
        self.workspace = workspace
        super().__init__(f"no access to workspace {workspace!r:.200}: {reason}")


class WrongInputError(IntercomError):
    """A run stopped, because its input seems to belong to another workspace.

    `missing` of its first `answers` said that there is no such conversation.
    """

    def __init__(self, *, missing: int, answers: int, workspace: str) -> None:
        self.missing = missing
        self.answers = answers
        self.workspace = workspace
        many = "none" if missing == answers else f"only {answers - missing}"
        super().__init__(
            f"{many} of the first {answers} conversations exist in {workspace}: wrong workspace, "
            "region or column? If it is right, go on with stop_after_missing=None (--force)"
        )


class RateLimitWaitError(IntercomError):
    """Quota or connections would make a call wait longer than allowed; nothing was done.

    Attributes:
        wait: the seconds that the call would have to wait, or more.
        max_wait: the seconds that it may wait.
        rate_limit: the quota at that moment.
        refusals: requests of this call that were refused with 429.
        code, message, request_id: those of the last refusal, or None.
    """

    attempts = 0

    def __init__(
        self,
        *,
        wait: float,
        max_wait: float,
        rate_limit: RateLimitStatus | None = None,
        refusal: "APIError | None" = None,
        refusals: int = 0,
        connections: bool = False,
    ) -> None:
        self.wait = wait
        self.max_wait = max_wait
        self.rate_limit = rate_limit
        self.refusals = refusals
        self.code = None if refusal is None else refusal.code
        self.message = None if refusal is None else refusal.message
        self.request_id = None if refusal is None else refusal.request_id
        self.reply = None if refusal is None else refusal.reply
        refused = "" if refusal is None else f"; the last answer was {refusal}"
        reason = (
            "all connections are in use, longer"
            if connections
            else f"the rate limit asks for a wait of {wait:.2f} s, longer"
        )
        super().__init__(
            f"{reason} than the {max_wait:.2f} s allowed; try later, or allow more with "
            f"RateLimitPolicy(max_wait=...){refused}"
        )


class _AttemptedError(IntercomError):
    """An error after at least one attempt.

    Attributes:
        attempts: requests sent for this call, refused ones (429) not included.
        refusals: further requests that were refused with 429.
    """

    attempts: int = 1
    refusals: int = 0


class ConnectionFailedError(_AttemptedError, ConnectionError):
    """Intercom could not be reached or did not answer, and nothing was changed.

    Either no request left this machine, or the call only reads, or a check showed that nothing had
    been done. A request that is still under way may be applied after the check; trying again is
    safe and shows whether it was.

    Attributes:
        outage: the outage that kept the call from sending more, or None.
    """

    outage: OutageStatus | None = None


class CertificateError(ConnectionFailedError):
    """The server's TLS certificate was refused; repeating cannot help."""


class UnknownOutcomeError(_AttemptedError):
    """The connection failed after the request was sent, and no check could find out what it did."""


def _named(status: int, request_id: str | None) -> str:
    return f"the reply (HTTP {status}, request id {request_id or 'unknown'})"


class ResponseTooLargeError(_AttemptedError):
    """A reply exceeded `limit` bytes, before or after decompression; the rest was not read."""

    def __init__(self, *, status: int, limit: int, request_id: str | None = None) -> None:
        self.status = status
        self.limit = limit
        self.request_id = request_id
        reply = _named(status, request_id)
        super().__init__(f"{reply} is larger than {limit} bytes and was not read to its end")


class ResponseDecodeError(IntercomError):
    """A reply is no JSON object. It proves nothing, because it may not be Intercom's.

    Attributes:
        status: None when bytes were decoded without a request.
        body: the first 200 bytes of what was received.
    """

    def __init__(
        self,
        reason: str,
        *,
        body: bytes = b"",
        status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        self.reason = reason
        self.body = body[:200]
        self.status = status
        self.request_id = request_id
        reply = "the reply" if status is None else _named(status, request_id)
        super().__init__(f"{reply} is no JSON object: {reason}")

    def about(self, reply: ReplyHead) -> "ResponseDecodeError":
        """Return the same error about a reply."""
        named = ResponseDecodeError(
            self.reason, body=self.body, status=reply.status, request_id=reply.request_id
        )
        named.reply = reply
        return named


class ContradictoryReplyError(_AttemptedError):
    """A reply with status 200 that contradicts itself or the question; it proves nothing.

    It is about another conversation, or lists the contact that it says was removed.
    """

    def __init__(self, reason: str, *, status: int, request_id: str | None = None) -> None:
        self.reason = reason
        self.status = status
        self.request_id = request_id
        super().__init__(f"{_named(status, request_id)} is not believed: {reason}")


class APIError(_AttemptedError):
    """Intercom answered with an error.

    Attributes:
        code, message: those of the first error, such as "not_found", or None.
        errors: the reply's `errors` list, as it came.
        rate_limit: the quota after this reply, or None if no reply had headers yet.
        retry_after: seconds that the server asks the client to wait, or None.
    """

    def __init__(
        self,
        *,
        status: int,
        code: str | None = None,
        message: str | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        request_id: str | None = None,
        rate_limit: RateLimitStatus | None = None,
        attempts: int = 1,
        retry_after: float | None = None,
        advice: str | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.errors = tuple(errors)
        self.request_id = request_id
        self.rate_limit = rate_limit
        self.attempts = attempts
        self.retry_after = retry_after
        said = readable(f"{code or 'no code'}: {message or 'no message'}", 500)
        text = f"HTTP {status}, {said} (request id {request_id or 'unknown'})"
        super().__init__(text if advice is None else f"{text}; {advice}")


class RedirectError(APIError):
    """3xx. The client follows no redirect: some would turn a DELETE into a GET."""


class AuthenticationError(APIError):
    """401: the access token is invalid, expired or revoked."""


class PermissionDeniedError(APIError):
    """403: the workspace's plan or the token's permissions do not allow the call."""


class NotFoundError(APIError):
    """404: something named by the request does not exist."""


class ConversationNotFoundError(NotFoundError):
    """404 "Resource Not Found": there is no such conversation."""


class ContactNotFoundError(NotFoundError):
    """404 "User Not Found": the contact does not exist or is not part of the conversation."""


class AdminNotFoundError(NotFoundError):
    """Intercom does not know the admin in whose name the call was made; nothing was changed.

    A 404 with the code "admin_not_found", or whose message begins with "Admin". How detach and
    attach answer for such an admin is not documented: a missing conversation may look the same.
    """


class GatewayError(APIError):
    """A 4xx that Intercom did not write: a proxy, firewall or load balancer answered."""


class LastContactError(APIError):
    """422: the last contact of a conversation cannot be removed."""


class RateLimitedError(APIError):
    """429, and the call could not wait for the quota; see `retry_after`."""


class InvalidRequestError(APIError):
    """Any other 4xx: repeating the same request cannot help."""


class ServerError(APIError):
    """5xx, 408, 425, 499 or an undocumented 2xx. The request may have been applied or not."""


_UNSAID: Final[dict[str, Any]] = {
    "message": None,
    "errors": (),
    "rate_limit": None,
    "retry_after": None,
    "body": b"",
    "refusals": 0,
}


def rebuilt(name: str | None, text: str | None, **facts: Any) -> IntercomError | None:
    """Rebuild an error from what a journal kept: its class's name, its text and its attributes."""
    if name is None:
        return None
    kind = globals().get(name)
    if not isinstance(kind, type) or not issubclass(kind, IntercomError):
        kind = IntercomError
    return _rebuild(kind, text or name, {**_UNSAID, **facts})
