"""Many calls at once for long, one in a hundred struck: what grows, and how late the loop is.

    python -m benchmarks load

Client and simulator live in a process of their own each; the simulator answers within the times
that Intercom takes and breaks some of the calls in all the ways that end by themselves. Bare
aiohttp does a tenth of the same beside it: how late its event loop is tells what the machine and
the number in flight bring along.

The figures of growth are differences between a fifth of the way and the end, when everything has
been allocated that a client keeps.
"""

import argparse
import asyncio
import collections
import gc
import itertools
import multiprocessing
import os
import sys
import time
from array import array
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import attrs

from intercom_async import IntercomClient, IntercomError
from intercom_async.simulator import Fault, IntercomSimulator

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

CALLS: Final = 200_000
IN_FLIGHT: Final = 256
FAULTS: Final = 0.01
LATENCY: Final = (0.05, 0.15)
"""Seconds of a reply."""

KINDS: Final = (
    Fault.SERVER_ERROR,
    Fault.SERVER_ERROR_AFTER_APPLYING,
    Fault.HTML_ERROR,
    Fault.TRUNCATED_BODY,
    Fault.RESET_BEFORE_APPLYING,
    Fault.RESET_AFTER_APPLYING,
    Fault.CLOSE_BEFORE_APPLYING,
    Fault.CLOSE_AFTER_APPLYING,
)
"""No 429, after which everybody rightly waits for the next window."""

BODY_LOST: Final = frozenset({"ResponseDecodeError"})
"""What a call raises that was applied, and whose reply ended in its middle."""

TICK: Final = 0.002
"""Seconds between two looks at how late the event loop is."""

SAMPLES: Final = 10
LAG: Final = 0.02
"""Seconds that the loop may be late, but for one look in a thousand."""

GROWTH: Final = 2.0
"""Megabytes that memory may grow."""

OBJECTS: Final = 5_000
"""By which number objects may differ: twenty for each call in flight."""

Pair = tuple[str, str]
Call = Callable[[Pair], Awaitable[None]]


@attrs.frozen
class Sample:
    """What the process holds at one moment.

    Attributes:
        memory: megabytes.
        descriptors: open files and sockets.
        tasks: of the loop.
    """

    memory: float
    descriptors: int
    tasks: int


@attrs.frozen
class Measured:
    """What became of one load.

    Attributes:
        calls: how many.
        errors: calls that raised, by the name of the exception.
        seconds: on the clock.
        cpu: seconds of CPU of the client's process.
        samples: ten of them, evenly over the calls.
        lags: seconds by which the loop was late.
        objects: growth in number, after collecting, between a fifth of the way and the end.
        left: tasks and descriptors, once the client is closed, above what there was before it.
    """

    calls: int
    errors: dict[str, int]
    seconds: float
    cpu: float
    samples: list[Sample]
    lags: "array[float]"
    objects: int
    left: tuple[int, int] = (0, 0)

    def lag(self, part: float) -> float:
        """Return the seconds that the loop was late at most, in this part of all looks."""
        ordered = sorted(self.lags)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _memory() -> float:
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    import resource

    # Bytes, on systems without /proc.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _sample() -> Sample:
    return Sample(_memory(), len(list(Path("/dev/fd").iterdir())), len(asyncio.all_tasks()))


class _Lateness:
    """Looks again and again at how late the event loop calls back."""

    def __init__(self) -> None:
        self.seen = array("d")
        self._loop = asyncio.get_running_loop()
        self._due = self._loop.time()
        self._next()

    def _next(self) -> None:
        self._due = self._loop.time() + TICK
        self._handle = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self.seen.append(self._loop.time() - self._due)
        self._next()

    def stop(self) -> None:
        self._handle.cancel()


async def _burden(call: Call, pairs: Iterator[Pair], calls: int, in_flight: int) -> Measured:
    """Make all calls, this many at once."""
    errors: collections.Counter[str] = collections.Counter()
    samples: list[Sample] = []
    objects: list[int] = []
    step = max(1, calls // SAMPLES)
    made = itertools.count(1)

    async def work() -> None:
        for pair in pairs:
            try:
                await call(pair)
            except (IntercomError, aiohttp.ClientError, ValueError) as error:
                errors[type(error).__name__] += 1
            number = next(made)
            if number % step == 0:
                samples.append(_sample())
            if number in {2 * step, calls - in_flight}:  # with all of them in flight
                gc.collect()
                objects.append(len(gc.get_objects()))

    lateness = _Lateness()
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(in_flight)))
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    lateness.stop()
    growth = objects[-1] - objects[0]
    return Measured(calls, dict(errors), seconds, cpu, samples, lateness.seen, growth)


# --- the processes -----------------------------------------------------------------------------


def _serve(
    pipe: "Connection[Any, Any]", calls: int, faults: float, latency: tuple[float, float]
) -> None:
    async def serve() -> None:
        async with IntercomSimulator(limit=10 * calls, latency=latency) as simulator:
            for fault in KINDS:
                simulator.faults.add(fault, probability=faults / len(KINDS))
            pairs = simulator.workspace.populate(conversations=calls)
            pipe.send((simulator.token, simulator.url, simulator.admin_id, pairs))
            await asyncio.to_thread(pipe.recv)
            applied = [simulator.applied[pair] for pair in pairs]
            pipe.send((collections.Counter(applied), simulator.faults.struck.total()))

    asyncio.run(serve())


def _client(pipe: "Connection[Any, Any]", in_flight: int, *, ours: bool) -> None:
    token, url, admin_id, pairs = pipe.recv()

    async def detach() -> Measured:
        async with IntercomClient(token, base_url=url) as client:

            async def call(pair: Pair) -> None:
                await client.detach_contact(*pair, admin_id=admin_id)

            return await _burden(call, iter(pairs), len(pairs), in_flight)

    async def request() -> Measured:
        connector = aiohttp.TCPConnector(limit=in_flight)
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        async with aiohttp.ClientSession(url, connector=connector, headers=headers) as session:

            async def call(pair: Pair) -> None:
                path = f"/conversations/{pair[0]}/customers/{pair[1]}"
                async with session.delete(path, json={"admin_id": admin_id}) as response:
                    await response.json(content_type=None)

            return await _burden(call, iter(pairs), len(pairs), in_flight)

    async def run() -> Measured:
        before = _sample()
        measured = await (detach() if ours else request())
        await asyncio.sleep(0.05)  # transports close in the loop's next turns
        after = _sample()
        left = (after.tasks - before.tasks, after.descriptors - before.descriptors)
        return attrs.evolve(measured, left=left)

    pipe.send(asyncio.run(run()))


def measure(
    *,
    calls: int,
    in_flight: int,
    faults: float,
    ours: bool = True,
    latency: tuple[float, float] = LATENCY,
) -> tuple[Measured, "collections.Counter[int]", int]:
    """Put a client under load.

    Args:
        calls: how many, each for a pair of its own.
        in_flight: how many at once.
        faults: the part of the calls that is struck.
        ours: this library, or bare aiohttp.
        latency: seconds of a reply, from and to.

    Returns:
        What was measured; for each number of times that a pair was detached at the server how
        many pairs there are; the number of strikes.
    """
    context = multiprocessing.get_context("spawn")
    server_pipe, servers = context.Pipe()
    client_pipe, clients = context.Pipe()
    processes = [
        context.Process(target=_serve, args=(servers, calls, faults, latency), daemon=True),
        context.Process(
            target=_client, args=(clients, in_flight), kwargs={"ours": ours}, daemon=True
        ),
    ]
    for process in processes:
        process.start()
    servers.close()  # so that the end of one is the end of its pipe
    clients.close()
    client_pipe.send(server_pipe.recv())
    measured: Measured = client_pipe.recv()
    server_pipe.send("enough")
    applied, struck = server_pipe.recv()
    for process in processes:
        process.join()
    return measured, applied, struck


# --- the report --------------------------------------------------------------------------------


def _show(name: str, measured: Measured) -> None:
    milliseconds = [1000 * measured.lag(part) for part in (0.5, 0.99, 0.999, 1.0)]
    print(
        f"\n{name}: {measured.calls:,} calls in {measured.seconds:.0f} s, "
        f"{measured.cpu / measured.seconds:.0%} of a core, errors {measured.errors or 'none'}"
    )
    median, common, rare, most = milliseconds
    print(
        f"  loop late by, ms: median {median:.2f}, p99 {common:.2f}, p99.9 {rare:.2f}, "
        f"most {most:.2f}"
    )


def main(arguments: list[str]) -> int:
    """Run and print; return 1 if a bound is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks load", description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--in-flight", type=int, default=IN_FLIGHT)
    parser.add_argument("--faults", type=float, default=FAULTS, help="part of the calls")
    options = parser.parse_args(arguments)
    if options.calls < 10 * options.in_flight:
        parser.error("--calls: ten times as many as are in flight, or nothing can be seen to grow")
    chosen = {"in_flight": options.in_flight, "faults": options.faults}
    bare, _, _ = measure(calls=options.calls // 10, ours=False, **chosen)
    _show("bare aiohttp", bare)
    ours, applied, struck = measure(calls=options.calls, ours=True, **chosen)
    _show("intercom_async", ours)
    print(f"  struck {struck:,}; detached at the server, times: pairs {dict(applied)}")
    print(f"\n{'memory MB':>12} {'descriptors':>12} {'tasks':>8}")
    for sample in ours.samples:
        print(f"{sample.memory:12.1f} {sample.descriptors:12} {sample.tasks:8}")
    grown = ours.samples[-1].memory - ours.samples[1].memory
    tasks, descriptors = ours.left
    late = 1000 * ours.lag(0.999)
    verdicts = [
        (grown <= GROWTH, f"memory grew by {grown:+.1f} MB (at most {GROWTH})"),
        (ours.objects <= OBJECTS, f"objects grew by {ours.objects:+,} (at most {OBJECTS:,})"),
        (tasks == descriptors == 0, f"tasks {tasks:+} and descriptors {descriptors:+} are left"),
        (
            late <= 1000 * LAG,
            f"the loop was late by {late:.1f} ms at p99.9 (at most {1000 * LAG:g})",
        ),
        (
            applied == {1: ours.calls} and BODY_LOST.issuperset(ours.errors),
            "every pair was detached once, and no call failed",
        ),
    ]
    print()
    for holds, text in verdicts:
        print(f"{'holds ' if holds else 'MISSED'}  {text}")
    return 0 if all(holds for holds, _ in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
