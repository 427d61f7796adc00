"""What a run pays for its table: durable pairs a second, CPU, pairs passed over, memory, room."""

import asyncio
import functools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.frame import Bound, Comparison, Figure, Options, compare, measured
from benchmarks.process import peak, process
from intercom_async.detaching import Detach
from intercom_async.journal import Binding, Journal, Row, Session, State

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

WORKERS: Final = 64
BATCH: Final = 256
_BINDING: Final = Binding(operation="detach", base_url="https://api.intercom.io", app_id="bench")

WRITTEN: Final = (
    Figure(
        f"pairs announced and recorded, each awaited by one of {WORKERS} workers",
        "pairs/s",
        Bound("value", 5_000, least=True),
    ),
    Figure("the same", "us of CPU a pair"),
)
RESUMED: Final = (
    Figure("a journal of settled pairs: opened again", "ms"),
    Figure(
        f"a journal of settled pairs: passed over, {BATCH} pairs at a time",
        "us a pair",
        Bound("value", 10.0),
    ),
    Figure("a journal of settled pairs: the file", "bytes a pair"),
    Figure("a journal of settled pairs: peak memory", "MB", Bound("difference", 30.0)),
)


def measure(options: Options) -> list[Comparison]:
    """Measure runs that send nothing: every pair is announced and recorded, each awaited."""
    count = 2_000 if options.quick else 20_000
    written = {
        "on the disk": functools.partial(_written, count, keep=True),
        "temporary": functools.partial(_written, count, keep=False),
    }
    resumed = {
        f"{size:,} settled pairs": functools.partial(_resumed, size)
        for size in (count, 1_000_000)[: 1 + options.million]
    }
    return [
        *compare(WRITTEN, measured(written, options.rounds), "on the disk", ["on the disk"]),
        *compare(RESUMED, measured(resumed, min(options.rounds, 2)), next(iter(resumed)), resumed),
    ]


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


def _written(count: int, *, keep: bool) -> tuple[float, float]:
    """Return pairs per second, and microseconds of CPU per pair."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_write(Path(folder) / "run.db" if keep else None, count))


async def _write(path: Path | None, count: int) -> tuple[float, float]:
    session = await Journal(path).open(_BINDING)
    numbers = iter(range(count))
    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(_work(session, numbers) for _ in range(WORKERS)))
    taken, used = time.perf_counter() - began, time.process_time() - used
    await session.close()
    return count / taken, used / count * 1e6


async def _work(session: Session, numbers: Iterator[int]) -> None:
    for number in numbers:
        await session.write(_row(number, State.SENDING))
        await session.write(_row(number, "detached"))


def _resumed(count: int) -> tuple[float, ...]:
    """Fill and read a journal of settled pairs in a process of its own."""
    with process(_fill_and_resume, count) as pipe:
        figures: tuple[float, ...] = pipe.recv()
        return figures


def _fill_and_resume(pipe: "Connection[Any, Any]", count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        asyncio.run(_fill(path, count))
        size = path.stat().st_size / count
        opened, looking = asyncio.run(_resume(path, count))
    pipe.send((opened * 1e3, looking / count * 1e6, size, peak()))


async def _fill(path: Path, count: int) -> None:
    session = await Journal(path).open(_BINDING)
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        await asyncio.gather(*(session.write(_row(number, "detached")) for number in numbers))
    await session.close()


async def _resume(path: Path, count: int) -> tuple[float, float]:
    began = time.perf_counter()
    session = await Journal(path).open(_BINDING)
    opened = time.perf_counter() - began
    looking = 0.0
    for start in range(0, count, BATCH):
        pairs = [_pair(number) for number in range(start, min(start + BATCH, count))]
        began = time.perf_counter()
        rows = await session.look_up(pairs)
        looking += time.perf_counter() - began
        assert all(rows)
    await session.close()
    return opened, looking
