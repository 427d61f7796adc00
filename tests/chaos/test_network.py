"""Results, journal and server agree pair by pair, however the network between them breaks."""

import asyncio
from pathlib import Path

import pytest

from intercom_async import IntercomClient, Outcome, RetryPolicy
from intercom_async.simulator import IntercomSimulator
from intercom_async.transport.outage import CALLS
from tests.support.accounting import disagreements, reported_once
from tests.support.fault_proxy import FaultProxy, Strike
from tests.support.leftovers import holds_nothing
from tests.support.rows import Pair, outcomes_in, rows_in

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

QUICK = RetryPolicy(attempts=4, backoff=0.05, budget=1e9)
NEVER = RetryPolicy(attempts=1)


def client_for(url: str, retry: RetryPolicy) -> IntercomClient:
    return IntercomClient("token", base_url=url, timeout=0.5, retry=retry)


@pytest.mark.parametrize("strike", Strike)
async def test_a_call_struck_once_succeeds(strike: Strike) -> None:
    steady = RetryPolicy(attempts=4, backoff=0.05, jitter=0.0)
    async with (
        IntercomSimulator() as sim,
        FaultProxy(sim.url, {strike: 1.0}, times=1, delay=0.3) as proxy,
        client_for(proxy.url, steady) as client,
    ):
        for pair in sim.workspace.populate(conversations=2):
            found = await client.detach_contact(*pair, admin_id=sim.admin_id)
            assert found.id == pair[0]
            assert sim.applied[pair] == 1
        assert proxy.struck[strike] == 1
        assert holds_nothing(client)


async def run_at(
    url: str, sim: IntercomSimulator, work: list[Pair], path: Path, *, retry: RetryPolicy = QUICK
) -> dict[Pair, Outcome]:
    """Run a bulk job through the proxy; results, journal and server must agree."""
    async with (
        client_for(url, retry) as client,
        client.detach_contacts(work, admin_id=sim.admin_id, journal=path) as run,
    ):
        reported = reported_once([result async for result in run])
        assert run.summary.total == len(work)
        assert holds_nothing(client)
    late = {pair for pair, row in rows_in(path).items() if row.in_doubt}
    assert disagreements(sim, work, reported, late=late) == []
    assert outcomes_in(path) == reported
    return reported


@pytest.mark.parametrize("retry", [QUICK, NEVER], ids=["retries", "no retries"])
async def test_a_run_agrees_with_the_server_under_everything_at_once(
    retry: RetryPolicy, tmp_path: Path
) -> None:
    strikes = dict.fromkeys(Strike, 0.4 / len(Strike)) | {Strike.REFUSED: 0.01}
    async with (
        IntercomSimulator(limit=1667) as sim,
        FaultProxy(sim.url, strikes, delay=0.3) as proxy,
    ):
        if retry is NEVER:  # a run ends when it cannot ask whose it is
            proxy.strike_only(b"DELETE", b"GET /conversations/")
        runs = 0
        while set(proxy.struck) != set(Strike):  # chance may leave one out, not for long
            runs += 1
            assert runs < 20
            work = sim.workspace.populate(conversations=480)
            path = tmp_path / f"journal-{runs}"
            reported = await run_at(proxy.url, sim, work, path, retry=retry)
            assert list(reported.values()).count(Outcome.DETACHED) > 60


async def test_a_request_that_arrives_after_its_pair_was_called_failed_is_found_by_the_next_run(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal"
    async with IntercomSimulator(limit=1667) as sim:
        work = sim.workspace.populate(conversations=CALLS - 1)  # or it would be an outage
        async with FaultProxy(sim.url, {Strike.LATE_REQUEST: 1.0}, delay=5.0) as proxy:
            # The checks pass; what they find is true, and out of date a moment later.
            proxy.strike_only(b"DELETE")
            reported = await run_at(proxy.url, sim, work, path, retry=NEVER)
            assert set(reported.values()) == {Outcome.FAILED}
            await asyncio.sleep(20.0)
            assert len(sim.applied) == len(work)
            proxy.be_good()
            reported = await run_at(proxy.url, sim, work, path)
        assert reported == dict.fromkeys(work, Outcome.DETACHED)


async def test_or_by_the_second_try_of_the_same_run(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    # Two attempts and a check until 2.0 s; the first is applied at 3.0; tried again at 4.0.
    retry = RetryPolicy(attempts=2, backoff=1.0, jitter=0.0)
    async with IntercomSimulator(limit=1667) as sim:
        work = sim.workspace.populate(conversations=10)
        late = {Strike.LATE_REQUEST: 1.0}
        async with FaultProxy(sim.url, late, times=2 * len(work), delay=1.0) as proxy:
            proxy.strike_only(b"DELETE")
            reported = await run_at(proxy.url, sim, work, path, retry=retry)
        assert reported == dict.fromkeys(work, Outcome.DETACHED)
        assert all(row.inferred for row in rows_in(path).values())
