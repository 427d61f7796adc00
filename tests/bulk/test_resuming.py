"""A run is a table: what a second session of a journal does, what it refuses, and second tries."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from intercom_async import (
    DetachResult,
    IntercomClient,
    JournalMismatchError,
    Outcome,
)
from intercom_async.journal import reader
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.rows import Pair, outcomes_in, pair_of, rows_in, settled_in

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


@pytest.fixture
def hasty(client: IntercomClient) -> IntercomClient:
    """A client that tries each request twice."""
    return client.with_options(max_retries=1)


async def left_in_the_middle(
    client: IntercomClient, path: Path, pairs: list[Pair], *, results: int
) -> None:
    """A run whose consumer leaves after some results."""
    async with client.detach_contacts(pairs, journal=path) as run:
        async for _ in run:
            if run.summary.total >= results:
                break


class TestSecondSession:
    @pytest.mark.parametrize("how", ["shuffled", "longer", "shorter", "absent"])
    async def test_whatever_its_input_it_sends_nothing_that_is_settled_and_leaves_nothing_in_doubt(
        self, sim: IntercomSimulator, client: IntercomClient, path: Path, how: str
    ) -> None:
        pairs = sim.workspace.populate(conversations=300)
        await left_in_the_middle(client, path, pairs, results=100)
        settled, begun = settled_in(path), set(rows_in(path))
        log = sim.requests.log
        assert log is not None
        since = len(log)
        inputs: dict[str, list[Pair] | None] = {
            "shuffled": random.Random(1).sample(pairs, len(pairs)),
            "longer": sim.workspace.populate(conversations=20) + pairs,
            "shorter": pairs[:10],
            "absent": None,
        }
        summary = await client.detach_contacts(inputs[how], journal=path)
        sent = {tuple(one.segments[1::2]) for one in log[since:] if one.method == "DELETE"}
        expected = set(inputs[how] or ()) | begun
        assert not sent & settled
        assert settled_in(path) == expected == set(rows_in(path))
        assert max(sim.applied.values()) == 1
        assert all(sim.applied[pair] == 1 for pair in expected)
        assert summary.settled == summary.total == len(expected) - len(settled)
        assert summary.settled_before == len(settled & set(inputs[how] or ()))

    async def test_pairs_that_were_read_and_not_sent_are_done_without_the_input(
        self, sim: IntercomSimulator, client: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=500)
        async with client.detach_contacts(pairs, journal=path) as run:
            async for _ in run:
                run.stop()  # and read the rest
        assert Counter(row.state for row in rows_in(path).values())["pending"] > 100
        summary = await client.detach_contacts(journal=path)
        assert outcomes_in(path) == dict.fromkeys(pairs, Outcome.DETACHED)
        assert run.summary.settled + summary.settled == 500

    async def test_an_input_that_was_not_read_to_its_end_is_not_called_complete(
        self, sim: IntercomSimulator, client: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=3000)
        await left_in_the_middle(client, path, pairs, results=10)
        for given, ended in ((None, False), (pairs, True), (None, True)):
            summary = await client.detach_contacts(given, journal=path)
            assert summary.input_ended is ended

    async def test_a_pair_that_failed_is_tried_again_and_counts_all_its_requests(
        self, sim: IntercomSimulator, hasty: IntercomClient, path: Path
    ) -> None:
        once = hasty.with_options(max_retries=0)
        (pair,) = sim.workspace.populate(conversations=1)
        sim.faults.add(Fault.RESET_BEFORE_APPLYING, times=1, method="DELETE")
        assert (await once.detach_contacts([pair], journal=path)).settled == 0
        before = rows_in(path)[pair].attempts
        second = await once.detach_contacts([pair], journal=path)
        assert second.settled == 1
        assert rows_in(path)[pair].attempts == before + second.requests > second.requests

    async def test_stopped_it_gives_one_result_per_pair(
        self, sim: IntercomSimulator, client: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=400)
        await left_in_the_middle(client, path, pairs, results=1)
        begun, settled = set(rows_in(path)), settled_in(path)
        seen = Counter[Pair]()
        async with client.detach_contacts(pairs, journal=path, concurrency=1) as run:
            async for result in run:
                run.stop()
                seen[pair_of(result)] += 1
        assert len(begun) > 130
        assert seen == Counter(set(pairs) - settled)

    async def test_stopped_it_does_not_write_the_rows_again_that_it_leaves_as_they_were(
        self, sim: IntercomSimulator, client: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=1000)
        async with client.detach_contacts(pairs, journal=path) as run:
            async for _ in run:
                run.stop()
        before = rows_in(path)
        sim.faults.add(Fault.UNAUTHORIZED, method="DELETE")
        summary = await client.detach_contacts(journal=path, concurrency=1)
        assert summary.outcomes[Outcome.NOT_ATTEMPTED] > 800
        assert sum(row != before[pair] for pair, row in rows_in(path).items()) < 300


class TestBelonging:
    async def test_another_workspaces_token_is_refused_naming_both_and_nothing_is_sent(
        self, path: Path
    ) -> None:
        async with (
            IntercomSimulator(app_id="first") as one,
            IntercomClient("token", base_url=one.url) as client,
        ):
            pairs = one.workspace.populate(conversations=20)
            await left_in_the_middle(client, path, pairs, results=5)
            port = one.url.rpartition(":")[2]
        kept = rows_in(path)
        async with (
            IntercomSimulator(app_id="other", port=int(port)) as other,
            IntercomClient("token", base_url=other.url) as client,
        ):
            with pytest.raises(JournalMismatchError, match=r"first.*other"):
                await client.detach_contacts(pairs, journal=path)
            assert other.requests.total == 1  # whose token is it?
        assert rows_in(path) == kept

    async def test_a_run_asks_again_whose_token_it_is_until_somebody_can_say(
        self, sim: IntercomSimulator, hasty: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=2)
        for fault in (Fault.SERVER_ERROR, Fault.RESET_BEFORE_APPLYING):
            sim.faults.add(fault, times=4, match=lambda _, path: path == "/me")
        assert (await hasty.detach_contacts(pairs, journal=path)).settled == 2
        with reader.open(path) as journal:
            assert journal.binding.app_id is not None


class TestSecondTry:
    async def test_what_failed_for_a_passing_reason_is_tried_again_at_the_end_and_told_so(
        self, sim: IntercomSimulator, hasty: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=30)
        unlucky = pairs[3]
        sim.faults.add(Fault.SERVER_ERROR, times=2, match=unlucky[0], method="DELETE")

        async def source() -> AsyncIterator[Pair]:
            for pair in pairs:
                yield pair
            await asyncio.sleep(5.0)  # by now it has failed
            yield unlucky

        async with hasty.detach_contacts(source(), journal=path) as run:
            results = [result async for result in run]
        again = [(pair_of(one), one.duplicate) for one in results if one.second_try]
        assert again == [(unlucky, False), (unlucky, True)]
        assert {result.outcome for result in results} == {Outcome.DETACHED}
        assert run.summary.second_tries == 1
        assert run.summary.total == 31
        row = rows_in(path)[unlucky]
        assert (row.second_try, row.deferred) == (True, False)

    async def test_a_run_that_stops_before_it_gives_the_first_outcome(
        self, sim: IntercomSimulator, hasty: IntercomClient
    ) -> None:
        pairs = sim.workspace.populate(conversations=300)
        sim.faults.add(Fault.SERVER_ERROR, times=20, match=pairs[0][0], method="DELETE")
        results: dict[Pair, DetachResult] = {}
        async with hasty.detach_contacts(pairs) as run:
            async for result in run:
                results[pair_of(result)] = result
                if len(results) == 250:
                    run.stop()
        assert len(results) == 300
        failed = results[pairs[0]]
        assert failed.outcome is Outcome.FAILED
        assert getattr(failed.error, "status", None) == 500


async def test_an_outage_beyond_the_runs_patience_stops_it_and_uses_no_pair_up(
    sim: IntercomSimulator, client: IntercomClient, path: Path
) -> None:
    pairs = sim.workspace.populate(conversations=400)
    away: asyncio.Task[None] | None = None
    async with client.detach_contacts(pairs, journal=path, outage_patience=120.0) as run:
        async for _ in run:
            if away is None and run.summary.total >= 50:
                away = asyncio.create_task(sim.outage(3600.0))
    assert away is not None
    away.cancel()
    assert "away for" in str(run.summary.stopped_by)
    assert run.summary.outcomes[Outcome.FAILED] == 0
    again = await client.detach_contacts(journal=path)
    assert again.outcomes[Outcome.UNKNOWN] == 0
    assert settled_in(path) == set(pairs)
