"""A run's tables in SQLite: a file, or a private temporary database."""

import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import astuple

from intercom_async.journal import reader, sqlite_file
from intercom_async.journal.errors import NOTHING_SENT, SAFE, JournalWriteError, unusable
from intercom_async.journal.file_lock import locked
from intercom_async.journal.row import UNSETTLED, Binding, Row, Source
from intercom_async.journal.store import COLUMNS, KEY, NAMES, UPDATES, Store, origin

_MOST: Final = 128
_STEP: Final = 8
"""The rows of a statement are a multiple of this, so that few statements are prepared and kept."""

_NULL: Final = bytearray()
_NULLABLE: Final = "nullif(?, x'')"
_MAY_BE_NULL: Final = {"admin_id", "status", "code", "error_type", "error", "request_id"}

_ROWS: Final = msgspec.json.Decoder(list[Row], strict=False)
"""SQLite keeps true and false as numbers."""

_Result = TypeVar("_Result")


class SqliteStore(Store):
    """A file that is locked and open for one session; `path` is None for a temporary database.

    Statements are few and large: each takes the interpreter's lock back a few times, however much
    it does, and beside a busy event loop each time may cost 5 ms.
    """

    LOOK_UP = f"""
        SELECT {NAMES} FROM json_each(:keys) AS wanted CROSS JOIN pair
        ON workspace = json_extract(wanted.value, '$[0]')
            AND conversation_id = json_extract(wanted.value, '$[1]')
            AND contact_id = json_extract(wanted.value, '$[2]')
    """
    PAGE = f"""
        SELECT {NAMES} FROM pair
        WHERE workspace = :workspace
            AND (conversation_id, contact_id) > (:conversation, :contact) AND {{wanted}}
        ORDER BY conversation_id, contact_id LIMIT :limit
    """
    keeps_people = True

    def __init__(
        self, path: str | None, binding: Binding, source: Source | None, now: float
    ) -> None:
        self._path = None if path is None else Path(path).resolve()
        self.name = ":temporary:" if self._path is None else str(self._path)
        self.durable = path is not None
        self.before = {}
        with contextlib.ExitStack() as undo:
            try:
                self._connection = self._opened_at(binding, now, undo)
                self._begin(binding, source, now)
            except sqlite3.Error as error:
                raise sqlite_file.error_from(self.name, error, NOTHING_SENT) from error
            except OSError as error:
                raise unusable(self.name, error, NOTHING_SENT) from error
            self._opened = undo.pop_all()
        variables = self._connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        self._most = min(_MOST, variables // len(COLUMNS) // _STEP * _STEP)

    def _opened_at(
        self, binding: Binding, now: float, undo: contextlib.ExitStack
    ) -> sqlite3.Connection:
        """Lock a journal and open it to write; change nothing in one that it refuses."""
        path = self._path
        if path is None:  # SQLite keeps it in memory, or in a nameless file if it grows
            connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            undo.callback(connection.close)
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            sqlite_file.fill(connection, binding, now)
            return connection
        undo.enter_context(locked(self.name))
        try:
            new = not sqlite_file.check_owner(path).st_size
        except FileNotFoundError:
            new = True
        if new:
            sqlite_file.create(path, binding, now)
        else:
            with reader.open(path) as kept:
                kept.binding.check(binding, journal=self.name)
                self.number = len(kept.sessions) + 1
                self.before = kept.counts()
                self.input_ended = any(one.input_ended for one in kept.sessions)
        connection = sqlite_file.connect(path, "rw")
        undo.callback(connection.close)
        sqlite_file.write_ahead(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")  # macOS: a plain fsync is no promise
        self._place = path.stat()
        return connection

    def _begin(self, binding: Binding, source: Source | None, now: float) -> None:
        self._connection.execute("BEGIN")
        if binding.app_id is not None:
            self.bind("", binding.app_id, binding.app_name)
        facts = {"number": self.number, "started_at": now, **origin(source)}
        self._connection.execute(
            f"INSERT INTO session ({', '.join(facts)}) VALUES ({', '.join('?' * len(facts))})",
            tuple(facts.values()),
        )
        self._connection.execute("COMMIT")

    def attempt(self, work: Callable[[], _Result]) -> _Result:
        try:
            return work()
        except sqlite3.Error as error:
            raise sqlite_file.error_from(self.name, error, SAFE) from error

    def _look_at_place(self) -> None:
        """Raise `JournalWriteError` unless the path still leads to the open file."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):
            if os.path.samestat(self._place, self._path.stat()):
                return
        # Complete the moved file, and leave no log for a file that took its place.
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        raise JournalWriteError(
            self.name,
            f"the journal {self.name} was moved, replaced or deleted while the run wrote it, so "
            "nothing more was written. Move it back, then resume",
        )

    def write(self, rows: Sequence[Row]) -> None:
        self._look_at_place()
        with self._connection:
            if len(rows) > self._most:
                self._connection.execute("BEGIN")
            for start in range(0, len(rows), self._most):
                batch = list(rows[start : start + self._most])
                batch += batch[-1:] * (-len(batch) % _STEP)  # written again, it changes nothing
                # `sqlite3` takes 2,000 steps to bind None or a boolean.
                values = [
                    _NULL if value is None else +value if type(value) is bool else value
                    for value in chain.from_iterable(map(astuple, batch))
                ]
                self._connection.execute(_upsert(len(batch)), values)

    def fetch(self, statement: str, **facts: Any) -> list[Row]:
        ((text,),) = self._connection.execute(
            f"SELECT json_group_array(json_array({NAMES})) FROM ({statement})", facts
        )
        return _ROWS.decode(text)

    def workspaces(self) -> list[str]:
        statement = f"SELECT DISTINCT workspace FROM pair WHERE state IN {UNSETTLED} ORDER BY 1"
        return [workspace for (workspace,) in self._connection.execute(statement)]

    def bind(self, workspace: str, app_id: str, app_name: str | None) -> tuple[Any, ...]:
        self._connection.execute(
            "INSERT INTO workspace VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (workspace, app_id, app_name),
        )
        (kept,) = self._connection.execute(
            "SELECT app_id, app_name FROM workspace WHERE workspace = ?", (workspace,)
        )
        return tuple(kept)

    def ask(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._look_at_place()
        return self._connection.execute(statement, values).fetchall()

    def update(self, facts: Mapping[str, Any]) -> None:
        changes = ", ".join(f"{name} = ?" for name in facts)
        values = (*facts.values(), self.number)
        self.ask(f"UPDATE session SET {changes} WHERE number = ?", values)

    def close(self, facts: Mapping[str, Any]) -> None:
        """See `Store`. Leaves one plain file, with none beside it, unless others use it."""
        self.update(facts)
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA journal_mode = MEMORY")

    def let_go(self) -> None:
        self._opened.close()


@functools.cache
def _upsert(count: int) -> str:
    row = f"({', '.join(_NULLABLE if name in _MAY_BE_NULL else '?' for name in COLUMNS)})"
    return f"""
        INSERT INTO pair ({NAMES}) VALUES {", ".join([row] * count)}
        ON CONFLICT ({KEY}) DO UPDATE SET {UPDATES}
    """
