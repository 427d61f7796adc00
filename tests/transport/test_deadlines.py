"""One timer bounds many attempts, and never mistakes another's cancellation for its own."""

import asyncio
from collections.abc import Callable

import pytest

from intercom_async.runtime import Runtime, TimerHandle
from intercom_async.transport.deadlines import Deadlines

pytestmark = pytest.mark.asyncio(loop_factories=["driven"])


class Counting(Runtime):
    """Counts the timers that run."""

    def __init__(self) -> None:
        self.timers: list[asyncio.TimerHandle] = []

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        self.timers.append(asyncio.get_running_loop().call_later(seconds, callback))
        return self.timers[-1]

    @property
    def running(self) -> int:
        now = self.monotonic()
        return sum(not timer.cancelled() and timer.when() > now for timer in self.timers)


@pytest.fixture
def runtime() -> Counting:
    return Counting()


@pytest.fixture
def deadlines(runtime: Counting) -> Deadlines:
    return Deadlines(runtime)


async def bounded(deadlines: Deadlines, seconds: float, lasts: float) -> str:
    """Last for some seconds within a deadline, as an attempt does."""
    deadlines.enter(seconds)
    try:
        await asyncio.sleep(lasts)
    except asyncio.CancelledError:
        if not deadlines.leave():
            raise
        return "cut off"
    finally:
        deadlines.leave()
    return "in time"


async def test_what_lasts_too_long_is_cut_off_and_the_task_goes_on(
    runtime: Counting, deadlines: Deadlines
) -> None:
    began = runtime.monotonic()
    task = asyncio.create_task(bounded(deadlines, 5.0, 60.0))
    assert await task == "cut off"
    assert 5.0 <= runtime.monotonic() - began < 5.5
    assert task.cancelling() == 0
    assert not runtime.running


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


async def test_one_timer_serves_a_thousand(runtime: Counting, deadlines: Deadlines) -> None:
    ended = await asyncio.gather(*(bounded(deadlines, 5.0, 1.0) for _ in range(1000)))
    assert set(ended) == {"in time"}
    assert len(runtime.timers) == 1


async def test_each_is_cut_off_at_its_own_time_whichever_came_first(
    runtime: Counting, deadlines: Deadlines
) -> None:
    began = runtime.monotonic()
    ended: dict[float, float] = {}

    async def note(seconds: float, lasts: float) -> None:
        await bounded(deadlines, seconds, lasts)
        ended[seconds] = round(runtime.monotonic() - began)

    await asyncio.gather(note(30.0, 60.0), note(4.0, 2.0), note(8.0, 60.0), note(1.0, 60.0))
    assert ended == {30.0: 30, 4.0: 2, 8.0: 8, 1.0: 1}


async def test_closing_leaves_no_timer_behind_unless_somebody_needs_it(
    runtime: Counting, deadlines: Deadlines
) -> None:
    task = asyncio.create_task(bounded(deadlines, 5.0, 60.0))
    await asyncio.sleep(1.0)
    deadlines.close()
    assert await task == "cut off"
    assert await bounded(deadlines, 5.0, 1.0) == "in time"
    deadlines.close()
    assert not runtime.running
