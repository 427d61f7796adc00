"""A run in PostgreSQL as reports, exports and undo read it, in the words they use for a file."""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import quote

import psycopg

from intercom_async.journal.database import COLUMNS
from intercom_async.journal.errors import JournalError
from intercom_async.journal.postgres_connection import connecting, error_from, parts_of
from intercom_async.journal.reader import SESSION, Reader

_FLAGS: Final = ("inferred", "in_doubt", "deferred", "second_try")
_PAIR: Final = ", ".join(f"{name}::int" if name in _FLAGS else name for name in COLUMNS)
_ONE_RUN: Final = f"""
    WITH run AS (
        SELECT operation, coalesce((
            SELECT min(base_url) FROM intercom_workspace WHERE run = known.run
            HAVING min(base_url) = max(base_url)), 'several workspaces') AS base_url
        FROM intercom_run AS known WHERE run = %s),
    workspace AS (SELECT workspace, app_id, app_name FROM intercom_workspace
        WHERE run = %s AND (run, workspace) IN (SELECT run, workspace FROM intercom_count)),
    session AS (SELECT {", ".join(SESSION)} FROM intercom_session WHERE run = %s),
    pair AS (SELECT {_PAIR} FROM intercom_pair WHERE run = %s)
"""  # noqa: S608  names of our own


class PostgresReader(Reader):
    """A run as it was at one moment; see `Reader`.

    Raises:
        InvalidArgumentError: the URL cannot be read.
        JournalError: the database cannot be used, or has no such run.
    """

    in_file = False

    def __init__(self, url: str, run: str) -> None:
        facts = parts_of(url)
        user, port = facts.get("user"), facts.get("port")
        address = (
            f"{f'{user}@' if user else ''}{facts.get('host') or ''}{f':{port}' if port else ''}"
        )
        self.path = f"postgresql://{address}/{facts.get('dbname') or ''}?run={quote(run)}"
        self._run = run
        try:
            self._database = psycopg.connect(url, **connecting(url))
            self._database.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._database.read_only = True
            self._database.prepare_threshold = None
            known = self._database.execute("SELECT to_regclass('intercom_schema')").fetchone()
        except psycopg.Error as error:
            raise error_from(self.path, error, "nothing was read") from error
        if known == (None,) or not self.query("SELECT 1 FROM run"):
            self.close()
            raise JournalError(self.path, f"there is no run {run} in {self.path}")

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def people(self) -> dict[str, int]:
        """Return nothing: only files keep people."""
        return {}

    def query(self, statement: str, parameters: Collection[Any] = ()) -> list[tuple[Any, ...]]:
        """See `Reader.query`; `?` stands for a parameter here, too."""
        text = (_ONE_RUN + statement.replace("?", "%s")).encode()
        try:
            asked = [*[self._run] * _ONE_RUN.count("%s"), *parameters]
            return self._database.execute(text, asked).fetchall()
        except psycopg.Error as error:
            raise error_from(self.path, error, "nothing was changed") from error
