"""Which files a journal may be, and what happens when the disk refuses."""

# ruff: noqa: ASYNC240  nothing else runs on a test's loop

import asyncio
import contextlib
import errno
import functools
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
    Binding,
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    JournalMismatchError,
    JournalWriteError,
    file_lock,
    sqlite_file,
)
from intercom_async.journal import reader as journal_reader
from tests.journal.helpers import ACME, files, kept, opened, pair, ran, row, threads


def rewriting(monkeypatch: pytest.MonkeyPatch, rewrite: Callable[[str], str]) -> None:
    """Let every database that is opened execute other statements than it is given."""

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            return super().execute(rewrite(statement), *values)

    connect: Any = functools.partial(sqlite3.connect, factory=Connection)
    monkeypatch.setattr(sqlite3, "connect", connect)


async def refused(
    path: Path, kind: type[JournalError], match: str, binding: Binding = ACME
) -> None:
    """Open a journal that must be refused, and look that nothing at all was changed."""
    before = files(path.parent)
    with pytest.raises(kind, match=match) as caught:
        await opened(path, binding)
    assert type(caught.value) is kind
    assert caught.value.path in {str(path), os.path.realpath(path)}
    assert files(path.parent) == before
    assert threads() == []


async def test_everything_is_created_for_its_owner_alone_whatever_the_umask(path: Path) -> None:
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


async def test_one_of_another_user_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ran(path)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    await refused(path, JournalError, "belongs to another user")


async def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    path.touch(0o600)
    await ran(path, row(1))
    assert kept(path) == {"c0001": "detached"}


def _replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        make(path)

    return spoil


def _executed(statement: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
        path.chmod(0o600)

    return spoil


def _partly_zero(path: Path) -> None:
    content = path.read_bytes()
    middle = len(content) // 2 // 4096 * 4096
    path.write_bytes(content[:middle] + bytes(4096) + content[middle + 4096 :])


_STRANGE = (JournalCorruptError, "is no journal of this library", False)
_IRREGULAR = (JournalError, "no regular file", False)
_DAMAGED = (JournalCorruptError, "is damaged.*Nothing was repaired", True)

_REFUSED: dict[str, tuple[Callable[[Path], object], type[JournalError], str, bool]] = {
    "open to others": (
        lambda path: path.chmod(0o604), JournalError, "lies open to other users.*chmod 600", True,
    ),
    "with two names": (
        lambda path: os.link(path, path.with_name("other.db")), JournalError, "more than one name",
        True,
    ),
    "a directory": (_replaced_by(Path.mkdir), *_IRREGULAR),
    "a pipe": (_replaced_by(lambda path: os.mkfifo(path, 0o600)), *_IRREGULAR),
    "a CSV": (lambda path: path.write_bytes(b"conversation_id,contact_id\n"), *_STRANGE),
    "another program's": (_replaced_by(_executed("CREATE TABLE cookies (name)")), *_STRANGE),
    "of a newer version": (
        _executed("PRAGMA user_version = 2"), JournalError,
        "newer version.*schema is 2, this version reads 1.*update", True,
    ),
    "partly zero": (_partly_zero, *_DAMAGED),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[: -3 * 4096]), *_DAMAGED),
    "in no folder": (
        lambda path: path.parent.rename(path.parent.with_name("elsewhere")), JournalWriteError,
        "No such file", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", _REFUSED)
async def test_what_is_no_sound_journal_of_this_user_is_refused_by_name(
    tmp_path: Path, what: str
) -> None:
    path = tmp_path / "folder" / "run.db"
    path.parent.mkdir()
    await ran(path, *(row(number) for number in range(600)))
    spoil, kind, match, ours = _REFUSED[what]
    spoil(path)
    await refused(path, kind, match)
    assert journal_reader.is_journal(path) == ours
    if kind is JournalCorruptError or "newer" in what:
        with pytest.raises(kind, match=match), journal_reader.open(path) as reader:
            list(reader.rows())


async def test_two_names_of_one_journal_exclude_each_other(path: Path) -> None:
    link = path.with_name("link.db")
    session = await opened(path)
    link.symlink_to(path)
    with pytest.raises(JournalLockedError):
        await opened(link)
    await session.close()
    await ran(link, row(1))
    assert kept(path) == {"c0001": "detached"}


async def test_a_killed_one_that_is_refused_keeps_its_log_too(path: Path) -> None:
    killed = path.with_name("killed") / path.name
    killed.parent.mkdir()
    session = await opened(path)
    await session.write(row(1))
    for suffix in ("", "-wal"):
        shutil.copy(f"{path}{suffix}", f"{killed}{suffix}")
    await session.close()
    await refused(killed, JournalMismatchError, "app2", attrs.evolve(ACME, app_id="app2"))
    assert kept(killed) == {"c0001": "detached"}


async def test_where_no_log_can_be_written_ahead_a_journal_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ran(path.with_name("old.db"), row(1))
    rewriting(monkeypatch, lambda statement: statement.replace("= WAL", "= DELETE"))
    await refused(path, JournalError, "local disk")
    await refused(path.with_name("old.db"), JournalError, "local disk")


async def test_a_full_disk_stops_the_run_and_what_was_acknowledged_is_safe(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        rewriting(patched, lambda one: one.replace("fullfsync = ON", "max_page_count = 20"))
        session = await opened(path)
    writing = [session.write(row(number, error="x" * 200)) for number in range(400)]
    told = list[BaseException | None]()
    for start in range(0, 400, 40):
        batch = writing[start : start + 40]
        told += await asyncio.gather(*batch, return_exceptions=True)
    safe = {f"c{number:04}" for number, error in enumerate(told) if error is None}
    (failure,) = set(filter(None, told))
    assert isinstance(failure, JournalWriteError)
    assert isinstance(failure.__cause__, sqlite3.Error)
    assert "database or disk is full" in str(failure)
    with pytest.raises(JournalWriteError):
        await session.look_up([pair(1)])
    await session.close()
    assert kept(path).keys() == safe
    await ran(path, row(9999))
    assert len(kept(path)) == len(safe) + 1


async def test_another_program_that_keeps_it_locked_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "PATIENCE", 0.01)
    session = await opened(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(JournalWriteError, match="another program has kept it locked"):
        await session.write(row(1))
    other.close()
    await session.close()


@pytest.mark.parametrize("change", ["moved", "replaced", "deleted"])
async def test_a_journal_that_leaves_its_place_stops_the_run(path: Path, change: str) -> None:
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


def test_a_lock_file_that_was_removed_meanwhile_is_not_taken_for_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
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
    ("where", "number", "kind", "told"),
    [
        ((os, "open"), errno.EROFS, JournalWriteError, "Read-only file system.*nothing was sent"),
        ((file_lock, "_lock"), errno.ENOLCK, JournalError, "cannot lock files.*local disk"),
        ((file_lock, "_lock"), errno.EACCES, JournalLockedError, "in use"),  # as Windows says it
    ],
)
async def test_what_the_system_refuses_is_told(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: tuple[object, str],
    number: int,
    kind: type[JournalError],
    told: str,
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*where, refuse)
    with pytest.raises(kind, match=told):
        await opened(path)
    assert not path.exists()
