"""Traces and metrics for OpenTelemetry, by its semantic conventions for HTTP clients.

::

    async with IntercomClient(observer=OpenTelemetryObserver()) as client:
        ...

A call is an INTERNAL span, a child of whatever span the caller is in and current while the call
lasts; its refusals, waits and retries are span events. A detach that had to be checked is two
calls, a DELETE and a GET. Each attempt below it is a CLIENT span. If
`opentelemetry-instrumentation-aiohttp-client` instruments the session, that makes the span and
`http.client.request.duration`, otherwise this module does. A cancelled call does not count as
failed, nor does a detach of a contact that is gone already.

It needs the API package alone; the application chooses the SDK and the exporter. Paths with the
ids of conversations and contacts are part of a CLIENT span (`url.full`, as the conventions
demand), never of a metric; headers are part of neither.

| instrument | unit | what |
| --- | --- | --- |
| `intercom.client.call.duration` | s | each call with its waits and retries, by lane and error |
| `http.client.request.duration` | s | each request, by method, status and error |
| `intercom.client.retries` | {retry} | requests repeated after a failed attempt |
| `intercom.client.refusals` | {request} | requests refused with 429 |
| `intercom.client.quota_wait.duration` | s | waits for the quota, by lane |
| `intercom.client.rate_limit.remaining` | {request} | what is left of the quota |
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs

from intercom_async.integrations import missing

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.trace import Span, SpanKind, StatusCode
except ModuleNotFoundError as error:
    raise missing(__name__, error) from error

from intercom_async._version import __version__
from intercom_async.observing import (
    CallBegan,
    CallEnded,
    CallGivenUp,
    Event,
    OutageBegan,
    OutageEnded,
    QuotaWaited,
    RequestLost,
    RequestRefused,
    RequestRetried,
    RequestSent,
    WaitRefused,
)

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

_SCOPE: Final = "intercom_async"
"""Name of the tracer and the meter."""

SCHEMA: Final = "https://opentelemetry.io/schemas/1.44.0"
"""The version of the semantic conventions that names and attributes follow."""

_NO_ERRORS: Final = {"CancelledError", "GeneratorExit"}

_DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""Bucket boundaries in seconds that the conventions advise for request durations."""

_WITH_WAITS: Final = (*_DURATIONS, 20, 30, 60)
"""The same for calls, which may wait for some ten-second windows of the quota."""

_WORDS: Final = frozenset({"conversations", "customers", "contacts", "admins", "me", "search"})
"""The segments of our paths that are no ids."""

_SPAN_EVENTS: Final[dict[type, tuple[str, tuple[str, ...]]]] = {
    RequestRefused: ("refused", ("code",)),
    RequestRetried: ("retry", ("wait", "reason")),
    QuotaWaited: ("quota_wait", ("seconds",)),
    WaitRefused: ("wait_refused", ("wait", "max_wait")),
    CallGivenUp: ("given_up", ("reason",)),
    OutageBegan: ("outage_began", ("reason",)),
    OutageEnded: ("outage_ended", ("seconds", "failures")),
}
"""The events that go on the call's span: their names there, and their facts."""

_Attributes = dict[str, str | int | float | bool]


def template_of(path: str) -> str | None:
    """Return a path without its ids, None for a path that this library does not use."""
    segments = path.partition("?")[0].split("/")[1:]
    if segments[0] not in _WORDS:
        return None
    return "".join(f"/{word if word in _WORDS else '{id}'}" for word in segments)


class OpenTelemetryObserver:
    """An observer that turns events into spans and measurements; may serve many clients.

    Args:
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
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracer_provider, SCHEMA)
        self._common: _Attributes = dict(attributes or {})
        self._calls: dict[int, _Call] = {}
        meter = metrics.get_meter(_SCOPE, __version__, meter_provider, SCHEMA)
        self._call_duration = meter.create_histogram(
            "intercom.client.call.duration", "s", explicit_bucket_boundaries_advisory=_WITH_WAITS
        )
        self._duration = meter.create_histogram(
            "http.client.request.duration",
            "s",
            "Duration of HTTP client requests.",
            explicit_bucket_boundaries_advisory=_DURATIONS,
        )
        self._retries = meter.create_counter("intercom.client.retries", "{retry}")
        self._refusals = meter.create_counter("intercom.client.refusals", "{request}")
        self._waits = meter.create_histogram(
            "intercom.client.quota_wait.duration",
            "s",
            explicit_bucket_boundaries_advisory=_WITH_WAITS,
        )
        self._remaining = meter.create_gauge("intercom.client.rate_limit.remaining", "{request}")

    def __call__(self, event: Event) -> None:
        """Take one event; see `intercom_async.observing`."""
        if isinstance(event, CallBegan):
            self._calls[event.call] = self._begin(event)
            return
        call = self._calls.get(event.call)
        if call is None:  # the observer was handed over in the middle of a call
            return
        if type(event) in _SPAN_EVENTS:
            name, facts = _SPAN_EVENTS[type(event)]
            values = {fact: getattr(event, fact) for fact in facts}
            call.span.add_event(name, {k: v for k, v in values.items() if v is not None})
        match event:
            case RequestSent():
                error = str(event.status) if event.status >= 400 else None
                self._request(call, event, event.status, None if event.already_gone else error)
            case RequestRefused():
                self._request(call, event, 429, "429")
                self._refusals.add(1, self._common)
            case RequestLost():
                error = None if event.failure == "cancelled" else event.failure
                self._request(call, event, None, error)
            case RequestRetried():
                self._retries.add(1, self._common)
            case QuotaWaited():
                self._waits.record(event.seconds, self._common | {"intercom.lane": event.lane})
            case CallEnded():
                self._end_call(self._calls.pop(event.call), event)
            case _:
                pass

    def _begin(self, event: CallBegan) -> "_Call":
        host = urlsplit(event.base_url)
        template = template_of(event.path)
        request = self._common | {
            "http.request.method": event.method,
            "server.address": host.hostname or "",
            "server.port": host.port or (443 if host.scheme == "https" else 80),
        }
        attributes = self._common | {"intercom.lane": event.lane}
        span = self._tracer.start_span(
            f"intercom {event.method} {template}" if template else f"intercom {event.method}",
            kind=SpanKind.INTERNAL,
            attributes=attributes,
        )
        return _Call(
            span,
            context.attach(trace.set_span_in_context(span)),
            attributes,
            None if event.instrumented else request,
            event.base_url + event.path,
        )

    def _request(
        self,
        call: "_Call",
        event: RequestSent | RequestRefused | RequestLost,
        status: int | None,
        error: str | None,
    ) -> None:
        """Make a span and a measurement of a request, unless aiohttp's instrumentation does."""
        quota = None if isinstance(event, RequestLost) else event.rate_limit
        if quota is not None and quota.remaining is not None:
            self._remaining.set(quota.remaining, self._common)
        if call.request is None:
            return
        attributes = dict(call.request)
        if status is not None:
            attributes["http.response.status_code"] = status
        if error is not None:
            attributes["error.type"] = error
        self._duration.record(event.elapsed, attributes)
        now = time.time_ns()
        span = self._tracer.start_span(
            event.method,
            kind=SpanKind.CLIENT,
            attributes={**attributes, "url.full": call.url},
            start_time=now - int(event.elapsed * 1e9),
        )
        if call.sent:
            span.set_attribute("http.request.resend_count", call.sent)
        _end(span, error, None if isinstance(event, RequestLost) else event.request_id, now)
        call.sent += 1

    def _end_call(self, call: "_Call", event: CallEnded) -> None:
        error = event.error if event.error not in _NO_ERRORS else None
        if event.status is not None and event.status >= 400 and not event.already_gone:
            error = str(event.status)
        if event.error != "GeneratorExit":  # raised in whatever context closes the coroutine
            context.detach(call.token)
        span = call.span
        span.set_attribute("intercom.attempts", event.attempts)
        span.set_attribute("intercom.refusals", event.refusals)
        span.set_attribute("intercom.quota_wait", event.waited)
        _end(span, error, event.request_id)
        if error is not None:
            call.attributes["error.type"] = error
        self._call_duration.record(event.elapsed, call.attributes)


def _end(span: Span, error: str | None, request_id: str | None, at: int | None = None) -> None:
    if request_id is not None:
        span.set_attribute("intercom.request_id", request_id)
    if error is not None:
        span.set_attribute("error.type", error)
        span.set_status(StatusCode.ERROR)
    span.end(at)


@attrs.define(eq=False)
class _Call:
    """A call that has begun and not ended.

    Attributes:
        token: puts the caller's span back in its place.
        request: attributes of its requests, None where aiohttp's instrumentation sees to them.
    """

    span: Span
    token: "Token[Context]"
    attributes: _Attributes
    request: _Attributes | None
    url: str
    sent: int = 0
