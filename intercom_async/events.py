"""Frozen records of what the library does, handed to an optional observer.

An observer is a plain callable taking one event. It is called synchronously from the event
loop, in the task that made the call (so its context variables are the caller's), and must be
quick; when it raises, the error is logged and nothing else happens.

One *call* is one request made reliable: `CallBegan` comes first, then what happened to it, then
`CallEnded`, whichever way it ended, cancellation included. Every event names its call by
`call`, a number no other call of the process has. A detach that had to be checked is two calls,
a DELETE and a GET.

    CallBegan
        QuotaWaited or WaitRefused      only if no permit was free
        RequestSent                     an answer, or
        RequestRefused                  429: on with the next permit, or
        RequestLost                     no answer
        OutageBegan or OutageEnded      if this call's request showed it
        RequestRetried or CallGivenUp   only after a failed attempt
    CallEnded
"""

from collections.abc import Callable

import attrs

from intercom_async.status import RateLimitStatus


@attrs.frozen(kw_only=True)
class CallBegan:
    """A call asks for its first permit.

    Attributes:
        call: number of the call.
        method: HTTP method.
        base_url: where requests go, without a trailing slash.
        path: path below the base URL.
        lane: "interactive" or "bulk".
    """

    call: int
    method: str
    base_url: str
    path: str
    lane: str


@attrs.frozen(kw_only=True)
class QuotaWaited:
    """A call had to wait for the quota, or for a connection, and may send now.

    Attributes:
        call: number of the call.
        lane: "interactive" or "bulk".
        seconds: how long.
    """

    call: int
    lane: str
    seconds: float


@attrs.frozen(kw_only=True)
class WaitRefused:
    """The quota asks for a longer wait than the call allows; it ends without another request.

    Attributes:
        call: number of the call.
        method: HTTP method.
        path: path below the base URL.
        wait: seconds the call would have to wait.
        max_wait: seconds it had left to wait.
        rate_limit: the quota at that moment.
    """

    call: int
    method: str
    path: str
    wait: float
    max_wait: float
    rate_limit: RateLimitStatus | None


@attrs.frozen(kw_only=True)
class RequestSent:
    """One attempt was answered.

    Attributes:
        call: number of the call.
        method: HTTP method.
        path: path below the base URL.
        status: HTTP status.
        elapsed: seconds from sending to the end of the reply.
        attempt: 1 for the first attempt of a call.
        request_id: Intercom's id of the request, if it gave one.
        rate_limit: the quota after the reply.
    """

    call: int
    method: str
    path: str
    status: int
    elapsed: float
    attempt: int
    request_id: str | None
    rate_limit: RateLimitStatus | None


@attrs.frozen(kw_only=True)
class RequestLost:
    """One attempt got no answer.

    Attributes:
        call: number of the call.
        method: HTTP method.
        path: path below the base URL.
        failure: which kind of failure, one of few: "not_sent", "certificate", "timed_out",
            "disconnected", "unreadable" or "truncated".
        elapsed: seconds from the permit to the failure.
        attempt: 1 for the first attempt of a call.
    """

    call: int
    method: str
    path: str
    failure: str
    elapsed: float
    attempt: int


@attrs.frozen(kw_only=True)
class RequestRetried:
    """An attempt failed and the call will be tried again.

    Attributes:
        call: number of the call.
        method: HTTP method.
        path: path below the base URL.
        reason: what happened, in words.
        attempt: number of the attempt that failed.
        wait: seconds until the next one.
        ambiguous: whether the failed attempt may have been applied.
        request_id: Intercom's id of the request, if it gave one.
    """

    call: int
    method: str
    path: str
    reason: str
    attempt: int
    wait: float
    ambiguous: bool
    request_id: str | None


@attrs.frozen(kw_only=True)
class RequestRefused:
    """The server answered 429; no attempt is counted, and the call goes back to wait.

    Attributes:
        call: number of the call.
        method: HTTP method.
        path: path below the base URL.
        code: Intercom's error code.
        elapsed: seconds from sending to the end of the reply.
        request_id: Intercom's id of the request, if it gave one.
        rate_limit: the quota after the reply.
    """

    call: int
    method: str
    path: str
    code: str | None
    elapsed: float
    request_id: str | None
    rate_limit: RateLimitStatus | None


@attrs.frozen(kw_only=True)
class CallGivenUp:
    """No further attempt is made after a failed one.

    Attributes:
        call: number of the call.
        method: HTTP method.
        path: path below the base URL.
        reason: why no further attempt is made, in words.
        attempts: requests sent.
        elapsed: seconds since the call began.
        request_id: Intercom's id of the last request, if it gave one.
    """

    call: int
    method: str
    path: str
    reason: str
    attempts: int
    elapsed: float
    request_id: str | None


@attrs.frozen(kw_only=True)
class OutageBegan:
    """So many requests failed in a row that Intercom seems to be away.

    Bulk calls wait from now on; one request at a time looks whether it is back.

    Attributes:
        call: number of the call whose request failed last.
        since: seconds since the first of these failures.
        reason: the last failure, in words.
    """

    call: int
    since: float
    reason: str


@attrs.frozen(kw_only=True)
class OutageEnded:
    """A request was answered again.

    Attributes:
        call: number of its call.
        seconds: since the first failure.
        failures: requests that failed, from the first one on.
    """

    call: int
    seconds: float
    failures: int


@attrs.frozen(kw_only=True)
class CallEnded:
    """A call is over, whichever way.

    Attributes:
        call: number of the call.
        method: HTTP method.
        path: path below the base URL.
        status: HTTP status of the final reply; None without one.
        error: name of the exception that ended it without a reply ("CancelledError" when it
            was cancelled); None with one.
        attempts: requests sent, refused ones not counted.
        refusals: requests that were refused with 429.
        waited: seconds spent waiting for the quota.
        elapsed: seconds since the call began.
        request_id: Intercom's id of the final request, if it gave one.
    """

    call: int
    method: str
    path: str
    status: int | None
    error: str | None
    attempts: int
    refusals: int
    waited: float
    elapsed: float
    request_id: str | None


Event = (
    CallBegan
    | QuotaWaited
    | WaitRefused
    | RequestSent
    | RequestLost
    | RequestRetried
    | RequestRefused
    | CallGivenUp
    | OutageBegan
    | OutageEnded
    | CallEnded
)
Observer = Callable[[Event], None]
