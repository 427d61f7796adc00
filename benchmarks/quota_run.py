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
from benchmarks.quota_world import WINDOW, Reply, Server, World
from benchmarks.virtual_time import VirtualEventLoop, VirtualRuntime
from intercom_async.runtime import Runtime

BLIND_WORKERS = 4
START_WITHIN = 1.0
"""Seconds within which all processes start."""

JOB_PAUSE = 5.0
"""Seconds between the small jobs of a process, on average."""


@attrs.frozen
class Cell:
    """A strategy, by its key in `STRATEGIES`, in a world."""

    strategy: str
    world: World

    @property
    def name(self) -> str:
        return f"{self.world.name} | {self.strategy}"


class _Simulation:
    def __init__(self, cell: Cell, seed: int) -> None:
        self.world = cell.world
        self.loop = asyncio.get_running_loop()
        self.key = f"{cell.world.name}/{seed}"
        self.server = Server(cell.world, self.key)
        self.make = STRATEGIES[cell.strategy]
        self.waits: list[float] = []
        self.pending: dict[object, float] = {}
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
        self.waits += [self.loop.time() - arrival for arrival in self.pending.values()]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        _ = self.group.create_task(work)

    def _strategy(self, index: int, make: Callable[[Runtime, int], Strategy]) -> Strategy:
        rng = random.Random(f"{self.key}/{index}")
        skew = rng.uniform(-self.world.skew, self.world.skew)
        epoch = rng.uniform(1e3, 1e6)
        wall = self.server.wall(0.0) + skew
        return make(VirtualRuntime(rng, epoch=epoch, wall=wall), self.world.limit)

    async def _process(self, index: int, strategy: Strategy) -> None:
        rng = random.Random(f"{self.key}/arrivals/{index}")
        await asyncio.sleep(rng.random() * START_WITHIN)
        if self.world.interactive_rate:
            self._spawn(self._interactive(index, strategy, rng))
        for number in range(self.world.jobs):
            if number:
                await asyncio.sleep(rng.expovariate(1.0 / JOB_PAUSE))
            began = self.loop.time()
            self.job_phase = (self.server.phase + began) % WINDOW
            await self._run(index, strategy, self.world.job)
            self.job_seconds.append(self.loop.time() - began)

    async def _run(self, index: int, strategy: Strategy, size: int | None) -> None:
        pairs = strategy.pairs(size)
        workers = self.world.workers if size is None else min(self.world.workers, size)
        await asyncio.gather(*(self._work(index, strategy, pairs) for _ in range(workers)))

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

        call = object()
        self.pending[call] = arrival
        await strategy.deliver(send, interactive=True)
        del self.pending[call]
        self.waits.append(sent - arrival)


def ideal(world: World, phase: float) -> float:
    """Return the least seconds of one job that begins at `phase` seconds of its window."""
    assert world.job is not None
    edges = math.ceil(world.job / world.limit) - 1
    wait = edges * WINDOW - phase if edges else 0.0
    low, high = world.round_trip
    mean = (high - low) / math.log(high / low)
    rounds = math.ceil((world.job - edges * world.limit) / world.workers)
    return wait + rounds * mean


def simulate(cell: Cell, seed: int) -> dict[str, float]:
    """Run one cell once and return its figures, by name."""
    gc.set_threshold(100_000)  # a simulation makes no garbage in cycles worth looking for

    async def run() -> dict[str, float]:
        simulation = _Simulation(cell, seed)
        await simulation.run()
        return _figures(simulation)

    with asyncio.Runner(loop_factory=VirtualEventLoop) as runner:
        return runner.run(run())


def _figures(simulation: _Simulation) -> dict[str, float]:
    world = simulation.world
    accepted, refused = simulation.server.accepted, simulation.server.refused
    last = world.windows if world.job is None else max(window for window, _ in accepted | refused)
    ours = range(world.processes)
    everybody = range(world.processes + world.blind_peers)

    def count(counts: Counter[tuple[int, int]], whose: Iterable[int], first: int = 1) -> int:
        windows = range(first, last + 1) if first else (0,)
        return sum(counts[window, process] for window in windows for process in whose)

    each = [count(accepted, [process]) for process in ours]
    sent, struck = sum(each), count(refused, ours)
    everyone, cold = count(accepted, everybody), count(accepted, everybody, 0)
    cold_refused = count(refused, ours, 0)
    cold_sent = cold_refused + count(accepted, ours, 0)
    figures = {
        "used": 100.0 * everyone / (world.limit * max(1, last)),
        "refused": _percent(struck, struck + sent),
        "fairness": min(each) / max(1, *each),
        "ours": _percent(sent, everyone),
        "cold_used": 100.0 * cold / world.limit,
        "cold_refused": _percent(cold_refused, cold_sent),
    }
    if simulation.waits:
        figures["p95"] = percentile(simulation.waits, 0.95)
    if simulation.job_seconds:
        figures["job_p50"] = percentile(simulation.job_seconds, 0.5)
        figures["job_p95"] = percentile(simulation.job_seconds, 0.95)
        figures["refused"] = _percent(struck + cold_refused, cold_sent + struck + sent)
        if world.processes == 1 and world.jobs == 1:
            figures["ideal"] = ideal(world, simulation.job_phase)
    return figures


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole else 0.0


def percentile(values: list[float], fraction: float) -> float:
    """Return the smallest value that at least `fraction` of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]
