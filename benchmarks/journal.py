"""What a run pays for its table: durable pairs a second, CPU, pairs passed over, memory, room."""

import asyncio
import concurrent.futures
import functools
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.figures import Bound, Comparison, Figure, Options, compare, measured
from benchmarks.processes import peak
from intercom_async.detaching import Detach
from intercom_async.journal import Binding, Journal, Row, Session, State

DISK: Final = "on the disk"
TEMPORARY: Final = "temporary"
WORKERS: Final = 64
BATCH: Final = 256
_BINDING: Final = Binding(operation="detach", base_url="https://api.intercom.io", app_id="bench")


def measure(options: Options) -> list[Comparison]:
    """Measure runs that send nothing: every pair is announced and recorded, each awaited."""
    count = 2_000 if options.quick else 20_000
    runs = measured(
        {
            DISK: functools.partial(_run, count),
            TEMPORARY: functools.partial(_run, count, keep=False),
        },
        options.rounds,
    )
    written = [
        Figure(
            f"pairs announced and recorded, each awaited by one of {WORKERS} workers",
            "pairs/s",
            Bound("value", 5_000, least=True),
        ),
        Figure("the same", "us of CPU a pair"),
    ]
    return [
        *compare(written, runs, DISK, [DISK]),
        *_resumed([count, *([1_000_000] if options.million else [])], min(options.rounds, 2)),
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


def _run(count: int, *, keep: bool = True) -> tuple[float, float]:
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


def _resumed(sizes: list[int], rounds: int) -> list[Comparison]:
    """Measure journals that hold so many settled pairs, each filled and read by a new process."""
    context = multiprocessing.get_context("spawn")
    figures: dict[str, list[tuple[float, ...]]] = {f"{size:,} settled pairs": [] for size in sizes}
    for size, rows in zip(sizes, figures.values(), strict=True):
        for _ in range(rounds):
            with concurrent.futures.ProcessPoolExecutor(1, context) as pool:
                rows.append(pool.submit(_one_resumed, size).result())
    kinds = [
        Figure("a journal of settled pairs: opened again", "ms"),
        Figure(
            f"a journal of settled pairs: passed over, {BATCH} pairs at a time",
            "us a pair",
            Bound("value", 10.0),
        ),
        Figure("a journal of settled pairs: the file", "bytes a pair"),
        Figure("a journal of settled pairs: peak memory", "MB", Bound("difference", 30.0)),
    ]
    return compare(kinds, figures, next(iter(figures)), figures)


def _one_resumed(count: int) -> tuple[float, ...]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        asyncio.run(_fill(path, count))
        size = path.stat().st_size / count
        opened, looking = asyncio.run(_resume(path, count))
    return opened * 1e3, looking / count * 1e6, size, peak() / 2**20


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
