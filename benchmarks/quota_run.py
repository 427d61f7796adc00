"""One simulation of the quota benchmark: a strategy in a world, from a seed to its figures."""

import asyncio
import functools
import gc
import math
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

import attrs

from benchmarks.quota_rivals import STRATEGIES, NaiveRetry, Strategy
from benchmarks.quota_world import WINDOW, Network, Reply, Server, World
from benchmarks.virtual_time import VirtualEventLoop, VirtualRuntime, run
from intercom_async.runtime import Runtime

BLIND_WORKERS = 4
START_WITHIN = 1.0
"""Seconds within which all processes start."""

JOB_PAUSE = 5.0
"""Seconds between the small jobs of a process, on average."""

Trace = list[tuple[float, bool]]
"""When requests arrived at the server, and whether they were accepted."""


@attrs.frozen
class Cell:
    """A strategy, by its key in `STRATEGIES`, in a world."""

    strategy: str
    world: World

    @property
    def name(self) -> str:
        """Identifies the cell among all."""
        return f"{self.world.name} | {self.strategy}"


class _Simulation:
    def __init__(self, cell: Cell, seed: int, loop: VirtualEventLoop) -> None:
        self.world = cell.world
        self.loop = loop
        self.key = f"{cell.world.name}/{seed}"
        self.rng = random.Random(f"{self.key}/processes")
        self.server = Server(cell.world, random.Random(f"{self.key}/server"))
        self.network = Network(loop, self.server, cell.world, random.Random(f"{self.key}/network"))
        self.make = STRATEGIES[cell.strategy]
        self.waits: list[float] = []
        self.pending: dict[object, float] = {}
        self.job_seconds: list[float] = []
        self.job_phase = 0.0
        self.tasks: set[asyncio.Task[None]] = set()
        self.failure: BaseException | None = None

    async def run(self) -> None:
        world = self.world
        ours = [
            self._process(index, self._strategy(index, self.make))
            for index in range(world.processes)
        ]
        for index in range(world.processes, world.processes + world.blind_peers):
            blind = self._strategy(index, NaiveRetry)
            for _ in range(BLIND_WORKERS):
                self._spawn(self._endless(index, blind))
        if world.job is not None:
            await asyncio.gather(*ours)
        else:
            for process in ours:
                self._spawn(process)
            await asyncio.sleep((1 + world.windows) * WINDOW - self.server.phase)
        if self.failure is not None:
            raise self.failure
        self.waits += [self.loop.time() - arrival for arrival in self.pending.values()]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self.tasks.discard(task)
        if not task.cancelled():
            self.failure = self.failure or task.exception()

    def _strategy(self, index: int, make: Callable[[Runtime, int], Strategy]) -> Strategy:
        rng = random.Random(f"{self.key}/{index}")
        skew = rng.uniform(-self.world.skew, self.world.skew)
        epoch = rng.uniform(1e3, 1e6)
        wall = self.server.wall(0.0) + skew
        return make(VirtualRuntime(self.loop, rng, epoch=epoch, wall=wall), self.world.limit)

    async def _process(self, index: int, strategy: Strategy) -> None:
        rng = random.Random(f"{self.key}/arrivals/{index}")
        await asyncio.sleep(rng.random() * START_WITHIN)
        if self.world.interactive_rate:
            # The rate is everybody's together: calls alone must not exceed a small quota.
            self._spawn(self._interactive(index, strategy, rng))
        if self.world.job is not None:
            await self._jobs(index, strategy, self.world.job, rng)
            return
        strategy.begin_job(None)
        for _ in range(self.world.workers):
            self._spawn(self._endless(index, strategy))

    async def _endless(self, index: int, strategy: Strategy) -> None:
        send = functools.partial(self.network.send, index)
        while True:
            await strategy.deliver(send, interactive=False)

    async def _jobs(self, index: int, strategy: Strategy, size: int, rng: random.Random) -> None:
        for number in range(self.world.jobs):
            if number:
                await asyncio.sleep(rng.expovariate(1.0 / JOB_PAUSE))
            began = self.loop.time()
            self.job_phase = (self.server.phase + began) % WINDOW
            strategy.begin_job(size)
            pairs = _pairs(size, strategy)
            workers = range(min(self.world.workers, size))
            await asyncio.gather(*(self._some(index, strategy, pairs) for _ in workers))
            self.job_seconds.append(self.loop.time() - began)

    async def _some(self, index: int, strategy: Strategy, pairs: Iterator[int]) -> None:
        send = functools.partial(self.network.send, index)
        for _ in pairs:
            await strategy.deliver(send, interactive=False)

    async def _interactive(self, index: int, strategy: Strategy, rng: random.Random) -> None:
        rate = self.world.interactive_rate / self.world.processes
        while True:
            await asyncio.sleep(rng.expovariate(rate))
            self._spawn(self._one_interactive(index, strategy))

    async def _one_interactive(self, index: int, strategy: Strategy) -> None:
        arrival = sent = self.loop.time()

        def send() -> Coroutine[Any, Any, Reply]:
            nonlocal sent
            sent = self.loop.time()
            return self.network.send(index)

        call = object()
        self.pending[call] = arrival
        await strategy.deliver(send, interactive=True)
        del self.pending[call]
        self.waits.append(sent - arrival)


def _pairs(size: int, strategy: Strategy) -> Iterator[int]:
    for number in range(1, size + 1):
        strategy.read_one()
        if number == size:
            strategy.end_of_input()
        yield number


def ideal(world: World, phase: float) -> float:
    """Return the least seconds of one job that begins at `phase` seconds of its window."""
    assert world.job is not None
    edges = math.ceil(world.job / world.limit) - 1
    wait = edges * WINDOW - phase if edges else 0.0
    low, high = world.round_trip
    mean = (high - low) / math.log(high / low)
    rounds = math.ceil((world.job - edges * world.limit) / world.workers)
    return wait + rounds * mean


def simulate(cell: Cell, seed: int, trace: Trace | None = None) -> dict[str, float]:
    """Run one cell once and return its figures, by name; `trace` is filled with all arrivals."""
    gc.set_threshold(100_000)  # a simulation makes no garbage in cycles worth looking for

    async def main(loop: VirtualEventLoop) -> _Simulation:
        simulation = _Simulation(cell, seed, loop)
        simulation.server.trace = trace
        await simulation.run()
        return simulation

    return _figures(run(main))


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
        "requests": float(everyone + struck),
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
    """Return the smallest value that so large a part of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(fraction * len(values)) - 1)]
