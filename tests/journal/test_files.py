"""Which files a journal may be, and what happens when the disk refuses."""

# ruff: noqa: ASYNC240  nothing else runs on a test's loop

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from intercom_async.journal import (
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    JournalWriteError,
    file_lock,
    sqlite_file,
)
from intercom_async.journal import reader as journal_reader
from tests.journal.helpers import ACME, connecting, files, kept, opened, pair, ran, row, threads


def with_connections(monkeypatch: pytest.MonkeyPatch, kind: type[sqlite3.Connection]) -> None:
    real = sqlite3.connect

    def connect(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        return real(*args, factory=kind, **kwargs)

    monkeypatch.setattr(sqlite3, "connect", connect)


async def refused(path: Path, kind: type[JournalError], match: str) -> JournalError:
    """Open a journal that must be refused, and look that nothing at all was changed."""
    before = files(path.parent) if path.parent.is_dir() else None
    with pytest.raises(kind, match=match) as caught:
        await opened(path)
    assert type(caught.value) is kind
    assert caught.value.path in {str(path), os.path.realpath(path)}
    if before is not None:
        assert files(path.parent) == before
    assert threads() == []
    return caught.value


class TestWhoMayUseIt:
    async def test_everything_is_created_for_its_owner_alone_whatever_the_umask(
        self, path: Path
    ) -> None:
        before = os.umask(0)
        try:
            session = await opened(path)
            await session.write(row(1))
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
            await session.close()
        finally:
            os.umask(before)
        names = ["run.db", "run.db-lock", "run.db-shm", "run.db-wal"]
        assert modes == dict.fromkeys(names, 0o600)
        assert [one.name for one in path.parent.iterdir()] == ["run.db"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    async def test_one_of_another_user_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await ran(path, row(1))
        monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
        await refused(path, JournalError, "belongs to another user")

    async def test_an_empty_file_becomes_a_journal(self, path: Path) -> None:
        path.touch(0o600)
        await ran(path, row(1))
        assert kept(path) == {"c0001": "detached"}


def _replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def _content(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def _executed(statement: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
        path.chmod(0o600)

    return spoil


def _overwritten(what: bytes) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = bytearray(path.read_bytes())
        middle = len(content) // 2 // 4096 * 4096
        content[middle : middle + 4096] = (what * 4096)[:4096]
        path.write_bytes(content)

    return spoil


_STRANGE = (JournalCorruptError, "is no journal of this library", False)
_IRREGULAR = (JournalError, "no regular file", False)
_DAMAGED = (JournalCorruptError, "is damaged.*Nothing was repaired", True)

_REFUSED: dict[str, tuple[Callable[[Path], object], type[JournalError], str, bool]] = {
    "open to others": (
        lambda path: path.chmod(0o604), JournalError, "lies open to other users.*chmod 600", True,
    ),
    "empty and open to others": (
        _replaced_by(lambda path: path.touch(0o644)), JournalError, "lies open", False,
    ),
    "with two names": (
        lambda path: os.link(path, path.with_name("other.db")), JournalError, "more than one name",
        True,
    ),
    "a directory": (_replaced_by(Path.mkdir), *_IRREGULAR),
    "a pipe": (_replaced_by(lambda path: os.mkfifo(path, 0o600)), *_IRREGULAR),
    "one byte more than nothing": (_content(b"x"), *_STRANGE),
    "a CSV": (_content(5000 * b"conversation_id,contact_id\n"), *_STRANGE),
    "another program's": (_replaced_by(_executed("CREATE TABLE cookies (name)")), *_STRANGE),
    "of a newer version": (
        _executed("PRAGMA user_version = 2"), JournalError,
        "newer version.*schema is 2, this version reads 1.*update", True,
    ),
    "partly zero": (_overwritten(b"\0"), *_DAMAGED),
    "partly garbage": (_overwritten(b"garbage "), *_DAMAGED),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[: -3 * 4096]), *_DAMAGED),
}  # fmt: skip


class TestWhatItIs:
    @pytest.mark.parametrize("what", _REFUSED)
    async def test_what_is_no_sound_journal_of_this_user_is_refused_by_name(
        self, path: Path, what: str
    ) -> None:
        await ran(path, *(row(number) for number in range(600)))
        spoil, kind, match, ours = _REFUSED[what]
        spoil(path)
        await refused(path, kind, match)
        assert journal_reader.is_journal(path) == ours
        if kind is JournalCorruptError or "newer" in what:
            with pytest.raises(kind, match=match), journal_reader.open(path) as reader:
                list(reader.rows())

    async def test_two_names_of_one_journal_exclude_each_other(self, path: Path) -> None:
        link = path.with_name("link.db")
        session = await opened(path)
        link.symlink_to(path)
        with pytest.raises(JournalLockedError):
            await opened(link)
        await session.close()
        await ran(link, row(1))
        assert kept(path) == {"c0001": "detached"}

    async def test_a_killed_one_that_is_refused_keeps_its_log_too(self, path: Path) -> None:
        session = await opened(path)
        await session.write(row(1))
        killed = path.parent / "killed"
        killed.mkdir()
        for name in ("run.db", "run.db-wal"):
            shutil.copy(path.with_name(name), killed / name)
        await session.close()
        assert files(killed)["run.db-wal"]
        before = files(killed)
        with pytest.raises(JournalMismatchError):
            await opened(killed / "run.db", attrs.evolve(ACME, app_id="app2"))
        assert files(killed) == before
        assert kept(killed / "run.db") == {"c0001": "detached"}


class TestTheDisk:
    async def test_a_folder_that_is_missing_is_named(self, tmp_path: Path) -> None:
        await refused(tmp_path / "no" / "run.db", JournalWriteError, "No such file")

    async def test_where_no_log_can_be_written_ahead_a_journal_is_refused(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def execute(self: sqlite3.Connection, statement: str, *args: Any) -> Any:
            if "journal_mode = WAL" in statement:  # as on a network disk
                statement = "PRAGMA journal_mode = DELETE"
            return sqlite3.Connection.execute(self, statement, *args)

        await ran(path.with_name("old.db"), row(1))
        with_connections(monkeypatch, connecting(execute=execute))
        await refused(path, JournalError, "local disk")
        await refused(path.with_name("old.db"), JournalError, "local disk")

    async def test_a_full_disk_stops_the_run_and_what_was_acknowledged_is_safe(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def execute(self: sqlite3.Connection, statement: str, *args: Any) -> Any:
            if statement.startswith("PRAGMA synchronous"):
                sqlite3.Connection.execute(self, "PRAGMA max_page_count = 20")
            return sqlite3.Connection.execute(self, statement, *args)

        with monkeypatch.context() as patched:
            with_connections(patched, connecting(execute=execute))
            session = await opened(path)
        writing = [session.write(row(number, error="x" * 200)) for number in range(400)]
        told = list[BaseException | None]()
        for start in range(0, 400, 40):
            batch = writing[start : start + 40]
            told += await asyncio.gather(*batch, return_exceptions=True)
        for error in told:
            if error is not None:
                assert isinstance(error, JournalWriteError)
                assert isinstance(error.__cause__, sqlite3.Error)
                assert "database or disk is full" in str(error)
        with pytest.raises(JournalWriteError):
            await session.look_up([pair(1)])
        await session.close()
        safe = {f"c{number:04}" for number, error in enumerate(told) if error is None}
        assert len(safe) < 400
        assert kept(path).keys() == safe
        await ran(path, row(9999))
        assert len(kept(path)) == len(safe) + 1

    async def test_a_read_only_disk_is_told(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> int:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(os, "open", refuse)
        await refused(path, JournalWriteError, "Read-only file system.*nothing was sent")

    async def test_another_program_that_keeps_it_locked_is_named(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sqlite_file, "PATIENCE", 0.01)
        session = await opened(path)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalWriteError, match="another program has kept it locked"):
            await session.write(row(1))
        other.close()
        await session.close()


class TestItsPlace:
    @pytest.mark.parametrize("change", ["moved", "replaced", "deleted"])
    async def test_a_journal_that_leaves_its_place_stops_the_run(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        session = await opened(path)
        await session.write(row(1))
        moved = path.with_name("moved.db")
        if change == "deleted":
            path.unlink()
        else:
            path.rename(moved)
        if change == "replaced":
            path.write_bytes(b"something else")
        for number in (2, 3):
            with pytest.raises(JournalWriteError, match="moved, replaced or deleted"):
                await session.write(row(number))
        await session.close()
        assert threads() == []
        if change != "deleted":
            assert kept(moved) == {"c0001": "detached"}
        if change == "replaced":
            assert path.read_bytes() == b"something else"


class TestTheLock:
    def test_a_lock_file_that_was_removed_meanwhile_is_not_taken_for_the_lock(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = contextlib.ExitStack()
        first.enter_context(file_lock.locked(str(path)))
        taking: list[int] = []
        real = file_lock._lock

        def slowly(fd: int) -> None:
            if not taking:  # the run before ends between opening and locking
                first.close()
            taking.append(fd)
            real(fd)

        monkeypatch.setattr(file_lock, "_lock", slowly)
        with file_lock.locked(str(path)):
            assert len(taking) == 2
            with pytest.raises(JournalLockedError), file_lock.locked(str(path)):
                pass

    @pytest.mark.parametrize(
        ("number", "kind", "told"),
        [
            (errno.ENOLCK, JournalError, "cannot lock files.*local disk"),
            (errno.EACCES, JournalLockedError, "in use by another run"),  # as Windows says it
        ],
    )
    async def test_a_lock_that_cannot_be_had_is_told(
        self,
        path: Path,
        monkeypatch: pytest.MonkeyPatch,
        number: int,
        kind: type[JournalError],
        told: str,
    ) -> None:
        def unable(fd: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(file_lock, "_lock", unable)
        with pytest.raises(kind, match=told):
            await opened(path)
        assert not path.exists()
