"""Runs with a journal against the simulator: stopped, resumed, out of disk, and done with."""

import asyncio
import errno
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from intercom_async import (
    AuthenticationError,
    ClientStateError,
    Detach,
    DetachResult,
    DetachRun,
    DetachSummary,
    IntercomClient,
    InvalidArgumentError,
    Outcome,
    RetryPolicy,
)
from intercom_async.journal import (
    Journal,
    JournalLockedError,
    JournalMismatchError,
    JournalWriteError,
    latest,
    read_journal,
    scan,
    unsettled,
)
from intercom_async.journal.files import Disk
from intercom_async.journal.format import Quota
from intercom_async.simulator import Fault, IntercomSimulator
from tests.journal.helpers import BrokenDisk, FullDisk, GatedDisk

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

Pair = tuple[str, str]
Run = Callable[..., DetachRun]


@pytest.fixture
async def sim() -> AsyncIterator[IntercomSimulator]:
    async with IntercomSimulator(limit=1000, latency=0.05, keep_log=True) as simulator:
        yield simulator


@pytest.fixture
async def client(sim: IntercomSimulator) -> AsyncIterator[IntercomClient]:
    async with IntercomClient("token", base_url=sim.url) as opened:
        yield opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


@pytest.fixture
def start(sim: IntercomSimulator, client: IntercomClient, path: Path) -> Run:
    """A run over some pairs with this test's journal."""

    def start(
        pairs: list[Pair] | Iterator[Pair], *, by: IntercomClient = client, attach: bool = False
    ) -> DetachRun:
        call = by.attach_contacts if attach else by.detach_contacts
        return call(pairs, admin_id=sim.admin_id, journal=path)

    return start


async def tell(
    run: DetachRun, *, then: Callable[[DetachRun], object] | None = None, after: int = 0
) -> list[DetachResult]:
    """All results of a run, to which something is done after so many of them."""
    results: list[DetachResult] = []
    async with run:
        async for result in run:
            results.append(result)
            if then is not None and len(results) == after:
                then(run)
    return results


def ids(result: DetachResult) -> Pair:
    return result.detach.conversation_id, result.detach.contact_id


def told(results: list[DetachResult], outcome: Outcome) -> list[Pair]:
    return [ids(result) for result in results if result.outcome is outcome]


def kept(path: Path) -> dict[Pair, Outcome]:
    return {(one.conversation_id, one.contact_id): one.outcome for one in latest(path)}


def deletes(sim: IntercomSimulator) -> Counter[Pair]:
    """How often each pair was asked for."""
    assert sim.requests.log is not None
    return Counter(
        (request.segments[1], request.segments[3])
        for request in sim.requests.log
        if request.method == "DELETE"
    )


def gracefully(run: DetachRun) -> None:
    run.stop()


def at_once(run: DetachRun) -> None:
    run.stop(immediately=True)


class TestResuming:
    @pytest.mark.parametrize("drain", [True, False])
    async def test_after_a_graceful_stop_only_the_rest_is_sent(
        self, sim: IntercomSimulator, start: Run, path: Path, drain: bool
    ) -> None:
        sim.quota.limit = 100
        pairs = sim.workspace.populate(conversations=200)
        first = await tell(start(pairs), then=lambda run: run.stop(drain=drain), after=50)
        detached = told(first, Outcome.DETACHED)
        assert 50 <= len(detached) <= 100
        assert {pair for pair, outcome in kept(path).items() if outcome.settled} == set(detached)
        run = start(pairs)
        second = await tell(run)
        assert Counter(map(ids, second)) == Counter(pairs) - Counter(detached)
        assert run.summary.settled_before == len(detached)
        assert run.summary.total == run.summary.outcomes[Outcome.DETACHED] == 200 - len(detached)
        assert all(result.outcome is Outcome.DETACHED and not result.inferred for result in second)
        assert deletes(sim) == Counter(pairs)
        third = start(pairs)
        assert await tell(third) == []
        assert (third.summary.settled_before, third.summary.requests) == (200, 0)
        assert "200 settled before" in str(third.summary)

    @pytest.mark.parametrize("fault", [Fault.HANG, Fault.HANG_AFTER_APPLYING])
    async def test_what_an_immediate_stop_left_unknown_is_settled_truthfully(
        self, sim: IntercomSimulator, start: Run, path: Path, fault: Fault
    ) -> None:
        pairs = sim.workspace.populate(conversations=40)
        sim.faults.add(fault, probability=0.5)
        run = start(pairs)
        asyncio.get_running_loop().call_later(2.0, lambda: run.stop(immediately=True))
        first = await tell(run)
        unknown = told(first, Outcome.UNKNOWN)
        assert unknown
        assert len(first) == 40
        outcomes = {ids(result): result.outcome for result in first}
        assert kept(path) == {
            pair: outcome
            for pair, outcome in outcomes.items()
            if outcome is not Outcome.NOT_ATTEMPTED
        } | {pair: outcome for pair, outcome in kept(path).items() if not outcome.settled}
        assert set(unknown) <= {(one.conversation_id, one.contact_id) for one in unsettled(path)}
        sim.faults.clear()
        second = {ids(result): result for result in await tell(start(pairs))}
        assert set(second) == set(pairs) - set(told(first, Outcome.DETACHED))
        for pair, result in second.items():
            assert result.outcome is Outcome.DETACHED
            assert result.inferred == (pair in unknown and fault is Fault.HANG_AFTER_APPLYING)
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_after_leaving_early_nothing_is_told_or_sent_twice(
        self, sim: IntercomSimulator, start: Run, path: Path
    ) -> None:
        sim.quota.limit = 100
        pairs = sim.workspace.populate(conversations=200)
        first: list[DetachResult] = []
        async with start(pairs) as run:
            async for result in run:
                first.append(result)
                if len(first) == 30:
                    break
        settled = {pair for pair, outcome in kept(path).items() if outcome.settled}
        assert set(map(ids, first)) <= settled
        before = deletes(sim)
        second = await tell(start(pairs))
        assert set(map(ids, second)) == set(pairs) - settled
        assert kept(path) == dict.fromkeys(pairs, Outcome.DETACHED)
        assert not set(deletes(sim) - before) & settled
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_after_a_revoked_token_another_one_goes_on(
        self, sim: IntercomSimulator, start: Run, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=200)
        revoked = sim.faults.add(Fault.UNAUTHORIZED, after=30)
        first = start(pairs)
        await first
        assert isinstance(first.summary.stopped_by, AuthenticationError)
        assert first.summary.total == 200
        assert Counter(kept(path).values())[Outcome.DETACHED] == 30
        failed = [one for one in latest(path) if one.outcome is Outcome.FAILED]
        assert failed
        assert {(one.error, one.status) for one in failed} == {("AuthenticationError", 401)}
        sim.faults.remove(revoked)
        second = start(pairs)
        await second
        assert second.summary.outcomes[Outcome.DETACHED] == 170
        assert second.summary.settled_before == 30
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_a_run_cancelled_while_it_is_awaited_goes_on_later(
        self, sim: IntercomSimulator, start: Run, path: Path
    ) -> None:
        sim.quota.limit = 100
        pairs = sim.workspace.populate(conversations=200)

        async def work() -> DetachSummary:
            return await start(pairs)

        task = asyncio.create_task(work())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = len([one for one in latest(path) if one.outcome.settled])
        assert 0 < before <= 100
        summary = await start(pairs)
        assert summary.settled_before == before
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_another_input_is_refused_before_anything_is_sent(
        self, sim: IntercomSimulator, start: Run, client: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=30)
        await start(pairs[:20])
        total = sim.requests.total
        with pytest.raises(JournalMismatchError, match="pair 1 is"):
            await start(pairs[::-1])
        with pytest.raises(JournalMismatchError, match="operation = 'detach'"):
            await start(pairs[:20], attach=True)
        assert sim.requests.total == total
        summary = await client.detach_contacts(
            pairs[::-1],
            admin_id=sim.admin_id,
            journal=Journal(path, changed_input="accept"),
        )
        assert (summary.settled_before, summary.total) == (20, 10)
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_a_journal_in_use_is_refused_before_anything_is_sent(
        self, sim: IntercomSimulator, start: Run
    ) -> None:
        pairs = sim.workspace.populate(conversations=5)
        async with start(pairs) as run:
            _ = await anext(run)
            with pytest.raises(JournalLockedError):
                await start(pairs)

    async def test_a_stop_while_the_journal_is_opened_sends_nothing(
        self, sim: IntercomSimulator, start: Run, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=5)
        run = start(pairs)

        async def work() -> DetachSummary:
            return await run

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        run.stop()
        assert (await task).outcomes[Outcome.NOT_ATTEMPTED] == 5
        assert sim.requests.total == 0
        assert (await start(pairs)).outcomes[Outcome.DETACHED] == 5

    @pytest.mark.parametrize("journal", ["", 7, b"run"])
    async def test_what_is_no_journal_is_refused_at_once(
        self, client: IntercomClient, journal: object
    ) -> None:
        with pytest.raises(InvalidArgumentError):
            _ = client.detach_contacts([], admin_id="1", journal=journal)  # type: ignore[arg-type]  # wrong on purpose


class TestDuplicates:
    async def test_each_occurrence_is_told_and_only_one_is_sent(
        self, sim: IntercomSimulator, start: Run, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=40, contacts_per_conversation=3)
        given = [*pairs, *pairs[::-1], *pairs]
        run = start(given)
        results = await tell(run)
        assert Counter(map(ids, results)) == Counter(given)
        assert Counter(ids(result) for result in results if not result.duplicate) == Counter(pairs)
        assert all(result.outcome is Outcome.DETACHED for result in results)
        assert all(
            (result.attempts, result.conversation) == (0, None)
            for result in results
            if result.duplicate
        )
        assert deletes(sim) == Counter(pairs)
        assert run.summary.duplicates == 160
        assert run.summary.outcomes[Outcome.DETACHED] == 240
        assert len(list(read_journal(path))) == 240

    @pytest.mark.parametrize("stop", [gracefully, at_once])
    async def test_across_a_resume_too(
        self, sim: IntercomSimulator, start: Run, path: Path, stop: Callable[[DetachRun], None]
    ) -> None:
        pairs = sim.workspace.populate(conversations=150)
        given = [*pairs, *pairs]
        first = await tell(start(given), then=stop, after=40)
        run = start(given)
        second = await tell(run)
        settled = [result for result in [*first, *second] if result.outcome.settled]
        assert Counter(map(ids, settled)) == Counter(given)
        assert run.summary.settled_before + run.summary.total == 300
        assert all(sim.applied[pair] == 1 for pair in pairs)
        assert kept(path) == dict.fromkeys(pairs, Outcome.DETACHED)
        once_unknown = set(told(first, Outcome.UNKNOWN))
        assert not {pair for pair, n in deletes(sim).items() if n > 1} - once_unknown

    async def test_a_duplicate_of_what_was_settled_before_is_told_even_by_a_stopped_run(
        self, sim: IntercomSimulator, start: Run
    ) -> None:
        pairs = sim.workspace.populate(conversations=20)
        await start(pairs)
        run = start([*pairs, *pairs])
        run.stop()
        results = await tell(run)
        assert sim.requests.total == 20 + sim.requests.refused
        assert not told(results, Outcome.DETACHED)  # it stopped before the journal was open
        run = start([*pairs, *pairs])
        results = await tell(run, then=gracefully, after=1)
        assert told(results, Outcome.DETACHED) == [ids(result) for result in results]
        assert len(results) == 20

    async def test_a_stopped_run_knows_duplicates_of_what_it_did_not_take_up(
        self, sim: IntercomSimulator, start: Run
    ) -> None:
        pairs = sim.workspace.populate(conversations=4)
        new = ("no-such", pairs[0][1])
        await start(pairs)

        def source() -> Iterator[Pair]:
            run.stop()
            yield from [*pairs, new, *pairs]

        run = start(source())
        results = await tell(run)
        assert told(results, Outcome.NOT_ATTEMPTED) == [new]
        assert told(results, Outcome.DETACHED) == pairs
        assert run.summary.duplicates == run.summary.settled_before == 4

    async def test_a_pair_settled_by_a_later_occurrence_is_not_sent_for_an_earlier_one(
        self, sim: IntercomSimulator, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=5)
        given = [*pairs, *pairs]
        sim.faults.add(Fault.SERVER_ERROR, match=pairs[2][0], method="DELETE")
        async with IntercomClient(
            "token", base_url=sim.url, retry=RetryPolicy(attempts=1)
        ) as client:
            first = await tell(client.detach_contacts(given, admin_id=sim.admin_id, journal=path))
            assert told(first, Outcome.FAILED) == [pairs[2]]
            sent = sim.requests.total
            second = await tell(client.detach_contacts(given, admin_id=sim.admin_id, journal=path))
        assert [(ids(one), one.outcome, one.duplicate) for one in second] == [
            (pairs[2], Outcome.DETACHED, True)
        ]
        assert sim.requests.total == sent
        assert list(unsettled(path)) == []

    async def test_a_duplicate_of_an_unknown_pair_is_not_called_already_absent(
        self, sim: IntercomSimulator, start: Run
    ) -> None:
        (pair,) = sim.workspace.populate(conversations=1)
        # The first occurrence is applied, and nobody can find out.
        sim.faults.add(Fault.CLOSE_AFTER_APPLYING, method="DELETE", times=5)
        sim.faults.add(Fault.SERVER_ERROR, method="GET", times=5)
        results = await tell(start([pair, pair]))
        assert sim.applied[pair] == 1
        assert [(result.outcome, result.inferred) for result in results] == [
            (Outcome.DETACHED, True)
        ] * 2


class TestSecondPass:
    async def test_what_failed_for_a_passing_reason_is_tried_again_at_the_end(
        self, sim: IntercomSimulator, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=30)
        sim.faults.add(Fault.SERVER_ERROR, match=pairs[3][0], method="DELETE", times=2)
        sim.faults.add(Fault.CLOSE_AFTER_APPLYING, match=pairs[7][0], method="DELETE", times=2)
        sim.faults.add(Fault.SERVER_ERROR, match=pairs[7][0], method="GET", times=2)
        async with IntercomClient(
            "token", base_url=sim.url, retry=RetryPolicy(attempts=2)
        ) as client:
            run = client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path)
            results = await tell(run)
        assert [result.outcome for result in results] == [Outcome.DETACHED] * 30
        late = {ids(result): result for result in results[-2:]}
        assert set(late) == {pairs[3], pairs[7]}
        assert not late[pairs[3]].inferred
        assert late[pairs[7]].inferred
        assert late[pairs[3]].attempts == 4  # two, a check, and the one that was answered
        assert late[pairs[7]].attempts == 6  # two, two checks, one, and the check that told
        assert run.summary.requests == sim.requests.total - sim.requests.refused == 38
        assert run.summary.retries == 8
        assert len(list(read_journal(path))) == 30
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_a_run_without_retries_has_none(self, sim: IntercomSimulator, path: Path) -> None:
        pairs = sim.workspace.populate(conversations=5)
        sim.faults.add(Fault.SERVER_ERROR, match=pairs[3][0], method="DELETE")
        async with IntercomClient(
            "token", base_url=sim.url, retry=RetryPolicy(attempts=1)
        ) as client:
            results = await tell(client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path))
            assert told(results, Outcome.FAILED) == [pairs[3]]
            assert list(unsettled(path)) == [Detach(*pairs[3])]
            results = await tell(client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path))
        assert told(results, Outcome.DETACHED) == [pairs[3]]

    async def test_a_stop_before_it_tells_what_the_first_pass_found(
        self, sim: IntercomSimulator, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=30)
        sim.faults.add(Fault.SERVER_ERROR, match=pairs[3][0], method="DELETE", probability=1.0)
        retry = RetryPolicy(attempts=2, backoff=60.0, backoff_max=60.0)
        async with IntercomClient("token", base_url=sim.url, retry=retry) as client:
            run = client.detach_contacts(pairs, admin_id=sim.admin_id, journal=path)
            results = await tell(run, then=gracefully, after=29)
        assert told(results, Outcome.FAILED) == [pairs[3]]
        assert len(results) == 30
        assert kept(path)[pairs[3]] is Outcome.FAILED


class TestEveryPairIsAccountedFor:
    @pytest.mark.parametrize("stop", [gracefully, at_once])
    async def test_when_a_run_is_stopped_while_its_consumer_lags_behind(
        self, sim: IntercomSimulator, start: Run, path: Path, stop: Callable[[DetachRun], None]
    ) -> None:
        sim.quota.limit = 100_000
        pairs = sim.workspace.populate(conversations=300, contacts_per_conversation=4)
        pairs.sort(key=lambda pair: pair[1])
        run = start(pairs)
        first = [await anext(run)]
        await asyncio.sleep(30)  # by now the run waits for its consumer
        sent = sim.requests.total
        stop(run)
        first.extend([result async for result in run])
        assert Counter(map(ids, first)) == Counter(pairs)
        assert sim.requests.total == sent
        second = await tell(start(pairs))
        assert {ids(result) for result in second} == set(pairs) - set(told(first, Outcome.DETACHED))
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_when_a_long_input_is_stopped_while_it_is_read(
        self, sim: IntercomSimulator, start: Run
    ) -> None:
        pairs = sim.workspace.populate(conversations=1) * 2500
        loop = asyncio.get_running_loop()

        def source() -> Iterator[Pair]:
            for number, pair in enumerate(pairs, 1):
                if number in {1000, 2000}:
                    loop.call_soon(lambda: run.stop(immediately=True))
                yield pair

        run = start(source())
        assert len(await tell(run)) == 2500

    async def test_when_its_client_is_closed_under_it(
        self, sim: IntercomSimulator, start: Run, client: IntercomClient, path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=20)
        sim.faults.add(Fault.HANG_AFTER_APPLYING, probability=1.0, method="DELETE")
        run = start(pairs)

        async def work() -> DetachSummary:
            return await run

        task = asyncio.create_task(work())
        await asyncio.sleep(1.0)
        assert sim.applied.total() > 0
        await client.aclose()
        with pytest.raises(ClientStateError):
            await task
        sim.faults.clear()
        assert {one.outcome for one in latest(path)} <= {Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED}
        applied = set(sim.applied)
        async with IntercomClient("token", base_url=sim.url) as other:
            second = {ids(result): result for result in await tell(start(pairs, by=other))}
        assert set(second) == set(pairs)
        for pair, result in second.items():
            assert (result.outcome, result.inferred) == (Outcome.DETACHED, pair in applied)


class TestUndo:
    async def test_attaching_puts_back_what_was_removed_and_can_be_resumed(
        self, sim: IntercomSimulator, start: Run, client: IntercomClient, tmp_path: Path
    ) -> None:
        pairs = sim.workspace.populate(conversations=60, contacts_per_conversation=3)
        before = {one: set(sim.workspace.participants(one)) for one, _ in pairs}
        await start(pairs)
        undo = tmp_path / "undo.journal"
        sim.faults.add(Fault.RESET_AFTER_APPLYING, method="POST", times=3)

        def back() -> DetachRun:
            return client.attach_contacts(pairs, admin_id=sim.admin_id, journal=undo)

        first = await tell(back(), then=gracefully, after=20)
        second = await tell(back())
        attached = told(first, Outcome.ATTACHED) + told(second, Outcome.ATTACHED)
        assert Counter(attached) == Counter(pairs)
        assert kept(undo) == dict.fromkeys(pairs, Outcome.ATTACHED)
        assert {one: set(sim.workspace.participants(one)) for one, _ in pairs} == before
        summary = await back()
        assert (summary.settled_before, summary.requests) == (120, 0)


def full(*rooms: int) -> list[ParameterSet]:
    return [
        pytest.param(partial(FullDisk, room), errno.ENOSPC, id=f"full after {room} bytes")
        for room in rooms
    ]


def broken(*syncs: int) -> list[ParameterSet]:
    return [
        pytest.param(partial(BrokenDisk, good), errno.EIO, id=f"broken after {good} syncs")
        for good in syncs
    ]


class TestFailingDisk:
    @pytest.mark.parametrize(
        ("disk", "number"),
        [*full(0, 200, 400, 3000, 9001, 20_002, 33_333), *broken(0, 1, 2, 3, 5, 8)],
    )
    async def test_nothing_is_told_that_is_not_on_the_disk_and_a_resumed_run_completes(
        self,
        sim: IntercomSimulator,
        start: Run,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        disk: Callable[[], Disk],
        number: int,
    ) -> None:
        pairs = sim.workspace.populate(conversations=150, contacts_per_conversation=3)
        first: list[DetachResult] = []
        with monkeypatch.context() as patched:
            patched.setattr("intercom_async.journal.session.Disk", disk)
            run = start(pairs)
            with pytest.raises(JournalWriteError) as caught:
                async with run:
                    async for result in run:
                        first.append(result)  # noqa: PERF401  what was told before it failed
        assert caught.value.errno == number
        safe = kept(path)
        assert caught.value.durable <= len(safe)
        assert f"{caught.value.durable} records are safe" in str(caught.value)
        assert {ids(result): result.outcome for result in first}.items() <= safe.items()
        assert all(sim.applied[pair] for pair, outcome in safe.items() if outcome.settled)
        second = start(pairs)
        await second
        assert kept(path) == dict.fromkeys(pairs, Outcome.DETACHED)
        assert second.summary.settled_before == list(safe.values()).count(Outcome.DETACHED)
        assert all(sim.applied[pair] == 1 for pair in pairs)

    async def test_an_awaited_run_raises_it(
        self, sim: IntercomSimulator, start: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pairs = sim.workspace.populate(conversations=20)
        for disk in (partial(FullDisk, 0), partial(FullDisk, 1000), partial(BrokenDisk, 2)):
            monkeypatch.setattr("intercom_async.journal.session.Disk", disk)
            with pytest.raises(JournalWriteError):
                await start(pairs)

    async def test_a_consumer_that_gives_up_waiting_for_the_disk_loses_no_result(
        self, sim: IntercomSimulator, start: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pairs = sim.workspace.populate(conversations=3)
        disk = GatedDisk()
        disk.allowed.release(2)  # the header, and that pairs may be sent
        monkeypatch.setattr("intercom_async.journal.session.Disk", lambda: disk)
        run = start(pairs)
        async with run:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(run), 0.1)
            disk.release()
            assert {ids(result) for result in [result async for result in run]} == set(pairs)


class TestSummary:
    async def test_the_numbers_of_a_run_agree_with_the_server(
        self, sim: IntercomSimulator, start: Run, path: Path
    ) -> None:
        sim.quota.limit = 100
        pairs = sim.workspace.populate(conversations=250)
        await start(pairs[:30])
        before = sim.requests.total - sim.requests.refused
        given = [*pairs, *pairs[:20]]
        summary = await start(given)
        assert summary.settled_before == 30
        assert summary.duplicates == 20
        assert summary.total == summary.settled == 240
        assert summary.requests == sim.requests.total - sim.requests.refused - before == 220
        assert summary.limit == 100
        assert summary.ideal == 20.0
        assert summary.quota_used is not None
        assert math.isclose(summary.quota_used, 22 / summary.elapsed)
        assert math.isclose(summary.rate, 240 / summary.elapsed)
        assert {line.quota for line in scan(path) if isinstance(line, Quota)} == {100}
