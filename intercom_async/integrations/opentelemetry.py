"""Traces and metrics for OpenTelemetry, by its semantic conventions for HTTP clients.

::

    async with IntercomClient(observer=OpenTelemetryObserver()) as client:
        ...

One CLIENT span stands for one call, a child of whatever span the caller is in; its attempts,
refusals, waits and retries are span events. A detach that had to be checked is two spans, a
DELETE and a GET. Needs the API package alone; which SDK and exporter collects is the
application's business. Paths with the ids of conversations and contacts are part of a span
(`url.full`, as the conventions demand), never of a metric; headers are part of neither.

| instrument | unit | what |
| --- | --- | --- |
| `http.client.request.duration` | s | each request, by method, template, status, error |
| `intercom.client.retries` | {retry} | requests repeated after a failed attempt |
| `intercom.client.refusals` | {request} | requests refused with 429 |
| `intercom.client.quota_wait.duration` | s | waits for the quota, by lane |
| `intercom.client.waits_refused` | {wait} | waits longer than the call allowed |
| `intercom.client.rate_limit.limit` | {request} | the quota per window |
| `intercom.client.rate_limit.remaining` | {request} | what is left of it |
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import metrics, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from intercom_async._version import __version__
from intercom_async.observing import (
    CallBegan,
    CallEnded,
    CallGivenUp,
    Event,
    OutageBegan,
    OutageEnded,
    QuotaWaited,
    RateLimitStatus,
    RequestLost,
    RequestRefused,
    RequestRetried,
    RequestSent,
    WaitRefused,
)

SCOPE: Final = "intercom_async"
"""Name of the tracer and the meter."""

DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Bucket boundaries in seconds that the conventions advise for request durations."""

WAITS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60)
"""Bucket boundaries in seconds for waits: the quota comes in windows of ten."""

_TEMPLATES: Final = (
    (re.compile(r"/conversations/search"), "/conversations/search"),
    (re.compile(r"/conversations/[^/]+"), "/conversations/{conversation_id}"),
    (
        re.compile(r"/conversations/[^/]+/customers"),
        "/conversations/{conversation_id}/customers",
    ),
    (
        re.compile(r"/conversations/[^/]+/customers/[^/]+"),
        "/conversations/{conversation_id}/customers/{contact_id}",
    ),
    (re.compile(r"/contacts/search"), "/contacts/search"),
    (re.compile(r"/admins/[^/]+"), "/admins/{admin_id}"),
    (re.compile(r"/me"), "/me"),
)

_Attributes = dict[str, str | int | float | bool]


def template_of(path: str) -> str | None:
    """Return a path with its ids replaced by names, None for a path that is none of ours."""
    plain = path.partition("?")[0]
    return next((name for pattern, name in _TEMPLATES if pattern.fullmatch(plain)), None)


class OpenTelemetryObserver:
    """An observer that turns events into spans and measurements; may serve many clients.

    Args:
        tracer_provider: None for the global one.
        meter_provider: None for the global one.
        attributes: added to every span and measurement, e.g. to tell workspaces apart; few
            distinct values, because each makes series of its own.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(SCOPE, __version__, tracer_provider)
        self._common: _Attributes = dict(attributes or {})
        self._calls: dict[int, _Call] = {}
        meter = metrics.get_meter(SCOPE, __version__, meter_provider)
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            unit="s",
            description="Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=DURATIONS,
        )
        self._retries = meter.create_counter(
            "intercom.client.retries",
            unit="{retry}",
            description="Requests repeated after a failed attempt.",
        )
        self._refusals = meter.create_counter(
            "intercom.client.refusals",
            unit="{request}",
            description="Requests that Intercom refused with 429.",
        )
        self._waits = meter.create_histogram(
            "intercom.client.quota_wait.duration",
            unit="s",
            description="Time that calls waited for the quota.",
            explicit_bucket_boundaries_advisory=WAITS,
        )
        self._waits_refused = meter.create_counter(
            "intercom.client.waits_refused",
            unit="{wait}",
            description="Calls that ended because the quota asked for a longer wait than allowed.",
        )
        self._limit = meter.create_gauge(
            "intercom.client.rate_limit.limit",
            unit="{request}",
            description="Requests that Intercom allows per window of ten seconds.",
        )
        self._remaining = meter.create_gauge(
            "intercom.client.rate_limit.remaining",
            unit="{request}",
            description="Requests left in the window, those in flight taken off.",
        )

    def __call__(self, event: Event) -> None:
        """Take one event; see `intercom_async.observing`."""
        if isinstance(event, CallBegan):
            self._calls[event.call] = self._begin(event)
            return
        call = self._calls.get(event.call)
        if call is None:  # the observer was handed over in the middle of a call
            return
        if isinstance(event, CallEnded):
            del self._calls[event.call]
            _end(call, event)
            return
        self._measure(call, event)
        name, attributes = _described(event)
        call.span.add_event(name, attributes)

    def _begin(self, event: CallBegan) -> "_Call":
        host = urlsplit(event.base_url)
        template = template_of(event.path)
        metric = self._common | {
            "http.request.method": event.method,
            "server.address": host.hostname or "",
            "server.port": host.port or (443 if host.scheme == "https" else 80),
            "url.scheme": host.scheme,
        }
        if template is not None:
            metric["url.template"] = template
        span = self._tracer.start_span(
            event.method if template is None else f"{event.method} {template}",
            kind=SpanKind.CLIENT,
            attributes={
                **metric,
                "url.full": event.base_url + event.path,
                "intercom.lane": event.lane,
            },
        )
        return _Call(span, metric)

    def _measure(self, call: "_Call", event: Event) -> None:
        match event:
            case RequestSent():
                self._measure_reply(call, event.status, event.elapsed, event.rate_limit)
            case RequestRefused():
                self._measure_reply(call, 429, event.elapsed, event.rate_limit)
                self._refusals.add(1, self._common)
            case RequestLost():
                self._duration.record(event.elapsed, call.metric | {"error.type": event.failure})
            case RequestRetried():
                self._retries.add(1, self._common)
            case QuotaWaited():
                self._waits.record(event.seconds, self._common | {"intercom.lane": event.lane})
            case WaitRefused():
                self._waits_refused.add(1, self._common)
            case _:
                pass

    def _measure_reply(
        self, call: "_Call", status: int, elapsed: float, quota: RateLimitStatus | None
    ) -> None:
        attributes = call.metric | {"http.response.status_code": status}
        if status >= 400:
            attributes["error.type"] = str(status)
        self._duration.record(elapsed, attributes)
        if quota is not None and quota.limit is not None and quota.remaining is not None:
            self._limit.set(quota.limit, self._common)
            self._remaining.set(quota.remaining, self._common)


class _Call:
    """A call that has begun and not ended."""

    __slots__ = ("metric", "span")

    def __init__(self, span: Span, metric: _Attributes) -> None:
        self.span = span
        self.metric = metric


def _end(call: _Call, event: CallEnded) -> None:
    attributes: _Attributes = {"intercom.quota_wait": event.waited}
    repeated = event.attempts + event.refusals - 1
    if repeated > 0:
        attributes["http.request.resend_count"] = repeated
    if event.request_id is not None:
        attributes["intercom.request_id"] = event.request_id
    error = event.error
    if event.status is not None:
        attributes["http.response.status_code"] = event.status
        if event.status >= 400:
            error = str(event.status)
    if error is not None:
        attributes["error.type"] = error
        call.span.set_status(Status(StatusCode.ERROR))
    call.span.set_attributes(attributes)
    call.span.end()


def _described(event: Event) -> tuple[str, _Attributes]:  # noqa: C901, PLR0911  a table
    """Return a span event's name and attributes."""
    match event:
        case RequestSent():
            found: _Attributes = {
                "attempt": event.attempt,
                "http.response.status_code": event.status,
            }
            return "request", _with_id(found, event.request_id)
        case RequestLost():
            return "request", {"attempt": event.attempt, "error.type": event.failure}
        case RequestRefused():
            found = {"http.response.status_code": 429}
            if event.code is not None:
                found["intercom.error_code"] = event.code
            return "refused", _with_id(found, event.request_id)
        case RequestRetried():
            return "retry", {"wait": event.wait, "reason": event.reason}
        case QuotaWaited():
            return "quota_wait", {"seconds": event.seconds}
        case WaitRefused():
            return "wait_refused", {"wait": event.wait, "max_wait": event.max_wait}
        case CallGivenUp():
            return "given_up", {"reason": event.reason}
        case OutageBegan():
            return "outage_began", {"reason": event.reason}
        case OutageEnded():
            return "outage_ended", {"seconds": event.seconds, "failures": event.failures}
        case CallBegan() | CallEnded():
            raise AssertionError(event)  # framed the span, and never come here


def _with_id(attributes: _Attributes, request_id: str | None) -> _Attributes:
    if request_id is not None:
        attributes["intercom.request_id"] = request_id
    return attributes
