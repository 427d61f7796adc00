"""What a run pays for its table: durable pairs a second, CPU, pairs passed over, memory, room."""

import asyncio
import functools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.frame import Bound, Figure, Options, Table, measured
from benchmarks.process import peak, process
from intercom_async.detaching import Detach
from intercom_async.journal import Binding, Journal, Row, Session, State

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WORKERS: Final = 64
BATCH: Final = 256
_BINDING: Final = Binding(operation="detach", base_url="https://api.intercom.io", app_id="bench")


def measure(options: Options) -> list[Table]:
    """Measure runs that send nothing: every pair is announced and recorded, each awaited."""
    counts = [2_000 if options.quick else 20_000, *([1_000_000] if options.million else [])]
    runs = measured(
        {f"{count:,} pairs": functools.partial(_costs, count) for count in counts},
        1 if options.million else min(options.rounds, 5),
    )
    shortest, *longer = runs
    figures = [
        Figure(
            f"pairs announced and recorded, each awaited by one of {WORKERS} workers",
            "pairs/s",
            {shortest: Bound("value", 5_000, least=True)},
        ),
        Figure("the same", "µs of CPU a pair"),
        Figure("the journal opened again", "ms"),
        Figure(
            f"settled pairs passed over, {BATCH} at a time",
            "µs a pair",
            dict.fromkeys(runs, Bound("value", 10.0)),
        ),
        Figure("the file", "bytes a pair"),
        Figure("peak memory", "MB", dict.fromkeys(longer, Bound("difference", 30.0))),
    ]
    return [Table(figures, runs)]


def _costs(count: int) -> tuple[float, ...]:
    """Return the figures of a process of its own."""
    with process(_fill_and_resume, count) as pipe:
        figures: tuple[float, ...] = pipe.recv()
        return figures


def _fill_and_resume(pipe: "Connection[Any, Any]", count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        began, used = time.perf_counter(), time.process_time()
        asyncio.run(_fill(path, count))
        filling, used = time.perf_counter() - began, time.process_time() - used
        size = path.stat().st_size / count
        opening, looking = asyncio.run(_resume(path, count))
    pipe.send(
        (
            *(count / filling, used / count * 1e6),
            *(opening * 1e3, looking / count * 1e6, size, peak()),
        )
    )


async def _fill(path: Path, count: int) -> None:
    session = await Journal(path).open(_BINDING)
    numbers = iter(range(count))
    await asyncio.gather(*(_work(session, numbers) for _ in range(WORKERS)))
    await session.close()


async def _work(session: Session, numbers: Iterator[int]) -> None:
    for number in numbers:
        await session.write(_row(number, State.SENDING))
        await session.write(_row(number, "detached"))


async def _resume(path: Path, count: int) -> tuple[float, float]:
    """Return the seconds that opening takes, and looking all pairs up."""
    began = time.perf_counter()
    session = await Journal(path).open(_BINDING)
    opening = time.perf_counter() - began
    looking = 0.0
    for start in range(0, count, BATCH):
        pairs = [_pair(number) for number in range(start, min(start + BATCH, count))]
        began = time.perf_counter()
        rows = await session.look_up(pairs)
        looking += time.perf_counter() - began
        assert all(rows)
    await session.close()
    return opening, looking


def _pair(number: int) -> Detach:
    """A pair whose ids look like Intercom's and come in no order."""
    return Detach(f"2154600{number * 7919 % 1_000_003:08}", f"5ba682d23d7cf92bef{number:06x}")


def _row(number: int, state: str) -> Row:
    pair = _pair(number)
    return Row(
        conversation_id=pair.conversation_id,
        contact_id=pair.contact_id,
        admin_id="5017690",
        state=state,
        attempts=int(state != State.SENDING),
        request_id=None if state == State.SENDING else "0006f1n0bd6fp8q1l6gg",
    )
