"""Processes: killed ones, two at once, forked children."""

# ruff: noqa: ASYNC240  nothing else runs on a test's loop

import asyncio
import multiprocessing
import os
import select
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from intercom_async.journal import JournalError, Wanted, reader
from tests.journal.helpers import kept, opened, pair, ran, row, until


def test_a_process_that_is_killed_while_it_creates_a_journal_leaves_none_or_a_whole_one(
    path: Path,
) -> None:
    program = (
        "import asyncio, sys; from tests.journal.helpers import ran, row; print(flush=True);"
        "asyncio.run(ran(sys.argv[1], row(1)))"
    )
    for attempt in (1, 3):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            select.select([], [], [], 0.005 * attempt)
            child.kill()
        asyncio.run(ran(path, row(2)))
        assert "c0002" in kept(path)
        path.unlink()


async def test_a_kill_while_a_session_begins_or_ends_leaves_no_rollback_journal(
    path: Path,
) -> None:
    seen = set[str]()

    async def watch() -> None:
        while True:
            seen.update(one.name for one in path.parent.iterdir())
            await asyncio.sleep(0)

    await ran(path)
    watching = asyncio.ensure_future(watch())
    for number in range(20):
        await ran(path, row(number))
    watching.cancel()
    assert seen <= {"run.db", "run.db-lock", "run.db-shm", "run.db-wal"}
    assert path.read_bytes()[18] == 1  # whoever only reads needs no log


async def test_a_forked_child_cannot_write(path: Path) -> None:
    session = await opened(path)

    async def attempts() -> None:
        for call in (
            session.write(row(2)),
            session.look_up([pair(1)]),
            session.rows(Wanted.LEFT, after=None),
        ):
            with pytest.raises(JournalError, match="belongs to this process's parent"):
                await call
        await session.close()

    def attempt() -> None:
        asyncio.events._set_running_loop(None)  # the parent's, as the child sees it
        asyncio.run(attempts())

    child = multiprocessing.get_context("fork").Process(target=attempt)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads, 3.12
        child.start()
    child.join()
    assert child.exitcode == 0
    await session.write(row(1))
    await session.close()
    assert kept(path) == {"c0001": "detached"}


_FORKS = """
import asyncio, gc, os, sys
from tests.journal.helpers import opened, row

with asyncio.Runner() as runner:
    session = runner.run(opened(sys.argv[1]))
    runner.run(session.write(row(1)))
    if not os.fork():
        del session
        gc.collect()
        print(os.getpid(), flush=True)
        os.read(int(sys.argv[2]), 1)
        sys.exit(0)
    runner.run(asyncio.sleep(60))
"""


def test_a_child_that_outlives_its_killed_parent_keeps_no_lock_and_harms_nobody(path: Path) -> None:
    gate, opening = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _FORKS, str(path), str(gate)],
        stdout=subprocess.PIPE,
        pass_fds=[gate],
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    os.close(gate)
    asyncio.run(ran(path, *(row(number) for number in range(2, 400))))
    assert _is_alive(child)
    os.close(opening)
    asyncio.run(until(lambda: not _is_alive(child)))
    asyncio.run(ran(path, row(400)))
    assert len(kept(path)) == 400
    with reader.open(path) as journal:
        assert journal.query("PRAGMA integrity_check") == [("ok",)]


def _is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
