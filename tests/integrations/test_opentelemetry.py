"""Spans and metrics, read back from the SDK's in-memory exporters."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from intercom_async import (
    ConnectionFailedError,
    ContactNotFoundError,
    IntercomClient,
    RateLimitPolicy,
    RateLimitWaitError,
    RetryPolicy,
)
from intercom_async.integrations.opentelemetry import OpenTelemetryObserver, template_of
from intercom_async.simulator import Fault, IntercomSimulator
from intercom_async.transport import wire

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

TOKEN = "marked-token-value"


class Telemetry:
    """An SDK whose exporters keep everything in memory."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader])
        self._data: MetricsData | None = None

    def observer(self) -> OpenTelemetryObserver:
        return OpenTelemetryObserver(
            tracer_provider=self.tracers,
            meter_provider=self.meters,
            attributes={"intercom.workspace": "acme"},
        )

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def points(self, name: str) -> list[Any]:
        """The data points of one instrument, all read at the same moment: the first time."""
        if self._data is None:
            self._data = self.reader.get_metrics_data()
        return [
            point
            for resource in (self._data.resource_metrics if self._data is not None else ())
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


@pytest.fixture
async def sim() -> AsyncIterator[IntercomSimulator]:
    async with IntercomSimulator(token=TOKEN, latency=0.05) as simulator:
        yield simulator


def named_events(span: ReadableSpan) -> list[str]:
    return [event.name for event in span.events]


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_one_call_is_one_client_span_below_the_caller_s(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    ((conversation_id, contact_id),) = sim.workspace.populate(conversations=1)
    tracer = telemetry.tracers.get_tracer("test")
    async with IntercomClient(TOKEN, base_url=sim.url, observer=telemetry.observer()) as client:
        with tracer.start_as_current_span("job") as job:
            await client.detach_contact(conversation_id, contact_id, admin_id=sim.admin_id)
    span, parent = telemetry.spans
    assert span.parent is not None
    assert span.parent.span_id == job.get_span_context().span_id
    assert parent.name == "job"
    assert span.kind is SpanKind.CLIENT
    assert span.name == "DELETE /conversations/{conversation_id}/customers/{contact_id}"
    assert span.status.status_code is StatusCode.UNSET
    found = attributes_of(span)
    assert found.pop("intercom.request_id")
    assert found == {
        "http.request.method": "DELETE",
        "http.response.status_code": 200,
        "server.address": "127.0.0.1",
        "server.port": int(sim.url.rpartition(":")[2]),
        "url.scheme": "http",
        "url.full": f"{sim.url}/conversations/{conversation_id}/customers/{contact_id}",
        "url.template": "/conversations/{conversation_id}/customers/{contact_id}",
        "intercom.lane": "interactive",
        "intercom.quota_wait": 0.0,
        "intercom.workspace": "acme",
    }
    assert named_events(span) == ["request"]


async def test_attempts_retries_and_refusals_are_events_of_the_span(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    sim.faults.add(Fault.SERVER_ERROR, times=1, status=503)
    sim.faults.add(Fault.CLOSE_BEFORE_APPLYING, times=1)
    async with IntercomClient(TOKEN, base_url=sim.url, observer=telemetry.observer()) as client:
        await client.whoami()
        sim.faults.add(Fault.TOO_MANY_REQUESTS, times=1)
        await client.whoami()
    retried, refused = telemetry.spans
    assert (
        named_events(retried).count("retry") == attributes_of(retried)["http.request.resend_count"]
    )
    assert named_events(retried)[-1] == "request"
    assert named_events(refused) == ["refused", "quota_wait", "request"]
    assert attributes_of(refused)["intercom.quota_wait"] > 0.0
    assert attributes_of(refused)["http.request.resend_count"] == 1


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_call_that_fails_ends_its_span_with_an_error(
    sim: IntercomSimulator, telemetry: Telemetry, cancelled: bool
) -> None:
    sim.faults.add(Fault.HANG, probability=1.0)
    observer = telemetry.observer()
    policy = RetryPolicy(attempts=1)
    async with IntercomClient(
        TOKEN, base_url=sim.url, observer=observer, timeout=2.0, retry=policy
    ) as client:
        task = asyncio.create_task(client.whoami())
        if cancelled:
            await asyncio.sleep(0.5)
            task.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else ConnectionFailedError):
            await task
    (span,) = telemetry.spans
    assert span.status.status_code is StatusCode.ERROR
    expected = "CancelledError" if cancelled else "ConnectionFailedError"
    assert attributes_of(span)["error.type"] == expected
    assert observer._calls == {}


async def test_an_error_reply_is_an_error_of_the_span(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    ((conversation_id, _),) = sim.workspace.populate(conversations=1)
    async with IntercomClient(TOKEN, base_url=sim.url, observer=telemetry.observer()) as client:
        with pytest.raises(ContactNotFoundError):
            await client.detach_contact(conversation_id, "f" * 24, admin_id=sim.admin_id)
    (span,) = telemetry.spans
    assert span.status.status_code is StatusCode.ERROR
    assert attributes_of(span)["error.type"] == "404"


async def test_metrics_count_requests_retries_refusals_waits_and_the_quota_left(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    sim.faults.add(Fault.SERVER_ERROR, times=1, status=503)
    async with IntercomClient(
        TOKEN,
        base_url=sim.url,
        observer=telemetry.observer(),
        rate_limit=RateLimitPolicy(max_wait=120.0),
    ) as client:
        await client.whoami()
        sim.faults.add(Fault.TOO_MANY_REQUESTS, times=1)
        await client.whoami()
        await client.whoami()
        await asyncio.sleep(10.5 - sim.now() % 10.0)
        await client.whoami()
        sim.spend(200)
        with pytest.raises(RateLimitWaitError):
            await client.with_options(max_wait=0.1).whoami()
        stats = client.stats()
        status = client.rate_limit
    by_status: dict[int, int] = {}
    for point in telemetry.points("http.client.request.duration"):
        assert point.attributes["url.template"] == "/me"
        assert "url.full" not in point.attributes
        code = point.attributes["http.response.status_code"]
        by_status[code] = by_status.get(code, 0) + point.count
        assert point.attributes.get("error.type") == (None if code < 400 else str(code))
    assert by_status == stats.by_status
    (retries,) = telemetry.points("intercom.client.retries")
    assert retries.value == stats.retries == 1
    (refusals,) = telemetry.points("intercom.client.refusals")
    assert refusals.value == stats.refusals >= 2
    (waits,) = telemetry.points("intercom.client.quota_wait.duration")
    assert waits.count == stats.waits - stats.waits_refused
    assert waits.sum == pytest.approx(stats.waited, abs=0.2)
    (refused,) = telemetry.points("intercom.client.waits_refused")
    assert refused.value == stats.waits_refused == 1
    (limit,) = telemetry.points("intercom.client.rate_limit.limit")
    assert limit.value == 167
    (remaining,) = telemetry.points("intercom.client.rate_limit.remaining")
    assert status is not None
    assert remaining.value == status.remaining


async def test_a_lost_request_is_measured_by_its_kind_of_failure(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    sim.faults.add(Fault.CLOSE_BEFORE_APPLYING, times=1)
    async with IntercomClient(TOKEN, base_url=sim.url, observer=telemetry.observer()) as client:
        await client.whoami()
    kinds = [
        point.attributes.get("error.type")
        for point in telemetry.points("http.client.request.duration")
    ]
    assert sorted(kinds, key=str) == [None, "disconnected"]


async def test_the_token_is_in_no_span_and_no_metric(
    sim: IntercomSimulator, telemetry: Telemetry
) -> None:
    sim.faults.add(Fault.SERVER_ERROR, probability=0.5)
    sim.faults.add(Fault.RESET_AFTER_APPLYING, probability=0.3)
    pairs = sim.workspace.populate(conversations=20)
    async with IntercomClient(TOKEN, base_url=sim.url, observer=telemetry.observer()) as client:
        await client.detach_contacts(pairs, admin_id=sim.admin_id)
    assert len(telemetry.spans) >= 20
    data = telemetry.reader.get_metrics_data()
    assert data is not None
    assert TOKEN not in data.to_json()
    for span in telemetry.spans:
        assert TOKEN not in span.to_json()


async def test_every_request_the_library_builds_has_a_template_without_ids() -> None:
    requests = [
        wire.detach("1?x/", "2", "3"),
        wire.attach("1", "2", "3"),
        wire.get_conversation("1"),
        wire.search_conversations("2", per_page=5, starting_after=None),
        wire.search_contacts("email", "a@example.com", per_page=5, starting_after=None),
        wire.get_admin("3"),
        wire.me(),
    ]
    found = [template_of(request.path) for request in requests]
    assert None not in found
    assert len(set(found)) == len(requests)
    assert not [name for name in found if name is not None and any(map(str.isdigit, name))]
    assert template_of("/elsewhere") is None
