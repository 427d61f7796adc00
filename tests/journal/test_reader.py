"""What reports, exports and undo read."""

# ruff: noqa: ASYNC240  nothing else runs on a test's loop

import sqlite3
from pathlib import Path

import pytest

from intercom_async.journal import JournalError, Row, reader
from tests.journal.helpers import ACME, opened, ran, row


async def test_rows_come_in_the_order_of_their_ids_a_page_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "PAGE", 7)
    await ran(path, *(row(number) for number in reversed(range(30))))
    with reader.open(path) as journal:
        assert [one.conversation_id for one in journal.rows()] == [f"c{n:04}" for n in range(30)]
        assert journal.counts() == {"detached": 30}


async def test_rows_are_chosen_by_state_and_by_how_it_is_known(path: Path) -> None:
    await ran(path, row(1), row(2, inferred=True), row(3, "failed"), row(4, "sending"))

    def chosen(**wanted: object) -> list[str]:
        with reader.open(path) as journal:
            found: list[Row] = list(journal.rows(**wanted))  # type: ignore[arg-type]
            return [one.contact_id for one in found]

    assert chosen() == ["k1", "k2", "k3", "k4"]
    assert chosen(states=["detached"]) == ["k1", "k2"]
    assert chosen(states=["detached"], inferred=False) == ["k1"]
    assert chosen(inferred=True) == ["k2"]
    assert chosen(states=["failed", "sending"]) == ["k3", "k4"]
    assert chosen(states=[]) == []


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
