"""Frozen records of what the library does, handed to an optional observer.

An observer is a plain callable taking one event. It is called synchronously from the event
loop, so it must be quick; when it raises, the error is logged and nothing else happens.
"""

from collections.abc import Callable

import attrs

from intercom_async.status import RateLimitStatus


@attrs.frozen(kw_only=True)
class RequestSent:
    """One attempt was answered.

    Attributes:
        method: HTTP method.
        path: path below the base URL.
        status: HTTP status.
        elapsed: seconds from sending to the end of the reply.
        attempt: 1 for the first attempt of a call.
        request_id: Intercom's id of the request, if it gave one.
        rate_limit: the quota after the reply.
    """

    method: str
    path: str
    status: int
    elapsed: float
    attempt: int
    request_id: str | None
    rate_limit: RateLimitStatus | None


@attrs.frozen(kw_only=True)
class RequestRetried:
    """An attempt failed and the call will be tried again.

    Attributes:
        method: HTTP method.
        path: path below the base URL.
        reason: what happened, in words.
        attempt: number of the attempt that failed.
        wait: seconds until the next one.
        ambiguous: whether the failed attempt may have been applied.
        request_id: Intercom's id of the request, if it gave one.
    """

    method: str
    path: str
    reason: str
    attempt: int
    wait: float
    ambiguous: bool
    request_id: str | None


@attrs.frozen(kw_only=True)
class RequestRefused:
    """The server answered 429; the call waits for the quota and no attempt is counted.

    Attributes:
        method: HTTP method.
        path: path below the base URL.
        code: Intercom's error code.
        request_id: Intercom's id of the request, if it gave one.
        rate_limit: the quota after the reply.
    """

    method: str
    path: str
    code: str | None
    request_id: str | None
    rate_limit: RateLimitStatus | None


@attrs.frozen(kw_only=True)
class CallGivenUp:
    """A call ended without success.

    Attributes:
        method: HTTP method.
        path: path below the base URL.
        reason: why no further attempt was made, in words.
        attempts: requests sent.
        elapsed: seconds since the call began.
        request_id: Intercom's id of the last request, if it gave one.
    """

    method: str
    path: str
    reason: str
    attempts: int
    elapsed: float
    request_id: str | None


Event = RequestSent | RequestRetried | RequestRefused | CallGivenUp
Observer = Callable[[Event], None]
