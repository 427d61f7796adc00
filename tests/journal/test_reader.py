"""What reports, exports and undo read."""

# ruff: noqa: ASYNC240  nothing else runs on a test's loop

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from intercom_async.journal import JournalError, reader
from tests.journal.helpers import ACME, opened, ran, row


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ({}, range(30)),
        ({"states": ["detached"]}, range(20)),
        ({"states": ["detached"], "inferred": False}, range(10)),
        ({"inferred": True}, range(10, 20)),
        ({"states": ["failed", "sending"]}, range(20, 30)),
        ({"states": []}, ()),
    ],
)
async def test_chosen_rows_come_in_the_order_of_their_ids_a_page_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, wanted: dict[str, Any], chosen: Sequence[int]
) -> None:
    monkeypatch.setattr(reader, "PAGE", 7)
    known = [row(number, inferred=number >= 10) for number in reversed(range(20))]
    await ran(path, *known, *(row(number, "failed") for number in range(20, 30)))
    with reader.open(path) as journal:
        rows = list(journal.rows(**wanted))
        assert journal.counts() == {"detached": 20, "failed": 10}
    assert [one.conversation_id for one in rows] == [f"c{number:04}" for number in chosen]


async def test_a_run_that_goes_on_is_read_as_it_is_at_one_moment(path: Path) -> None:
    session = await opened(path)
    await session.write(row(1))
    assert reader.is_journal(path)
    with reader.open(path) as journal:
        assert journal.counts() == {"detached": 1}
        await session.write(row(2))
        assert journal.counts() == {"detached": 1}
        assert journal.binding == ACME
        (running,) = journal.sessions
        assert (running.number, running.ended_at, running.source) == (1, None, None)
    with reader.open(path) as journal:
        assert journal.counts() == {"detached": 2}
    await session.close()


async def test_a_reader_does_not_keep_a_run_from_ending_nor_from_beginning(path: Path) -> None:
    session = await opened(path)
    with reader.open(path) as journal:
        await session.write(row(1))
        await session.close()
        await ran(path, row(2))
        assert journal.counts() == {}
    await ran(path, row(3))
    assert [one.name for one in path.parent.iterdir()] == ["run.db"]


async def test_a_reader_changes_nothing(path: Path) -> None:
    await ran(path, row(1))
    before = path.read_bytes()
    with reader.open(path) as journal, pytest.raises(sqlite3.OperationalError, match="readonly"):
        journal.connection.execute("DELETE FROM pair")
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == ["run.db"]


def test_a_journal_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        reader.open(path)
    assert not reader.is_journal(path)
    assert not reader.is_journal(path.parent)
    assert not path.exists()


async def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1? ü \udcff.db"
    await ran(path, row(1))
    assert reader.is_journal(path)
    with reader.open(path) as journal:
        assert journal.counts() == {"detached": 1}
