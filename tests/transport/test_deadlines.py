"""One timer bounds many attempts, and never mistakes another's cancellation for its own."""

import asyncio
from collections.abc import Callable

import pytest

from intercom_async.runtime import Runtime, TimerHandle
from intercom_async.transport.deadlines import Deadlines

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


class Counting(Runtime):
    """Keeps the timers that were set."""

    def __init__(self) -> None:
        self.timers: list[asyncio.TimerHandle] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        self.timers.append(asyncio.get_running_loop().call_later(seconds, callback))
        return self.timers[-1]


@pytest.fixture
def runtime() -> Counting:
    return Counting()


@pytest.fixture
def deadlines(runtime: Counting) -> Deadlines:
    return Deadlines(runtime)


async def bounded(deadlines: Deadlines, seconds: float, lasts: float) -> bool:
    """Last for some seconds within a deadline, as an attempt does; return whether in time."""
    task = deadlines.enter(seconds)
    try:
        await asyncio.sleep(lasts)
    except asyncio.CancelledError:
        if not deadlines.leave(task):
            raise
        return False
    finally:
        deadlines.leave(task)
    return True


async def test_each_is_cut_off_at_its_own_time_whichever_came_first(
    runtime: Counting, deadlines: Deadlines
) -> None:
    began = runtime.monotonic()

    async def ended(seconds: float, lasts: float) -> tuple[bool, int]:
        task = asyncio.current_task()
        assert task is not None
        in_time = await bounded(deadlines, seconds, lasts)
        assert task.cancelling() == 0
        return in_time, round(runtime.monotonic() - began)

    found = await asyncio.gather(
        ended(30.0, 60.0), ended(4.0, 2.0), ended(8.0, 60.0), ended(1.0, 60.0)
    )
    assert [*found] == [(False, 30), (True, 2), (False, 8), (False, 1)]


@pytest.mark.parametrize("before", [4.0, 0.0], ids=["before it is due", "in the same moment"])
async def test_somebody_else_s_cancellation_goes_on(
    runtime: Counting, deadlines: Deadlines, before: float
) -> None:
    task = asyncio.create_task(bounded(deadlines, 5.0, 60.0))
    await asyncio.sleep(0)
    (timer,) = runtime.timers
    asyncio.get_running_loop().call_at(timer.when() - before, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_timer_serves_a_thousand_and_closing_leaves_none_that_nobody_needs(
    runtime: Counting, deadlines: Deadlines
) -> None:
    task = asyncio.create_task(bounded(deadlines, 5.0, 60.0))
    await asyncio.sleep(1.0)
    deadlines.close()
    assert not await task
    assert all(await asyncio.gather(*(bounded(deadlines, 5.0, 1.0) for _ in range(1000))))
    assert len(runtime.timers) == 2
    deadlines.close()
    assert runtime.timers[-1].cancelled()
