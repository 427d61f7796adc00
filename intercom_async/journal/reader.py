"""Reads a journal for reports, exports and undo, also while a run writes it. Reading blocks.

`postgres_reader` answers the same queries about a run in PostgreSQL.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import attrs

from intercom_async.journal.errors import JournalError
from intercom_async.journal.journal import Journal
from intercom_async.journal.people import COUNTS
from intercom_async.journal.row import Binding, Row, Source
from intercom_async.journal.sqlite_file import APPLICATION_ID, check_format, connect, error_from
from intercom_async.journal.store import FACTS, KEY, NAMES, row_of

PAGE: Final = 1000
SESSION: Final = (
    "number", "started_at", "ended_at", "source_kind", "source_name", "source_columns",
    "input_ended", *FACTS,
)  # fmt: skip
"""Columns of the table `session` that are read."""


@attrs.frozen(kw_only=True)
class KeptSession:
    """A session of the run, as the journal keeps it.

    Attributes:
        started_at: Unix seconds.
        ended_at: Unix seconds; None while it goes on, or if it was killed.
        facts: its numbers, by the names in `Facts`, without those that it never wrote.
    """

    number: int
    started_at: float
    ended_at: float | None
    source: Source | None
    input_ended: bool = attrs.field(converter=bool)
    facts: Mapping[str, Any]


class Reader:
    """A journal as it was at one moment; nothing here changes it.

    Attributes:
        path: the file; or the URL of a run in PostgreSQL, without its password.
    """

    in_file = True

    def __init__(self, path: Path) -> None:
        """Connect read-only, at a moment that all queries share, and check that it is a journal."""
        self.path = str(path)
        if not path.is_file():
            raise JournalError(self.path, f"there is no journal {path}")
        with contextlib.ExitStack() as undo:
            try:
                self.connection = connect(path, "ro")
                undo.callback(self.close)
                self.connection.execute("PRAGMA query_only = ON")
                self.connection.execute("BEGIN")
                check_format(self.connection, self.path)
            except sqlite3.Error as error:
                raise error_from(self.path, error, "nothing was changed") from error
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.connection.close()

    def query(self, statement: str, parameters: Collection[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query.

        Raises:
            JournalError: the file is damaged or cannot be read.
        """
        try:
            return self.connection.execute(statement, tuple(parameters)).fetchall()
        except sqlite3.Error as error:
            raise error_from(self.path, error, "nothing was changed") from error

    @cached_property
    def binding(self) -> Binding:
        """What the journal belongs to; the app id of a run of one client."""
        ((operation, base_url, app_id, app_name),) = self.query(
            "SELECT operation, base_url, app_id, app_name "
            "FROM run LEFT JOIN workspace ON workspace = ''"
        )
        return Binding(operation=operation, base_url=base_url, app_id=app_id, app_name=app_name)

    @cached_property
    def sessions(self) -> list[KeptSession]:
        """All sessions, the first one first."""
        found = self.query(f"SELECT {', '.join(SESSION)} FROM session ORDER BY number")
        return [_session(*values) for values in found]

    def counts(self) -> dict[str, int]:
        """Pairs by state."""
        return dict(self.query("SELECT state, count(*) FROM pair GROUP BY state"))

    def people(self) -> dict[str, int]:
        """People by state; none in a run of pairs."""
        return {state: people for state, people, *_ in self.query(COUNTS)}

    def rows(
        self, states: Collection[str] | None = None, *, inferred: bool | None = None
    ) -> Iterator[Row]:
        """Read rows in the order of their ids, a page at a time.

        Args:
            states: which of them; None for all.
            inferred: True for only those that come from a check, False for only the others.
        """
        where, asked = f"({KEY}) > (?, ?, ?)", list[Any]()
        if states is not None:
            where += f" AND state IN ({', '.join('?' * len(states))})"
            asked += map(str, states)
        if inferred is not None:
            where += " AND inferred = ?"
            asked.append(int(inferred))
        page = f"SELECT {NAMES} FROM pair WHERE {where} ORDER BY {KEY} LIMIT {PAGE}"
        key = ("", "", "")
        while rows := [row_of(values) for values in self.query(page, (*key, *asked))]:
            yield from rows
            key = rows[-1].key


def _session(*values: Any) -> KeptSession:
    kept = dict(zip(SESSION, values, strict=True))
    kind, name, columns = (kept.pop(f"source_{one}") for one in ("kind", "name", "columns"))
    facts = {one: value for one in FACTS if (value := kept.pop(one)) is not None}
    source = kind and Source(kind=kind, name=name, columns=columns and json.loads(columns))
    return KeptSession(**kept, source=source, facts=facts)


def open(path: str | os.PathLike[str], *, run: str | None = None) -> Reader:  # noqa: A001  read as `reader.open(path)`
    """Open a journal to read it.

    Args:
        path: the file, or a `postgresql://` URL, perhaps with `?run=cleanup-7`.
        run: the run's name in PostgreSQL.

    Raises:
        JournalError: there is none, it is damaged, or a newer version wrote it.
        InvalidArgumentError: `run` is missing beside a URL, or given beside a file.
    """
    journal = Journal(path, run=run)
    if journal.path is not None and journal.run is not None:
        from intercom_async.journal.postgres_reader import PostgresReader  # noqa: PLC0415  needs an extra

        return PostgresReader(journal.path, journal.run)
    return Reader(Path(path))


def is_journal(path: str | os.PathLike[str]) -> bool:
    """Whether the file is a journal, of any version, damaged or not.

    SQLite opens it: closing a descriptor of our own would drop the locks of a run in this process.
    """
    path = Path(path)
    if not path.is_file():
        return False
    try:
        with contextlib.closing(connect(path, "ro")) as connection:
            ((found,),) = connection.execute("PRAGMA application_id")
    except sqlite3.Error as error:
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CORRUPT
    return bool(found == APPLICATION_ID)
