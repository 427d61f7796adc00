"""However a session ends, what was given is on the disk, and nothing stays open."""

# ruff: noqa: ASYNC240  nothing else runs on a test's loop

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest

from intercom_async.journal import JournalWriteError, Wanted
from tests.journal.helpers import kept, opened, pair, ran, row, threads
from tests.support.cancelling import Countdown, Moment, cancelled_at


def descriptors() -> set[str]:
    """What this process has open that belongs to a journal."""
    found = set[str]()
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own, closed by now
            found.add(str(one.readlink()))
    return {name for name in found if "run.db" in name}


def nothing_is_open() -> bool:
    return not threads() and not descriptors()


@pytest.mark.parametrize("moment", Moment)
async def test_wherever_a_session_is_cancelled_what_it_was_given_is_kept_and_nothing_stays_open(
    tmp_path: Path, moment: Moment
) -> None:
    for suspension in itertools.count(1):
        countdown = Countdown(suspension, moment)
        path = tmp_path / f"{suspension}-run.db"
        given: set[str] = set()

        async def use(path: Path = path, given: set[str] = given) -> None:
            session = await opened(path)
            try:
                await session.bind("a", "app1", None)
                for number in range(3):
                    given.add(f"c{number:04}")
                    await session.write(row(number))
                await session.rows(Wanted.LEFT, after=None)
            finally:
                await session.close()

        assert await cancelled_at(use(), countdown) is countdown.struck
        assert nothing_is_open()
        if given:
            assert kept(path).keys() == given
        await ran(path)
        if not countdown.struck:
            return


async def test_a_temporary_journal_that_fails_tells_a_later_write() -> None:
    session = await opened(None)
    session._store.ask("PRAGMA max_page_count = 1", ())
    with pytest.raises(JournalWriteError, match="full"):
        for number in range(100_000):
            await session.write(row(number, error="x" * 300))
            await asyncio.sleep(0)
    await session.close()
    assert threads() == []


async def test_a_temporary_journal_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = await opened(None)
    await session.write(row(1))
    assert await session.look_up([pair(1)]) != [None]
    await session.close()
    assert list(tmp_path.iterdir()) == []
    assert threads() == []
