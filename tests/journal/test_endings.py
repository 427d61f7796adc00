"""However a session ends, what was given is on the disk, and nothing stays open."""

# ruff: noqa: ASYNC240  nothing else runs on a test's loop

import asyncio
import contextlib
import gc
import itertools
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from intercom_async.journal import (
    Journal,
    JournalLockedError,
    JournalWriteError,
    Session,
    Wanted,
    sqlite,
)
from tests.journal.helpers import ACME, files, kept, opened, pair, ran, row, threads, until


class Gate:
    """Holds the journal's thread before its next statement."""

    def __init__(self) -> None:
        self.waiting = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def close(self) -> None:
        self.waiting.clear()
        self.free.clear()

    def pass_through(self) -> None:
        self.waiting.set()
        assert self.free.wait(10)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    for name in ("__init__", "write", "look_up", "rows", "update", "bind", "close"):
        _hold(monkeypatch, name, gate)
    yield gate
    gate.free.set()


def _hold(monkeypatch: pytest.MonkeyPatch, name: str, gate: Gate) -> None:
    method = getattr(sqlite.SqliteStore, name)

    def held(*args: Any) -> Any:
        gate.pass_through()
        return method(*args)

    monkeypatch.setattr(sqlite.SqliteStore, name, held)


def descriptors() -> set[str]:
    """What this process has open that belongs to a journal."""
    found = set[str]()
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own, closed by now
            found.add(str(one.readlink()))
    return {name for name in found if "run.db" in name}


def nothing_is_open() -> bool:
    return not threads() and not descriptors()


_CALLS: dict[str, Callable[[Session], Awaitable[object]]] = {
    "look_up": lambda session: session.look_up([pair(1)]),
    "write": lambda session: session.write(row(1)),
    "rows": lambda session: session.rows(Wanted.LEFT, after=None),
    "bind": lambda session: session.bind("a", "app1", None),
    "end_input": lambda session: session.end_input(),
}


@pytest.mark.parametrize("name", _CALLS)
async def test_a_call_that_is_cancelled_leaves_the_session_usable(
    path: Path, gate: Gate, name: str
) -> None:
    session = await opened(path)
    gate.close()
    calling = asyncio.ensure_future(_CALLS[name](session))
    await until(gate.waiting.is_set)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    gate.free.set()
    await session.write(row(2))
    assert (await session.look_up([pair(1)]) != [None]) == (name == "write")
    await session.close()
    assert nothing_is_open()


async def test_a_cancelled_close_writes_what_was_given_before_it_raises(
    path: Path, gate: Gate
) -> None:
    session = await opened(path)
    gate.close()
    writing = [asyncio.ensure_future(session.write(row(number))) for number in range(2500)]
    await asyncio.sleep(0)
    writing[-1].cancel()
    closing = asyncio.ensure_future(session.close())
    for _ in range(3):
        await asyncio.sleep(0.001)
        closing.cancel()
    again = asyncio.ensure_future(session.close())
    await asyncio.sleep(0.001)
    assert not closing.done()
    assert not again.done()
    gate.free.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert nothing_is_open()
    assert len(kept(path)) == 2500
    await asyncio.gather(*writing[:-1], again)
    await ran(path)


async def test_a_cancelled_opening_leaves_nothing_open(path: Path, gate: Gate) -> None:
    gate.close()
    opening = asyncio.ensure_future(opened(path))
    await until(gate.waiting.is_set)
    opening.cancel()
    await asyncio.sleep(0)
    gate.free.set()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert nothing_is_open()
    await ran(path)


async def test_a_session_that_is_forgotten_lets_go_of_its_journal(path: Path) -> None:
    session = await opened(path)
    await session.write(row(1))
    with pytest.raises(JournalLockedError):
        await opened(path)
    del session
    gc.collect()
    await until(nothing_is_open)
    assert kept(path) == {"c0001": "detached"}


def test_a_program_that_ends_without_closing_loses_nothing(path: Path) -> None:
    program = """
import asyncio, sys
from tests.journal.helpers import opened, row

async def main():
    session = await opened(sys.argv[1])
    for number in range(3):
        asyncio.ensure_future(session.write(row(number)))
    await asyncio.sleep(0)
    return session

session = asyncio.run(main())
"""
    child = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, check=True, timeout=60
    )
    assert child.stderr == b""
    assert files(path.parent).keys() == {"run.db"}
    assert len(kept(path)) == 3


async def test_a_temporary_journal_that_fails_tells_the_next_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = sqlite.SqliteStore.write

    def write(self: sqlite.SqliteStore, rows: Any) -> None:
        self._connection.execute("PRAGMA max_page_count = 1")
        real(self, rows)

    monkeypatch.setattr(sqlite.SqliteStore, "write", write)
    session = await opened(None)

    async def give() -> None:
        for number in itertools.count():
            await session.write(row(number, error="x" * 300))
            await asyncio.sleep(0)

    try:
        with pytest.raises(JournalWriteError, match="full"):
            await asyncio.wait_for(give(), 30.0)
    finally:
        await session.close()
    assert threads() == []


async def test_a_temporary_journal_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = await Journal(None).open(ACME)
    await session.write(row(1))
    assert await session.look_up([pair(1)]) != [None]
    await session.close()
    assert list(tmp_path.iterdir()) == []
    assert threads() == []
