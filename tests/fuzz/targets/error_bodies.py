"""A reply that is no success becomes one exception that can be shown, logged and sent elsewhere."""

import pickle
from typing import Final

from intercom_async.errors import APIError, LastContactError, NotFoundError, RateLimitedError
from intercom_async.transport.wire import Reply, error_for

LONGEST: Final = 10_000
"""Characters of a log line: whatever a server says, escaped to the utmost."""

DECIDING: Final[dict[int, type[APIError]]] = {
    404: NotFoundError,
    422: LastContactError,
    429: RateLimitedError,
}
"""The errors that decide what becomes of a pair or of the pace, whatever the body says."""


def check(data: bytes) -> None:
    """Name the error of a reply: its status as decimal digits, a line break, its body."""
    first, _, body = data.partition(b"\n")
    status = int(first) if first.isdigit() and len(first) == 3 else 500
    if status < 300:
        return
    error = error_for(Reply(status, body))
    for only, kind in DECIDING.items():
        assert status == only or not isinstance(error, kind), f"{kind} for {status}"
    text = str(error)
    assert text.isprintable()
    assert len(text) < LONGEST
    assert error.request_id is None or error.request_id.isprintable()
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == text
