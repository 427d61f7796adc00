"""One simulation of the quota benchmark: a strategy in a world, from a seed to its figures."""

import asyncio
import contextlib
import functools
import gc
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import attrs

from benchmarks.quota_rivals import STRATEGIES, Strategy
from benchmarks.quota_world import WINDOW, Clocks, Reply, Server, World
from intercom_async.runtime import Runtime
from tests.support.driven_loop import DrivenEventLoop

BLIND_WORKERS = 4


@attrs.frozen
class Cell:
    """A strategy, by its key in `STRATEGIES`, in a world."""

    strategy: str
    world: World

    @property
    def name(self) -> str:
        return f"{self.world.name} | {self.strategy}"


def simulate(cell: Cell, seed: int) -> dict[str, float]:
    """Run one cell once and return its figures, by name."""
    gc.set_threshold(100_000)  # a simulation makes no garbage in cycles worth looking for

    async def run() -> dict[str, float]:
        simulation = _Simulation(cell, seed)
        await simulation.run()
        return _figures(simulation)

    # Nothing but waiting takes time.
    loop_factory = functools.partial(DrivenEventLoop, turn=0.0)
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(run())


class _Simulation:
    def __init__(self, cell: Cell, seed: int) -> None:
        self.world = cell.world
        self.loop = asyncio.get_running_loop()
        self.key = f"{cell.world.name}/{seed}"
        self.server = Server(cell.world, self.key)
        self.make = STRATEGIES[cell.strategy]
        self.waits: list[float] = []
        self.job_seconds: list[float] = []
        self.job_phase = 0.0
        self.group = asyncio.TaskGroup()

    async def run(self) -> None:
        world = self.world
        end = None if world.job is not None else (1 + world.windows) * WINDOW - self.server.phase
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(end) as over, self.group:
                ours = [
                    self._process(index, self._strategy(index, self.make))
                    for index in range(world.processes)
                ]
                for index in range(world.processes, world.processes + world.blind_peers):
                    blind = self._strategy(index, Strategy)
                    for _ in range(BLIND_WORKERS):
                        self._spawn(self._work(index, blind, blind.pairs(None)))
                await asyncio.gather(*ours)
                if world.job is not None:
                    over.reschedule(self.loop.time())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        _ = self.group.create_task(work)

    def _strategy(self, index: int, make: Callable[[Runtime, int], Strategy]) -> Strategy:
        rng = random.Random(f"{self.key}/{index}")
        skew = rng.uniform(-self.world.skew, self.world.skew)
        clocks = Clocks(rng, epoch=rng.uniform(1e3, 1e6), wall=self.server.wall(0.0) + skew)
        return make(clocks, self.world.limit)

    async def _process(self, index: int, strategy: Strategy) -> None:
        rng = random.Random(f"{self.key}/arrivals/{index}")
        await asyncio.sleep(rng.random())  # all start within a second
        if self.world.interactive_rate:
            self._spawn(self._interactive(index, strategy, rng))
        job = self.world.job
        workers = self.world.workers if job is None else min(self.world.workers, job)
        for number in range(self.world.jobs):
            if number:
                await asyncio.sleep(rng.expovariate(1.0 / 5.0))  # mean: five seconds
            began = self.loop.time()
            self.job_phase = (self.server.phase + began) % WINDOW
            pairs = strategy.pairs(job)
            await asyncio.gather(*(self._work(index, strategy, pairs) for _ in range(workers)))
            self.job_seconds.append(self.loop.time() - began)

    async def _work(self, index: int, strategy: Strategy, pairs: Iterator[object]) -> None:
        send = functools.partial(self.server.send, index)
        for _ in pairs:
            await strategy.deliver(send, interactive=False)

    async def _interactive(self, index: int, strategy: Strategy, rng: random.Random) -> None:
        # The rate is for all processes together: calls alone must not exceed a small quota.
        rate = self.world.interactive_rate / self.world.processes
        while True:
            await asyncio.sleep(rng.expovariate(rate))
            self._spawn(self._one_interactive(index, strategy))

    async def _one_interactive(self, index: int, strategy: Strategy) -> None:
        arrival = sent = self.loop.time()

        def send() -> Coroutine[Any, Any, Reply]:
            nonlocal sent
            sent = self.loop.time()
            return self.server.send(index)

        try:
            await strategy.deliver(send, interactive=True)
        except asyncio.CancelledError:  # the time is over, and it has waited until now
            sent = self.loop.time()
            raise
        finally:
            self.waits.append(sent - arrival)


def _figures(simulation: _Simulation) -> dict[str, float]:
    world = simulation.world
    accepted, refused = simulation.server.accepted, simulation.server.refused
    last = world.windows if world.job is None else max(window for window, _ in accepted | refused)
    first, later = range(1), range(1, last + 1)
    ours = range(world.processes)
    everybody = range(world.processes + world.blind_peers)

    def count(
        counts: Counter[tuple[int, int]], windows: Iterable[int], whose: Iterable[int] = ours
    ) -> int:
        return sum(counts[window, process] for window in windows for process in whose)

    each = [count(accepted, later, [process]) for process in ours]
    struck, tried = count(refused, later), count(refused, later) + sum(each)
    cold_struck = count(refused, first)
    cold_tried = cold_struck + count(accepted, first)
    everyone = count(accepted, later, everybody)
    figures = {
        "used": 100.0 * everyone / (world.limit * max(1, last)),
        "refused": _percent(struck, tried),
        "fairness": min(each) / max(1, *each),
        "ours": _percent(sum(each), everyone),
        "cold_used": 100.0 * count(accepted, first, everybody) / world.limit,
        "cold_refused": _percent(cold_struck, cold_tried),
    }
    if simulation.waits:
        figures["p95"] = _percentile(simulation.waits, 0.95)
    if simulation.job_seconds:
        figures["job_p50"] = _percentile(simulation.job_seconds, 0.5)
        figures["job_p95"] = _percentile(simulation.job_seconds, 0.95)
        figures["refused"] = _percent(struck + cold_struck, tried + cold_tried)
        if world.processes == 1 and world.jobs == 1:
            figures["ideal"] = _ideal(world, simulation.job_phase)
            figures["over_ideal"] = figures["job_p50"] - figures["ideal"]
    return figures


def _ideal(world: World, phase: float) -> float:
    """Return the least seconds of one job that begins at `phase` seconds of its window."""
    assert world.job is not None
    edges = math.ceil(world.job / world.limit) - 1
    wait = edges * WINDOW - phase if edges else 0.0
    low, high = world.round_trip
    mean = (high - low) / math.log(high / low)
    rounds = math.ceil((world.job - edges * world.limit) / world.workers)
    return wait + rounds * mean


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole else 0.0


def _percentile(values: list[float], fraction: float) -> float:
    """Return the smallest value that at least `fraction` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]
