"""SQLite connections to a journal, what is checked first, and SQLite's errors in our words."""

import contextlib
import errno
import os
import sqlite3
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final, Literal

from intercom_async.errors import readable
from intercom_async.journal.errors import JournalCorruptError, JournalError, JournalWriteError

APPLICATION_ID: Final = int.from_bytes(b"icas", "big")
VERSION: Final = 1
PATIENCE: Final = 5.0
"""Seconds to wait while another program holds the database."""

_ERRNO: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}


def connect(path: str, mode: Literal["ro", "rw"], extra: str = "") -> sqlite3.Connection:
    """Open a file that exists; statements commit on their own.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    uri = f"{Path(path).absolute().as_uri()}?mode={mode}{extra}"
    return sqlite3.connect(uri, uri=True, timeout=PATIENCE, isolation_level=None)


def check(connection: sqlite3.Connection, path: str) -> None:
    """Look whether the database is a journal that this version can read.

    Raises:
        JournalError: it is not.
    """
    ((application_id,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    if application_id != APPLICATION_ID:
        raise JournalCorruptError(
            path, f"{path} is no journal of this library; nothing in it was changed. "
            "Name another file"
        )  # fmt: skip
    if version > VERSION:
        raise JournalError(
            path,
            f"the journal {path} was written by a newer version of this library (its schema is "
            f"{version}, this one knows {VERSION}); update intercom_async",
        )


def check_owner(path: str) -> os.stat_result:
    """Look whether the file is a regular one, this user's, and closed to others.

    Raises:
        JournalError: it is not.
        OSError: there is no such file.
    """
    facts = os.stat(path)  # noqa: PTH116  a descriptor of ours would drop SQLite's locks
    if not Path(path).is_file():
        raise JournalError(path, f"{path} is no regular file, so it cannot hold a journal")
    if facts.st_nlink > 1:
        raise JournalError(
            path, f"{path} has more than one name (hard links), so two runs could damage it"
        )
    if sys.platform != "win32":
        if facts.st_uid != os.geteuid():
            raise JournalError(
                path, f"{path} belongs to another user (uid {facts.st_uid}); name another file"
            )
        if facts.st_mode & 0o077:
            raise JournalError(
                path, f"{path} lies open to other users; close it with `chmod 600 {path}`"
            )
    return facts


@contextlib.contextmanager
def translated(path: str) -> Generator[None]:
    """Raise SQLite's errors as the journal's."""
    try:
        yield
    except sqlite3.Error as error:
        raise error_from(path, error) from error


def error_from(path: str, error: sqlite3.Error, durable: int = 0) -> JournalError:
    """Say what happened and what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    told = readable(str(error))
    if code == sqlite3.SQLITE_NOTADB:
        return JournalCorruptError(
            path, f"{path} is no journal, nor any other database; nothing in it was changed. "
            "Name another file"
        )  # fmt: skip
    if code == sqlite3.SQLITE_CORRUPT:
        return JournalCorruptError(
            path,
            f"the journal {path} is damaged ({told}). Nothing was repaired: keep a copy, then "
            "try `sqlite3 JOURNAL .recover`, or run the input again with a new journal",
        )
    if code == sqlite3.SQLITE_BUSY:
        told = "another program has kept it locked for more than five seconds"
    return JournalWriteError(
        path,
        f"the journal {path} cannot be written ({told}); {durable} pairs are safe in it. Make "
        "room or repair the disk, then resume: nothing is lost, and nothing done twice",
        errno=_ERRNO.get(code),
        durable=durable,
    )
