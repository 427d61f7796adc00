"""Queueing and waking: order, patience, cancellation, and that nothing is left behind."""

import asyncio

import pytest

from intercom_async import IntercomClient
from intercom_async.errors import RateLimitWaitError
from intercom_async.pacing.concurrency import LARGEST, SMALLEST
from intercom_async.pacing.limiter import Backlog, Limiter
from intercom_async.pacing.window import Lane, Permit, RateLimitHeaders, RateLimitPolicy
from intercom_async.simulator import IntercomSimulator

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])

EPOCH = 1_000_000.0


def _answer(limiter: Limiter, permit: Permit, remaining: int, *, limit: int = 100) -> None:
    """Answer as a server would whose clock runs EPOCH seconds before the loop's."""
    at = asyncio.get_running_loop().time() + EPOCH
    headers = RateLimitHeaders(
        limit=limit, remaining=remaining, reset=(at // 10 + 1) * 10, date=at // 1
    )
    limiter.release(permit, headers=headers, status=200)


async def _warm(limit: int = 100, remaining: int | None = None) -> Limiter:
    """Return a limiter that knows its quota and is through its slow start, early in a window."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(10.5 - (loop.time() + EPOCH) % 10)
    limiter = Limiter(RateLimitPolicy())
    told = [limit - n for n in range(1, 21)]
    for left in told if remaining is None else [*told, remaining]:
        _answer(limiter, await limiter.acquire(Lane.INTERACTIVE), left, limit=limit)
    return limiter


def _give_back(limiter: Limiter, *permits: Permit) -> None:
    """Give back permits of requests that were never sent."""
    for permit in permits:
        limiter.release(permit, headers=None, status=None, sent=False)


def _idle(limiter: Limiter) -> bool:
    """Whether nothing waits, nothing is out, and no timer runs."""
    status = limiter.status()
    assert status is not None
    return (
        status.in_flight == 0
        and status.waiting_interactive == 0
        and status.waiting_bulk == 0
        and limiter._timer is None
    )


async def test_interactive_calls_go_before_bulk_calls_that_came_first() -> None:
    limiter = await _warm(remaining=0)
    order: list[str] = []

    async def call(lane: Lane, name: str) -> None:
        permit = await limiter.acquire(lane)
        order.append(name)
        _answer(limiter, permit, 50)

    async with asyncio.TaskGroup() as group:
        for n in range(3):
            group.create_task(call(Lane.BULK, f"bulk {n}"))
        await asyncio.sleep(0)
        for n in range(3):
            group.create_task(call(Lane.INTERACTIVE, f"interactive {n}"))
    assert order == [f"{lane} {n}" for lane in ("interactive", "bulk") for n in range(3)]
    assert _idle(limiter)


async def test_too_little_patience_fails_at_once_naming_both_durations() -> None:
    limiter = await _warm(remaining=0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(RateLimitWaitError) as caught:
        await limiter.acquire(Lane.INTERACTIVE, max_wait=1.0)
    assert loop.time() - began < 0.5
    assert caught.value.max_wait == 1.0
    assert caught.value.wait > 5.0
    assert caught.value.rate_limit is not None
    assert caught.value.rate_limit.remaining == 0
    assert _idle(limiter)


async def test_patience_that_runs_out_unforeseen_fails_then() -> None:
    limiter = await _warm(remaining=1)
    loop = asyncio.get_running_loop()
    held = await limiter.acquire(Lane.INTERACTIVE)
    began = loop.time()
    with pytest.raises(RateLimitWaitError):
        await limiter.acquire(Lane.INTERACTIVE, max_wait=2.0)
    assert loop.time() - began == pytest.approx(2.0, abs=0.5)
    _give_back(limiter, held)
    assert _idle(limiter)


async def test_a_waiter_cancelled_when_its_permit_came_passes_it_on() -> None:
    limiter = await _warm(remaining=1)
    held = await limiter.acquire(Lane.INTERACTIVE)
    first = asyncio.create_task(limiter.acquire(Lane.INTERACTIVE))
    second = asyncio.create_task(limiter.acquire(Lane.INTERACTIVE))
    await asyncio.sleep(0)
    _give_back(limiter, held)  # grants the first
    first.cancel()
    permit = await asyncio.wait_for(second, 1.0)
    assert first.cancelled()
    _give_back(limiter, permit)
    assert _idle(limiter)


async def test_releasing_a_permit_twice_counts_once() -> None:
    limiter = await _warm()
    permit = await limiter.acquire(Lane.BULK)
    _answer(limiter, permit, 70)
    _answer(limiter, permit, 3)
    limiter.release(permit, headers=None, status=None)
    status = limiter.status()
    assert status is not None
    assert status.remaining == 70
    assert _idle(limiter)


async def test_on_a_slow_server_no_call_of_a_new_client_waits_behind_bulk() -> None:
    loop = asyncio.get_running_loop()
    latency = 2.0
    async with (
        IntercomSimulator(latency=latency) as sim,
        IntercomClient("token", base_url=sim.url) as client,
    ):
        pairs = sim.workspace.populate(conversations=200)

        async def call(after: float) -> float:
            await asyncio.sleep(after)
            began = loop.time()
            await client.whoami()
            return loop.time() - began - latency

        async with client.detach_contacts(pairs, admin_id=sim.admin_id) as run:
            extra = await asyncio.gather(*(call(0.3 * n) for n in range(40)))
            run.stop()
    assert max(extra) < 0.3


async def test_bulk_in_flight_stays_within_the_computed_bound_unless_told_otherwise() -> None:
    limiter = await _warm(limit=100_000)
    for _ in range(90):  # a window of quick answers: the bound falls to its smallest
        _answer(limiter, await limiter.acquire(Lane.BULK), 90_000, limit=100_000)
    await asyncio.sleep(10)
    _answer(limiter, await limiter.acquire(Lane.BULK), 99_000, limit=100_000)
    out: list[Permit] = []
    while (permit := limiter.try_acquire(Lane.BULK)) is not None:
        out.append(permit)
    assert len(out) == limiter._concurrency.value == SMALLEST
    free = limiter.try_acquire(Lane.BULK, bounded=False)
    urgent = limiter.try_acquire(Lane.INTERACTIVE)
    assert free is not None
    assert urgent is not None
    waiter = asyncio.create_task(limiter.acquire(Lane.BULK))
    await asyncio.sleep(0)
    assert limiter.try_acquire(Lane.BULK, bounded=False) is None  # it would overtake the waiter
    _answer(limiter, out.pop(), 90_000, limit=100_000)
    out.append(await waiter)
    _give_back(limiter, *out, free, urgent)
    assert _idle(limiter)


async def test_a_job_that_has_no_more_to_come_stops_being_paced() -> None:
    limiter = await _warm()
    loop = asyncio.get_running_loop()
    backlog = Backlog(unread=None)
    limiter.expect(backlog)
    began = loop.time()
    waiting = [asyncio.create_task(limiter.acquire(Lane.BULK)) for _ in range(12)]
    await asyncio.sleep(0.1)
    assert sum(task.done() for task in waiting) < 12
    limiter.forget(backlog)
    permits = [await task for task in waiting]
    assert loop.time() - began < 0.5
    _give_back(limiter, *permits)
    assert _idle(limiter)


async def test_after_an_outage_the_bound_is_as_if_the_server_had_never_suffered() -> None:
    limiter = await _warm(limit=1000)
    for _ in range(5):
        for _ in range(30):
            permit = await limiter.acquire(Lane.BULK)
            limiter.release(permit, headers=None, status=503)
        await asyncio.sleep(10.0)
    assert limiter._concurrency.value < SMALLEST / 4
    limiter.recovered()
    assert limiter._concurrency.value == LARGEST
