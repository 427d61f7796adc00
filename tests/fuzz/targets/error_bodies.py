"""A reply that is no success becomes one exception that can be shown, logged and sent elsewhere."""

import pickle
from collections.abc import Sequence
from typing import Final

from intercom_async.errors import (
    APIError,
    AuthenticationError,
    GatewayError,
    InvalidRequestError,
    LastContactError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectError,
    ServerError,
)
from intercom_async.transport.wire import Reply, error_for

WORDS: Final[Sequence[bytes]] = [
    b"300", b"302", b"400", b"401", b"403", b"404", b"408", b"422", b"429", b"500", b"503",
    b"errors", b"code", b"message", b"request_id", b"type", b"error.list", b"not_found",
    b"Resource Not Found", b"User Not Found", b"Removing the last participant is not allowed",
    b"rate_limit_exceeded", b"\\u001b[2J", b"\\ud800", b"\\udbff", b"\xff", b"\0",
]  # fmt: skip

LONGEST: Final = 10_000
"""Characters of a log line: whatever a server says, escaped to the utmost."""


def check(data: bytes) -> None:
    """Name the error of a reply: its status as decimal digits, a line break, its body."""
    first, _, body = data.partition(b"\n")
    status = int(first) if first.isdigit() and len(first) == 3 else 500
    if status < 300:
        return
    error = error_for(Reply(status, body))
    assert kind(status, error), f"{type(error).__name__} for {status}"
    text = str(error)
    assert text.isprintable()
    assert len(text) < LONGEST
    assert error.request_id is None or error.request_id.isprintable()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == text


def kind(status: int, error: APIError) -> bool:
    """Whether a class says no more than the status allows."""
    if status < 400:
        return type(error) is RedirectError
    if status in {408, 425, 499} or status >= 500:
        return type(error) is ServerError
    if type(error) is GatewayError:
        return status != 429 and error.code is None
    if status == 422:
        return type(error) in {LastContactError, InvalidRequestError}
    expected: dict[int, type[APIError]] = {
        401: AuthenticationError,
        403: PermissionDeniedError,
        404: NotFoundError,
        429: RateLimitedError,
    }
    return isinstance(error, expected.get(status, InvalidRequestError))
