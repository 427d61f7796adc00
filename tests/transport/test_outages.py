"""What calls do while Intercom is away: who waits, who looks, who fails, and what comes after."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trustme

from intercom_async import (
    CertificateError,
    ClientStateError,
    ConnectionFailedError,
    DetachRun,
    IntercomClient,
    IntercomError,
    Outcome,
    RetryPolicy,
)
from intercom_async.observing import Event, OutageBegan, OutageEnded, RequestLost, RequestSent
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.accounting import disagreements, reported_once
from tests.support.leftovers import holds_nothing
from tests.support.raw_server import RawServer, always, reply

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

LIMIT = 100
CALLERS = 60

REFUSED, UNAVAILABLE = "refused", "unavailable"
WAYS = [UNAVAILABLE, REFUSED, Fault.RESET_BEFORE_APPLYING, Fault.HANG]
"""In which Intercom is away."""


@attrs.define
class World:
    """A simulator, a client of it, and what that sent."""

    sim: IntercomSimulator
    client: IntercomClient
    events: list[tuple[float, Event]]
    """When each was told, by the loop's clock."""

    def run(self, pairs: int = 4 * LIMIT, *, concurrency: int | None = None) -> DetachRun:
        """Begin a run that no outage may stop."""
        work = self.sim.workspace.populate(conversations=pairs)
        return self.client.detach_contacts(
            work, admin_id=self.sim.admin_id, concurrency=concurrency, outage_patience=1e6
        )

    def work(self) -> asyncio.Task[None]:
        """Begin a run whose results are taken as they come."""

        async def work() -> None:
            async with self.run() as run:
                async for _ in run:
                    pass

        return asyncio.create_task(work())

    async def be_away(self, how: Fault | str, seconds: float) -> None:
        """Apply nothing for so many seconds."""
        if how == UNAVAILABLE:
            await self.sim.outage(seconds)
        elif isinstance(how, Fault):
            order = self.sim.faults.add(how, probability=1.0)
            await asyncio.sleep(seconds)
            self.sim.faults.remove(order)
        else:
            await self.sim.aclose()
            await asyncio.sleep(seconds)
            await self.sim.start()

    async def begin_outage(self, how: Fault | str, seconds: float = 60.0) -> asyncio.Task[None]:
        """Be away, and return when the client knows."""
        away = asyncio.create_task(self.be_away(how, seconds))
        while self.client.outage is None:  # noqa: ASYNC110  the client has no event for it
            await asyncio.sleep(0.01)
        return away

    @property
    def sent(self) -> list[float]:
        """When each request left."""
        return [
            at - event.elapsed
            for at, event in self.events
            if isinstance(event, RequestSent | RequestLost)
        ]


@asynccontextmanager
async def world(*, retry: RetryPolicy | None = None) -> AsyncGenerator[World]:
    events: list[tuple[float, Event]] = []
    time = asyncio.get_running_loop().time
    async with (
        IntercomSimulator(limit=LIMIT, latency=0.1) as sim,
        IntercomClient(
            "token",
            base_url=sim.url,
            retry=retry or RetryPolicy(),
            timeout=5.0,
            observer=lambda event: events.append((time(), event)),
        ) as client,
    ):
        yield World(sim, client, events)


@pytest.mark.parametrize("how", WAYS)
async def test_no_outage_is_too_long_for_calls_that_wait_however_few_attempts_they_have(
    how: Fault | str,
) -> None:
    policy = RetryPolicy(attempts=2, total_time=12.0)
    async with world(retry=policy) as here:
        away = asyncio.create_task(here.be_away(how, 1800.0))  # before the first answer, too
        await asyncio.sleep(0.01)
        summary = await here.run(LIMIT, concurrency=6)
        assert away.done()
        assert summary.outcomes[Outcome.DETACHED] == LIMIT
        assert here.client.stats().given_up == 0
        assert len(here.sent) < LIMIT + 200


@pytest.mark.parametrize("how", WAYS)
async def test_a_run_waits_out_an_outage_at_the_price_of_a_few_requests(how: Fault | str) -> None:
    async with world() as here:
        time = asyncio.get_running_loop().time

        async def be_away_later() -> tuple[float, float]:
            await asyncio.sleep(12.0)
            began = time()
            await here.be_away(how, 60.0)
            return began, time()

        away = asyncio.create_task(be_away_later())
        async with here.run() as run:
            reported = reported_once([result async for result in run])
        began, ended = await away
        assert here.client.outage is None
    assert list(reported.values()) == [Outcome.DETACHED] * 4 * LIMIT
    assert disagreements(here.sim, reported, reported) == []
    known = began + 10.0  # when five calls ran into their limit of five seconds
    assert sum(began <= at < known for at in here.sent) <= 128
    assert sum(known <= at < ended for at in here.sent) <= ended - known
    answered = [
        at
        for at, event in here.events
        if at >= ended and isinstance(event, RequestSent) and event.status == 200
    ]
    assert sum(at < answered[0] + 10.0 for at in answered) >= 0.95 * LIMIT


@pytest.mark.parametrize("how", WAYS)
async def test_any_number_of_interactive_callers_makes_no_storm(how: Fault | str) -> None:
    calls = 0
    async with world() as here:

        async def impatient() -> None:
            nonlocal calls
            while True:
                calls += 1
                with contextlib.suppress(IntercomError):
                    await here.client.whoami()
                await asyncio.sleep(1.0)

        callers = [asyncio.create_task(impatient()) for _ in range(CALLERS)]
        await asyncio.sleep(5.0)
        away = await here.begin_outage(how, 150.0)
        await asyncio.sleep(1.0)
        before, calls = len(here.sent), 0
        await asyncio.sleep(70.0)
        assert calls > 25 * CALLERS
        assert len(here.sent) - before <= CALLERS + 20  # in flight then, and looks
        before = len(here.sent)
        await asyncio.sleep(30.0)
        assert len(here.sent) - before <= 10
        for caller in callers:
            caller.cancel()
        await away


async def test_callers_that_never_wait_between_calls_do_not_hold_the_loop() -> None:
    async with world() as here:
        running = here.work()
        _ = await here.begin_outage(UNAVAILABLE)

        async def hasty() -> None:
            while True:
                with contextlib.suppress(ConnectionFailedError):
                    await here.client.whoami()

        caller = asyncio.create_task(hasty())
        for _ in range(1000):
            await asyncio.sleep(0)
        for task in (caller, running):
            task.cancel()


async def test_a_refused_certificate_is_no_outage() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with (
        RawServer(always(reply()), ssl_context=context) as server,
        IntercomClient("token", base_url=server.url) as client,
    ):
        for _ in range(20):
            with pytest.raises(CertificateError):
                await client.whoami()
            await asyncio.sleep(0.1)
        assert client.outage is None


async def test_pairs_that_are_always_answered_with_500_end_although_nothing_else_is_left() -> None:
    async with world() as here:
        here.sim.faults.add(Fault.SERVER_ERROR, probability=1.0, method="DELETE", status=500)
        async with here.run(20) as run:
            results = [result async for result in run]
    assert {result.outcome for result in results} == {Outcome.FAILED}
    assert {result.attempts for result in results} == {16}  # five and three looks, and once more


@pytest.mark.parametrize("how", WAYS)
async def test_cancelled_calls_leave_no_look_and_no_permit(how: Fault | str) -> None:
    async with world() as here:
        running = here.work()
        await asyncio.sleep(1.0)
        away = await here.begin_outage(how, 40.0)
        await asyncio.sleep(7.3)
        status = here.client.rate_limit
        assert status is None or status.in_flight <= 1
        running.cancel()
        await asyncio.wait([running])
        assert holds_nothing(here.client)
        await away
        await asyncio.sleep(30.0)
        await here.client.whoami()  # it may look


async def test_closing_ends_all_waiting_at_once() -> None:
    async with world() as here:
        running = here.work()
        _ = await here.begin_outage(UNAVAILABLE)
        await asyncio.sleep(0.3)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await here.client.aclose()
        with contextlib.suppress(ClientStateError):
            await asyncio.wait_for(running, 5.0)
        assert loop.time() - began < 1.0
        assert holds_nothing(here.client)


async def test_an_outage_is_told_when_it_begins_and_ends_and_by_each_call_that_it_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "intercom_async"):
        async with world() as here:
            running = here.work()
            away = await here.begin_outage(UNAVAILABLE)
            await asyncio.sleep(20.0)
            status = here.client.outage
            assert status is not None
            assert 20.0 < status.since < 23.0
            assert "HTTP 503" in status.reason
            assert 0.0 <= status.next_look <= 30.0
            assert here.client.with_options(timeout=1.0).outage is not None
            told = r"Intercom has been away for .* the next check is in \d+ s; nothing was sent"
            with pytest.raises(ConnectionFailedError, match=told) as caught:
                await here.client.whoami()
            assert caught.value.attempts == 0
            assert caught.value.outage is not None
            await away
            await running
            assert here.client.outage is None
    kinds = [type(event) for _, event in here.events]
    assert [kind for kind in kinds if kind in {OutageBegan, OutageEnded}] == [
        OutageBegan,
        OutageEnded,
    ]
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0].split(" after")[0] for line in lines] == [
        "Intercom is away",
        "Intercom is back",
    ]
