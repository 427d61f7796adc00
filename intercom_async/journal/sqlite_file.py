"""SQLite files that are journals: created, checked, connected to, and errors in our words."""

import contextlib
import functools
import os
import sqlite3
import stat
import sys
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from intercom_async._version import __version__
from intercom_async.errors import readable
from intercom_async.journal.errors import JournalCorruptError, JournalError, unusable
from intercom_async.journal.row import Binding

APPLICATION_ID: Final = int.from_bytes(b"icas", "big")
VERSION: Final = 1
PATIENCE: Final = 30.0
"""Seconds to wait while another program holds the database."""


def connect(path: Path, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Open a file that exists; every statement commits by itself."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )


def check_format(connection: sqlite3.Connection, path: str) -> None:
    """Raise `JournalError` unless the database is a journal that this version can read."""
    ((application_id,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    if application_id != APPLICATION_ID:
        raise JournalCorruptError(path, _no_journal(path))
    if version > VERSION:
        raise JournalError(
            path,
            f"the journal {path} was written by a newer version of this library (its schema is "
            f"{version}, this version reads {VERSION}); update intercom_async",
        )


def check_owner(path: Path) -> os.stat_result:
    """Raise `JournalError` unless the file is a regular one, this user's, and closed to others.

    It opens no file: closing a descriptor would drop SQLite's locks.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        wrong = "is no regular file, so it cannot hold a journal"
    elif facts.st_nlink > 1:
        wrong = "has more than one name (hard links), so two runs could damage it"
    elif sys.platform == "win32":
        return facts
    elif facts.st_uid != os.geteuid():
        wrong = f"belongs to another user (uid {facts.st_uid}); name another file"
    elif facts.st_mode & 0o077:
        wrong = f"lies open to other users; close it with `chmod 600 {path}`"
    else:
        return facts
    raise JournalError(str(path), f"{path} {wrong}")


def create(path: Path, binding: Binding, now: float) -> None:
    """Create a journal for its owner alone: whole, or not at all."""
    draft = path.with_name(f"{path.name}-being-created")
    draft.unlink(missing_ok=True)  # of a run that was killed here
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(connect(draft, "rw")) as connection:
            connection.execute("PRAGMA journal_mode = OFF")  # a draft need not be rolled back
            fill(connection, binding, now)
            write_ahead(connection, path)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@functools.cache
def _schema() -> str:
    place = resources.files("intercom_async.journal")
    return place.joinpath("sqlite.sql").read_text(encoding="utf-8")


def fill(connection: sqlite3.Connection, binding: Binding, now: float) -> None:
    """Make the tables in an empty database."""
    marks = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}"
    connection.executescript(f"BEGIN; {marks};{_schema()}")
    connection.execute(
        "INSERT INTO run VALUES (?, ?, ?, ?)",
        (binding.operation, binding.base_url, now, __version__),
    )
    connection.execute("COMMIT")


def write_ahead(connection: sqlite3.Connection, path: Path) -> None:
    """Let the file have a write-ahead log: readers and the writer then do not wait for each other.

    The mode MEMORY comes in between: a kill between the two modes would otherwise leave a rollback
    journal on the disk, which keeps out whoever only reads.
    """
    ((mode,),) = connection.execute("PRAGMA journal_mode")
    if mode != "wal":
        connection.execute("PRAGMA journal_mode = MEMORY")
        ((mode,),) = connection.execute("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise JournalError(
            str(path),
            f"the file system of {path} cannot hold a journal (SQLite's write-ahead log does not "
            "work there, as on network disks); keep it on a local disk",
        )


def error_from(path: str, error: sqlite3.Error, safe: str) -> JournalError:
    """Return an error that says what happened, what is safe, and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return JournalCorruptError(path, _no_journal(path))
    if code == sqlite3.SQLITE_CORRUPT:
        return JournalCorruptError(
            path,
            f"the journal {path} is damaged ({readable(str(error))}). Nothing was repaired: keep a "
            f"copy, then try `sqlite3 {path} .recover`, or run the input again with a new journal",
        )
    busy = f"another program has kept it locked for {PATIENCE:.0f} seconds"
    return unusable(path, error, safe, busy if code == sqlite3.SQLITE_BUSY else "")


def _no_journal(path: str) -> str:
    return f"{path} is no journal of this library; nothing in it was changed. Name another file"
