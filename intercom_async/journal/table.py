"""The journal's tables as a run writes them. Everything here blocks; one thread at a time."""

import contextlib
import functools
import json
import os
import socket
import sqlite3
import time
from collections.abc import Generator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Any, Final

import msgspec

from intercom_async.detaching import Detach
from intercom_async.journal.calls import sift
from intercom_async.journal.database import COLUMNS, error_from, row_of
from intercom_async.journal.errors import (
    JournalError,
    JournalMismatchError,
    JournalWriteError,
    again,
)
from intercom_async.journal.journal import Wanted
from intercom_async.journal.opening import open_file, open_temporary
from intercom_async.journal.row import SETTLED, Binding, Row, Source, storable_text

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
    ON workspace = json_extract(wanted.value, '$[0]')
        AND conversation_id = json_extract(wanted.value, '$[1]')
        AND contact_id = json_extract(wanted.value, '$[2]')
"""  # noqa: S608
_PAGE: Final = f"""
    SELECT json_group_array({_ROW}) FROM (
        SELECT * FROM pair
        WHERE workspace = ? AND (conversation_id, contact_id) > (?, ?) AND {{wanted}}
        ORDER BY conversation_id, contact_id LIMIT ?)
"""  # noqa: S608
_PAGES: Final = {
    Wanted.LEFT: _PAGE.format(wanted=f"state NOT IN ({_SETTLED}) AND session < ?"),
    Wanted.DEFERRED: _PAGE.format(wanted="deferred AND session = ?"),
    Wanted.PENDING: _PAGE.format(wanted="state = 'pending' AND session = ?"),
}

_MOST: Final = 128
_STEP: Final = 8
"""A statement writes a multiple of so many rows, so that few are prepared and kept."""

values_of = attrgetter(*COLUMNS)


class Table:
    """A journal that is open for one session; its `path` is None if it is private and temporary.

    Attributes:
        kept: what earlier sessions left.
        failure: what went wrong first; nothing is written after it.
    """

    def __init__(
        self, path: str | None, binding: Binding, source: Source | None, now: float
    ) -> None:
        self.failure: JournalError | None = None
        self._path = ":temporary:" if path is None else os.path.realpath(path)
        self._looked = 0.0
        with contextlib.ExitStack() as opened:
            try:
                if path is None:
                    self._connection, self.kept = open_temporary(binding, now, opened)
                    self._place = None
                else:
                    self._connection, self.kept = open_file(path, binding, now, opened)
                    self._place = os.stat(self._path)  # noqa: PTH116  its path is a text
                self.number = self.kept.sessions + 1
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
            self._opened = opened.pop_all()
        variables = self._connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        self._most = min(_MOST, variables // len(COLUMNS) // _STEP * _STEP)

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
                source and source.name and _storable(source.name),
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
        """Look whether the path still leads to the open file.

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
        """Keep rows, given as values of `COLUMNS`: all or none; of two of one pair, the later."""
        with self._guarded(), self._connection:
            self._look_at_place()
            if len(rows) > self._most:
                self._connection.execute("BEGIN")
            for start in range(0, len(rows), self._most):
                batch = list(rows[start : start + self._most])
                batch += batch[-1:] * (-len(batch) % _STEP)  # written again, it changes nothing
                values = list(chain(*batch))
                try:
                    self._connection.execute(_upsert(len(batch)), values)
                except UnicodeEncodeError:
                    self._connection.execute(_upsert(len(batch)), list(map(storable_text, values)))

    def ask(self, statement: str, asked: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run another module's statement, which changes all or nothing."""
        with self._guarded():
            self._look_at_place()
            return self._connection.execute(statement, asked).fetchall()

    def look_up(self, pairs: Sequence[Detach], workspace: str) -> list[Row | None]:
        """See `Session.look_up`."""
        return self._find([(workspace, pair.conversation_id, pair.contact_id) for pair in pairs])

    def _find(self, keys: Sequence[tuple[Any, ...]]) -> list[Row | None]:
        found: list[Row | None] = [None] * len(keys)
        with self._guarded():
            ((text,),) = self._connection.execute(_LOOK_UP, (msgspec.json.encode(keys).decode(),))
        for place, values in msgspec.json.decode(text):
            found[place] = row_of(values)
        return found

    def plan(self, rows: Sequence[tuple[Any, ...]]) -> list[Row | None]:
        """See `Session.plan`."""
        keys = [values[: len(_KEY)] for values in rows]
        found = self._find(keys)
        if new := sift(found, keys, rows, row_of):
            self.write(new)
        return found

    def workspaces(self) -> list[str]:
        """See `Session.workspaces`."""
        with self._guarded():
            found = self._connection.execute(
                f"SELECT DISTINCT workspace FROM pair WHERE state NOT IN ({_SETTLED})"  # noqa: S608
                " AND session < ?",
                (self.number,),
            ).fetchall()
        return [workspace for (workspace,) in found]

    def rows(self, wanted: Wanted, after: Row | None, limit: int, workspace: str) -> list[Row]:
        """See `Session.rows`."""
        key = ("", "") if after is None else (after.conversation_id, after.contact_id)
        asked = (workspace, *key, self.number, limit)
        with self._guarded():
            ((text,),) = self._connection.execute(_PAGES[wanted], asked)
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
                self._leave_plain()
        finally:
            self.let_go()

    def _leave_plain(self) -> None:
        """Leave one plain file, which can be read without files beside it, unless it is in use."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._connection.execute("PRAGMA journal_mode = DELETE")

    def let_go(self) -> None:
        """Let go of everything; harmless when that was done."""
        self._opened.close()


@functools.cache
def _upsert(count: int) -> str:
    row = f"({', '.join('?' * len(COLUMNS))})"
    return _UPSERT.format(rows=", ".join([row] * count))


def _storable(name: str) -> str | bytes:
    """Return a file's name as it is, or its bytes where they are no text."""
    return name if storable_text(name) == name else os.fsencode(name)
