"""What a client shows of its work: events, log lines, counters, the present quota and outage.

An observer is a plain callable taking one event. It is called synchronously from the event
loop, in the task that made the call (so its context variables are the caller's), and must be
quick; when it raises, the error is logged and nothing else happens.

One *call* is one request made reliable: `CallBegan` comes first, then the events below, then
`CallEnded`, however it ended, cancellation included. Every event names its call by `call`, a
number no other call of the process has. A detach that had to be checked is two calls, a DELETE
and a GET. `elapsed` is in seconds, from the permit of a request or the beginning of a call;
`attempt` is 1 for the first request of a call; `refusals` counts its requests that were refused
with 429, and `attempts` all others; `path` is below the base URL; `reason` is in words;
`request_id` is Intercom's, if it gave one; `rate_limit` is the quota at that moment.

    CallBegan
        QuotaWaited or WaitRefused      only if no permit was free
        RequestSent                     an answer came, or
        RequestRefused                  a 429 came, and the call waits for the next permit, or
        RequestLost                     no answer came
        OutageBegan or OutageEnded      if this call's request showed it
        RequestRetried or CallGivenUp   only after a failed attempt
    CallEnded

The logger is `intercom_async`; the library is quiet until an application configures logging, or
`INTERCOM_LOG` is "debug" or "info". Lines carry paths, statuses and request ids, never headers;
each record has the members of its event, and the event's name as `event`, as attributes.
"""

import logging
import os
from collections.abc import Callable
from typing import Any, Final, TextIO

import msgspec

_LOG_VARIABLE: Final = "INTERCOM_LOG"

logger: Final = logging.getLogger("intercom_async")
logger.addHandler(logging.NullHandler())


class _Stderr(logging.StreamHandler[TextIO]):
    """Shows lines unless the application shows them by a handler of its own."""

    def filter(self, record: logging.LogRecord) -> bool:  # noqa: ARG002  the same for all
        others = {*logging.getLogger().handlers, *logger.handlers} - {self}
        return all(isinstance(one, logging.NullHandler) for one in others)


def log_to_stderr(level: str) -> None:
    """Write the library's log lines to stderr, unless the application has log handlers of its own.

    If it is called again, the more detailed level stays.

    Args:
        level: "debug" for every request, "info" for what goes wrong.
    """
    wanted = {"DEBUG": logging.DEBUG, "INFO": logging.INFO}.get(level.strip().upper())
    before = [one for one in logger.handlers if isinstance(one, _Stderr)]
    logger.setLevel(min([wanted or logging.INFO, *([logger.level] if before else ())]))
    if not before:
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
        logger.addHandler(handler)
    if wanted is None:
        logger.warning("%s is %r; use debug or info", _LOG_VARIABLE, level)


if os.environ.get(_LOG_VARIABLE):
    log_to_stderr(os.environ[_LOG_VARIABLE])


class RateLimitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of one budget, from the server's headers and this process's own count.

    Attributes:
        limit: requests the server allows per window, or None while it sent no headers.
        remaining: requests left in the current window, those in flight already taken off;
            an upper bound, because other processes may use the same budget.
        resets_in: seconds until the window ends, 0.0 when it has ended.
        share: the part of the used budget that this process used, as measured, 0.0 to 1.0.
        in_flight: requests sent and not answered yet.
        waiting_interactive: calls of the interactive lane that wait for a permit.
        waiting_bulk: calls of the bulk lane that wait for a permit.
    """

    limit: int | None
    remaining: int | None
    resets_in: float
    share: float = 1.0
    in_flight: int = 0
    waiting_interactive: int = 0
    waiting_bulk: int = 0


class OutageStatus(msgspec.Struct, frozen=True, kw_only=True):
    """An outage as it looks now: requests fail, and none has succeeded in between.

    Attributes:
        since: seconds since the first of these failures.
        reason: the newest failure, in words.
        next_look: seconds until a request checks whether Intercom is back; 0.0 while one does.
    """

    since: float
    reason: str
    next_look: float

    def __str__(self) -> str:
        look = f"the next check is in {self.next_look:.0f} s" if self.next_look else "checking now"
        return f"Intercom has been away for {self.since:.0f} s ({self.reason}); {look}"


class ClientStats(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of the counters of one client and its views since the client was made.

    A call is one request made reliable; a detach that had to be checked is two.

    Attributes:
        calls: calls begun.
        requests: requests sent, refused and unanswered ones included.
        by_status: answered requests per HTTP status.
        lost: requests that got no answer, cancelled ones included.
        retries: requests that repeated a failed attempt.
        refusals: requests that were refused with 429.
        given_up: calls that ended with a failed attempt.
        waits: how often a call had to wait for the quota.
        waited: seconds spent in those waits, all calls together.
        waits_refused: waits that were longer than the call allowed.
    """

    calls: int = 0
    requests: int = 0
    by_status: dict[int, int] = msgspec.field(default_factory=dict[int, int])
    lost: int = 0
    retries: int = 0
    refusals: int = 0
    given_up: int = 0
    waits: int = 0
    waited: float = 0.0
    waits_refused: int = 0


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """What an observer gets: one of the classes below."""

    call: int


class _OfRequest(Event, frozen=True, kw_only=True):
    method: str
    path: str


class CallBegan(_OfRequest, frozen=True, kw_only=True):
    """A call asks for its first permit.

    Attributes:
        lane: "interactive" or "bulk".
        instrumented: whether OpenTelemetry's aiohttp instrumentation sees the call's requests.
    """

    base_url: str
    lane: str
    instrumented: bool = False


class QuotaWaited(Event, frozen=True, kw_only=True):
    """A call waited `seconds` for the quota, or for a connection, and may send now."""

    lane: str
    seconds: float


class WaitRefused(_OfRequest, frozen=True, kw_only=True):
    """The quota asks for a `wait` of more seconds than `max_wait`: the call ends."""

    wait: float
    max_wait: float
    rate_limit: RateLimitStatus | None


class RequestSent(_OfRequest, frozen=True, kw_only=True):
    """One attempt was answered.

    Attributes:
        elapsed: seconds from sending to the end of the reply.
        already_gone: whether it is a 404 saying that the contact to remove is gone: no error.
    """

    status: int
    elapsed: float
    attempt: int
    request_id: str | None
    rate_limit: RateLimitStatus | None
    already_gone: bool = False


class RequestLost(_OfRequest, frozen=True, kw_only=True):
    """One attempt got no answer.

    Attributes:
        failure: the kind of failure, in lower case: "cancelled", or the name of a `Failure`, such
            as "not_sent", "timed_out" or "disconnected".
    """

    failure: str
    elapsed: float
    attempt: int


class RequestRetried(_OfRequest, frozen=True, kw_only=True):
    """An attempt failed and the call will be tried again.

    Attributes:
        attempt: number of the attempt that failed.
        wait: seconds until the next one.
        ambiguous: whether the failed one may have been applied.
    """

    reason: str
    attempt: int
    wait: float
    ambiguous: bool
    request_id: str | None


class RequestRefused(_OfRequest, frozen=True, kw_only=True):
    """The server answered 429; it counts as no attempt, and the call waits for the quota again."""

    code: str | None
    elapsed: float
    request_id: str | None
    rate_limit: RateLimitStatus | None


class CallGivenUp(_OfRequest, frozen=True, kw_only=True):
    """An attempt failed, and the call makes no other."""

    reason: str
    attempts: int
    elapsed: float
    request_id: str | None


class OutageBegan(Event, frozen=True, kw_only=True):
    """So many requests failed in a row that Intercom seems to be away.

    Bulk calls wait from now on; one request at a time checks whether it is back. The first of these
    failures was `since` seconds ago, and `reason` is the last.
    """

    since: float
    reason: str


class OutageEnded(Event, frozen=True, kw_only=True):
    """A request was answered again, after `failures` over `seconds`."""

    seconds: float
    failures: int


class CallEnded(_OfRequest, frozen=True, kw_only=True):
    """A call is over, with the `status` of its final reply or an `error`.

    Attributes:
        error: name of the exception that ended it without a reply, such as "CancelledError".
        waited: seconds spent waiting for the quota.
    """

    status: int | None
    error: str | None
    attempts: int
    refusals: int
    waited: float
    elapsed: float
    request_id: str | None
    already_gone: bool = False


Observer = Callable[[Event], None]

_AT = "%(method)s %(path)s: "
_LINES: Final[dict[type, tuple[int, str]]] = {
    QuotaWaited: (logging.DEBUG, "waited %(seconds).2f s for the quota"),
    RequestSent: (logging.DEBUG, _AT + "%(status)d after %(elapsed).3f s"),
    RequestLost: (logging.DEBUG, _AT + "%(failure)s after %(elapsed).3f s"),
    RequestRetried: (
        logging.INFO,
        _AT + "attempt %(attempt)d failed (%(reason)s), next in %(wait).2f s",
    ),
    RequestRefused: (logging.INFO, _AT + "refused by the rate limit (%(code)s)"),
    CallGivenUp: (
        logging.WARNING,
        _AT + "given up after %(attempts)d attempts and %(elapsed).2f s: %(reason)s",
    ),
    WaitRefused: (
        logging.WARNING,
        _AT + "not sent, the quota asks for %(wait).2f s and the call allows %(max_wait).2f s",
    ),
    OutageBegan: (
        logging.WARNING,
        "Intercom is away: nothing but failures for %(since).2f s (%(reason)s); bulk calls wait",
    ),
    OutageEnded: (
        logging.WARNING,
        "Intercom is back after %(seconds).0f s and %(failures)d failed requests",
    ),
}


class Reporter:
    """Hands events to the log and to an optional observer; an observer that raises does no harm."""

    __slots__ = ("_observer",)

    def __init__(self, observer: Observer | None) -> None:
        self._observer = observer

    @property
    def observed(self) -> bool:
        """Whether an observer or the log wants every event; making one is not free."""
        return self._observer is not None or logger.isEnabledFor(logging.DEBUG)

    def report(self, event: Event) -> None:
        """Log the event if it has a line, and hand it to the observer."""
        level, line = _LINES.get(type(event), (logging.NOTSET, ""))
        if line and logger.isEnabledFor(level):
            facts: dict[str, Any] = msgspec.to_builtins(event)
            line += " (request id %(request_id)s)" if "request_id" in facts else ""
            logger.log(level, line, facts, extra={"event": type(event).__name__, **facts})
        if self._observer is None:
            return
        try:
            self._observer(event)
        except Exception:
            logger.exception("the observer raised; the call goes on")
