"""What can go wrong, by name, and which requests it strikes. Pure.

    sim.faults.add(Fault.SERVER_ERROR)                            # the next request
    sim.faults.add(Fault.RESET_AFTER_APPLYING, times=3, method="DELETE")
    sim.faults.add(Fault.LATENCY, seconds=2.0, probability=0.05)
    sim.faults.add(Fault.TRUNCATED_BODY, match="1295")            # that conversation

Faults strike requests with a valid token that the quota admitted and counted. Of several that
would strike a request, only the one added first does; the others wait for the next request.
"""

import collections
import enum
import random
from collections.abc import Callable
from typing import Final

import attrs

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator.reply import TOKEN_INVALID, Ending, Reply
from intercom_async.simulator.requests import Request

_HTML: Final = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n"
    b"<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n"
)


class Fault(enum.Enum):
    """Something that goes wrong; options of `FaultPlan.add` in parentheses."""

    LATENCY = "latency"
    """The reply comes late, the request is applied on time (seconds=1.0)."""

    SERVER_ERROR = "server_error"
    """5xx and nothing applied (status=500)."""

    SERVER_ERROR_AFTER_APPLYING = "server_error_after_applying"
    """5xx although the request was applied (status=500)."""

    HTML_ERROR = "html_error"
    """A gateway's HTML page, nothing applied (status=502)."""

    TRUNCATED_BODY = "truncated_body"
    """Applied; the connection closes in the middle of the body."""

    RESET_BEFORE_APPLYING = "reset_before_applying"
    """The connection is reset (RST), nothing applied."""

    RESET_AFTER_APPLYING = "reset_after_applying"
    """The connection is reset (RST) although the request was applied."""

    CLOSE_BEFORE_APPLYING = "close_before_applying"
    """The connection is closed in order without a reply, nothing applied."""

    CLOSE_AFTER_APPLYING = "close_after_applying"
    """The connection is closed in order without a reply, the request was applied."""

    HANG = "hang"
    """No reply; the request is applied and answered when the simulator releases it."""

    HANG_AFTER_APPLYING = "hang_after_applying"
    """Applied at once; the reply waits until the simulator releases it."""

    MISSING_RATE_LIMIT_HEADERS = "missing_rate_limit_headers"
    """Applied; the three X-RateLimit headers are absent."""

    RATE_LIMIT_WORKSPACE = "rate_limit_workspace"
    """429 `rate_limit_exceeded` with Remaining above zero: the workspace's budget is gone."""

    TOO_MANY_REQUESTS = "too_many_requests"
    """429 `too_many_requests`, of one resource; with Retry-After if given (seconds=None)."""

    RETRY_AFTER = "retry_after"
    """503 `service_unavailable` with a Retry-After header (seconds=1.0)."""

    UNAUTHORIZED = "unauthorized"
    """401 from now on, without rate limit headers: the token was revoked."""

    FORBIDDEN = "forbidden"
    """403 from now on: the plan ran out."""

    @property
    def is_applied(self) -> bool:
        """Whether a request that it strikes is applied."""
        return self not in _NOTHING_APPLIED


_NOTHING_APPLIED: Final = frozenset({
    *(Fault.SERVER_ERROR, Fault.HTML_ERROR, Fault.RETRY_AFTER),
    *(Fault.RESET_BEFORE_APPLYING, Fault.CLOSE_BEFORE_APPLYING),
    *(Fault.RATE_LIMIT_WORKSPACE, Fault.TOO_MANY_REQUESTS, Fault.UNAUTHORIZED, Fault.FORBIDDEN),
})  # fmt: skip


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
    status: int | None
    seconds: float | None
    struck: int = 0

    def applies_to(self, request: Request) -> bool:
        """Whether the order is for such requests."""
        if self.method not in {None, request.method}:
            return False
        if callable(self.match):
            return self.match(request.method, request.path)
        return self.match in {None, request.conversation_id}

    def alter(self, reply: Reply) -> None:  # noqa: C901, PLR0912  a table
        """Turn a reply into what the fault is named for."""
        headers, status, seconds = reply.headers, self.status, self.seconds
        match self.fault:
            case Fault.LATENCY:
                reply.delay += 1.0 if seconds is None else seconds
            case Fault.SERVER_ERROR | Fault.SERVER_ERROR_AFTER_APPLYING:
                code = "service_unavailable" if status == 503 else "server_error"
                reply.fail(status or 500, code, "Server Error")
            case Fault.HTML_ERROR:
                reply.set_status(status or 502)
                reply.body = _HTML
                headers["Content-Type"] = "text/html"
            case Fault.TRUNCATED_BODY:
                reply.ending = Ending.TRUNCATED
            case Fault.RESET_BEFORE_APPLYING | Fault.RESET_AFTER_APPLYING:
                reply.ending = Ending.RESET
            case Fault.CLOSE_BEFORE_APPLYING | Fault.CLOSE_AFTER_APPLYING:
                reply.ending = Ending.CLOSED
            case Fault.HANG | Fault.HANG_AFTER_APPLYING:
                pass  # the server waits, and the reply stays what it is
            case Fault.MISSING_RATE_LIMIT_HEADERS:
                reply.hide_quota()
            case Fault.RATE_LIMIT_WORKSPACE:
                # 25,000 a minute for a workspace, cut into windows of ten seconds.
                reply.fail(429, "rate_limit_exceeded", "Exceeded rate limit of 4167 in 10_seconds")
            case Fault.TOO_MANY_REQUESTS:
                reply.fail(429, "too_many_requests", "Too many requests to this resource")
                if seconds is not None:
                    headers["Retry-After"] = f"{seconds:g}"
            case Fault.RETRY_AFTER:
                reply.fail(503, "service_unavailable", "Service Unavailable")
                headers["Retry-After"] = f"{1.0 if seconds is None else seconds:g}"
            case Fault.UNAUTHORIZED:
                reply.fail(*TOKEN_INVALID)
                reply.hide_quota()
            case Fault.FORBIDDEN:
                reply.fail(403, "api_plan_restricted", "Active subscription needed.")


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
        status: int | None = None,
        seconds: float | None = None,
    ) -> Injection:
        """Order a fault.

        Args:
            fault: see there which faults `status` and `seconds` are for.
            times: how many requests it strikes. By default one; any number if a probability is
                given; UNAUTHORIZED and FORBIDDEN stay.
            probability: that it strikes a request, 0.0 to 1.0.
            after: how many matching requests it lets through first.
            match: the only requests it strikes: a conversation id, or a predicate of the method
                and the encoded path.
        """
        if times is not None and times < 1:
            raise InvalidArgumentError("times", times, "1 or more")
        if probability is not None and not 0 <= probability <= 1:
            raise InvalidArgumentError("probability", probability, "between 0 and 1")
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
            status=status,
            seconds=seconds,
        )
        self._orders.append(order)
        return order

    def remove(self, order: Injection) -> None:
        """Take back an order; one that is used up may be taken back, too."""
        self._orders = [other for other in self._orders if other is not order]

    def clear(self) -> None:
        """Take back all orders."""
        self._orders.clear()

    def draw(self, request: Request) -> Injection | None:
        """Return the fault that strikes a request, if any, and count it."""
        for order in self._orders:
            if not order.applies_to(request):
                continue
            if order.after > 0:
                order.after -= 1
            elif order.probability == 1 or self._random.random() < order.probability:
                order.struck += 1
                self.struck[order.fault] += 1
                if order.struck == order.times:
                    self.remove(order)
                return order
        return None
