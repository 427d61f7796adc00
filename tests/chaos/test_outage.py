"""Intercom goes away in the middle of a run, and every pair gets one result, which is true."""

import asyncio

import pytest

from intercom_async import ConnectionFailedError, IntercomClient, Outcome
from intercom_async.observing import Event, RequestLost, RequestSent
from intercom_async.simulator import Fault, IntercomSimulator
from tests.chaos.accounting import disagreements, reported_once
from tests.support.outages import WAYS, be_away

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

LIMIT = 100
AWAY = 60.0


@pytest.mark.parametrize("how", WAYS)
async def test_a_run_waits_out_an_outage_at_the_price_of_a_few_requests(how: Fault | str) -> None:
    loop = asyncio.get_running_loop()
    sent: list[float] = []
    answered: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, RequestSent | RequestLost):
            sent.append(loop.time() - event.elapsed)
        if isinstance(event, RequestSent) and event.status == 200:
            answered.append(loop.time())

    async with (
        IntercomSimulator(limit=LIMIT, latency=0.1) as sim,
        IntercomClient("token", base_url=sim.url, timeout=5.0, observer=watch) as client,
    ):
        work = sim.workspace.populate(conversations=4 * LIMIT)

        async def outage() -> float:
            await asyncio.sleep(12.0)
            await be_away(sim, how, AWAY)
            return loop.time()

        away = asyncio.create_task(outage())
        async with client.detach_contacts(work, admin_id=sim.admin_id) as run:
            reported = reported_once([result async for result in run])
        ended = await away
        assert client.outage is None
    assert disagreements(sim, work, reported) == []
    assert set(reported.values()) == {Outcome.DETACHED}
    known = ended - AWAY + 10.0  # when five calls ran into their limit of five seconds
    assert sum(ended - AWAY <= at < known for at in sent) <= 128
    assert sum(known <= at < ended for at in sent) <= ended - known
    first = min(at for at in answered if at >= ended)
    assert sum(first <= at < first + 10.0 for at in answered) >= 0.95 * LIMIT


async def test_an_interactive_call_in_an_outage_tells_of_it() -> None:
    async with (
        IntercomSimulator() as sim,
        IntercomClient("token", base_url=sim.url) as client,
    ):
        away = asyncio.create_task(sim.outage(AWAY))
        await asyncio.gather(*(client.whoami() for _ in range(100)), return_exceptions=True)
        outage = client.outage
        assert outage is not None
        assert "HTTP 503" in outage.reason
        assert client.with_options(timeout=1.0).outage is not None
        requests = sim.requests.total
        told = r"Intercom has been away for .* the next check is in \d+ s; nothing was sent"
        with pytest.raises(ConnectionFailedError, match=told) as caught:
            await client.whoami()
        assert caught.value.attempts == 0
        assert caught.value.outage is not None
        await away
        assert sim.requests.total == requests
        await client.whoami()
        assert client.outage is None
