"""What the journal's tests share."""

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from intercom_async.detaching import Detach, Outcome
from intercom_async.journal import Admitted, Header, Journal, JournalSession, Record
from intercom_async.journal.files import Disk
from intercom_async.journal.format import Line, encode

D, A, M, L, F, U, N, _ = Outcome
HEADER = Header(journal="intercom_async", schema=1)


def record(ordinal: int, outcome: Outcome = D, *, inferred: bool = False) -> Record:
    return Record(
        ordinal=ordinal,
        conversation_id=f"c{ordinal}",
        contact_id=f"k{ordinal}",
        outcome=outcome,
        inferred=inferred,
    )


def encoded(*lines: Line) -> bytes:
    return b"".join(encode(line) for line in lines)


def pairs(count: int, first: int = 1) -> list[Detach]:
    return [Detach(f"c{n}", f"k{n}") for n in range(first, first + count)]


async def admit_all(session: JournalSession, given: Iterable[Detach]) -> list[Admitted]:
    admitted = [admitted for pair in given for admitted in session.admit(pair)]
    session.end_input()
    return [one for one in admitted if one.settled is None]


async def run(
    path: Path,
    given: Iterable[Detach],
    fate: Callable[[int], Outcome | None] = lambda _: D,
    *,
    journal: Journal | None = None,
) -> list[Admitted]:
    """One orderly session over an input; a fate of None is a pair that is never recorded."""
    async with await (journal or Journal(path)).open() as session:
        admitted = await admit_all(session, given)
        for pair in admitted:
            outcome = fate(pair.ordinal)
            await session.reserve(pair.ordinal)
            if outcome is not None:
                _ = session.record(pair.ordinal, pair.detach, outcome)
    return admitted


async def killed(
    path: Path,
    given: Iterable[Detach],
    fate: Callable[[int], Outcome | None],
) -> list[Admitted]:
    """A session of which the disk keeps what a kill after the last record leaves."""
    session = await Journal(path).open()
    admitted: list[Admitted] = []
    for pair in given:
        for one in session.admit(pair):
            if one.settled is not None:
                continue
            admitted.append(one)
            await session.reserve(one.ordinal)
            outcome = fate(one.ordinal)
            if outcome is not None:
                _ = session.record(one.ordinal, one.detach, outcome)
    await session.flush()
    kept = await asyncio.to_thread(path.read_bytes)
    await session.close()
    await asyncio.to_thread(path.write_bytes, kept)
    return admitted


class GatedDisk(Disk):
    """Syncs only when told to."""

    def __init__(self) -> None:
        self.syncing = threading.Event()
        self.allowed = threading.Semaphore(0)
        self.syncs = 0
        self.free = False

    def sync(self, fd: int) -> None:
        self.syncing.set()
        if not self.free:
            assert self.allowed.acquire(timeout=10)
        self.syncs += 1
        super().sync(fd)

    def release(self) -> None:
        self.free = True
        self.allowed.release(1000)


class Unsynced(Disk):
    """A disk whose promises nobody waits for: for tests of many files."""

    def sync(self, fd: int) -> None:
        """Do nothing."""


class FullDisk(Unsynced):
    """A file system with so many bytes left; quick, since what it holds is read at once."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, fd: int, data: memoryview) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = min(self.room, len(data))
        self.room -= count
        return super().write(fd, data[:count])


class BrokenDisk(Disk):
    """Syncing fails from some call on."""

    def __init__(self, good: int) -> None:
        self.good = good

    def sync(self, fd: int) -> None:
        self.good -= 1
        if self.good < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(fd)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  conditions of threads and files too
            await asyncio.sleep(0.001)
