"""Connections to PostgreSQL: made, checked, and errors in our words."""

import contextlib
from collections.abc import Mapping
from importlib import resources
from typing import Any, Final
from urllib.parse import quote

from intercom_async._version import __version__
from intercom_async.errors import InvalidArgumentError
from intercom_async.journal.errors import JournalError, JournalMismatchError
from intercom_async.journal.row import Source
from intercom_async.journal.store import origin

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
except ImportError as error:
    raise JournalError(
        "postgresql://",
        f"a journal in PostgreSQL needs psycopg: pip install 'intercom_async[postgres]' ({error})",
    ) from error

Connection = psycopg.Connection[tuple[Any, ...]]
Cursor = psycopg.Cursor[tuple[Any, ...]]
Error = psycopg.Error
NoTables = psycopg.errors.UndefinedTable

VERSION: Final = 1
"""The version of the tables in `postgres.sql`."""

_PASSING: Final = ("08", "40", "53", "57")
"""Classes of errors that pass: connection, conflict, resources, shutdown."""

_READ_ONLY: Final = "25006"
"""The error of a server that may no longer be written to, after a failover."""

_DEFAULTS: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
    "application_name": "intercom_async",
}


def parts_of(url: str) -> dict[str, Any]:
    """Return the parts of a URL; its error, unlike psycopg's, never quotes the password."""
    with contextlib.suppress(psycopg.ProgrammingError):
        return conninfo_to_dict(url)
    raise InvalidArgumentError(
        "journal",
        None,
        "a postgresql:// URL with libpq's options; write special characters like %40",
    )


def name_of(url: str, run: str, workspace: str = "") -> str:
    """Name a run for messages, as a URL without its password."""
    facts = parts_of(url)
    user = f"{facts['user']}@" if facts.get("user") else ""
    port = f":{facts['port']}" if facts.get("port") else ""
    place = f"{user}{facts.get('host') or ''}{port}/{facts.get('dbname') or ''}"
    return f"postgresql://{place}?run={quote(run)}{workspace and f' (workspace {workspace})'}"


def connect(url: str) -> Connection:
    """Connect; every statement commits by itself, and none is prepared: some poolers forbid it."""
    asked = parts_of(url)
    defaults: dict[str, Any] = {one: _DEFAULTS[one] for one in _DEFAULTS if one not in asked}
    connection = psycopg.connect(url, autocommit=True, **defaults)
    connection.prepare_threshold = None
    return connection


def execute(
    connection: Connection, statement: str, facts: Mapping[str, Any] | None = None
) -> Cursor:
    """Run a statement made of names of our own."""
    return connection.execute(statement.encode(), facts)


def passes(error: BaseException) -> bool:
    """Whether an error says that the database is away for a while."""
    if not isinstance(error, psycopg.Error):
        return True
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate == _READ_ONLY or error.sqlstate[:2] in _PASSING


def ensure_schema(connection: Connection, name: str) -> None:
    """Create our tables if there are none; refuse those of a newer version."""
    try:
        ((version,),) = execute(connection, "SELECT version FROM intercom_schema")
    except NoTables:
        with connection.transaction():
            work_shortly(connection)
            execute(connection, "SELECT pg_advisory_xact_lock(7236833291837)")
            text = resources.files("intercom_async.journal").joinpath("postgres.sql")
            connection.execute(text.read_bytes())
        return
    if version > VERSION:
        raise JournalError(
            name,
            f"the tables of {name} were made by a newer version of this library (their schema is "
            f"{version}, this version reads {VERSION}); update intercom_async",
        )


def work_shortly(connection: Connection) -> None:
    """Let the database end this transaction if the process freezes in it: it holds locks."""
    execute(connection, "SET LOCAL idle_in_transaction_session_timeout = '10s'")


def count_session(connection: Connection, name: str, facts: Mapping[str, Any]) -> int:
    """Make a run if need be; return the number of its next session; refuse another operation.

    Call it outside of a transaction: other workers that begin a session wait for the run's row.
    """
    statement = """
        INSERT INTO intercom_run AS kept (run, operation, sessions, created_at, library)
        VALUES (%(run)s, %(operation)s, 1, %(now)s, %(library)s)
        ON CONFLICT (run) DO UPDATE SET sessions = kept.sessions + 1 RETURNING operation, sessions
    """
    ((kept, number),) = execute(connection, statement, {**facts, "library": __version__})
    if kept != facts["operation"]:
        raise JournalMismatchError(name, what="operation", expected=kept, found=facts["operation"])
    return int(number)


def begin_session(connection: Connection, source: Source | None, facts: Mapping[str, Any]) -> None:
    """Write a session's row, with a lease of `lease` seconds."""
    statement = """
        INSERT INTO intercom_session (run, number, expires_at, started_at,
            source_kind, source_name, source_columns)
        VALUES (%(run)s, %(session)s, clock_timestamp() + %(lease)s * interval '1 second', %(now)s,
            %(source_kind)s, %(source_name)s, %(source_columns)s)
    """
    execute(connection, statement, {**facts, **origin(source)})
