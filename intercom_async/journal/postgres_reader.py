"""Reads a run in PostgreSQL for reports, exports and undo, as if it were a file."""

from collections.abc import Collection
from typing import Any, Final

from msgspec.structs import fields

from intercom_async.journal import postgres_connection as database
from intercom_async.journal.errors import JournalError, unusable
from intercom_async.journal.reader import SESSION, Reader
from intercom_async.journal.row import Row

_PAIR: Final = ", ".join(
    f"{field.name}::int" if field.type is bool else field.name for field in fields(Row)
)
_ONE_RUN: Final = f"""
    WITH run AS (
        SELECT operation, coalesce((
            SELECT min(base_url) FROM intercom_workspace WHERE run = kept.run
            HAVING min(base_url) = max(base_url)), 'several workspaces') AS base_url
        FROM intercom_run AS kept WHERE run = %s),
    workspace AS (SELECT workspace, app_id, app_name FROM intercom_workspace
        WHERE run = %s AND (run, workspace) IN (SELECT run, workspace FROM intercom_count)),
    session AS (SELECT {", ".join(SESSION)} FROM intercom_session WHERE run = %s),
    pair AS (SELECT {_PAIR} FROM intercom_pair WHERE run = %s)
"""


class PostgresReader(Reader):
    """A run as it was at one moment; see `Reader`.

    Raises:
        InvalidArgumentError: the URL cannot be read.
        JournalError: the database cannot be used, or has no such run.
    """

    in_file = False

    def __init__(self, url: str, run: str) -> None:
        self.path = database.name_of(url, run)
        self._run = run
        try:
            self._connection = database.connect(url)
            self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            found = self._ask("SELECT 1 FROM run")
        except database.NoTables:
            found = []
        except database.Error as error:
            raise unusable(self.path, error, "nothing was read") from error
        if not found:
            self.close()
            raise JournalError(self.path, f"there is no run {run} in {self.path}")

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    def people(self) -> dict[str, int]:
        """Return nothing: only files keep people."""
        return {}

    def query(self, statement: str, parameters: Collection[Any] = ()) -> list[tuple[Any, ...]]:
        """See `Reader.query`; `?` stands for a parameter here, too."""
        try:
            return self._ask(statement, *parameters)
        except database.Error as error:
            raise unusable(self.path, error, "nothing was changed") from error

    def _ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        text = (_ONE_RUN + statement.replace("?", "%s")).encode()
        asked = [*[self._run] * _ONE_RUN.count("%s"), *parameters]
        return self._connection.execute(text, asked).fetchall()
