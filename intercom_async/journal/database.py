"""SQLite connections to a journal: the checks of a file, and SQLite's errors in our words."""

import errno
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from intercom_async.errors import readable
from intercom_async.journal.errors import JournalCorruptError, JournalError, JournalWriteError
from intercom_async.journal.row import Row

APPLICATION_ID: Final = int.from_bytes(b"icas", "big")
VERSION: Final = 1
PATIENCE: Final = 30.0
"""Seconds to wait while another program holds the database."""

COLUMNS: Final = (
    "workspace", "conversation_id", "contact_id", "admin_id", "state", "inferred", "in_doubt",
    "attempts", "refusals", "status", "code", "error_type", "error", "request_id", "deferred",
    "second_try", "session", "updated_at",
)  # fmt: skip
"""Of the table `pair`; also the names in a `Row`."""

_FLAGS: Final = ("inferred", "in_doubt", "deferred", "second_try")
_ERRNO: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}


def row_of(values: Sequence[Any]) -> Row:
    """Make a row of the values of `COLUMNS`."""
    facts = dict(zip(COLUMNS, values, strict=True))
    for name in _FLAGS:
        facts[name] = bool(facts[name])
    return Row(**facts)


def connect(path: str, mode: Literal["ro", "rw"]) -> sqlite3.Connection:
    """Open a file that exists; every statement commits by itself.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    uri = f"{Path(path).absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(
        uri, uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False
    )


def check_format(connection: sqlite3.Connection, path: str) -> None:
    """Look whether the database is a journal that this version can read.

    Raises:
        JournalError: it is not.
    """
    ((application_id,),) = connection.execute("PRAGMA application_id")
    ((version,),) = connection.execute("PRAGMA user_version")
    if application_id != APPLICATION_ID:
        raise JournalCorruptError(path, _no_journal(path))
    if version > VERSION:
        raise JournalError(
            path,
            f"the journal {path} was written by a newer version of this library (its schema is "
            f"{version}, this one knows {VERSION}); update intercom_async",
        )


def error_from(path: str, error: sqlite3.Error, durable: int | None = None) -> JournalError:
    """Say what happened and what to do.

    `durable` counts the pairs that are safe on the disk; None before anything was written.
    """
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    reason = readable(str(error))
    made: JournalError
    if code == sqlite3.SQLITE_NOTADB:
        made = JournalCorruptError(path, _no_journal(path))
    elif code == sqlite3.SQLITE_CORRUPT:
        made = JournalCorruptError(
            path,
            f"the journal {path} is damaged ({reason}). Nothing was repaired: keep a copy, then "
            f"try `sqlite3 {path} .recover`, or run the input again with a new journal",
        )
    else:
        if code == sqlite3.SQLITE_BUSY:
            reason = f"another program has kept it locked for {PATIENCE:.0f} seconds"
        safe = (
            "nothing was sent"
            if durable is None
            else f"{durable} pairs are safe in it. Make room or repair the disk, then resume: "
            "nothing is lost, and nothing is done twice"
        )
        made = JournalWriteError(
            path,
            f"the journal {path} cannot be used ({reason}); {safe}",
            errno=_ERRNO.get(code),
            durable=durable or 0,
        )
    made.__cause__ = error.with_traceback(None)  # it would keep what was being written
    return made


def _no_journal(path: str) -> str:
    return f"{path} is no journal of this library; nothing in it was changed. Name another file"
