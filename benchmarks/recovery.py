"""An outage in the middle of a run, in real time, over sockets.

A simulated Intercom answers with its quota for a window, is away (503), and comes back. The result
is the requests a second that it got before, during and after, and how long after its return the
first whole window began of which 95 % were used.
"""

import asyncio
import contextlib
import multiprocessing
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from benchmarks.client_process import ClientProcess
from benchmarks.figures import Bound, Comparison, Options
from benchmarks.rivals import CONTACT, OUR_BULK, SKIPPING, TOKEN
from intercom_async.simulator import IntercomSimulator, Outage

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WINDOW: Final = 10.0
LIMIT: Final = 300
"""Requests per window."""

IN_FLIGHT: Final = 64
PAIRS: Final = 1_000_000
"""More than any of them gets to."""

WINDOWS_AFTER: Final = 4
CONTESTANTS: Final = (SKIPPING, OUR_BULK)

Course = list[tuple[float, int]]
"""Unix second, and the requests that had arrived by then."""


def _serve(pipe: "Connection[Any, Any]", away: float) -> None:
    async def serve() -> tuple[float, Course, list[tuple[float, int]]]:
        course: Course = []
        async with IntercomSimulator(token=TOKEN, limit=LIMIT, latency=(0.02, 0.1)) as simulator:
            workspace = simulator.workspace
            workspace.add_contact(contact_id=CONTACT)
            other = workspace.add_contact()
            for number in range(10_000_000, 10_000_000 + (WINDOWS_AFTER + 4) * 4 * LIMIT):
                workspace.add_conversation([CONTACT, other], conversation_id=str(number))
            pipe.send(simulator.url)
            begin = (simulator.now() // WINDOW + 2) * WINDOW  # after a whole window of their own
            back = begin + away
            outage = None
            while (now := simulator.now()) < back + WINDOWS_AFTER * WINDOW:
                if now >= begin and outage is None:
                    outage = asyncio.create_task(simulator.outage(Outage.UNAVAILABLE, back - now))
                course.append((now, simulator.requests.total))
                await asyncio.sleep(0.05)
            used = [(window.start, window.accepted) for window in simulator.quota.windows]
        return begin, course, used

    pipe.send(asyncio.run(serve()))


def _arrived(course: Course, begin: float, end: float) -> float:
    """Requests a second between two moments."""
    within = [total for at, total in course if begin <= at < end]
    return (within[-1] - within[0]) / (end - begin)


def _course_of(name: str, away: float, into: dict[str, tuple[float, float, float, float]]) -> None:
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, away), daemon=True)
    server.start()
    with contextlib.ExitStack() as stack:
        stack.callback(server.join, 5)
        client = stack.enter_context(ClientProcess(name, pipe.recv()))
        client.start(PAIRS, IN_FLIGHT)
        begin, course, used = pipe.recv()
        client.kill()
    back = begin + away
    full = [at - back for at, count in used if at >= back and count >= 0.95 * LIMIT]
    into[name] = (
        _arrived(course, begin - WINDOW, begin),
        _arrived(course, begin, back),
        _arrived(course, back, back + 2 * WINDOW),
        full[0] if full else WINDOWS_AFTER * WINDOW,
    )


def measure(options: Options) -> list[Comparison]:
    """Measure both at the same time, each with a simulator of its own."""
    away = 8.0 if options.quick else 38.0  # it comes back two seconds before a window's end
    rounds: list[dict[str, tuple[float, float, float, float]]] = []
    for _ in range(1 if options.quick else 2):
        found: dict[str, tuple[float, float, float, float]] = {}
        threads = [
            threading.Thread(target=_course_of, args=(name, away, found)) for name in CONTESTANTS
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.1)
        for thread in threads:
            thread.join()
        rounds.append(found)
    figures = (
        (f"requests sent before an outage of {away:.0f} s", "per second", None),
        # What was in flight when it began is most of a short one.
        ("requests sent during it", "per second", None if options.quick else Bound("value", 1.0)),
        ("requests sent in the two windows after it", "per second", None),
        ("until a whole window is used again", "s", Bound("value", 1.2 * WINDOW)),
    )
    return [
        Comparison(
            name=name,
            unit=unit,
            baseline=SKIPPING,
            rounds={who: [found[who][number] for found in rounds] for who in CONTESTANTS},
            bounds={} if bound is None else {OUR_BULK: bound},
        )
        for number, (name, unit, bound) in enumerate(figures)
    ]
