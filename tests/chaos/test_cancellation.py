"""Cancelled at any point whatsoever, a call or a run leaves everything in order behind it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from intercom_async import (
    ClientStateError,
    IntercomClient,
    IntercomError,
    IntercomPool,
    Lane,
    Outcome,
    RetryPolicy,
    WorkspaceAccess,
)
from intercom_async.journal import JournalError
from intercom_async.simulator import Fault, IntercomSimulator
from tests.chaos.accounting import disagreements
from tests.support.cancelling import Countdown, Moment, cancelled_at, cancelling_tasks_of
from tests.support.rows import outcomes_in

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

QUICK = RetryPolicy(attempts=3, backoff=0.01, budget=1e9)
MOST = 200
"""Suspensions no scenario comes to."""


@contextlib.asynccontextmanager
async def opened(sim: IntercomSimulator) -> AsyncGenerator[IntercomClient]:
    """A client that must be found idle at the end."""
    async with IntercomClient("token", base_url=sim.url, timeout=1.0, retry=QUICK) as client:
        yield client
        await asyncio.sleep(0.2)
        assert_idle(client)


def assert_idle(client: IntercomClient) -> None:
    """No permit is out, nobody waits, no timer runs, no connection is lent."""
    limiter = client._transport.limiter
    window = limiter._window
    assert window.in_flight == 0
    assert limiter._bounded == 0
    assert limiter._interactive.waiting == 0
    assert limiter._bulk.waiting == 0
    assert not [each for each in limiter._bulk.waiters if not each.granted.done()]
    assert not [each for each in limiter._interactive.waiters if not each.granted.done()]
    assert limiter._timer is None
    assert limiter._backlogs == []
    session = client._http._session
    assert session is not None
    assert session.connector is not None
    assert not session.connector._acquired
    assert not session.connector._waiters
    assert not tasks_of("DetachRun", "JournalSession", "IntercomClient", "Transport", "Http")


def tasks_of(*owners: str) -> list[asyncio.Task[object]]:
    """The tasks that run methods of these classes."""
    return [
        task
        for task in asyncio.all_tasks()
        if getattr(task.get_coro(), "__qualname__", "").partition(".")[0] in owners
    ]


def sent_to(sim: IntercomSimulator, pairs: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of the pairs for which a detach arrived."""
    log = sim.requests.log or ()
    arrived = {(each.segments[1], each.segments[3]) for each in log if each.method == "DELETE"}
    return arrived & set(pairs)


SCENARIOS: dict[str, list[tuple[Fault, int]]] = {
    "plain": [],
    "reset_then_404_then_check": [(Fault.RESET_AFTER_APPLYING, 1)],
    "reset_before": [(Fault.RESET_BEFORE_APPLYING, 2)],
    "server_errors": [(Fault.SERVER_ERROR, 3)],
    "refused": [(Fault.TOO_MANY_REQUESTS, 1)],
    "hanging": [(Fault.HANG_AFTER_APPLYING, 1)],
    "truncated": [(Fault.TRUNCATED_BODY, 1)],
    "dripping": [(Fault.LATENCY, 1)],
}


class TestOneCall:
    @pytest.mark.parametrize("moment", Moment)
    @pytest.mark.parametrize("scenario", SCENARIOS)
    @pytest.mark.parametrize("lane", Lane)
    async def test_cancelled_at_any_suspension_a_call_leaves_nothing_behind(
        self, scenario: str, moment: Moment, lane: Lane
    ) -> None:
        async with IntercomSimulator(limit=1667, latency=0.02) as sim:
            pairs = iter(sim.workspace.populate(conversations=2 * MOST))
            for suspension in range(1, MOST):
                async with opened(sim) as client:
                    if suspension % 2:  # half of them with a connection that is there already
                        await client.whoami()
                    for fault, times in SCENARIOS[scenario]:
                        sim.faults.add(fault, times=times)
                    pair = next(pairs)
                    view = client.with_options(lane=lane)
                    countdown = Countdown(suspension, moment)
                    call = view.detach_contact(*pair, admin_id=sim.admin_id)
                    with contextlib.suppress(IntercomError):
                        cancelled = await cancelled_at(call, countdown)
                        assert cancelled is countdown.struck
                    await asyncio.sleep(0.2)
                    assert_idle(client)
                    sim.faults.clear()
                    sim.release()
                    assert sim.applied[pair] <= 1
                    following = next(pairs)
                    await client.detach_contact(*following, admin_id=sim.admin_id)
                    assert sim.applied[following] == 1
                if not countdown.struck:
                    break
            else:
                pytest.fail("it never comes to an end")

    @pytest.mark.parametrize("moment", Moment)
    async def test_so_does_one_that_waits_for_the_quota(self, moment: Moment) -> None:
        async with IntercomSimulator(limit=5, latency=0.02) as sim:
            pairs = iter(sim.workspace.populate(conversations=300))
            for suspension in range(1, MOST):
                async with opened(sim) as client:
                    await client.whoami()
                    sim.spend(5)
                    call = client.detach_contact(*next(pairs), admin_id=sim.admin_id)
                    # Two more wait behind it and must get their turn.
                    waiting = [
                        asyncio.create_task(
                            client.detach_contact(*next(pairs), admin_id=sim.admin_id)
                        )
                        for _ in range(2)
                    ]
                    cancelled = await cancelled_at(call, Countdown(suspension, moment))
                    await asyncio.gather(*waiting)
                if not cancelled:
                    break
            else:
                pytest.fail("it never comes to an end")


class TestRuns:
    @pytest.mark.parametrize("moment", Moment)
    @pytest.mark.parametrize("streaming", [True, False])
    async def test_cancelled_at_any_suspension_a_run_can_be_resumed_to_the_truth(
        self, moment: Moment, streaming: bool, tmp_path: Path
    ) -> None:
        async with IntercomSimulator(limit=1667, latency=0.01) as sim:
            for suspension in range(1, MOST):
                struck = await self._cancel_and_resume(
                    sim, tmp_path / str(suspension), suspension, moment, streaming=streaming
                )
                if not struck:
                    break
            else:
                pytest.fail("it never comes to an end")

    async def _cancel_and_resume(
        self,
        sim: IntercomSimulator,
        path: Path,
        suspension: int,
        moment: Moment,
        *,
        streaming: bool,
    ) -> bool:
        work = sim.workspace.populate(conversations=8)
        told: dict[tuple[str, str], Outcome] = {}

        async def consume(client: IntercomClient) -> None:
            run = client.detach_contacts(work, admin_id=sim.admin_id, journal=path, concurrency=3)
            if not streaming:
                await run
                return
            async with run:
                async for result in run:
                    told[result.detach.conversation_id, result.detach.contact_id] = result.outcome

        async with opened(sim) as client:
            sim.faults.add(Fault.RESET_AFTER_APPLYING, times=1)
            countdown = Countdown(suspension, moment)
            cancelled = await cancelled_at(consume(client), countdown)
            assert cancelled is countdown.struck
            assert_idle(client)
            sim.faults.clear()
        kept: dict[tuple[str, str], Outcome] = {}
        with contextlib.suppress(JournalError):  # cancelled before it was opened
            kept = outcomes_in(path)
        assert told.items() <= kept.items()
        async with opened(sim) as client:
            summary = await client.detach_contacts(work, admin_id=sim.admin_id, journal=path)
        assert summary.settled + summary.settled_before == len(work)
        assert disagreements(sim, work, outcomes_in(path)) == []
        return countdown.struck

    async def test_cancelled_in_any_turn_of_the_loop_a_run_can_be_resumed_to_the_truth(
        self, tmp_path: Path
    ) -> None:
        async with IntercomSimulator(limit=1667, latency=0.01) as sim:
            for turns in range(0, 240, 4):
                work = sim.workspace.populate(conversations=8)
                path = tmp_path / str(turns)
                async with opened(sim) as client:
                    sim.faults.add(Fault.RESET_AFTER_APPLYING, times=1)

                    async def consume(
                        client: IntercomClient = client,
                        work: list[tuple[str, str]] = work,
                        path: Path = path,
                    ) -> None:
                        await client.detach_contacts(work, admin_id=sim.admin_id, journal=path)

                    task = asyncio.create_task(consume())
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    task.cancel()
                    await asyncio.wait({task})
                    assert_idle(client)
                    sim.faults.clear()
                async with opened(sim) as client:
                    await client.detach_contacts(work, admin_id=sim.admin_id, journal=path)
                assert disagreements(sim, work, outcomes_in(path)) == []

    @pytest.mark.parametrize(
        ("streaming", "moment"),
        [(True, Moment.WAITING), (True, Moment.READY), (False, Moment.WAITING)],
    )
    async def test_if_any_task_of_its_own_is_cancelled_a_run_says_so_and_can_be_resumed(
        self, moment: Moment, streaming: bool, tmp_path: Path
    ) -> None:
        async with IntercomSimulator(limit=1667, latency=0.01, keep_log=True) as sim:
            for suspension in range(1, MOST):
                path = tmp_path / str(suspension)
                # Some pairs wait for another of their conversation, one for its second try.
                work = sim.workspace.populate(conversations=4, contacts_per_conversation=4)
                struck = work[-1][0]
                told: dict[tuple[str, str], Outcome] = {}
                countdown = Countdown(suspension, moment)
                failure: ClientStateError | None = None
                async with opened(sim) as client:
                    sim.faults.add(Fault.RESET_AFTER_APPLYING, times=1)
                    sim.faults.add(Fault.SERVER_ERROR, times=3, match=struck, method="DELETE")
                    run = client.detach_contacts(
                        work, admin_id=sim.admin_id, journal=path, concurrency=3
                    )
                    with cancelling_tasks_of("DetachRun", countdown):
                        try:
                            if not streaming:
                                await run
                            async for result in run:
                                pair = result.detach
                                told[pair.conversation_id, pair.contact_id] = result.outcome
                        except ClientStateError as error:
                            failure = error
                    assert (failure is not None) is countdown.struck
                    assert_idle(client)
                    sim.faults.clear()
                if streaming:
                    assert disagreements(sim, told, told) == []
                    assert run.summary.total == len(told)
                    assert sent_to(sim, work) <= told.keys()
                async with opened(sim) as client:
                    await client.detach_contacts(work, admin_id=sim.admin_id, journal=path)
                assert disagreements(sim, work, outcomes_in(path)) == []
                if not countdown.struck:
                    break
            else:
                pytest.fail("it never comes to an end")

    @pytest.mark.parametrize("streaming", [True, False])
    async def test_if_all_tasks_are_cancelled_before_they_begin_a_run_says_so(
        self, streaming: bool
    ) -> None:
        async with IntercomSimulator() as sim, opened(sim) as client:
            work = sim.workspace.populate(conversations=8)
            run = client.detach_contacts(work, admin_id=sim.admin_id)

            async def consume() -> None:
                if streaming:
                    await anext(aiter(run))
                else:
                    await run

            consuming = asyncio.create_task(consume())
            await asyncio.sleep(0)
            begun = tasks_of("DetachRun")
            assert begun
            for task in begun:
                task.cancel()
            with pytest.raises(ClientStateError, match="other code cancelled"):
                await consuming


class TestPoolRuns:
    @pytest.mark.parametrize("moment", Moment)
    @pytest.mark.parametrize("owner", ["PoolRun", "DetachRun"])
    async def test_if_any_task_of_its_own_is_cancelled_a_run_says_so_and_tells_the_truth(
        self, owner: str, moment: Moment
    ) -> None:
        async with IntercomSimulator(limit=1667, latency=0.01, keep_log=True) as sim:
            access = WorkspaceAccess("token", base_url=sim.url, admin_id=sim.admin_id)
            for suspension in range(1, MOST):
                work = sim.workspace.populate(conversations=9)
                third = len(work) // 3
                told: dict[tuple[str, str], Outcome] = {}
                countdown = Countdown(suspension, moment)
                failure: ClientStateError | None = None
                async with IntercomPool({"one": access, "other": access}) as pool:
                    run = pool.detach_contacts(
                        {
                            "one": work[:third],
                            "other": work[third : 2 * third],
                            "unknown": work[2 * third :],
                        }
                    )
                    with cancelling_tasks_of(owner, countdown):
                        try:
                            async for found in run:
                                pair = found.result.detach
                                told[pair.conversation_id, pair.contact_id] = found.result.outcome
                        except ClientStateError as error:
                            failure = error
                    assert (failure is not None) is countdown.struck
                assert disagreements(sim, told, told) == []
                assert sent_to(sim, work) <= told.keys()
                assert sum(each.total for each in run.summary.workspaces.values()) == len(told)
                assert countdown.struck or len(told) == len(work)
                if not countdown.struck:
                    break
            else:
                pytest.fail("it never comes to an end")

    @pytest.mark.parametrize("moment", Moment)
    @pytest.mark.parametrize("owner", ["PoolRun", "DetachRun", "consumer"])
    async def test_cancelled_at_any_suspension_it_can_be_resumed_to_the_truth(
        self, owner: str, moment: Moment, tmp_path: Path
    ) -> None:
        async with IntercomSimulator(limit=1667, latency=0.01) as sim:
            access = WorkspaceAccess("token", base_url=sim.url, admin_id=sim.admin_id)
            for suspension in range(1, MOST):
                work = sim.workspace.populate(conversations=8)
                mixed = [(("one", "other")[n % 2], *pair) for n, pair in enumerate(work)]
                path = tmp_path / str(suspension)
                countdown = Countdown(suspension, moment)
                told: dict[tuple[str, str], Outcome] = {}

                async def consume(
                    pool: IntercomPool,
                    mixed: list[tuple[str, str, str]] = mixed,
                    path: Path = path,
                    told: dict[tuple[str, str], Outcome] = told,
                ) -> None:
                    async with pool.detach_contacts(mixed, journal=path, concurrency=3) as run:
                        async for found in run:
                            pair = found.result.detach
                            told[pair.conversation_id, pair.contact_id] = found.result.outcome

                async with IntercomPool({"one": access, "other": access}) as pool:
                    sim.faults.add(Fault.RESET_AFTER_APPLYING, times=1)
                    if owner == "consumer":
                        await cancelled_at(consume(pool), countdown)
                    else:
                        with (
                            cancelling_tasks_of(owner, countdown),
                            contextlib.suppress(ClientStateError),
                        ):
                            await consume(pool)
                    sim.faults.clear()
                    kept: dict[tuple[str, str], Outcome] = {}
                    with contextlib.suppress(JournalError):  # cancelled before it was opened
                        kept = outcomes_in(path)
                    attempted = {
                        pair: outcome
                        for pair, outcome in told.items()
                        if outcome is not Outcome.NOT_ATTEMPTED
                    }
                    assert attempted.items() <= kept.items()
                    summary = await pool.detach_contacts(mixed, journal=path)
                assert summary.settled + summary.settled_before == len(work)
                assert disagreements(sim, work, outcomes_in(path)) == []
                if not countdown.struck:
                    break
            else:
                pytest.fail("it never comes to an end")

    async def test_leaving_early_is_no_interruption(self) -> None:
        async with IntercomSimulator(limit=1667) as sim:
            access = WorkspaceAccess("token", base_url=sim.url, admin_id=sim.admin_id)
            work = sim.workspace.populate(conversations=100)
            async with IntercomPool({"one": access}) as pool:
                async with pool.detach_contacts({"one": work}) as run:
                    await anext(aiter(run))
                await run
