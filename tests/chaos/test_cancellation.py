"""A call or a run that is cancelled, at whatever point, leaves everything in order."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from intercom_async import (
    ClientStateError,
    Connector,
    DetachRun,
    IntercomClient,
    IntercomError,
    IntercomPool,
    Lane,
    Outcome,
    PoolResult,
    PoolRun,
    RetryPolicy,
    WorkspaceAccess,
)
from intercom_async.journal import JournalError
from intercom_async.simulator import Fault, IntercomSimulator
from tests.support.accounting import disagreements
from tests.support.cancelling import Countdown, Moment, cancelled_at, cancelling_tasks_of
from tests.support.leftovers import holds_nothing, nothing_left_behind
from tests.support.rows import Pair, outcomes_in, pair_of

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

QUICK = RetryPolicy(attempts=3, backoff=0.01, budget=1e9)
LANES = {Moment.READY: Lane.BULK, Moment.WAITING: Lane.INTERACTIVE}
NOWHERE = ("1", "2")
"""A pair of a workspace that a pool has no access to."""

MOST = 200
"""More suspensions than any scenario has."""


@contextlib.asynccontextmanager
async def opened(
    sim: IntercomSimulator, *, connections: int = 100
) -> AsyncGenerator[IntercomClient]:
    """A client that must be found idle at the end, and leave nothing."""
    async with (
        nothing_left_behind(),
        aiohttp.ClientSession(connector=Connector(limit=connections)) as session,
        IntercomClient(
            "token",
            base_url=sim.url,
            timeout=1.0,
            retry=QUICK,
            session=session,
            admin_id=sim.admin_id,
        ) as client,
    ):
        yield client
        await asyncio.sleep(0.2)
        assert holds_nothing(client)


def each_suspension(moment: Moment) -> Iterator[Countdown]:
    """A countdown to every suspension in turn, until one is not reached."""
    for suspension in range(1, MOST):
        countdown = Countdown(suspension, moment)
        yield countdown
        if not countdown.struck:
            return
    pytest.fail("it never comes to an end")


@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize(
    ("fault", "times"),
    [
        (Fault.SERVER_ERROR, 0),
        (Fault.SERVER_ERROR, 3),
        (Fault.RESET_AFTER_APPLYING, 1),
        (Fault.TOO_MANY_REQUESTS, 1),
        (Fault.HANG_AFTER_APPLYING, 1),
        (Fault.TRUNCATED_BODY, 1),
    ],
)
async def test_cancelled_at_any_suspension_a_call_leaves_nothing_behind(
    fault: Fault, times: int, moment: Moment
) -> None:
    async with IntercomSimulator(limit=1667, latency=0.02) as sim:
        pairs = iter(sim.workspace.populate(conversations=2 * MOST))
        for number, countdown in enumerate(each_suspension(moment)):
            # With one connection, one that is not given back stops the call that follows.
            async with opened(sim, connections=1) as client:
                if number % 2:  # half of them with a connection that is there already
                    await client.whoami()
                if times:
                    sim.faults.add(fault, times=times)
                pair, following = next(pairs), next(pairs)
                call = client.with_options(lane=LANES[moment]).detach_contact(*pair)
                with contextlib.suppress(IntercomError):
                    assert await cancelled_at(call, countdown) is countdown.struck
                await asyncio.sleep(0.2)
                assert holds_nothing(client)
                sim.faults.clear()
                sim.release()
                assert sim.applied[pair] <= 1
                await client.detach_contact(*following)
                assert sim.applied[following] == 1


CALLER = "the caller"


async def interrupted(
    consuming: Coroutine[Any, Any, None], owner: str, countdown: Countdown
) -> None:
    """Consume with the owner's tasks under the countdown; whoever is cancelled, a run says so."""
    if owner == CALLER:
        assert await cancelled_at(consuming, countdown) is countdown.struck
        return
    failure: ClientStateError | None = None
    with cancelling_tasks_of(owner, countdown):
        try:
            await consuming
        except ClientStateError as error:
            failure = error
    assert (failure is not None) is countdown.struck


Start = Callable[[list[Pair], Path], DetachRun | PoolRun]


@contextlib.asynccontextmanager
async def starting(kind: str, sim: IntercomSimulator) -> AsyncGenerator[Start]:
    """Give what starts runs of a client or of a pool, which must leave nothing behind."""
    if kind == "client":
        async with opened(sim) as client:
            yield lambda work, path: client.detach_contacts(work, journal=path, concurrency=3)
            assert holds_nothing(client)
        return
    access = WorkspaceAccess("token", base_url=sim.url, admin_id=sim.admin_id)
    async with nothing_left_behind(), IntercomPool({"one": access, "other": access}) as pool:

        def start(work: list[Pair], path: Path) -> PoolRun:
            mixed = [(("one", "other")[n % 2], *pair) for n, pair in enumerate(work)]
            return pool.detach_contacts([("unknown", *NOWHERE), *mixed], journal=path)

        yield start


async def consume(run: DetachRun | PoolRun, reported: dict[Pair, Outcome] | None) -> None:
    """Await a run, or note each of its results."""
    if reported is None:
        await run
        return
    async with run:
        async for told in run:
            result = told.result if isinstance(told, PoolResult) else told
            reported[pair_of(result)] = result.outcome


class TestRuns:
    @pytest.mark.parametrize(
        ("kind", "owner", "streaming", "moment"),
        [
            ("client", CALLER, True, Moment.WAITING),
            ("client", CALLER, False, Moment.READY),
            ("client", "DetachRun", True, Moment.READY),
            ("client", "DetachRun", False, Moment.WAITING),
            ("pool", CALLER, True, Moment.WAITING),
            ("pool", "PoolRun", True, Moment.READY),
            ("pool", "DetachRun", True, Moment.WAITING),
        ],
    )
    async def test_whichever_task_is_cancelled_a_run_says_so_and_can_be_resumed_to_the_truth(
        self, kind: str, owner: str, streaming: bool, moment: Moment, tmp_path: Path
    ) -> None:
        async with IntercomSimulator(limit=1667, latency=0.01) as sim:
            for number, countdown in enumerate(each_suspension(moment)):
                path = tmp_path / str(number)
                # Some pairs wait for another of their conversation, one for its second try.
                work = sim.workspace.populate(conversations=3, contacts_per_conversation=3)
                reported: dict[Pair, Outcome] = {}
                async with starting(kind, sim) as start:
                    sim.faults.add(Fault.RESET_AFTER_APPLYING, times=1)
                    sim.faults.add(Fault.SERVER_ERROR, times=3, match=work[-1][0], method="DELETE")
                    consuming = consume(start(work, path), reported if streaming else None)
                    await interrupted(consuming, owner, countdown)
                    sim.faults.clear()
                kept: dict[Pair, Outcome] = {}
                with contextlib.suppress(JournalError):  # cancelled before it was opened
                    kept = outcomes_in(path)
                for pair, outcome in reported.items():
                    assert outcome in {Outcome.NOT_ATTEMPTED, kept.get(pair)}
                if streaming and owner != CALLER:
                    told = reported.keys() & set(work)
                    assert disagreements(sim, told, reported) == []
                    assert {pair for pair in work if sim.applied[pair]} <= told
                    assert countdown.struck or len(told) == len(work)
                async with starting(kind, sim) as start:
                    summary = await start(work, path)
                assert summary.settled + summary.settled_before == len(work)
                assert disagreements(sim, work, outcomes_in(path)) == []

    async def test_if_all_tasks_are_cancelled_before_they_begin_a_run_says_so(self) -> None:
        async with IntercomSimulator() as sim, opened(sim) as client:
            work = sim.workspace.populate(conversations=8)
            run = client.detach_contacts(work)
            consuming = asyncio.ensure_future(run)
            await asyncio.sleep(0)
            begun = [
                task
                for task in asyncio.all_tasks()
                if getattr(task.get_coro(), "__qualname__", "").startswith("DetachRun.")
            ]
            assert begun
            for task in begun:
                task.cancel()
            with pytest.raises(ClientStateError, match="other code cancelled"):
                await consuming
