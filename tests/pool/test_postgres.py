"""A pool's run that lies in PostgreSQL: one lease for it, beside other workers, and its report."""

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from intercom_async import IntercomPool, Journal
from intercom_async.cli.report.queries import gather
from intercom_async.journal import Binding, JournalLockedError, reader
from intercom_async.journal.postgres_runs import Runs
from tests.support.leftovers import nothing_left_behind
from tests.support.postgres_server import PostgresServer
from tests.support.town import mixed, town


@pytest.fixture
def run(postgres: PostgresServer) -> str:
    return f"{postgres.url}?run={secrets.token_hex(8)}"


async def test_a_run_left_early_goes_on_and_every_count_says_the_same(
    postgres: PostgresServer, run: str
) -> None:
    async with nothing_left_behind(), town(4, latency=0.01) as places:
        pairs = places.populate(40)
        async with IntercomPool(places.access) as pool:
            async with pool.detach_contacts(mixed(pairs), journal=run) as going:
                async for _ in going:
                    if going.summary.total >= 50:
                        break
            summary = await pool.detach_contacts(pairs, journal=run)
            assert summary.settled + summary.settled_before == 160
            assert {n for sim in places.simulators.values() for n in sim.applied.values()} == {1}

            status = await Runs(postgres.url).status(run.partition("run=")[2])
            with await asyncio.to_thread(reader.open, run) as kept:
                assert kept.counts() == status.counts == {"detached": 160}
                facts = gather(kept)
                assert kept.binding == Binding(operation="detach", base_url="several workspaces")
                seen = sum(sim.requests.total for sim in places.simulators.values())
                # 8 asked whose token it is; what was cut off before it left may have been got.
                assert 0 <= facts.requests - (seen - 8) < 50


async def test_a_workspace_in_work_elsewhere_stops_alone_and_is_left_to_the_other(
    postgres: PostgresServer, run: str
) -> None:
    async with nothing_left_behind(), town(2) as places:
        pairs = places.populate(5)

        async def submitted() -> AsyncIterator[tuple[str, str, str, None]]:
            for triple in mixed(pairs):
                yield (*triple, None)

        name = run.partition("run=")[2]
        await Runs(postgres.url).load(name, "detach", submitted())
        binding = Binding(operation="detach", base_url=places["ws0"].url, app_id="app0")
        other = await Journal(postgres.url, run=name, workspace="ws0").open(binding)
        async with IntercomPool(places.access) as pool:
            summary = await pool.detach_contacts(journal=run)
            assert [type(error) for error in summary.stopped.values()] == [JournalLockedError]
            assert summary.total == summary.settled == 5
            assert not places["ws0"].applied
            await other.close()
            summary = await pool.detach_contacts(journal=run)
        assert summary.total == summary.settled == 5


async def test_a_run_has_one_pool_at_a_time(run: str) -> None:
    async with nothing_left_behind(), town(1, latency=0.05) as places:
        pairs = places.populate(10)
        async with (
            IntercomPool(places.access) as pool,
            pool.detach_contacts(pairs, journal=run) as first,
        ):
            async for _ in first:
                with pytest.raises(JournalLockedError):
                    await pool.detach_contacts(pairs, journal=run)
                break
