"""A run is a table: what a second session of a journal does, and what it refuses."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from intercom_async import (
    DetachResult,
    IntercomClient,
    InvalidArgumentError,
    JournalLockedError,
    JournalMismatchError,
    Outcome,
    RetryPolicy,
)
from intercom_async.journal import reader
from intercom_async.runtime import Runtime, TimerHandle
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.rows import outcomes_in, rows_in, settled_in

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

Pairs = list[tuple[str, str]]


async def left_in_the_middle(
    sim: IntercomSimulator, path: Path, pairs: Pairs, *, results: int
) -> None:
    """A run whose consumer leaves after some results."""
    async with (
        IntercomClient("token", base_url=sim.url) as client,
        client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path) as run,
    ):
        seen = 0
        async for _ in run:
            seen += 1
            if seen == results:
                break


class TestSecondSession:
    @pytest.mark.parametrize("how", ["shuffled", "longer", "shorter", "absent"])
    async def test_whatever_its_input_it_sends_nothing_that_is_settled_and_leaves_nothing_in_doubt(
        self, tmp_path: Path, how: str
    ) -> None:
        path = tmp_path / "run.db"
        async with IntercomSimulator(limit=100_000, latency=0.05, keep_log=True) as sim:
            pairs = sim.workspace.populate(conversations=300)
            await left_in_the_middle(sim, path, pairs, results=100)
            settled, begun = settled_in(path), set(rows_in(path))
            more = sim.workspace.populate(conversations=20)
            log = sim.requests.log
            assert log is not None
            since = len(log)
            inputs: dict[str, Pairs | None] = {
                "shuffled": random.Random(1).sample(pairs, len(pairs)),
                "longer": more + pairs,
                "shorter": pairs[:10],
                "absent": None,
            }
            async with IntercomClient("token", base_url=sim.url) as client:
                summary = await client.detach_contacts(
                    inputs[how], admin_id=sim.admin_id, journal=path
                )
            sent = {one.segments[1::2] for one in log[since:] if one.method == "DELETE"}
            expected = set(inputs[how] or ()) | begun
            assert not {tuple(one) for one in sent} & settled
            assert settled_in(path) == expected == set(rows_in(path))
            assert max(sim.applied.values()) == 1
            assert all(sim.applied[pair] == 1 for pair in expected)
            assert summary.settled == summary.total == len(expected) - len(settled)
            assert summary.settled_before == len(settled & set(inputs[how] or ()))

    async def test_pairs_that_were_read_and_not_sent_are_done_without_the_input(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.db"
        async with IntercomSimulator(limit=100_000, latency=0.05) as sim:
            pairs = sim.workspace.populate(conversations=500)
            async with IntercomClient("token", base_url=sim.url) as client:
                async with client.detach_contacts(
                    pairs, admin_id=sim.admin_id, journal=path
                ) as run:
                    async for _ in run:
                        run.stop()  # and read the rest
                assert Counter(row.state for row in rows_in(path).values())["pending"] > 100
                summary = await client.detach_contacts(journal=path, admin_id=sim.admin_id)
            assert outcomes_in(path) == dict.fromkeys(pairs, Outcome.DETACHED)
            assert run.summary.settled + summary.settled == 500
            assert summary.input_ended
            with reader.open(path) as journal:
                assert [one.source and one.source.kind for one in journal.sessions] == [
                    None,
                    "journal",
                ]

    async def test_an_input_that_was_not_read_to_its_end_is_not_called_complete(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.db"
        async with IntercomSimulator(limit=100_000, latency=0.05) as sim:
            pairs = sim.workspace.populate(conversations=3000)
            await left_in_the_middle(sim, path, pairs, results=10)
            async with IntercomClient("token", base_url=sim.url) as client:
                rest = await client.detach_contacts(journal=path, admin_id=sim.admin_id)
                assert not rest.input_ended
                whole = await client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path)
                assert whole.input_ended
                assert (await client.detach_contacts(journal=path)).input_ended

    async def test_it_needs_pairs_or_a_journal(self) -> None:
        async with IntercomClient("token") as client:
            with pytest.raises(InvalidArgumentError, match="pairs"):
                _ = client.detach_contacts(journal=None)

    async def test_a_pair_that_failed_is_tried_again_and_counts_all_its_requests(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.db"
        retry = RetryPolicy(attempts=1)
        async with (
            IntercomSimulator() as sim,
            IntercomClient("token", base_url=sim.url, retry=retry) as client,
        ):
            (pair,) = sim.workspace.populate(conversations=1)
            sim.faults.add(Fault.RESET_BEFORE_APPLYING, times=1, method="DELETE")
            first = await client.detach_contacts([pair], admin_id=sim.admin_id, journal=path)
            assert first.settled == 0
            before = rows_in(path)[pair].attempts
            second = await client.detach_contacts([pair], admin_id=sim.admin_id, journal=path)
            assert second.settled == 1
            assert rows_in(path)[pair].attempts == before + second.requests > second.requests


class TestBelonging:
    async def test_another_workspaces_token_is_refused_naming_both_and_nothing_is_sent(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.db"
        async with IntercomSimulator(app_id="first") as one:
            pairs = one.workspace.populate(conversations=20)
            await left_in_the_middle(one, path, pairs, results=5)
            port = one.url.rpartition(":")[2]
        kept = path.read_bytes()
        async with (
            IntercomSimulator(app_id="other", port=int(port)) as other,
            IntercomClient("token", base_url=other.url) as client,
        ):
            with pytest.raises(JournalMismatchError, match=r"first.*other"):
                await client.detach_contacts(pairs, admin_id=other.admin_id, journal=path)
            assert other.requests.total == 1  # whose token is it?
        assert path.read_bytes() == kept

    async def test_another_token_of_the_same_workspace_goes_on(self, tmp_path: Path) -> None:
        path = tmp_path / "run.db"
        async with IntercomSimulator(limit=1000) as sim:
            pairs = sim.workspace.populate(conversations=20)
            await left_in_the_middle(sim, path, pairs, results=5)
            sim.token = "rotated"
            async with IntercomClient("rotated", base_url=sim.url) as client:
                await client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path)
        assert settled_in(path) == set(pairs)

    async def test_an_attach_does_not_go_on_with_a_detachs_journal(self, tmp_path: Path) -> None:
        path = tmp_path / "run.db"
        async with IntercomSimulator() as sim, IntercomClient("token", base_url=sim.url) as client:
            pairs = sim.workspace.populate(conversations=2)
            await client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path)
            with pytest.raises(JournalMismatchError, match=r"detach.*attach"):
                await client.attach_contacts(pairs, admin_id=sim.admin_id, journal=path)

    async def test_two_runs_do_not_write_one_journal(self, tmp_path: Path) -> None:
        path = tmp_path / "run.db"
        async with (
            IntercomSimulator() as sim,
            IntercomClient("token", base_url=sim.url, admin_id=sim.admin_id) as client,
        ):
            (pair,) = sim.workspace.populate(conversations=1)

            async def source() -> AsyncIterator[tuple[str, str]]:
                yield pair
                await asyncio.Event().wait()

            async with client.detach_contacts(source(), journal=path) as run:
                async for _ in run:
                    with pytest.raises(JournalLockedError):
                        await client.detach_contacts([pair], journal=path)
                    break

    async def test_a_run_asks_again_whose_token_it_is_until_somebody_can_say(
        self, tmp_path: Path
    ) -> None:
        retry = RetryPolicy(attempts=1)
        async with (
            IntercomSimulator(app_id="first") as sim,
            IntercomClient("token", base_url=sim.url, retry=retry) as client,
        ):
            pairs = sim.workspace.populate(conversations=2)
            for fault in (Fault.SERVER_ERROR, Fault.RESET_BEFORE_APPLYING):
                sim.faults.add(fault, times=2, match=lambda _, path: path == "/me")
            summary = await client.detach_contacts(
                pairs, admin_id=sim.admin_id, journal=tmp_path / "run.db"
            )
        assert summary.settled == 2
        with reader.open(tmp_path / "run.db") as journal:
            assert journal.binding.app_id == "first"


class TestSecondTry:
    async def test_what_failed_for_a_passing_reason_is_tried_again_at_the_end_and_told_so(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.db"
        retry = RetryPolicy(attempts=2, backoff=0.01)
        async with (
            IntercomSimulator(limit=1000) as sim,
            IntercomClient("token", base_url=sim.url, retry=retry) as client,
        ):
            pairs = sim.workspace.populate(conversations=30)
            unlucky = pairs[3]
            sim.faults.add(Fault.SERVER_ERROR, times=2, match=unlucky[0], method="DELETE")
            async with client.detach_contacts(
                [*pairs, unlucky], admin_id=sim.admin_id, journal=path
            ) as run:
                results = [result async for result in run]
            again = [result for result in results if result.second_try]
            assert [(one.detach.conversation_id, one.duplicate) for one in again] == [
                (unlucky[0], False),
                (unlucky[0], True),
            ]
            assert {result.outcome for result in results} == {Outcome.DETACHED}
            assert run.summary.second_tries == 1
            assert run.summary.total == 31
            row = rows_in(path)[unlucky]
            assert (row.second_try, row.deferred) == (True, False)

    async def test_it_begins_though_its_timer_comes_early(self) -> None:
        class EarlyTimers(Runtime):
            # uvloop counts in milliseconds, so its timers may come before their time.
            def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
                return super().call_later(0.9 * seconds, callback)

        retry = RetryPolicy(attempts=2, backoff=0.01)
        async with (
            IntercomSimulator(limit=1000) as sim,
            IntercomClient("token", base_url=sim.url, retry=retry, runtime=EarlyTimers()) as client,
            asyncio.timeout(600),
        ):
            (pair,) = sim.workspace.populate(conversations=1)
            sim.faults.add(Fault.SERVER_ERROR, times=2, method="DELETE")
            summary = await client.detach_contacts([pair], admin_id=sim.admin_id)
        assert summary.second_tries == summary.outcomes[Outcome.DETACHED] == 1

    async def test_a_run_that_stops_before_it_gives_the_first_outcome(self) -> None:
        retry = RetryPolicy(attempts=2, backoff=0.01)
        async with (
            IntercomSimulator(limit=1000, latency=0.05) as sim,
            IntercomClient("token", base_url=sim.url, retry=retry) as client,
        ):
            pairs = sim.workspace.populate(conversations=300)
            sim.faults.add(Fault.SERVER_ERROR, times=20, match=pairs[0][0], method="DELETE")
            async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
                results: dict[str, DetachResult] = {}
                async for result in run:
                    results[result.detach.conversation_id] = result
                    if len(results) == 250:
                        run.stop()
            assert len(results) == 300
            failed = results[pairs[0][0]]
            assert failed.outcome is Outcome.FAILED
            assert failed.error is not None
            assert getattr(failed.error, "status", None) == 500


class TestStoppingEarly:
    async def test_an_input_of_another_workspace_stops_after_a_hundred_answers(self) -> None:
        async with IntercomSimulator(limit=100_000) as sim, _client(sim) as client:
            strange = [(f"9{n}", f"{n:024x}") for n in range(1000)]
            summary = await client.detach_contacts(strange, admin_id=sim.admin_id)
            assert summary.stopped_by is not None
            assert "none of the first 100 conversations exist" in str(summary.stopped_by)
            assert summary.outcomes[Outcome.CONVERSATION_MISSING] < 500
            assert summary.total == 1000
            assert sim.requests.total < 500

    @pytest.mark.parametrize(("stop_after", "known"), [(None, 0), (100, 1)])
    async def test_it_goes_on_when_told_to_or_when_one_was_detached(
        self, stop_after: int | None, known: int
    ) -> None:
        async with IntercomSimulator(limit=100_000) as sim, _client(sim) as client:
            pairs = sim.workspace.populate(conversations=known)
            strange = [(f"9{n}", f"{n:024x}") for n in range(300)]
            summary = await client.detach_contacts(
                pairs + strange, admin_id=sim.admin_id, stop_after_missing=stop_after
            )
            assert summary.stopped_by is None
            assert summary.settled == 300 + known

    async def test_an_outage_beyond_the_runs_patience_stops_it_and_uses_no_pair_up(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.db"
        async with (
            IntercomSimulator(limit=1000, latency=0.05) as sim,
            _client(sim) as client,
            asyncio.TaskGroup() as group,
        ):
            pairs = sim.workspace.populate(conversations=400)
            async with client.detach_contacts(
                pairs, admin_id=sim.admin_id, journal=path, outage_patience=120.0
            ) as run:
                seen, away = 0, None
                async for _ in run:
                    seen += 1
                    if seen == 50:
                        away = group.create_task(sim.outage(3600.0))
            assert away is not None
            away.cancel()
            assert "away for" in str(run.summary.stopped_by)
            assert run.summary.outcomes[Outcome.FAILED] == 0
            again = await client.detach_contacts(journal=path, admin_id=sim.admin_id)
            assert again.outcomes[Outcome.UNKNOWN] == 0
        assert settled_in(path) == set(pairs)


def _client(sim: IntercomSimulator) -> IntercomClient:
    return IntercomClient("token", base_url=sim.url)


class TestStoppedEarly:
    async def test_a_run_that_goes_on_and_is_stopped_gives_one_result_per_pair(
        self, tmp_path: Path
    ) -> None:
        path = tmp_path / "run.db"
        async with IntercomSimulator(limit=100_000) as sim:
            pairs = sim.workspace.populate(conversations=400)
            await left_in_the_middle(sim, path, pairs, results=1)
            begun, settled = set(rows_in(path)), settled_in(path)
            seen: Counter[tuple[str, str]] = Counter()
            async with (
                IntercomClient("token", base_url=sim.url) as client,
                client.detach_contacts(
                    pairs, admin_id=sim.admin_id, journal=path, concurrency=1
                ) as run,
            ):
                async for result in run:
                    run.stop()
                    seen[result.detach.conversation_id, result.detach.contact_id] += 1
        assert len(begun) > 130
        assert seen == Counter(set(pairs) - settled)
