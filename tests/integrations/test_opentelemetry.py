"""Spans and metrics, read back from the SDK's in-memory exporters."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from intercom_async import (
    ConnectionFailedError,
    ContactNotFoundError,
    ConversationNotFoundError,
    IntercomClient,
    RateLimitPolicy,
    RateLimitWaitError,
    RetryPolicy,
)
from intercom_async.integrations.opentelemetry import SCHEMA, OpenTelemetryObserver, template_of
from intercom_async.simulator import Fault, IntercomSimulator
from intercom_async.transport import wire

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


class Telemetry:
    """An SDK whose exporters keep everything in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self._data: Any = None

    def client(self, sim: IntercomSimulator, **options: Any) -> IntercomClient:
        observer = OpenTelemetryObserver(
            tracer_provider=self.tracers,
            meter_provider=self.meters,
            attributes={"intercom.workspace": "acme"},
        )
        return IntercomClient(sim.token, base_url=sim.url, observer=observer, **options)

    def spans(self, *kinds: SpanKind) -> list[Any]:
        found = self.exporter.get_finished_spans()
        return [span for span in found if not kinds or span.kind in kinds]

    def points(self, name: str) -> list[Any]:
        """The data points of one instrument, all read at the same moment: the first time."""
        if self._data is None:
            self._data = self.reader.get_metrics_data()
        return [
            point
            for resource in self._data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.tracers.shutdown()
    made.meters.shutdown()


def failed(span: Any) -> bool:
    assert ("error.type" in span.attributes) is (span.status.status_code is StatusCode.ERROR)
    return "error.type" in span.attributes


async def test_a_call_is_a_span_below_the_caller_s_and_its_request_is_one_below_that(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    ((conversation_id, contact_id),) = sim.workspace.populate(conversations=1)
    tracer = telemetry.tracers.get_tracer("test")
    async with telemetry.client(sim) as client:
        with tracer.start_as_current_span("job") as job:
            await client.detach_contact(conversation_id, contact_id, admin_id=sim.admin_id)
            assert trace.get_current_span() is job
    request, call, parent = telemetry.spans()
    assert parent.name == "job"
    assert call.parent.span_id == job.get_span_context().span_id
    assert request.parent.span_id == call.context.span_id
    assert (call.kind, request.kind) == (SpanKind.INTERNAL, SpanKind.CLIENT)
    assert call.name == "intercom DELETE /conversations/{id}/customers/{id}"
    assert request.name == "DELETE"
    request_id = request.attributes["intercom.request_id"]
    assert dict(call.attributes) == {
        "intercom.attempts": 1,
        "intercom.lane": "interactive",
        "intercom.quota_wait": 0.0,
        "intercom.refusals": 0,
        "intercom.request_id": request_id,
        "intercom.workspace": "acme",
    }
    assert dict(request.attributes) == {
        "http.request.method": "DELETE",
        "http.response.status_code": 200,
        "intercom.request_id": request_id,
        "server.address": "127.0.0.1",
        "server.port": int(sim.url.rpartition(":")[2]),
        "url.full": f"{sim.url}/conversations/{conversation_id}/customers/{contact_id}",
        "intercom.workspace": "acme",
    }
    for span in (call, request):
        assert not failed(span)
        assert span.instrumentation_scope.schema_url == SCHEMA


async def test_each_attempt_is_a_span_with_its_ordinal_and_retries_are_events_of_the_call(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    sim.faults.add(Fault.SERVER_ERROR, times=1, status=503)
    sim.faults.add(Fault.TOO_MANY_REQUESTS, times=1)
    sim.faults.add(Fault.CLOSE_BEFORE_APPLYING, times=1)
    async with telemetry.client(sim) as client:
        await client.whoami()
    (call,) = telemetry.spans(SpanKind.INTERNAL)
    requests = [span.attributes for span in telemetry.spans(SpanKind.CLIENT)]
    assert [found.get("http.request.resend_count") for found in requests] == [None, 1, 2, 3]
    errors = [found.get("error.type") for found in requests]
    assert errors.pop() is None
    assert sorted(errors) == ["429", "503", "disconnected"]
    measured = telemetry.points("http.client.request.duration")
    assert {point.attributes.get("error.type") for point in measured} == {*errors, None}
    assert not failed(call)
    events = [event.name for event in call.events if event.name != "quota_wait"]
    assert sorted(events) == ["refused", "retry", "retry"]
    assert call.attributes["intercom.attempts"] == 3
    assert call.attributes["intercom.refusals"] == 1


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_call_that_fails_is_an_error_and_one_that_is_cancelled_is_none(
    sim: IntercomSimulator, telemetry: Telemetry, cancelled: bool
) -> None:
    sim.faults.add(Fault.HANG, probability=1.0)
    async with telemetry.client(sim, timeout=2.0, retry=RetryPolicy(attempts=1)) as client:
        task = asyncio.create_task(client.whoami())
        if cancelled:
            await asyncio.sleep(0.5)
            task.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else ConnectionFailedError):
            await task
    assert [failed(span) for span in telemetry.spans()] == 2 * [not cancelled]
    (point,) = telemetry.points("intercom.client.call.duration")
    assert point.attributes.get("error.type") == (None if cancelled else "ConnectionFailedError")


async def test_a_contact_that_is_gone_already_is_no_error_and_a_missing_conversation_is(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    ((conversation_id, _),) = sim.workspace.populate(conversations=1)
    async with telemetry.client(sim) as client:
        with pytest.raises(ContactNotFoundError):
            await client.detach_contact(conversation_id, "f" * 24, admin_id=sim.admin_id)
        with pytest.raises(ConversationNotFoundError):
            await client.detach_contact("404", "f" * 24, admin_id=sim.admin_id)
    spans = telemetry.spans()
    assert [failed(span) for span in spans] == [False, False, True, True]
    assert spans[0].attributes["http.response.status_code"] == 404


@pytest.mark.parametrize("own", [False, True], ids=["the client's session", "one's own session"])
async def test_beside_the_instrumentation_of_aiohttp_no_request_is_counted_twice(
    sim: IntercomSimulator, telemetry: Telemetry, own: bool
) -> None:
    sim.faults.add(Fault.SERVER_ERROR, times=1, status=503)
    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=telemetry.tracers, meter_provider=telemetry.meters)
    try:
        async with (
            aiohttp.ClientSession() as session,
            telemetry.client(sim, session=session if own else None) as client,
        ):
            await client.whoami()
    finally:
        instrumentor.uninstrument()
    (call,) = telemetry.spans(SpanKind.INTERNAL)
    requests = telemetry.spans(SpanKind.CLIENT)
    assert len(requests) == client.stats().requests == 2
    for request in requests:
        assert request.parent.span_id == call.context.span_id
        assert "aiohttp" in request.instrumentation_scope.name
    names = ("http.client.request.duration", "http.client.duration")
    assert sum(point.count for name in names for point in telemetry.points(name)) == 2


async def test_metrics_count_requests_retries_refusals_waits_and_the_quota_left(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    sim.faults.add(Fault.SERVER_ERROR, times=1, status=503)
    async with telemetry.client(sim, rate_limit=RateLimitPolicy(max_wait=120.0)) as client:
        await client.whoami()
        sim.faults.add(Fault.TOO_MANY_REQUESTS, times=1)
        await client.whoami()
        await client.whoami()
        await asyncio.sleep(10.5 - sim.now() % 10.0)
        await client.whoami()
        sim.spend(100_000)
        with pytest.raises(RateLimitWaitError):
            await client.with_options(max_wait=0.1).whoami()
        stats = client.stats()
        status = client.rate_limit
    by_status = Counter[int]()
    for point in telemetry.points("http.client.request.duration"):
        assert not [name for name in point.attributes if name.startswith("url.")]
        code = point.attributes["http.response.status_code"]
        by_status[code] += point.count
        assert point.attributes.get("error.type") == (None if code < 400 else str(code))
    assert by_status == stats.by_status
    (retries,) = telemetry.points("intercom.client.retries")
    assert retries.value == stats.retries == 1
    (refusals,) = telemetry.points("intercom.client.refusals")
    assert refusals.value == stats.refusals >= 2
    (waits,) = telemetry.points("intercom.client.quota_wait.duration")
    assert waits.count == stats.waits - stats.waits_refused
    assert waits.sum == pytest.approx(stats.waited, abs=0.2)
    (remaining,) = telemetry.points("intercom.client.rate_limit.remaining")
    assert status is not None
    assert remaining.value == status.remaining


async def test_the_token_is_in_no_span_and_no_metric(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    sim.token = "marked-token-value"
    sim.faults.add(Fault.SERVER_ERROR, probability=0.5)
    sim.faults.add(Fault.RESET_AFTER_APPLYING, probability=0.3)
    pairs = sim.workspace.populate(conversations=20)
    async with telemetry.client(sim) as client:
        await client.detach_contacts(pairs, admin_id=sim.admin_id)
    data: Any = telemetry.reader.get_metrics_data()
    told = [data.to_json(), *(span.to_json() for span in telemetry.spans())]
    assert len(told) > 20
    assert not [one for one in told if sim.token in one]


@pytest.mark.parametrize(
    ("path", "template"),
    [
        (wire.detach("1?x/", "2", "3").path, "/conversations/{id}/customers/{id}"),
        (wire.attach("1", "2", "3").path, "/conversations/{id}/customers"),
        (wire.get_conversation("1").path, "/conversations/{id}"),
        (wire.get_admin("3").path, "/admins/{id}"),
        (wire.me().path, "/me"),
        ("/contacts/search", "/contacts/search"),
        ("/elsewhere", None),
    ],
)
async def test_a_template_has_no_ids(path: str, template: str | None) -> None:
    assert template_of(path) == template
