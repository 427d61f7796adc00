"""Opening a journal for a run: locked, checked, created if need be. Everything here blocks."""

import contextlib
import os
import sqlite3
import stat
import sys
from collections.abc import Mapping
from importlib import resources
from typing import Final

import attrs

from intercom_async._version import __version__
from intercom_async.journal import reader
from intercom_async.journal.database import APPLICATION_ID, VERSION, connect
from intercom_async.journal.errors import JournalError, JournalMismatchError
from intercom_async.journal.lock import Lock
from intercom_async.journal.row import Binding


@attrs.frozen(kw_only=True)
class Kept:
    """What earlier sessions left.

    Attributes:
        sessions: how many there were.
        counts: pairs by state.
        input_ended: whether one session read its input to the end.
    """

    sessions: int = 0
    counts: Mapping[str, int] = attrs.field(factory=dict[str, int])
    input_ended: bool = False


NEW: Final = Kept()


def open_temporary(
    binding: Binding, now: float, undo: contextlib.ExitStack
) -> tuple[sqlite3.Connection, Kept]:
    """Make a private database that SQLite keeps in memory, or in a nameless file if it grows.

    `undo` closes it.
    """
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    undo.callback(connection.close)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    _fill(connection, binding, now)
    return connection, NEW


def open_file(
    path: str, binding: Binding, now: float, undo: contextlib.ExitStack
) -> tuple[sqlite3.Connection, Kept]:
    """Lock a journal and open it to write; `undo` closes and unlocks it.

    A journal that is refused was only read.

    Raises:
        JournalError: of any kind.
        sqlite3.Error: the disk refuses.
        OSError: the same.
    """
    if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114  all are texts
        raise JournalError(path, f"{path} is a link that leads nowhere; nothing was created")
    path = os.path.realpath(path)
    undo.callback(Lock(path).release)
    if _is_new(path):
        _create(path, binding, now)
        kept = NEW
    else:
        kept = _check(path, binding)
    connection = connect(path, "rw")
    undo.callback(connection.close)
    _write_ahead(connection, path)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync is no promise
    return connection, kept


def _is_new(path: str) -> bool:
    try:
        return not check_owner(path).st_size
    except FileNotFoundError:
        return True


def _check(path: str, binding: Binding) -> Kept:
    with reader.open(path) as found:
        if differs := found.binding.mismatch(binding):
            what, expected, now = differs
            raise JournalMismatchError(path, what=what, expected=expected, found=now)
        return Kept(
            sessions=len(found.sessions),
            counts=found.counts(),
            input_ended=any(one.input_ended for one in found.sessions),
        )


def check_owner(path: str) -> os.stat_result:
    """Look whether the file is a regular one, this user's, and closed to others.

    By its path: to close a descriptor of the file would drop SQLite's locks.

    Raises:
        JournalError: it is not.
        FileNotFoundError: there is none.
    """
    facts = os.stat(path)  # noqa: PTH116
    if not stat.S_ISREG(facts.st_mode):
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


def _create(path: str, binding: Binding, now: float) -> None:
    """Create a journal for its owner alone: whole, or not at all."""
    draft = f"{path}-being-created"
    parts = [f"{draft}{end}" for end in ("", "-journal", "-wal", "-shm")]
    with contextlib.ExitStack() as undo:
        for part in parts:  # of a run that was killed here
            undo.callback(_remove, part)
            _remove(part)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(connect(draft, "rw")) as connection:
            _fill(connection, binding, now)
            _write_ahead(connection, path)
        os.replace(draft, path)  # noqa: PTH105  as the others


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


def _fill(connection: sqlite3.Connection, binding: Binding, now: float) -> None:
    schema = (
        resources.files("intercom_async.journal").joinpath("schema.sql").read_text(encoding="utf-8")
    )
    connection.executescript(
        f"BEGIN; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION};{schema}"
    )
    connection.execute(
        "INSERT INTO run VALUES (?, ?, ?, ?)",
        (binding.operation, binding.base_url, now, __version__),
    )
    connection.execute("COMMIT")


def _write_ahead(connection: sqlite3.Connection, path: str) -> None:
    """Write ahead, so that readers and the writer do not wait for each other.

    Raises:
        JournalError: the file system cannot do that.
    """
    ((mode,),) = connection.execute("PRAGMA journal_mode = WAL")
    if mode != "wal":
        raise JournalError(
            path,
            f"the file system of {path} cannot hold a journal (SQLite's write-ahead log does not "
            "work there, as on network disks); keep it on a local disk",
        )
