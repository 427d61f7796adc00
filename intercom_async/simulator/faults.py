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
import email.utils
import enum
import functools
import gzip
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import attrs
import msgspec

from intercom_async.errors import InvalidArgumentError
from intercom_async.simulator.documents import Document
from intercom_async.simulator.refusals import Refusal
from intercom_async.simulator.reply import RATE_LIMIT_HEADERS, Ending, Reply

MEBIBYTE: Final = 1 << 20
HTML: Final = (
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

    HTML_BODY = "html_body"
    """Applied and answered 200, with HTML instead of JSON."""

    EMPTY_BODY = "empty_body"
    """Applied and answered 200, with nothing in it."""

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
    """The three X-RateLimit headers are absent."""

    SKEWED_HEADERS = "skewed_headers"
    """Date and X-RateLimit-Reset are off by so much (seconds=3600.0)."""

    MISSING_DATE = "missing_date"
    """No Date header."""

    RATE_LIMIT_WORKSPACE = "rate_limit_workspace"
    """429 `rate_limit_exceeded` with Remaining above zero: the workspace's budget is gone."""

    TOO_MANY_REQUESTS = "too_many_requests"
    """429 `too_many_requests`, of one resource; with Retry-After if given (seconds=None)."""

    RETRY_AFTER = "retry_after"
    """503 `service_unavailable` with a Retry-After header (seconds=1)."""

    UNAUTHORIZED = "unauthorized"
    """401 from now on, without rate limit headers: the token was revoked."""

    FORBIDDEN = "forbidden"
    """403 from now on: the plan ran out."""

    GZIP_BOMB = "gzip_bomb"
    """Applied; a small gzip body that unpacks to so many bytes (size=32 MiB)."""

    HUGE_BODY = "huge_body"
    """Applied; a body of so many bytes (size=32 MiB)."""

    REDIRECT = "redirect"
    """A redirect to a call that succeeds, nothing applied (status=303)."""

    SET_COOKIE = "set_cookie"
    """The reply sets a cookie."""

    NUMERIC_IDS = "numeric_ids"
    """Ids that consist of digits come as JSON numbers."""

    UNKNOWN_FIELDS = "unknown_fields"
    """Every JSON object of the reply has a member nobody documented."""


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


MatchRule = str | Callable[[str, str], bool]
"""A conversation id, or a predicate of the method and the encoded path."""


@attrs.define(kw_only=True)
class Injection:
    """One fault on order, as `FaultPlan.add` returns it; `struck` counts the requests so far."""

    fault: Fault
    times: int | None
    after: int = 0
    probability: float = 1.0
    method: str | None = None
    match: MatchRule | None = None
    seconds: float | None = None
    status: int | None = None
    size: int | None = None
    struck: int = 0

    @property
    def spent(self) -> bool:
        """Whether it will strike no more."""
        return self.times is not None and self.struck >= self.times

    def applies_to(self, method: str, path: str, conversation_id: str | None) -> bool:
        """Whether a request is one of those it may strike."""
        if self.method not in {None, method}:
            return False
        if callable(self.match):
            return self.match(method, path)
        return self.match in {None, conversation_id}

    @property
    def when(self) -> When:
        """At which point it strikes."""
        return BEHAVIOURS[self.fault].when

    def alter(self, reply: Reply) -> None:
        """Do to the reply what the fault does."""
        BEHAVIOURS[self.fault].effect(reply, self)


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
        seconds: float | None = None,
        status: int | None = None,
        size: int | None = None,
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
        """
        behaviour = BEHAVIOURS[fault]
        if times is not None and times < 1:
            raise InvalidArgumentError("times", times, "1 or more")
        if probability is not None and not 0 <= probability <= 1:
            raise InvalidArgumentError("probability", probability, "between 0 and 1")
        if times is None and probability is None and not behaviour.lasting:
            times = 1
        given = {"seconds": seconds, "status": status, "size": size}
        options: dict[str, Any] = dict(behaviour.options)
        for name, value in given.items():
            if value is None:
                continue
            if name not in options:
                raise InvalidArgumentError(name, value, f"left out: {fault} has no such option")
            options[name] = value
        order = Injection(
            fault=fault,
            times=times,
            after=after,
            probability=1.0 if probability is None else probability,
            method=method,
            match=match,
            **options,
        )
        self._orders.append(order)
        return order

    def remove(self, order: Injection) -> None:
        """Take back an order; harmless when it is spent."""
        self._orders = [other for other in self._orders if other is not order]

    def clear(self) -> None:
        """Take back all orders."""
        self._orders.clear()

    def draw(self, method: str, path: str, conversation_id: str | None) -> list[Injection]:
        """Return the faults that strike a request; those that alter the reply come last."""
        if not self._orders:
            return []
        deciding: list[Injection] = []
        altering: list[Injection] = []
        for order in self._orders:
            strikes = altering if order.when is When.ALTERING else deciding
            if strikes is deciding and deciding:
                continue
            if order.applies_to(method, path, conversation_id) and self._strikes(order):
                strikes.append(order)
        self._orders = [order for order in self._orders if not order.spent]
        return deciding + altering

    def _strikes(self, order: Injection) -> bool:
        if order.after > 0:
            order.after -= 1
            return False
        if order.probability < 1 and self._random.random() >= order.probability:
            return False
        order.struck += 1
        self.struck[order.fault] += 1
        return True


# What each fault does to a reply.

Effect = Callable[[Reply, Injection], None]


def _delay(reply: Reply, order: Injection) -> None:
    reply.delay += order.seconds or 0.0


def _hold(reply: Reply, _: Injection) -> None:
    reply.held = True


def _ending(ending: Ending) -> Effect:
    def effect(reply: Reply, _: Injection) -> None:
        reply.ending = ending

    return effect


def _server_error(reply: Reply, order: Injection) -> None:
    status = order.status or 500
    code = "service_unavailable" if status == 503 else "server_error"
    reply.fail(status, code, "Server Error")


def _html(reply: Reply, order: Injection) -> None:
    reply.status = order.status or 200
    reply.body = HTML
    reply.headers["Content-Type"] = "text/html"


def _empty(reply: Reply, _: Injection) -> None:
    reply.body = b""


def _without(*names: str) -> Effect:
    def effect(reply: Reply, _: Injection) -> None:
        for name in names:
            reply.headers.pop(name, None)

    return effect


def _skew(reply: Reply, order: Injection) -> None:
    seconds = order.seconds or 0.0
    if (reset := reply.headers.get("X-RateLimit-Reset")) is not None:
        reply.headers["X-RateLimit-Reset"] = str(int(reset) + int(seconds))
    if (date := reply.headers.get("Date")) is not None:
        moment = email.utils.parsedate_to_datetime(date).timestamp() + seconds
        reply.headers["Date"] = email.utils.formatdate(moment, usegmt=True)


def _workspace_budget(reply: Reply, _: Injection) -> None:
    remaining = int(reply.headers["X-RateLimit-Remaining"])
    reply.headers["X-RateLimit-Remaining"] = str(max(1, remaining))
    # 25,000 a minute for a workspace, cut into windows of ten seconds.
    reply.fail(429, "rate_limit_exceeded", "Exceeded rate limit of 4167 in 10_seconds")


def _too_many(reply: Reply, order: Injection) -> None:
    reply.fail(429, "too_many_requests", "Too many requests to this resource")
    _retry_after(reply, order)


def _unavailable(reply: Reply, order: Injection) -> None:
    reply.fail(503, "service_unavailable", "Service Unavailable")
    _retry_after(reply, order)


def _retry_after(reply: Reply, order: Injection) -> None:
    if order.seconds is not None:
        reply.headers["Retry-After"] = f"{order.seconds:g}"


def _forbid(reply: Reply, _: Injection) -> None:
    reply.refuse(Refusal.PLAN_RESTRICTED)


def _revoke(reply: Reply, _: Injection) -> None:
    reply.refuse(Refusal.ACCESS_TOKEN_INVALID)
    for name in RATE_LIMIT_HEADERS:
        reply.headers.pop(name, None)


def _bomb(reply: Reply, order: Injection) -> None:
    reply.body = _packed_spaces(order.size or 0)
    reply.headers["Content-Encoding"] = "gzip"


@functools.lru_cache(maxsize=4)
def _packed_spaces(size: int) -> bytes:
    return gzip.compress(b"{" + b" " * (size - 2) + b"}", compresslevel=6, mtime=0)


def _huge(reply: Reply, order: Injection) -> None:
    reply.body = b"{" + b" " * ((order.size or 0) - 2) + b"}"


def _redirect(reply: Reply, order: Injection) -> None:
    reply.status = order.status or 303
    reply.body = b""
    # A client that follows gets a 200 there and believes that its detach succeeded.
    reply.headers["Location"] = "/me"


def _cookie(reply: Reply, _: Injection) -> None:
    reply.headers.add("Set-Cookie", "intercom-session=simulated; path=/; HttpOnly")


def _in_json(change: Callable[[Document], Document]) -> Effect:
    def effect(reply: Reply, _: Injection) -> None:
        try:
            document = msgspec.json.decode(reply.body)
        except msgspec.DecodeError:  # another fault left no JSON to alter
            return
        reply.body = msgspec.json.encode(_in_every_object(document, change))

    return effect


def _in_every_object(value: object, change: Callable[[Document], Document]) -> object:
    if isinstance(value, dict):
        members = cast("Document", value).items()
        return change({name: _in_every_object(member, change) for name, member in members})
    if isinstance(value, list):
        return [_in_every_object(element, change) for element in cast("list[object]", value)]
    return value


def _numeric_id(document: Document) -> Document:
    match document.get("id"):
        case str(name) if name.isdecimal():
            return document | {"id": int(name)}
        case _:
            return document


def _unknown_field(document: Document) -> Document:
    return document | {"undocumented": {"since": "tomorrow"}}


@attrs.frozen
class Behaviour:
    """When a fault strikes, what it does to the reply, and its options with their defaults.

    A lasting fault strikes until it is removed, unless `add` gets `times`.
    """

    when: When
    effect: Effect
    options: Mapping[str, float | None] = attrs.field(factory=dict[str, float | None])
    lasting: bool = False


_EARLY, _INSTEAD, _AFTER, _BESIDE = When.HOLDING, When.INSTEAD, When.AFTERWARDS, When.ALTERING
_RESET, _CLOSED = _ending(Ending.RESET), _ending(Ending.CLOSED)

BEHAVIOURS: Final[Mapping[Fault, Behaviour]] = MappingProxyType(
    {
        Fault.LATENCY: Behaviour(_BESIDE, _delay, {"seconds": 1.0}),
        Fault.SERVER_ERROR: Behaviour(_INSTEAD, _server_error, {"status": 500}),
        Fault.SERVER_ERROR_AFTER_APPLYING: Behaviour(_AFTER, _server_error, {"status": 500}),
        Fault.HTML_ERROR: Behaviour(_INSTEAD, _html, {"status": 502}),
        Fault.HTML_BODY: Behaviour(_AFTER, _html),
        Fault.EMPTY_BODY: Behaviour(_AFTER, _empty),
        Fault.TRUNCATED_BODY: Behaviour(_AFTER, _ending(Ending.TRUNCATED)),
        Fault.RESET_BEFORE_APPLYING: Behaviour(_INSTEAD, _RESET),
        Fault.RESET_AFTER_APPLYING: Behaviour(_AFTER, _RESET),
        Fault.CLOSE_BEFORE_APPLYING: Behaviour(_INSTEAD, _CLOSED),
        Fault.CLOSE_AFTER_APPLYING: Behaviour(_AFTER, _CLOSED),
        Fault.HANG: Behaviour(_EARLY, lambda _reply, _order: None),  # holding was all
        Fault.HANG_AFTER_APPLYING: Behaviour(_AFTER, _hold),
        Fault.MISSING_RATE_LIMIT_HEADERS: Behaviour(_BESIDE, _without(*RATE_LIMIT_HEADERS)),
        Fault.SKEWED_HEADERS: Behaviour(_BESIDE, _skew, {"seconds": 3600.0}),
        Fault.MISSING_DATE: Behaviour(_BESIDE, _without("Date")),
        Fault.RATE_LIMIT_WORKSPACE: Behaviour(_INSTEAD, _workspace_budget),
        Fault.TOO_MANY_REQUESTS: Behaviour(_INSTEAD, _too_many, {"seconds": None}),
        Fault.RETRY_AFTER: Behaviour(_INSTEAD, _unavailable, {"seconds": 1.0}),
        Fault.UNAUTHORIZED: Behaviour(_INSTEAD, _revoke, lasting=True),
        Fault.FORBIDDEN: Behaviour(_INSTEAD, _forbid, lasting=True),
        Fault.GZIP_BOMB: Behaviour(_AFTER, _bomb, {"size": 32 * MEBIBYTE}),
        Fault.HUGE_BODY: Behaviour(_AFTER, _huge, {"size": 32 * MEBIBYTE}),
        Fault.REDIRECT: Behaviour(_INSTEAD, _redirect, {"status": 303}),
        Fault.SET_COOKIE: Behaviour(_BESIDE, _cookie),
        Fault.NUMERIC_IDS: Behaviour(_BESIDE, _in_json(_numeric_id)),
        Fault.UNKNOWN_FIELDS: Behaviour(_BESIDE, _in_json(_unknown_field)),
    }
)
"""The table: a new fault is a member of `Fault` and a row here."""
