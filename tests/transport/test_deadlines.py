"""One timer bounds many attempts, and never mistakes another's cancellation for its own."""

import asyncio
from collections.abc import Callable

import pytest

from intercom_async.runtime import Runtime
from intercom_async.transport.deadlines import Deadlines


class _Timer:
    def __init__(self, at: float, callback: Callable[[], None]) -> None:
        self.at = at
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class _Clock(Runtime):
    """Time stands still until a test moves it; timers are kept for looking at."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[_Timer] = []

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(self.now + seconds, callback)
        self.timers.append(timer)
        return timer

    @property
    def waiting(self) -> list[_Timer]:
        return [timer for timer in self.timers if not timer.cancelled and timer.at > self.now]

    def move(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.timers if timer.at <= self.now]:
            self.timers.remove(timer)
            if not timer.cancelled:
                timer.callback()


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def deadlines(clock: _Clock) -> Deadlines:
    return Deadlines(clock)


async def _bounded(deadlines: Deadlines, seconds: float, ends: asyncio.Event) -> str:
    """Wait for `ends` within a deadline, as an attempt does."""
    deadlines.enter(seconds)
    try:
        await ends.wait()
    except asyncio.CancelledError:
        if not deadlines.leave():
            raise
        return "cut off"
    finally:
        deadlines.leave()
    return "in time"


async def _start(deadlines: Deadlines, seconds: float) -> tuple[asyncio.Task[str], asyncio.Event]:
    ends = asyncio.Event()
    task = asyncio.create_task(_bounded(deadlines, seconds, ends))
    await asyncio.sleep(0)
    return task, ends


async def test_what_lasts_too_long_is_cut_off_and_the_task_goes_on(
    clock: _Clock, deadlines: Deadlines
) -> None:
    task, _ = await _start(deadlines, 5.0)
    clock.move(4.9)
    await asyncio.sleep(0)
    assert not task.done()
    clock.move(0.1)
    assert await task == "cut off"
    assert task.cancelling() == 0
    assert not clock.waiting


async def test_what_ends_in_time_is_left_alone(clock: _Clock, deadlines: Deadlines) -> None:
    task, ends = await _start(deadlines, 5.0)
    ends.set()
    assert await task == "in time"
    clock.move(10.0)
    assert not clock.waiting


async def test_somebody_else_s_cancellation_goes_on(clock: _Clock, deadlines: Deadlines) -> None:
    task, _ = await _start(deadlines, 5.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_so_it_does_when_the_deadline_comes_in_the_same_moment(
    clock: _Clock, deadlines: Deadlines
) -> None:
    task, _ = await _start(deadlines, 5.0)
    clock.move(5.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_one_timer_serves_a_thousand(clock: _Clock, deadlines: Deadlines) -> None:
    started = [await _start(deadlines, 5.0) for _ in range(1000)]
    assert len(clock.timers) == 1
    for _, ends in started:
        ends.set()
    assert set(await asyncio.gather(*(task for task, _ in started))) == {"in time"}


async def test_the_timer_follows_the_oldest_that_is_left(
    clock: _Clock, deadlines: Deadlines
) -> None:
    first, ends = await _start(deadlines, 5.0)
    clock.move(2.0)
    second, _ = await _start(deadlines, 5.0)
    ends.set()
    assert await first == "in time"
    clock.move(3.0)
    assert [timer.at for timer in clock.waiting] == [107.0]
    clock.move(2.0)
    assert await second == "cut off"


async def test_a_shorter_bound_is_looked_at_sooner(clock: _Clock, deadlines: Deadlines) -> None:
    patient, ends = await _start(deadlines, 30.0)
    hasty, _ = await _start(deadlines, 1.0)
    clock.move(1.0)
    assert await hasty == "cut off"
    ends.set()
    assert await patient == "in time"


async def test_closing_leaves_no_timer_behind_unless_somebody_needs_it(
    clock: _Clock, deadlines: Deadlines
) -> None:
    task, _ = await _start(deadlines, 5.0)
    deadlines.close()
    clock.move(5.0)
    assert await task == "cut off"
    task, ends = await _start(deadlines, 5.0)
    ends.set()
    await task
    deadlines.close()
    assert not clock.waiting
