"""What can go wrong, by name: one table from each fault to what it does. Pure.

    sim.faults.add(Fault.SERVER_ERROR)                            # the next request
    sim.faults.add(Fault.RESET_AFTER_APPLYING, times=3, method="DELETE")
    sim.faults.add(Fault.LATENCY, seconds=2.0, probability=0.05)
    sim.faults.add(Fault.TRUNCATED_BODY, match="1295")            # that conversation

Faults strike requests with a valid token that the quota admitted and counted. Of the faults that
replace or follow the handling of a request, only the one added first strikes; the others wait for
the next request. Faults that merely alter the reply strike beside any other.
"""

import collections
import contextlib
import enum
import functools
import inspect
import json
import random
from collections.abc import Callable
from typing import Any, Final, Self

import attrs

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator.reply import TOKEN_INVALID, Ending, Reply
from intercom_async.simulator.requests import Request

_RATE_LIMIT_HEADERS: Final = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_HTML: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n"
)


class When(enum.Enum):
    """At which point a fault strikes."""

    HOLDING = "holding"
    """Before the request is handled; it is handled when the simulator releases it."""

    INSTEAD = "instead"
    """In place of handling the request: nothing is applied."""

    AFTERWARDS = "afterwards"
    """After handling the request, on the way back."""

    ALTERING = "altering"
    """Like AFTERWARDS, but beside any other fault."""


# What each fault does to a reply; keyword parameters are the fault's options.


def _nothing(_: Reply) -> None:
    """Leave the reply as it is: the fault only holds the request."""


def _delay(reply: Reply, *, seconds: float = 1.0) -> None:
    reply.delay += seconds


def _hold(reply: Reply) -> None:
    reply.held = True


def _end(ending: Ending) -> Callable[[Reply], None]:
    def alter(reply: Reply) -> None:
        reply.ending = ending

    return alter


def _server_error(reply: Reply, *, status: int = 500) -> None:
    code = "service_unavailable" if status == 503 else "server_error"
    reply.fail(status, code, "Server Error")


def _html_error(reply: Reply, *, status: int = 502) -> None:
    reply.set_status(status)
    _html_body(reply)


def _html_body(reply: Reply) -> None:
    reply.body = _HTML
    reply.headers["Content-Type"] = "text/html"


def _empty(reply: Reply) -> None:
    reply.body = b""


def _huge(reply: Reply, *, size: int = 1 << 25) -> None:
    reply.body = b"{" + b" " * (size - 2) + b"}"


def _without_date(reply: Reply) -> None:
    reply.headers["Date"] = ""


def _without_rate_limit(reply: Reply) -> None:
    for name in _RATE_LIMIT_HEADERS:
        reply.headers.pop(name, None)


def _workspace_budget(reply: Reply) -> None:
    remaining = int(reply.headers["X-RateLimit-Remaining"])
    reply.headers["X-RateLimit-Remaining"] = str(max(1, remaining))
    # 25,000 a minute for a workspace, cut into windows of ten seconds.
    reply.fail(429, "rate_limit_exceeded", "Exceeded rate limit of 4167 in 10_seconds")


def _too_many(reply: Reply, *, seconds: float | None = None) -> None:
    reply.fail(429, "too_many_requests", "Too many requests to this resource")
    if seconds is not None:
        reply.headers["Retry-After"] = f"{seconds:g}"


def _unavailable(reply: Reply, *, seconds: float = 1.0) -> None:
    reply.fail(503, "service_unavailable", "Service Unavailable")
    reply.headers["Retry-After"] = f"{seconds:g}"


def _revoke(reply: Reply) -> None:
    reply.fail(*TOKEN_INVALID)
    _without_rate_limit(reply)


def _forbid(reply: Reply) -> None:
    reply.fail(403, "api_plan_restricted", "Active subscription needed.")


def _redirect(reply: Reply, *, status: int = 303) -> None:
    reply.set_status(status)
    reply.body = b""
    # A client that follows gets a 200 there and believes that its detach succeeded.
    reply.headers["Location"] = "/me"


def _set_cookie(reply: Reply) -> None:
    reply.headers.add("Set-Cookie", "intercom-session=simulated; path=/; HttpOnly")


def _number_ids(reply: Reply) -> None:
    def change(members: dict[str, Any]) -> dict[str, Any]:
        name = str(members.get("id"))
        return members | {"id": int(name)} if name.isdecimal() else members

    _change_objects(reply, change)


def _add_unknown(reply: Reply) -> None:
    _change_objects(reply, lambda members: members | {"undocumented": {"since": "tomorrow"}})


def _change_objects(reply: Reply, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change every JSON object of a body; a body that another fault left without JSON stays."""
    with contextlib.suppress(ValueError):
        reply.show(json.loads(reply.body, object_hook=change))


class Fault(enum.Enum):
    """Something that goes wrong; options of `FaultPlan.add` in parentheses."""

    _value_: str
    when: When
    alter: Callable[..., None]

    def __new__(cls, value: str, when: When, alter: Callable[..., None]) -> Self:
        """Keep, beside its name, when the fault strikes and what it does to a reply."""
        fault = object.__new__(cls)
        fault._value_ = value
        fault.when = when
        fault.alter = alter
        return fault

    LATENCY = "latency", When.ALTERING, _delay
    """The reply comes late, the request is applied on time (seconds=1.0)."""

    SERVER_ERROR = "server_error", When.INSTEAD, _server_error
    """5xx and nothing applied (status=500)."""

    SERVER_ERROR_AFTER_APPLYING = "server_error_after_applying", When.AFTERWARDS, _server_error
    """5xx although the request was applied (status=500)."""

    HTML_ERROR = "html_error", When.INSTEAD, _html_error
    """A gateway's HTML page, nothing applied (status=502)."""

    HTML_BODY = "html_body", When.AFTERWARDS, _html_body
    """Applied and answered 200, with HTML instead of JSON."""

    EMPTY_BODY = "empty_body", When.AFTERWARDS, _empty
    """Applied and answered 200, with nothing in it."""

    TRUNCATED_BODY = "truncated_body", When.AFTERWARDS, _end(Ending.TRUNCATED)
    """Applied; the connection closes in the middle of the body."""

    RESET_BEFORE_APPLYING = "reset_before_applying", When.INSTEAD, _end(Ending.RESET)
    """The connection is reset (RST), nothing applied."""

    RESET_AFTER_APPLYING = "reset_after_applying", When.AFTERWARDS, _end(Ending.RESET)
    """The connection is reset (RST) although the request was applied."""

    CLOSE_BEFORE_APPLYING = "close_before_applying", When.INSTEAD, _end(Ending.CLOSED)
    """The connection is closed in order without a reply, nothing applied."""

    CLOSE_AFTER_APPLYING = "close_after_applying", When.AFTERWARDS, _end(Ending.CLOSED)
    """The connection is closed in order without a reply, the request was applied."""

    HANG = "hang", When.HOLDING, _nothing
    """No reply; the request is applied and answered when the simulator releases it."""

    HANG_AFTER_APPLYING = "hang_after_applying", When.AFTERWARDS, _hold
    """Applied at once; the reply waits until the simulator releases it."""

    MISSING_RATE_LIMIT_HEADERS = (
        "missing_rate_limit_headers",
        When.ALTERING,
        _without_rate_limit,
    )
    """The three X-RateLimit headers are absent."""

    MISSING_DATE = "missing_date", When.ALTERING, _without_date
    """No Date header."""

    RATE_LIMIT_WORKSPACE = "rate_limit_workspace", When.INSTEAD, _workspace_budget
    """429 `rate_limit_exceeded` with Remaining above zero: the workspace's budget is gone."""

    TOO_MANY_REQUESTS = "too_many_requests", When.INSTEAD, _too_many
    """429 `too_many_requests`, of one resource; with Retry-After if given (seconds=None)."""

    RETRY_AFTER = "retry_after", When.INSTEAD, _unavailable
    """503 `service_unavailable` with a Retry-After header (seconds=1)."""

    UNAUTHORIZED = "unauthorized", When.INSTEAD, _revoke
    """401 from now on, without rate limit headers: the token was revoked."""

    FORBIDDEN = "forbidden", When.INSTEAD, _forbid
    """403 from now on: the plan ran out."""

    HUGE_BODY = "huge_body", When.AFTERWARDS, _huge
    """Applied; the body has `size` bytes (size=32 MiB)."""

    REDIRECT = "redirect", When.INSTEAD, _redirect
    """A redirect to a call that succeeds, nothing applied (status=303)."""

    SET_COOKIE = "set_cookie", When.ALTERING, _set_cookie
    """The reply sets a cookie."""

    NUMERIC_IDS = "numeric_ids", When.ALTERING, _number_ids
    """Ids that consist of digits come as JSON numbers."""

    UNKNOWN_FIELDS = "unknown_fields", When.ALTERING, _add_unknown
    """Every JSON object of the reply has an undocumented member."""


class Outage(enum.StrEnum):
    """How the simulator is away; see `IntercomSimulator.outage`. Nothing is applied meanwhile."""

    UNAVAILABLE = "unavailable"
    """A gateway answers 503, without rate limit headers."""

    RESET = "reset"
    """Every connection is reset (RST) when a request has arrived."""

    REFUSED = "refused"
    """No connection is accepted, and those that were are dropped."""

    SILENT = "silent"
    """Requests are taken and never answered."""


MatchRule = str | Callable[[str, str], bool]
"""A conversation id, or a predicate of the method and the encoded path."""


@attrs.define(kw_only=True)
class Injection:
    """One fault on order, as `FaultPlan.add` returns it; `struck` counts the requests so far."""

    fault: Fault
    times: int | None
    after: int
    probability: float
    method: str | None
    match: MatchRule | None
    alter: Callable[[Reply], None]
    struck: int = 0

    def _applies_to(self, request: Request) -> bool:
        if self.method not in {None, request.method}:
            return False
        if callable(self.match):
            return self.match(request.method, request.path)
        return self.match in {None, request.conversation_id}

    def strikes(self, request: Request, chance: Callable[[], float]) -> bool:
        """Decide whether it strikes a request, and count that."""
        if not self._applies_to(request):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        struck = self.probability == 1 or chance() < self.probability
        self.struck += struck
        return struck


class FaultPlan:
    """The faults on order; `struck` counts by fault the requests they struck."""

    def __init__(self, seed: int = 0) -> None:
        self.struck: collections.Counter[Fault] = collections.Counter()
        self._random = random.Random(seed)  # noqa: S311  reproducible chaos guards no secret
        self._orders: list[Injection] = []

    def add(
        self,
        fault: Fault,
        *,
        times: int | None = None,
        probability: float | None = None,
        after: int = 0,
        method: str | None = None,
        match: MatchRule | None = None,
        **options: float,
    ) -> Injection:
        """Order a fault.

        Args:
            fault: see there for its options `seconds`, `status` and `size` (bytes).
            times: how many requests it strikes. By default one; any number if a probability is
                given; UNAUTHORIZED and FORBIDDEN stay.
            probability: with which it strikes a request, 0 to 1; 1.0 strikes every one.
            after: how many matching requests it lets through first.
            match: the only requests it strikes: a conversation id, or a predicate of the method
                and the encoded path.
            options: the fault's own.
        """
        if times is not None and times < 1:
            raise InvalidArgumentError("times", times, "1 or more")
        if probability is not None and not 0 <= probability <= 1:
            raise InvalidArgumentError("probability", probability, "between 0 and 1")
        for name in options.keys() - inspect.signature(fault.alter).parameters:
            raise InvalidArgumentError(name, options[name], f"left out: {fault} has no such option")
        lasting = fault in {Fault.UNAUTHORIZED, Fault.FORBIDDEN}
        if times is None and probability is None and not lasting:
            times = 1
        order = Injection(
            fault=fault,
            times=times,
            after=after,
            probability=1.0 if probability is None else probability,
            method=method,
            match=match,
            alter=functools.partial(fault.alter, **options),
        )
        self._orders.append(order)
        return order

    def remove(self, order: Injection) -> None:
        """Take back an order; harmless when it has struck as often as it may."""
        self._orders = [other for other in self._orders if other is not order]

    def clear(self) -> None:
        """Take back all orders."""
        self._orders.clear()

    def draw(self, request: Request) -> list[Injection]:
        """Return the faults that strike a request; those that alter the reply come last."""
        deciding: list[Injection] = []
        altering: list[Injection] = []
        for order in list(self._orders):
            strikes = altering if order.fault.when is When.ALTERING else deciding
            if strikes is deciding and deciding:
                continue
            if order.strikes(request, self._random.random):
                strikes.append(order)
                self.struck[order.fault] += 1
                if order.struck == order.times:
                    self.remove(order)
        return deciding + altering
