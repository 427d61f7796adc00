"""Results, journal and server agree pair by pair, however the network between them breaks."""

import asyncio
from contextlib import nullcontext
from pathlib import Path

import pytest

from intercom_async import (
    ConnectionFailedError,
    IntercomClient,
    Outcome,
    ResponseDecodeError,
    RetryPolicy,
    UnknownOutcomeError,
)
from intercom_async.simulator import IntercomSimulator
from tests.chaos.accounting import disagreements, journal_of, told_once
from tests.support.fault_proxy import FaultProxy, Strike

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

PATIENCE = 0.5
QUICK = RetryPolicy(attempts=4, backoff=0.05, budget=1e9)
NEVER = RetryPolicy(attempts=1)
BODILESS = {Strike.RESET_DURING_BODY, Strike.TRUNCATED_BODY, Strike.SILENT_DURING_BODY}
HARMLESS = BODILESS | {
    Strike.DRIPPING_REPLY,
    Strike.DELAYED_REPLY,
    Strike.STALE_CLOSED,
    Strike.STALE_RESET,
    Strike.REPLY_TWICE,
}
"""Those after which the client knows the status: a write is answered by it."""


def port_of(sim: IntercomSimulator) -> int:
    return int(sim.url.rpartition(":")[2])


class TestOneCall:
    @pytest.mark.parametrize("strike", Strike)
    async def test_a_call_struck_once_succeeds(self, strike: Strike) -> None:
        async with IntercomSimulator() as sim:
            first, second = sim.workspace.populate(conversations=2)
            async with (
                FaultProxy(port_of(sim), {strike: 1.0}, times=1, delay=0.3) as proxy,
                IntercomClient(
                    "token", base_url=proxy.url, timeout=PATIENCE, retry=QUICK
                ) as client,
            ):
                for pair in (first, second):
                    lost = pytest.raises(ResponseDecodeError, match="ended early")
                    # The body is lost in these cases, the detach is not.
                    with lost if strike in BODILESS and pair == first else nullcontext():
                        found = await client.detach_contact(*pair, admin_id=sim.admin_id)
                        assert found.id == pair[0]
                    assert sim.applied[pair] == 1
                assert proxy.struck[strike] == 1
                status = client.rate_limit
                assert status is not None
                assert status.in_flight == 0

    @pytest.mark.parametrize("strike", [each for each in Strike if each not in HARMLESS])
    async def test_a_call_struck_for_good_ends_in_the_truth(self, strike: Strike) -> None:
        async with IntercomSimulator() as sim:
            (pair,) = sim.workspace.populate(conversations=1)
            async with (
                FaultProxy(port_of(sim), {strike: 1.0}) as proxy,
                IntercomClient(
                    "token", base_url=proxy.url, timeout=PATIENCE, retry=NEVER
                ) as client,
            ):
                with pytest.raises(UnknownOutcomeError):
                    await client.detach_contact(*pair, admin_id=sim.admin_id)
                proxy.be_good()
                await client.get_conversation(pair[0])
                status = client.rate_limit
                assert status is not None
                assert status.in_flight == 0


async def run_under(
    strikes: dict[Strike, float], *, seed: int, pairs: int, path: Path, retry: RetryPolicy = QUICK
) -> FaultProxy:
    """Run a bulk job through the proxy and compare its books."""
    async with IntercomSimulator(seed=seed, limit=1667) as sim:
        work = sim.workspace.populate(conversations=pairs)
        async with (
            FaultProxy(port_of(sim), strikes, seed=seed, delay=0.3) as proxy,
            IntercomClient("token", base_url=proxy.url, timeout=PATIENCE, retry=retry) as client,
            client.detach_contacts(work, admin_id=sim.admin_id, journal=path) as run,
        ):
            told = told_once([result async for result in run])
            assert run.summary.total == pairs
            status = client.rate_limit
            assert status is not None
            assert status.in_flight == 0
            assert status.waiting_bulk == 0
        assert disagreements(sim, work, told) == []
        assert journal_of(path) == told
        assert sum(outcome is Outcome.DETACHED for outcome in told.values()) > 0.5 * pairs
        return proxy


@pytest.mark.parametrize("strike", Strike)
async def test_a_run_agrees_with_the_server_under(strike: Strike, tmp_path: Path) -> None:
    proxy = await run_under({strike: 0.3}, seed=1, pairs=80, path=tmp_path / "journal")
    assert proxy.struck[strike] > 10


@pytest.mark.parametrize("seed", range(3))
async def test_a_run_agrees_with_the_server_under_everything_at_once(
    seed: int, tmp_path: Path
) -> None:
    strikes = dict.fromkeys(Strike, 0.4 / len(Strike))
    proxy = await run_under(strikes, seed=seed, pairs=300, path=tmp_path / "journal")
    assert len(proxy.struck) == len(Strike)


async def test_without_retries_failed_and_unknown_are_told_apart(tmp_path: Path) -> None:
    strikes = dict.fromkeys(Strike, 0.5 / len(Strike))
    await run_under(strikes, seed=4, pairs=200, path=tmp_path / "journal", retry=NEVER)


async def test_an_outage_of_refused_connections_is_survived(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    retry = RetryPolicy(attempts=8, backoff=0.5)
    async with IntercomSimulator(limit=1667, latency=0.02) as sim:
        work = sim.workspace.populate(conversations=200)
        async with (
            FaultProxy(port_of(sim), {}) as proxy,
            IntercomClient("token", base_url=proxy.url, timeout=PATIENCE, retry=retry) as client,
            client.detach_contacts(work, admin_id=sim.admin_id, journal=path) as run,
        ):

            async def outage() -> None:
                await asyncio.sleep(0.1)
                await proxy.refuse()
                await asyncio.sleep(2.0)
                await proxy.listen()

            breaking = asyncio.create_task(outage())
            told = told_once([result async for result in run])
            await breaking
        assert disagreements(sim, work, told) == []
        assert set(told.values()) == {Outcome.DETACHED}
        assert journal_of(path) == told


async def test_a_refused_connection_is_a_certain_failure() -> None:
    async with IntercomSimulator() as sim:
        (pair,) = sim.workspace.populate(conversations=1)
        proxy = FaultProxy(port_of(sim), {})
        async with proxy:
            pass
        async with IntercomClient("token", base_url=proxy.url, retry=QUICK) as client:
            with pytest.raises(ConnectionFailedError):
                await client.detach_contact(*pair, admin_id=sim.admin_id)
            await proxy.listen()
            await client.detach_contact(*pair, admin_id=sim.admin_id)
            await proxy.refuse()
        assert sim.applied[pair] == 1
