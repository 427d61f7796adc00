"""The journal's tables as a run writes them. Everything here blocks, and belongs to one thread."""

import contextlib
import copy
import functools
import json
import os
import socket
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from importlib import resources
from itertools import chain
from operator import attrgetter
from typing import Any, Final

import msgspec

from intercom_async._version import __version__
from intercom_async.detaching import Detach
from intercom_async.journal import reader
from intercom_async.journal.database import (
    APPLICATION_ID,
    COLUMNS,
    VERSION,
    connect,
    error_from,
    row_of,
)
from intercom_async.journal.errors import (
    JournalError,
    JournalMismatchError,
    JournalWriteError,
)
from intercom_async.journal.journal import Wanted
from intercom_async.journal.lock import Lock
from intercom_async.journal.row import SETTLED, Binding, Row, Source

LOOK_EVERY: Final = 0.25
"""Seconds between two looks whether the file is still in its place."""

_KEY: Final = COLUMNS[:3]
_ROW: Final = f"json_array({', '.join(COLUMNS)})"
_SETTLED: Final = ", ".join(f"'{state}'" for state in SETTLED)

# One statement for a batch: each time that a thread takes the interpreter's lock back from a busy
# event loop may cost 5 ms, and a statement does so a few times, however much it does.
_UPSERT: Final = f"""
    INSERT INTO pair ({", ".join(COLUMNS)}) VALUES {{rows}}
    ON CONFLICT ({", ".join(_KEY)})
    DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in COLUMNS[3:])}
"""  # noqa: S608  names of our own
_LOOK_UP: Final = f"""
    SELECT json_group_array(json_array(wanted.key, {_ROW}))
    FROM json_each(?) AS wanted CROSS JOIN pair
    ON workspace = ? AND conversation_id = json_extract(wanted.value, '$[0]')
        AND contact_id = json_extract(wanted.value, '$[1]')
"""  # noqa: S608
_PAGE: Final = f"""
    SELECT json_group_array({_ROW}) FROM (
        SELECT * FROM pair WHERE ({", ".join(_KEY)}) > (?, ?, ?) AND {{wanted}}
        ORDER BY {", ".join(_KEY)} LIMIT ?)
"""  # noqa: S608
_PAGES: Final = {
    Wanted.LEFT: _PAGE.format(wanted=f"state NOT IN ({_SETTLED}) AND session < ?"),
    Wanted.DEFERRED: _PAGE.format(wanted="deferred AND session = ?"),
}

_MOST: Final = 128
_STEP: Final = 8
"""A statement writes a multiple of so many rows, so that few are prepared and kept."""

values_of = attrgetter(*COLUMNS)


class Table:
    """A journal that is open for one session.

    Args:
        path: the file; None for a private temporary database.
        binding: what the run belongs to.
        source: where its pairs come from.
        now: Unix seconds.

    Attributes:
        number: of the session.
        before: pairs by state as earlier sessions left them.
        input_ended: whether an earlier session read its input to the end.
        failure: what went wrong first; nothing is written after it.
    """

    def __init__(
        self, path: str | None, binding: Binding, source: Source | None, now: float
    ) -> None:
        self.number = 1
        self.before: Mapping[str, int] = {}
        self.input_ended = False
        self.failure: JournalError | None = None
        self._path = ":temporary:" if path is None else os.path.realpath(path)
        self._temporary = path is None
        self._looked = 0.0
        with contextlib.ExitStack() as undo:
            try:
                if path is not None:
                    undo.callback(self._lock(path).release)
                    self._create_or_check(binding, now)
                self._connection = self._connect(binding, now)
                undo.callback(self._connection.close)
                self._place = None if path is None else os.stat(self._path)  # noqa: PTH116
                self._begin(binding, source, now)
            except sqlite3.Error as error:
                raise error_from(self._path, error) from error
            except OSError as error:
                raise JournalWriteError(
                    self._path,
                    f"the journal {self._path} cannot be created ({error.strerror}); nothing "
                    "was sent",
                    errno=error.errno,
                ) from error
            self._release: Callable[[], None] = undo.pop_all().close
        variables = self._connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        self._most = min(_MOST, variables // len(COLUMNS) // _STEP * _STEP)

    def _lock(self, path: str) -> Lock:
        if os.path.islink(path) and not os.path.exists(path):  # noqa: PTH110, PTH114  as `_place`
            raise JournalError(path, f"{path} is a link that leads nowhere; nothing was created")
        return Lock(self._path)

    def _create_or_check(self, binding: Binding, now: float) -> None:
        """Leave a file that is a journal of this run's; one that is refused is only read."""
        try:
            facts = check_owner(self._path)
        except FileNotFoundError:
            create(self._path, binding, now)
            return
        if not facts.st_size:
            create(self._path, binding, now)
            return
        with reader.open(self._path) as kept:
            if differs := kept.binding.mismatch(binding):
                what, expected, found = differs
                raise JournalMismatchError(self._path, what=what, expected=expected, found=found)
            self.before = kept.counts()
            self.number = max((one.number for one in kept.sessions), default=0) + 1
            self.input_ended = any(one.input_ended for one in kept.sessions)

    def _connect(self, binding: Binding, now: float) -> sqlite3.Connection:
        if self._temporary:
            connection = sqlite3.connect("", isolation_level=None)
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            fill(connection, binding, now)
            return connection
        connection = connect(self._path, "rw")
        try:
            set_wal(connection, self._path)
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync is no promise
        except BaseException:
            connection.close()
            raise
        return connection

    def _begin(self, binding: Binding, source: Source | None, now: float) -> None:
        if binding.app_id is not None:
            self.bind("", binding.app_id, binding.app_name)
        columns = None if source is None or source.columns is None else dict(source.columns)
        self._connection.execute(
            "INSERT INTO session (number, started_at, process, host, source_kind, source_name,"
            " source_columns) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self.number,
                now,
                os.getpid(),
                socket.gethostname(),
                source and source.kind,
                source and source.name and storable(source.name),
                columns and json.dumps(columns),
            ),
        )

    @contextlib.contextmanager
    def _guarded(self) -> Generator[None]:
        """Keep the first failure, and refuse everything after it."""
        if self.failure is not None:
            raise again(self.failure)
        try:
            yield
        except sqlite3.Error as error:
            self.failure = error_from(self._path, error, self._durable())
            raise again(self.failure) from error

    def _durable(self) -> int:
        try:
            ((count,),) = self._connection.execute("SELECT count(*) FROM pair")
        except sqlite3.Error:
            return 0
        return int(count)

    def _look_at_place(self) -> None:
        """Look whether the path still leads to the file that is written.

        Raises:
            JournalWriteError: it was moved, replaced or deleted.
        """
        if self._place is None or time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        with contextlib.suppress(OSError):
            if os.path.samestat(self._place, os.stat(self._path)):  # noqa: PTH116
                return
        # What was moved is made complete, and no log is left for a file that took its place.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.failure = JournalWriteError(
            self._path,
            f"the journal {self._path} was moved, replaced or deleted while the run wrote it, so "
            "nothing more was written. Move it back, then resume",
            errno=None,
            durable=self._durable(),
        )
        raise again(self.failure)

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Keep rows, given as values of `COLUMNS`; of two of one pair, the later."""
        with self._guarded():
            self._look_at_place()
            for start in range(0, len(rows), self._most):
                batch = list(rows[start : start + self._most])
                batch += batch[-1:] * (-len(batch) % _STEP)  # written again, it changes nothing
                try:
                    self._connection.execute(_upsert(len(batch)), list(chain(*batch)))
                except UnicodeEncodeError:
                    values = [storable_text(value) for value in chain(*batch)]
                    self._connection.execute(_upsert(len(batch)), values)

    def look_up(self, pairs: Sequence[Detach], workspace: str) -> list[Row | None]:
        """See `Session.look_up`."""
        ids = msgspec.json.encode([(pair.conversation_id, pair.contact_id) for pair in pairs])
        found: list[Row | None] = [None] * len(pairs)
        with self._guarded():
            ((text,),) = self._connection.execute(_LOOK_UP, (ids.decode(), workspace))
        for place, values in msgspec.json.decode(text):
            found[place] = row_of(values)
        return found

    def rows(self, wanted: Wanted, after: Row | None, limit: int) -> list[Row]:
        """See `Session.rows`."""
        key = ("", "", "") if after is None else values_of(after)[: len(_KEY)]
        with self._guarded():
            ((text,),) = self._connection.execute(_PAGES[wanted], (*key, self.number, limit))
        return [row_of(values) for values in msgspec.json.decode(text)]

    def bind(self, workspace: str, app_id: str, app_name: str | None) -> None:
        """See `Session.bind`."""
        now = Binding(operation="", base_url="", app_id=app_id, app_name=app_name)
        with self._guarded():
            found = self._connection.execute(
                "SELECT app_id, app_name FROM workspace WHERE workspace = ?", (workspace,)
            ).fetchone()
            if found is None:
                self._connection.execute(
                    "INSERT INTO workspace VALUES (?, ?, ?)",
                    (workspace, app_id, storable_text(app_name)),
                )
            elif found[0] != app_id:
                kept = Binding(operation="", base_url="", app_id=found[0], app_name=found[1])
                raise JournalMismatchError(
                    self._path, what="workspace", expected=kept.workspace, found=now.workspace
                )

    def update(self, facts: Mapping[str, Any]) -> None:
        """Set columns of this session's row."""
        with self._guarded():
            self._look_at_place()
            self._connection.execute(
                f"UPDATE session SET {', '.join(f'{name} = ?' for name in facts)} "  # noqa: S608
                "WHERE number = ?",
                (*map(storable_text, facts.values()), self.number),
            )

    def close(self, facts: Mapping[str, Any]) -> None:
        """Write the session's numbers, unless writing had failed, and let go of everything."""
        try:
            if self.failure is None:
                self._looked = 0.0
                self.update(facts)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Let go of everything; harmless when it was done."""
        release, self._release = self._release, _nothing
        release()


def _nothing() -> None:
    pass


@functools.cache
def _upsert(count: int) -> str:
    row = f"({', '.join('?' * len(COLUMNS))})"
    return _UPSERT.format(rows=", ".join([row] * count))


def again(error: JournalError) -> JournalError:
    """Make the same error for another waiter: a shared one would collect their tracebacks."""
    fresh = copy.copy(error)
    fresh.__cause__ = error.__cause__
    return fresh


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


def create(path: str, binding: Binding, now: float) -> None:
    """Create a journal for its owner alone: whole, or not at all."""
    draft = f"{path}-new"
    parts = [f"{draft}{end}" for end in ("", "-journal", "-wal", "-shm")]
    with contextlib.ExitStack() as undo:
        for part in parts:  # of a run that was killed here
            undo.callback(remove, part)
            remove(part)
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(connect(draft, "rw")) as connection:
            fill(connection, binding, now)
            set_wal(connection, path)
        os.replace(draft, path)  # noqa: PTH105  as the others


def remove(path: str) -> None:
    """Remove a file, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108


def fill(connection: sqlite3.Connection, binding: Binding, now: float) -> None:
    """Make the tables of a new journal."""
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


def set_wal(connection: sqlite3.Connection, path: str) -> None:
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


def storable_text(value: Any) -> Any:
    """Escape lone surrogates, which no database takes; odd bytes in a reply's headers hold them."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def storable(name: str) -> str | bytes:
    """Return a file's name as it is, or its bytes where they are no text."""
    return name if storable_text(name) == name else os.fsencode(name)
